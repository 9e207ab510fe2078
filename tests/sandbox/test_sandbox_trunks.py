from typing import Any

import pytest

CREATED_OFFSET = [
    "id", "name", "status", "ai_provider", "sip_username", "sip_endpoint", "created_at",
]  # fmt: skip
CREATED_CURSOR = [
    "id", "name", "provider", "sip_endpoint", "sip_username", "status", "created_at", "updated_at",
]  # fmt: skip


async def test_offset_list_is_bare_with_pagination_and_metrics(offset: Any) -> None:
    answer = await offset.get("/trunks", limit=2)
    assert answer.status == 200
    assert answer.json["pagination"] == {"limit": 2, "offset": 0, "total": 25}
    trunk = answer.json["trunks"][0]
    assert list(trunk) == [*CREATED_OFFSET, "updated_at", "metrics"]
    assert trunk["id"].startswith("conn_")
    assert trunk["sip_endpoint"] == f"{trunk['sip_username']}@sip.telepathvoice.com"


async def test_cursor_list_is_enveloped(cursor: Any) -> None:
    answer = await cursor.get("/trunks", limit=25)
    assert list(answer.json) == ["data", "next_cursor", "has_more"]
    assert answer.json["next_cursor"] is None
    assert answer.json["has_more"] is False
    trunk = answer.json["data"][0]
    assert list(trunk) == CREATED_CURSOR
    assert trunk["id"].startswith("trunk_01")
    assert trunk["sip_endpoint"] == "sip.telepathvoice.com"


async def test_trunks_come_newest_first_unless_sorted_otherwise(cursor: Any) -> None:
    newest_first = await cursor.walk("/trunks", limit=7)
    oldest_first = await cursor.walk("/trunks", limit=7, sort="created_at")
    assert oldest_first == newest_first[::-1]
    assert [trunk["created_at"] for trunk in newest_first] == sorted(
        (trunk["created_at"] for trunk in newest_first), reverse=True
    )
    assert await cursor.walk("/trunks", sort="-created_at") == newest_first


async def test_offset_walk_in_ascending_order_sees_every_trunk_once(offset: Any) -> None:
    pages = [
        (await offset.get("/trunks", sort="created_at", limit=10, offset=skip)).json
        for skip in (0, 10, 20, 30)
    ]
    ids = [trunk["id"] for page in pages for trunk in page["trunks"]]
    assert ids == list(offset.sandbox.trunks)[::-1]


async def test_an_unknown_sort_is_refused(either: Any) -> None:
    assert (await either.get("/trunks", sort="name")).status == 400


async def test_status_filter_selects(offset: Any) -> None:
    inactive = offset.sandbox.add_trunk(status="inactive")["id"]
    trunks = (await offset.get("/trunks", status="inactive", limit=100)).json["trunks"]
    assert trunks[0]["id"] == inactive
    assert {trunk["status"] for trunk in trunks} == {"inactive"}
    assert (await offset.get("/trunks", status="bogus")).json["trunks"] == []


async def test_metrics_are_those_of_the_last_day_of_calls(start: Any) -> None:
    client = await start(trunks=2, calls=0)
    busy, idle = client.sandbox.trunks
    client.sandbox.add_call(trunk_id=busy, status="connected", ai_latency_ms=200)
    client.sandbox.add_call(trunk_id=busy, status="failed", ai_latency_ms=301)
    client.sandbox.add_call(trunk_id=busy, start_time="2020-01-01T00:00:00Z")
    metrics = {
        trunk["id"]: trunk["metrics"] for trunk in (await client.get("/trunks")).json["trunks"]
    }
    assert metrics[busy] == {"calls_today": 2, "success_rate": 50.0, "avg_latency_ms": 250}
    assert metrics[idle] == {"calls_today": 0, "success_rate": 0.0, "avg_latency_ms": 0}


