"""Test trunks over a real socket: what is sent, what comes back, and lost answers."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from telepath_async import (
    UNSET,
    NotFoundError,
    OutcomeUnknown,
    PagingError,
    Secret,
    ServerError,
    TelepathClient,
    UsageError,
)
from telepath_async.protocol.messages import Request
from telepath_async.sandbox import RecordedRequest, Sandbox
from telepath_async.session import Session
from tests.support.hostile import Hostile, Step, reply
from tests.support.totals import overstate_total

SPEC: dict[str, Any] = {
    "name": "Production OpenAI Agent",
    "ai_provider": "openai",
    "sip_username": "agent-prod-01",
    "sip_password": "s3cur3P@ssw0rd!",
    "openai_api_key": "sk-openai-abc123",
}


def sent(sandbox: Sandbox, method: str, path: str = "") -> list[RecordedRequest]:
    return [
        request
        for request in sandbox.requests
        if request.method == method and request.path.endswith(path)
    ]


@pytest.fixture
def known(sandbox: Sandbox) -> str:
    """The id of a trunk that exists."""
    return next(iter(sandbox.trunks))


class TestList:
    async def test_status_and_sort_are_sent_as_they_are_given(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.add_trunk(sip_username="off", status="inactive")
        trunks = await telepath.trunks.list(status="inactive", sort="-created_at").collect()
        assert "off" in [trunk.sip_username for trunk in trunks]
        assert {trunk.status for trunk in trunks} == {"inactive"}
        assert sandbox.requests[0].query == [
            ("status", "inactive"),
            ("sort", "-created_at"),
            ("limit", "100"),
        ]


class TestFind:
    async def test_the_trunk_with_the_username_is_found(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        trunk_id = sandbox.add_trunk(sip_username="agent-prod-01")["id"]
        found = await telepath.trunks.find("agent-prod-01")
        assert found is not None
        assert found.id == trunk_id

    async def test_a_username_that_nobody_has_is_none(self, telepath: TelepathClient) -> None:
        assert await telepath.trunks.find("agent-prod-01") is None

    @pytest.mark.parametrize("style", ["offset"])
    async def test_a_list_that_may_have_missed_a_trunk_is_read_again(
        self, telepath: TelepathClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        overstate_total(monkeypatch, by=2, walks=2)
        assert await telepath.trunks.find("agent-prod-01") is None
        first_pages = [request for request in sandbox.requests if "offset" not in request.raw_query]
        assert len(first_pages) == 3

    @pytest.mark.parametrize("style", ["offset"])
    async def test_none_is_never_said_of_a_list_that_may_have_missed_the_trunk(
        self, telepath: TelepathClient, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox
    ) -> None:
        overstate_total(monkeypatch, by=2)
        with pytest.raises(PagingError, match=r"'agent-prod-01'; call trunks.find\(\) again"):
            await telepath.trunks.find("agent-prod-01")
        sandbox.add_trunk(sip_username="agent-prod-01")
        assert await telepath.trunks.find("agent-prod-01") is not None

    @pytest.mark.parametrize("username", ["", " ", None, 5])
    async def test_what_is_no_username_is_refused_unsent(
        self, username: Any, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        with pytest.raises(UsageError, match="sip_username must be text"):
            await telepath.trunks.find(username)
        assert sandbox.requests == []


HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


class TestCreate:
    async def test_a_created_trunk_works_at_once(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        trunk = await telepath.trunks.create(**SPEC, system_prompt="Be brief.")
        assert (trunk.sip_username, trunk.status, trunk.ai_provider) == (
            "agent-prod-01",
            "active",
            "openai",
        )
        assert sandbox.trunks[trunk.id]["system_prompt"] == "Be brief."
        assert sandbox.sip_login("agent-prod-01", "s3cur3P@ssw0rd!")

    async def test_secrets_may_come_hidden_already(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        hidden: dict[str, Any] = {
            name: Secret(SPEC[name]) for name in ("sip_password", "openai_api_key")
        }
        await telepath.trunks.create(**SPEC | hidden)
        assert sandbox.sip_login("agent-prod-01", "s3cur3P@ssw0rd!")

    async def test_an_unknown_keyword_is_python_s_own_type_error_and_sends_nothing(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        create: Any = telepath.trunks.create
        with pytest.raises(TypeError, match="system_promt"):
            await create(**SPEC, system_promt="x", timeout=5)
        assert sandbox.requests == []


class TestCreateInDoubt:
    """A create whose answer was lost is never sent again; it is looked up."""

    LOST: tuple[dict[str, Any], ...] = (
        {"drop": "after"},
        {"drop": "middle"},
        {"status": 500, "executed": True},
        {"status": 503, "executed": True},
        {"status": 201, "executed": True, "body": "<html>"},
        {"status": 200, "executed": True, "body": "{}"},
        {"delay": 0.5},
    )

    @pytest.mark.parametrize("fault", LOST, ids=str)
    async def test_what_was_created_is_returned(
        self, fault: dict[str, Any], telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(method="POST", **fault)
        trunk = await telepath.with_options(attempt_timeout=0.2).trunks.create(**SPEC)
        assert trunk.id == next(iter(sandbox.trunks))
        assert trunk.sip_username == "agent-prod-01"
        assert len(sent(sandbox, "POST")) == 1

    async def test_it_is_looked_up_without_a_bound_when_the_call_has_none(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(drop="after")
        trunk = await telepath.with_options(timeout=None).trunks.create(**SPEC)
        assert trunk.id in sandbox.trunks

    @pytest.mark.parametrize(
        "fault", [{"drop": "before"}, {"status": 201, "body": "<html>"}], ids=str
    )
    async def test_what_is_not_found_is_unknown(
        self, fault: dict[str, Any], telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(method="POST", **fault)
        with pytest.raises(
            OutcomeUnknown, match=r"call trunks.find\('agent-prod-01'\) before you create it again"
        ) as caught:
            await telepath.trunks.create(**SPEC)
        assert (caught.value.operation, caught.value.subject, caught.value.sent) == (
            "create trunk",
            "agent-prod-01",
            True,
        )
        assert len(sent(sandbox, "POST")) == 1

    async def test_a_server_error_is_itself_when_nothing_is_found(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(500, method="POST")
        with pytest.raises(ServerError, match="500"):
            await telepath.trunks.create(**SPEC)
        assert len(sent(sandbox, "POST")) == 1

    async def test_it_is_unknown_when_the_look_up_fails(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(drop="after", method="POST")
        sandbox.fail_next(500, method="GET", times=4)
        with pytest.raises(OutcomeUnknown, match="a look-up was not conclusive"):
            await telepath.trunks.create(**SPEC)

    @pytest.mark.parametrize("style", ["offset"])
    async def test_it_is_unknown_when_the_look_up_may_have_missed_it(
        self, telepath: TelepathClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        overstate_total(monkeypatch, by=1)
        sandbox.fail_next(status=503, method="POST")
        with pytest.raises(OutcomeUnknown, match="a look-up was not conclusive"):
            await telepath.trunks.create(**SPEC)

    async def test_it_is_unknown_when_no_time_is_left_to_look(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        sandbox.fail_next(delay=5.0, method="POST")
        with pytest.raises(OutcomeUnknown):
            await telepath.with_options(timeout=0.2).trunks.create(**SPEC)
        assert sent(sandbox, "GET") == []

    async def test_the_timeout_bounds_the_whole_look_up_and_not_each_of_its_pages(self) -> None:
        async with (
            Sandbox(trunks=1_000, latency=0.3) as sandbox,
            TelepathClient(sandbox.api_key, base_url=sandbox.base_url, timeout=1.0) as telepath,
        ):
            sandbox.fail_next(drop="before", method="POST", path="/trunks")
            with pytest.raises(OutcomeUnknown):
                await telepath.trunks.create(**SPEC)
        assert len(sent(sandbox, "GET")) <= 4  # of ten pages


class TestUpdate:
    async def test_only_what_is_given_is_sent_and_changed(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        before = sandbox.trunks[known]
        trunk = await telepath.trunks.update(known, system_prompt="Be brief.", name=UNSET)
        assert sandbox.requests[-1].json == {"system_prompt": "Be brief."}
        assert (trunk.id, trunk.name) == (known, before["name"])
        changed = {
            name for name, value in sandbox.trunks[known].items() if before.get(name) != value
        }
        assert changed == {"system_prompt", "updated_at"}

    async def test_none_is_sent_as_null(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        sandbox.fail_next(200, body={"id": known, "name": "n", "status": "active"})
        await telepath.trunks.update(known, elevenlabs_agent_id=None)
        assert sandbox.requests[-1].json == {"elevenlabs_agent_id": None}

    async def test_every_field_and_unknown_ones_are_sent(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        fields: dict[str, Any] = {
            "name": "New",
            "openai_api_key": "sk-1",
            "elevenlabs_api_key": "el-1",
            "elevenlabs_agent_id": "agent",
            "custom_endpoint": "wss://a.example.com",
            "system_prompt": "",
            "vad": {"threshold": 0.5},
        }
        await telepath.trunks.update(known, **fields, extra={"language": "en"})
        assert sandbox.requests[-1].json == fields | {"language": "en"}

    async def test_an_unknown_keyword_is_python_s_own_type_error_and_sends_nothing(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        update: Any = telepath.trunks.update
        with pytest.raises(TypeError, match="openai_key"):
            await update(known, openai_key="sk-1")
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("extra", "why"),
        [
            ({"\ud800": 1}, "extra cannot be sent as JSON: .* half a character"),
            ({"a": math.nan}, "extra cannot be sent as JSON: nan in it"),
            ({"x": HOLDS_ITSELF}, "nested too deeply, or holds itself"),
            ([("a", 1)], "extra must be a mapping, not list"),
            ({"openai_api_key": "sk"}, "openai_api_key must not stand in extra"),
            ({"vad": {}}, "vad must not stand in extra, it is a field of its own"),
        ],
    )
    async def test_an_extra_that_cannot_be_sent_is_refused_unsent(
        self, extra: Any, why: str, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        with pytest.raises(UsageError, match=why):
            await telepath.trunks.update(known, name="New", extra=extra)
        assert sandbox.requests == []

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"name": 5}, "name must be text, not int"),
            ({"name": "  "}, "name is blank"),
            ({"name": Secret("n")}, "name must be text, not Secret$"),
            ({"openai_api_key": 12345678}, "openai_api_key must be text, not int"),
            ({"openai_api_key": ["sk"]}, "openai_api_key must be text, not list"),
            ({"openai_api_key": "sk-1\n"}, "openai_api_key has white space around it"),
            ({"elevenlabs_api_key": ""}, "elevenlabs_api_key is blank"),
            ({"custom_endpoint": "https://a"}, "custom_endpoint must be a wss:// URL"),
            ({"system_prompt": {}, "name": True}, "name must be text, .*; system_prompt must be"),
        ],
        ids=repr,
    )
    async def test_a_value_that_create_would_refuse_is_refused_unsent(
        self,
        fields: dict[str, Any],
        why: str,
        telepath: TelepathClient,
        sandbox: Sandbox,
        known: str,
    ) -> None:
        with pytest.raises(UsageError, match=why):
            await telepath.trunks.update(known, **fields)
        assert sandbox.requests == []

    async def test_nothing_to_update_is_refused_unsent(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        with pytest.raises(UsageError, match="give at least one field"):
            await telepath.trunks.update(known)
        assert sandbox.requests == []

    @pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 500}], ids=str)
    async def test_an_update_is_tried_again_because_repeating_it_does_no_harm(
        self, fault: dict[str, Any], telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        sandbox.fail_next(method="PATCH", **fault)
        assert (await telepath.trunks.update(known, name="New")).name == "New"
        assert len(sandbox.requests) == 2


class TestRotate:
    async def test_the_new_password_works_and_the_old_one_is_dead(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        username, old = sandbox.trunks[known]["sip_username"], sandbox.sip_password(known)
        credentials = await telepath.trunks.rotate_sip_password(known)
        assert (credentials.id, credentials.sip_username) == (known, username)
        assert credentials.rotated_at is not None
        assert sandbox.sip_login(username, credentials.sip_password.reveal())
        assert not sandbox.sip_login(username, old)
        assert [(request.path, request.body) for request in sandbox.requests] == [
            (f"/v1/trunks/{known}/rotate-sip-password", b"")
        ]

    async def test_a_server_that_spells_the_path_otherwise_is_asked_in_its_spelling(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        sandbox.fail_next(404, path="/trunks/{id}/rotate-sip-password")
        credentials = await telepath.trunks.rotate_sip_password(known)
        assert credentials.sip_password.reveal() == sandbox.sip_password(known)
        assert sandbox.requests[-1].path == f"/v1/trunks/{known}/rotate-password"

    async def test_the_other_spelling_has_what_is_left_of_the_timeout(
        self,
        telepath: TelepathClient,
        sandbox: Sandbox,
        known: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        deadlines: list[float] = []
        send = Session.send

        def noted(self: Session, request: Request, *, deadline: float) -> Any:
            deadlines.append(deadline)
            return send(self, request, deadline=deadline)

        monkeypatch.setattr(Session, "send", noted)
        sandbox.fail_next(404, delay=0.1)
        await telepath.trunks.rotate_sip_password(known)
        first, second = deadlines
        assert first == second

    async def test_a_404_that_leaves_no_time_for_the_other_spelling_is_the_answer(
        self,
        telepath: TelepathClient,
        sandbox: Sandbox,
        known: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        send, loop = Session.send, asyncio.get_running_loop()
        clock = loop.time

        async def late(self: Session, request: Request, *, deadline: float) -> Any:
            try:
                return await send(self, request, deadline=deadline)
            finally:
                monkeypatch.setattr(loop, "time", lambda: clock() + 60.0)

        monkeypatch.setattr(Session, "send", late)
        sandbox.fail_next(404, body={"error": "first"})
        with pytest.raises(NotFoundError, match="first"):
            await telepath.trunks.rotate_sip_password(known)
        assert len(sandbox.requests) == 1

    async def test_a_404_in_both_spellings_is_the_first_one(
        self, telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        sandbox.fail_next(404, body={"error": "first"})
        sandbox.fail_next(404, body={"error": "second"})
        with pytest.raises(NotFoundError, match="first"):
            await telepath.trunks.rotate_sip_password(known)

    async def test_an_unknown_trunk_is_not_looked_for_in_the_other_spelling(
        self, telepath: TelepathClient, sandbox: Sandbox
    ) -> None:
        with pytest.raises(NotFoundError):
            await telepath.trunks.rotate_sip_password("conn_nobody")
        assert len(sandbox.requests) == 1

    @pytest.mark.parametrize(
        "fault",
        [{"drop": "after"}, {"drop": "before"}, {"drop": "middle"}, {"status": 502}],
        ids=str,
    )
    async def test_a_lost_answer_is_unknown_and_never_asked_for_again(
        self, fault: dict[str, Any], telepath: TelepathClient, sandbox: Sandbox, known: str
    ) -> None:
        sandbox.fail_next(**fault)
        with pytest.raises(
            OutcomeUnknown, match="the old password may be dead; rotate again"
        ) as caught:
            await telepath.trunks.rotate_sip_password(known)
        assert (caught.value.operation, caught.value.subject) == ("rotate SIP password", known)
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("step", [reply(204, b""), reply(200, b""), reply(200, b" \r\n")])
async def test_an_update_that_is_answered_without_a_body_is_a_success(step: Step) -> None:
    async with Hostile([step]) as server, TelepathClient("k", base_url=server.url) as telepath:
        trunk = await telepath.trunks.update("t1", name="New")
        assert (trunk.id, trunk.name) == ("t1", "New")
        number = await telepath.numbers.update("+15550100001", label="l")
        assert number.number == "+15550100001"
    assert len(server.requests) == 2
