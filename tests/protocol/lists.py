"""Lists that change between two requests, in three orders, and servers that page them."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, Literal

from attrs import Factory, define, evolve, field, frozen

from telepath_async.protocol.answers import ListBody
from telepath_async.protocol.checkpoint import Checkpoint, read_checkpoints
from telepath_async.protocol.paging import Paging, Plan

Order = Literal["newest first", "oldest first", "by name"]
Change = Callable[[list[str]], object]
ORDERS: Final[tuple[Order, ...]] = ("newest first", "oldest first", "by name")
FACTS: Final = frozenset(("total", "limit", "offset"))


@frozen
class Item:
    """A row: all that the machine needs of one."""

    id: str


def plan(start: Checkpoint | None = None, **options: Any) -> Plan[Item]:
    """Return a plan of a list of calls."""
    return Plan(of="calls", start=start or Checkpoint(of="calls"), **options)


@define
class ChangingList:
    """`size` rows, in the order of their keys; a new one comes first, last or anywhere."""

    order: Order
    size: int
    keys: list[Fraction] = Factory(list)
    born: int = 0

    def __attrs_post_init__(self) -> None:
        self.born = self.size
        self.keys = [Fraction(place) for place in range(self.size)]

    @property
    def ids(self) -> list[str]:
        return [str(key) for key in self.keys]

    def insert(self, place: int, count: int = 1) -> None:
        """Insert rows; `place` counts where the list is ordered by name."""
        for _ in range(count):
            self.born += 1
            at = {"newest first": 0, "oldest first": len(self.keys)}.get(
                self.order, min(place, len(self.keys))
            )
            low = self.keys[at - 1] if at else Fraction(-self.born)
            high = self.keys[at] if at < len(self.keys) else Fraction(2 * self.born)
            # No key comes twice, even where its neighbours were deleted.
            self.keys.insert(at, low + (high - low) * Fraction(self.born, 2 * self.born + 1))

    def delete(self, place: int, count: int = 1) -> set[str]:
        """Delete rows from a place on; return their ids."""
        gone = {str(key) for key in self.keys[place : place + count]}
        del self.keys[place : place + count]
        return gone

    def swap(self, chance: random.Random, most: int) -> set[str]:
        """Delete some rows at random and insert as many, so that the total stays as it is."""
        count = chance.randint(1, most)
        gone = [self.delete(chance.randrange(len(self.keys))) for _ in range(count) if self.keys]
        for _ in range(count):
            self.insert(chance.randint(0, len(self.keys)))
        return set().union(*gone)


@define
class ListServer:
    """Serves a list in pages of at most `cap` rows, by offset or after a key; says the `facts`."""

    rows: ChangingList
    style: str = "offset"
    cap: int = 100
    facts: frozenset[str] = FACTS
    pages: list[list[str]] = Factory(list)

    def __call__(self, query: dict[str, str]) -> ListBody[Any]:
        limit = min(int(query["limit"]), self.cap)
        if self.style == "cursor":
            return self._after(query.get("cursor"), limit)
        offset = int(query.get("offset", "0"))
        ids = self.rows.ids[offset : offset + limit]
        self.pages.append(ids)
        facts = {"total": len(self.rows.keys), "limit": limit, "offset": offset}
        return ListBody(
            rows=[Item(row_id) for row_id in ids],
            paged_by_cursor=False,
            **{name: facts[name] for name in self.facts},
        )

    def _after(self, cursor: str | None, limit: int) -> ListBody[Any]:
        keys = [key for key in self.rows.keys if cursor is None or key > Fraction(cursor)]
        page, rest = keys[:limit], keys[limit:]
        return ListBody(
            rows=[Item(str(key)) for key in page],
            paged_by_cursor=True,
            next_cursor=str(page[-1]) if rest else None,
        )

    @property
    def stuttered(self) -> bool:
        """Whether changes happened to bring the same page at three offsets in a row."""
        last = self.pages[-3:]
        return len(last) == 3 and last[0] == last[1] == last[2]


@define
class Walk:
    """What a paginator does: asks for pages, and keeps one that does not join for one more try."""

    paging: Paging[Item]
    server: Any
    requests: int = 0
    early: dict[Any, ListBody[Any]] = Factory(dict)

    def step(self) -> bool:
        """Receive the next page; return whether it was accepted."""
        query = self.paging.upcoming(1)[0]
        kept = self.early.pop(query, None)
        self.requests += kept is None
        body = self.server(dict(query)) if kept is None else kept
        received = self.paging.receive(body)
        if not received and kept is None and body.rows:
            self.early[query] = body
        elif received and not set(self.paging.upcoming(1)) <= self.early.keys():
            self.early.clear()
        return received


@define
class OffsetServer:
    """Pages of at most `cap` rows; says the `facts`, some of them wrong (`lies`).

    `before`: what happens to the list before the nth request, from 1.
    """

    rows: list[str]
    cap: int = 100
    facts: frozenset[str] = field(default=FACTS, converter=frozenset)
    before: dict[int, Change] = Factory(dict)
    lies: dict[str, Any] = Factory(dict)
    queries: list[dict[str, str]] = Factory(list)

    def __call__(self, query: dict[str, str]) -> ListBody[Any]:
        self.queries.append(query)
        self.before.get(len(self.queries), len)(self.rows)
        offset, limit = int(query.get("offset", "0")), min(int(query["limit"]), self.cap)
        facts = {"total": len(self.rows), "limit": limit, "offset": offset} | self.lies
        return ListBody(
            rows=items(*self.rows[offset : offset + limit]),
            paged_by_cursor=False,
            **{name: facts[name] for name in self.facts},
        )

    @property
    def offsets(self) -> list[int]:
        return [int(query.get("offset", "0")) for query in self.queries]


def items(*ids: object) -> list[Item]:
    """Return rows with these ids."""
    return [Item(str(row_id)) for row_id in ids]


def numbered(count: int) -> list[str]:
    """Return as many ids."""
    return [str(number) for number in range(count)]


def drop(first: int, count: int) -> Change:
    """Return the change that deletes rows."""

    def change(rows: list[str]) -> None:
        del rows[first : first + count]

    return change


def put(place: int, *ids: str) -> Change:
    """Return the change that inserts rows."""

    def change(rows: list[str]) -> None:
        rows[place:place] = ids

    return change


def both(*changes: Change) -> Change:
    """Return the change that makes all of these."""

    def change(rows: list[str]) -> None:
        for one in changes:
            one(rows)

    return change


def ask(paging: Paging[Item], server: Callable[[dict[str, str]], ListBody[Any]]) -> bool:
    """Receive the next page; return whether it was accepted."""
    return paging.receive(server(dict(paging.upcoming(1)[0])))


def taken(paging: Paging[Item]) -> list[str]:
    """Take all rows in hand; return their ids."""
    return [row.id for row in iter(paging.take, None)]


def walk(
    paging: Paging[Item], server: Callable[[dict[str, str]], ListBody[Any]], most: int = 500
) -> list[str]:
    """Take all rows of the list; return their ids."""
    walking, ids = Walk(paging, server), taken(paging)
    for _ in range(most):
        if paging.done:
            return ids
        walking.step()
        ids += taken(paging)
    raise AssertionError(f"no end after {most} requests")


def resumed(paging: Paging[Item], **options: Any) -> Paging[Item]:
    """Return a walk from the checkpoint of this one."""
    (start,) = read_checkpoints(paging.checkpoint.text(), of="calls", filters={})
    return Paging(evolve(paging.plan, start=start, **options))
