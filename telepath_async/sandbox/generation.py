"""Made-up calls: each is computed from one 64-bit random word, when it is asked for.

So a million calls cost 12 bytes each and less than a second. What can be done to calls lives in
`calls.py`.
"""

import math
import random
from array import array
from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import Any, NamedTuple

import attrs

from .rhythm import start_times
from .timestamps import iso

_DAY_SECONDS = 86_400
_LONGEST_SECONDS = 15 * 60
_FAILED = 2
_SHARES = (0.36, 0.25, 0.17)  # of the calls, for the three oldest trunks; the others share the rest
_PICKS = 2**15


def _log_normal(median: float, sigma: float) -> tuple[int, ...]:
    """Return 1024 quantiles, so that ten random bits pick a value."""
    normal = NormalDist(math.log(median), sigma)
    return tuple(round(math.exp(normal.inv_cdf((step + 0.5) / 1024))) for step in range(1024))


_DURATION = tuple(min(seconds, _LONGEST_SECONDS) for seconds in _log_normal(140, 0.8))
_CARRIER_MS = _log_normal(60, 0.35)
_GATEWAY_MS = _log_normal(15, 0.3)


class _Provider(NamedTuple):
    """How the calls of one AI provider go: latencies, and of 256 how many end by which status."""

    ai_ms: tuple[int, ...]
    status_of_byte: tuple[int, ...]


def _provider(ai_ms: float, spread: float, broken_off: int, failed: int) -> _Provider:
    weights = (256 - broken_off - failed, broken_off, failed)  # the order of `Names.statuses`
    statuses = tuple(index for index, weight in enumerate(weights) for _ in range(weight))
    return _Provider(_log_normal(ai_ms, spread), statuses)


_PROVIDERS = {
    "openai": _provider(235, 0.24, 14, 11),
    "elevenlabs": _provider(262, 0.20, 12, 16),
    "custom": _provider(290, 0.34, 17, 24),
}


class Sketch(NamedTuple):
    """What filters and averages need of a call."""

    trunk_id: str
    status: str
    direction: str
    duration_seconds: int
    carrier_lag_ms: int
    ai_latency_ms: int
    gateway_processing_ms: int


@attrs.frozen
class Names:
    """The words that made-up calls use."""

    id_prefix: str
    statuses: tuple[str, str, str]
    trunks: Sequence[tuple[str, str]]  # ids and providers, the oldest first
    numbers: Sequence[str]


@attrs.frozen
class Incident:
    """One trunk's AI latency doubles from `since` to `until` (Unix seconds)."""

    trunk_id: str
    since: int
    until: int

    @classmethod
    def of_yesterday(cls, trunk_id: str, now: int) -> "Incident":
        """Return one of four busy hours, at most two days before `now`."""
        since = now - now % _DAY_SECONDS - 11 * 3600
        return cls(trunk_id, since, since + 4 * 3600)


class CallGenerator:
    """Compute call number `serial`.

    `starts` holds the start times in Unix seconds, ascending at first.
    """

    def __init__(
        self,
        rng: random.Random,
        count: int,
        now: int,
        names: Names,
        incident: Incident | None = None,
    ) -> None:
        self.starts = start_times(rng, count, now)
        self._words = array("Q", rng.randbytes(8 * count))
        self._rng = rng
        self._names = names
        self._incident = incident
        self._past, self._now = count, now
        self._id_shift = rng.getrandbits(40)

    def add(self, start: int) -> int:
        """Make one more call up; return its serial."""
        self.starts.append(start)
        self._words.append(self._rng.getrandbits(64))
        return len(self.starts) - 1

    def add_ended(self, end: int) -> int:
        """Make one more call up that ended at `end`; return its serial."""
        serial = self.add(end)
        self.starts[serial] -= self.sketch(serial).duration_seconds
        return serial

    def id_of(self, serial: int) -> str:
        """Return the call's id: the serial, scrambled."""
        return f"{self._names.id_prefix}{(serial * _ID_FACTOR + self._id_shift) % _ID_MODULUS:010x}"

    def serial_of(self, call_id: str) -> int | None:
        """Return the serial inside an id of ours, or None."""
        try:
            number = int(call_id.removeprefix(self._names.id_prefix), 16)
        except ValueError:
            return None
        serial = (number - self._id_shift) * _ID_INVERSE % _ID_MODULUS
        return serial if serial < len(self.starts) and self.id_of(serial) == call_id else None

    def sketch(self, serial: int) -> Sketch:
        """Return the part of a call that filters and averages need."""
        word, names = self._words[serial], self._names
        trunk_id, provider_name = names.trunks[_pick(word >> 49, len(names.trunks))]
        provider = _PROVIDERS[provider_name]
        status = provider.status_of_byte[word & 255]
        ai_ms = provider.ai_ms[word >> 29 & 1023]
        return Sketch(
            trunk_id,
            names.statuses[status],
            "inbound" if word & 256 else "outbound",
            0 if status == _FAILED else self._duration(serial, _DURATION[word >> 9 & 1023]),
            _CARRIER_MS[word >> 19 & 1023],
            2 * ai_ms if self._is_slow(trunk_id, self.starts[serial]) else ai_ms,
            _GATEWAY_MS[word >> 39 & 1023],
        )

    def _duration(self, serial: int, seconds: int) -> int:
        """Cut a call of the past short, so that it has ended."""
        return min(seconds, self._now - self.starts[serial]) if serial < self._past else seconds

    def _is_slow(self, trunk_id: str, start: int) -> bool:
        incident = self._incident
        return (
            incident is not None
            and incident.trunk_id == trunk_id
            and incident.since <= start < incident.until
        )

    def call(self, serial: int) -> dict[str, Any]:
        """Return the whole call."""
        sketch, start, word = self.sketch(serial), self.starts[serial], self._words[serial]
        line = self._names.numbers[(word >> 49) % len(self._names.numbers)]
        other = f"+1555{2_000_000 + word * _ID_FACTOR % 7_999_999}"
        inbound = sketch.direction == "inbound"
        return {
            "id": self.id_of(serial),
            "trunk_id": sketch.trunk_id,
            "from": other if inbound else line,
            "to": line if inbound else other,
            "direction": sketch.direction,
            "status": sketch.status,
            "duration_seconds": sketch.duration_seconds,
            "start_time": iso(start),
            "end_time": iso(start + sketch.duration_seconds),
            "carrier_lag_ms": sketch.carrier_lag_ms,
            "ai_latency_ms": sketch.ai_latency_ms,
            "gateway_processing_ms": sketch.gateway_processing_ms,
        }


def _pick(pick: int, count: int) -> int:
    """Return which of `count` trunks a pick of 15 bits means."""
    if count > len(_SHARES):
        for index, border in enumerate(_BORDERS):
            if pick < border:
                return index
        first, border = len(_SHARES), _BORDERS[-1]
        return first + (pick - border) * (count - first) // (_PICKS - border)
    return pick * count // _PICKS


_BORDERS = tuple(round(share * _PICKS) for share in accumulate(_SHARES))

_ID_MODULUS = 2**40
_ID_FACTOR = 0x9E3779B97F4B  # odd, so that it can be undone
_ID_INVERSE = pow(_ID_FACTOR, -1, _ID_MODULUS)
