"""Promise 3: a create or a rotate is never executed twice by us, and what we report of it is true.

The server takes a username as often as it is sent, so that a second create would show. Beside
these: tests/resources/test_lost_answers.py (older, other and undated trunks),
tests/test_transport.py (aiohttp's hidden resend), tests/test_session.py
(`test_a_create_in_doubt_is_sent_once`).
"""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from telepath_async import RetryPolicy, TelepathClient
from telepath_async.errors import (
    APIError,
    ConnectionFailed,
    OutcomeUnknown,
    RateLimitError,
    RequestTimeout,
    ResponseError,
    ServerError,
    TelepathError,
)
from tests.support.hostile import Then, reply
from tests.support.trunk_server import Fault, TrunkServer, client_of, refuse, spec

pytestmark = pytest.mark.long

NOTHING_HAPPENED = (ConnectionFailed, APIError, RequestTimeout)


@pytest.fixture
async def server() -> AsyncIterator[TrunkServer]:
    async with TrunkServer() as server:
        yield server


async def created_truly(
    server: TrunkServer, client: TelepathClient, faults: list[Fault]
) -> type | None:
    """Create one trunk under these faults, check what is reported, and return the error's class."""
    server.forget()
    server.faults.extend(faults)
    username = f"user-{server.made}"
    try:
        trunk = await client.trunks.create(**spec(username))
    except TelepathError as error:
        outcome: TelepathError | None = error
    else:
        outcome = None
        assert [made["id"] for made in server.created] == [trunk.id]
        assert trunk.sip_username == username
    server.faults.clear()
    assert len(server.created) <= 1
    if isinstance(outcome, NOTHING_HAPPENED) and not isinstance(outcome, OutcomeUnknown):
        assert server.created == []
    else:
        assert outcome is None or isinstance(outcome, OutcomeUnknown), repr(outcome)
    return None if outcome is None else type(outcome)


async def rotated_truly(
    server: TrunkServer, client: TelepathClient, faults: list[Fault]
) -> type | None:
    """Rotate once under these faults, check what is reported, and return the error's class."""
    server.forget()
    server.faults.extend(faults)
    try:
        credentials = await client.trunks.rotate_sip_password("t1")
    except TelepathError as error:
        outcome: TelepathError | None = error
    else:
        outcome = None
        assert [("t1", credentials.sip_password.reveal())] == server.rotated
    server.faults.clear()
    assert len(server.rotated) <= 1
    if isinstance(outcome, NOTHING_HAPPENED) and not isinstance(outcome, OutcomeUnknown):
        assert server.rotated == []
    elif isinstance(outcome, ResponseError):
        assert server.rotated[0][1].encode() in outcome.raw
    else:
        assert outcome is None or isinstance(outcome, OutcomeUnknown), repr(outcome)
    return None if outcome is None else type(outcome)


OPERATIONS: dict[str, Callable[[TrunkServer, TelepathClient, list[Fault]], Any]] = {
    "create": created_truly,
    "rotate": rotated_truly,
}


@pytest.fixture(params=OPERATIONS)
def truly(
    request: pytest.FixtureRequest,
) -> Callable[[TrunkServer, TelepathClient, list[Fault]], Any]:
    return OPERATIONS[request.param]


async def sizes(server: TrunkServer, client: TelepathClient, truly: Any) -> tuple[int, int]:
    """Return how many bytes the request and its answer have."""
    answers: list[bytes] = []
    assert (
        await truly(server, client, [Fault(answer=lambda real: answers.append(real) or real)])
        is None
    )  # type: ignore[func-returns-value]
    request = server.requests[0]
    return len(request.head) + len(request.body), len(answers[0])


# Cut at every byte.


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "connection", ["close", "keep-alive"], ids=["fresh connection", "kept connection"]
)
async def test_an_exchange_cut_at_any_byte_is_carried_out_once_at_most_and_told_truly(
    server: TrunkServer, truly: Any, connection: str, then: Then
) -> None:
    server.connection = connection
    async with client_of(server) as client:
        asked, answered = await sizes(server, client, truly)
        cuts = [Fault(then, read=at) for at in range(asked + 1)] + [
            Fault(then, cut=at) for at in range(answered + 1)
        ]
        seen = [await truly(server, client, [cut]) for cut in cuts]
    assert seen[0] in (
        OutcomeUnknown,
        None,
    )  # None: the connection ended before the request was written
    assert set(seen[1 : asked + 1]) == {OutcomeUnknown}
    # A lost answer of a create is settled by a look-up; that of a rotate cannot be.
    assert set(seen[asked + 1 : -1]) == ({None} if truly is created_truly else {OutcomeUnknown})
    assert seen[-1] is None


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_create_whose_look_ups_are_cut_as_well_is_unknown(
    server: TrunkServer, then: Then
) -> None:
    async with client_of(server) as client:
        _, answered = await sizes(server, client, created_truly)
        for at in range(0, 150, 23):  # a look-up has fewer bytes than a create
            assert await created_truly(server, client, [Fault(then, read=at)] * 5) in (
                OutcomeUnknown,
                None,
            )
        for at in range(0, answered, 7):
            assert await created_truly(server, client, [Fault(then, cut=at)] * 5) is OutcomeUnknown


