"""Where a key may go: a base URL that is safe for it, and the proxy on the way."""

from __future__ import annotations

import ipaddress
import os
from typing import Final

from attrs import frozen
from yarl import URL

from .checks import check_key, is_text
from .errors import UsageError
from .secret import Secret

DEFAULT_BASE_URL: Final = "https://api.telepathvoice.com/v1"


@frozen
class Destination:
    """A base URL, and the key that goes there and nowhere else."""

    url: URL
    key: Secret


def destinations(
    api_key: Secret | None,
    base_url: str | None,
    numbers_api_key: Secret | None,
    numbers_base_url: str | None,
) -> tuple[Destination, Destination]:
    """Return where all calls go, and where those of `numbers` go. Raises UsageError."""
    # What is passed counts, and were it empty: the environment's account may be another one.
    if api_key is None and os.environ.get("TELEPATH_API_KEY"):
        api_key = Secret(os.environ["TELEPATH_API_KEY"])
    if base_url is None:
        base_url = os.environ.get("TELEPATH_BASE_URL") or DEFAULT_BASE_URL
    main = Destination(check_url("base_url", base_url), check_key("api_key", api_key))
    url, key = main.url, main.key
    if numbers_base_url is not None:
        url = check_url("numbers_base_url", numbers_base_url)
    if numbers_api_key is not None:
        key = check_key("numbers_api_key", numbers_api_key)
    elif url.origin() != main.url.origin():
        raise UsageError(
            f"numbers_base_url is at another origin ({url.origin()}), "
            "where this API key must never go; pass numbers_api_key"
        )
    return main, Destination(url, key)


def check_url(name: str, value: object) -> URL:
    """Return a base URL to which a key may go."""
    url = _http_url(value)
    if url is None:
        raise UsageError(
            f"{name} must be a URL such as {DEFAULT_BASE_URL!r}, without spaces or line feeds"
        )
    if url.user is not None or url.password is not None:
        raise UsageError(f"{name} must not hold a user or a password; pass the key as api_key")
    if url.query_string or url.fragment:
        raise UsageError(f"{name} must not hold a query or a fragment")
    if url.scheme == "http" and not _is_loopback(url):
        raise UsageError(
            f"{name} must be https:// ({url.host} is not this machine, and the key would "
            "travel in clear text)"
        )
    return url


def proxy_for(url: URL, proxy: Secret | None, trust_env: bool) -> Secret | None:
    """Return the proxy on the way to `url`, given or from the environment, or None."""
    # Read here once: aiohttp's own trust_env costs 176 to 323 µs of CPU a request, and sends
    # .netrc's passwords.
    given = proxy is not None
    if proxy is None and trust_env:
        proxy = _environment_proxy(url)
    if proxy is None:
        return None
    proxy_url = _http_url(proxy.reveal()) if is_text(proxy) else None
    if proxy_url is None:
        raise UsageError(
            "proxy (or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) must be the http:// or https:// "
            "URL of a proxy"
        )
    if url.scheme == "https" or _is_loopback(proxy_url):
        return proxy
    if given:
        raise UsageError(
            f"an http:// base URL does not go through a proxy elsewhere ({proxy_url.host}): it "
            "could read the key"
        )
    return None  # a proxy elsewhere cannot reach this machine's loopback


def _environment_proxy(url: URL) -> Secret | None:
    import urllib.request  # here: it brings http.client and email, which nothing else needs

    if urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(url.scheme) or proxies.get("all")
    return Secret(found) if found else None


def _http_url(value: object) -> URL | None:
    """Return the URL, or None when it is not one of a host that a resolver can be asked for."""
    # yarl drops tabs and line feeds in silence: "https://x\n.evil" shows another host.
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return None
    try:
        url = URL(str.__str__(value))
        if url.scheme not in ("http", "https") or not url.host:
            return None
        url.host.encode("idna")
    except ValueError:
        return None
    return url


def _is_loopback(url: URL) -> bool:
    try:
        return ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return url.host == "localhost"
