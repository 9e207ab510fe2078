from typing import Any

import pytest
from yarl import URL

PATH = "/numbers/update?phone_number=%2B15550100001"
FIELDS = {
    "id", "user_id", "number", "active", "label", "inbound_agent_name", "outbound_only",
    "example_context", "telephony_provider", "description", "inbound_agent",
    "telephony_account_connection",
}  # fmt: skip


async def update(client: Any, path: str, **options: Any) -> Any:
    async with client.session.post(
        URL(client.sandbox.base_url + path, encoded=True), **options
    ) as response:
        return response.status, await response.json()


async def test_a_number_is_updated_and_shown_bare_in_both_styles(either: Any) -> None:
    body = {
        "label": "Desk",
        "outbound_only": True,
        "description": None,
        "example_context": {"a": "b"},
        "unknown": 1,
    }
    status, number = await update(either, PATH, json=body)
    assert status == 201
    assert set(number) == FIELDS
    assert number["number"] == "+15550100001"
    assert number.items() >= {key: value for key, value in body.items() if key != "unknown"}.items()


@pytest.mark.parametrize("options", [{}, {"json": {}}])
async def test_an_update_of_nothing_shows_the_number(either: Any, options: Any) -> None:
    status, number = await update(either, PATH, **options)
    assert (status, number["label"]) == (201, "Line 1")


@pytest.mark.parametrize(
    ("agent", "name"),
    [("agent_9", "Agent agent_9"), ({"id": "x", "name": "My Agent"}, "My Agent"), (None, None)],
)
async def test_the_agent_may_be_an_id_an_object_or_null(
    either: Any, agent: Any, name: str | None
) -> None:
    _, number = await update(either, PATH, json={"inbound_agent": agent})
    assert (number["inbound_agent"], number["inbound_agent_name"]) == (agent, name)


@pytest.mark.parametrize(
    "body",
    [
        {"label": 5},
        {"outbound_only": "yes"},
        {"outbound_only": None},
        {"description": []},
        {"example_context": {"a": 1}},
        {"example_context": "x"},
        {"inbound_agent": 5},
        {"inbound_agent": {"id": 5}},
        {"inbound_agent": {"name": {}}},
        [],
    ],
)
async def test_a_wrong_type_is_refused(either: Any, body: Any) -> None:
    assert (await update(either, PATH, json=body))[0] == 400


@pytest.mark.parametrize(
    "number", ["+15550100001", "15550100001", "", "%2B0", "%2B1555010000x", "%2B1234567890123456"]
)
async def test_a_number_that_is_not_e164_is_refused(either: Any, number: str) -> None:
    status, body = await update(either, f"/numbers/update?phone_number={number}")
    assert status == 400
    assert "%2B" in body["error"]["message"]
    assert (await update(either, "/numbers/update"))[0] == 400


async def test_an_unknown_number_is_not_found(either: Any) -> None:
    status, body = await update(either, "/numbers/update?phone_number=%2B15559999999")
    assert (status, body["error"]["code"]) == (404, "not_found")
