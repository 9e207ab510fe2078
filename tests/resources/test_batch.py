"""Many trunks at once: checked together, created side by side, and nothing left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from telepath_async import (
    AuthenticationError,
    ConflictError,
    LocalLimiter,
    OutcomeUnknown,
    ProviderCredentialsError,
    RetryPolicy,
    TelepathClient,
    Trunk,
    TrunkOutcome,
    TrunkSpec,
    UsageError,
)
from telepath_async.models.trunks import TrunkStatus
from telepath_async.protocol.messages import Request
from telepath_async.resources.batch import Batch, BatchRunner, ExistingTrunks
from telepath_async.resources.batch_specs import check_specs
from telepath_async.sandbox import Sandbox
from tests.support.clients import posts
from tests.support.hostile import reply
from tests.support.jumping import jumping
from tests.support.threads import hush
from tests.support.trunk_server import Fault, TrunkServer, client_of, refuse
from tests.support.trunk_server import spec as server_spec
from tests.support.turns import settle


def spec(number: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "name": f"Agent {number}",
        "ai_provider": "openai",
        "sip_username": f"agent-{number}",
        "sip_password": "s3cur3P@ssw0rd!",
        "openai_api_key": "sk-openai-abc123",
    }
    return fields | changes


def specs(count: int) -> list[dict[str, Any]]:
    return [spec(number) for number in range(count)]


def server_specs(count: int) -> list[dict[str, Any]]:
    return [server_spec(f"u{number}") for number in range(count)]


async def by_index(batch: AsyncIterator[TrunkOutcome]) -> list[TrunkOutcome]:
    return sorted([outcome async for outcome in batch], key=lambda outcome: outcome.index)


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


class TestChecks:
    """All specs are checked before anything is sent."""

    def test_mappings_and_specs_both_become_specs(self) -> None:
        made = TrunkSpec(**spec(1))
        assert check_specs([spec(0), made]) == [TrunkSpec(**spec(0)), made]

    def test_one_error_lists_every_fault_of_every_spec(self) -> None:
        error = check_specs(
            [
                spec(0),
                spec(1, sip_password=None, openai_api_key=None),
                spec(2, sip_username="agent 2", colour="red"),
                spec(3, extra=5),
                5,  # type: ignore[list-item]
                TrunkSpec(**spec(0)),
            ]
        )
        assert str(error).splitlines() == [
            "nothing was sent, because 7 faults stand in the batch; correct them:",
            "  [1]: sip_password is missing",
            "  [1]: openai_api_key is missing",
            "  [2]: unknown field 'colour' (put it into extra={…})",
            "  [2]: sip_username may only contain letters, digits and hyphens",
            "  [3]: extra must be a mapping, not int",
            "  [4]: must be a TrunkSpec or a mapping of its fields, not int",
            "  one sip_username stands at [0], [5]; it must be unique",
        ]

    def test_a_long_list_of_faults_is_cut_and_counted(self) -> None:
        lines = str(check_specs([{}] * 20)).splitlines()  # four faults each
        assert (len(lines), lines[-1]) == (52, "  … and 30 more")

    async def test_a_bad_batch_is_refused_at_the_call_and_unsent(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        with pytest.raises(UsageError):
            telepath.trunks.create_many([spec(0), spec(0)])
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        "options",
        [
            {"concurrency": 0},
            {"concurrency": True},
            {"concurrency": 2.0},
            {"if_exists": "no"},
            {"specs": None},
            {"specs": TrunkSpec(**spec(0))},
        ],
        ids=str,
    )
    async def test_bad_options_are_refused_at_the_call(
        self, options: dict[str, Any], telepath: TelepathClient
    ) -> None:
        with pytest.raises(UsageError, match=next(iter(options))):
            telepath.trunks.create_many(**{"specs": [], **options})


class TestCreateMany:
    async def test_every_spec_becomes_a_trunk(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        outcomes = await by_index(telepath.trunks.create_many(specs(5)))
        assert [(outcome.index, outcome.state, outcome.error) for outcome in outcomes] == [
            (index, "created", None) for index in range(5)
        ]
        assert {outcome.trunk.id for outcome in outcomes if outcome.trunk} <= set(sandbox.trunks)
        assert [outcome.spec.sip_username for outcome in outcomes] == [
            f"agent-{index}" for index in range(5)
        ]

    async def test_an_empty_batch_sends_nothing(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        assert await by_index(telepath.trunks.create_many([], if_exists="skip")) == []
        assert sandbox.requests == []

    async def test_one_that_fails_never_stops_the_others(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.add_trunk(sip_username="agent-1")
        bad_key = spec(2, openai_api_key="sk-invalid")
        outcomes = await by_index(
            telepath.trunks.create_many([spec(0), spec(1), bad_key, spec(3)], concurrency=2)
        )
        assert [outcome.state for outcome in outcomes] == ["created", "failed", "failed", "created"]
        errors = [type(outcome.error) for outcome in outcomes if outcome.error]
        assert errors == [ConflictError, ProviderCredentialsError]

    async def test_a_lost_answer_that_cannot_be_settled_is_unknown(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(drop="before", method="POST")
        (outcome,) = await by_index(telepath.trunks.create_many(specs(1)))
        assert (outcome.state, outcome.trunk) == ("unknown", None)
        assert type(outcome.error) is OutcomeUnknown

    async def test_what_the_closing_client_cut_off_is_unknown_because_it_may_have_arrived(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(delay=30.0, method="POST")
        outcome = asyncio.ensure_future(anext(telepath.trunks.create_many(specs(1))))
        while not posts(sandbox):
            await asyncio.sleep(0.001)
        await telepath.aclose()
        assert ((await outcome).state, type((await outcome).error)) == ("unknown", OutcomeUnknown)
        assert "agent-0" in [trunk["sip_username"] for trunk in sandbox.trunks.values()]

    async def test_what_is_left_to_come_is_counted(self, telepath: TelepathClient) -> None:
        batch = telepath.trunks.create_many(specs(2))
        assert len(batch) == 2
        await anext(batch)
        assert len(batch) == 1


class TestIfExists:
    async def test_a_second_run_of_a_batch_is_a_no_op(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        first = await by_index(telepath.trunks.create_many(specs(3), if_exists="skip"))
        second = await by_index(telepath.trunks.create_many(specs(3), if_exists="skip"))
        assert [outcome.state for outcome in first] == ["created"] * 3
        assert [outcome.state for outcome in second] == ["exists"] * 3
        assert [outcome.trunk.id for outcome in second if outcome.trunk] == [
            outcome.trunk.id for outcome in first if outcome.trunk
        ]
        assert posts(sandbox) == 3

    EMPTY: Mapping[str, Mapping[str, Any]] = {
        "offset": {"trunks": [], "pagination": {"limit": 100, "offset": 0, "total": 0}},
        "cursor": {"data": [], "next_cursor": None, "has_more": False},
    }

    async def test_a_username_that_somebody_took_meanwhile_exists(
        self, telepath: TelepathClient, sandbox: Sandbox, style: str
    ) -> None:
        trunk_id = sandbox.add_trunk(sip_username="agent-0")["id"]
        sandbox.fail_next(200, method="GET", body=self.EMPTY[style])
        (outcome,) = await by_index(telepath.trunks.create_many(specs(1), if_exists="skip"))
        assert outcome.state == "exists"
        assert outcome.trunk is not None
        assert outcome.trunk.id == trunk_id

    async def test_a_conflict_over_something_else_than_the_username_is_a_failure(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(409, method="POST")
        (outcome,) = await by_index(telepath.trunks.create_many(specs(1), if_exists="skip"))
        assert (outcome.state, type(outcome.error)) == ("failed", ConflictError)

    async def test_a_conflict_that_cannot_be_looked_up_is_a_failure(
        self, telepath: TelepathClient, sandbox: Sandbox, style: str
    ) -> None:
        sandbox.add_trunk(sip_username="agent-0")
        sandbox.fail_next(200, method="GET", body=self.EMPTY[style])
        sandbox.fail_next(500, method="GET", times=4)
        (outcome,) = await by_index(telepath.trunks.create_many(specs(1), if_exists="skip"))
        assert (outcome.state, type(outcome.error)) == ("failed", ConflictError)

    async def test_nothing_is_created_when_the_list_cannot_be_read(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(401, method="GET")
        with pytest.raises(AuthenticationError):
            await by_index(telepath.trunks.create_many(specs(1), if_exists="skip"))
        assert posts(sandbox) == 0


class Creating:
    """Creates nothing, slowly except for the first, and counts."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.running = 0
        self.most = 0
        self.begun: list[str] = []

    async def __call__(self, spec: TrunkSpec, request: Request) -> Trunk:
        self.begun.append(spec.sip_username)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0 if spec.sip_username == "agent-0" else self.seconds)
        finally:
            self.running -= 1
        return Trunk(id=spec.sip_username, name=spec.name, status=TrunkStatus.ACTIVE)

    def batch(self, count: int, concurrency: int) -> Batch:
        made = [TrunkSpec(**fields) for fields in specs(count)]
        return Batch(
            BatchRunner(
                made,
                create=self,
                request_of=lambda spec: Request(method="POST", path="/x", template="/x"),
                existing=ExistingTrunks(never, skip=False),
                concurrency=concurrency,
            )
        )


