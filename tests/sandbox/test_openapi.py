"""Hold the sandbox to its own OpenAPI document, by jsonschema and schemathesis."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import aiohttp
import jsonschema
import pytest
import schemathesis
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from telepath_async.sandbox import Sandbox, openapi
from telepath_async.sandbox import contract_examples as examples
from telepath_async.sandbox.__main__ import main
from telepath_async.sandbox.cursors import encode_cursor
from telepath_async.sandbox.dialect import DIALECTS
from telepath_async.sandbox.handlers import ROUTES

STYLES = ("offset", "cursor")
DOCUMENTS: dict[str, Any] = {style: openapi(style) for style in STYLES}
OPERATIONS = {
    operation["operationId"]: (method.upper(), path)
    for path, methods in DOCUMENTS["offset"]["paths"].items()
    for method, operation in methods.items()
}


class Contract:
    """Judge what is sent and answered by one style's document.

    In answers, nothing undocumented may stand.
    """

    def __init__(self, style: str) -> None:
        self.document = DOCUMENTS[style]
        resource = Resource(contents=_closed(self.document), specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:openapi", resource)

    def operation(self, name: str) -> Any:
        method, path = OPERATIONS[name]
        return self.document["paths"][path][method.lower()]

    def response(self, name: str, status: int) -> Any:
        response = self.operation(name)["responses"][str(status)]
        return (
            self.document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
            if "$ref" in response
            else response
        )

    def check(self, value: Any, content: Any) -> None:
        schema = {"$ref": "urn:openapi" + content["application/json"]["schema"]["$ref"]}
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(
            schema, registry=self._registry, format_checker=checker
        ).validate(value)


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    return (
        {"additionalProperties": False, **closed}
        if "properties" in node and "required" in node
        else closed
    )


def test_the_command_prints_either_document(capsys: pytest.CaptureFixture[str]) -> None:
    for style in STYLES:
        assert main(["--openapi", "--style", style]) == 0
        assert json.loads(capsys.readouterr().out) == DOCUMENTS[style]


@pytest.mark.parametrize("style", STYLES)
async def test_a_sandbox_serves_the_document_of_its_style_to_anyone_and_counts_it_nowhere(
    style: Any,
) -> None:
    async with (
        Sandbox(style=style, calls=0, rate_limit=1) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        sandbox.fail_next(500)
        for _ in range(2):
            async with session.get(sandbox.base_url[:-3] + "/openapi.json") as response:
                assert response.status == 200
                assert await response.json() == DOCUMENTS[style] | {"servers": [{"url": "/v1"}]}
        assert sandbox.requests == []


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=STYLES)
def test_the_document_is_valid_openapi(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    routes = {
        (method, "/" + "/".join(piece or "{}" for piece in pieces))
        for pieces, methods in ROUTES.items()
        for method in methods
    }
    for document in DOCUMENTS.values():
        assert routes == {
            (method.upper(), path.replace("{trunk_id}", "{}").replace("{call_id}", "{}"))
            for path, methods in document["paths"].items()
            for method in methods
        }


@pytest.mark.parametrize("style", STYLES)
def test_every_example_fits_its_schema(style: str) -> None:
    contract, seen = Contract(style), 0
    for name in OPERATIONS:
        operation = contract.operation(name)
        bodies = [contract.response(name, int(status)) for status in operation["responses"]]
        for holder in (*bodies, *filter(None, [operation.get("requestBody")])):
            for example in holder["content"]["application/json"]["examples"].values():
                contract.check(example["value"], holder["content"])
                seen += 1
    assert seen > 50


TRUNK = {"name": "A", "sip_username": "a-1", "sip_password": "12345678"}
OPENAI = TRUNK | {"ai_provider": "openai", "openai_api_key": "sk"}
NEITHER = {"trunk_id": "nobody", "call_id": "nobody"}

# Operation, what is sent (`ids` go into the path), and the answer's status.
EXCHANGES: list[tuple[str, dict[str, Any], int]] = [
    ("listTrunks", {}, 200),
    ("listTrunks", {"params": {"limit": 2, "sort": "created_at", "status": "active"}}, 200),
    ("listTrunks", {"params": {"limit": 0}}, 400),
    ("createTrunk", {"json": OPENAI | {"vad": {"threshold": 0.5}}}, 201),
    ("createTrunk", {"json": OPENAI}, 409),
    ("createTrunk", {"json": TRUNK}, 400),
    ("updateTrunk", {"json": {"name": "New"}}, 200),
    ("updateTrunk", {"json": {"name": ""}}, 400),
    ("updateTrunk", {"json": {}, "ids": NEITHER}, 404),
    ("rotateSipPassword", {}, 200),
    ("rotateSipPassword", {"ids": NEITHER}, 404),
    ("rotatePassword", {}, 200),
    ("rotatePassword", {"ids": NEITHER}, 404),
    ("listCalls", {"params": {"limit": 100}}, 200),
    ("listCalls", {"params": {"limit": 100, "status": "failed"}}, 200),
    ("listCalls", {"params": {"limit": "x"}}, 400),
    ("getCall", {}, 200),
    ("getCall", {"ids": NEITHER}, 404),
    ("getAnalyticsOverview", {}, 200),
    ("getAnalyticsOverview", {"params": {"trunk_id": "nobody"}}, 200),
    ("getAnalyticsOverview", {"params": {"start_date": "x", "from": "x"}}, 400),
    ("updatePhoneNumber", {"params": {"phone_number": "+15550100001"}}, 201),
    (
        "updatePhoneNumber",
        {
            "params": {"phone_number": "+15550100001"},
            "json": {"inbound_agent": {"id": "a", "x": 1}},
        },
        201,
    ),
    ("updatePhoneNumber", {"params": {}}, 400),
    ("updatePhoneNumber", {"params": {"phone_number": "+15559999999"}}, 404),
    *((name, {"headers": {"Authorization": "Bearer wrong"}}, 401) for name in OPERATIONS),
    *((name, {"data": b"x" * (2**20 + 1)}, 413) for name in OPERATIONS),
    *((name, {}, 429) for name in OPERATIONS),
]


@pytest.mark.parametrize("style", STYLES)
async def test_every_answer_is_as_documented(start: Any, style: str) -> None:
    contract, client = Contract(style), await start(style=style)
    throttled = await start(style=style, rate_limit=1)
    await throttled.get("/trunks")
    trunk_id, call_id = next(iter(client.sandbox.trunks)), next(iter(client.sandbox.calls))
    for name, sent, status in EXCHANGES:
        method, path = OPERATIONS[name]
        ids = {"trunk_id": trunk_id, "call_id": call_id} | sent.get("ids", {})
        options = {key: value for key, value in sent.items() if key != "ids"}
        if "data" in options:
            options["data"] = io.BytesIO(options["data"])  # aiohttp warns of large bytes
        caller = throttled if status == 429 else client
        answer = await caller(method, path.format(**ids), **options)
        assert (name, answer.status) == (name, status)
        response = contract.response(name, status)
        contract.check(answer.json, response["content"])
        assert all(header in answer.headers for header in response["headers"])


@pytest.mark.parametrize("style", STYLES)
def test_every_documented_status_is_asked_for(style: str) -> None:
    scripted_only = "500"
    asked = {(name, str(status)) for name, _, status in EXCHANGES}
    documented = {
        (name, status)
        for name in OPERATIONS
        for status in Contract(style).operation(name)["responses"]
    }
    assert asked == {(name, status) for name, status in documented if status != scripted_only}


# From here on, schemathesis: every operation, its examples, and its limits, on a real socket.

schemathesis.openapi.format("cursor", st.integers(0, 2**64 - 1).map(encode_cursor))


def known_ids(style: str) -> dict[str, str]:
    dialect = DIALECTS[style]()
    number = examples.NUMBER["number"]
    return {
        "trunk_id": examples.trunk_id(dialect),
        "call_id": examples.call_id(dialect),
        "phone_number": number,
    }


@contextmanager
def served(style: Any) -> Iterator[Sandbox]:
    """Serve a sandbox that knows the ids of the examples, from a loop of its own.

    schemathesis is synchronous.
    """
    sandbox = Sandbox(style=style, trunks=5, calls=50, rate_limit=1_000_000, seed=1)
    known = known_ids(style)
    sandbox.add_trunk(id=known["trunk_id"])
    sandbox.add_call(id=known["call_id"], trunk_id=known["trunk_id"])
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with sandbox:
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, stop = started.result(timeout=10)
    try:
        yield sandbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[dict[str, Sandbox]]:
    with served("offset") as offset, served("cursor") as cursor:
        yield {"offset": offset, "cursor": cursor}


def stranger(style: str) -> Any:
    generation = {
        "deterministic": True,
        "database": "none",
        "max-examples": 40,
        # `visit` gives the key; the check of ignored keys takes it away by itself.
        "with-security-parameters": False,
    }
    known = known_ids(style)  # most requests should get past the 404
    config = schemathesis.Config.from_dict(
        {
            "generation": generation,
            "dictionaries": {name: {"values": [value]} for name, value in known.items()},
            "parameters": {name: {"dictionary": name, "probability": 0.8} for name in known},
        }
    )
    return schemathesis.openapi.from_dict(DOCUMENTS[style], config=config)


OFFSET, CURSOR = stranger("offset"), stranger("cursor")


@pytest.mark.long
@OFFSET.parametrize()
def test_a_stranger_finds_no_fault_in_offset_style(
    case: Any, sandboxes: dict[str, Sandbox]
) -> None:
    visit(case, sandboxes["offset"])


@pytest.mark.long
@CURSOR.parametrize()
def test_a_stranger_finds_no_fault_in_cursor_style(
    case: Any, sandboxes: dict[str, Sandbox]
) -> None:
    visit(case, sandboxes["cursor"])


def visit(case: Any, sandbox: Sandbox) -> None:
    case.call_and_validate(
        base_url=sandbox.base_url, headers={"Authorization": f"Bearer {sandbox.api_key}"}
    )
