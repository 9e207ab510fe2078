"""A spec checks itself by the page's rules when it is made, and keeps its secrets."""

from __future__ import annotations

import math
import pickle
from datetime import date, datetime
from typing import Any

import pytest

from telepath_async.errors import UsageError
from telepath_async.models.trunks import AIProvider
from telepath_async.resources.trunk_spec import TrunkSpec
from telepath_async.secret import Secret

OPENAI: dict[str, Any] = {
    "name": "Sales",
    "ai_provider": "openai",
    "sip_username": "sales-01",
    "sip_password": "s3cur3P@ss",
    "openai_api_key": "sk-needle",
}
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
        (
            TrunkSpec.openai(
                "Sales", sip_username="sales-01", sip_password="s3cur3P@ss", api_key="sk-needle"
            ),
            OPENAI,
        ),
        (
            TrunkSpec.elevenlabs(
                "Sales",
                sip_username="sales-01",
                sip_password="s3cur3P@ss",
                api_key="el",
                agent_id="agent",
            ),
            without(ELEVENLABS, "openai_api_key"),
        ),
        (
            TrunkSpec.custom(
                "Sales",
                sip_username="sales-01",
                sip_password="s3cur3P@ss",
                endpoint="wss://agent.example.com/voice",
            ),
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
    ("fields", "fault"),
    [
        (OPENAI | {"name": None}, "name is missing"),
        (OPENAI | {"name": " "}, "name is blank"),
        (OPENAI | {"name": 5}, "name must be text, not int"),
        (OPENAI | {"ai_provider": None}, "ai_provider is missing"),
        (OPENAI | {"ai_provider": 5}, "ai_provider must be text, not int"),
        (
            OPENAI | {"ai_provider": "azure"},
            "ai_provider must be one of openai, elevenlabs, custom",
        ),
        (OPENAI | {"ai_provider": AIProvider("azure")}, "must be one of"),
        (
            OPENAI | {"sip_username": "sales 01"},
            "sip_username may only contain letters, digits and hyphens",
        ),
        (OPENAI | {"sip_username": "sales-01\n"}, "sip_username may only contain"),
        (OPENAI | {"sip_username": "vértrieb"}, "sip_username may only contain"),
        (OPENAI | {"sip_password": None}, "sip_password is missing"),
        (OPENAI | {"sip_password": "short12"}, "sip_password must have at least 8 characters"),
        (
            OPENAI | {"sip_password": Secret("short12")},
            "sip_password must have at least 8 characters",
        ),
        (OPENAI | {"sip_password": b"s3cur3P@ss"}, "sip_password must be text, not bytes"),
        (
            OPENAI | {"sip_password": pickle.loads(pickle.dumps(Secret("s3cur3P@ss")))},
            "without its value (it was pickled)",
        ),
        (without(OPENAI, "openai_api_key"), "openai_api_key is missing"),
        (OPENAI | {"openai_api_key": ""}, "openai_api_key is blank"),
        (without(ELEVENLABS, "elevenlabs_api_key"), "elevenlabs_api_key is missing"),
        (without(ELEVENLABS, "elevenlabs_agent_id"), "elevenlabs_agent_id is missing"),
        (without(CUSTOM, "custom_endpoint"), "custom_endpoint is missing"),
        (
            CUSTOM | {"custom_endpoint": "https://agent.example.com"},
            "custom_endpoint must be a wss:// URL",
        ),
        (CUSTOM | {"custom_endpoint": "wss://"}, "custom_endpoint must be a wss:// URL"),
        (CUSTOM | {"custom_endpoint": "wss://["}, "custom_endpoint must be a wss:// URL"),
        (OPENAI | {"extra": 5}, "extra must be a mapping, not int"),
        (OPENAI | {"extra": {"sip_password": "x"}}, "sip_password must not stand in extra"),
        (OPENAI | {"extra": {"a": ["\ud800"]}}, "extra cannot be sent as JSON: it holds half a"),
        (OPENAI | {"extra": {"a": math.nan}}, "extra cannot be sent as JSON: nan in it"),
        (OPENAI | {"extra": {"a": date(2026, 3, 1)}}, "an object of type date in it"),
        (OPENAI | {"extra": {"a": {1}}}, "an object of type set in it"),
        (OPENAI | {"extra": {"a": datetime(2026, 3, 1)}}, "has no time zone"),
        (OPENAI | {"name": "\ud800"}, "name holds half a character"),
        (OPENAI | {"sip_password": "s3cur3P@ss\ud800"}, "sip_password holds half a character"),
        (OPENAI | {"sip_password": 12345678}, "sip_password must be text, not int"),
    ],
)
def test_a_spec_that_the_server_would_refuse_is_refused_here(
    fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(UsageError) as caught:
        TrunkSpec(**fields)
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


def test_a_blank_system_prompt_is_a_prompt() -> None:
    assert TrunkSpec(**OPENAI, system_prompt="").fields()["system_prompt"] == ""


def test_fields_that_we_do_not_know_are_sent_as_they_are() -> None:
    assert TrunkSpec(**OPENAI, extra={"vad": {"threshold": 0.5}}).fields()["vad"] == {
        "threshold": 0.5
    }


def test_neither_the_repr_nor_the_pickle_of_a_spec_shows_a_secret() -> None:
    spec = TrunkSpec(**OPENAI)
    assert "needle" not in repr(spec)
    assert b"needle" not in pickle.dumps(spec)


def test_a_spec_can_be_hashed() -> None:
    assert (
        len({TrunkSpec(**OPENAI), TrunkSpec(**OPENAI, extra={"vad": {}}), TrunkSpec(**OPENAI)}) == 2
    )


def test_an_extra_that_holds_itself_is_refused() -> None:
    extra: dict[str, Any] = {}
    extra["a"] = extra
    with pytest.raises(UsageError, match="holds itself"):
        TrunkSpec(**OPENAI, extra=extra)
