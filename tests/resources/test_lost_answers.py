"""A lost create is never denied: whatever a server makes of a name, and whatever its clocks do.

Over real sockets; the server creates the trunk, changes it, and loses the answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest

from telepath_async import (
    ConflictError,
    OutcomeUnknown,
    RetryPolicy,
    ServerError,
    TelepathClient,
    Trunk,
)
from tests.support.hostile import HANG, Hostile, reply
from tests.support.keys import KEY
from tests.support.trunk_server import Fault, TrunkServer, client_of, refuse, spec

Row = dict[str, Any]
NAME = "  Vertrieb  Cafe\u0301 - Ümläut, the long name of a desk "


@pytest.fixture
async def server() -> AsyncIterator[TrunkServer]:
    async with TrunkServer() as server:
        yield server


async def create(server: TrunkServer, username: str = "Agent-Prod-1", **changes: Any) -> Trunk:
    async with client_of(server) as client:
        return await client.trunks.create(**{**spec(username), "name": NAME} | changes)


def losing(
    server: TrunkServer, change: Callable[[Row], object], status: int | None = None
) -> Fault:
    """Create the trunk, change it, and lose the answer, or answer with the status."""

    def answer(real: bytes) -> bytes:
        change(server.created[-1])
        return b"" if status is None else reply(status).bytes

    return Fault("close", answer=answer)


def made(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def row(**fields: Any) -> Row:
    return {
        "id": "conn_other", "name": NAME, "ai_provider": "custom", "sip_username": "Agent-Prod-1",
        "created_at": made(0),
    } | fields  # fmt: skip


CHANGES: dict[str, Callable[[Row], object]] = {
    "trims": lambda it: it.update(name=NAME.strip()),
    "joins white space": lambda it: it.update(name=" ".join(NAME.split())),
    "composes": lambda it: it.update(name=unicodedata.normalize("NFC", NAME)),
    "decomposes": lambda it: it.update(name=unicodedata.normalize("NFD", NAME)),
    "lower-cases": lambda it: it.update(name=NAME.lower()),
    "upper-cases": lambda it: it.update(name=NAME.upper()),
    "cuts": lambda it: it.update(name=NAME.strip()[:20]),
    "cuts with an ellipsis": lambda it: it.update(name=NAME.strip()[:19] + "…"),
    "leaves the name out": lambda it: it.pop("name"),
    "lower-cases the username": lambda it: it.update(sip_username="agent-prod-1"),
    "is 4 s behind": lambda it: it.update(created_at=made(-4)),
    "is 9 s behind": lambda it: it.update(created_at=made(-9)),
    "is 9 s ahead": lambda it: it.update(created_at=made(9)),
    "cuts to whole minutes and lower-cases all": lambda it: it.update(
        created_at=made(-5), name=NAME.lower(), sip_username="agent-prod-1"
    ),
}


@pytest.mark.parametrize("status", [500, None])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_our_own_trunk_is_returned_whatever_the_server_makes_of_it(
    server: TrunkServer, change: Callable[[Row], object], status: int | None
) -> None:
    server.faults.append(losing(server, change, status))
    trunk = await create(server)
    assert [trunk.id] == [created["id"] for created in server.created]


async def test_our_own_trunk_is_returned_where_its_provider_is_of_a_users_own_enumeration(
    server: TrunkServer,
) -> None:
    server.faults.append(losing(server, lambda it: None))
    providers = Enum("providers", {"OURS": "custom"}, type=str)
    trunk = await create(server, ai_provider=providers.OURS)
    assert [trunk.id] == [created["id"] for created in server.created]


async def test_where_no_time_is_left_no_connection_is_opened_for_a_look_up() -> None:
    async with (
        Hostile([HANG, reply(200)]) as silent,
        TelepathClient(KEY, base_url=silent.url, timeout=0.2) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            await client.trunks.create(**spec("agent-1"))
        await client.request("GET", "/later")
    assert len(silent.connections) == 2


async def test_where_the_retry_budget_is_spent_no_look_up_is_sent(server: TrunkServer) -> None:
    server.faults.append(losing(server, lambda it: None))
    async with client_of(server, retry=RetryPolicy(budget=4)) as client:
        with pytest.raises(OutcomeUnknown):
            await client.trunks.create(**spec("agent"))
    assert len(server.requests) == 1


UNCLEAR: dict[str, Callable[[Row], object]] = {
    "renames": lambda it: it.update(name="Trunk 17"),
    "changes the provider": lambda it: it.update(ai_provider="openai"),
    "is a minute behind": lambda it: it.update(created_at=made(-60)),
    "is an hour ahead": lambda it: it.update(created_at=made(3600)),
    "gives no time": lambda it: it.pop("created_at"),
    "gives no username": lambda it: it.pop("sip_username"),
    "gives neither": lambda it: [it.pop("created_at"), it.pop("sip_username")],
}


@pytest.mark.parametrize("status", [500, None])
@pytest.mark.parametrize("change", UNCLEAR.values(), ids=UNCLEAR)
async def test_what_may_be_our_trunk_is_never_denied_and_is_named(
    server: TrunkServer, change: Callable[[Row], object], status: int | None
) -> None:
    server.faults.append(losing(server, change, status))
    with pytest.raises(OutcomeUnknown, match=r"a look-up found trunk_1, which may be it or anoth"):
        await create(server)
    assert len(server.created) == 1


@pytest.mark.parametrize("key", ["sip_username", None])
async def test_a_row_without_an_id_that_may_be_our_trunk_leaves_it_unknown(
    server: TrunkServer, key: str | None
) -> None:
    def answer(real: bytes) -> bytes:
        server.created[:] = [{"sip_username": "agent-prod-1"} if key else {"name": NAME}]
        return reply(500).bytes

    server.faults.append(Fault(answer=answer))
    with pytest.raises(OutcomeUnknown, match="a look-up was not conclusive"):
        await create(server)


async def test_a_row_without_an_id_that_is_another_trunk_leaves_the_error_as_it_is(
    server: TrunkServer,
) -> None:
    server.created.append({"sip_username": "agent-2"})
    server.faults.append(refuse(500))
    with pytest.raises(ServerError):
        await create(server)


@pytest.mark.parametrize("name", [NAME, "Somebody else's"])
@pytest.mark.parametrize("age", [86_401.0, 900_000.0])
async def test_a_trunk_that_certainly_is_older_is_a_conflict_and_is_named(
    server: TrunkServer, age: float, name: str
) -> None:
    server.created.append(row(created_at=made(-age), name=name))
    server.faults.append(refuse(500))
    with pytest.raises(ConflictError, match=r"existed before this call \(conn_other\)") as caught:
        await create(server)
    assert (caught.value.status, caught.value.code) == (409, "conflict")


async def test_an_older_trunk_with_the_username_in_another_case_is_no_conflict(
    server: TrunkServer,
) -> None:
    """A server that tells cases apart may still carry the create out."""
    server.created.append(row(created_at=made(-90_000), sip_username="agent-prod-1"))
    server.faults.append(Fault("close", read=100))
    with pytest.raises(OutcomeUnknown, match="a look-up was not conclusive"):
        await create(server)
    server.faults.append(refuse(503))
    with pytest.raises(ServerError):
        await create(server)


async def test_two_trunks_that_may_be_ours_are_both_named_and_none_is_returned(
    server: TrunkServer,
) -> None:
    server.created.append(row(sip_username="AGENT-PROD-1"))
    server.faults.append(losing(server, CHANGES["lower-cases the username"]))
    with pytest.raises(OutcomeUnknown, match="found conn_other, trunk_1, which may be it"):
        await create(server)


async def test_the_username_as_it_was_sent_goes_before_one_in_another_case(
    server: TrunkServer,
) -> None:
    server.created.append(row(sip_username="agent-prod-1"))
    server.faults.append(Fault("close", cut=0))
    assert (await create(server)).id == "trunk_1"


async def test_rows_that_show_no_username_and_are_old_do_not_hide_the_servers_error(
    server: TrunkServer,
) -> None:
    server.created.append(row(sip_username=None, created_at=made(-90_000)))
    server.faults.append(refuse(500))
    with pytest.raises(ServerError):
        await create(server)


class TestFind:
    async def test_a_username_that_the_server_keeps_in_another_case_is_found(
        self, server: TrunkServer
    ) -> None:
        server.created.append(row(sip_username="agent-prod-1"))
        async with client_of(server) as client:
            found = await client.trunks.find("Agent-Prod-1")
            assert found is not None
            assert found.id == "conn_other"

    async def test_of_two_in_other_cases_none_is_the_one(self, server: TrunkServer) -> None:
        server.created += [
            row(sip_username="agent-prod-1"),
            row(id="c2", sip_username="AGENT-PROD-1"),
        ]
        async with client_of(server) as client:
            assert await client.trunks.find("Agent-Prod-1") is None
