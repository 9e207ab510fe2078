"""A plain aiohttp client of a sandbox: nothing of the SDK takes part in these tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import attrs
import pytest

from telepath_async.sandbox import Sandbox


@attrs.frozen
class Answer:
    status: int
    headers: Any
    json: Any

    @property
    def data(self) -> Any:
        """One object, in either style."""
        return self.json.get("data", self.json)

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code


@attrs.frozen
class Caller:
    """Send requests with the sandbox's key.

    Each has a fresh connection, so that aiohttp resends nothing by itself.
    """

    sandbox: Sandbox
    session: aiohttp.ClientSession

    async def __call__(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(
            method, self.sandbox.base_url + path, **options
        ) as response:
            return Answer(response.status, response.headers, await response.json())

    async def get(self, path: str, **params: Any) -> Answer:
        return await self("GET", path, params=params)

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self("POST", path, json=body)

    async def walk(self, path: str, **params: Any) -> list[Any]:
        """Follow `next_cursor` to the end; return all items."""
        page = (await self.get(path, **params)).json
        items = list(page["data"])
        while page["next_cursor"] is not None:
            page = (await self.get(path, **params | {"cursor": page["next_cursor"]})).json
            items += page["data"]
        return items


Start = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a sandbox with the options given, and return a client of it."""
    async with AsyncExitStack() as stack:

        async def starting(**options: Any) -> Caller:
            sandbox = await stack.enter_async_context(Sandbox(**options))
            headers = {"Authorization": f"Bearer {sandbox.api_key}"}
            connector = aiohttp.TCPConnector(force_close=True)
            session = aiohttp.ClientSession(headers=headers, connector=connector)
            return Caller(sandbox, await stack.enter_async_context(session))

        yield starting


@pytest.fixture
async def offset(start: Start) -> Caller:
    return await start(style="offset", calls=250)


@pytest.fixture
async def cursor(start: Start) -> Caller:
    return await start(style="cursor", calls=250)


@pytest.fixture(params=["offset", "cursor"])
async def either(request: pytest.FixtureRequest, start: Start) -> Caller:
    return await start(style=request.param, calls=250)


@pytest.fixture
def spec() -> dict[str, str]:
    """The body of seed 001's example."""
    return {
        "name": "Production OpenAI Agent",
        "ai_provider": "openai",
        "sip_username": "agent-prod-01",
        "sip_password": "s3cur3P@ssw0rd!",
        "openai_api_key": "sk-openai-abc123",
        "system_prompt": "You are a helpful customer service agent.",
    }