def never() -> Any:
    raise AssertionError("the list is not needed")


class Failing(Creating):
    """Fails in a way that nobody foresaw."""

    async def __call__(self, spec: TrunkSpec, request: Request) -> Trunk:
        if spec.sip_username == "agent-0":
            raise LookupError(spec.sip_username)
        return await super().__call__(spec, request)


class Cancelled(Creating):
    """Somebody else cancels each create."""

    async def __call__(self, spec: TrunkSpec, request: Request) -> Trunk:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return await super().__call__(spec, request)


class TestTasks:
    @pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (20, 7)])
    async def test_as_many_run_at_once_as_is_allowed(self, concurrency: int, most: int) -> None:
        creating = Creating()
        assert len(await by_index(creating.batch(7, concurrency))) == 7
        assert creating.most == most

    async def test_nothing_begins_before_the_first_outcome_is_asked_for(self) -> None:
        creating = Creating()
        batch = creating.batch(3, 3)
        await settle()
        assert (creating.begun, len(batch)) == ([], 3)

    async def test_a_break_leaves_nothing_running(self) -> None:
        creating = Creating(60.0)
        async for _ in creating.batch(50, 2):
            await settle()
            assert creating.running == 1
            break
        await settle()
        assert (creating.running, len(creating.begun), others()) == (0, 2, set())

    async def test_a_cancelled_consumer_leaves_nothing_running(self) -> None:
        creating = Creating(60.0)
        consumer = asyncio.ensure_future(by_index(creating.batch(50, 2)))
        while len(creating.begun) < 3:
            await asyncio.sleep(0)
        assert creating.running == 2
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await settle()
        assert (creating.running, len(creating.begun), others()) == (0, 3, set())

    async def test_an_error_that_nobody_foresaw_is_raised_as_it_is_and_ends_the_batch(self) -> None:
        failing = Failing(60.0)
        batch = failing.batch(5, 3)
        with pytest.raises(LookupError, match="agent-0"):
            await anext(batch)
        await settle()
        assert (failing.running, others()) == (0, set())
        with pytest.raises(StopAsyncIteration):
            await anext(batch)

    async def test_a_create_that_somebody_else_cancels_ends_the_batch(self) -> None:
        batch = Cancelled(60.0).batch(3, 3)
        with pytest.raises(asyncio.CancelledError):
            await anext(batch)
        assert len(batch) == 0

    def test_a_batch_dropped_after_its_loop_was_closed_does_no_harm(self) -> None:
        loop = asyncio.new_event_loop()
        hush(loop)
        batch = Creating(60.0).batch(2, 2)

        async def first() -> TrunkOutcome:
            return await anext(batch)

        assert loop.run_until_complete(first()).index == 0
        (abandoned,) = asyncio.all_tasks(loop)
        loop.close()
        batch.__del__()
        assert abandoned.cancelling() == 0


