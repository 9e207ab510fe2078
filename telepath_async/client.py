"""`TelepathClient`: opens, wires and closes.

Its options are checked in `checks.py`; nothing is sent from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from .base_url import Destination, destinations, proxy_for
from .checks import (
    Priority,
    check_function,
    check_headers,
    check_priority,
    check_seconds,
    check_session,
    check_timeout,
    check_whole,
    whole_number,
)
from .emitter import Emitter
from .errors import UsageError
from .events import Event
from .key_state import KeyState, shared_budget
from .limiter import Limiter, shared_limiter
from .log import logged
from .protocol.body import drop_unset
from .protocol.messages import Response
from .protocol.ratelimit import RateLimit
from .protocol.redaction import as_secret, redact_request
from .protocol.retry import RetryPolicy
from .resources.analytics import Analytics
from .resources.any_endpoint import any_request
from .resources.calls import Calls
from .resources.numbers import Numbers
from .resources.trunks import Trunks
from .secret import Secret
from .session import CallOptions, Session
from .session_holder import SessionHolder, running_loop
from .unset import UNSET, UnsetType

_NO_SESSION: Final = object.__new__(Session)


class TelepathClient:
    """A client of the Telepath Voice API for one API key.

    Open it with `async with`, or call `aclose()`. It serves any number of tasks of one event loop;
    its connections open at the first call. Loops, forks and ends:

    - When its loop has been closed, the next call opens fresh connections on the new loop:
      `asyncio.run` twice is fine. A list goes on there too; a `create_many` that was begun on the
      old one is a UsageError.
    - On a second loop while its own is open, a call or `aclose` is a UsageError, and harms nobody.
    - A child forked before the first call, or after the loop was closed, opens connections of its
      own. In a child forked while the loop is open, a call or `aclose` is a UsageError, and the
      parent goes on unharmed: make a client in the child.
    - Use after close is a ClientClosedError, and sends nothing.
    - `aclose` cancels calls that hang: ClientClosedError, or OutcomeUnknown of a create or a
      rotate.

    `api_key`, `base_url`: from TELEPATH_API_KEY and TELEPATH_BASE_URL when None. `timeout`: seconds
    for a whole call, waits and retries included; `attempt_timeout`: seconds for one attempt; None =
    no bound. `limiter`: None = the one that all clients of this key in this process share (6,000 a
    minute). `proxy`: the URL of a proxy; `trust_env`: take it from HTTPS_PROXY, HTTP_PROXY,
    ALL_PROXY and NO_PROXY, as they are now; no .netrc is ever read. `numbers_base_url`,
    `numbers_api_key`: where `numbers` lives, if elsewhere. `on_event`: called with an `Event`;
    TELEPATH_LOG=info or debug logs them.

    `session`: an aiohttp session of your own, which is never closed here. Its connector, proxy,
    default headers and trace configs are used (mind that traces see the API key); its cookies,
    middlewares, timeouts and `raise_for_status` are not. One that has `auth` or `trust_env` is
    refused: they would send credentials besides the API key.

    `key_id`: the SHA-256 of the API key in hex, which names the account without showing its key.

    Raises UsageError when an option makes no sense.
    """

    # Replaced in each client. `create_autospec(TelepathClient)` looks for them here.
    trunks = Trunks(_NO_SESSION)
    calls = Calls(_NO_SESSION)
    analytics = Analytics(_NO_SESSION)
    numbers = Numbers(_NO_SESSION)

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        base_url: str | None = None,
        timeout: float | None = 30.0,
        attempt_timeout: float | None = 10.0,
        retry: RetryPolicy | int = RetryPolicy(),
        limiter: Limiter | None = None,
        session: aiohttp.ClientSession | None = None,
        proxy: str | Secret | None = None,
        trust_env: bool = False,
        max_response_bytes: int = 16 * 1024 * 1024,
        numbers_base_url: str | None = None,
        numbers_api_key: str | Secret | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        # A traceback keeps this frame, and crash reporters print its locals.
        api_key, numbers_api_key = as_secret(api_key), as_secret(numbers_api_key)
        proxy_url = as_secret(proxy)
        del proxy
        main, numbers = destinations(api_key, base_url, numbers_api_key, numbers_base_url)
        check_whole("max_response_bytes", max_response_bytes)
        if on_event is not None:
            check_function("on_event", on_event, "function that takes an Event")
        on_event = logged(on_event)
        emitter = None if on_event is None else Emitter(on_event)
        options = CallOptions(
            timeout=check_timeout("timeout", timeout),
            attempt_timeout=check_timeout("attempt_timeout", attempt_timeout),
            retry=_policy(retry),
        )
        holder = SessionHolder(check_session(session))

        def open_at(destination: Destination, limiter: Limiter) -> Session:
            url, key = destination.url, destination.key
            state = KeyState(
                base_url=str(url).rstrip("/"),
                api_key=key,
                proxy=proxy_for(url, proxy_url, trust_env),
                max_bytes=max_response_bytes,
                limiter=limiter,
                budget=shared_budget(_hash(f"{url.origin()} {key.reveal()}")),
            )
            return Session(holder=holder, key=state, options=options, emitter=emitter)

        ours = _limiter(limiter, main.key)
        session_of_numbers = main_session = open_at(main, ours)
        if numbers != main:
            # The limit belongs to the key.
            theirs = ours if numbers.key == main.key else _limiter(None, numbers.key)
            session_of_numbers = open_at(numbers, theirs)
        self.key_id = _hash(main.key.reveal())
        self._wire(main_session, session_of_numbers, owns_connections=True)

    def _wire(self, session: Session, numbers: Session, *, owns_connections: bool) -> None:
        self._owns_connections = owns_connections
        self._session = session
        self._numbers_session = numbers
        self.trunks = Trunks(session)
        self.calls = Calls(session)
        self.analytics = Analytics(session)
        self.numbers = Numbers(numbers)

    async def __aenter__(self) -> Self:
        running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections and cancel the calls under way (ClientClosedError). Twice is fine.

        A client from `with_options` shares the connections of the first one, and leaves closing to
        it.
        """
        if self._owns_connections:
            await self._session.holder.aclose()

    async def close(self) -> None:
        """Do what `aclose` does."""
        await self.aclose()

    def with_options(
        self,
        *,
        timeout: float | None | UnsetType = UNSET,
        attempt_timeout: float | None | UnsetType = UNSET,
        retry: RetryPolicy | int | UnsetType = UNSET,
        max_wait: float | None | UnsetType = UNSET,
        priority: Priority | UnsetType = UNSET,
        headers: Mapping[str, str | Secret] | UnsetType = UNSET,
    ) -> TelepathClient:
        """Return a cheap client with other options.

        It shares connections, limiter and retry budget with this one. `max_wait`: seconds; a call
        that the limiter would hold longer raises ThrottledError at once. `priority`: "interactive"
        goes before "bulk". `headers`: sent besides our own, and never to a `numbers_base_url` at
        another origin.
        """
        secret_headers = _secret_values(headers)
        del headers  # a traceback keeps this frame
        changes = drop_unset(
            timeout=timeout if timeout is UNSET else check_timeout("timeout", timeout),
            attempt_timeout=attempt_timeout
            if attempt_timeout is UNSET
            else check_timeout("attempt_timeout", attempt_timeout),
            retry=retry if retry is UNSET else _policy(retry),
            max_wait=max_wait if max_wait in (UNSET, None) else check_seconds("max_wait", max_wait),
            priority=priority if priority is UNSET else check_priority(priority),
            headers=UNSET
            if secret_headers is UNSET
            else {**self._session.options.headers, **check_headers(secret_headers)},
        )
        clone = object.__new__(TelepathClient)
        clone.key_id = self.key_id
        session = self._session.with_options(**changes)
        numbers = session
        if self._numbers_session is not self._session:
            if (
                URL(self._numbers_session.key.base_url).origin()
                != URL(session.key.base_url).origin()
            ):
                changes.pop("headers", None)  # they may be credentials
            numbers = self._numbers_session.with_options(**changes)
        clone._wire(session, numbers, owns_connections=False)
        return clone

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Response:
        """Call an endpoint that this SDK does not know, and return its 2xx answer; its `request_id`
        is there for the vendor's support (of a list: `Page.raw.request_id`; of every answer:
        `ResponseReceived.request_id`).

        `path`: plain text below the base URL, such as `/trunks/abc`; each segment is encoded.
        `params`: None is left out. GET, HEAD, PUT and DELETE are retried; POST and PATCH only where
        nothing can have happened.
        """
        # A traceback keeps this frame.
        params, json = redact_request(params), redact_request(json)
        request = any_request(method, path, params, json)
        del params, json
        return await self._session.send(request)

    @property
    def rate_limit(self) -> RateLimit | None:
        """The key's limit by the last answer (`limit`, `remaining`, `reset_at`), or None."""
        return self._session.key.rate_limit

    @property
    def in_flight(self) -> int:
        """How many calls are under way, those of clients from `with_options` included."""
        return len(self._session.holder.in_flight)

    def __repr__(self) -> str:
        if not hasattr(self, "_session"):  # in the traceback of a refusal
            return "<TelepathClient>"
        closed = " closed" if self._session.holder.closed else ""
        return f"<TelepathClient {self._session.key.base_url}{closed}>"


def _policy(retry: object) -> RetryPolicy:
    """Return the retry policy; a whole number is how many retries there are at most."""
    if isinstance(retry, RetryPolicy):
        return retry
    retries = whole_number(retry, 0)
    if retries is not None:
        return RetryPolicy(max_attempts=retries + 1)
    raise UsageError(
        "retry must be a RetryPolicy, or the number of retries (0 turns them off), not "
        f"{type(retry).__name__ if retry is None else repr(retry)}"
    )


def _secret_values(headers: object) -> object:
    """Return headers with every value as a Secret, before anything can fail and show them."""
    if not isinstance(headers, Mapping):
        return headers
    return {name: as_secret(value) for name, value in headers.items()}


def _limiter(limiter: Limiter | None, key: Secret) -> Limiter:
    key_id = _hash(key.reveal())
    if limiter is None:
        return shared_limiter(key_id)
    if not all(callable(getattr(limiter, name, None)) for name in ("acquire", "observe", "bind")):
        raise UsageError(
            f"limiter must have acquire, observe and bind, and {type(limiter).__name__} has not"
        )
    limiter.bind(key_id)
    return limiter


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