async def test_created_trunk_is_shown_in_offset_style(offset: Any, spec: dict[str, str]) -> None:
    answer = await offset.post("/trunks", spec)
    assert answer.status == 201
    assert list(answer.json) == CREATED_OFFSET
    assert answer.json["ai_provider"] == "openai"
    assert answer.json["sip_endpoint"] == "agent-prod-01@sip.telepathvoice.com"


@pytest.mark.parametrize("provider_field", ["provider", "ai_provider"])
async def test_created_trunk_is_shown_in_cursor_style(
    cursor: Any, spec: dict[str, str], provider_field: str
) -> None:
    spec[provider_field] = spec.pop("ai_provider")
    answer = await cursor.post("/trunks", spec)
    assert answer.status == 201
    assert list(answer.json["data"]) == CREATED_CURSOR
    assert answer.json["data"]["provider"] == "openai"


async def test_created_trunk_stands_first_in_the_list_and_can_register(
    either: Any, spec: dict[str, str]
) -> None:
    trunk_id = (await either.post("/trunks", spec)).data["id"]
    assert next(iter(either.sandbox.trunks)) == trunk_id
    assert either.sandbox.sip_login("agent-prod-01", "s3cur3P@ssw0rd!")
    assert either.sandbox.trunks[trunk_id]["openai_api_key"] == "sk-openai-abc123"


@pytest.mark.parametrize(
    "spec",
    [
        {"ai_provider": "elevenlabs", "elevenlabs_api_key": "el", "elevenlabs_agent_id": "agent_1"},
        {"ai_provider": "custom", "custom_endpoint": "wss://agent.example.com/voice"},
    ],
)
async def test_every_provider_can_be_created(offset: Any, spec: dict[str, str]) -> None:
    own = {"name": "A", "sip_username": "a-1", "sip_password": "12345678"}
    answer = await offset.post("/trunks", own | spec)
    assert (answer.status, answer.json["ai_provider"]) == (201, spec["ai_provider"])


MISSING, INVALID = "missing_required_field", "INVALID_PARAMS"
CUSTOM_ON_HTTP = {"ai_provider": "custom", "custom_endpoint": "https://x"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"name": None}, MISSING, "name is required"),
        ({"ai_provider": ""}, MISSING, "ai_provider is required"),
        ({"sip_username": None}, MISSING, "sip_username is required"),
        ({"sip_password": None}, MISSING, "sip_password is required"),
        ({"openai_api_key": ""}, MISSING, "openai_api_key is required"),
        (
            {"ai_provider": "elevenlabs", "elevenlabs_api_key": "k"},
            MISSING,
            "elevenlabs_agent_id is required",
        ),
        ({"ai_provider": "custom"}, MISSING, "custom_endpoint is required"),
        (
            {"sip_username": "agent_1"},
            "invalid_sip_username",
            "sip_username may only contain alphanumeric characters and hyphens",
        ),
        ({"sip_username": "agént"}, "invalid_sip_username", None),
        ({"sip_password": "1234567"}, INVALID, "sip_password must be at least 8 characters"),
        ({"name": 5}, INVALID, "name must be a string"),
        ({"system_prompt": ["x"]}, INVALID, "system_prompt must be a string"),
        ({"ai_provider": "acme"}, INVALID, "ai_provider must be one of openai, elevenlabs, custom"),
        (CUSTOM_ON_HTTP, INVALID, "custom_endpoint must be a wss:// URL"),
    ],
)
async def test_a_bad_create_is_refused_in_the_seeds_words(
    offset: Any, spec: dict[str, Any], change: dict[str, Any], code: str, message: str | None
) -> None:
    answer = await offset.post("/trunks", spec | change)
    assert (answer.status, answer.code) == (400, code)
    assert message in (None, answer.json["error"]["message"])
    assert len(offset.sandbox.trunks) == 25


async def test_a_key_that_the_provider_refuses_is_refused(
    offset: Any, spec: dict[str, Any]
) -> None:
    answer = await offset.post("/trunks", spec | {"openai_api_key": "sk-invalid"})
    assert (answer.status, answer.code) == (401, "invalid_provider_credentials")
    message = "The provided openai_api_key could not be validated"
    assert answer.json["error"]["message"] == message
    assert len(offset.sandbox.trunks) == 25


