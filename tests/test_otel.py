"""Test what a client's calls leave in OpenTelemetry, by its in-memory exporters."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, evolve, field
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode

from telepath_async import (
    APIError,
    CallEnded,
    CallStarted,
    ClientClosedError,
    ConnectionLost,
    Event,
    LocalLimiter,
    NotFoundError,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryPolicy,
    ServerError,
    TelepathClient,
    TelepathError,
    Throttled,
    ThrottledError,
    TrunkSpec,
    UsageError,
)
from telepath_async.jobs import (
    LatencyPoll,
    Threshold,
    poll_latency,
    provision_trunks,
    rotate_passwords,
)
from telepath_async.otel import Telemetry
from telepath_async.sandbox import Sandbox
from telepath_async.sync import sync_calls
from tests.support.hostile import HANG, RESET, Hostile, Step, redirect, reply
from tests.support.operations import BY_NAME, OPERATIONS, Operation, client_at, no_limit

UNSET, ERROR = StatusCode.UNSET, StatusCode.ERROR
CONVENTIONS = {
    http_attributes.HTTP_REQUEST_METHOD,
    http_attributes.HTTP_REQUEST_RESEND_COUNT,
    http_attributes.HTTP_RESPONSE_STATUS_CODE,
    server_attributes.SERVER_ADDRESS,
    server_attributes.SERVER_PORT,
    error_attributes.ERROR_TYPE,
}
BAD_WORDS = b'{"error": {"code": "seeded_code", "message": "seeded seeded_key seeded-password"}}'

EVENT = {"method": "GET", "template": "/trunks", "call": 1}
STARTED = CallStarted(**EVENT, attempt=0, base_url="https://api.telepathvoice.com/v1")
ENDED = CallEnded(**EVENT, attempt=3, seconds=9.0, status=200, error=None)


class OpenSpans(SpanProcessor):
    """Holds the spans that have begun and not ended."""

    def __init__(self) -> None:
        self.spans: set[int] = set()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.spans.add(context(span).span_id)

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.remove(context(span).span_id)


@define
class Watch:
    """A Telemetry, and what its exporters hold."""

    spans_held: InMemorySpanExporter = field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(factory=InMemoryMetricReader)
    tracers: TracerProvider = field(factory=lambda: TracerProvider(shutdown_on_exit=False))
    meters: MeterProvider = field(init=False)
    telemetry: Telemetry = field(init=False)
    open: OpenSpans = field(factory=OpenSpans)

    def __attrs_post_init__(self) -> None:
        self.tracers.add_span_processor(self.open)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_held))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.telemetry = self.another()

    def another(self, **options: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.tracers, meter_provider=self.meters, **options)

    def client(self, sandbox: Sandbox, **options: Any) -> TelepathClient:
        defaults = {
            "limiter": no_limit(),
            "retry": RetryPolicy(backoff=0.001),
            "on_event": self.telemetry,
        }
        return TelepathClient(sandbox.api_key, base_url=sandbox.base_url, **(defaults | options))

    @asynccontextmanager
    async def client_of(self, *steps: Step) -> AsyncIterator[TelepathClient]:
        """A client that tries once, of a server that plays these steps."""
        async with Hostile(steps) as server, client_at(server, on_event=self.telemetry) as client:
            yield client

    def under_a_span(self) -> Any:
        return self.tracers.get_tracer("user").start_as_current_span("user")

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:
        ended = sorted(self.spans_held.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span for span in ended if kind in (None, span.kind) and span.name != "user"]

    @property
    def calls(self) -> list[ReadableSpan]:
        return self.spans(SpanKind.INTERNAL)

    @property
    def attempts(self) -> list[ReadableSpan]:
        return self.spans(SpanKind.CLIENT)

    def points(self, name: str) -> list[Any]:
        """The data points of a metric, by its attributes as text."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data else []
        scopes = [scope for resource in resources for scope in resource.scope_metrics]
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]

    def counts(self, name: str, by: str) -> dict[Any, float]:
        return {point.attributes.get(by): point.value for point in self.points(name)}

    def seconds(self, name: str) -> dict[str | None, tuple[int, float]]:
        """How often, and how long in all, by `error.type`."""
        points = self.points(name)
        return {point.attributes.get("error.type"): (point.count, point.sum) for point in points}

    def everything(self) -> str:
        """All that would be exported, as text."""
        data = self.reader.get_metrics_data()
        spans = self.spans_held.get_finished_spans()
        return "\n".join([*(span.to_json() for span in spans), data.to_json() if data else ""])


