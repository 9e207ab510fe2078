"""A create whose answer was lost: the trunk is looked up, and never denied where it may exist.

What a found trunk proves is decided in `protocol/doubt.py`.
"""

from __future__ import annotations

import asyncio
import math
import time

from attrs import field, frozen

from ..checks import shown
from ..errors import ConflictError, OutcomeUnknown, TelepathError, UsageError
from ..models.trunks import Trunk
from ..protocol.doubt import LostCreate, failed_for_sure, normalize, server_times
from ..protocol.url import http_date
from ..session import Session
from .listing import ListOptions, paginator
from .trunk_spec import TrunkSpec


@frozen(kw_only=True)
class LookUp:
    """What the list of trunks holds of a username.

    `exact`: the trunk that has it; else `alike`: those whose username a server may have made of
    it, and `nameless`: those that show none. `complete`: whether every row was read. `date`: of
    the last answer, in Unix seconds by the server's clock, or None.
    """

    exact: Trunk | None = None
    alike: list[Trunk] = field(factory=list)
    nameless: list[Trunk] = field(factory=list)
    complete: bool
    date: float | None


async def look_up(session: Session, sip_username: str) -> LookUp:
    """Read the list of trunks until one has this username. Raises UsageError if it is not text."""
    if not isinstance(sip_username, str) or not sip_username.strip():
        raise UsageError(f"sip_username must be text, not {shown(sip_username)}")
    wanted = normalize(sip_username)
    alike: list[Trunk] = []
    nameless: list[Trunk] = []
    unreadable = False
    date: float | None = None  # not the headers: they may echo the key, and a traceback keeps this
    trunks = paginator(session, Trunk, "trunks", ListOptions(), filters=())
    async for page in trunks.pages():
        date = http_date(page.raw.headers.get("Date", ""))
        unreadable |= any(_may_be(rejected.row, wanted) for rejected in page.rejected)
        for trunk in page.items:
            if trunk.sip_username == sip_username:
                return LookUp(exact=trunk, complete=True, date=date)
            if trunk.sip_username is None:
                nameless.append(trunk)
            elif normalize(trunk.sip_username) == wanted:
                alike.append(trunk)
    return LookUp(
        alike=alike,
        nameless=nameless,
        complete=not (trunks.drift.uncertain or unreadable),
        date=date,
    )


def _may_be(row: object, wanted: str) -> bool:
    """Whether a row without an id may be the trunk with this username."""
    username = row.get("sip_username") if isinstance(row, dict) else None
    return not isinstance(username, str) or normalize(username) == wanted


async def resolve_lost_create(
    session: Session, spec: TrunkSpec, doubt: TelepathError, *, began: float, deadline: float
) -> Trunk:
    """Return the trunk of a create that ended in `doubt`, looked up inside the call's deadline.

    `began`, `deadline`: when the call did, and when it must have ended, by the loop's clock. Raises
    ConflictError where an older trunk certainly has the username, `doubt` itself where the API
    reported a failure and no trunk may be ours, and else OutcomeUnknown.
    """
    found = await _look_up_in_time(session, spec.sip_username, deadline)
    if found is None:
        raise _unknown(spec, "a look-up was not conclusive") from doubt
    start, answered = server_times(
        found.date, seconds_ago=session.now() - began, wall_clock=time.time()
    )
    create = LostCreate(
        name=spec.name, ai_provider=str.__str__(spec.ai_provider), began=start, answered=answered
    )
    named = [*found.alike, *found.nameless] if found.exact is None else [found.exact]
    possible = [trunk for trunk in named if create.judge(trunk) != "older"]
    if len(possible) == 1 and possible[0].sip_username and create.judge(possible[0]) == "ours":
        return possible[0]
    if possible:
        ids = ", ".join(trunk.id for trunk in possible[:3])
        raise _unknown(spec, f"a look-up found {ids}, which may be it or another one") from doubt
    if found.exact is not None:
        raise _conflict(spec, found.exact) from doubt
    if failed_for_sure(doubt) and found.complete:
        raise doubt
    raise _unknown(spec, "a look-up was not conclusive") from doubt


async def _look_up_in_time(session: Session, sip_username: str, deadline: float) -> LookUp | None:
    """Return what is found, or None where the time, the retry budget or the server allow none."""
    if session.now() >= deadline or not session.charge_retry():
        return None
    bound = None if deadline == math.inf else deadline
    time_left = None if bound is None else bound - session.now()
    try:
        async with asyncio.timeout_at(bound):  # that of the session is for each page
            return await look_up(session.with_options(timeout=time_left), sip_username)
    except (TelepathError, TimeoutError):
        return None


def _unknown(spec: TrunkSpec, why: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the create of trunk {spec.sip_username!r} was sent and its answer was lost, and {why}; "
        f"call trunks.find({spec.sip_username!r}) before you create it again",
        operation="create trunk",
        subject=spec.sip_username,
    )


def _conflict(spec: TrunkSpec, older: Trunk) -> ConflictError:
    return ConflictError(
        f"a trunk with sip_username {spec.sip_username!r} existed before this call ({older.id})",
        status=409,
        code="conflict",
        hint="choose another sip_username, or use the one that exists",
    )
