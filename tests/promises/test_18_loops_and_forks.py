"""Promise 18: give loops, forks and ends one documented outcome each.

See `TelepathClient`. Never "Event loop is closed".

Beside these: tests/test_session.py (a client that goes from loop to loop, bluntly closed loops, a
second loop while the first runs, use after close, a caller's own session), tests/test_limiter.py
(the limiter's part in a fork).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from telepath_async import TelepathClient
from telepath_async.errors import ClientClosedError, OutcomeUnknown, UsageError
from tests.support.hostile import HANG, Hostile
from tests.support.trunk_server import Fault, TrunkServer, client_of, spec


async def python(source: str, base_url: str) -> list[str]:
    """Run a program that has `client`, `get(name)` and `say(...)`, and return what it said.

    It may warn of nothing.
    """
    head = f"""
import asyncio, logging, os, sys, gc
logging.getLogger("asyncio").setLevel(logging.ERROR)  # not of what is slow
from telepath_async import TelepathClient, UsageError, ClientClosedError
def make():
    return TelepathClient("sk_live_x", base_url={base_url!r})
client = make()
async def get(name, client=client):
    return (await client.calls.get(name)).id
def say(*words):
    print(*words, flush=True)
def outcome(run, work):
    try:
        return run(work)
    except Exception as error:
        return type(error).__name__
    finally:
        work.close()
def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            gc.collect()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
"""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-c", head + source,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await program.communicate()
        # Debug mode names what ran for long, as everything does on a busy machine.
    said = [line for line in err.decode().splitlines() if not line.startswith("Executing <")]
    assert said == []
    assert program.returncode == 0
    return out.decode().splitlines()


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


FORKED_WITHOUT_A_LOOP = {
    "before the first call": """
child(lambda: say(asyncio.run(get("child"))))
say(asyncio.run(get("parent")))
""",
    "after the loop was closed": """
say(asyncio.run(get("before")))
child(lambda: (say(asyncio.run(get("child"))), asyncio.run(client.aclose())))
say(asyncio.run(get("parent")))
asyncio.run(client.aclose())
""",
}


@forks
@pytest.mark.parametrize("when", FORKED_WITHOUT_A_LOOP)
async def test_a_child_forked_while_no_loop_is_open_opens_its_own_connections(when: str) -> None:
    async with TrunkServer() as server:
        said = await python(FORKED_WITHOUT_A_LOOP[when], server.base_url)
        names = ["before", "child", "parent"]
        assert said == (names[1:] if when == "before the first call" else names)
        assert [request.connection for request in server.requests] == list(range(len(said)))


@forks
async def test_a_child_is_refused_a_client_whose_loop_is_open_in_the_parent() -> None:
    async with TrunkServer() as server:
        said = await python(
            """
loop = asyncio.new_event_loop()
say(loop.run_until_complete(get("before")))
def of_child():
    for run in (asyncio.run, loop.run_until_complete):
        say(outcome(run, get("child")), outcome(run, client.aclose()))
    other = make()
    say(asyncio.run(get("own", other)))
    asyncio.run(other.aclose())
    gc.collect()
child(of_child)
for _ in range(3):
    say(loop.run_until_complete(get("parent")))
loop.run_until_complete(client.aclose())
loop.close()
""",
            server.base_url,
        )
        assert said == ["before", *["UsageError UsageError"] * 2, "own", *["parent"] * 3]
        assert [request.connection for request in server.requests] == [0, 1, 0, 0, 0]


@forks
async def test_a_fork_inside_a_running_loop_leaves_the_parent_unharmed() -> None:
    async with TrunkServer() as server:
        said = await python(
            """
async def main():
    say(await get("before"))
    pid = os.fork()
    if pid == 0:
        try:
            say(outcome(asyncio.run, get("child")))
            say(asyncio.run(get("own", make())))
        finally:
            os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        await asyncio.sleep(0.01)
    say(await get("parent"))
    await client.aclose()
asyncio.run(main())
""",
            server.base_url,
        )
        assert said == ["before", "UsageError", "own", "parent"]


LOCKED = """
import signal, threading, warnings
from telepath_async import LocalLimiter
from telepath_async import limiter as limiters
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of a fork beside threads
held, done = threading.Event(), threading.Event()
"""
FORKED = """
threading.Thread(target=hold).start()
held.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    asyncio.run(use())
    os._exit(0)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
done.set()
"""
HOLDERS = {
    "of a limiter": """
def clock():
    if threading.current_thread() is not threading.main_thread():
        held.set()
        done.wait()
    return 1.0
limiter = LocalLimiter(clock=clock)
def hold():
    asyncio.run(limiter.acquire())
