"""Drive a client at random under faults, and check after every step that it told the truth.

`World` is what the server knows; `Driver` makes a step and holds the client's words against it.
`tests/soak.py` does the same for hours, with the worlds in a process of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

from telepath_async import (
    APIError,
    ConflictError,
    OutcomeUnknown,
    ResponseError,
    RetryPolicy,
    ServerError,
    TelepathClient,
    TelepathError,
    ThrottledError,
    TransportError,
)
from telepath_async.sandbox import Sandbox

MOST_TRUNKS = 40
NONSENSE = 202  # the status of a scripted answer that cannot be read
REFUSALS = (400, 403, 404, 409, 422)
NOT_EXECUTED = (*REFUSALS, 401, 429)
PATIENCE = 0.25  # the attempt_timeout of a client that is driven, seconds
POLICY = RetryPolicy(max_attempts=3, backoff=0.001, backoff_cap=0.002, budget=1e9)


class World:
    """What one sandbox knows.

    Every answer is plain data, so that it can travel between processes.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def fault(self, **options: Any) -> None:
        self._sandbox.fail_next(**options)

    def forget_requests(self) -> None:
        self._sandbox.requests.clear()

    def statuses(self, method: str, word: str) -> list[int | None]:
        """Return how the requests whose path or body holds `word` were answered.

        Those since the last `forget_requests` count.
        """
        said = [request for request in self._sandbox.requests if request.method == method]
        return [
            request.status
            for request in said
            if word in request.path or word.encode() in request.body
        ]

    def trunk(self, sip_username: str) -> dict[str, Any] | None:
        return next(
            (
                dict(trunk)
                for trunk in self._sandbox.trunks.values()
                if trunk["sip_username"] == sip_username
            ),
            None,
        )

    def trunks(self) -> dict[str, dict[str, Any]]:
        return {trunk_id: dict(trunk) for trunk_id, trunk in self._sandbox.trunks.items()}

    def remove(self, trunk_id: str) -> None:
        self._sandbox.remove_trunk(trunk_id)


Ask = Callable[..., Awaitable[Any]]