async def test_a_taken_sip_username_is_a_conflict(either: Any, spec: dict[str, str]) -> None:
    await either.post("/trunks", spec)
    answer = await either.post("/trunks", spec | {"name": "Another"})
    assert answer.status == 409
    message = "A trunk with sip_username 'agent-prod-01' already exists"
    assert answer.json == _error("conflict", message, status=409)


async def test_a_removed_trunk_frees_its_sip_username(either: Any, spec: dict[str, str]) -> None:
    trunk = either.sandbox.add_trunk(sip_username="agent-prod-01")
    either.sandbox.remove_trunk(trunk["id"])
    assert trunk["id"] not in either.sandbox.trunks
    assert (await either.post("/trunks", spec)).status == 201


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[1]", b"null", b'{"name": NaN}', b"[" * 100_000,
        b'{"name": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
async def test_a_body_that_is_no_json_object_is_refused(either: Any, body: bytes) -> None:
    assert (await either("POST", "/trunks", data=body)).status == 400


async def test_what_could_not_be_shown_again_is_refused(either: Any) -> None:
    url = f"{either.sandbox.base_url}/trunks"
    session, trunk_id = either.session, next(iter(either.sandbox.trunks))
    read_as_infinity = b'{"vad": 1e400}'
    async with session.patch(f"{url}/{trunk_id}", data=read_as_infinity) as response:
        assert response.status == 400
    for depth in range(900, 1200):  # where Python gives up depends on the stack
        nested = b'{"vad":' + b"[" * depth + b"]" * depth + b"}"
        async with session.patch(f"{url}/{trunk_id}", data=nested) as response:
            refused = response.status == 400
        async with session.get(url) as response:
            assert response.status == 200
        if refused:
            break


async def test_update_changes_just_what_is_sent(offset: Any) -> None:
    trunk_id, before = next(iter(offset.sandbox.trunks.items()))
    answer = await offset("PATCH", f"/trunks/{trunk_id}", json={"name": "New"})
    assert answer.status == 200
    assert list(answer.json) == ["id", "name", "status", "updated_at"]
    after = offset.sandbox.trunks[trunk_id]
    assert after == before | {"name": "New", "updated_at": answer.json["updated_at"]}
    assert after["updated_at"] > before["updated_at"]


async def test_update_shows_the_whole_trunk_in_cursor_style(cursor: Any) -> None:
    trunk_id = next(iter(cursor.sandbox.trunks))
    answer = await cursor("PATCH", f"/trunks/{trunk_id}", json={"name": "New"})
    assert list(answer.json["data"]) == CREATED_CURSOR


async def test_update_keeps_unknown_fields_and_shows_them(either: Any) -> None:
    trunk_id = next(iter(either.sandbox.trunks))
    vad = {"threshold": 0.5}
    await either("PATCH", f"/trunks/{trunk_id}", json={"vad": vad})
    page = (await either.get("/trunks")).json
    shown = {trunk["id"]: trunk for trunk in page.get("trunks", page.get("data"))}
    assert shown[trunk_id]["vad"] == vad


async def test_update_changes_no_read_only_field(either: Any) -> None:
    trunk_id, before = next(iter(either.sandbox.trunks.items()))
    read_only = dict.fromkeys(
        ("id", "status", "ai_provider", "provider", "sip_username", "sip_password"), "x"
    )
    assert (await either("PATCH", f"/trunks/{trunk_id}", json=read_only)).status == 200
    assert either.sandbox.trunks[trunk_id] | {"updated_at": before["updated_at"]} == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 400),
        ({"name": None}, 400),
        ({"system_prompt": 5}, 400),
        ({"custom_endpoint": "ws://x"}, 400),
        ({"elevenlabs_api_key": "invalid"}, 401),
        ([], 400),
    ],
)
async def test_a_bad_update_is_refused(either: Any, body: Any, status: int) -> None:
    trunk_id, before = next(iter(either.sandbox.trunks.items()))
    assert (await either("PATCH", f"/trunks/{trunk_id}", json=body)).status == status
    assert either.sandbox.trunks[trunk_id] == before


