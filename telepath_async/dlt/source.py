"""`telepath_source`: check the options, and read what is missing on dlt's own event loop.

dlt runs asynchronous resources on a loop in a thread of its own, so a pipeline may be started from
anywhere, also where a loop is running.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import dlt
from attrs import frozen
from dlt.sources import DltSource

from telepath_async import Secret, TelepathClient
from telepath_async.checks import check_account, check_time_range, check_timedelta
from telepath_async.protocol.redaction import as_secret

from .progress import Progress
from .rows import CALLS, OVERVIEW, TRUNKS, Row, hints, row_of

_API_KEY: Final = "sources.telepath.api_key"
_PAGES_AHEAD: Final = (
    16  # 100 requests a second are the API's limit: enough for an answer in 160 ms
)


def telepath_source(
    api_key: str | Secret | None = None,
    *,
    base_url: str | None = None,
    account: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    lookback: timedelta = timedelta(hours=1),
) -> DltSource:
    """Return a source of dlt with the resources `calls`, `trunks` and `overview`.

    - `calls`: a row for each call, merged by `account` and `id`. The first run reads all; each
      later one what started since `lookback` before the watermark, which dlt keeps with the data:
      up to that start time, all calls are loaded and have ended. A call that goes on for more than
      24 hours holds it up no longer.
    - `trunks`: all trunks as they are now, merged likewise.
    - `overview`: the figures of `analytics.overview()` from `since` to `until`, a row for each run.

    `api_key`: None = dlt's secret `sources.telepath.api_key`, or else TELEPATH_API_KEY. `base_url`:
    None = TELEPATH_BASE_URL, or the real API. `account`: a name of yours for the account (None: the
    hash of the key, so that a new key begins anew). `since`, `until`: aware datetimes, both
    inclusive; only calls of that range. No credential is loaded; those in `extra` are masked.

    Raises UsageError before anything is sent. What the request loop raises comes as the cause of
    dlt's own errors.
    """
    check_time_range(since, until)
    # pyright takes dlt's own default for a mistake.
    ours: Any = dlt.secrets.get(_API_KEY)  # pyright: ignore[reportArgumentType]
    key = as_secret(ours if api_key is None else api_key)
    connect = partial(TelepathClient, key, base_url=base_url)
    key_id = connect().key_id  # here, so that a key or a URL that cannot be used is refused
    account_to_read = _Account(
        name=key_id if account is None else check_account(account),
        connect=connect,
        since=since,
        until=until,
        lookback=check_timedelta("lookback", lookback),
    )
    return _telepath(account_to_read)


@frozen(kw_only=True)
class _Account:
    """What to read. Every resource has a client of its own; they share the limit of the key."""

    name: str
    connect: Callable[[], TelepathClient]
    since: datetime | None
    until: datetime | None
    lookback: timedelta


# Not the key, but an account is handed to dlt's functions: what they are not given, they look for
# under ever shorter names, down to API_KEY and BASE_URL, which may be those of another service.


@dlt.source(name="telepath")
def _telepath(account: _Account) -> Any:
    return _calls(account), _trunks(account), _overview(account)


@dlt.resource(
    name="calls", columns=hints(CALLS), primary_key=("account", "id"), write_disposition="merge"
)
async def _calls(account: _Account) -> AsyncIterator[list[Row]]:
    # dlt drops what is noted here where anything fails, or the list is left before its end.
    state = dlt.current.resource_state("calls")
    progress = Progress.of(
        state.get(account.name, {}), account.since, account.until, account.lookback
    )
    async with account.connect() as telepath:
        calls = telepath.with_options(priority="bulk").calls.list(
            since=progress.walk.since, until=progress.walk.until, prefetch=_PAGES_AHEAD
        )
        async for page in calls.pages():
            yield [row_of(call, CALLS, account=account.name) for call in page.items]
            progress.note(page)
    state[account.name] = progress.at_the_end()


@dlt.resource(
    name="trunks", columns=hints(TRUNKS), primary_key=("account", "id"), write_disposition="merge"
)
async def _trunks(account: _Account) -> AsyncIterator[list[Row]]:
    async with account.connect() as telepath:
        trunks = telepath.with_options(priority="bulk").trunks.list(prefetch=_PAGES_AHEAD)
        async for page in trunks.pages():
            yield [row_of(trunk, TRUNKS, account=account.name) for trunk in page.items]


@dlt.resource(
    name="overview",
    columns=hints(OVERVIEW),
    primary_key=("account", "read_at"),
    write_disposition="merge",
)
async def _overview(account: _Account) -> AsyncIterator[Row]:
    asked: dict[str, Any] = {"since": account.since, "until": account.until}
    async with account.connect() as telepath:
        figures = await telepath.with_options(priority="bulk").analytics.overview(**asked)
    now = datetime.now(UTC)
    yield row_of(figures, OVERVIEW, account=account.name, read_at=now, **asked)