# Answered with anything.

TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "nothing but a 100": lambda real: b"HTTP/1.1 100 Continue\r\n\r\n",
    "a 103 before it": lambda real: b"HTTP/1.1 103 Early Hints\r\n\r\n" + real,
    "a 101": lambda real: (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    ),
    "see other": lambda real: reply(303, b"", headers={"Location": "/v1/trunks/1"}).bytes,
    "not modified": lambda real: reply(304, b"").bytes,
    "multiple choices": lambda real: reply(300, b"").bytes,
    "garbage": lambda real: b"\x00\xff" * 40,
    "another protocol": lambda real: b"SSH-2.0-OpenSSH_9.6\r\n",
    "an empty 200": lambda real: reply(200, b"").bytes,
    "a 204": lambda real: b"HTTP/1.1 204 No Content\r\n\r\n",
    "a proxy's page": lambda real: reply(200, b"<html>").bytes,
    "broken text": lambda real: reply(200, b'{"id": "\xff"}').bytes,
    "depth": lambda real: reply(200, b"[" * 100_000).bytes,
    "a list": lambda real: reply(200, b"[]").bytes,
    "no id": lambda real: reply(200, b'{"name": "n"}').bytes,
    "a short length": lambda real: real.replace(b"Content-Length: ", b"Content-Length: 1\r\nX: "),
    "no gzip": lambda real: reply(200, b"{}", headers={"Content-Encoding": "gzip"}).bytes,
    "broken gzip": lambda real: (
        reply(200, gzip.compress(b"{}" * 99)[:-9], headers={"Content-Encoding": "gzip"}).bytes
    ),
    "the answer twice": lambda real: real + real,
    **{
        f"a {status}": (lambda real, s=status: reply(s, b"oops").bytes)
        for status in (500, 501, 502, 503, 504, 520, 524, 599)
    },  # type: ignore[misc]
}


