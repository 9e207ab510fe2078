"""Measure decoding alone: 100 calls into typed objects, against `orjson.loads` into dicts."""

import timeit

import orjson
from compare import QUICK, Table, free_a_large_block, goal
from server import page

from telepath_async import Response
from telepath_async.models.calls import Call
from telepath_async.protocol.shapes import read_list

ROUNDS = 5 if QUICK else 21
TIMES = 50


def measure(title: str, body: bytes) -> float:
    response = Response(status=200, headers={}, body=body, endpoint="GET /calls")
    assert len(read_list(Call, "calls", response).rows) == 100
    contenders = {
        "orjson.loads, dicts": lambda: orjson.loads(body),
        "telepath_async, typed objects": lambda: read_list(Call, "calls", response),
    }
    table = Table(title, "µs per item")
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            table.add(name, timeit.timeit(work, number=TIMES) / TIMES / 100 * 1e6)
    table.show()
    return table.ratio("telepath_async, typed objects", "orjson.loads, dicts")


if __name__ == "__main__":
    free_a_large_block()
    plain = page({"limit": "100"}, "offset", 100)
    goal(
        "decode per item, against orjson.loads",
        measure("decode a page of 100 calls", plain),
        at_most=1.8,
    )
    unknown = plain.replace(b'"direction"', b'"region":"eu","direction"')
    goal(
        "the same, where every item holds an unknown field",
        measure("decode a page of 100 calls with an unknown field each", unknown),
        at_most=1.8,
    )
