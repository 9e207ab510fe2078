"""PostgreSQL as hosters give it: parameters of URLs, several hosts, poolers, encodings."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import asyncpg
import pytest

from telepath_async import Call, Secret, TelepathClient, Trunk, UsageError
from telepath_async.coverage import RangeWalk
from telepath_async.sandbox import Sandbox
from telepath_async.sync import sync_calls
from telepath_async.sync.database import make_engine
from telepath_async.sync.postgres import read_target
from telepath_async.sync.store import open_store
from tests.support.tls import certificate, needs_openssl
from tests.sync.encrypted import encrypted
from tests.sync.pooler import pooled
from tests.sync.tables import stored, truth, whole_rows

NO_WALK = RangeWalk(since=None, until=None)


@pytest.fixture
def style() -> str:
    return "offset"


async def shown(url: str, name: str) -> Any:
    connection = await read_target(Secret(url)).connect()
    try:
        return await connection.fetchval(f"SHOW {name}")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("keepalives_idle=77", "tcp_keepalives_idle", "77"),
        ("keepalives_interval=7&keepalives_count=3", "tcp_keepalives_count", "3"),
        ("tcp_user_timeout=9000", "tcp_user_timeout", "9000"),
        ("application_name=it's", "application_name", "it's"),
        ("search_path=a,b", "search_path", "a,b"),
        ("options=-c%20search_path%3Dc%20-c%20statement_timeout%3D5s", "statement_timeout", "5s"),
        ("options=--search-path%3Dc", "search_path", "c"),
        ("target_session_attrs=read-write", "tcp_keepalives_idle", "60"),
        ("sslmode=prefer&connect_timeout=10", "tcp_keepalives_idle", "60"),
        ("connect_timeout=0&ssl=disable", "tcp_keepalives_idle", "60"),
    ],
)
async def test_what_a_url_says_is_honoured(
    postgres_server: str, query: str, name: str, value: str
) -> None:
    assert await shown(f"{postgres_server}?{query}", name) == value


@pytest.mark.parametrize(
    "query", ["channel_binding=require", "keepalives=1", "gssencmode=disable", "no_such_setting=1"]
)
async def test_what_cannot_be_honoured_is_ignored_with_a_word(
    postgres_server: str, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await shown(f"{postgres_server}?{query}", "server_version")
    assert caplog.messages == [f"ignored in the database's URL: {query.partition('=')[0]}"]


async def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="connect_timeout"):
        make_engine("postgresql://h/d?connect_timeout=SECRET")


@pytest.mark.parametrize("query", ["sslmode=verify-full&sslrootcert=system", "sslrootcert=system"])
@needs_openssl
async def test_the_systems_authorities_vouch_for_the_server(
    postgres_server: str, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with encrypted(postgres_server) as url:
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown(f"{url}?{query}", "server_version")
        path = tmp_path / "cas.pem"
        path.write_bytes(certificate())
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert await shown(f"{url}?{query}", "server_version")
        elsewhere = url.replace("127.0.0.1", "localhost")  # the certificate is not for that name
        with pytest.raises(ssl.SSLCertVerificationError):
            await shown(f"{elsewhere}?{query}", "server_version")


def test_a_certificate_of_the_systems_authorities_needs_the_hosts_name() -> None:
    with pytest.raises(UsageError, match="verify-full"):
        make_engine("postgresql://h/d?sslmode=require&sslrootcert=system")
    target = read_target(
        Secret("postgresql://h/d?sslrootcert=system&sslcert=c.pem&sslnegotiation=direct")
    )
    assert target.dsn.reveal() == "postgresql://h/d?sslnegotiation=direct"
    assert (target.system_cas, target.ignored) == (True, ("sslcert",))


async def test_several_hosts_are_tried_in_turn(postgres_server: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
        user, _, rest = postgres_server.removeprefix("postgresql://").rpartition("@")
        url = f"postgresql://{user}@{nowhere},{rest}?target_session_attrs=any"
        assert await shown(url, "server_version")
    target = read_target(Secret("postgres://u:p%40ss@h1,h2:6543/d"))
    assert target.hosts == {"host": ["h1", "h2"], "port": [5432, 6543]}
    assert target.dsn.reveal() == "postgresql://u:p%40ss@h1/d"


@pytest.fixture
async def server_schema(postgres_server: str) -> AsyncIterator[str]:
    """The name of a fresh schema; poolers know no search_path at the start."""
    schema = f"telepath_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_server)
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield schema
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


async def is_locked(postgres_server: str, account: str) -> bool:
    """Whether a sync of this account's is under way, or has left its lock behind."""
    key = sha256(f"telepath_sync {account}".encode()).digest()[:8]
    connection = await asyncpg.connect(postgres_server)
    try:
        return not await connection.fetchval(
            "SELECT pg_try_advisory_lock($1)", int.from_bytes(key, signed=True)
        )
    finally:
        await connection.close()