@pytest.mark.parametrize("executes", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize("then", ["keep", "close", "reset", "hang"])
async def test_an_exchange_answered_with_nonsense_is_carried_out_once_at_most_and_told_truly(
    server: TrunkServer, then: Then, executes: bool
) -> None:
    async with client_of(server, timeout=2.0, attempt_timeout=0.05) as client:
        for name, trick in TRICKS.items():
            real_needed = name in ("a 103 before it", "a short length", "the answer twice")
            if executes or not real_needed:
                fault = Fault(then, answer=trick, executes=executes)
                outcome = await created_truly(server, client, [fault])
                failed = name in FAILED and not executes
                assert outcome is (
                    None if server.created else ServerError if failed else OutcomeUnknown
                ), name
            if executes:
                assert await rotation(server, client, fault) in (
                    None,
                    OutcomeUnknown,
                    ResponseError,
                ), name


FAILED = (
    "a 500",
    "a 501",
    "a 503",
)  # what the API itself says; the others, a gateway may say of an API that works on


async def rotation(server: TrunkServer, client: TelepathClient, fault: Fault) -> type | None:
    """Rotate under a fault that hides the password: then not even `raw` can hold it."""
    server.forget()
    server.faults.append(fault)
    outcome = None
    try:
        await client.trunks.rotate_sip_password("t1")
    except TelepathError as error:
        outcome = type(error)
    server.faults.clear()
    assert len(server.rotated) <= 1  # none, where the connection ended just as it was sent
    return outcome


@pytest.mark.parametrize(
    "status", [301, 302, 307, 308, 400, 401, 403, 404, 408, 409, 413, 422, 425]
)
async def test_a_refusal_is_believed_and_never_repeated(
    server: TrunkServer, truly: Any, status: int
) -> None:
    async with client_of(server) as client:
        outcome = await truly(server, client, [refuse(status)] * 2)
    assert outcome is not None
    assert issubclass(outcome, APIError)
    # A 404 of a rotate may mean the other spelling of its path.
    assert len(server.requests) == (2 if (truly, status) == (rotated_truly, 404) else 1)


async def test_what_was_refused_by_the_rate_limit_is_sent_again_and_carried_out_once(
    server: TrunkServer, truly: Any
) -> None:
    async with client_of(server) as client:
        assert await truly(server, client, [refuse(429)] * 3) is None
        assert await truly(server, client, [refuse(429)] * 4) is RateLimitError
        assert await truly(server, client, [refuse(429), Fault("reset", cut=0)]) in (
            None,
            OutcomeUnknown,
        )
        assert len(server.created + server.rotated) == 1  # type: ignore[operator]


@pytest.mark.parametrize("pause", [0.0, 0.6])
async def test_a_timeout_at_any_place_is_told_truly(
    server: TrunkServer, truly: Any, pause: float
) -> None:
    async with client_of(server, timeout=5.0, attempt_timeout=0.3) as client:
        for cut in (0, 10, 60, None):
            if cut is not None or pause:
                slow = (
                    Fault("hang", cut=cut)
                    if not pause
                    else Fault(answer=lambda real: b"", pause=pause)
                )
                assert await truly(server, client, [slow]) is (
                    None if truly is created_truly else OutcomeUnknown
                )
                # After a stall of the machine it may be read later, and is not the next one's.
                await server.until(lambda it: bool(it.requests))
        assert await truly(server, client, [Fault("hang", read=5)]) is OutcomeUnknown
        assert await truly(server, client, [Fault("hang", executes=False, cut=0)]) is OutcomeUnknown


# Cancelled, closed, and many at once.


async def test_a_cancelled_create_or_rotate_is_carried_out_once_at_most(
    server: TrunkServer, truly: Any
) -> None:
    async with client_of(server) as client:
        for steps in range(60):
            server.forget()
            # A 429 or a lost answer first, so that waits and look-ups are cancelled too.
            server.faults.extend([[], [refuse(429)], [Fault("close", cut=0)]][steps % 3])
            work = (
                client.trunks.create(**spec("u"))
                if truly is created_truly
                else client.trunks.rotate_sip_password("t1")
            )
            task = asyncio.ensure_future(work)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.faults.clear()
            await asyncio.sleep(0.002)
            assert len(server.created) + len(server.rotated) <= 1


@pytest.mark.parametrize("seed", range(3))
async def test_a_batch_under_random_faults_creates_each_once_at_most_and_every_state_is_true(
    server: TrunkServer, seed: int
) -> None:
    chance = random.Random(seed)
    faults = [
        Fault("close", cut=0), Fault("reset", cut=40), Fault("reset", read=3),
        Fault("close", read=200), Fault("hang", cut=9),
        Fault(answer=TRICKS["garbage"], then="close"), Fault(answer=TRICKS["a list"]), refuse(429),
        refuse(500), refuse(409), refuse(503, executes=True), refuse(504, executes=True),
        refuse(422), Fault("reset", executes=False, cut=0),
    ]  # fmt: skip
    server.fault_of = lambda number: chance.choice(faults) if chance.random() < 0.5 else None
    specs = [spec(f"user-{number}") for number in range(120)]
    policy = RetryPolicy(backoff=0.0001, budget=10**9, max_attempts=3)
    async with client_of(server, attempt_timeout=0.05, retry=policy) as client:
        outcomes = [outcome async for outcome in client.trunks.create_many(specs, concurrency=8)]
    assert sorted(outcome.index for outcome in outcomes) == list(range(120))
    times = [
        [made["id"] for made in server.created if made["sip_username"] == f"user-{number}"]
        for number in range(120)
    ]
    for outcome in outcomes:
        made = times[outcome.index]
        assert len(made) <= 1
        if outcome.state == "created":
            assert outcome.trunk is not None
            assert made == [outcome.trunk.id]
        elif outcome.state == "failed":
            assert made == [], repr(outcome.error)
            assert not isinstance(outcome.error, OutcomeUnknown)
        else:
            assert isinstance(outcome.error, OutcomeUnknown)
    assert {outcome.state for outcome in outcomes} == {"created", "failed", "unknown"}


async def test_a_batch_that_is_cancelled_anywhere_creates_each_once_at_most(
    server: TrunkServer,
) -> None:
    async with client_of(server) as client:
        for steps in range(0, 120, 3):
            server.forget()
            server.faults.extend([Fault("close", cut=0), refuse(429)])
            batch = client.trunks.create_many(
                [spec(f"user-{steps}-{number}") for number in range(6)], concurrency=3
            )
            task = asyncio.ensure_future(anext(batch))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del batch
            await asyncio.sleep(0.002)
            server.faults.clear()
            usernames = [made["sip_username"] for made in server.created]
            assert len(usernames) == len(set(usernames))
