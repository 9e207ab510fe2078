"""What a refusal means: a status and an error body -> our APIError, without a secret, and with what
to do next.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ..errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProviderCredentialsError,
    RateLimitError,
    ServerError,
)
from ..secret import Secret
from .messages import Response
from .redaction import Redactor, sanitize
from .retry import server_delay

_LONGEST_MESSAGE: Final = 500
_MAX_HEAD: Final = 16_384  # bytes in which the title of a page stands
_MAX_TITLE: Final = 120
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_GATEWAY_HINT: Final = (
    "`.raw` holds its page; check base_url, proxy and network, or ask whoever runs the gateway"
)
_HINTS: Final[dict[type[APIError], str]] = {
    BadRequestError: "correct the request; repeating it will not help",
    AuthenticationError: "check TELEPATH_API_KEY (Settings > API Keys in the dashboard)",
    ProviderCredentialsError: "check the AI provider's own key; the Telepath key is fine",
    PermissionDeniedError: "this key may not do that; use a key with the scope for it",
    NotFoundError: "check the id, and that the key belongs to the same account",
    ConflictError: "choose another sip_username (or name), or look up the one that exists",
    RateLimitError: "slow down, or share one limiter between all users of the key",
    ServerError: "try again later; if it persists, give the vendor the request id",
}
_CLASSES: Final[dict[int, type[APIError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: BadRequestError,
    429: RateLimitError,
}


def api_error(response: Response, *, secrets: Iterable[Secret], wall_clock: float) -> APIError:
    """Return the error for an answer that is not 2xx.

    `secrets`: what was sent and must not be shown if the server echoes it; `wall_clock`: Unix
    seconds, for a Retry-After that is a date in an answer without a Date.
    """
    redactor = Redactor(secrets)
    detail = _detail(response.body)
    page = response.body if detail is None else b""
    is_html = page.lstrip()[:1] == b"<"  # a gateway's page, not the API's answer
    words = _masked(_words(page), redactor)
    detail = detail or {}
    code = _masked(detail.get("code"), redactor)
    kind = _class_of(response.status, code)
    return kind(
        _masked(detail.get("message"), redactor) or _plain_reason(response, words, is_html=is_html),
        status=response.status,
        code=code.lower() if code else None,
        request_id=_masked(response.request_id, redactor),
        headers={
            _masked(name, redactor) or "": _masked(value, redactor) or ""
            for name, value in response.headers.items()
            if name.lower() != "set-cookie"
        },
        retry_after=server_delay(response, wall_clock=wall_clock),
        hint=_GATEWAY_HINT if is_html and response.status < 500 else _HINTS.get(kind, ""),
        raw=redactor.bytes(page),
    )


def shown_request_id(response: Response, *, secrets: Iterable[Secret]) -> str | None:
    """Return the request id of an answer, fit for logs; `secrets`: what must not show in it."""
    return _masked(response.request_id, Redactor(secrets))


def _class_of(status: int, code: str | None) -> type[APIError]:
    if status == 401 and code is not None and code.lower() == "invalid_provider_credentials":
        return ProviderCredentialsError
    return _CLASSES.get(status, ServerError if status >= 500 else APIError)


def _plain_reason(response: Response, words: str | None, *, is_html: bool) -> str:
    if 300 <= response.status < 400:
        return f"{response.endpoint} was redirected, which is never followed: check the base URL"
    if is_html:
        return f"{response.endpoint} got a page that is not the API's: {words or 'no text'}"
    return f"{response.endpoint} failed, and the answer gives {words or 'no reason'}"


def _words(page: bytes) -> str | None:
    """Return the title of an HTML page, or the first words of any other text, in quotes."""
    text = page[:_MAX_HEAD].decode("utf-8", "ignore")
    found = _TITLE.search(text)
    words = " ".join(html.unescape(found[1] if found else _TAG.sub(" ", text)).split())
    return f"'{words[:_MAX_TITLE]}'" if words else None


def _detail(body: bytes) -> dict[str, Any] | None:
    """Return code and message of `{"error": {...}}`, `{"error": "..."}`, or `{"detail": ...}`.

    The last is FastAPI's. None: it is not JSON, and so not the API's answer.
    """
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        return {}
    except (msgspec.DecodeError, ValueError):
        return None
    if not isinstance(value, dict):
        return {}
    error = value.get("error", value)
    if isinstance(error, str):
        return {"message": error}
    if not isinstance(error, dict):
        return {}
    message = error.get("message", error.get("detail"))
    return {"code": error.get("code"), "message": _first_words(message)}


def _first_words(message: object) -> object:
    """Return the text of FastAPI's 422 list: `phone_number: field required`."""
    if not isinstance(message, list):
        return message
    faults = [fault for fault in message if isinstance(fault, dict)]
    return "; ".join(
        f"{'.'.join(map(str, _list(fault.get('loc'))))}: {fault.get('msg')}" for fault in faults
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _masked(text: object, redactor: Redactor) -> str | None:
    """Return one line of text, not too long, with every secret in it masked."""
    if not isinstance(text, str):
        return None
    return sanitize(redactor.text(text)[:_LONGEST_MESSAGE]).strip() or None