async def use():
    await limiter.acquire()
""",
    "of all keys": """
def hold():
    with limiters.registry.lock:
        held.set()
        done.wait()
async def use():
    async with make() as client:
        say(await get("child", client))
""",
}


@forks
@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
async def test_a_lock_that_another_thread_holds_at_the_fork_does_not_hang_the_child(
    holder: str,
) -> None:
    async with TrunkServer() as server:
        said = await python(LOCKED + holder + FORKED, server.base_url)
    assert said[-1] == "0"


async def test_a_program_that_never_closes_its_client_ends_without_a_word() -> None:
    async with TrunkServer() as server:
        said = await python(
            """
for name in ("one", "two"):
    say(asyncio.run(get(name)))
async def main():
    task = asyncio.ensure_future(client.trunks.list(prefetch=3).collect())
    await asyncio.sleep(0.001)
asyncio.run(main())
""",
            server.base_url,
        )
        assert said == ["one", "two"]


# Two loops in a row.

CALLS: dict[str, Callable[[TelepathClient], Coroutine[Any, Any, Any]]] = {
    "get": lambda client: client.calls.get("c"),
    "list": lambda client: client.calls.list(prefetch=3).collect(),
    "create": lambda client: client.trunks.create(**spec("u")),
    "rotate": lambda client: client.trunks.rotate_sip_password("t"),
}


def cut_off(work: Coroutine[Any, Any, Any]) -> None:
    """Run it on a loop that ends in the middle of it."""

    async def begin() -> None:
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0.01)
        assert not task.done()

    asyncio.run(begin())


@pytest.mark.parametrize("call", CALLS)
async def test_a_loop_that_ends_in_the_middle_of_a_call_leaves_the_client_fit_for_the_next(
    call: str,
) -> None:
    async with TrunkServer() as server:
        client = client_of(server)

        def work() -> None:
            for _ in range(2):
                server.faults.append(Fault("hang", cut=20))
                cut_off(CALLS[call](client))
                assert asyncio.run(CALLS[call](client))
            asyncio.run(client.aclose())

        await asyncio.to_thread(work)
        await server.until(lambda it: it.open == 0)


async def test_a_walk_goes_on_in_the_next_loop() -> None:
    async with TrunkServer() as server:
        client = client_of(server)

        def work() -> None:
            for prefetch in (0, 3):
                walk = aiter(client.calls.list(page_size=10, prefetch=prefetch))
                rows = []
                for _ in range(4):

                    async def some() -> list[str]:
                        return [(await anext(walk)).id for _ in range(15)]  # noqa: B023

                    rows += asyncio.run(some())
                assert rows == [f"call_{number}" for number in range(60)]
            asyncio.run(client.aclose())

        await asyncio.to_thread(work)


async def test_a_batch_belongs_to_the_loop_that_began_it() -> None:
    async with TrunkServer() as server:
        client = client_of(server)

        def work() -> None:
            batch = client.trunks.create_many(
                [spec(f"u{number}") for number in range(6)], concurrency=2
            )

            async def one() -> Any:
                async with asyncio.timeout(2):
                    return await anext(batch)

            assert asyncio.run(one()).state == "created"
            with pytest.raises(UsageError, match="belongs to another event loop"):
                asyncio.run(one())
            asyncio.run(client.aclose())

        await asyncio.to_thread(work)
        assert len({made["sip_username"] for made in server.created}) == len(server.created)


# The end.


@pytest.mark.parametrize("call", CALLS)
async def test_use_after_close_sends_nothing(call: str) -> None:
    async with TrunkServer() as server:
        client = client_of(server)
        await client.aclose()
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await CALLS[call](client)
        (outcome,) = [outcome async for outcome in client.trunks.create_many([spec("u")])]
        assert (outcome.state, type(outcome.error)) == ("failed", ClientClosedError)
        assert server.connections == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_that_hangs_is_cut_off_by_close_and_says_whether_it_may_have_been_carried_out(
    call: str,
) -> None:
    async with Hostile([HANG]) as server:
        client = client_of(server)
        tasks = [asyncio.ensure_future(CALLS[call](client)) for _ in range(5)]
        await server.until(lambda it: len(it.requests) >= 5)
        async with asyncio.timeout(1):
            await client.aclose()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        expected = OutcomeUnknown if call in ("create", "rotate") else ClientClosedError
        assert [type(outcome) for outcome in outcomes] == [expected] * 5
        cut_off = [outcome.__cause__ or outcome for outcome in outcomes]  # type: ignore[union-attr]
        assert {type(outcome) for outcome in cut_off} == {ClientClosedError}
        assert len(server.requests) == 5
        await server.until(lambda it: it.open == 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
