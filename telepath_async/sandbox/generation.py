"""Made-up calls: each is computed from one 64-bit random word, when it is asked for.

So a million calls cost 12 bytes each and less than a second. What can be done to calls lives in
`calls.py`.
"""

import math
import random
from array import array
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import attrs

from .timestamps import iso

PERIOD_SECONDS = 30 * 86_400
LONGEST_SECONDS = (
    15 * 60
)  # calls start at least this long ago, so that every record is of a finished call
_STATUS_WEIGHTS = (226, 15, 15)  # of 256: good, broken off, failed; the order of `Names.statuses`
_STATUS_OF_BYTE = tuple(
    index for index, weight in enumerate(_STATUS_WEIGHTS) for _ in range(weight)
)
_FAILED = 2


def _log_normal(median: float, sigma: float) -> tuple[int, ...]:
    """Return 1024 quantiles, so that ten random bits pick a value."""
    normal = NormalDist(math.log(median), sigma)
    return tuple(round(math.exp(normal.inv_cdf((step + 0.5) / 1024))) for step in range(1024))


_DURATION = tuple(min(seconds, LONGEST_SECONDS) for seconds in _log_normal(140, 0.8))
_CARRIER_MS = _log_normal(60, 0.35)
_AI_MS = _log_normal(250, 0.25)
_GATEWAY_MS = _log_normal(15, 0.3)


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
    trunk_ids: Sequence[str]
    numbers: Sequence[str]


class CallGenerator:
    """Compute call number `serial`.

    `starts` holds the start times in Unix seconds, ascending at first.
    """

    def __init__(self, rng: random.Random, count: int, now: int, names: Names) -> None:
        first = now - PERIOD_SECONDS
        spread = PERIOD_SECONDS - LONGEST_SECONDS
        moments = sorted(array("I", rng.randbytes(4 * count)))
        self.starts = array("I", (first + (moment * spread >> 32) for moment in moments))
        self._words = array("Q", rng.randbytes(8 * count))
        self._rng = rng
        self._names = names
        self._id_shift = rng.getrandbits(40)

    def add(self, start: int) -> int:
        """Make one more call up; return its serial."""
        self.starts.append(start)
        self._words.append(self._rng.getrandbits(64))
        return len(self.starts) - 1

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
        status = _STATUS_OF_BYTE[word & 255]
        return Sketch(
            names.trunk_ids[(word >> 49) * len(names.trunk_ids) >> 15],
            names.statuses[status],
            "inbound" if word & 256 else "outbound",
            0 if status == _FAILED else _DURATION[word >> 9 & 1023],
            _CARRIER_MS[word >> 19 & 1023],
            _AI_MS[word >> 29 & 1023],
            _GATEWAY_MS[word >> 39 & 1023],
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


_ID_MODULUS = 2**40
_ID_FACTOR = 0x9E3779B97F4B  # odd, so that it can be undone
_ID_INVERSE = pow(_ID_FACTOR, -1, _ID_MODULUS)