async def test_no_answer_shows_a_secret(either: Any, spec: dict[str, str]) -> None:
    created = await either.post("/trunks", spec)
    path, change = f"/trunks/{created.data['id']}", {"openai_api_key": "sk-new"}
    answers = (created, await either("PATCH", path, json=change), await either.get("/trunks"))
    shown = str([answer.json for answer in answers])
    assert not any(secret in shown for secret in ("s3cur3P@ssw0rd!", "sk-openai-abc123", "sk-new"))


@pytest.mark.parametrize("spelling", ["rotate-sip-password", "rotate-password"])
async def test_rotation_kills_the_old_password_at_once(either: Any, spelling: str) -> None:
    trunk_id, trunk = next(iter(either.sandbox.trunks.items()))
    assert either.sandbox.sip_login(trunk["sip_username"], trunk["sip_password"])
    answer = await either.post(f"/trunks/{trunk_id}/{spelling}")
    shown = answer.data
    assert answer.status == 200
    assert list(shown) == ["id", "sip_username", "sip_password", "rotated_at"]
    assert shown["sip_password"] == either.sandbox.sip_password(trunk_id) != trunk["sip_password"]
    assert not either.sandbox.sip_login(trunk["sip_username"], trunk["sip_password"])
    assert either.sandbox.sip_login(trunk["sip_username"], shown["sip_password"])


def _error(code: str, message: str, **status: int) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **status}}


async def test_an_unknown_trunk_is_not_found_in_offset_style(offset: Any) -> None:
    updated = await offset("PATCH", "/trunks/conn_abc123xyz", json={})
    rotated = await offset.post("/trunks/conn_abc123xyz/rotate-sip-password")
    assert updated.status == rotated.status == 404
    assert updated.json == _error("not_found", "Trunk 'conn_abc123xyz' not found", status=404)
    assert rotated.json == _error("TRUNK_NOT_FOUND", "Trunk 'conn_abc123xyz' not found")


async def test_an_unknown_trunk_is_not_found_in_cursor_style(cursor: Any) -> None:
    updated = await cursor("PATCH", "/trunks/trunk_01abc123", json={})
    rotated = await cursor.post("/trunks/trunk_01abc123/rotate-sip-password")
    message = "No trunk with ID 'trunk_01abc123' exists in your account."
    assert updated.status == rotated.status == 404
    assert updated.json == rotated.json == _error("trunk_not_found", message, status=404)


async def test_an_encoded_slash_stays_inside_the_id(offset: Any) -> None:
    answer = await offset.post("/trunks/a%2Fb/rotate-sip-password")
    assert answer.json["error"]["message"] == "Trunk 'a/b' not found"


async def test_added_trunks_must_be_new(offset: Any) -> None:
    trunk = offset.sandbox.add_trunk(id="conn_mine", sip_username="mine")
    assert trunk == offset.sandbox.trunks["conn_mine"]
    with pytest.raises(ValueError, match="conn_mine"):
        offset.sandbox.add_trunk(id="conn_mine")
    with pytest.raises(ValueError, match="sip_username 'mine'"):
        offset.sandbox.add_trunk(sip_username="mine")


async def test_a_trunk_looked_up_is_a_copy(offset: Any) -> None:
    trunk_id = next(iter(offset.sandbox.trunks))
    offset.sandbox.trunks[trunk_id]["name"] = "changed"
    assert offset.sandbox.trunks[trunk_id]["name"] != "changed"


async def test_unknown_trunks_raise_key_error_in_process(offset: Any) -> None:
    for look_up in (offset.sandbox.remove_trunk, offset.sandbox.sip_password):
        with pytest.raises(KeyError):
            look_up("conn_nobody")
    assert not offset.sandbox.sip_login("nobody", "")
