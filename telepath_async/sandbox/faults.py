"""Scripted faults: what `Sandbox.fail_next` may do, and the queue that hands them out."""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import attrs

Drop = Literal["before", "after", "middle"]
Body = bytes | str | Mapping[str, Any]


@attrs.define
class Fault:
    """One scripted fault; `times` counts down to 0. The fields are those of `Sandbox.fail_next`."""

    status: int | None
    drop: Drop | None
    delay: float
    times: int
    method: str | None
    path: str | None
    headers: Mapping[str, str]
    body: bytes | None
    executed: bool

    def matches(self, method: str, segments: tuple[str, ...]) -> bool:
        """True when the fault is meant for a request of this method and these path segments."""
        return self.method in (None, method) and (
            self.path is None or _same_path(self.path, segments)
        )

    @property
    def executes(self) -> bool:
        """True when the request takes effect all the same."""
        return self.drop != "before" if self.status is None else self.executed


def make_fault(
    *,
    status: int | None,
    drop: Drop | None,
    delay: float,
    times: int,
    method: str | None,
    path: str | None,
    headers: Mapping[str, str] | None,
    body: Body | None,
    executed: bool,
) -> Fault:
    """Check the options of `Sandbox.fail_next`.

    Raises ValueError for those that make no sense (together).
    """
    _check_kind(status, drop, delay)
    if status is None and (headers or body is not None or executed):
        raise ValueError("headers, body and executed need a status")
    if times < 1:
        raise ValueError(f"times must be 1 or more, not {times}")
    if path is not None and (not path.startswith("/") or path.startswith("/v1/")):
        raise ValueError(f"path must be relative to /v1, such as '/trunks', not {path!r}")
    method = method.upper() if method else None
    return Fault(status, drop, delay, times, method, path, headers or {}, _encoded(body), executed)


def _check_kind(status: int | None, drop: Drop | None, delay: float) -> None:
    if status is not None and drop is not None:
        raise ValueError("a fault answers with a status or drops the connection, not both")
    if status is not None and not 200 <= status <= 599:
        raise ValueError(f"status must be between 200 and 599, not {status}")
    if drop is not None and drop not in get_args(Drop):
        raise ValueError(f"drop must be one of {', '.join(get_args(Drop))}, not {drop!r}")
    if not 0 <= delay < math.inf:
        raise ValueError(f"delay must be a number of seconds, 0 or more, not {delay}")
    if status is None and drop is None and not delay:
        raise ValueError("a fault needs a status, a drop or a delay")


def _encoded(body: Body | None) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def _same_path(template: str, segments: tuple[str, ...]) -> bool:
    wanted = template[1:].split("/")
    return len(wanted) == len(segments) and all(
        want == segment or want.startswith("{")
        for want, segment in zip(wanted, segments, strict=True)
    )


class FaultQueue:
    """Faults in the order scripted; a request takes the first that matches it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append a fault."""
        self._faults.append(fault)

    def take(self, method: str, segments: tuple[str, ...]) -> Fault | None:
        """Use up one turn of the first fault that matches, or return None."""
        for fault in self._faults:
            if fault.matches(method, segments):
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                return fault
        return None
