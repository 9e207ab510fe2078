"""PostgreSQL: a URL as hosters give it -> connections, also behind a pooler in session mode.

A URL is a Secret wherever anything may fail: crash reporters print the locals of frames.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen
from sqlalchemy.engine import URL, make_url

from telepath_async import Secret, UsageError

if TYPE_CHECKING:
    from asyncpg import Connection  # type: ignore[import-untyped]

_log: Final = logging.getLogger("telepath_async.sync")
# The lock of a host that has vanished ends within minutes, and not after the two hours that are
# usual.
_SETTINGS: Final = {"tcp_keepalives_idle": "60"}
_OF_LIBPQ: Final = {
    "keepalives_idle": "tcp_keepalives_idle",
    "keepalives_interval": "tcp_keepalives_interval",
    "keepalives_count": "tcp_keepalives_count",
    "tcp_user_timeout": "tcp_user_timeout",
}
_OF_THE_DRIVER: Final = frozenset(
    (
        "host", "port", "user", "password", "dbname", "database", "passfile", "sslmode", "sslcert",
        "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs",
        "krbsrvname", "gsslib", "service",
    )
)  # fmt: skip
_IGNORED: Final = frozenset(
    (
        "channel_binding", "keepalives", "gssencmode", "gssdelegation", "sslcompression", "sslsni",
        "load_balance_hosts", "client_encoding", "fallback_application_name", "require_auth",
        "requirepeer", "pgbouncer", "connection_limit", "pool_timeout", "sslaccept",
    )
)  # fmt: skip
_OPTION: Final = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)\s*")
_SECONDS_TO_CONNECT: Final = 60
_SECONDS_FOR_A_POOLER: Final = 5.0
_TURNS: Final = (0, 1, 1, 0, 1, 0, 0, 1)  # no number of backends in rotation fits into it


@frozen
class Target:
    """Where to connect, and what to set afterwards: a pooler refuses most startup parameters."""

    dsn: Secret
    hosts: Mapping[str, Any] = field(factory=dict)
    timeout: int = _SECONDS_TO_CONNECT
    system_cas: bool = False
    settings: Mapping[str, str] = field(factory=dict)
    ignored: tuple[str, ...] = ()

    async def connect(self) -> Connection:
        """Connect. Raises UsageError behind a pooler that changes the backend."""
        connection = await self._open()
        try:
            if await _backend(connection) != connection.get_server_pid():
                await self._check_pooler(connection)
            await self._set(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _open(self) -> Connection:
        import asyncpg

        # Statements of SQLAlchemy's have a cache of their own.
        return await asyncpg.connect(
            self.dsn.reveal(),
            timeout=self.timeout,
            ssl=self.system_cas or None,  # True: the host's name is checked, too
            statement_cache_size=0,
            **self.hosts,
        )

    async def _check_pooler(self, connection: Connection) -> None:
        """Let two connections take turns: each keeps a backend of its own, in session mode."""
        try:
            async with asyncio.timeout(_SECONDS_FOR_A_POOLER):
                other = await self._open()
                try:
                    pair = (connection, other)
                    seen = {(turn, await _backend(pair[turn])) for turn in _TURNS}
                finally:
                    other.terminate()
        except TimeoutError:  # all of its backends are held, each by a session
            return
        if len(seen) > len(pair) or len({backend for _, backend in seen}) < len(pair):
            raise UsageError(
                "the database is behind a pooler in transaction mode, where a lock does not last: "
                "give the pooler's address in session mode, or that of the server itself"
            )

    async def _set(self, connection: Connection) -> None:
        import asyncpg

        ignored = [*self.ignored]
        for name, value in self.settings.items():
            try:
                await connection.execute(
                    f"SELECT set_config({_literal(name)}, {_literal(value)}, false)"
                )
            except asyncpg.PostgresError:
                ignored.append(name)
        if ignored:
            _log.warning("ignored in the database's URL: %s", ", ".join(sorted(ignored)))


def read_target(database_url: Secret) -> Target:
    """Parse a URL. Raises UsageError."""
    one_host, hosts = split_hosts(database_url)
    url = make_url(one_host.reveal())
    kept: dict[str, str] = {}
    ignored: list[str] = []
    settings, timeout = dict(_SETTINGS), _SECONDS_TO_CONNECT
    for name, values in url.query.items():
        value = values if isinstance(values, str) else values[-1]
        if name == "connect_timeout":
            timeout = _seconds(value)
        elif name == "options" and _OPTION.match(value):
            settings |= {key.replace("-", "_"): text for key, text in _OPTION.findall(value)}
        elif name in _IGNORED:
            ignored.append(name)
        elif name in _OF_THE_DRIVER or name in ("ssl", "options"):
            kept["sslmode" if name == "ssl" else name] = value
        else:
            settings[_OF_LIBPQ.get(name, name)] = value
    system_cas = kept.get("sslrootcert") == "system"
    if system_cas:
        ignored += _take_tls(kept)
    return Target(_dsn(url, kept), hosts, timeout, system_cas, settings, tuple(ignored))


def _take_tls(query: dict[str, str]) -> list[str]:
    """Take out what `sslrootcert=system` decides; return the names of what cannot be honoured."""
    if query.pop("sslmode", "verify-full") != "verify-full":
        raise UsageError(
            "sslrootcert=system in the database's URL needs sslmode=verify-full, or no sslmode: "
            "of a public CA, anybody has a certificate for some name"
        )
    del query["sslrootcert"]
    names = [name for name in query if name.startswith("ssl") and name != "sslnegotiation"]
    for name in names:
        del query[name]
    return names


def split_hosts(database_url: Secret) -> tuple[Secret, dict[str, Any]]:
    """Return the URL with its first host alone, and all hosts where there are several."""
    written = urlsplit(database_url.reveal()).netloc.rpartition("@")[2]
    if "," not in written:
        return database_url, {}
    first, *_ = parts = written.split(",")
    one_host = Secret(database_url.reveal().replace(written, first, 1))
    urls = [make_url(f"postgresql://{part}") for part in parts]
    return one_host, {
        "host": [url.host for url in urls],
        "port": [url.port or 5432 for url in urls],
    }


def _dsn(url: URL, query: Mapping[str, str]) -> Secret:
    dsn = url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
    return Secret(dsn)


def _seconds(value: str) -> int:
    if re.fullmatch(r"\d{1,6}", value):
        return int(value) or _SECONDS_TO_CONNECT
    raise UsageError("connect_timeout in the database's URL must be a whole number of seconds")


async def _backend(connection: Connection) -> int:
    async with connection.transaction():
        pid: Any = await connection.fetchval("SELECT pg_backend_pid()")
    return int(pid)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