async def test_a_sync_goes_through_a_pooler_in_session_mode(
    telepath: TelepathClient, sandbox: Sandbox, postgres_server: str, server_schema: str
) -> None:
    async with pooled(postgres_server, "session", "lifo") as url:
        url += f"?search_path={server_schema}"
        async with open_store(make_engine(url), telepath.key_id, None):
            assert await is_locked(postgres_server, telepath.key_id)
        for inserted in (250, 0):
            assert (await sync_calls(telepath, url)).inserted == inserted
        assert await stored(url) == truth(sandbox)


async def test_a_pooler_whose_backends_are_all_held_is_taken_for_one_in_session_mode(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telepath_async.sync.postgres._SECONDS_FOR_A_POOLER", 0.3)
    async with pooled(postgres_server, "session", "lifo") as url:
        first = await asyncpg.connect(url, statement_cache_size=0)
        assert await first.fetchval("SELECT 1")
        assert await shown(url, "server_version")
        await first.close()


@pytest.mark.parametrize("order", ["lifo", "fifo"])
async def test_a_pooler_in_transaction_mode_is_refused_and_no_lock_is_left(
    telepath: TelepathClient, sandbox: Sandbox, postgres_server: str, order: Literal["lifo", "fifo"]
) -> None:
    async with pooled(postgres_server, "transaction", order) as url:
        with pytest.raises(UsageError, match="pooler in transaction mode"):
            await sync_calls(telepath, url)
        assert not await is_locked(postgres_server, telepath.key_id)
    assert sandbox.requests == []


@pytest.fixture
def encoding() -> str:
    return "LATIN1"


@pytest.fixture
async def other_url(postgres_server: str, encoding: str) -> AsyncIterator[str]:
    """The URL of a database in another encoding."""
    name = f"telepath_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_server)
    await connection.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    )
    yield f"{postgres_server.rpartition('/')[0]}/{name}"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_text_that_the_database_cannot_encode_costs_its_own_characters(
    other_url: str,
) -> None:
    call = Call(id="call_1", from_number="Büro ☎", extra={"note 🎉": ["é", "🎉", 1]})
    async with open_store(make_engine(other_url), "acme", None) as store:
        for _ in range(2):
            changes = await store.save_page([call, Call(id="call_2")], None, NO_WALK)
    assert changes.unchanged == 2
    row = (await whole_rows(other_url))["call_1"]
    assert row["from_number"] == "Büro ?"
    assert row["extra"] == {"note ?": ["é", "?", 1]}


@pytest.mark.parametrize(
    ("encoding", "kept"),
    [
        ("SQL_ASCII", "é я ☎"),
        ("WIN1252", "é ? ?"),
        ("KOI8R", "? я ?"),
        ("EUC_TW", "? ? ?"),  # Python has no such encoding
    ],
)
async def test_each_encoding_keeps_what_it_can(other_url: str, kept: str) -> None:
    async with open_store(make_engine(other_url), "acme", None) as store:
        await store.save_page([Call(id="call_1", from_number="é я ☎")], None, NO_WALK)
    assert (await whole_rows(other_url))["call_1"]["from_number"] == kept


async def test_text_that_no_index_can_hold_costs_one_value(database_url: str) -> None:
    import random

    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12_000))
    calls = [
        Call(id=long, trunk_id=long, extra={"a": 1}),
        Call(id=f"{long}!", from_number=long),
        Call(id="call_\ud83d", from_number="\ud83d"),
    ]
    async with open_store(make_engine(database_url), "acme", None) as store:
        for inserted in (3, 0):
            assert (await store.save_page(calls, None, NO_WALK)).inserted == inserted
    rows = await whole_rows(database_url)
    first, second = (key for key in rows if key.startswith(long[:100]))
    assert first != second
    assert {len(first), len(second)} == {167}
    by_number = {row["from_number"]: row for row in rows.values()}
    assert by_number[None]["trunk_id"] is None
    assert by_number[None]["extra"] == {"a": 1, "trunk_id": long}
    assert by_number[long]["id"] in rows
    assert by_number["?"]["id"].startswith("call_?...")


async def test_ids_that_differ_only_by_what_cannot_be_stored_stay_apart(
    database_url: str, other_url: str
) -> None:
    alike = ["call_\0", "call_\ufffd", "call_\ud800", "call_\ud801", "call_?", "call_☎"]
    for url in (database_url, other_url):
        async with open_store(make_engine(url), "acme", None) as store:
            for unchanged in (0, len(alike)):
                page = [Call(id=each) for each in alike]
                assert (await store.save_page(page, None, NO_WALK)).unchanged == unchanged
                await store.save_trunks([Trunk(id=each) for each in alike])
        rows = await whole_rows(url)
        assert len(rows) == len(alike)
        assert "call_?" in rows
