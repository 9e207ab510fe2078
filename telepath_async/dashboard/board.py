"""Answer what the page asks: figures, calls, one call, what has changed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from telepath_async import CallDetails, NotFoundError, TelepathClient, TelepathError, to_dict
from telepath_async.insights.explanation import explain_week

from . import figures
from .hours import HourCache, moment
from .masking import mask_number, mask_numbers
from .queries import MOST_CALLS, CallReader
from .questions import Question, read_filter, read_question, read_time

Json: TypeAlias = dict[str, Any]

_MOST_ANSWERS: Final = 32
_SLOWEST: Final = 12
_PHONES: Final = ("from_number", "to_number")


@frozen(kw_only=True)
class Account:
    """An account whose calls are shown: its client, and how its sync stands."""

    name: str
    telepath: TelepathClient
    figures: Callable[[], Json]


@frozen(kw_only=True)
class BoardOptions:
    """What is called slow, how often is synced (None: by others), and what is hidden."""

    limits: figures.Limits = field(factory=figures.Limits)
    sync_seconds: float | None = 60.0
    mask_numbers: bool = False


class Board:
    """The dashboard's answers, over one database."""

    def __init__(
        self,
        reader: CallReader,
        options: BoardOptions,
        accounts: Sequence[Account] = (),
        jobs: Callable[[], Awaitable[list[Json]]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reader = reader
        self._options = options
        self._accounts = {account.name: account for account in accounts}
        self._jobs = jobs
        self._now = now
        self._cache = HourCache(reader)
        self._answers: OrderedDict[object, Json] = OrderedDict()

    async def data(self, query: Mapping[str, str]) -> Json:
        """Return all figures of the page. Raises UsageError for a query that makes no sense."""
        now = self._now()
        question = read_question(query, now)
        states = await self._reader.sync_states()
        span = question.span
        hours = await self._cache.load(span.before.start, span.last)
        comparable = _covers(states, moment(span.before.start))
        key = (self._cache.version, question, comparable)
        if key not in self._answers:
            self._keep(key, await self._figures(question, hours, comparable))
        return {
            **self._answers[key],
            "now": now.timestamp(),
            "trunk_names": await self._reader.trunks(),
            "foot": await self._foot(states),
            "options": {
                "sync_seconds": self._options.sync_seconds,
                "ai_limit_ms": self._options.limits.ai_ms,
                "carrier_limit_ms": self._options.limits.carrier_ms,
                "few": figures.FEW,
            },
        }

    async def explain(self, query: Mapping[str, str]) -> Json:
        """Return who is to blame for the change that stands out most in the last 7 days."""
        last = int(self._now().timestamp()) // 3600
        span = range(last - 168, last + 1)
        hours = await self._cache.load(span.start, last)
        account = read_filter(query).account
        key = ("explain", self._cache.version, last, account)
        if key not in self._answers:
            known = {
                (trunk["account"], trunk["id"]): (trunk["name"] or trunk["id"], trunk["provider"])
                for trunk in await self._reader.trunks()
            }
            found = await asyncio.to_thread(
                partial(explain_week, hours, span, known, account=account, seed=0)
            )
            self._keep(
                key,
                {"verdict": found.verdict, "summary": found.summary, "evidence": found.evidence},
            )
        return self._answers[key]

    def _keep(self, key: object, answer: Json) -> None:
        self._answers[key] = answer
        if len(self._answers) > _MOST_ANSWERS:
            self._answers.popitem(last=False)

    async def _figures(self, question: Question, hours: Any, comparable: bool) -> Json:
        answer, sums = await asyncio.to_thread(self._shape, question, hours, comparable)
        least, slow_hours = figures.slowest_from(sums, question.span, _SLOWEST)
        spans = [(moment(hour), moment(hour + 1)) for hour in slow_hours]
        slowest = await self._reader.slowest(question.wanted, spans, least, _SLOWEST)
        return {**answer, "slowest": [self._shown(call) for call in slowest]}

    def _shape(self, question: Question, hours: Any, comparable: bool) -> tuple[Json, Any]:
        span, wanted, limits = question.span, question.wanted, self._options.limits
        sums = figures.by_hour(hours, [*span.before, *span.hours], wanted)
        answer = {
            "since": span.first * 3600,
            "until": (span.last + 1) * 3600,
            "hours_compared": len(span.closed),
            "comparable": comparable,
            "tiles": figures.tiles(sums, span, limits, comparable=comparable),
            "series": figures.series(sums, span, limits),
            "trunks": figures.groups(hours, span, wanted, limits, by_trunk=True),
            "accounts": figures.groups(hours, span, wanted, limits, by_trunk=False),
        }
        return answer, sums

    async def _foot(self, states: Sequence[Json]) -> Json:
        syncs: dict[str, Json] = {
            name: {"account": name, **account.figures()} for name, account in self._accounts.items()
        }
        for state in states:
            name = state["account"]
            syncs.setdefault(name, {"account": name})
            syncs[name] |= {
                "complete_until": _text(state["watermark"]),
                "complete_since": _text(state["complete_since"]),
                "synced_at": _text(state["updated_at"]),
                "under_way": bool(state["under_way"]),
                "rows": state["walk_rows"],
            }
        return {"syncs": list(syncs.values()), **await self._workers()}

    async def _workers(self) -> Json:
        """Return how the workers' jobs stand, or why nobody knows."""
        if self._jobs is None:
            return {"jobs": None, "jobs_error": None}
        try:
            return {"jobs": await self._jobs(), "jobs_error": None}
        except TelepathError as error:
            return {"jobs": None, "jobs_error": str(error)}

    async def calls(self, query: Mapping[str, str]) -> Json:
        """Return the calls of a time, the newest first. Raises UsageError."""
        since, until = read_time(query, "since"), read_time(query, "until")
        rows = await self._reader.calls(
            read_filter(query), since, until, query.get("status") or None
        )
        shown = [self._shown(call) for call in rows[:MOST_CALLS]]
        return {"calls": shown, "more": len(rows) > MOST_CALLS}

    async def call(self, query: Mapping[str, str]) -> Json | None:
        """Return one call as it was synced, with the API's details of it; None: unknown id."""
        account, call_id = query.get("account", ""), query.get("id", "")
        row = await self._reader.call(account, call_id)
        if row is None:
            return None
        return {"call": self._shown(row), **await self._details(account, call_id, row)}

    async def _details(self, account: str, call_id: str, row: Json) -> Json:
        known = self._accounts.get(account)
        if known is None:
            return {"details": None, "why": "the key of this account is not known here"}
        try:
            details = await known.telepath.calls.get(call_id)
        except NotFoundError:
            return {"details": None, "why": "the API does not know this call any more"}
        except TelepathError as error:
            return {"details": None, "why": str(error)}
        return {"details": self._shown_details(details, row), "why": None}

    def _shown_details(self, details: CallDetails, row: Json) -> Json:
        shown = to_dict(details)
        wanted = ("disconnect_reason", "metrics", "turns", "timeline", "sip_trace")
        found = {name: shown.get(name) for name in wanted}
        if self._options.mask_numbers and found["sip_trace"]:
            found["sip_trace"] = mask_numbers(found["sip_trace"], *(row[name] for name in _PHONES))
        return found

    def _shown(self, call: Mapping[str, Any]) -> Json:
        shown = {
            name: _text(value) if isinstance(value, datetime) else value
            for name, value in call.items()
        }
        if self._options.mask_numbers:
            shown |= {name: mask_number(shown[name]) for name in _PHONES if name in shown}
        return shown


def _text(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="seconds")


def _covers(states: Sequence[Json], since: datetime) -> bool:
    """Whether every account is synced from `since` on, up to a minute."""
    begins = [state["complete_since"] for state in states if state["watermark"] is not None]
    return len(begins) == len(states) > 0 and all(
        begin is None or begin <= since + timedelta(minutes=1) for begin in begins
    )
