"""What a client's options may be: each is checked, and credentials are hidden, before anything is opened or sent."""

from __future__ import annotations

import ipaddress
import re
import urllib.request
from collections.abc import Mapping
from typing import Final

import aiohttp
from yarl import URL

from .errors import UsageError
from .limiter import Priority
from .protocol.retry import RetryPolicy, seconds_or_refuse
from .secret import Secret

DEFAULT_BASE_URL: Final = "https://api.telepathvoice.com/v1"

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS: Final = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "proxy-authorization",
        "transfer-encoding",
    )
)


def hidden(value: str | Secret | None) -> Secret | None:
    """Return a key as a Secret, before anything can fail and show it."""
    return Secret(value) if isinstance(value, str) else value


def checked_key(name: str, value: Secret | None) -> Secret:
    """Return an API key without the white space around it. Raises UsageError."""
    if value is None:
        raise UsageError(
            f"{name} is missing: pass it, or set TELEPATH_API_KEY (Settings > API Keys in the "
            "dashboard)"
        )
    if not isinstance(value, Secret):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{name} must be the key's text or a Secret, not {type(value).__name__}")
    if not _is_printable(value):
        raise UsageError(
            f"{name} is blank, came out of a pickle, or holds characters that no key has "
            "(spaces, control characters, "
            "not ASCII); copy it again"
        )
    return Secret(value.reveal().strip())


def _is_printable(key: Secret) -> bool:
    try:
        return re.fullmatch(r"[!-~]+", key.reveal().strip()) is not None
    except ValueError:  # out of a pickle
        return False


def checked_url(name: str, value: object) -> URL:
    """Return a base URL. Raises UsageError on what is none, and on where a key must not go."""
    url = _http_url(value)
    if url is None or url.host is None:
        raise UsageError(
            f"{name} must be a URL such as {DEFAULT_BASE_URL!r}, without spaces or line feeds"
        )
    if url.user is not None or url.password is not None:
        raise UsageError(f"{name} must not hold a user or a password; pass the key as api_key")
    if url.query_string or url.fragment:
        raise UsageError(f"{name} must not hold a query or a fragment")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise UsageError(
            f"{name} must be https:// ({url.host} is not this machine, and the key would "
            "travel in clear text)"
        )
    return url


def _http_url(value: object) -> URL | None:
    """Return the URL, or None when it is no URL of a host that a resolver can be asked for."""
    try:
        # yarl drops tabs and line feeds in silence: "https://x\n.evil" is another host than it shows.
        is_one_word = isinstance(value, str) and value.isprintable() and " " not in value
        url = URL(value) if isinstance(value, str) and is_one_word else None
        if url is None or url.scheme not in ("http", "https") or not url.host:
            return None
        url.host.encode("idna")
    except ValueError:
        return None
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def proxy_for(url: URL, proxy: Secret | None, trust_env: bool) -> Secret | None:
    """Return the proxy on the way to `url`, given or from the environment, or None.

    Raises UsageError.
    """
    # Read here once: aiohttp's own trust_env costs 176 to 323 µs of CPU a request, and sends
    # .netrc's passwords.
    given = proxy is not None
    if proxy is None and trust_env and not urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        proxies = urllib.request.getproxies()
        proxy = hidden(proxies.get(url.scheme) or proxies.get("all"))
        del proxies
    if proxy is None:
        return None
    place = _http_url(proxy.reveal()) if isinstance(proxy, Secret) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if place is None or place.host is None:
        raise UsageError(
            "proxy (or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) must be the http:// or https:// "
            "URL of a proxy"
        )
    if url.scheme == "https" or _is_loopback(place.host):
        return proxy
    if given:
        raise UsageError(
            f"an http:// base URL does not go through a proxy elsewhere ({place.host}): it "
            "could read the key"
        )
    return None  # a proxy elsewhere cannot reach this machine's loopback


def checked_session(session: object) -> aiohttp.ClientSession | None:
    """Return the caller's own session, or None. Raises UsageError."""
    if session is None:
        return None
    if not isinstance(session, aiohttp.ClientSession):
        raise UsageError(f"session must be an aiohttp.ClientSession, not {type(session).__name__}")
    if session.auth is not None or session.trust_env:
        raise UsageError(
            "session must have neither auth nor trust_env; pass proxy or trust_env to "
            "TelepathClient instead"
        )
    return session


def checked_seconds(name: str, value: object) -> float | None:
    """Return a time above 0, or None for no bound. Raises UsageError."""
    return None if value is None else seconds_or_refuse(name, value, least=0.0, exclusive=True)


def checked_policy(value: object) -> RetryPolicy:
    """Return the retry policy; a whole number is how many retries there are at most.

    Raises UsageError.
    """
    if isinstance(value, RetryPolicy):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return RetryPolicy(max_attempts=value + 1)
    raise UsageError(
        "retry must be a RetryPolicy, or the number of retries (0 turns them off), not "
        f"{type(value).__name__ if value is None else repr(value)}"
    )


def checked_priority(value: object) -> Priority:
    """Return the lane in the limiter. Raises UsageError."""
    if value == "interactive":
        return "interactive"
    if value == "bulk":
        return "bulk"
    raise UsageError(f"priority must be 'interactive' or 'bulk', not {value!r}")


def hidden_headers(headers: object) -> object:
    """Return headers with every value as a Secret, before anything can fail and show them."""
    return (
        {name: hidden(value) for name, value in headers.items()}
        if isinstance(headers, Mapping)
        else headers
    )


def checked_headers(headers: object) -> dict[str, Secret]:
    """Return headers that may be sent besides our own. Raises UsageError."""
    if not isinstance(headers, Mapping):
        raise UsageError(
            f"headers must be a mapping of names to text, not {type(headers).__name__}"
        )
    for name, value in headers.items():
        if (
            not isinstance(name, str)
            or not _HEADER_NAME.fullmatch(name)
            or name.lower() in _OUR_HEADERS
        ):
            raise UsageError(
                f"headers must not hold {name!r}: it is no header's name, or it is set by "
                "the client"
            )
        if not isinstance(value, Secret) or not _is_header_text(value):
            raise UsageError(f"the header {name} must be printable ASCII text")
    return dict(headers)


def _is_header_text(value: Secret) -> bool:
    return re.fullmatch(r"[ -~]*", value.reveal()) is not None
