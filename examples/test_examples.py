"""Every example is run against a sandbox, as a user would run it: `nox -s examples`."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from telepath_async import (
    Agent,
    AnalyticsOverview,
    CallDetails,
    PhoneNumber,
    Secret,
    SipCredentials,
    Trunk,
    TrunkStatus,
    Turn,
    to_dict,
)
from telepath_async.sandbox import Sandbox
from tests.support.services import redis_url

__all__ = ["redis_url"]

EXAMPLES = Path(__file__).parent


async def run(sandbox: Sandbox, name: str, *arguments: str, **more: str) -> str:
    environment = {
        **os.environ,
        "TELEPATH_API_KEY": sandbox.api_key,
        "TELEPATH_BASE_URL": sandbox.base_url,
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(EXAMPLES / name),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def test_every_example_is_run_here_and_no_longer_than_70_lines() -> None:
    tests = Path(__file__).read_text()
    for example in set(EXAMPLES.glob("*.py")) - {Path(__file__)}:
        assert example.name in tests or f"from {example.stem} import" in tests
        assert len(example.read_text().splitlines()) <= 70, example.name


@pytest.mark.parametrize("style", ["offset", "cursor"])
async def test_quickstart_lists_creates_and_shows_calls(style: str) -> None:
    async with Sandbox(style=style) as sandbox:
        lines = (await run(sandbox, "quickstart.py")).splitlines()
        assert len(lines) == 11
        assert lines[5].startswith("created ")
        assert "already exists" in (await run(sandbox, "quickstart.py"))


async def test_batch_create_changes_nothing_when_run_again(telepath_sandbox: Sandbox) -> None:
    assert await run(telepath_sandbox, "batch_create.py") == "40 created\n"
    assert await run(telepath_sandbox, "batch_create.py") == "40 exists\n"


async def test_sync_calls_takes_over_only_what_is_new_the_second_time(
    telepath_sandbox: Sandbox, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path}/calls.db"
    assert "1,000 inserted, 0 updated" in await run(
        telepath_sandbox, "sync_calls.py", DATABASE_URL=database
    )
    telepath_sandbox.add_call()
    assert "1 inserted, 0 updated" in await run(
        telepath_sandbox, "sync_calls.py", DATABASE_URL=database
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
async def test_export_calls_writes_a_file(
    telepath_sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"calls.{kind}"
    told = await run(telepath_sandbox, "export_calls.py", str(path))
    assert f"1,000 rows, {path.stat().st_size:,} bytes in {path}" in told


async def test_provision_finds_its_trunks_the_second_time(
    telepath_sandbox: Sandbox, tmp_path: Path
) -> None:
    vault = str(tmp_path / "vault")
    assert (await run(telepath_sandbox, "provision.py", VAULT=vault)).count(" created") == 3
    assert (await run(telepath_sandbox, "provision.py", VAULT=vault)).count(" exists") == 3


async def test_rotate_passwords_tells_the_carrier_of_each_and_does_not_rotate_again(
    telepath_sandbox: Sandbox, tmp_path: Path
) -> None:
    journal = str(tmp_path / "rotation.ndjson")
    first = await run(telepath_sandbox, "rotate_passwords.py", ROTATION_JOURNAL=journal)
    count = first.count("the carrier has the new password of")
    assert count > 0
    assert f"{count} rotated, 0 were" in first
    assert f"0 rotated, {count} were" in await run(
        telepath_sandbox, "rotate_passwords.py", ROTATION_JOURNAL=journal
    )


async def test_watch_latency_alerts_once(telepath_sandbox: Sandbox, tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    assert "crossed: avg_ai_latency_ms" in await run(
        telepath_sandbox, "watch_latency.py", "--once", ALERT_STATE=state
    )
    assert "alerts: 0" in await run(
        telepath_sandbox, "watch_latency.py", "--once", ALERT_STATE=state
    )


async def test_several_processes_share_one_limit(telepath_sandbox: Sandbox, redis_url: str) -> None:
    output = await run(
        telepath_sandbox,
        "several_processes.py",
        "--processes",
        "2",
        "--seconds",
        "6",
        REDIS_URL=redis_url,
    )
    *_, together = output.splitlines()
    assert output.count("requests\n") == 2
    assert int(together.split()[1]) > 50
    assert int(together.split()[-3]) <= 630  # answers bunch up on a busy machine; places do not


async def test_fastapi_app_serves_and_says_503_when_throttled(
    telepath_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEPATH_API_KEY", telepath_sandbox.api_key)
    monkeypatch.setenv("TELEPATH_BASE_URL", telepath_sandbox.base_url)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from fastapi_app import app, lifespan

    transport = httpx.ASGITransport(app)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as browser,
    ):
        listed = (await browser.get("/trunks")).json()
        assert len(listed) > 5
        found = await browser.get(f"/trunks/{listed[0]['sip_username']}")
        assert (found.status_code, found.json()) == (200, listed[0])
        assert (await browser.get("/trunks/nobody")).json() is None
        call_id = next(iter(telepath_sandbox.calls))
        shown = (await browser.get(f"/calls/{call_id}")).json()
        assert (shown["id"], shown["turns"][0]["turn_number"]) == (call_id, 1)
        assert (await browser.get("/calls/unknown")).status_code == 404
        schema = (await browser.get("/openapi.json")).json()
        trunk = schema["paths"]["/trunks/{sip_username}"]["get"]["responses"]["200"]["content"]
        assert "sip_endpoint" in json.dumps(trunk | schema.get("components", {}))

        telepath_sandbox.fail_next(status=429, headers={"Retry-After": "60"})
        answer = await browser.get("/trunks")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"


MODELS = {
    Trunk: Trunk(
        id="conn_1",
        status=TrunkStatus("brand_new"),
        sip_password=Secret("needle"),
        created_at=datetime(2026, 3, 10, 12, tzinfo=UTC),
        extra={"region": "eu", "api_key": Secret("needle")},
    ),
    CallDetails: CallDetails(id="call_1", turns=(Turn(turn_number=1),)),
    SipCredentials: SipCredentials(sip_password=Secret("needle")),
    AnalyticsOverview: AnalyticsOverview(success_rate=97.5),
    PhoneNumber: PhoneNumber(
        number="+15550100001",
        inbound_agent=Agent(language="en", actions=["action_1"], deepgram_keywords={"a": "10"}),
    ),
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
async def test_fastapi_answers_with_a_model_as_it_stands_and_describes_it(model: type) -> None:
    app = FastAPI()

    @app.get("/bare")
    async def bare():
        return MODELS[model]

    @app.get("/typed")
    async def typed() -> model:
        return MODELS[model]

    @app.get("/many")
    async def many() -> list[model]:
        return [MODELS[model]]

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as browser:
        answers = [await browser.get(f"/{name}") for name in ("bare", "typed", "many")]
        schema = (await browser.get("/openapi.json")).json()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    plain = to_dict(MODELS[model])
    assert [answer.json() for answer in answers] == [plain, plain, [plain]]
    assert "needle" not in answers[0].text
    answer = schema["paths"]["/typed"]["get"]["responses"]["200"]["content"]["application/json"]
    described = resolved(answer["schema"], schema)
    assert described["properties"].keys() == plain.keys()
    jsonschema.validate(plain, described | {"components": schema.get("components", {})})


def resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    return schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
