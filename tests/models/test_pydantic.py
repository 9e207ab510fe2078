"""Web frameworks that work by pydantic take a model as it stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode

from telepath_async.models.calls import Call, CallDetails, Turn
from telepath_async.models.numbers import PhoneNumber
from telepath_async.models.plain import to_dict
from telepath_async.models.trunks import Trunk
from telepath_async.secret import Secret

TRUNK = Trunk(
    id="t", name="Sales", sip_password=Secret("pw"), created_at=datetime(2026, 1, 1, tzinfo=UTC)
)


class Envelope(BaseModel):
    trunk: Trunk


def test_a_model_is_written_as_to_dict_writes_it() -> None:
    assert Envelope(trunk=TRUNK).model_dump(mode="json") == {"trunk": to_dict(TRUNK)}
    assert TypeAdapter(Trunk).dump_python(TRUNK)["sip_password"] == "**********"


@pytest.mark.parametrize("mode", ["serialization", "validation"])
@pytest.mark.parametrize("model", [Trunk, Call, CallDetails, PhoneNumber])
def test_the_schema_of_a_model_names_every_field(model: type[Any], mode: JsonSchemaMode) -> None:
    schema = TypeAdapter(model).json_schema(mode=mode)
    assert (
        schema["properties"].keys()
        == to_dict(model(id="x") if model is not PhoneNumber else model(number="+1")).keys()
    )


def test_times_secrets_and_open_enumerations_are_text_in_the_schema() -> None:
    fields = TypeAdapter(Trunk).json_schema(mode="serialization")["properties"]
    text = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert fields["created_at"].items() >= text.items()
    assert fields["sip_password"].items() >= text.items()
    assert fields["status"]["type"] == "string"
    assert fields["metrics"]["type"] == "object"
    turns = TypeAdapter(CallDetails).json_schema(mode="serialization")["properties"]
    assert "array" in str(turns)


def test_pydantic_takes_our_models_and_makes_none() -> None:
    with pytest.raises(ValidationError):
        Envelope.model_validate({"trunk": {"id": "t"}})
    assert to_dict(Turn())["extra"] == {}
