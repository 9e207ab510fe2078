"""Who may import whom: the table, and the imports of every file held against it.

A file belongs to the room with the longest name that fits. What it imports is named in full:
`telepath_async` is the public face, `telepath_async.errors` the room `errors`. A room may always
import itself.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[1] / "telepath_async"
PUBLIC_FACE: Final = "telepath_async"
STDLIB: Final = "the standard library"
PURE_STDLIB: Final = "the standard library without clocks, randomness and I/O"

IMPURE: Final = {
    "asyncio", "concurrent", "http", "io", "logging", "os", "pathlib", "random", "secrets",
    "select", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time",
}  # fmt: skip

ROOMS: Final[dict[str, set[str]]] = {
    "errors": {PURE_STDLIB},
    "secret": {PURE_STDLIB},
    "unset": {PURE_STDLIB},
    "version": set(),
    "checks": {STDLIB, "aiohttp", "errors", "secret"},
    "base_url": {STDLIB, "attrs", "yarl", "checks", "errors", "secret"},
    "spans": {PURE_STDLIB, "errors"},
    "events": {PURE_STDLIB, "attrs"},
    "models": {PURE_STDLIB, "attrs", "pydantic", "pydantic_core", "secret"},
    "protocol": {
        PURE_STDLIB, "attrs", "cattrs", "msgspec", "yarl", "models", "errors", "secret", "unset",
        "checks",
    },
    "deadlines": {STDLIB},
    "reuse": {STDLIB, "aiohttp"},
    "failures": {STDLIB, "aiohttp", "protocol.messages", "protocol.redaction", "errors", "secret"},
    "slots": {STDLIB, "aiohttp", "limiter"},
    "transport": {
        STDLIB, "aiohttp", "yarl", "attrs", "protocol.messages", "protocol.body",
        "protocol.encoding", "deadlines", "failures", "reuse", "errors", "secret", "version",
    },
    "waiters": {STDLIB},
    "limiter": {
        STDLIB, "protocol.ratelimit", "protocol.token_bucket", "waiters", "errors", "checks",
    },
    "in_flight": {STDLIB, "errors"},
    "session_holder": {STDLIB, "aiohttp", "in_flight", "transport", "slots", "errors"},
    "key_state": {STDLIB, "attrs", "protocol", "transport", "limiter"},
    "emitter": {STDLIB, "protocol", "session_holder", "events", "secret"},
    "session": {
        STDLIB, "attrs", "protocol", "transport", "key_state", "limiter", "slots",
        "session_holder", "emitter", "errors", "events", "secret",
    },
    "walk": {STDLIB, "attrs", "session_holder", "protocol", "errors"},
    "paginator": {STDLIB, "attrs", "walk", "protocol", "errors"},
    "resources": {
        STDLIB, "attrs", "session", "session_holder", "paginator", "walk", "models", "errors",
        "secret", "unset", "checks", "protocol.messages", "protocol.url", "protocol.body",
        "protocol.redaction",
        "protocol.answers", "protocol.doubt", "protocol.checkpoint", "protocol.paging",
        "protocol.dates", "protocol.recent_ids",
    },
    "log": {STDLIB, "attrs", "errors", "events"},
    "client": {
        STDLIB, "aiohttp", "yarl", "attrs", "models", "protocol", "transport", "limiter",
        "session_holder", "key_state", "emitter", "session", "paginator", "resources", "errors",
        "events", "base_url", "checks", "secret", "unset", "log",
    },
    "__init__": {
        PURE_STDLIB, "client", "errors", "events", "limiter", "models", "paginator", "protocol",
        "resources", "secret", "unset", "version",
    },
    "sandbox": {STDLIB, "aiohttp", "attrs"},
    # What the edges that keep call history share.
    "columns": {PURE_STDLIB},
    "coverage": {PURE_STDLIB, "attrs", "columns", "protocol.url"},
    "sync": {
        STDLIB, "attrs", "sqlalchemy", "asyncpg", PUBLIC_FACE, "checks", "columns", "coverage",
        "protocol.redaction",
    },
    "dlt": {
        STDLIB, "attrs", PUBLIC_FACE, "checks", "columns", "coverage", "protocol.redaction",
    },
    "jobs": {STDLIB, "attrs", "cattrs", PUBLIC_FACE, "protocol.strict", "checks", "spans"},
    "otel": {STDLIB, "attrs", "opentelemetry", PUBLIC_FACE},
    "demo": {STDLIB, "attrs", "rich", PUBLIC_FACE, "sandbox", "sync"},
    "cli": {
        STDLIB, "attrs", "msgspec", "rich", "typer", "yaml", PUBLIC_FACE, "version",
        "dashboard", "demo", "export", "insights", "jobs", "models.plain", "sandbox", "sync",
        "worker", "checks",
        "protocol.redaction", "spans",
    },
    "dashboard": {
        STDLIB, "aiohttp", "attrs", "sqlalchemy", "yarl", PUBLIC_FACE, "insights", "sync",
        "protocol.redaction",
    },
    "insights": {STDLIB, "attrs", "sqlalchemy", PUBLIC_FACE, "sync", "checks"},
    "export": {STDLIB, "attrs", "pyarrow", PUBLIC_FACE, "checks", "columns"},
    "worker": {
        STDLIB, "aiohttp", "attrs", "cattrs", "croniter", "prometheus_client", "psycopg",
        "psycopg_pool", "redis", "saq", PUBLIC_FACE, "checks", "jobs", "otel", "sync",
        "protocol.redaction", "protocol.strict", "spans",
    },
    # A limiter of the core that stands outside of it: it counts by the core's own arithmetic.
    "redis": {
        STDLIB, "attrs", "redis", PUBLIC_FACE, "checks", "protocol.ratelimit",
        "protocol.token_bucket",
        "protocol.redaction",
    },
    "redis.member": {
        PURE_STDLIB, "attrs", PUBLIC_FACE, "protocol.ratelimit", "protocol.token_bucket",
        "redis.fallback", "redis.lease",
        "redis.link", "redis.messages", "redis.report", "redis.shares", "redis.times",
    },
    "redis.fallback": {PURE_STDLIB, "attrs", "protocol.token_bucket", "redis.times"},
    "redis.lease": {PURE_STDLIB, "attrs", "protocol.token_bucket", "redis.times"},
    "redis.link": {PURE_STDLIB, "attrs", "redis.messages", "redis.times"},
    "redis.messages": {PURE_STDLIB, "attrs"},
    "redis.report": {PURE_STDLIB, "attrs", PUBLIC_FACE, "redis.messages"},
    "redis.times": {PURE_STDLIB},
    "redis.shares": {PURE_STDLIB, "attrs", PUBLIC_FACE, "protocol.token_bucket", "checks"},
    "pytest_plugin": {STDLIB, "pytest", "pytest_asyncio", PUBLIC_FACE, "sandbox"},
}  # fmt: skip

MODULES: Final = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def longest(module: str, names: Iterable[str]) -> str | None:
    """Return the longest of `names` that is `module` or a package around it."""
    fitting = [name for name in names if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def imports(module: str, source: str) -> set[str]:
    """Return what a module imports.

    Ours stand without the package's name (the public face as it is), others in full.
    """
    package = [PUBLIC_FACE, *module.split(".")[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            stem = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*stem, *([node.module] if node.module else [])])
            found |= {_submodule(origin, alias.name) for alias in node.names}
    return {name.removeprefix(f"{PUBLIC_FACE}.") for name in found}


def _submodule(origin: str, name: str) -> str:
    full = f"{origin}.{name}"
    inside = full.removeprefix(f"{PUBLIC_FACE}.")
    is_module = inside in MODULES or f"{inside}.__init__" in MODULES
    return full if is_module else origin


def violations(module: str, source: str) -> list[str]:
    """Return what the table does not allow, a line each."""
    room = longest(module, set(ROOMS))
    if room is None:
        return [f"{module} belongs to no room: give it one in the table"]
    return [
        f"{module} ({room}) must not import {name}"
        for name in sorted(imports(module, source))
        if not allowed(room, name)
    ]


def allowed(room: str, name: str) -> bool:
    """Whether the table lets `room` import `name`."""
    top = name.partition(".")[0]
    ours = name == PUBLIC_FACE or longest(name, set(ROOMS)) is not None
    if top in sys.stdlib_module_names and not ours:
        return (
            STDLIB in ROOMS[room]
            or top == "__future__"
            or (PURE_STDLIB in ROOMS[room] and top not in IMPURE)
        )
    return longest(name, ROOMS[room] | {room}) is not None


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_what_its_room_may(module: str) -> None:
    assert violations(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_of_the_table_exists(room: str) -> None:
    assert longest(
        room, {name for module in MODULES for name in (module, module.partition(".")[0])}
    )


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        ("models.trunks", "from ..protocol.messages import Response", "protocol.messages"),
        ("models.trunks", "from ..protocol import messages", "protocol.messages"),
        ("models.trunks", "from .. import transport", "transport"),
        ("models.trunks", "import msgspec", "msgspec"),
        ("errors", "from .secret import Secret", "secret"),
        ("protocol.retry", "import time", "time"),
        ("protocol.retry", "def f():\n    from random import random", "random"),
        ("protocol.messages", "import telepath_async.session", "session"),
        ("protocol.messages", "from telepath_async import Secret", "telepath_async"),
        ("transport", "from .protocol.retry import decide", "protocol.retry"),
        ("limiter", "import aiohttp", "aiohttp"),
        ("session", "from .resources.trunks import Trunks", "resources.trunks"),
        ("resources.calls", "from ..transport import send", "transport"),
        ("resources.calls", "from aiohttp import web", "aiohttp"),
        ("sandbox.server", "from ..errors import UsageError", "errors"),
        ("sandbox.server", "import telepath_async", "telepath_async"),
        ("redis.member", "import time", "time"),
        ("redis.limiter", "from telepath_async.limiter import LocalLimiter", "limiter"),
        ("jobs.rotation", "from redis.asyncio import Redis", "redis.asyncio"),
        ("demo", "from telepath_async.session import Session", "session"),
        ("pytest_plugin", "from .client import TelepathClient", "client"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str, culprit: str) -> None:
    (line,) = violations(module, source)
    assert line.endswith(f"must not import {culprit}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "from __future__ import annotations"),
        ("models.trunks", "from .fields import wire\nfrom ..secret import Secret"),
        ("protocol.messages", "from . import body\nfrom datetime import UTC\nimport msgspec.json"),
        ("sandbox.server", "from . import timestamps\nimport asyncio\nfrom aiohttp import web"),
        ("session", "from . import transport"),
        (
            "demo",
            "from telepath_async import TelepathClient\n"
            "from telepath_async.sandbox import Sandbox\nimport rich.table",
        ),
        ("pytest_plugin", "from . import TelepathClient"),
    ],
)
def test_an_allowed_import_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_file_without_a_room_is_found() -> None:
    assert violations("helpers", "") == ["helpers belongs to no room: give it one in the table"]
