"""Provisioning against a sandbox: the sink's two calls, sinks that fail, races, lost answers."""

from __future__ import annotations

import asyncio
import string
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import define, field

from telepath_async import (
    ConflictError,
    OutcomeUnknown,
    ProviderCredentialsError,
    Secret,
    ServerError,
    TelepathClient,
    TrunkSpec,
    UsageError,
)
from telepath_async.jobs import ProvisionedTrunk, ProvisionReport, provision_trunks
from telepath_async.jobs.provisioning import random_password
from telepath_async.sandbox import Sandbox
from tests.support.cancelling import cancel
from tests.support.clients import posts
from tests.support.totals import overstate_total

SECRET = "needle-in-a-haystack"


def spec(username: str = "agent-1", **changes: Any) -> dict[str, Any]:
    return {
        "name": username.title(),
        "ai_provider": "openai",
        "openai_api_key": "sk-1",
        "sip_username": username,
        **changes,
    }


@define
class Vault:
    """Keeps what it is told; `fails_on`: the stages on which it raises."""

    passwords: dict[str, Secret] = field(factory=dict)
    told: list[ProvisionedTrunk] = field(factory=list)
    fails_on: tuple[str, ...] = ()

    async def sink(self, trunk: ProvisionedTrunk) -> Secret | None:
        self.told.append(trunk)
        if trunk.state in self.fails_on:
            raise ConnectionError(
                f"no vault for {trunk.sip_password.reveal() if trunk.sip_password else None}"
            )
        if trunk.state == "planned":
            assert trunk.sip_password is not None
            return self.passwords.setdefault(trunk.sip_username, trunk.sip_password)
        return None

    @property
    def stages(self) -> list[str]:
        return [trunk.state for trunk in self.told]


@pytest.fixture
def vault() -> Vault:
    return Vault()


Provision = Callable[..., Awaitable[ProvisionReport]]


@pytest.fixture
def provision(telepath: TelepathClient, vault: Vault) -> Provision:
    """Provision a trunk, or those given, and tell the vault."""

    async def run(*specs: Any, sink: Any = vault.sink, **options: Any) -> ProvisionReport:
        return await provision_trunks(telepath, specs or [spec()], sink=sink, **options)

    return run


