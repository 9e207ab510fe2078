"""Enumerations stay open, and models hide their secrets."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import jsonschema
import pytest
from pydantic import TypeAdapter

from telepath_async.models import analytics, calls, numbers, trunks
from telepath_async.models.calls import CallDetails, CallStatus, Turn
from telepath_async.models.fields import Model
from telepath_async.models.numbers import AccountConnection
from telepath_async.models.plain import to_dict
from telepath_async.models.trunks import SipCredentials, Trunk, TrunkStatus
from telepath_async.secret import Secret

MODELS = [
    kind
    for module in (analytics, calls, numbers, trunks)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Model) and kind.__module__ == module.__name__
]


def test_an_unknown_value_stays_readable() -> None:
    status = CallStatus("ringing")
    assert (status, status.value, status.name, f"{status}") == (
        "ringing",
        "ringing",
        "ringing",
        "ringing",
    )
    assert isinstance(status, CallStatus)


def test_an_unknown_value_does_not_join_the_known_ones() -> None:
    CallStatus("ringing")
    assert "ringing" not in [status.value for status in CallStatus]


@pytest.mark.parametrize("value", ["active", "brand_new"])
@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_known_and_unknown_values_survive_copies_and_pickles(
    value: str, travel: Callable[[TrunkStatus], TrunkStatus]
) -> None:
    arrived = travel(TrunkStatus(value))
    assert arrived == TrunkStatus(value)
    assert isinstance(arrived, TrunkStatus)


@pytest.mark.parametrize("value", ["active", "brand_new"])
def test_known_and_unknown_values_compare_hash_and_serialize_as_text(value: str) -> None:
    assert TrunkStatus(value) == value
    assert {TrunkStatus(value): 1}[value] == 1  # type: ignore[index]
    assert json.dumps(TrunkStatus(value)) == f'"{value}"'


def test_a_known_value_is_its_member() -> None:
    assert TrunkStatus("active") is TrunkStatus.ACTIVE


@pytest.mark.parametrize("value", [5, None, b"active"])
def test_only_text_can_be_a_value(value: object) -> None:
    with pytest.raises(ValueError, match="not a valid TrunkStatus"):
        TrunkStatus(value)  # type: ignore[arg-type]


def instance_of(model: type[Model]) -> Any:
    """Return a model with the fields that it needs, and one that it does not know."""
    needed = {
        field.name: Secret("needle") if field.type is Secret else "x"
        for field in attrs.fields(attrs.resolve_types(model))
        if field.default is attrs.NOTHING
    }
    return model(**needed, extra={"new": 1})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestEveryModel:
    def test_is_written_and_described_by_pydantic(self, model: type[Model]) -> None:
        adapter = TypeAdapter(model)
        instance = instance_of(model)
        assert adapter.validate_python(instance) is instance
        assert adapter.dump_python(instance, mode="json") == to_dict(instance)
        schema = adapter.json_schema(mode="serialization")
        assert [*schema["properties"]] == [field.name for field in attrs.fields(model)]
        jsonschema.validate(to_dict(instance), schema)

    def test_is_taken_by_dict(self, model: type[Model]) -> None:
        assert dict(instance_of(model)) == to_dict(instance_of(model))


def test_to_dict_writes_times_enumerations_and_nested_models_as_json_has_them() -> None:
    call = CallDetails(
        id="call_1",
        status=CallStatus.COMPLETED,
        start_time=datetime(2026, 3, 10, 12, tzinfo=UTC),
        turns=(Turn(turn_number=1),),
    )
    plain = to_dict(call)
    assert (plain["status"], plain["start_time"]) == ("completed", "2026-03-10T12:00:00Z")
    assert plain["turns"][0]["turn_number"] == 1


def test_a_trunk_spells_its_address_in_one_way_however_it_is_made() -> None:
    made = Trunk(id="1", sip_username="u", sip_endpoint="sip:host")
    assert made.sip_endpoint == "u@host"
    assert attrs.evolve(made, name="n").sip_endpoint == "u@host"


@pytest.mark.parametrize(
    "model",
    [
        Trunk(
            id="1",
            name="n",
            status=TrunkStatus.ACTIVE,
            sip_password=Secret("needle"),
            extra={"token": Secret("needle")},
        ),
        SipCredentials(sip_password=Secret("needle")),
        AccountConnection(credentials={"twilio_auth_token": Secret("needle")}),
    ],
)
def test_neither_the_repr_nor_the_pickle_of_a_model_shows_a_secret(model: object) -> None:
    assert "needle" not in repr(model)
    assert b"needle" not in pickle.dumps(model)


def test_a_model_with_extra_fields_can_be_hashed() -> None:
    assert len({Trunk(id="1", name="n", status=TrunkStatus.ACTIVE, extra={"a": []})}) == 1
