"""Check every call of the public face, and its type, by mypy --strict and basedpyright.

This file is checked and never run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, assert_type

import aiohttp

from telepath_async import (
    UNSET,
    Agent,
    AIProvider,
    AnalyticsOverview,
    APIError,
    Call,
    CallDetails,
    CallDirection,
    CallEnded,
    CallStatus,
    Drift,
    Event,
    Limiter,
    LocalLimiter,
    OddValue,
    OutcomeUnknown,
    Page,
    Paginator,
    PhoneNumber,
    RateLimit,
    RejectedRow,
    Response,
    ResponseError,
    ResponseReceived,
    RetryPolicy,
    Secret,
    SipCredentials,
    TelepathClient,
    TelepathError,
    ThrottledError,
    TransportError,
    Trunk,
    TrunkOutcome,
    TrunkSpec,
    TrunkStatus,
    Turn,
    UsageError,
    to_dict,
)
from telepath_async.otel import Telemetry

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def listener(event: Event) -> None:
    assert_type(event.attempt, int)
    assert_type(event.call, int)
    if isinstance(event, ResponseReceived):
        assert_type(event.seconds, float)
        assert_type(event.remaining, int | None)
        assert_type(event.request_id, str | None)
    if isinstance(event, CallEnded):
        assert_type(event.status, int | None)
        assert_type(event.error, str | None)


async def seen() -> None:
    telemetry = Telemetry(
        tracer_provider=None, meter_provider=None, attributes={"tenant": "acme", "shard": 3}
    )
    async with TelepathClient(on_event=telemetry) as telepath:
        assert_type(await telemetry.job("find", telepath.trunks.find("desk")), Trunk | None)


class OwnLimiter:
    """A limiter is anything with these three."""

    async def acquire(
        self,
        *,
        priority: Literal["interactive", "bulk"] = "interactive",
        max_wait: float | None = None,
    ) -> float:
        return 0.0

    def observe(self, headers: Mapping[str, str]) -> None: ...

    def bind(self, key_id: str) -> None: ...


async def client() -> None:
    limiter: Limiter = OwnLimiter()
    async with aiohttp.ClientSession() as session, TelepathClient() as telepath:
        assert_type(telepath, TelepathClient)
        TelepathClient(
            "sk_live_x",
            base_url="https://api.telepathvoice.com/v1",
            timeout=None,
            attempt_timeout=5,
            retry=RetryPolicy(
                max_attempts=1, backoff=0.5, backoff_cap=20.0, max_wait=60.0, budget=500
            ),
            limiter=limiter,
            session=session,
            proxy="http://proxy.example.com",
            trust_env=True,
            max_response_bytes=1_000_000,
            numbers_base_url="https://api.fluents.ai/v1",
            numbers_api_key=Secret("x"),
            on_event=listener,
        )
        TelepathClient(limiter=LocalLimiter(limit=6000, period=60.0, burst=None), on_event=print)
        bulk = telepath.with_options(
            timeout=None,
            attempt_timeout=1.0,
            retry=RetryPolicy(),
            max_wait=None,
            priority="bulk",
            headers={"X": "1"},
        )
        assert_type(bulk, TelepathClient)
        response = await telepath.request("GET", "/new", params={"a": 1}, json={"b": [2]})
        assert_type(response, Response)
        assert_type(response.status, int)
        assert_type(response.headers, Mapping[str, str])
        assert_type(response.request_id, str | None)
        assert_type(response.body, bytes)
        assert_type(telepath.rate_limit, RateLimit | None)
        await telepath.aclose()


async def lists(telepath: TelepathClient) -> None:
    trunks = telepath.trunks.list(
        status="active",
        sort="-created_at",
        page_size=100,
        max_items=None,
        prefetch=0,
        resume=None,
        overlap=0,
    )
    assert_type(trunks, Paginator[Trunk])
    calls = telepath.calls.list(
        trunk_id="conn_1", status=CallStatus.COMPLETED, direction=CallDirection.INBOUND,
        since=MARCH, until=MARCH, page_size=100, max_items=10, prefetch=2, resume=trunks.checkpoint,
    )  # fmt: skip
    assert_type(calls, Paginator[Call])
    async for call in calls:
        assert_type(call, Call)
        assert_type(call.start_time, datetime | None)
        assert_type(call.from_number, str | None)
        assert_type(call.status, CallStatus | None)
    assert_type(calls.pages(), AsyncIterator[Page[Call]])
    async for page in calls.pages():
        assert_type(page.items, list[Call])
        assert_type(page.total, int | None)
        assert_type(page.number, int)
        assert_type(page.raw, Response)
        assert_type(page.rejected, tuple[RejectedRow, ...])
        assert_type(page.odd, tuple[OddValue, ...])
        assert_type(to_dict(page), dict[str, Any])
    assert_type(await trunks.collect(), list[Trunk])
    assert_type(await trunks.first(), Trunk | None)
    assert_type(trunks.checkpoint, str)
    assert_type(trunks.drift, Drift)
    first_page = await trunks
    assert_type(first_page, Page[Trunk])
    assert_type(first_page.checkpoint, str)
    assert_type(first_page.drift, Drift)
    for _ in trunks:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


async def trunks(telepath: TelepathClient) -> None:
    trunk = await telepath.trunks.create(
        name="Sales",
        ai_provider="openai",
        sip_username="sales-01",
        sip_password=Secret("s3cur3P@ssw0rd!"),
        openai_api_key="sk-…",
        extra={"language": "en"},
    )
    assert_type(trunk, Trunk)
    assert_type(trunk.id, str)
    assert_type(trunk.status, TrunkStatus)
    assert_type(trunk.ai_provider, AIProvider | None)
    assert_type(trunk.metrics.success_rate, float | None)
    assert_type(trunk.created_at, datetime | None)
    assert_type(trunk.extra, dict[str, Any])
    assert_type(await telepath.trunks.find("sales-01"), Trunk | None)
    assert_type(
        await telepath.trunks.update(
            trunk.id,
            name="New",
            system_prompt=None,
            custom_endpoint=UNSET,
            vad={"threshold": 0.5},
            extra={"language": "en"},
        ),
        Trunk,
    )
    credentials = await telepath.trunks.rotate_sip_password(trunk.id)
    assert_type(credentials, SipCredentials)
    assert_type(credentials.sip_password, Secret)
    assert_type(credentials.sip_password.reveal(), str)


async def many(telepath: TelepathClient) -> None:
    specs: list[TrunkSpec | dict[str, Any]] = [
        TrunkSpec.openai("A", sip_username="a", sip_password="s3cur3P@ss", api_key="sk"),
        TrunkSpec.elevenlabs(
            "B", sip_username="b", sip_password="s3cur3P@ss", api_key="el", agent_id="agent"
        ),
        TrunkSpec.custom(
            "C", sip_username="c", sip_password=Secret("s3cur3P@ss"), endpoint="wss://a.example.com"
        ),
        TrunkSpec(
            name="D",
            ai_provider=AIProvider.OPENAI,
            sip_username="d",
            sip_password="s3cur3P@ss",
            openai_api_key="sk",
        ),
        {"name": "E"},
    ]
    batch: AsyncIterator[TrunkOutcome] = telepath.trunks.create_many(
        specs, concurrency=5, if_exists="skip"
    )
    async for outcome in batch:
        assert_type(outcome.index, int)
        assert_type(outcome.spec, TrunkSpec)
        assert_type(outcome.trunk, Trunk | None)
        error: TelepathError | None = outcome.error
        assert_type(outcome.state, Literal["created", "exists", "failed", "unknown"])
        if outcome.state == "created" or outcome.state == "exists":
            assert_type(outcome.trunk, Trunk)
            assert_type(outcome.error, None)
        elif outcome.state == "failed":
            assert_type(outcome.error, TelepathError)
            assert_type(outcome.trunk, None)
        else:
            assert_type(outcome.error, OutcomeUnknown)
        match outcome.state:
            case "created":
                assert_type(outcome.trunk, Trunk)
            case "failed":
                assert_type(outcome.error, TelepathError)
            case _:
                pass
        if error is None:
            assert_type(outcome.trunk, Trunk | None)


async def the_rest(telepath: TelepathClient) -> None:
    call = await telepath.calls.get("call_1")
    assert_type(call, CallDetails)
    assert_type(call.turns, tuple[Turn, ...])
    assert_type(call.metrics.codec_used, str | None)
    overview = await telepath.analytics.overview(since=MARCH, until=MARCH, trunk_id="conn_1")
    assert_type(overview, AnalyticsOverview)
    assert_type(overview.total_calls, int | None)
    number = await telepath.numbers.update(
        "+15550100001",
        label="Sales",
        outbound_only=False,
        description=None,
        example_context={"customer": "Ada"},
        inbound_agent=Agent(name="Ada"),
    )
    assert_type(number, PhoneNumber)
    assert_type(number.inbound_agent, str | Agent | None)


async def failures(telepath: TelepathClient) -> None:
    try:
        await asyncio.gather(telepath.trunks.find("a"), telepath.calls.get("b"))
    except OutcomeUnknown as error:
        assert_type((error.operation, error.subject, error.sent), tuple[str, str, bool])
    except TransportError as error:
        assert_type(error.sent, bool)
    except ThrottledError as error:
        assert_type(error.retry_after, float)
    except ResponseError as error:
        assert_type((error.status, error.raw), tuple[int, bytes])
    except APIError as error:
        assert_type((error.status, error.code, error.message), tuple[int, str | None, str])
        assert_type((error.request_id, error.retry_after), tuple[str | None, float | None])
        assert_type(error.headers, dict[str, str])
    except UsageError as error:
        assert_type(error, UsageError)


async def mistakes(telepath: TelepathClient) -> None:
    """Make mistakes that the type checkers must refuse: an unneeded ignore is an error."""
    telepath.trunks.list("active")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    telepath.calls.list(since="2026-03-01")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await telepath.trunks.update("a", openai_key="sk")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spec: Any = {}
    await telepath.trunks.create(**spec, system_promt="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    telepath.trunks.create_many([], if_exists="maybe")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    telepath.with_options(priority="urgent")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    password: str = (await telepath.trunks.rotate_sip_password("a")).sip_password  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del password