@define
class Driver:
    """Makes steps with one client in one world, one after the other.

    `said`: how often each thing was said.
    """

    client: TelepathClient
    ask: Ask
    how: random.Random
    said: Counter[str] = field(factory=Counter)
    _number: int = 0
    _removed: list[str] = field(factory=list)
    _began: float = 0.0

    async def step(self) -> None:
        """Make one call under up to two faults. Raises AssertionError on a lie."""
        for _ in range(self.how.choice((0, 0, 0, 1, 1, 2))):
            await self.ask("fault", **self._fault())
        await self.ask("forget_requests")
        self._began = asyncio.get_running_loop().time()
        kinds = (
            self.create,
            self.create,
            self.rotate,
            self.rotate,
            self.update,
            self.list,
            self.find,
            self.create_many,
        )
        await self.how.choice(kinds)()
        await self.settle()
        trunks = await self.ask("trunks")
        while len(trunks) > MOST_TRUNKS:
            trunk_id, trunk = trunks.popitem()
            self._removed = [trunk_id, trunk["sip_username"]]
            await self.ask("remove", trunk_id)

    async def settle(self) -> None:
        """Wait until the server has read what the step has sent.

        On a busy machine it may read a request after its caller has given up, and would count it
        for the next step. A read that is answered was sent, and read, after it.
        """
        while self._late():
            with contextlib.suppress(TelepathError):
                await self.client.request("GET", "/trunks", params={"limit": 1})
                return

    def _late(self) -> bool:
        return asyncio.get_running_loop().time() - self._began >= PATIENCE

    def _fault(self) -> dict[str, Any]:
        how = self.how
        method = {"method": how.choice(("GET", "POST", "PATCH", None))}
        if how.random() < 0.006:
            return {"delay": 0.4} | method
        bodies = (b"<html>", b"{}", b'{"data": 5}')
        if method["method"] in ("GET", "POST"):
            # To an update an empty 200 is a success: a server that lies so cannot be found out.
            bodies += (b"",)
        return how.choice((
            {"drop": how.choice(("before", "after", "middle"))},
            {"status": 429, "headers": {"Retry-After": "0"}},
            {
                "status": how.choice((500, 502, 503)), "executed": how.random() < 0.5,
                "headers": {"Retry-After": "0"},
            },
            {
                "status": NONSENSE, "body": how.choice(bodies),
                "executed": how.random() < 0.5,
            },
            {"status": how.choice(REFUSALS)},
        )) | method  # fmt: skip

    def _spec(self, username: str) -> dict[str, Any]:
        return {
            "name": f"name of {username} {self.how.randrange(10**6)}",
            "ai_provider": "custom", "sip_username": username,
            "sip_password": f"password-{self.how.randrange(10**9)}", "custom_endpoint": "wss://agent.example/",
        }  # fmt: skip

    async def _username(self) -> str:
        """Return one that is new, or, one time in four, taken."""
        taken = [trunk["sip_username"] for trunk in (await self.ask("trunks")).values()]
        if taken and self.how.random() < 0.25:
            return str(self.how.choice(taken))
        self._number += 1
        return f"user-{self._number}-x"

    async def create(self) -> None:
        spec = self._spec(await self._username())
        before = await self.ask("trunk", spec["sip_username"])
        try:
            trunk = await self.client.trunks.create(**spec)
        except TelepathError as error:
            await self._check_failed_create(error, spec, before)
        else:
            await self._check_created(trunk, spec, before)

    async def _check_created(self, trunk: Any, spec: dict[str, Any], before: Any) -> None:
        self.said["create: returned"] += 1
        after = await self.ask("trunk", spec["sip_username"])
        assert before is None, f"{spec} existed, and was returned as created"
        assert after is not None, f"{spec} was returned as created, and is not there"
        assert (trunk.id, trunk.name) == (after["id"], after["name"])
        assert after["sip_password"] == spec["sip_password"]
        self._executed_once(await self.ask("statuses", "POST", f'"{spec["sip_username"]}"'))

    async def _check_failed_create(
        self, error: TelepathError, spec: dict[str, Any], before: Any
    ) -> None:
        self.said[f"create: {type(error).__name__}"] += 1
        statuses = await self.ask("statuses", "POST", f'"{spec["sip_username"]}"')
        self._executed_once(statuses)
        if isinstance(error, OutcomeUnknown):
            assert self._lost(statuses), f"{error!r}, and no answer was lost: {statuses}"
            return
        assert isinstance(error, APIError | ThrottledError) or not getattr(error, "sent", True), (
            f"{error!r} says too little"
        )
        assert await self.ask("trunk", spec["sip_username"]) == before, (
            f"{error!r}, and it was done all the same"
        )

    @staticmethod
    def _executed_once(statuses: list[int | None]) -> None:
        assert sum(status not in NOT_EXECUTED for status in statuses) <= 1, (
            f"sent again after it may have happened: {statuses}"
        )

    def _lost(self, statuses: list[int | None]) -> bool:
        # On a busy machine an answer that the server gave in time may come too late.
        return self._late() or any(
            status is None or status >= 500 or status == NONSENSE for status in statuses
        )

    async def create_many(self) -> None:
        usernames = {await self._username() for _ in range(4)}
        specs = {username: self._spec(username) for username in usernames}
        before = {username: await self.ask("trunk", username) for username in usernames}
        batch = self.client.trunks.create_many(
            specs.values(), if_exists=self.how.choice(("fail", "skip"))
        )
        outcomes = []
        try:
            async for outcome in batch:
                outcomes.append(outcome)  # noqa: PERF401
        except TelepathError as error:
            self.said[f"create_many: {type(error).__name__}"] += 1
            for username in usernames:
                assert not await self.ask("statuses", "POST", f'"{username}"'), (
                    "the batch failed after it had begun"
                )
            return
        assert {outcome.spec.sip_username for outcome in outcomes} == usernames
        for outcome in outcomes:
            username = outcome.spec.sip_username
            self.said[f"create_many: {outcome.state}"] += 1
            if outcome.state == "created":
                await self._check_created(outcome.trunk, specs[username], before[username])
            elif outcome.state == "exists":
                assert before[username] is not None
                assert outcome.trunk.id == before[username]["id"]
            else:
                assert (outcome.state == "unknown") is isinstance(outcome.error, OutcomeUnknown)
                await self._check_failed_create(outcome.error, specs[username], before[username])

    async def _some_trunk(self) -> tuple[str, dict[str, Any] | None]:
        """Return an id and its trunk; now and then one that is gone."""
        trunks = await self.ask("trunks")
        if not trunks or (self._removed and self.how.random() < 0.05):
            return (self._removed or ["gone"])[0], None
        return self.how.choice(list(trunks.items()))  # type: ignore[no-any-return]

    async def rotate(self) -> None:
        trunk_id, before = await self._some_trunk()
        try:
            credentials = await self.client.trunks.rotate_sip_password(trunk_id)
        except TelepathError as error:
            await self._check_failed_rotate(error, trunk_id, before)
            return
        self.said["rotate: returned"] += 1
        assert before is not None
        after = (await self.ask("trunks"))[trunk_id]
        assert after["sip_password"] == credentials.sip_password.reveal() != before["sip_password"]
        self._executed_once(await self.ask("statuses", "POST", trunk_id))

    async def _check_failed_rotate(self, error: TelepathError, trunk_id: str, before: Any) -> None:
        self.said[f"rotate: {type(error).__name__}"] += 1
        statuses = await self.ask("statuses", "POST", trunk_id)
        self._executed_once(statuses)
        if isinstance(error, OutcomeUnknown | ResponseError):
            assert self._lost(statuses), f"{error!r}, and no answer was lost: {statuses}"
            return
        assert not isinstance(error, ServerError)
        assert isinstance(error, APIError | ThrottledError) or not getattr(error, "sent", True), (
            f"{error!r} says too little"
        )
        assert (await self.ask("trunks")).get(trunk_id) == before, (
            f"{error!r}, and it was done all the same"
        )

    async def update(self) -> None:
        trunk_id, before = await self._some_trunk()
        name = f"updated {self.how.randrange(10**9)}"
        try:
            trunk = await self.client.trunks.update(trunk_id, name=name)
        except TelepathError as error:
            await self._check_failed_update(error, trunk_id, before)
            return
        self.said["update: returned"] += 1
        assert (await self.ask("trunks"))[trunk_id]["name"] == trunk.name == name

    async def _check_failed_update(self, error: TelepathError, trunk_id: str, before: Any) -> None:
        self.said[f"update: {type(error).__name__}"] += 1
        after = (await self.ask("trunks")).get(trunk_id)
        refused = isinstance(error, APIError) and not isinstance(error, ServerError)
        # An attempt in front of the refusal may have been carried out.
        if refused and not self._lost(await self.ask("statuses", "PATCH", trunk_id)):
            assert after == before, f"{error!r}, and it was done all the same"

    async def list(self) -> None:
        try:
            trunks = await self.client.trunks.list(
                page_size=self.how.choice((3, 10, 100)), prefetch=self.how.choice((0, 2))
            ).collect()
        except TelepathError as error:
            await self._check_failed_read("list", error)
            return
        self.said["list: returned"] += 1
        there = await self.ask("trunks")
        assert [trunk.id for trunk in trunks] == list(there)
        assert [trunk.name for trunk in trunks] == [trunk["name"] for trunk in there.values()]

    async def find(self) -> None:
        trunk_id, there = await self._some_trunk()
        username = there["sip_username"] if there else "nobody"
        try:
            found = await self.client.trunks.find(username)
        except TelepathError as error:
            await self._check_failed_read("find", error)
            return
        self.said[f"find: {'found' if found else 'None'}"] += 1
        assert (found.id if found else None) == (trunk_id if there else None)

    async def _check_failed_read(self, what: str, error: TelepathError) -> None:
        self.said[f"{what}: {type(error).__name__}"] += 1
        statuses = await self.ask("statuses", "GET", "/trunks")
        wrong = [status for status in statuses if status != 200]
        assert wrong or isinstance(error, TransportError), (
            f"{error!r}, and nothing was wrong: {statuses}"
        )
        assert not isinstance(error, ConflictError) or 409 in statuses
