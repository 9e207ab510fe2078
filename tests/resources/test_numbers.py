"""Phone numbers over a real socket: another vendor's endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from telepath_async import (
    UNSET,
    AccountConnection,
    Agent,
    BadRequestError,
    Secret,
    TelepathClient,
    UsageError,
)
from telepath_async.sandbox import Sandbox

LINE = "+15550100001"


@pytest.fixture
def style() -> str:
    """The endpoint is the same in both styles."""
    return "offset"


async def test_the_plus_arrives_encoded(telepath: TelepathClient, sandbox: Sandbox) -> None:
    await telepath.numbers.update(LINE, label="Sales")
    (request,) = sandbox.requests
    assert (request.method, request.path) == ("POST", "/v1/numbers/update")
    assert request.raw_query == "phone_number=%2B15550100001"


async def test_only_what_is_given_is_sent_and_changed(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    number = await telepath.numbers.update(LINE, label="Sales", description=UNSET)
    assert sandbox.requests[0].json == {"label": "Sales"}
    assert (number.number, number.label, number.inbound_agent) == (LINE, "Sales", "agent_123")


async def test_none_clears_a_field(telepath: TelepathClient, sandbox: Sandbox) -> None:
    number = await telepath.numbers.update(LINE, inbound_agent=None, example_context=None)
    assert sandbox.requests[0].json == {"inbound_agent": None, "example_context": None}
    assert (number.inbound_agent, number.example_context) == (None, None)


async def test_every_field_is_sent(telepath: TelepathClient, sandbox: Sandbox) -> None:
    fields: dict[str, Any] = {
        "label": "Sales",
        "outbound_only": True,
        "description": "Main line",
        "example_context": {"customer": "Ada"},
        "inbound_agent": "agent_456",
    }
    number = await telepath.numbers.update(LINE, **fields)
    assert sandbox.requests[0].json == fields
    assert (number.outbound_only, number.inbound_agent_name) == (True, "Agent agent_456")


@pytest.mark.parametrize(
    "agent",
    [
        Agent(
            name="Ada",
            openai_account_connection=AccountConnection(
                credentials={"openai_api_key": Secret("sk-needle")}
            ),
        ),
        {
            "name": "Ada",
            "openai_account_connection": {"credentials": {"openai_api_key": "sk-needle"}},
        },
    ],
    ids=["Agent", "mapping"],
)
async def test_an_agent_goes_out_whole_and_its_credentials_are_masked_in_errors(
    agent: Agent | dict[str, Any], telepath: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(
        422, body={"detail": [{"loc": ["body", "inbound_agent"], "msg": "bad key sk-needle"}]}
    )
    with pytest.raises(BadRequestError) as caught:
        await telepath.numbers.update(LINE, inbound_agent=agent)
    assert sandbox.requests[0].json == {
        "inbound_agent": {
            "name": "Ada",
            "openai_account_connection": {"credentials": {"openai_api_key": "sk-needle"}},
        }
    }
    assert caught.value.message == "body.inbound_agent: bad key **********"


async def test_an_update_is_tried_again_because_repeating_it_does_no_harm(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(drop="after")
    assert (await telepath.numbers.update(LINE, label="Sales")).label == "Sales"
    assert len(sandbox.requests) == 2


async def test_nothing_to_update_is_refused_unsent(
    telepath: TelepathClient, sandbox: Sandbox
) -> None:
    with pytest.raises(UsageError, match="give at least one field"):
        await telepath.numbers.update(LINE)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"label": 5}, "label must be text, not int"),
        ({"label": Secret("l")}, "label must be text, not Secret"),
        ({"outbound_only": "no"}, "outbound_only must be True or False, not str"),
        ({"outbound_only": 1}, "outbound_only must be True or False, not int"),
        ({"description": ["d"]}, "description must be text, not list"),
        ({"example_context": "customer=Ada"}, "example_context must be a mapping, not str"),
        ({"inbound_agent": 5}, "inbound_agent must be an id, an Agent, or a mapping of its"),
        ({"inbound_agent": [], "label": {}}, "label must be text, not dict; inbound_agent must"),
    ],
    ids=repr,
)
async def test_what_is_not_of_its_field_s_type_is_refused_unsent(
    fields: dict[str, Any], why: str, telepath: TelepathClient, sandbox: Sandbox
) -> None:
    with pytest.raises(UsageError, match=why):
        await telepath.numbers.update(LINE, **fields)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "phone_number",
    ["", "15550100001", "+0155501", "+1", "+1 555 010 0001", "+1555010000\n", "+" + "1" * 16, 5],
)
async def test_what_is_no_e164_number_is_refused_unsent(
    phone_number: Any, telepath: TelepathClient, sandbox: Sandbox
) -> None:
    with pytest.raises(UsageError, match=r"must be E\.164"):
        await telepath.numbers.update(phone_number, label="Sales")
    assert sandbox.requests == []
