"""`rotate_passwords`: the options, checked, and the trunks, listed.

What a run does stands in `rotation_run.py`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import evolve

from telepath_async import Paginator, SipCredentials, TelepathClient, Trunk, UsageError
from telepath_async.checks import (
    check_function,
    check_iterable,
    check_seconds,
    check_timedelta,
    check_timeout,
    check_whole,
)

from .carrier import Carrier
from .journal import open_journal
from .rotation_report import RotationReport
from .rotation_run import Rotation, what_is_due

_LONGEST_BACKOFF_SECONDS: Final = 30.0


async def rotate_passwords(
    telepath: TelepathClient,
    trunks: Iterable[Trunk | str] | AsyncIterable[Trunk | str],
    apply: Callable[[SipCredentials], Awaitable[object]],
    journal: str | os.PathLike[str],
    *,
    concurrency: int = 2,
    stop_after: int = 3,
    attempts: int = 4,
    backoff: float = 0.5,
    apply_timeout: float | None = 30.0,
    not_again_within: timedelta = timedelta(hours=1),
) -> RotationReport:
    """Rotate the SIP password of each trunk (or id), and have its carrier take the new one.

    `apply(credentials)`: updates the carrier, raises when that fails, and may be called again with
    the same credentials. It is given `apply_timeout` seconds. `journal`: the path of a file that
    holds what is not finished, new passwords in plain text, for its owner only (mode 0600); one for
    each account. `concurrency`: trunks under way at once. `attempts`: of `apply`, and of a rotate
    whose answer was lost, with `backoff` seconds in between that double, up to 30. `stop_after`:
    after that many failed trunks, those of earlier runs included, or at once when a command of
    `apply` cannot be started, no other is begun. Until a first carrier has its password, trunks go
    one by one, so that at most `stop_after + concurrency - 1` are ever behind. `not_again_within`:
    a trunk that by the journal was finished so recently is left alone, so that a run that was
    killed can be repeated without rotating all that it had done.

    A run first finishes what earlier ones began, whether or not it stands in `trunks`. Killed at
    any moment, it is finished by the next one. Needs a POSIX system.

    Raises UsageError, JournalBusy and JournalDamaged before anything is sent; what listing `trunks`
    raises; and OSError when the journal cannot be written.
    """
    check_function("apply", apply, "coroutine function that takes SipCredentials")
    check_whole("concurrency", concurrency)
    check_whole("stop_after", stop_after)
    check_whole("attempts", attempts)
    check_seconds("backoff", backoff)
    check_timeout("apply_timeout", apply_timeout)
    check_timedelta("not_again_within", not_again_within)
    with open_journal(journal) as opened:
        wanted, uncertain = await _usernames(trunks)
        rotation = Rotation(
            telepath=telepath,
            carrier=Carrier(apply=apply, timeout=apply_timeout),
            journal=opened,
            wanted=wanted,
            stop_after=stop_after,
            waits=tuple(min(backoff * 2**n, _LONGEST_BACKOFF_SECONDS) for n in range(attempts - 1)),
        )
        due = what_is_due(opened.entries, wanted, datetime.now(UTC), not_again_within)
        return evolve(await rotation.run(due, concurrency), uncertain=uncertain)


async def _usernames(
    trunks: Iterable[Trunk | str] | AsyncIterable[Trunk | str],
) -> tuple[dict[str, str | None], int]:
    """Return the ids in their order, each with its SIP username where that is known.

    And how many may have been missed, because the list changed while it was read.
    """
    if isinstance(trunks, str):
        raise UsageError("trunks must be several trunks or ids, not one text")
    found = (
        [trunk async for trunk in trunks]
        if isinstance(trunks, AsyncIterable)
        else list(check_iterable("trunks", trunks, "trunks or their ids"))
    )
    strange = {type(trunk).__name__ for trunk in found if not isinstance(trunk, Trunk | str)}
    if strange:
        raise UsageError(f"trunks must be trunks or their ids, not {', '.join(sorted(strange))}")
    usernames = dict(
        (trunk.id, trunk.sip_username) if isinstance(trunk, Trunk) else (trunk, None)
        for trunk in found
    )
    return usernames, trunks.drift.uncertain if isinstance(trunks, Paginator) else 0