@define
class Waits:
    """Report that each attempt waited so long, and after the last, not at all."""

    seconds: list[float]

    async def acquire(
        self, *, priority: str = "interactive", max_wait: float | None = None
    ) -> float:
        return self.seconds.pop(0) if self.seconds else 0.0

    def observe(self, headers: Mapping[str, str]) -> None: ...

    def bind(self, key_id: str) -> None: ...


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    assert not watch.open.spans  # whatever happened, every span that began has ended
    watch.tracers.shutdown()
    watch.meters.shutdown()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=25, calls=250) as sandbox:
        yield sandbox


@pytest.fixture
async def client(watch: Watch, sandbox: Sandbox) -> AsyncIterator[TelepathClient]:
    async with watch.client(sandbox) as client:
        yield client


def desks(number: int) -> list[TrunkSpec]:
    secrets = {"sip_password": "s3cur3P@ssw0rd!", "api_key": "sk-openai"}
    return [
        TrunkSpec.openai(f"Desk {n}", sip_username=f"desk-{n}", **secrets) for n in range(number)
    ]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def each(spans: Iterable[ReadableSpan], name: str) -> list[Any]:
    """The values of an attribute; None: the span has none."""
    return [attributes(span).get(name) for span in spans]


def ended(span: ReadableSpan) -> tuple[Any, StatusCode]:
    """How a span says that it ended."""
    return attributes(span).get("error.type"), span.status.status_code