class TestConsumer:
    """A batch keeps to its consumer."""

    async def test_a_consumer_that_leaves_leaves_no_more_behind_than_it_allowed(self) -> None:
        async with TrunkServer() as server, client_of(server) as client:
            taken = 0
            async for _ in client.trunks.create_many(server_specs(300), concurrency=20):
                await asyncio.sleep(0.02)  # the server would have time for them all
                taken += 1
                if taken == 10:
                    break
            await asyncio.sleep(0.1)
            assert 10 <= len(server.created) < 10 + 20

    @pytest.mark.parametrize("concurrency", [1, 3, 20])
    async def test_outcomes_that_are_not_taken_count_against_the_concurrency(
        self, concurrency: int
    ) -> None:
        creating = Creating()
        batch = creating.batch(50, concurrency)
        for taken in range(50):
            await anext(batch)
            await settle()
            assert len(creating.begun) <= taken + concurrency
        assert len(creating.begun) == 50

    async def test_existing_ones_that_are_not_taken_count_too(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        for number in (0, 2):
            sandbox.add_trunk(sip_username=f"agent-{number}")
        batch = telepath.trunks.create_many(specs(4), concurrency=1, if_exists="skip")
        assert (await anext(batch)).state == "exists"
        assert posts(sandbox) == 0
        assert [outcome.state async for outcome in batch] == ["created", "exists", "created"]

    async def test_several_tasks_may_share_a_batch(self) -> None:
        batch = Creating().batch(5, 2)
        takers = (anext(batch, None) for _ in range(7))
        outcomes = await asyncio.gather(*takers)
        assert sorted(outcome.index for outcome in outcomes if outcome) == list(range(5))


class TestSharedLookUp:
    """Conflicts of a batch share one look-up, and it comes last."""

    async def test_two_runs_of_one_batch_at_a_time_read_the_list_twice_each(self) -> None:
        async with Sandbox(trunks=2000, rate_limit=10**7) as sandbox:
            async with TelepathClient(
                sandbox.api_key, base_url=sandbox.base_url, limiter=LocalLimiter(10**6)
            ) as one:
                runs = await asyncio.gather(
                    *(by_index(one.trunks.create_many(specs(200), if_exists="skip")) for _ in "ab")
                )
            for first, second in zip(*runs, strict=True):
                assert {first.state, second.state} <= {"created", "exists"}
                assert first.trunk is not None
                assert second.trunk is not None
                assert first.trunk.id == second.trunk.id
            states = [outcome.state for run in runs for outcome in run]
            assert states.count("created") == 200
            gets = sum(request.method == "GET" for request in sandbox.requests)
            assert gets <= 2 * (22 + 24)  # of a hundred rows each, asked one row early

    async def test_a_username_that_the_server_takes_for_another_spelling_exists(self) -> None:
        def answer(real: bytes) -> bytes:
            server.created[:] = [{"id": "conn_1", "sip_username": "agent-1"}]
            return reply(409).bytes

        async with TrunkServer() as server, client_of(server) as client:
            server.faults.extend([Fault(), Fault(answer=answer)])
            (outcome,) = await by_index(
                client.trunks.create_many([server_spec("Agent-1")], if_exists="skip")
            )
            assert outcome.state == "exists"
            assert outcome.trunk.id == "conn_1"

    async def test_conflicts_that_are_to_fail_are_told_at_once_and_not_looked_up(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.add_trunk(sip_username="agent-0")
        outcome = await anext(telepath.trunks.create_many(specs(3), concurrency=1))
        assert (outcome.index, outcome.state) == (0, "failed")
        assert {request.method for request in sandbox.requests} == {"POST"}


REFUSED = b'{"error": {"code": "unauthorized", "message": "revoked"}}'


@jumping
async def test_what_waits_for_a_permit_when_the_key_is_refused_is_not_sent() -> None:
    """200 at a time, and a burst of 60: the others wait for the limiter."""
    async with TrunkServer() as server:
        clock = asyncio.get_running_loop().time
        limiter = LocalLimiter(clock=clock)
        server.fault_of = lambda number: refuse(401, body=REFUSED)
        async with client_of(server, limiter=limiter, retry=RetryPolicy()) as client:
            outcomes = await by_index(client.trunks.create_many(server_specs(400), concurrency=200))
        assert len(server.requests) <= 60
    assert {outcome.state for outcome in outcomes} == {"failed"}
    assert {type(outcome.error) for outcome in outcomes} == {AuthenticationError}
    unsent = [str(outcome.error) for outcome in outcomes if "not sent" in str(outcome.error)]
    assert len(unsent) == 400 - len(server.requests)
    assert set(unsent) == {
        "401 unauthorized: not sent, because the API refused the key of an earlier create "
        "(revoked); check TELEPATH_API_KEY, and run the batch again with if_exists='skip'"
    }


@jumping
async def test_what_waits_for_another_try_is_not_sent_again() -> None:
    async with TrunkServer() as server:
        limiter = LocalLimiter(10**6, 60.0, 10**5, clock=asyncio.get_running_loop().time)
        server.fault_of = lambda number: refuse(401, body=REFUSED) if number == 5 else refuse(429)
        async with client_of(server, limiter=limiter, retry=RetryPolicy()) as client:
            outcomes = await by_index(client.trunks.create_many(server_specs(30), concurrency=20))
        assert len(server.requests) <= 20
    assert {outcome.state for outcome in outcomes} == {"failed"}
    assert len(outcomes) == 30


class TestRefusedKey:
    """After the first 401 of our own key nothing more is sent."""

    async def test_one_that_is_refused_for_the_providers_key_stops_nothing(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        bad_key = spec(0, openai_api_key="sk-invalid")
        batch = telepath.trunks.create_many([bad_key, spec(1), spec(2)], concurrency=1)
        assert [outcome.state async for outcome in batch] == ["failed", "created", "created"]

    async def test_creates_that_were_done_by_then_keep_their_outcomes(self) -> None:
        async with TrunkServer() as server, client_of(server) as client:
            server.fault_of = lambda number: refuse(401, body=REFUSED) if number >= 3 else None
            outcomes = await by_index(client.trunks.create_many(server_specs(9), concurrency=1))
            assert [outcome.state for outcome in outcomes] == ["created"] * 3 + ["failed"] * 6
            assert len(server.requests) == 4


async def test_a_batch_whose_own_session_is_closed_ends(sandbox: Sandbox) -> None:
    sandbox.fail_next(delay=0.3, times=3)
    own = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    batch = TelepathClient(
        sandbox.api_key, base_url=sandbox.base_url, session=own
    ).trunks.create_many(specs(3))
    first = asyncio.ensure_future(anext(batch))
    while not sandbox.requests:
        await asyncio.sleep(0.01)
    await own.close()
    assert {outcome.state for outcome in [await first, *await by_index(batch)]} == {
        "failed",
        "unknown",
    }
