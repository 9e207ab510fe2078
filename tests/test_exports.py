"""The public names, exactly; and importing the package costs no extra."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
from types import ModuleType

import pytest

import telepath_async
from telepath_async import errors
from telepath_async.errors import TelepathError

CONTRACT = {
    "client": {"TelepathClient", "RetryPolicy", "Response", "RateLimit", "Limiter", "LocalLimiter"},
    "values": {"Secret", "UNSET"},
    "lists": {"Paginator", "Page", "Drift", "RejectedRow", "OddValue", "to_dict"},
    "trunks": {
        "Trunk", "TrunkMetrics", "TrunkStatus", "AIProvider", "SipCredentials", "TrunkSpec",
        "TrunkOutcome", "TrunkCreated", "TrunkExists", "TrunkFailed", "TrunkUnknown",
    },
    "calls": {
        "Call", "CallDetails", "CallDirection", "CallMetrics", "CallStatus", "Speaker",
        "TimelineEvent", "Turn",
    },
    "analytics": {"AnalyticsOverview"},
    "numbers": {"PhoneNumber", "Agent", "AccountConnection"},
    "events": {
        "Event", "CallStarted", "Throttled", "RequestStarted", "ResponseReceived", "RequestFailed",
        "RetryScheduled", "CallEnded",
    },
    "errors": {
        "TelepathError", "UsageError", "ClientClosedError", "TransportError", "ConnectionFailed",
        "ConnectionLost", "RequestTimeout", "OutcomeUnknown", "ThrottledError", "ResponseError",
        "PagingError", "APIError", "BadRequestError", "AuthenticationError",
        "ProviderCredentialsError", "PermissionDeniedError", "NotFoundError", "ConflictError",
        "RateLimitError", "ServerError",
    },
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert sorted(telepath_async.__all__) == sorted(
        name for names in CONTRACT.values() for name in names
    )


def test_nothing_else_looks_public() -> None:
    values = {name: getattr(telepath_async, name) for name in dir(telepath_async)}
    public = {
        name
        for name, value in values.items()
        if name[0] != "_" and not isinstance(value, ModuleType)
    }
    assert public == set(telepath_async.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'telepath_async' has no attribute 'Client'"):
        telepath_async.Client  # noqa: B018


def test_what_brings_aiohttp_is_imported_when_it_is_first_asked_for() -> None:
    code = """
import sys
import telepath_async
assert "aiohttp" not in sys.modules
from telepath_async import *
assert TelepathClient is telepath_async.client.TelepathClient
assert Page is telepath_async.paginator.Page and Paginator is telepath_async.paginator.Paginator
assert vars(telepath_async)["TelepathClient"] is TelepathClient
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_every_error_is_public() -> None:
    kinds = {
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, TelepathError)
    }
    assert kinds == CONTRACT["errors"]


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """What a fresh interpreter has loaded after importing the client."""
    program = (
        "import sys, json; from telepath_async import TelepathClient; "
        "print(json.dumps(list(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    return set(json.loads(run.stdout))


def test_importing_the_package_imports_no_extra_and_no_test_tool(loaded: set[str]) -> None:
    needed = importlib.metadata.requires("telepath-async") or []
    extras = {
        re.split(r"[^\w.-]", line)[0].replace("-", "_") for line in needed if "extra ==" in line
    }
    extras.discard("typing_extensions")  # the core's own dependencies import it
    assert (
        loaded
        & (
            extras
            | {"rich", "pytest", "hypothesis", "aioresponses", "cattrs", "orjson", "opentelemetry"}
        )
        == set()
    )


def test_importing_the_package_imports_no_edge_of_it(loaded: set[str]) -> None:
    edges = (
        "sandbox", "pytest_plugin", "demo", "sync", "dlt", "jobs", "export", "otel", "cli", "redis",
        "worker",
    )  # fmt: skip
    assert loaded & {f"telepath_async.{edge}" for edge in edges} == set()


@pytest.mark.parametrize(
    ("edge", "missing", "said"),
    [
        ("redis", "redis", r'needs redis.*: pip install "telepath-async\[redis\]"'),
        ("worker", "saq", r'needs saq: pip install "telepath-async\[jobs\]"'),
        ("dlt", "dlt", r'pip install "telepath-async\[dlt\]"'),
        ("insights", "telepath_async.insights.run", r"telepath-async\[sync\]"),
    ],
)
def test_an_edge_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, edge: str, missing: str, said: str
) -> None:
    edge = f"telepath_async.{edge}"
    for name in [name for name in sys.modules if name.startswith(edge)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=said):
        importlib.import_module(edge)