def port(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def context(span: Any) -> Any:
    return span.get_span_context()


def only(items: list[Any]) -> Any:
    (item,) = items
    return item


# Spans.


async def test_a_call_stands_under_the_callers_span_and_its_attempt_under_the_call(
    watch: Watch, client: TelepathClient, sandbox: Sandbox
) -> None:
    with watch.under_a_span() as user:
        await client.calls.get(next(iter(sandbox.calls)))
    call, attempt = only(watch.calls), only(watch.attempts)
    assert parent(call) == context(user).span_id
    assert parent(attempt) == context(call).span_id
    assert {context(span).trace_id for span in (user, call, attempt)} == {context(user).trace_id}
    assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time
    for span in (call, attempt):
        assert span.instrumentation_scope.name == "telepath_async"
        assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.27.0"
        assert span.name == "GET /calls/{id}"
        assert span.status.status_code is UNSET
        assert attributes(span) == {
            "http.request.method": "GET",
            "url.template": "/calls/{id}",
            "server.address": "127.0.0.1",
            "server.port": port(sandbox.base_url),
            "http.response.status_code": 200,
        }


async def test_without_a_span_of_the_caller_a_call_begins_a_trace(
    watch: Watch, client: TelepathClient
) -> None:
    await client.analytics.overview()
    assert parent(only(watch.calls)) is None


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_is_another_attempt_of_the_same_call(
    watch: Watch, client: TelepathClient, sandbox: Sandbox, status: int
) -> None:
    sandbox.fail_next(status=status, times=2, headers={"Retry-After": "0"})
    await client.analytics.overview()
    call, attempts = only(watch.calls), watch.attempts
    assert [parent(span) for span in attempts] == [context(call).span_id] * 3
    assert each(attempts, "http.request.resend_count") == [None, 1, 2]
    assert each(attempts, "http.response.status_code") == [status, status, 200]
    assert [ended(span) for span in attempts] == [(str(status), ERROR)] * 2 + [(None, UNSET)]
    assert ended(call) == (None, UNSET)
    assert watch.counts("telepath.retries", "error.type") == {str(status): 2}


@pytest.mark.parametrize(
    ("step", "error", "status"),
    [
        (RESET, ConnectionLost, None),
        (reply(404), NotFoundError, 404),
        (redirect("/"), APIError, 307),
        (reply(500, BAD_WORDS), ServerError, 500),
    ],
    ids=["lost", "refused", "redirected", "failed"],
)
async def test_a_failure_is_its_class_on_the_call_and_its_status_on_the_attempt_and_no_message(
    watch: Watch, step: Step, error: type[TelepathError], status: int | None
) -> None:
    async with watch.client_of(step) as client:
        with pytest.raises(error):
            await client.analytics.overview()
    call, attempt = only(watch.calls), only(watch.attempts)
    assert ended(call) == (error.__name__, ERROR)
    assert ended(attempt) == (error.__name__ if status is None else str(status), ERROR)
    assert each((call, attempt), "http.response.status_code") == [status] * 2
    for span in (call, attempt):
        assert (span.status.description, list(span.events)) == (None, [])


async def test_a_wait_for_the_limiter_is_an_attribute_of_the_attempt_that_waited(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox, limiter=Waits([0.0, 0.5, 0.25])) as client:
        for _ in range(3):
            await client.analytics.overview()
    assert each(watch.attempts, "telepath.limiter.wait_seconds") == [None, 0.5, 0.25]
    point = only(watch.points("telepath.limiter.wait"))
    assert (point.count, point.sum) == (2, 0.75)


def test_an_attempt_has_the_wait_before_it_and_the_seconds_of_its_own_event(watch: Watch) -> None:
    for event in (
        STARTED,
        Throttled(**EVENT, attempt=1, seconds=0.5),
        RequestStarted(**EVENT, attempt=1),
        RequestFailed(**EVENT, attempt=1, seconds=0.25, error="ConnectionLost"),
        RequestStarted(**EVENT, attempt=2),
        ResponseReceived(**EVENT, attempt=2, seconds=1.5, status=503, remaining=None),
        RequestStarted(**EVENT, attempt=3),
        ResponseReceived(**EVENT, attempt=3, seconds=0.75, status=200, remaining=None),
        ENDED,
    ):
        watch.telemetry(event)
    assert each(watch.attempts, "telepath.limiter.wait_seconds") == [0.5, None, None]
    assert watch.seconds("http.client.request.duration") == {
        "ConnectionLost": (1, 0.25),
        "503": (1, 1.5),
        None: (1, 0.75),
    }


async def test_a_call_that_the_limiter_refuses_ends_with_no_attempt(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox, limiter=LocalLimiter(limit=1, period=50.0)) as client:
        await client.analytics.overview()
        with pytest.raises(ThrottledError):
            await client.with_options(max_wait=0.0).analytics.overview()
    assert len(watch.attempts) == 1
    assert ended(watch.calls[1]) == ("ThrottledError", ERROR)


async def test_a_cancelled_call_ends_its_spans_and_is_no_error(
    watch: Watch, client: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(delay=60.0)
    call = asyncio.ensure_future(client.analytics.overview())
    while not sandbox.requests:
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    for span in (only(watch.calls), only(watch.attempts)):
        assert ended(span) == ("CancelledError", UNSET)
    assert set(watch.seconds("http.client.request.duration")) == {"CancelledError"}


async def test_a_call_that_closing_cuts_off_is_an_error(watch: Watch) -> None:
    async with Hostile([HANG]) as server:
        client = client_at(server, on_event=watch.telemetry)
        call = asyncio.ensure_future(client.analytics.overview())
        while not server.requests:
            await asyncio.sleep(0.001)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await call
    assert ended(only(watch.calls)) == ("ClientClosedError", ERROR)
    assert each(watch.attempts, "error.type") == ["CancelledError"]


async def test_creates_at_the_same_time_stand_under_the_callers_span_each_with_its_own_attempt(
    watch: Watch, client: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=429, times=3, headers={"Retry-After": "0"})
    with watch.under_a_span() as user:
        outcomes = [
            outcome async for outcome in client.trunks.create_many(desks(30), concurrency=10)
        ]
    assert {outcome.state for outcome in outcomes} == {"created"}
    assert [parent(span) for span in watch.calls] == [context(user).span_id] * 30
    assert {span.name for span in watch.calls} == {"POST /trunks"}
    assert len(watch.attempts) == 33
    calls = {context(span).span_id: span for span in watch.calls}
    assert {parent(span) for span in watch.attempts} == set(calls)
    for attempt in watch.attempts:
        call: Any = calls[parent(attempt)]
        assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time


async def test_pages_that_are_asked_for_ahead_stand_under_the_span_of_the_loop(
    watch: Watch, client: TelepathClient
) -> None:
    with watch.under_a_span() as user:
        got = [call async for call in client.calls.list(page_size=25, prefetch=4)]
    assert len(got) == 250
    assert len(watch.calls) >= 10
    assert {parent(span) for span in watch.calls} == {context(user).span_id}
    assert {span.name for span in watch.spans()} == {"GET /calls"}


async def test_pages_that_a_loop_left_behind_end_their_spans(
    watch: Watch, client: TelepathClient, sandbox: Sandbox
) -> None:
    async for _ in client.calls.list(page_size=25, prefetch=4):
        sandbox.fail_next(delay=60.0, times=10)
        break
    while watch.open.spans:
        await asyncio.sleep(0.001)
    assert {span.status.status_code for span in watch.spans()} == {UNSET}
    assert len(watch.attempts) <= len(watch.calls) >= 1


async def test_numbers_at_another_origin_are_shown_there(watch: Watch, sandbox: Sandbox) -> None:
    async with (
        Hostile([BY_NAME["number"].answer]) as elsewhere,
        watch.client(
            sandbox, numbers_base_url=f"{elsewhere.url}/v1", numbers_api_key="fluents_key"
        ) as client,
    ):
        await client.numbers.update("+15550100001", label="Desk")
        assert each(watch.attempts, "server.port") == [port(f"{elsewhere.url}/v1")]


@pytest.mark.parametrize(
    ("base_url", "address", "number"),
    [
        ("https://api.telepathvoice.com/v1", "api.telepathvoice.com", 443),
        ("https://gateway.example.com:8443", "gateway.example.com", 8443),
        ("http://localhost/v1", "localhost", 80),
        ("http://[::1]:8080/v1", "::1", 8080),
    ],
)
def test_the_server_is_named_by_host_and_port_alone(
    watch: Watch, base_url: str, address: str, number: int
) -> None:
    watch.telemetry(evolve(STARTED, base_url=base_url))
    watch.telemetry(ENDED)
    server = attributes(only(watch.calls))
    assert (server["server.address"], server["server.port"]) == (address, number)


def test_events_of_kinds_that_come_later_are_let_pass(watch: Watch) -> None:
    watch.telemetry(Event(**EVENT, attempt=1))
    assert watch.spans() == []


# Names.


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_every_endpoint_is_called_by_its_template(watch: Watch, operation: Operation) -> None:
    async with watch.client_of(operation.answer) as client:
        await operation.call(client)
    for span in watch.spans():
        held = attributes(span)
        template = None if operation.name == "request" else held["url.template"]
        assert held.get("url.template") == template
        assert span.name == (f"{held['http.request.method']} {template}" if template else "GET")


async def test_the_other_spelling_of_a_rotation_is_known_too(watch: Watch) -> None:
    async with watch.client_of(reply(404)) as client:
        with pytest.raises(NotFoundError):
            await client.trunks.rotate_sip_password("trunk_1")
    assert [span.name for span in watch.calls] == [
        "POST /trunks/{id}/rotate-sip-password",
        "POST /trunks/{id}/rotate-password",
    ]


async def test_attributes_are_the_stable_conventions_the_template_and_our_own(
    watch: Watch, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=503)
    async with watch.client(sandbox, limiter=Waits([0.0, 0.5])) as client:
        await client.analytics.overview()
    names = {name for span in watch.spans() for name in attributes(span)}
    assert names == CONVENTIONS | {"url.template", "telepath.limiter.wait_seconds"}


# Secrets.

SEEDED = "seeded"


async def _every_call(client: TelepathClient) -> None:
    spec = TrunkSpec.openai(
        "seeded name",
        sip_username="seeded-user",
        sip_password="seeded-password",
        api_key="seeded-provider",
    )
    calls: list[Callable[[], Any]] = [
        lambda: client.trunks.list(status="seeded-status", sort="seeded-sort").collect(),
        lambda: client.trunks.create(**spec.fields()),
        lambda: client.trunks.update(
            "seeded-trunk", openai_api_key="seeded-provider", vad={"seeded": "seeded"}
        ),
        lambda: client.trunks.rotate_sip_password("seeded-trunk"),
        lambda: client.calls.list(trunk_id="seeded-trunk", prefetch=2).collect(),
        lambda: client.numbers.update("+15550100001seeded", label="seeded"),
        lambda: client.request("POST", "/trunks/seeded/path", json={"seeded": "seeded"}),
        lambda: client.with_options(headers={"X-Seeded": "seeded-header"}).analytics.overview(),
    ]
    for call in calls:
        with contextlib.suppress(TelepathError):
            await call()
    async for _ in client.trunks.create_many([spec]):
        pass


ANSWERS = {
    "refused": reply(400, BAD_WORDS, headers={"X-Request-Id": "seeded-request"}),
    "limit": reply(429, BAD_WORDS, headers={"Retry-After": "0", "X-RateLimit-Remaining": "0"}),
    "failed": reply(500, BAD_WORDS),
    "good": reply(
        200,
        b'{"id": "seeded", "name": "seeded", "status": "seeded", "sip_password": "seeded", '
        b'"data": []}',
    ),
    "cut": reply(200, b"seeded", length=1000, then="close"),
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_nothing_that_is_exported_holds_a_key_a_password_an_id_or_a_query(
    watch: Watch, answer: str
) -> None:
    async with Hostile([ANSWERS[answer]]) as server:
        client = client_at(
            server,
            api_key="seeded_key",
            on_event=watch.telemetry,
            retry=RetryPolicy(max_attempts=2, backoff=0.001),
        )
        async with client:
            await _every_call(client)
        assert b"seeded_key" in server.requests[0].head  # it was there to be found
    exported = watch.everything()
    assert exported.count("GET /trunks") >= 2
    assert "http.client.request.duration" in exported
    assert SEEDED not in exported.lower()
    assert "15550100001" not in exported


# Metrics.


async def test_the_duration_of_every_attempt_is_measured_as_the_conventions_say(
    watch: Watch, client: TelepathClient, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=503)
    await client.analytics.overview()
    await client.analytics.overview()
    good, bad = sorted(
        watch.points("http.client.request.duration"),
        key=lambda point: point.attributes["http.response.status_code"],
    )
    assert (good.count, bad.count) == (2, 1)
    for point, status in ((good, 200), (bad, 503)):
        assert list(point.explicit_bounds) == [
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
        ]  # fmt: skip
        assert dict(point.attributes) == {
            "http.request.method": "GET",
            "url.template": "/analytics/overview",
            "server.address": "127.0.0.1",
            "server.port": port(sandbox.base_url),
            "http.response.status_code": status,
        } | ({"error.type": "503"} if status == 503 else {})
    spent = sum((span.end_time or 0) - (span.start_time or 0) for span in watch.attempts) / 1e9
    assert 0 < good.sum + bad.sum <= spent


async def test_a_measured_duration_points_to_the_span_of_its_attempt(
    watch: Watch, client: TelepathClient
) -> None:
    await client.analytics.overview()
    exemplar = only(only(watch.points("http.client.request.duration")).exemplars)
    assert exemplar.span_id == context(only(watch.attempts)).span_id


async def test_what_is_left_of_the_limit_is_what_the_last_answer_said(
    watch: Watch, client: TelepathClient
) -> None:
    for _ in range(3):
        await client.analytics.overview()
    limit = client.rate_limit
    point = only(watch.points("telepath.rate_limit.remaining"))
    assert limit is not None
    assert point.value == limit.remaining
    assert 5997 <= point.value < 6000
    assert set(point.attributes) == {"server.address", "server.port"}


async def test_without_the_header_nothing_is_said_of_what_is_left(watch: Watch) -> None:
    async with watch.client_of(reply(200)) as client:
        await client.analytics.overview()
    assert watch.points("telepath.rate_limit.remaining") == []


async def test_two_accounts_are_told_apart_by_attributes_of_the_users_own(watch: Watch) -> None:
    answers = [reply(200, headers={"X-RateLimit-Remaining": left}) for left in ("7", "3")]
    async with Hostile(answers) as server:
        for account, calls in (("acme", 1), ("zenith", 2)):
            telemetry = watch.another(attributes={"tenant": account})
            async with client_at(server, on_event=telemetry) as client:
                for _ in range(calls):
                    await client.analytics.overview()
    assert watch.counts("telepath.rate_limit.remaining", "tenant") == {"acme": 7, "zenith": 3}
    assert each(watch.calls, "tenant") == ["acme", "zenith", "zenith"]
    durations = watch.points("http.client.request.duration")
    assert {point.attributes["tenant"]: point.count for point in durations} == {
        "acme": 1,
        "zenith": 2,
    }


@pytest.mark.parametrize("bad", [{"tenant": None}, {"": "x"}, {1: "x"}, {"tenant": ["a"]}])
def test_attributes_that_no_exporter_could_take_are_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="attributes must map names to text, numbers or booleans"):
        Telemetry(attributes=bad)


# Syncs and jobs.


async def test_a_sync_is_one_span_around_its_calls_and_its_rows_are_counted(
    watch: Watch, client: TelepathClient, tmp_path: Path
) -> None:
    for _ in range(2):
        report = await watch.telemetry.job(
            "nightly sync", sync_calls(client, f"sqlite:///{tmp_path}/calls.db")
        )
    assert report.inserted == 0
    assert report.unchanged > 0
    rows = watch.counts("telepath.sync.rows", "telepath.outcome")
    assert rows == {
        "inserted": 250,
        "updated": 0,
        "unchanged": report.unchanged,
        "uncertain": 0,
        "rejected": 0,
    }
    jobs = [span for span in watch.calls if span.name == "nightly sync"]
    assert {parent(span) for span in watch.calls if span not in jobs} == {
        context(span).span_id for span in jobs
    }
    assert only(watch.points("telepath.job.duration")).count == 2
    assert dict(jobs[0].attributes or {}) == {"telepath.job": "nightly sync"}


async def test_what_became_of_trunks_is_counted(
    watch: Watch, client: TelepathClient, tmp_path: Path
) -> None:
    async def take(item: object) -> None:
        pass

    job = watch.telemetry.job
    for number in (1, 3):
        await job("provision", provision_trunks(client, desks(number), sink=take))
    trunks = client.trunks.list(max_items=4)
    await job("rotate", rotate_passwords(client, trunks, take, tmp_path / "journal"))
    assert {
        (point.attributes["telepath.job"], point.attributes["telepath.outcome"]): point.value
        for point in watch.points("telepath.job.outcomes")
    } == {
        ("provision", "created"): 3,
        ("provision", "exists"): 1,
        ("rotate", "rotated"): 4,
        ("rotate", "applied"): 4,
        ("rotate", "pending"): 0,
        ("rotate", "untouched"): 0,
        ("rotate", "recent"): 0,
    }


async def test_alerts_and_polls_that_failed_are_counted(watch: Watch, sandbox: Sandbox) -> None:
    threshold = Threshold("avg_ai_latency_ms", 1)
    window = timedelta(days=3650)
    async with watch.client(sandbox, retry=RetryPolicy(max_attempts=1)) as client:
        await watch.telemetry.job("poll", poll_latency(client, [threshold], window=window))
        sandbox.fail_next(status=500)
        poll = await watch.telemetry.job("poll", poll_latency(client, [threshold], window=window))
    assert isinstance(poll, LatencyPoll)
    assert watch.counts("telepath.job.outcomes", "telepath.outcome") == {"crossed": 1, "failed": 1}


async def test_a_job_has_its_seconds_whether_or_not_it_fails_and_raises_what_it_raised(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 107.0, 200.0, 203.5])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("telepath_async.otel.time", clock)

    async def fail() -> None:
        raise LookupError("seeded-password")

    assert await watch.telemetry.job("nightly", asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError):
        await watch.telemetry.job("nightly", fail())
    assert watch.seconds("telepath.job.duration") == {None: (1, 7.0), "LookupError": (1, 3.5)}
    assert watch.points("telepath.job.outcomes") == []
    good, bad = watch.calls
    assert (ended(good), ended(bad)) == ((None, UNSET), ("LookupError", ERROR))
    assert list(bad.events) == []
    assert SEEDED not in watch.everything()


async def test_a_job_that_is_cancelled_is_no_error_and_stays_cancelled(watch: Watch) -> None:
    task = asyncio.ensure_future(watch.telemetry.job("nightly", asyncio.sleep(60.0)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(only(watch.calls)) == ("CancelledError", UNSET)


# Wiring.


async def test_without_an_sdk_it_does_nothing_and_harms_nothing(sandbox: Sandbox) -> None:
    telemetry = Telemetry()
    options = {"base_url": sandbox.base_url, "limiter": no_limit(), "on_event": telemetry}
    async with TelepathClient(sandbox.api_key, **options) as client:
        assert len(await telemetry.job("all", client.trunks.list().collect())) == 25


async def test_a_tracer_that_fails_loses_no_answer(
    watch: Watch, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def start_span(self, *_: object, **__: object) -> None:
            raise RuntimeError

    broken: Any = SimpleNamespace(get_tracer=lambda *_: Broken())
    async with watch.client(sandbox, on_event=Telemetry(tracer_provider=broken)) as client:
        assert len(await client.trunks.list().collect()) == 25
    assert "on_event failed on CallStarted; the call goes on" in caplog.text


async def test_a_telemetry_serves_clients_on_several_loops(watch: Watch, sandbox: Sandbox) -> None:
    def run() -> None:
        async def main() -> None:
            async with watch.client(sandbox) as client:
                await asyncio.gather(*(client.analytics.overview() for _ in range(5)))

        asyncio.run(main())

    await asyncio.gather(*(asyncio.to_thread(run) for _ in range(3)))
    assert len(watch.calls) == len({parent(span) for span in watch.attempts}) == 15


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "telepath_async.otel")
    with pytest.raises(
        ModuleNotFoundError,
        match=r'needs opentelemetry\.context: pip install "telepath-async\[otel\]"',
    ):
        import_module("telepath_async.otel")
