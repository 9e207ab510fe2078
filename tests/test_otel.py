"""Test what a client's calls leave in OpenTelemetry, by its in-memory exporters."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, field
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode

from telepath_async import (
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
    SipCredentials,
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
from tests.support.hostile import HANG, Hostile, reply
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


@define
class Watch:
    """A Telemetry, and what its exporters hold."""

    spans_held: InMemorySpanExporter = field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(factory=InMemoryMetricReader)
    tracers: TracerProvider = field(factory=lambda: TracerProvider(shutdown_on_exit=False))
    meters: MeterProvider = field(init=False)
    telemetry: Telemetry = field(init=False)

    def __attrs_post_init__(self) -> None:
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
        scopes = (
            [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
            if data
            else []
        )
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]

    def counts(self, name: str, by: str) -> dict[Any, float]:
        return {point.attributes.get(by): point.value for point in self.points(name)}

    def everything(self) -> str:
        """All that would be exported, as text."""
        data = self.reader.get_metrics_data()
        return "\n".join(
            [
                *(span.to_json() for span in self.spans_held.get_finished_spans()),
                data.to_json() if data else "",
            ]
        )


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
    assert watch.telemetry._calls == {}  # whatever happened, no call is held
    watch.tracers.shutdown()
    watch.meters.shutdown()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(trunks=25, calls=250) as sandbox:
        yield sandbox


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def context(span: Any) -> Any:
    return span.get_span_context()


def only(items: list[Any]) -> Any:
    (item,) = items
    return item


# Spans.


async def test_a_call_stands_under_the_callers_span_and_its_attempt_under_the_call(
    watch: Watch, sandbox: Sandbox
) -> None:
    call_id = next(iter(sandbox.calls))
    async with watch.client(sandbox) as client:
        with watch.under_a_span() as user:
            await client.calls.get(call_id)
    call, attempt = only(watch.calls), only(watch.attempts)
    assert (call.name, attempt.name) == ("GET /calls/{id}", "GET /calls/{id}")
    assert parent(call) == context(user).span_id
    assert parent(attempt) == context(call).span_id
    assert {context(span).trace_id for span in (user, call, attempt)} == {context(user).trace_id}
    assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time
    port = int(sandbox.base_url.split(":")[2].split("/")[0])
    told = {
        "http.request.method": "GET",
        "url.template": "/calls/{id}",
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.response.status_code": 200,
    }
    assert attributes(call) == told
    assert attributes(attempt) == told
    assert (call.status.status_code, attempt.status.status_code) == (UNSET, UNSET)


async def test_without_a_span_of_the_caller_a_call_begins_a_trace(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        await client.analytics.overview()
    assert parent(only(watch.calls)) is None


@pytest.mark.parametrize("status", [429, 503])
async def test_a_retry_is_another_attempt_of_the_same_call(
    watch: Watch, sandbox: Sandbox, status: int
) -> None:
    sandbox.fail_next(status=status, times=2, headers={"Retry-After": "0"})
    async with watch.client(sandbox) as client:
        await client.analytics.overview()
    call, attempts = only(watch.calls), watch.attempts
    assert [parent(span) for span in attempts] == [context(call).span_id] * 3
    assert [attributes(span).get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [attributes(span)["http.response.status_code"] for span in attempts] == [
        status,
        status,
        200,
    ]
    assert [attributes(span).get("error.type") for span in attempts] == [
        str(status),
        str(status),
        None,
    ]
    assert [span.status.status_code for span in attempts] == [ERROR, ERROR, UNSET]
    assert (call.status.status_code, attributes(call).get("error.type")) == (UNSET, None)
    assert watch.counts("telepath.retries", "error.type") == {str(status): 2}


async def test_a_lost_connection_names_its_class_and_no_status(
    watch: Watch, sandbox: Sandbox
) -> None:
    sandbox.fail_next(drop="before")
    async with watch.client(sandbox, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(ConnectionLost):
            await client.analytics.overview()
    for span in (only(watch.calls), only(watch.attempts)):
        assert attributes(span)["error.type"] == "ConnectionLost"
        assert "http.response.status_code" not in attributes(span)
        assert span.status.status_code is ERROR


async def test_a_refusal_is_its_status_on_the_attempt_and_its_class_on_the_call(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        with pytest.raises(NotFoundError):
            await client.calls.get("call_that_is_not_there")
    call, attempt = only(watch.calls), only(watch.attempts)
    assert [attributes(span)["error.type"] for span in (call, attempt)] == ["NotFoundError", "404"]
    assert [attributes(span)["http.response.status_code"] for span in (call, attempt)] == [404, 404]
    assert {span.status.status_code for span in (call, attempt)} == {ERROR}


async def test_a_redirect_is_an_error_as_it_is_to_the_caller(watch: Watch) -> None:
    async with (
        Hostile([reply(307, headers={"Location": "/"})]) as server,
        client_at(server, on_event=watch.telemetry) as client,
    ):
        with pytest.raises(TelepathError):
            await client.analytics.overview()
    attempt = only(watch.attempts)
    assert (attributes(attempt)["error.type"], attempt.status.status_code) == ("307", ERROR)


async def test_no_span_has_a_message_a_traceback_or_an_event(
    watch: Watch, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=500, times=4)
    async with watch.client(sandbox) as client:
        with pytest.raises(TelepathError):
            await client.analytics.overview()
    for span in watch.spans():
        assert (span.status.description, list(span.events)) == (None, [])


async def test_a_wait_for_the_limiter_is_told_on_the_attempt_that_waited(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox, limiter=Waits([0.0, 0.5, 0.25])) as client:
        for _ in range(3):
            await client.analytics.overview()
    assert [attributes(span).get("telepath.limiter.wait_seconds") for span in watch.attempts] == [
        None,
        0.5,
        0.25,
    ]
    point = only(watch.points("telepath.limiter.wait"))
    assert (point.count, point.sum) == (2, 0.75)


def test_the_wait_before_an_attempt_is_not_told_of_the_next_one_again(watch: Watch) -> None:
    of = {"method": "GET", "template": "/trunks", "call": 1}
    for event in (
        CallStarted(**of, attempt=0, base_url="https://api.telepathvoice.com/v1"),
        Throttled(**of, attempt=1, seconds=0.5),
        RequestStarted(**of, attempt=1),
        RequestFailed(**of, attempt=1, seconds=0.25, error="ConnectionLost"),
        RequestStarted(**of, attempt=2),
        ResponseReceived(**of, attempt=2, seconds=0.25, status=200, remaining=None),
        CallEnded(**of, attempt=2, seconds=1.0, status=200, error=None),
    ):
        watch.telemetry(event)
    assert [attributes(span).get("telepath.limiter.wait_seconds") for span in watch.attempts] == [
        0.5,
        None,
    ]


def test_the_seconds_of_each_attempt_are_recorded_as_the_event_tells_them(watch: Watch) -> None:
    of = {"method": "GET", "template": "/trunks", "call": 1}
    for event in (
        CallStarted(**of, attempt=0, base_url="https://api.telepathvoice.com/v1"),
        RequestStarted(**of, attempt=1),
        RequestFailed(**of, attempt=1, seconds=0.25, error="ConnectionLost"),
        RequestStarted(**of, attempt=2),
        ResponseReceived(**of, attempt=2, seconds=1.5, status=503, remaining=None),
        RequestStarted(**of, attempt=3),
        ResponseReceived(**of, attempt=3, seconds=0.75, status=200, remaining=None),
        CallEnded(**of, attempt=3, seconds=9.0, status=200, error=None),
    ):
        watch.telemetry(event)
    assert {
        point.attributes.get("error.type"): (point.count, point.sum)
        for point in watch.points("http.client.request.duration")
    } == {"ConnectionLost": (1, 0.25), "503": (1, 1.5), None: (1, 0.75)}


async def test_the_seconds_of_a_job_are_recorded_whether_or_not_it_fails(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 107.0, 200.0, 203.5])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("telepath_async.otel.time", clock)

    async def work(*, fails: bool) -> None:
        if fails:
            raise LookupError

    await watch.telemetry.job("sync", work(fails=False))
    with pytest.raises(LookupError):
        await watch.telemetry.job("sync", work(fails=True))
    assert {
        point.attributes.get("error.type"): (point.count, point.sum)
        for point in watch.points("telepath.job.duration")
    } == {None: (1, 7.0), "LookupError": (1, 3.5)}


async def test_a_call_that_the_limiter_refuses_ends_with_no_attempt(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox, limiter=LocalLimiter(limit=1, period=50.0)) as client:
        await client.analytics.overview()
        with pytest.raises(ThrottledError):
            await client.with_options(max_wait=0.0).analytics.overview()
    assert len(watch.attempts) == 1
    assert attributes(watch.calls[1])["error.type"] == "ThrottledError"
    assert watch.calls[1].status.status_code is ERROR


async def test_a_cancelled_call_ends_its_spans_and_is_no_error(
    watch: Watch, sandbox: Sandbox
) -> None:
    sandbox.fail_next(delay=60.0)
    async with watch.client(sandbox) as client:
        call = asyncio.ensure_future(client.analytics.overview())
        while not sandbox.requests:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for span in (only(watch.calls), only(watch.attempts)):
            assert (attributes(span)["error.type"], span.status.status_code) == (
                "CancelledError",
                UNSET,
            )
    assert (
        only(watch.points("http.client.request.duration")).attributes["error.type"]
        == "CancelledError"
    )


async def test_a_call_that_closing_cuts_off_is_an_error(watch: Watch) -> None:
    async with Hostile([HANG]) as server:
        client = client_at(server, on_event=watch.telemetry)
        call = asyncio.ensure_future(client.analytics.overview())
        while not server.requests:
            await asyncio.sleep(0.001)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await call
    assert [attributes(span)["error.type"] for span in (*watch.calls, *watch.attempts)] == [
        "ClientClosedError",
        "CancelledError",
    ]
    assert only(watch.calls).status.status_code is ERROR


async def test_creates_at_the_same_time_stand_under_the_callers_span_each_with_its_own_attempt(
    watch: Watch, sandbox: Sandbox
) -> None:
    specs = [
        TrunkSpec.openai(
            f"Desk {n}",
            sip_username=f"desk-{n}",
            sip_password="s3cur3P@ssw0rd!",
            api_key="sk-openai",
        )
        for n in range(30)
    ]
    sandbox.fail_next(status=429, times=3, headers={"Retry-After": "0"})
    async with watch.client(sandbox) as client:
        with watch.under_a_span() as user:
            outcomes = [
                outcome async for outcome in client.trunks.create_many(specs, concurrency=10)
            ]
    assert {outcome.state for outcome in outcomes} == {"created"}
    assert [parent(span) for span in watch.calls] == [context(user).span_id] * 30
    assert {span.name for span in watch.calls} == {"POST /trunks"}
    assert len(watch.attempts) == 33
    assert {parent(span) for span in watch.attempts} == {
        context(span).span_id for span in watch.calls
    }
    for attempt in watch.attempts:
        call = only([span for span in watch.calls if context(span).span_id == parent(attempt)])
        assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time


async def test_pages_that_are_asked_for_ahead_stand_under_the_span_of_the_loop(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        with watch.under_a_span() as user:
            got = [call async for call in client.calls.list(page_size=25, prefetch=4)]
    assert len(got) == 250
    assert len(watch.calls) >= 10
    assert {parent(span) for span in watch.calls} == {context(user).span_id}
    assert {span.name for span in watch.spans()} == {"GET /calls"}


async def test_pages_that_a_loop_left_behind_end_their_spans(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        async for _ in client.calls.list(page_size=25, prefetch=4):
            sandbox.fail_next(delay=60.0, times=10)
            break
        while watch.telemetry._calls:
            await asyncio.sleep(0.001)
    assert {span.status.status_code for span in watch.spans()} == {UNSET}
    assert len(watch.attempts) <= len(watch.calls) >= 1


async def test_numbers_at_another_origin_are_shown_there(watch: Watch, sandbox: Sandbox) -> None:
    async with Hostile([BY_NAME["number"].answer]) as elsewhere:
        client = watch.client(
            sandbox, numbers_base_url=f"{elsewhere.url}/v1", numbers_api_key="fluents_key"
        )
        async with client:
            await client.numbers.update("+15550100001", label="Desk")
            assert attributes(only(watch.attempts))["server.port"] == int(
                elsewhere.url.rpartition(":")[2]
            )


@pytest.mark.parametrize(
    ("base_url", "address", "port"),
    [
        ("https://api.telepathvoice.com/v1", "api.telepathvoice.com", 443),
        ("https://gateway.example.com:8443", "gateway.example.com", 8443),
        ("http://localhost/v1", "localhost", 80),
        ("http://[::1]:8080/v1", "::1", 8080),
    ],
)
def test_the_server_is_named_by_host_and_port_alone(
    watch: Watch, base_url: str, address: str, port: int
) -> None:
    of = {"method": "GET", "template": "/trunks", "call": 1}
    watch.telemetry(CallStarted(**of, attempt=0, base_url=base_url))
    watch.telemetry(CallEnded(**of, attempt=0, seconds=0.0, status=None, error=None))
    told = attributes(only(watch.calls))
    assert (told["server.address"], told["server.port"]) == (address, port)


def test_events_of_kinds_that_come_later_are_let_pass(watch: Watch) -> None:
    watch.telemetry(Event(method="GET", template="/trunks", call=1, attempt=1))
    assert watch.spans() == []


# Names.


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_every_endpoint_is_called_by_its_template(watch: Watch, operation: Operation) -> None:
    async with (
        Hostile([operation.answer]) as server,
        client_at(server, on_event=watch.telemetry) as client,
    ):
        await operation.call(client)
    for span in watch.spans():
        told = attributes(span)
        template = None if operation.name == "request" else told["url.template"]
        assert told.get("url.template") == template
        assert span.name == (f"{told['http.request.method']} {template}" if template else "GET")


async def test_the_other_spelling_of_a_rotation_is_known_too(watch: Watch) -> None:
    async with (
        Hostile([reply(404)]) as server,
        client_at(server, on_event=watch.telemetry) as client,
    ):
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
    assert {name for name in names if not name.startswith("telepath.")} == CONVENTIONS | {
        "url.template"
    }
    assert {name for name in names if name.startswith("telepath.")} == {
        "telepath.limiter.wait_seconds"
    }


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
        lambda: client.trunks.find("seeded-user"),
        lambda: client.trunks.create(**spec.fields()),
        lambda: client.trunks.update(
            "seeded-trunk", openai_api_key="seeded-provider", vad={"seeded": "seeded"}
        ),
        lambda: client.trunks.rotate_sip_password("seeded-trunk"),
        lambda: client.calls.list(trunk_id="seeded-trunk", prefetch=2).collect(),
        lambda: client.calls.get("seeded-call"),
        lambda: client.analytics.overview(trunk_id="seeded-trunk"),
        lambda: client.numbers.update("+15550100001seeded", label="seeded"),
        lambda: client.request("GET", "/seeded/path", params={"seeded": "seeded"}),
        lambda: client.request("POST", "/trunks/seeded/path", json={"seeded": "seeded"}),
        lambda: client.with_options(headers={"X-Seeded": "seeded-header"}).analytics.overview(),
    ]
    for call in calls:
        with contextlib.suppress(TelepathError):
            await call()
    async for _ in client.trunks.create_many([spec]):
        pass


BAD_WORDS = b'{"error": {"code": "seeded_code", "message": "seeded seeded_key seeded-password"}}'
ANSWERS = {
    "refused": reply(400, BAD_WORDS, headers={"X-Request-Id": "seeded-request"}),
    "not found": reply(404, BAD_WORDS),
    "limit": reply(429, BAD_WORDS, headers={"Retry-After": "0", "X-RateLimit-Remaining": "0"}),
    "failed": reply(500, BAD_WORDS),
    "good": reply(
        200,
        b'{"id": "seeded", "name": "seeded", "status": "seeded", "sip_password": "seeded", '
        b'"data": []}',
    ),
    "no sense": reply(200, b"seeded"),
    "elsewhere": reply(302, b"seeded", headers={"Location": "/seeded"}),
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
    watch: Watch, sandbox: Sandbox
) -> None:
    sandbox.fail_next(status=503)
    async with watch.client(sandbox) as client:
        await client.analytics.overview()
        await client.analytics.overview()
    good, bad = sorted(
        watch.points("http.client.request.duration"),
        key=lambda point: point.attributes["http.response.status_code"],
    )
    assert (good.count, bad.count) == (2, 1)
    for point, status in ((good, 200), (bad, 503)):
        assert set(point.explicit_bounds) == {
            0.005,
            0.01,
            0.025,
            0.05,
            0.075,
            0.1,
            0.25,
            0.5,
            0.75,
            1,
            2.5,
            5,
            7.5,
            10,
        }
        assert dict(point.attributes) == {
            "http.request.method": "GET",
            "url.template": "/analytics/overview",
            "server.address": "127.0.0.1",
            "server.port": int(sandbox.base_url.split(":")[2].split("/")[0]),
            "http.response.status_code": status,
        } | ({"error.type": "503"} if status == 503 else {})
    spent = sum((span.end_time or 0) - (span.start_time or 0) for span in watch.attempts) / 1e9
    assert 0 < good.sum + bad.sum <= spent


async def test_a_measured_duration_points_to_the_span_of_its_attempt(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        await client.analytics.overview()
    exemplar = only(only(watch.points("http.client.request.duration")).exemplars)
    assert exemplar.span_id == context(only(watch.attempts)).span_id


async def test_what_is_left_of_the_limit_is_what_the_last_answer_said(
    watch: Watch, sandbox: Sandbox
) -> None:
    async with watch.client(sandbox) as client:
        for _ in range(3):
            await client.analytics.overview()
        limit = client.rate_limit
    point = only(watch.points("telepath.rate_limit.remaining"))
    assert limit is not None
    assert point.value == limit.remaining
    assert 5997 <= point.value < 6000
    assert set(point.attributes) == {"server.address", "server.port"}


async def test_without_the_header_nothing_is_said_of_what_is_left(watch: Watch) -> None:
    async with (
        Hostile([reply(200)]) as server,
        client_at(server, on_event=watch.telemetry) as client,
    ):
        await client.analytics.overview()
    assert watch.points("telepath.rate_limit.remaining") == []


async def test_two_accounts_are_told_apart_by_attributes_of_the_users_own(watch: Watch) -> None:
    answers = [reply(200, headers={"X-RateLimit-Remaining": left}) for left in ("7", "3")]
    async with Hostile(answers) as server:
        for account, calls in (("acme", 1), ("zenith", 2)):
            async with client_at(
                server, on_event=watch.another(attributes={"tenant": account})
            ) as client:
                for _ in range(calls):
                    await client.analytics.overview()
    assert watch.counts("telepath.rate_limit.remaining", "tenant") == {"acme": 7, "zenith": 3}
    assert [attributes(span)["tenant"] for span in watch.calls] == ["acme", "zenith", "zenith"]
    counted = {
        point.attributes["tenant"]: point.count
        for point in watch.points("http.client.request.duration")
    }
    assert counted == {"acme": 1, "zenith": 2}


@pytest.mark.parametrize("bad", [{"tenant": None}, {"": "x"}, {1: "x"}, {"tenant": ["a"]}])
def test_attributes_that_no_exporter_could_take_are_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="attributes must map names to text, numbers or booleans"):
        Telemetry(attributes=bad)


# Syncs and jobs.


async def test_a_sync_is_one_span_around_its_calls_and_its_rows_are_counted(
    watch: Watch, sandbox: Sandbox, tmp_path: Path
) -> None:
    from telepath_async.sync import sync_calls

    async with watch.client(sandbox) as client:
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
    watch: Watch, sandbox: Sandbox, tmp_path: Path
) -> None:
    async def carrier(credentials: SipCredentials) -> None:
        pass

    async def vault(trunk: object) -> None:
        pass

    specs = [
        TrunkSpec.openai(
            f"Desk {n}", sip_username=f"desk-{n}", sip_password="s3cur3P@ss", api_key="sk"
        )
        for n in range(3)
    ]
    job = watch.telemetry.job
    async with watch.client(sandbox) as client:
        await job("provision", provision_trunks(client, specs[:1], sink=vault))
        await job("provision", provision_trunks(client, specs, sink=vault))
        await job(
            "rotate",
            rotate_passwords(
                client, client.trunks.list(max_items=4), carrier, tmp_path / "journal"
            ),
        )
    told = {
        (point.attributes["telepath.job"], point.attributes["telepath.outcome"]): point.value
        for point in watch.points("telepath.job.outcomes")
    }
    assert told == {
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


async def test_a_job_that_fails_is_counted_by_its_class_and_raises(watch: Watch) -> None:
    async def job() -> None:
        raise RuntimeError("seeded-password")

    with pytest.raises(RuntimeError):
        await watch.telemetry.job("nightly", job())
    span = only(watch.calls)
    assert (attributes(span)["error.type"], span.status.status_code, list(span.events)) == (
        "RuntimeError",
        ERROR,
        [],
    )
    assert only(watch.points("telepath.job.duration")).attributes["error.type"] == "RuntimeError"
    assert SEEDED not in watch.everything()


async def test_a_job_that_is_cancelled_is_no_error_and_stays_cancelled(watch: Watch) -> None:
    task = asyncio.ensure_future(watch.telemetry.job("nightly", asyncio.sleep(60.0)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (attributes(only(watch.calls))["error.type"], only(watch.calls).status.status_code) == (
        "CancelledError",
        UNSET,
    )


async def test_any_coroutine_can_be_a_job_and_gives_what_it_gives(watch: Watch) -> None:
    assert await watch.telemetry.job("anything", asyncio.sleep(0, "done")) == "done"
    assert watch.points("telepath.job.outcomes") == []
    assert only(watch.points("telepath.job.duration")).count == 1


# Wiring.


async def test_without_an_sdk_it_does_nothing_and_harms_nothing(sandbox: Sandbox) -> None:
    telemetry = Telemetry()
    client = TelepathClient(
        sandbox.api_key, base_url=sandbox.base_url, limiter=no_limit(), on_event=telemetry
    )
    async with client:
        assert len(await telemetry.job("all", client.trunks.list().collect())) == 25
    assert telemetry._calls == {}


async def test_a_tracer_that_fails_loses_no_answer(
    watch: Watch, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def start_span(self, *_: object, **__: object) -> None:
            raise RuntimeError

    watch.telemetry._tracer = Broken()  # type: ignore[assignment]
    async with watch.client(sandbox) as client:
        assert len(await client.trunks.list().collect()) == 25
    assert "on_event failed on CallStarted; the call goes on" in caplog.text


async def test_several_listeners_are_one_function(watch: Watch, sandbox: Sandbox) -> None:
    seen: list[Event] = []
    async with watch.client(
        sandbox, on_event=lambda event: (watch.telemetry(event), seen.append(event))
    ) as client:
        await client.analytics.overview()
    assert len(watch.spans()) == 2
    assert len(seen) == 4


async def test_a_telemetry_serves_clients_on_several_loops(watch: Watch, sandbox: Sandbox) -> None:
    def run() -> None:
        async def main() -> None:
            async with watch.client(sandbox) as client:
                await asyncio.gather(*(client.analytics.overview() for _ in range(5)))

        asyncio.run(main())

    await asyncio.gather(*(asyncio.to_thread(run) for _ in range(3)))
    assert len(watch.calls) == len({parent(span) for span in watch.attempts}) == 15


def test_what_is_exported_can_be_read_as_json_and_names_its_scope(watch: Watch) -> None:
    of = {"method": "GET", "template": "/trunks", "call": 1}
    watch.telemetry(CallStarted(**of, attempt=0, base_url="https://api.telepathvoice.com/v1"))
    watch.telemetry(CallEnded(**of, attempt=0, seconds=0.0, status=None, error=None))
    span = only(watch.calls)
    assert json.loads(span.to_json())["name"] == "GET /trunks"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "telepath_async"
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.27.0"


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    monkeypatch.delitem(sys.modules, "telepath_async.otel")
    with pytest.raises(
        ModuleNotFoundError,
        match=r'needs opentelemetry\.context: pip install "telepath-async\[otel\]"',
    ):
        import_module("telepath_async.otel")
