"""Enumerations stay open, and models hide their secrets."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from telepath_async.models import analytics, calls, numbers, trunks
from telepath_async.models.calls import CallStatus
from telepath_async.models.fields import Model
from telepath_async.models.numbers import AccountConnection
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


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_model_keeps_what_it_does_not_know_and_cannot_be_changed(model: type[Model]) -> None:
    assert "extra" in model.__struct_fields__
    instance: Any = model(*("x" for field in msgspec.structs.fields(model) if field.required))
    with pytest.raises(AttributeError, match="immutable"):
        instance.extra = {}


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
