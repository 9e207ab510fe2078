"""A spec checks itself by the page's rules when it is made, and keeps its secrets."""

from __future__ import annotations

import math
import pickle
from datetime import date, datetime
from typing import Any

import attrs
import pytest

from telepath_async.errors import UsageError
from telepath_async.models.trunks import AIProvider
from telepath_async.resources.trunk_spec import TrunkSpec
from telepath_async.secret import Secret

SIP: dict[str, Any] = {"sip_username": "sales-01", "sip_password": "s3cur3P@ss"}
OPENAI = SIP | {"name": "Sales", "ai_provider": "openai", "openai_api_key": "sk-needle"}
ELEVENLABS = OPENAI | {
    "ai_provider": "elevenlabs",
    "elevenlabs_api_key": "el",
    "elevenlabs_agent_id": "agent",
}
CUSTOM = OPENAI | {"ai_provider": "custom", "custom_endpoint": "wss://agent.example.com/voice"}


def without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


@pytest.mark.parametrize(
    "fields", [OPENAI, ELEVENLABS, CUSTOM], ids=lambda fields: fields["ai_provider"]
)
def test_a_spec_with_what_its_provider_needs_is_accepted_and_sent_as_it_is(
    fields: dict[str, Any],
) -> None:
    sent = TrunkSpec(**fields).fields()
    assert {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in sent.items()
    } == fields


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (TrunkSpec.openai("Sales", **SIP, api_key="sk-needle"), OPENAI),
        (
            TrunkSpec.elevenlabs("Sales", **SIP, api_key="el", agent_id="agent"),
            without(ELEVENLABS, "openai_api_key"),
        ),
        (
            TrunkSpec.custom("Sales", **SIP, endpoint="wss://agent.example.com/voice"),
            without(CUSTOM, "openai_api_key"),
        ),
    ],
    ids=["openai", "elevenlabs", "custom"],
)
def test_each_providers_short_form_makes_the_same_spec(
    spec: TrunkSpec, fields: dict[str, Any]
) -> None:
    assert spec == TrunkSpec(**fields)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": None}, "name is missing"),
        ({"name": " "}, "name is blank"),
        ({"name": 5}, "name must be text, not int"),
        ({"ai_provider": None}, "ai_provider is missing"),
        ({"ai_provider": 5}, "ai_provider must be text, not int"),
        (
            {"ai_provider": "azure"},
            "ai_provider must be one of openai, elevenlabs, custom",
        ),
        ({"ai_provider": AIProvider("azure")}, "must be one of"),
        (
            {"sip_username": "sales 01"},
            "sip_username may only contain letters, digits and hyphens",
        ),
        ({"sip_username": "sales-01\n"}, "sip_username may only contain"),
        ({"sip_username": "vértrieb"}, "sip_username may only contain"),
        ({"sip_password": None}, "sip_password is missing"),
        ({"sip_password": "short12"}, "sip_password must have at least 8 characters"),
        (
            {"sip_password": Secret("short12")},
            "sip_password must have at least 8 characters",
        ),
        ({"sip_password": b"s3cur3P@ss"}, "sip_password must be text, not bytes"),
        ({"sip_password": b""}, "sip_password must be text, not bytes"),
        (
            {"sip_password": pickle.loads(pickle.dumps(Secret("s3cur3P@ss")))},
            "without its value (it was pickled)",
        ),
        ({"openai_api_key": None}, "openai_api_key is missing"),
        ({"openai_api_key": ""}, "openai_api_key is blank"),
        (ELEVENLABS | {"elevenlabs_api_key": None}, "elevenlabs_api_key is missing"),
        (ELEVENLABS | {"elevenlabs_agent_id": None}, "elevenlabs_agent_id is missing"),
        (CUSTOM | {"custom_endpoint": None}, "custom_endpoint is missing"),
        (
            CUSTOM | {"custom_endpoint": "https://agent.example.com"},
            "custom_endpoint must be a wss:// URL",
        ),
        (CUSTOM | {"custom_endpoint": "wss://"}, "custom_endpoint must be a wss:// URL"),
        (CUSTOM | {"custom_endpoint": "wss://["}, "custom_endpoint must be a wss:// URL"),
        ({"extra": 5}, "extra must be a mapping, not int"),
        ({"extra": {"sip_password": "x"}}, "sip_password must not stand in extra"),
        ({"extra": {"a": ["\ud800"]}}, "extra cannot be sent as JSON: it holds half a"),
        ({"extra": {"a": math.nan}}, "extra cannot be sent as JSON: nan in it"),
        ({"extra": {"a": date(2026, 3, 1)}}, "an object of type date in it"),
        ({"extra": {"a": {1}}}, "an object of type set in it"),
        ({"extra": {"a": datetime(2026, 3, 1)}}, "has no time zone"),
        ({"name": "\ud800"}, "name holds half a character"),
        ({"sip_password": "s3cur3P@ss\ud800"}, "sip_password holds half a character"),
        ({"sip_password": 12345678}, "sip_password must be text, not int"),
        ({"ai_provider": Secret("openai")}, "ai_provider must be text, not Secret"),
        ({"sip_username": Secret("sales-01")}, "sip_username must be text, not Secret"),
        ({"system_prompt": Secret("Be brief.")}, "system_prompt must be text, not Secret"),
    ],
)
def test_a_spec_that_the_server_would_refuse_is_refused_here(
    changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(UsageError) as caught:
        TrunkSpec(**OPENAI | changes)
    assert fault in str(caught.value)


def test_one_error_lists_every_fault_and_no_secret() -> None:
    with pytest.raises(UsageError) as caught:
        TrunkSpec(
            name="",
            ai_provider="elevenlabs",
            sip_username="a b",
            sip_password="needle",
            openai_api_key="needle",
        )
    assert str(caught.value) == (
        "trunk spec: elevenlabs_api_key is missing; elevenlabs_agent_id is "
        "missing; name is blank; sip_username may only contain letters, digits and hyphens; "
        "sip_password must have at least 8 characters"
    )


def test_fields_that_we_do_not_know_are_sent_as_they_are() -> None:
    assert TrunkSpec(**OPENAI, extra={"vad": {"threshold": 0.5}}).fields()["vad"] == {
        "threshold": 0.5
    }


@attrs.frozen(kw_only=True)
class RegionalSpec(TrunkSpec):
    """As a user extends a spec: attrs gives it an `__init__` of its own."""

    region: str


def test_a_spec_of_a_users_own_class_shows_no_secret() -> None:
    extra = {"x_api_key": "needle"}
    spec = RegionalSpec(**OPENAI, region="eu", extra=extra)
    assert "needle" not in repr(attrs.asdict(spec))
    assert spec.fields() == TrunkSpec(**OPENAI, extra=extra).fields()


def test_a_spec_can_be_hashed() -> None:
    specs = {TrunkSpec(**OPENAI), TrunkSpec(**OPENAI, extra={"vad": {}}), TrunkSpec(**OPENAI)}
    assert len(specs) == 2


def test_an_extra_that_holds_itself_is_refused() -> None:
    extra: dict[str, Any] = {}
    extra["a"] = extra
    with pytest.raises(UsageError, match="holds itself"):
        TrunkSpec(**OPENAI, extra=extra)
