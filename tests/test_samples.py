"""Send every sample of the vendors' pages through the SDK.

Answers become models, arguments become the same requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aioresponses import aioresponses
from yarl import URL

from telepath_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PhoneNumber,
    ProviderCredentialsError,
    Secret,
    TelepathClient,
    Trunk,
    TrunkMetrics,
    TrunkSpec,
)
from telepath_async.models.numbers import AccountConnection, Agent, TelephonyProvider
from telepath_async.models.trunks import AIProvider, TrunkStatus

SAMPLES = Path(__file__).parent / "samples"
BASE = "https://api.telepathvoice.com/v1"
PASSWORD = "s3cur3P@ssw0rd!"
UUID = "550e8400-e29b-41d4-a716-446655440000"
ANY_LIST = re.compile(rf"{re.escape(BASE)}/trunks(\?.*)?$")


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def request_sent(mocked_api: aioresponses) -> tuple[str, URL, Any]:
    ((method, url), (call,)) = next(iter(mocked_api.requests.items()))
    return method, url, json.loads(call.kwargs["data"])


@pytest.fixture
async def telepath() -> AsyncIterator[TelepathClient]:
    async with TelepathClient("sk_live_abc123def456...", base_url=BASE) as client:
        yield client


CREATES = {
    "001_create_trunk_request.json": TrunkSpec.openai(
        "Production OpenAI Agent",
        sip_username="agent-prod-01",
        sip_password=PASSWORD,
        api_key="sk-openai-abc123...",
        system_prompt="You are a helpful customer service agent.",
    ),
    "001_create_openai_request.json": TrunkSpec.openai(
        "OpenAI Realtime Agent",
        sip_username="oai-agent-01",
        sip_password=PASSWORD,
        api_key="sk-openai-abc123...",
        system_prompt="You are a helpful assistant.",
    ),
    "001_create_elevenlabs_request.json": TrunkSpec.elevenlabs(
        "ElevenLabs Sales Agent",
        sip_username="el-sales-01",
        sip_password=PASSWORD,
        api_key="el_api_abc123...",
        agent_id="agent_xyz789...",
    ),
    "001_create_custom_request.json": TrunkSpec.custom(
        "Custom WebSocket Agent",
        sip_username="custom-agent-01",
        sip_password=PASSWORD,
        endpoint="wss://your-agent.example.com/voice",
    ),
}


@pytest.mark.parametrize("name", CREATES)
@pytest.mark.parametrize("by", ["create", "create_many"])
async def test_a_create_and_a_spec_of_each_provider_send_the_pages_request(
    by: str, name: str, telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    mocked_api.post(f"{BASE}/trunks", status=201, body=sample("001_create_trunk_response.json"))
    if by == "create":
        await telepath.trunks.create(**json.loads(sample(name)))
    else:
        (outcome,) = [outcome async for outcome in telepath.trunks.create_many([CREATES[name]])]
        assert outcome.state == "created"
    assert request_sent(mocked_api) == ("POST", URL(f"{BASE}/trunks"), json.loads(sample(name)))


@pytest.mark.parametrize(
    ("status", "name", "trunk"),
    [
        *(
            (
                status,
                "001_create_trunk_response.json",
                Trunk(
                    id="conn_abc123xyz",
                    name="Production OpenAI Agent",
                    status=TrunkStatus.ACTIVE,
                    ai_provider=AIProvider.OPENAI,
                    sip_username="agent-prod-01",
                    sip_endpoint="[email protected]",  # as a mail filter left it
                    created_at=datetime(2024, 3, 10, 12, tzinfo=UTC),
                ),
            )
            for status in (200, 201)
        ),
        (
            201,
            "003_trunk_response.json",  # in an envelope
            Trunk(
                id="trunk_01abc123",
                name="My AI Agent",
                status=TrunkStatus.ACTIVE,
                ai_provider=AIProvider.OPENAI,
                sip_username="trunk_01abc123",
                sip_endpoint="trunk_01abc123@sip.telepathvoice.com",
                created_at=datetime(2026, 3, 10, 12, tzinfo=UTC),
                updated_at=datetime(2026, 3, 10, 12, tzinfo=UTC),
            ),
        ),
    ],
)
async def test_create_reads_the_answers_of_the_pages(
    status: int, name: str, trunk: Trunk, telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    mocked_api.post(f"{BASE}/trunks", status=status, body=sample(name))
    assert await create(telepath) == trunk


async def test_update_sends_the_pages_request_and_reads_its_answer(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    mocked_api.patch(f"{BASE}/trunks/conn_abc123xyz", body=sample("000_update_trunk_response.json"))
    trunk = await telepath.trunks.update(
        "conn_abc123xyz",
        name="Production OpenAI Agent v2",
        system_prompt="You are a knowledgeable support specialist.",
    )
    assert trunk == Trunk(
        id="conn_abc123xyz",
        name="Production OpenAI Agent v2",
        status=TrunkStatus.ACTIVE,
        updated_at=datetime(2024, 3, 10, 15, 30, tzinfo=UTC),
    )
    assert request_sent(mocked_api) == (
        "PATCH",
        URL(f"{BASE}/trunks/conn_abc123xyz"),
        json.loads(sample("000_update_trunk_request.json")),
    )


async def test_list_reads_the_pages_answer(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    mocked_api.get(ANY_LIST, body=sample("002_list_trunks_response.json"))
    page = await anext(telepath.trunks.list(page_size=10, status="active").pages())
    assert list(mocked_api.requests) == [("GET", URL(f"{BASE}/trunks?limit=10&status=active"))]
    assert page.total == 2
    assert page.items == [
        Trunk(
            id="conn_abc123xyz",
            name="Customer Support",
            status=TrunkStatus.ACTIVE,
            ai_provider=AIProvider.OPENAI,
            sip_username="support-01",
            created_at=datetime(2024, 2, 15, 10, 30, tzinfo=UTC),
            updated_at=datetime(2024, 3, 5, 14, 22, 15, tzinfo=UTC),
            metrics=TrunkMetrics(calls_today=142, success_rate=97.2, avg_latency_ms=245),
        ),
        Trunk(
            id="conn_def456abc",
            name="Billing Bot",
            status=TrunkStatus.ACTIVE,
            ai_provider=AIProvider.ELEVENLABS,
            sip_username="billing-bot",
            created_at=datetime(2024, 1, 20, 9, 15, tzinfo=UTC),
            updated_at=datetime(2024, 3, 4, 11, 45, 30, tzinfo=UTC),
            metrics=TrunkMetrics(calls_today=89, success_rate=98.9, avg_latency_ms=312),
        ),
    ]


async def test_the_schemas_placeholders_stand_in_extra_where_they_are_not_times(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    body = sample("002_list_trunks_schema.json").replace(b'"offset": 123', b'"offset": 0')
    mocked_api.get(ANY_LIST, body=body)
    trunk = await telepath.trunks.list().first()
    assert trunk is not None
    assert (trunk.created_at, trunk.extra["created_at"]) == (None, "<string>")


async def test_the_schema_with_times_in_it_is_read(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    body = re.sub(
        rb'(_at": ")<string>', rb"\g<1>2024-03-10T12:00:00Z", sample("002_list_trunks_schema.json")
    )
    body = body.replace(b'"total": 123', b'"total": 1').replace(b'"offset": 123', b'"offset": 0')
    mocked_api.get(ANY_LIST, body=body)
    (trunk,) = await telepath.trunks.list().collect()
    assert (trunk.id, trunk.status, trunk.ai_provider) == ("<string>", "<string>", "<string>")
    assert trunk.metrics == TrunkMetrics(calls_today=123, success_rate=123.0, avg_latency_ms=123)


async def test_list_follows_the_overviews_cursor(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    row = json.dumps(json.loads(sample("003_trunk_response.json"))["data"]).encode()
    mocked_api.get(ANY_LIST, body=sample("003_list_page.txt").replace(b"...", row))
    mocked_api.get(ANY_LIST, payload={"data": [], "next_cursor": None, "has_more": False})
    trunks = await telepath.trunks.list(page_size=20).collect()
    assert [trunk.id for trunk in trunks] == ["trunk_01abc123"]
    assert list(mocked_api.requests) == [
        ("GET", URL(f"{BASE}/trunks?limit=20")),
        ("GET", URL(f"{BASE}/trunks?cursor=trunk_01xyz789&limit=20")),
    ]


async def test_a_number_is_read_as_the_page_shows_it(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    mocked_api.post(
        re.compile(".*/numbers/update.*"), body=sample("004_update_number_response.json")
    )
    assert await telepath.numbers.update("+1234567890", label="My Phone Number") == PhoneNumber(
        id=UUID,
        user_id=UUID,
        number="+1234567890",
        active=True,
        label="My Phone Number",
        inbound_agent_name="Agent Name",
        outbound_only=False,
        example_context={},
        telephony_provider=TelephonyProvider.TWILIO,
        description="Business line for customer service",
        inbound_agent="agent_123",
        telephony_account_connection=UUID,
    )


async def test_an_agents_credentials_and_keywords_go_out_as_given_and_come_back_hidden(
    telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    credentials = json.loads(sample("004_account_connection_credentials.json"))
    keywords = json.loads(sample("004_deepgram_keywords.json"))
    agent = {
        "deepgram_keywords": keywords,
        "telephony_account_connection": {"credentials": credentials},
    }
    mocked_api.post(
        re.compile(".*/numbers/update.*"), payload={"number": "+1234567890", "inbound_agent": agent}
    )
    number = await telepath.numbers.update("+1234567890", inbound_agent=agent)
    assert request_sent(mocked_api)[2] == {"inbound_agent": agent}
    assert number.inbound_agent == Agent(
        deepgram_keywords=keywords,
        telephony_account_connection=AccountConnection(
            credentials={
                "twilio_account_sid": Secret("AC1234567890"),
                "twilio_auth_token": Secret("1234567890"),
            }
        ),
    )


Call = Callable[[TelepathClient], Awaitable[object]]


async def create(telepath: TelepathClient) -> object:
    return await telepath.trunks.create(**json.loads(sample("001_create_trunk_request.json")))


async def update(telepath: TelepathClient) -> object:
    return await telepath.trunks.update("conn_abc123xyz", name="Production OpenAI Agent v2")


async def list_all(telepath: TelepathClient) -> object:
    return await telepath.trunks.list().collect()


async def rotate(telepath: TelepathClient) -> object:
    return await telepath.trunks.rotate_sip_password("trunk_01abc123")


ERRORS: dict[str, tuple[Call, type[APIError]]] = {
    "000_error_404_not_found": (update, NotFoundError),
    "000_error_401_unauthorized": (update, AuthenticationError),
    "001_error_400_missing_required_field": (create, BadRequestError),
    "001_error_400_invalid_sip_username": (create, BadRequestError),
    "001_error_409_conflict": (create, ConflictError),
    "001_error_401_invalid_provider_credentials": (create, ProviderCredentialsError),
    "002_error_401_invalid_api_key": (list_all, AuthenticationError),
    "002_error_400_invalid_params": (list_all, BadRequestError),
    "003_error_404_trunk_not_found": (rotate, NotFoundError),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_of_the_pages_becomes_its_exception(
    name: str, telepath: TelepathClient, mocked_api: aioresponses
) -> None:
    call, kind = ERRORS[name]
    _, _, status, code = name.split("_", 3)
    body = sample(f"{name}.json")
    for method in ("GET", "POST", "PATCH"):
        mocked_api.add(re.compile(".*"), method=method, status=int(status), body=body)
    with pytest.raises(APIError) as caught:
        await call(telepath)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (int(status), code)
    assert caught.value.message == json.loads(body)["error"]["message"]


def test_every_error_sample_is_in_the_table() -> None:
    assert {path.stem for path in SAMPLES.glob("*_error_*.json")} == set(ERRORS)
