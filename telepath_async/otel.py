"""Make OpenTelemetry spans and metrics of a client's events (extra `[otel]`).

Use it as `TelepathClient(on_event=Telemetry())`. Attributes follow the stable conventions of HTTP
clients; `url.template`, which they still call a development, and our own under `telepath.` stand
beside them. No URL, header, id, message or traceback goes in: `url.full` is left out on purpose,
and what went wrong is the name of a class or a status.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from attrs import define

from telepath_async import (
    CallEnded,
    CallStarted,
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    Throttled,
    UsageError,
)

try:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider, get_meter
    from opentelemetry.trace import (
        INVALID_SPAN,
        Span,
        SpanKind,
        StatusCode,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
except ModuleNotFoundError as error:
    message = f'telepath_async.otel needs {error.name}: pip install "telepath-async[otel]"'
    raise ModuleNotFoundError(message, name=error.name) from error

T = TypeVar("T")
Value = str | bool | int | float

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.27.0"  # the first that knows all names below
# The conventions' own.
_BOUNDARIES: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
_JOB_BOUNDARIES: Final = (
    0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0,
)  # fmt: skip

_METHOD: Final = "http.request.method"
_TEMPLATE: Final = "url.template"
_ADDRESS: Final = "server.address"
_PORT: Final = "server.port"
_RESEND: Final = "http.request.resend_count"
_STATUS: Final = "http.response.status_code"
_ERROR: Final = "error.type"
_WAIT: Final = "telepath.limiter.wait_seconds"
_JOB: Final = "telepath.job"
_OUTCOME: Final = "telepath.outcome"

_SYNC_REPORT: Final = ("inserted", "updated", "unchanged", "uncertain", "rejected")
_ROTATION_REPORT: Final = ("rotated", "applied", "pending", "untouched", "recent")

# `request()` gives its path, ids and all, as its template: only those listed here are shown.
_TEMPLATES: Final = frozenset(
    (
        "/trunks",
        "/trunks/{id}",
        "/trunks/{id}/rotate-sip-password",
        "/trunks/{id}/rotate-password",
        "/calls",
        "/calls/{id}",
        "/analytics/overview",
        "/numbers/update",
    )
)


class Telemetry:
    """Spans and metrics of all calls whose events it is given; one may listen to many clients.

    Spans: one for each call (INTERNAL), under the span that is current where the call is made, and
    in it one for each attempt (CLIENT): the conventions want an HTTP span for every request that is
    sent, and none around them. Both are called `GET /calls/{id}`, or `GET` for a path that
    `request()` was given. A call is one exchange: a create whose answer is lost is followed by the
    calls that look it up. Errors set `error.type` (a status, or a class of `telepath_async.errors`)
    and the span's status; a call that was cancelled has `error.type` CancelledError, and its status
    stays unset. The spans are not made current, and no `traceparent` is sent.

    Metrics, with the attributes of the spans:

    - `http.client.request.duration`: seconds of each attempt, a histogram
    - `telepath.retries`: attempts that were tried again, by `error.type`
    - `telepath.limiter.wait`: seconds of each wait for the limiter, a histogram
    - `telepath.rate_limit.remaining`: requests left in the server's window, by its last answer
    - `telepath.sync.rows`, `telepath.job.outcomes`, `telepath.job.duration`: of what `job` awaits

    `tracer_provider`, `meter_provider`: None = the global ones. `attributes`: put on every span and
    metric, to keep the accounts apart where each has a client and a Telemetry of its own. Raises
    UsageError.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> None:
        self._own = dict(attributes or {})
        for name, value in self._own.items():
            if not (isinstance(name, str) and name and isinstance(value, Value)):
                raise UsageError(
                    f"attributes must map names to text, numbers or booleans, and {name!r} does not"
                )
        release = version("telepath-async")
        self._tracer = get_tracer("telepath_async", release, tracer_provider, _SCHEMA)
        meter = get_meter("telepath_async", release, meter_provider, _SCHEMA)
        self._durations = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._waits = meter.create_histogram(
            "telepath.limiter.wait",
            unit="s",
            description="Waits for the limiter, those of no length left out.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )
        self._retries = meter.create_counter(
            "telepath.retries", "{retry}", "Attempts that were tried again."
        )
        self._remaining = meter.create_gauge(
            "telepath.rate_limit.remaining",
            "{request}",
            "Requests left in the server's window, by its last answer.",
        )
        self._rows = meter.create_counter(
            "telepath.sync.rows", "{row}", "Calls that a sync inserted, updated, or found so."
        )
        self._outcomes = meter.create_counter(
            "telepath.job.outcomes", "{outcome}", "What became of what a job worked on."
        )
        self._job_durations = meter.create_histogram(
            "telepath.job.duration",
            unit="s",
            description="Duration of jobs and syncs.",
            explicit_bucket_boundaries_advisory=_JOB_BOUNDARIES,
        )
        self._calls: dict[int, _Call] = {}

    def __call__(self, event: Event) -> None:
        """Take an event of a client; events of other kinds than ours are let pass."""
        match event:
            case CallStarted():
                self._begin(event)
            case Throttled():
                self._wait(self._calls[event.call], event)
            case RequestStarted():
                self._send(self._calls[event.call], event)
            case ResponseReceived():
                self._receive(self._calls[event.call], event)
            case RequestFailed():
                self._close(self._calls[event.call], event.seconds, {_ERROR: event.error})
            case RetryScheduled():
                self._retries.add(1, {**self._calls[event.call].attributes, _ERROR: event.reason})
            case CallEnded():
                self._end(self._calls.pop(event.call), event)
            case _:
                pass

    async def job(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` in a span of this name, the parent of its calls, and return its result.

        The counts of the report go into `telepath.sync.rows` (of `sync_calls(…)`) or
        `telepath.job.outcomes` (of `rotate_passwords(…)`, `provision_trunks(…)`,
        `poll_latency(…)`). `telepath.job.duration` counts every run, by `error.type`. Rows of a run
        that fails are not counted. Raises what `work` raises.
        """
        attributes: dict[str, Value] = {**self._own, _JOB: name}
        began = time.monotonic()
        with self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                report = await work
            except BaseException as error:
                failed: dict[str, Value] = {_ERROR: type(error).__name__}
                _mark(span, failed)
                self._job_durations.record(time.monotonic() - began, {**attributes, **failed})
                raise
        self._job_durations.record(time.monotonic() - began, attributes)
        counter = self._rows if _has(report, _SYNC_REPORT) else self._outcomes
        for outcome, amount in _outcomes(report).items():
            counter.add(amount, {**attributes, _OUTCOME: outcome})
        return report

    def _begin(self, event: CallStarted) -> None:
        name, endpoint = _endpoint(
            event.method, event.template if event.template in _TEMPLATES else None, event.base_url
        )
        attributes = {**self._own, **endpoint}
        span = self._tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=attributes)
        self._calls[event.call] = _Call(name, attributes, span, set_span_in_context(span))

    def _wait(self, call: _Call, event: Throttled) -> None:
        call.waited = event.seconds
        self._waits.record(event.seconds, call.attributes, call.context)

    def _send(self, call: _Call, event: RequestStarted) -> None:
        attributes = dict(call.attributes)
        if event.attempt > 1:
            attributes[_RESEND] = event.attempt - 1
        if call.waited:
            attributes[_WAIT], call.waited = call.waited, 0.0
        call.attempt = self._tracer.start_span(call.name, call.context, SpanKind.CLIENT, attributes)

    def _receive(self, call: _Call, event: ResponseReceived) -> None:
        outcome: dict[str, Value] = {_STATUS: event.status}
        if not 200 <= event.status < 300:  # to us, a redirect is an error too
            outcome[_ERROR] = str(event.status)
        self._close(call, event.seconds, outcome)
        if event.remaining is not None:
            of_key = {
                name: value
                for name, value in call.attributes.items()
                if name not in (_METHOD, _TEMPLATE)
            }
            self._remaining.set(event.remaining, of_key)

    def _close(self, call: _Call, seconds: float, outcome: dict[str, Value]) -> None:
        _mark(call.attempt, outcome)
        self._durations.record(
            seconds, {**call.attributes, **outcome}, set_span_in_context(call.attempt, call.context)
        )
        call.attempt.end()

    def _end(self, call: _Call, event: CallEnded) -> None:
        outcome = {_STATUS: event.status, _ERROR: event.error}
        _mark(call.span, {name: value for name, value in outcome.items() if value is not None})
        call.span.end()


@define
class _Call:
    """A call under way: its spans, and the attributes that all of its signals share."""

    name: str
    attributes: dict[str, Value]
    span: Span
    context: Context
    attempt: Span = INVALID_SPAN
    waited: float = 0.0


def _mark(span: Span, outcome: Mapping[str, Value]) -> None:
    span.set_attributes(outcome)
    # Who cancels means to; a list left by `break` does it too.
    if outcome.get(_ERROR, "CancelledError") != "CancelledError":
        span.set_status(StatusCode.ERROR)


@lru_cache(maxsize=1024)
def _endpoint(method: str, template: str | None, base_url: str) -> tuple[str, Mapping[str, Value]]:
    """Return the name of the spans, and the attributes of the endpoint."""
    url = urlsplit(base_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    endpoint: dict[str, Value] = {_METHOD: method, _ADDRESS: url.hostname or "", _PORT: port}
    if template is None:
        return method, endpoint
    return f"{method} {template}", {**endpoint, _TEMPLATE: template}


# The reports of other edges are known by their fields: this one imports none of them.


def _outcomes(report: Any) -> Mapping[str, int]:
    """Return how often each outcome stands in what a job returned."""
    if _has(report, _SYNC_REPORT):
        return {name: getattr(report, name) for name in _SYNC_REPORT}
    if _has(report, _ROTATION_REPORT):
        return {name: len(getattr(report, name)) for name in _ROTATION_REPORT}
    if _has(report, ("trunks",)):  # of a provisioning
        return Counter(trunk.state for trunk in report.trunks)
    if _has(report, ("alerts", "error")):  # a poll
        failed = [] if report.error is None else ["failed"]
        return Counter([*(alert.kind for alert in report.alerts), *failed])
    return {}


def _has(report: object, names: Iterable[str]) -> bool:
    return all(hasattr(report, name) for name in names)