def locals_of(error: BaseException) -> str:
    """Return what a crash reporter shows of the frames below the test."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    return "".join(str(frame.locals) for frame in stack if frame.filename != __file__)


@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_missing_trunks_are_created_and_the_vault_holds_their_passwords(
    style: str, vault: Vault
) -> None:
    async with (
        Sandbox(style=style, trunks=3) as sandbox,
        TelepathClient(sandbox.api_key, base_url=sandbox.base_url) as client,
    ):  # type: ignore[arg-type]
        specs = [spec(f"agent-{n}") for n in range(6)]
        report = await provision_trunks(client, specs, sink=vault.sink)
        assert report.complete
        assert [(trunk.state, trunk.sip_username) for trunk in report.trunks] == [
            ("created", f"agent-{n}") for n in range(6)
        ]
        assert [
            name
            for name, password in vault.passwords.items()
            if not sandbox.sip_login(name, password.reveal())
        ] == []
        assert len({password.reveal() for password in vault.passwords.values()}) == 6

        again = await provision_trunks(client, specs, sink=vault.sink)
        assert [trunk.state for trunk in again.trunks] == ["exists"] * 6
        assert posts(sandbox) == 6


async def test_trunks_that_the_list_may_have_missed_are_reported(
    provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await provision()).uncertain == 0
    overstate_total(monkeypatch, by=2)
    report = await provision()
    assert (report.complete, report.uncertain) == (True, 2)


async def test_the_vault_has_the_password_before_the_create_is_sent_and_hears_the_outcome(
    provision: Provision, sandbox: Sandbox
) -> None:
    heard: list[tuple[str, int]] = []

    async def sink(trunk: ProvisionedTrunk) -> None:
        heard.append((trunk.state, posts(sandbox)))

    (trunk,) = (await provision(sink=sink)).trunks
    assert heard == [("planned", 0), ("created", 1)]
    assert trunk.trunk is not None
    assert trunk.sip_password is not None
    assert sandbox.sip_password(trunk.trunk.id) == trunk.sip_password.reveal()


async def test_a_given_password_is_used(provision: Provision, sandbox: Sandbox) -> None:
    made = TrunkSpec.openai("Two", sip_username="two", sip_password="given-to-two", api_key="sk-1")
    assert (await provision(spec("one", sip_password="given-to-one"), made)).complete
    assert sandbox.sip_login("one", "given-to-one")
    assert sandbox.sip_login("two", "given-to-two")


async def test_a_trunk_that_exists_is_reported_without_a_password(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    there = sandbox.add_trunk(sip_username="agent-1")
    (trunk,) = (await provision()).trunks
    assert (trunk.state, trunk.sip_password) == ("exists", None)
    assert trunk.trunk is not None
    assert trunk.trunk.id == there["id"]
    assert vault.told == [trunk]


@pytest.mark.parametrize("kind", [Secret, str])
async def test_a_password_that_the_vault_holds_already_is_used(
    provision: Provision, kind: type[Any], sandbox: Sandbox
) -> None:
    async def sink(trunk: ProvisionedTrunk) -> Any:
        return kind("held-since-the-last-run")

    (trunk,) = (await provision(sink=sink)).trunks
    assert trunk.sip_password == Secret("held-since-the-last-run")
    assert sandbox.sip_login("agent-1", "held-since-the-last-run")


@pytest.mark.parametrize("held", [SECRET[:6], f"{SECRET}\n", 5])
async def test_a_password_of_the_vault_that_cannot_be_used_fails_this_trunk(
    provision: Provision, held: Any, sandbox: Sandbox
) -> None:
    async def sink(trunk: ProvisionedTrunk) -> Any:
        return held

    (trunk,) = (await provision(sink=sink)).trunks
    assert posts(sandbox) == 0
    assert trunk.state == "failed"
    assert isinstance(trunk.error, UsageError)
    assert SECRET[:6] not in locals_of(trunk.error)


async def test_a_vault_that_fails_before_the_create_fails_this_trunk_and_nothing_is_sent(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    vault.fails_on = ("planned",)
    sandbox.add_trunk(sip_username="agent-2")
    report = await provision(spec("agent-1"), spec("agent-2"))
    assert [trunk.state for trunk in report.trunks] == ["failed", "exists"]
    assert isinstance(report.trunks[0].error, ConnectionError)
    assert posts(sandbox) == 0
    assert not report.complete


async def test_a_vault_that_fails_afterwards_is_no_success_and_is_told_again_by_the_next_run(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    vault.fails_on = ("created",)
    report = await provision()
    assert ([trunk.state for trunk in report.trunks], report.complete) == (["unrecorded"], False)
    assert sandbox.sip_login("agent-1", vault.passwords["agent-1"].reveal())
    report = await provision()
    assert (vault.stages, report.complete) == (["planned", "created", "exists"], True)


async def test_a_create_that_fails_is_told_and_the_failure_outlives_a_vault_that_fails_too(
    provision: Provision, vault: Vault
) -> None:
    vault.fails_on = ("failed",)
    specs = [spec("agent-1", openai_api_key="sk-invalid"), spec("agent-2")]
    report = await provision(*specs, concurrency=1)
    assert [trunk.state for trunk in report.trunks] == ["failed", "created"]
    assert isinstance(report.trunks[0].error, ProviderCredentialsError)
    assert vault.stages == ["planned", "failed", "planned", "created"]


async def test_a_lost_answer_is_unknown_and_the_next_run_settles_it_with_the_same_password(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    sandbox.fail_next(drop="after", method="POST", path="/trunks")
    sandbox.fail_next(status=500, method="GET", path="/trunks", times=1)
    # The first GET is the list at the start, so let that one pass and fail the look-up.
    with pytest.raises(ServerError):
        await provision()
    assert vault.told == []

    async def sink(trunk: ProvisionedTrunk) -> Secret | None:
        if trunk.state == "planned":
            sandbox.fail_next(status=500, method="GET", path="/trunks")
        return await vault.sink(trunk)

    (trunk,) = (await provision(sink=sink)).trunks
    assert (trunk.state, vault.stages) == ("unknown", ["planned", "unknown"])
    assert isinstance(trunk.error, OutcomeUnknown)
    assert (await provision()).complete
    assert sandbox.sip_login("agent-1", vault.passwords["agent-1"].reveal())


async def test_another_one_who_was_faster_is_a_conflict(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    async def sink(trunk: ProvisionedTrunk) -> Secret | None:
        if trunk.state == "planned":
            sandbox.add_trunk(sip_username=trunk.sip_username)
        return await vault.sink(trunk)

    (trunk,) = (await provision(sink=sink)).trunks
    assert (trunk.state, vault.stages) == ("failed", ["planned", "failed"])
    assert isinstance(trunk.error, ConflictError)


@pytest.mark.parametrize(
    ("find", "state"),
    [
        (None, "exists"),
        ({"status": 500}, "unknown"),
        ({"status": 200, "body": {"trunks": []}}, "unknown"),
    ],
)
async def test_a_create_of_an_earlier_run_that_arrives_late_is_found_with_its_password(
    provision: Provision, find: dict[str, Any] | None, state: str, sandbox: Sandbox, vault: Vault
) -> None:
    vault.passwords["agent-1"] = Secret("planned-by-a-run-that-died")

    async def sink(trunk: ProvisionedTrunk) -> Secret | None:
        if trunk.state == "planned":
            sandbox.add_trunk(sip_username="agent-1", sip_password="planned-by-a-run-that-died")
            if find:
                sandbox.fail_next(method="GET", path="/trunks", **find)
        return await vault.sink(trunk)

    (trunk,) = (await provision(sink=sink)).trunks
    assert (trunk.state, vault.stages) == (state, ["planned", state])
    assert sandbox.sip_login("agent-1", vault.passwords["agent-1"].reveal())


async def test_no_more_creates_are_under_way_than_allowed(provision: Provision) -> None:
    under_way = most = 0

    async def sink(trunk: ProvisionedTrunk) -> None:
        nonlocal under_way, most
        under_way += 1 if trunk.state == "planned" else -1
        most = max(most, under_way)
        await asyncio.sleep(0)

    specs = [spec(f"a-{n}") for n in range(8)]
    assert (await provision(*specs, sink=sink, concurrency=3)).complete
    assert most == 3


async def test_cancelling_stops_it_at_once_and_the_next_run_finishes(
    provision: Provision, sandbox: Sandbox
) -> None:
    planned = asyncio.Event()

    async def sink(trunk: ProvisionedTrunk) -> None:
        planned.set()
        await asyncio.Event().wait()

    run = asyncio.ensure_future(provision(sink=sink))
    await planned.wait()
    await cancel(run)
    assert posts(sandbox) == 0
    assert (await provision()).complete


async def test_every_fault_of_every_spec_is_told_before_anything_is_sent_and_no_secret_with_it(
    provision: Provision, sandbox: Sandbox, vault: Vault
) -> None:
    specs = [
        spec("one", sip_password=SECRET, colour="red"),
        spec("two", sip_password=SECRET),
        spec("two"),
        5,
    ]
    with pytest.raises(UsageError) as refused:
        await provision(*specs)
    assert str(refused.value).splitlines() == [
        "nothing was sent, because 3 faults stand in the batch; correct them:",
        "  [0]: unknown field 'colour' (put it into extra={…})",
        "  [3]: must be a TrunkSpec or a mapping of its fields, not int",
        "  one sip_username stands at [1], [2]; it must be unique",
    ]
    assert SECRET not in locals_of(refused.value)
    assert (sandbox.requests, vault.told) == ([], [])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sink": 5}, "sink must be a coroutine function"),
        ({"specs": TrunkSpec(**spec(sip_password=SECRET))}, "specs must be an iterable of"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1, not 0"),
        ({"concurrency": True}, "not True"),
    ],
)
async def test_bad_options_are_refused(
    options: dict[str, Any], named: str, telepath: TelepathClient, vault: Vault
) -> None:
    with pytest.raises(UsageError, match=named):
        await provision_trunks(telepath, **{"specs": [spec()], "sink": vault.sink, **options})


async def test_neither_a_password_nor_a_sinks_error_that_shows_it_is_in_a_repr(
    provision: Provision, vault: Vault
) -> None:
    vault.fails_on = ("created",)
    shown = repr(await provision(spec(sip_password=SECRET)))
    assert "ConnectionError" in shown
    assert SECRET not in shown
    assert SECRET not in repr(vault.told)


def test_a_random_password_has_24_letters_and_digits_of_every_kind() -> None:
    passwords = {random_password().reveal() for _ in range(200)}
    assert len(passwords) == 200
    for password in passwords:
        assert len(password) == 24
        assert set(password) <= set(string.ascii_letters + string.digits)
        assert all(
            set(password) & set(kind)
            for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
        )
