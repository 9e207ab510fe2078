"""A limiter that lets everything through and writes down in which lane it came."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field


@define
class Lanes:
    """`seen`: the priority of each request."""

    seen: list[str] = field(factory=list)

    async def acquire(
        self, *, priority: str = "interactive", max_wait: float | None = None
    ) -> float:
        self.seen.append(priority)
        return 0.0

    def observe(self, headers: Mapping[str, str]) -> None: ...

    def bind(self, key_id: str) -> None: ...
