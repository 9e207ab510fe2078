"""`provision_trunks`: create missing trunks; each password is in safe hands before its trunk is."""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from telepath_async import (
    ConflictError,
    Secret,
    TelepathClient,
    TelepathError,
    Trunk,
    TrunkSpec,
    UsageError,
)
from telepath_async.checks import check_function, check_iterable, check_whole

# No character that a configuration file, a shell, a URL or a SIP header reads as anything else.
_ALPHABET: Final = string.ascii_letters + string.digits
_KINDS: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_LENGTH: Final = 24  # 142 bits; some phones and carriers cut off what is longer than 32


def _error_shown(error: Exception | None) -> str:
    """Return what may be shown: databases name a failed statement's parameters, passwords too."""
    return repr(error) if isinstance(error, TelepathError | None) else type(error).__name__


@frozen(kw_only=True)
class ProvisionedTrunk:
    """How far a trunk has come. The sink is handed each stage; the last one stands in the report.

    - `planned`: it is missing, and is going to be created with this `sip_password`.
    - `created`: it has this password now; `trunk` is the new one.
    - `exists`: its username was there already, as `trunk`; `sip_password` is None, for nobody can
      ask for it. If you hold a planned password for it, a run that was killed has created it with
      that one.
    - `failed`: nothing was created, `error` is the reason; a ConflictError: another one was
      faster, and the planned password is not its.
    - `unknown`: the create was sent and its answer lost. Keep the password, and run again.
    - `unrecorded`: the sink failed (`error`) for a trunk that exists by now. Run again.
    """

    state: Literal["planned", "created", "exists", "failed", "unknown", "unrecorded"]
    sip_username: str
    sip_password: Secret | None = None
    trunk: Trunk | None = None
    error: Exception | None = field(default=None, repr=_error_shown)


Sink: TypeAlias = Callable[[ProvisionedTrunk], Awaitable[Secret | str | None]]


@frozen(kw_only=True)
class ProvisionReport:
    """What became of each spec, in their order.

    `uncertain`: existing trunks that may have been missed, since the list changed while it was
    read. The create of such a one failed with a ConflictError: run again.
    """

    trunks: tuple[ProvisionedTrunk, ...]
    uncertain: int = 0

    @property
    def complete(self) -> bool:
        """Whether all trunks are there, and the sink knows."""
        return all(trunk.state in ("created", "exists") for trunk in self.trunks)


async def provision_trunks(
    telepath: TelepathClient,
    specs: Iterable[TrunkSpec | Mapping[str, Any]],
    *,
    sink: Sink,
    concurrency: int = 4,
) -> ProvisionReport:
    """Create the trunks whose `sip_username` is not there yet, and hand the credentials to `sink`.

    `specs`: TrunkSpecs, or mappings of their fields. One without `sip_password` gets a random one:
    24 letters and digits, with a small letter, a capital and a digit among them. `concurrency`:
    trunks under way at once.

    `sink(trunk)` is awaited before a trunk is created (`planned`), and again when its outcome is
    known. It must have stored the password for good when it returns from `planned`, for after that
    a crash may leave a trunk that has it. If it holds one for this username already, from a run
    that was killed, it returns that one, and that one is used: the earlier run's create may still
    arrive. A sink that raises on `planned` fails this trunk alone, and nothing is sent; on a later
    stage it makes the trunk `unrecorded`. Killed at any moment, the job is finished by running it
    again.

    Raises UsageError before anything is sent, when a spec is wrong or stands twice; what listing
    the trunks raises. What fails later stands in the report.
    """
    check_function("sink", sink, "coroutine function that takes a ProvisionedTrunk")
    check_whole("concurrency", concurrency)
    check_iterable("specs", specs, "TrunkSpecs or mappings of their fields")
    checked = _checked(telepath, [_with_password(spec) for spec in specs])
    del specs  # a traceback keeps this frame, and they may hold passwords in plain text
    if isinstance(checked, UsageError):
        raise checked
    listed = telepath.trunks.list()
    existing = {trunk.sip_username: trunk for trunk in await listed.collect()}
    provisioning = _Provisioning(
        telepath=telepath, sink=sink, existing=existing, semaphore=asyncio.Semaphore(concurrency)
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(provisioning.one(spec)) for spec in checked]
    trunks = tuple(task.result() for task in tasks)
    return ProvisionReport(trunks=trunks, uncertain=listed.drift.uncertain)


def random_password() -> Secret:
    """Return 24 random letters and digits, among them a small letter, a capital and a digit."""
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        if all(set(kind) & set(password) for kind in _KINDS):
            return Secret(password)


def _with_password(spec: TrunkSpec | Mapping[str, Any]) -> TrunkSpec | Mapping[str, Any]:
    if isinstance(spec, Mapping) and spec.get("sip_password") is None:
        return {**spec, "sip_password": random_password()}
    return spec


def _checked(
    telepath: TelepathClient, specs: list[TrunkSpec | Mapping[str, Any]]
) -> list[TrunkSpec] | UsageError:
    try:
        # Refuses what is wrong, and sends nothing before it is iterated.
        telepath.trunks.create_many(specs)
    except UsageError as error:
        return error.with_traceback(None)
    return [spec if isinstance(spec, TrunkSpec) else TrunkSpec(**spec) for spec in specs]


@define(kw_only=True)
class _Provisioning:
    telepath: TelepathClient
    sink: Sink
    existing: Mapping[str | None, Trunk]
    semaphore: asyncio.Semaphore

    async def one(self, spec: TrunkSpec) -> ProvisionedTrunk:
        """Bring one trunk as far as it gets."""
        async with self.semaphore:
            trunk = self.existing.get(spec.sip_username)
            return (
                await self._record(_exists(trunk))
                if trunk is not None
                else await self._missing(spec)
            )

    async def _missing(self, spec: TrunkSpec) -> ProvisionedTrunk:
        planned = ProvisionedTrunk(
            state="planned", sip_username=spec.sip_username, sip_password=spec.sip_password
        )
        try:
            held = await self.sink(planned)
            if isinstance(held, str):  # the report's error keeps this frame
                held = Secret(held)
            spec = spec if held is None else evolve(spec, sip_password=held)
        except Exception as error:  # noqa: BLE001  # whatever a database's library raises
            return evolve(planned, state="failed", error=error)
        outcome = await anext(self.telepath.trunks.create_many([spec]))
        reached = evolve(
            planned,
            state=outcome.state,
            sip_password=spec.sip_password,
            trunk=outcome.trunk,
            error=outcome.error,
        )
        if (
            isinstance(reached.error, ConflictError)
            and reached.sip_password != planned.sip_password
        ):
            reached = await self._planned_before(reached)
        return await self._record(reached)

    async def _planned_before(self, conflict: ProvisionedTrunk) -> ProvisionedTrunk:
        """Look up who was faster, with a planned username: most likely an earlier run of ours."""
        try:
            trunk = await self.telepath.trunks.find(conflict.sip_username)
        except TelepathError as error:
            return evolve(conflict, state="unknown", error=error)
        return evolve(conflict, state="unknown") if trunk is None else _exists(trunk)

    async def _record(self, reached: ProvisionedTrunk) -> ProvisionedTrunk:
        try:
            await self.sink(reached)
        except Exception as error:  # noqa: BLE001  # the same
            return (
                evolve(reached, state="unrecorded", error=error)
                if reached.error is None
                else reached
            )
        return reached


def _exists(trunk: Trunk) -> ProvisionedTrunk:
    assert trunk.sip_username is not None  # it was found by it
    return ProvisionedTrunk(state="exists", sip_username=trunk.sip_username, trunk=trunk)
