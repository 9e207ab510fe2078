"""The page lets one browser in, answers GET under its own name, and shows no fault's secrets."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.exc import OperationalError

from telepath_async import UsageError
from telepath_async.dashboard.queries import CallReader
from telepath_async.dashboard.server import Address, serve

from .browsing import board_over, visiting
from .stored import HOUR, NOW, call, state, store

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'"
)


async def test_the_token_lets_one_browser_in_once(sqlite_url: str) -> None:
    async with board_over(sqlite_url) as board, visiting(board, let_in=False) as visitor:
        assert (await visitor("/")).status == 403
        for wrong in ("", "x", "ü", visitor.address.query["token"] + "x"):
            assert (await visitor("/", params={"token": wrong})).status == 403
        entered = await visitor(str(visitor.address))
        assert (entered.status, entered.headers["Location"]) == (303, "/")
        cookie = entered.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert visitor.address.query["token"] not in cookie
        assert (await visitor("/")).status == 200
        assert (await visitor(str(visitor.address))).status == 303  # who is in stays in
        visitor.session.cookie_jar.clear()
        used = await visitor(str(visitor.address))
        assert used.status == 403
        assert "start the command again" in await used.text()


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/data", "/api/data?range=x", "/x"])
async def test_every_answer_has_the_policy(sqlite_url: str, path: str) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        headers = (await visitor(str(visitor.at("/")) + path[1:])).headers
        assert headers["Content-Security-Policy"].startswith(POLICY)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        visitor.session.cookie_jar.clear()
        assert POLICY in (await visitor("/")).headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
async def test_another_host_name_is_refused(sqlite_url: str, host: str) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        assert (await visitor("/api/data", headers={"Host": host})).status in (400, 403)
        assert (await visitor("/api/data", headers={"Host": "localhost:1"})).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_only_get_is_answered(sqlite_url: str, method: str) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        assert (await visitor("/api/data", method)).status == 405


async def test_files_are_served_by_name_and_nothing_beside(sqlite_url: str) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        for name, kind in (
            ("app.js", "text/javascript"),
            ("uplot.js", "text/javascript"),
            ("style.css", "text/css"),
            ("icon.svg", "image/svg+xml"),
        ):
            answer = await visitor(f"/static/{name}")
            assert (answer.status, answer.content_type) == (200, kind)
        for path in ("/static/", "/static/../server.py", "/static/uplot-LICENSE.txt", "/nope"):
            assert (await visitor(path)).status == 404


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("data", {"range": "9y"}),
        ("data", {"since": "2026-11-01"}),
        ("data", {"since": "soon", "until": "2026-11-02"}),
        ("data", {"since": "2026-11-02", "until": "2026-11-01"}),
        ("data", {"since": "2020-01-01", "until": "2026-11-01"}),
        ("data", {"since": "2030-01-01", "until": "2030-01-02"}),
        ("data", {"since": "0001-01-01", "until": "0001-01-02"}),
        ("calls", {"since": "2026-11-01T00:00:00+99:00", "until": "2026-11-02"}),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    sqlite_url: str, path: str, query: dict[str, str]
) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        answer = await visitor(f"/api/{path}", params=query)
        assert answer.status == 400
        assert "must be" in (await answer.json())["error"]


async def test_an_own_time_is_answered(sqlite_url: str) -> None:
    await store(sqlite_url, [call(n) for n in range(3)], states=[state()])
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        query = {"since": "2026-11-27T13:00:00", "until": "2026-11-27T15:00:00+01:00"}
        shown = await (await visitor("/api/data", params=query)).json()
        assert (shown["until"] - shown["since"], shown["tiles"]["calls"]["value"]) == (3600, 3)


async def test_a_database_that_fails_is_told_without_its_url(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with board_over(sqlite_url) as board, visiting(board) as visitor:

        async def fail(reader: CallReader) -> Any:
            raise OperationalError("SELECT", {}, Exception("postgresql://me:s3cret@db"))

        monkeypatch.setattr(CallReader, "sync_states", fail)
        answer = await visitor("/api/data")
        assert answer.status == 503
        assert await answer.json() == {"error": "the database does not answer (OperationalError)"}


async def test_a_database_file_that_cannot_be_opened_is_an_answer_too(tmp_path: Path) -> None:
    file = tmp_path / "calls.db"
    async with board_over(f"sqlite:///{file}") as board, visiting(board) as visitor:
        file.mkdir()
        answer = await visitor("/api/data")
        assert answer.status == 503
        assert await answer.json() == {"error": "the database does not answer (OperationalError)"}


@pytest.mark.usefixtures("postgres_hangs_up")
async def test_a_postgres_that_hangs_up_is_an_answer_too(postgres_url: str) -> None:
    async with board_over(postgres_url) as board, visiting(board) as visitor:
        answer = await visitor("/api/data")
        assert answer.status == 503
        assert await answer.json() == {"error": "the database does not answer (InterfaceError)"}


async def test_the_calls_of_an_hour_are_listed(sqlite_url: str) -> None:
    rows = [call(n) for n in range(210)] + [call(900, status="failed")]
    await store(sqlite_url, rows)
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        query = {"since": "2026-11-27T13:00:00Z", "until": "2026-11-27T14:00:00Z"}
        listed = await (await visitor("/api/calls", params=query)).json()
        assert (len(listed["calls"]), listed["more"]) == (200, True)
        failed = await (await visitor("/api/calls", params={**query, "status": "failed"})).json()
        assert [line["id"] for line in failed["calls"]] == ["call_00900"]
        assert not failed["more"]
        assert (await visitor("/api/call", params={"account": "acme", "id": "x"})).status == 404


async def test_behind_a_proxy_its_name_is_answered_and_the_cookie_is_secure(
    sqlite_url: str,
) -> None:
    address = Address(host="0.0.0.0", behind_proxy="https://calls.example.com")
    async with board_over(sqlite_url) as board, visiting(board, address, let_in=False) as visitor:
        assert str(visitor.address).startswith("https://calls.example.com/?token=")


async def test_a_proxy_passes_its_own_name_on(sqlite_url: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with board_over(sqlite_url) as board:
        address = Address(port=port, behind_proxy="https://calls.example.com")
        async with serve(board, address) as printed, aiohttp.ClientSession() as session:
            token = printed.rpartition("=")[2]
            url = f"http://127.0.0.1:{port}/?token={token}"
            named = {"Host": "calls.example.com"}
            async with session.get(url, headers=named, allow_redirects=False) as answer:
                assert answer.status == 303
                assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "options",
    [
        {"host": "0.0.0.0"},
        {"behind_proxy": "http://calls.example.com"},
        {"behind_proxy": "https://calls.example.com/path"},
        {"behind_proxy": "calls"},
        {"behind_proxy": "https://[::1"},
    ],
)
def test_an_address_for_everybody_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--behind-proxy"):
        Address(**options)


async def test_calls_of_all_times_are_listed(database_url: str) -> None:
    await store(database_url, [call(1)])
    query = {"since": "0001-01-01", "until": "9999-12-31T23:59:59.999999"}
    async with board_over(database_url) as board, visiting(board) as visitor:
        assert len((await (await visitor("/api/calls", params=query)).json())["calls"]) == 1


async def test_a_figure_of_astronomic_size_is_answered(sqlite_url: str) -> None:
    rows = [call(n, ai_latency_ms=1e308, start_time=NOW - n // 2 * HOUR) for n in range(60)]
    await store(sqlite_url, [*rows, call(99)], states=[state()])
    async with board_over(sqlite_url) as board, visiting(board) as visitor:
        for path in ("data", "explain"):
            assert (await visitor(f"/api/{path}")).status == 200
