"""Measure decoding alone, bytes into typed objects, against `orjson.loads` into dicts.

Pages and objects as the API's pages show them, pages with a field that the models do not know in
every row, and the exact way (cattrs), which such answers take as hold a value of another type.
"""

import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from time import process_time
from typing import Any
from unittest import mock

import orjson
from compare import QUICK, Table, goal
from server import details, page, trunk, trunks

from telepath_async import Response
from telepath_async.models.calls import Call, CallDetails
from telepath_async.models.fields import Model
from telepath_async.models.trunks import Trunk
from telepath_async.protocol import answers

ROUNDS = 15 if QUICK else 101
FLOOR = "orjson.loads, dicts"
QUICKLY, UNKNOWN, EXACTLY = "typed objects", "with an unknown field each", "the exact way (cattrs)"
PAGES: dict[str, tuple[type[Model], str, bytes]] = {
    "100 calls": (Call, "calls", page({"limit": "100"}, "offset", 100)),
    "100 trunks, seed 002": (Trunk, "trunks", trunks("offset", 0)),
    "100 trunks, seed 003": (Trunk, "trunks", trunks("cursor", 0)),
}
OBJECTS: dict[str, tuple[type[Model], bytes]] = {
    "one call": (CallDetails, details(7)),
    "one trunk, seed 002": (Trunk, trunk(7, "offset")),
    "one trunk, seed 003": (Trunk, b'{"data":%s}' % trunk(7, "cursor")),
}


def answer(body: bytes) -> Response:
    return Response(status=200, headers={}, body=body, endpoint="GET /x")


def with_unknown_field(body: bytes) -> bytes:
    return body.replace(b'"status"', b'"region":"eu","status"')


@contextmanager
def exact_way() -> Iterator[None]:
    none = {name: lambda *_: None for name in ("fast_object", "fast_list", "fast_rows")}
    with mock.patch.multiple(answers, **none):
        yield


def compare(title: str, items: int, contenders: dict[str, Callable[[], object]]) -> Table:
    """Let them take turns, by CPU time: no contender pays for the machine's other work."""
    table = Table(title, "CPU µs per item")
    times = max(4, 400 // items)
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            with exact_way() if name == EXACTLY else nullcontext():
                table.add(
                    name,
                    timeit.timeit(work, timer=process_time, number=times) / times / items * 1e6,
                )
    table.show()
    return table


def measure(
    name: str, items: int, body: bytes, read: Callable[[Response], Any], goals: dict[str, float]
) -> None:
    """Judge the three ways of one answer, each against the floor of the same bytes."""
    plain, unknown = answer(body), answer(with_unknown_field(body))
    table = compare(
        f"decode {name}",
        items,
        {
            FLOOR: lambda: orjson.loads(plain.body),
            QUICKLY: lambda: read(plain),
            EXACTLY: lambda: read(plain),
            f"{FLOOR}, {UNKNOWN}": lambda: orjson.loads(unknown.body),
            UNKNOWN: lambda: read(unknown),
        },
    )
    for contender, bound in goals.items():
        floor = f"{FLOOR}, {UNKNOWN}" if contender == UNKNOWN else FLOOR
        goal(f"decode {name}: {contender}", table.ratio(contender, floor), at_most=bound)


def main() -> None:
    for name, (model, key, body) in PAGES.items():
        read = lambda response, model=model, key=key: answers.read_list(model, key, response)  # noqa: E731
        assert len(read(answer(body)).rows) == 100
        assert [*read(answer(with_unknown_field(body))).rows[99].extra] == ["region"]
        typed = 1.6 if model is Call else 2.0
        measure(name, 100, body, read, {QUICKLY: typed, UNKNOWN: 3.0, EXACTLY: 9.0})
    for name, (model, body) in OBJECTS.items():
        read = lambda response, model=model: answers.read_object(model, response)  # noqa: E731
        assert isinstance(read(answer(body)), model)
        measure(name, 1, body, read, {QUICKLY: 1.6})


if __name__ == "__main__":
    main()
