"""The call log: made-up calls, and what tests add to, change in and take from them."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from .generation import CallGenerator, Sketch
from .selection import Selection, row_key, serial_of
from .timestamps import iso, now, unix

Call = dict[str, Any]
Filter = tuple[str | None, str | None, str | None]
T = TypeVar("T")

_MOST_REMEMBERED = 256

# `from` cannot be a keyword argument.
_SPELLINGS = {"from_number": "from", "to_number": "to"}


class CallLog(Mapping[str, Call]):
    """All calls by id, newest first.

    Each call is a fresh dict in the API's own terms, times as ISO 8601 text.
    """

    def __init__(self, generator: CallGenerator) -> None:
        self._generator = generator
        self._keys = array(
            "Q", (row_key(start, serial) for serial, start in enumerate(generator.starts))
        )
        self._edited: dict[int, Call] = {}
        self._serials: dict[str, int] = {}
        self._filters: dict[Filter, array[int]] = {}
        self._remembered: dict[object, Any] = {}

    def __getitem__(self, call_id: str) -> Call:
        return self._call(self._serial(call_id))

    def __iter__(self) -> Iterator[str]:
        return (self.at(key)["id"] for key in self._keys[::-1])

    def __len__(self) -> int:
        return len(self._keys)

    def at(self, key: int) -> Call:
        """Return the call of a row."""
        return self._call(serial_of(key))

    def name_of(self, key: int) -> str:
        """Return the id that a row's call was made with; the row need not exist any more."""
        return self._generator.id_of(serial_of(key))

    def sketch(self, key: int) -> Sketch:
        """Return what filters and averages need of a row's call."""
        serial = serial_of(key)
        edited = self._edited.get(serial)
        return (
            Sketch(*(edited[name] for name in Sketch._fields))
            if edited
            else self._generator.sketch(serial)
        )

    def select(self, trunk_id: str | None, status: str | None, direction: str | None) -> Selection:
        """Return the calls that match all of the filters given."""
        if trunk_id is status is direction is None:
            return Selection.of(self._keys)
        wanted = (trunk_id, status, direction)
        return Selection.of(_once(self._filters, wanted, lambda: self._filtered(wanted)))

    def remember(self, question: object, answer: Callable[[], T]) -> T:
        """Return `answer()`, computed once until the log changes."""
        return _once(self._remembered, question, answer)

    def add(self, **fields: Any) -> Call:
        """Add a call; what is not given is made up, and it starts now.

        Raises ValueError for an id that exists.
        """
        fields = _wire_names(fields)
        start = unix(fields["start_time"]) if "start_time" in fields else now()
        row_key(start, 0)
        if "id" in fields and fields["id"] in self:
            raise ValueError(f"there is a call {fields['id']!r} already")
        serial = self._generator.add(int(start))
        call = self._generator.call(serial) | fields
        if "end_time" not in fields:
            call["end_time"] = iso(int(start) + (call["duration_seconds"] or 0))
        self._put(serial, call)
        return dict(call)

    def arrive(self, end: int) -> None:
        """Let a made-up call come that ended at `end` (Unix seconds)."""
        self._insert(self._generator.add_ended(end))

    def update(self, call_id: str, **fields: Any) -> Call:
        """Change just these fields of a call. Raises KeyError for an unknown id."""
        serial = self._serial(call_id)
        call = self._call(serial) | _wire_names(fields)
        row_key(unix(call["start_time"]), serial)
        self.remove(call_id)
        self._put(serial, call)
        return dict(call)

    def remove(self, call_id: str) -> None:
        """Take a call out. Raises KeyError for an unknown id."""
        serial = self._serial(call_id)
        key = self._key(serial)
        for keys in (self._keys, *self._filters.values()):
            if _holds(keys, key):
                del keys[bisect_left(keys, key)]
        self._edited.pop(serial, None)
        self._serials.pop(call_id, None)
        self._remembered.clear()

    def _put(self, serial: int, call: Call) -> None:
        self._edited[serial] = call
        self._serials[call["id"]] = serial
        self._insert(serial)

    def _insert(self, serial: int) -> None:
        key = self._key(serial)
        insort(self._keys, key)
        for wanted, keys in self._filters.items():
            if self._matches(key, wanted):
                insort(keys, key)
        self._remembered.clear()

    def _key(self, serial: int) -> int:
        edited = self._edited.get(serial)
        return row_key(
            unix(edited["start_time"]) if edited else self._generator.starts[serial], serial
        )

    def _call(self, serial: int) -> Call:
        edited = self._edited.get(serial)
        return dict(edited) if edited else self._generator.call(serial)

    def _serial(self, call_id: str) -> int:
        """Find a call: an edited one by its name, any other by the serial inside its id."""
        if call_id in self._serials:
            return self._serials[call_id]
        serial = self._generator.serial_of(call_id)
        if serial is None or serial in self._edited or not _holds(self._keys, self._key(serial)):
            raise KeyError(call_id)
        return serial

    def _filtered(self, wanted: Filter) -> "array[int]":
        return array("Q", (key for key in self._keys if self._matches(key, wanted)))

    def _matches(self, key: int, wanted: Filter) -> bool:
        trunk_id, status, direction = wanted
        sketch = self.sketch(key)
        return (
            (trunk_id is None or trunk_id == sketch.trunk_id)
            and (status is None or status == sketch.status)
            and (direction is None or direction == sketch.direction)
        )


def _once(memory: dict[Any, Any], question: object, answer: Callable[[], T]) -> T:
    """Return the answer in `memory`, computed where it is missing; a full memory forgets all."""
    if question not in memory:
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()
        memory[question] = answer()
    kept: T = memory[question]
    return kept


def _holds(keys: "array[int]", key: int) -> bool:
    index = bisect_left(keys, key)
    return index < len(keys) and keys[index] == key


def _wire_names(fields: dict[str, Any]) -> dict[str, Any]:
    return {_SPELLINGS.get(name, name): value for name, value in fields.items()}
