"""The one tree of exceptions: every failure of the SDK is one of these.

Each names what to do next, and never holds a secret.

TelepathError
├── UsageError (also ValueError)      refused before anything was sent: bad id, spec, key, option
├── ClientClosedError                 use after close, and calls that closing cancelled: `.sent`
├── TransportError                    no usable answer; `.sent`: may the request have arrived?
│   ├── ConnectionFailed              never reached the server: nothing happened there
│   ├── ConnectionLost                sent, and the answer broke off
│   ├── RequestTimeout (also TimeoutError)
│   └── OutcomeUnknown                a create or a rotate was sent and its answer was lost
├── ThrottledError                    our own limiter would wait longer than allowed: `.retry_after`
├── ResponseError                     the answer makes no sense: `.status`, `.raw`
├── PagingError                       the server's paging goes in circles
└── APIError                          the server refused: `.status`, `.code`, `.message`, …
    ├── BadRequestError      400, 422
    ├── AuthenticationError  401
    │   └── ProviderCredentialsError  the AI provider's key is bad, ours is fine
    ├── PermissionDeniedError 403
    ├── NotFoundError        404
    ├── ConflictError        409
    ├── RateLimitError       429
    └── ServerError          5xx
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class TelepathError(Exception):
    """What every error of this SDK is.

    `str(error)` is one line: the fact, the value, the remedy.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"args": self.args, **self.__dict__}
        if "raw" in state:  # what came from the server may hold secrets
            state["raw"] = b""
        return type(self).__new__, (type(self),), state


class UsageError(TelepathError, ValueError):
    """Refused before anything was sent: the call itself is wrong."""


class ClientClosedError(TelepathError):
    """The client is closed, or was closed while this call was under way.

    `sent`: whether the request may have reached the server. A create or a rotate that may have is
    an OutcomeUnknown instead.
    """

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class TransportError(TelepathError):
    """No usable answer came back.

    `sent`: whether the request may have reached the server. `False` means that nothing happened
    there.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ConnectionFailed(TransportError):
    """No connection could be opened: nothing happened at the server.

    `permanent`: a certificate, or what a proxy refuses; trying again would not help.
    """

    def __init__(self, message: str, *, sent: bool = False, permanent: bool = False) -> None:
        super().__init__(message, sent=sent)
        self.permanent = permanent


class ConnectionLost(TransportError):
    """The request was sent, and the connection broke before the whole answer had come.

    `stale`: an idle connection was used again, and died before a byte of the answer came.
    """

    def __init__(self, message: str, *, sent: bool = True, stale: bool = False) -> None:
        super().__init__(message, sent=sent)
        self.stale = stale


class RequestTimeout(TransportError, TimeoutError):
    """The time for the attempt, or for the whole call, was over."""


class OutcomeUnknown(TransportError):
    """A create or a rotate was sent and its answer was lost: it may have happened, or not.

    `operation`: what was asked ("create trunk"); `subject`: of whom (the SIP username or the trunk
    id).
    """

    def __init__(self, message: str, *, operation: str, subject: str) -> None:
        super().__init__(message, sent=True)
        self.operation = operation
        self.subject = subject


class ThrottledError(TelepathError):
    """Our own limiter would have to wait longer than `max_wait` or the timeout allows.

    `retry_after`: seconds until there would be a permit. Nothing was sent.
    """

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ResponseError(TelepathError):
    """The answer makes no sense: not JSON, too large, or of a shape that we do not know.

    `status`: its HTTP status, 0 where not even its headers could be read; `raw`: the bytes that
    came (possibly cut off). `raw` may hold secrets: neither `str`, `repr` nor a pickle shows it.
    """

    def __init__(self, message: str, *, status: int, raw: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.raw = raw


class PagingError(TelepathError):
    """The server's paging goes in circles or contradicts itself.

    Going on would repeat or lose rows.
    """


class APIError(TelepathError):
    """The server refused the request.

    `status`: HTTP status; `code`: the API's own code in lower case, or None; `message`: the API's
    own words; `request_id`: for the vendor's support, or None; `headers`: of the answer;
    `retry_after`: seconds that the server asks us to wait, or None; `raw`: the page, without our
    secrets, where a gateway answered and not the API, else empty. A pickle leaves `raw` out.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        retry_after: float | None = None,
        hint: str = "",
        raw: bytes = b"",
    ) -> None:
        named = f"{status} {code}" if code else str(status)
        traced = f" [request {request_id}]" if request_id else ""
        super().__init__(f"{named}: {message}{traced}{'; ' if hint else ''}{hint}")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.headers = dict(headers)
        self.retry_after = retry_after
        self.raw = raw


class BadRequestError(APIError):
    """400 or 422: the server refused the request's content."""


class AuthenticationError(APIError):
    """401: the API key is missing, wrong or revoked."""


class ProviderCredentialsError(AuthenticationError):
    """401 `invalid_provider_credentials`: the AI provider's key is bad.

    The Telepath key is fine.
    """


class PermissionDeniedError(APIError):
    """403: the key is valid and may not do this."""


class NotFoundError(APIError):
    """404: no such thing in this account."""


class ConflictError(APIError):
    """409: the SIP username (or the name) is taken. Never retried."""


class RateLimitError(APIError):
    """429, and the retries that the policy allows are used up."""


class ServerError(APIError):
    """5xx: the server failed, and the retries that the policy allows are used up."""
