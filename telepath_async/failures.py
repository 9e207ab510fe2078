"""What aiohttp raises -> one of our errors, in words that cannot hold a header: never `str(error)`.

Several of aiohttp's exceptions show the Authorization header; none of them leaves this file.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterable
from typing import Final

import aiohttp

from .errors import (
    ConnectionFailed,
    ConnectionLost,
    RequestTimeout,
    ResponseError,
    TelepathError,
)
from .protocol.messages import Request
from .protocol.redaction import Redactor, sanitize
from .secret import Secret

_MAX_REASON: Final = 100  # characters of somebody else's text
_TOO_LARGE: Final = ("Got more than", "Too many headers")  # how aiohttp's parser begins


class Broken(aiohttp.ClientError):
    """The connection broke under a request; its text is ours."""


def timeout(target: str, seconds: float, *, sent: bool) -> RequestTimeout:
    """Return the error of an attempt whose time is over."""
    state = "it was sent and may have been carried out" if sent else "it was never sent"
    return RequestTimeout(
        f"{target}: no complete answer within {seconds:.3g} s, {state}; raise timeout or "
        "attempt_timeout if it needs longer",
        sent=sent,
    )


def failure(
    error: Exception,
    request: Request,
    target: str,
    *,
    sent: bool,
    stale: bool,
    secrets: Iterable[Secret],
) -> TelepathError:
    """Return the error of an attempt that broke off; `secrets`: what a proxy must not echo."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refused(error, target, Redactor(secrets))
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _bad_certificate(error, target)
    if isinstance(error, aiohttp.ClientResponseError) and error.message.startswith(_TOO_LARGE):
        why = (
            f"{target}: the headers of the answer are larger than is read (8,190 bytes each, 128 "
            "of them); find out which server or proxy on the way sends them"
        )
        if not sent:  # it is the proxy's answer to CONNECT
            return ConnectionFailed(f"{why}; nothing was sent", permanent=True)
        return ResponseError(why, status=0)
    if not sent:
        remedy = (
            "raise the limit of open files (ulimit -n), or run fewer calls at a time"
            if getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE)
            else "check base_url, network and proxy"
        )
        return ConnectionFailed(
            f"{target}: no connection ({_cause(error)}), nothing was sent; {remedy}"
        )
    remedy = (
        "try again"
        if request.repeatable
        else "it may have been carried out: look before you repeat it"
    )
    return ConnectionLost(
        f"{target}: the connection broke before the answer was complete ({_cause(error)}); "
        f"{remedy}",
        stale=stale,
    )


def _proxy_refused(
    error: aiohttp.ClientHttpProxyError, target: str, redactor: Redactor
) -> ConnectionFailed:
    remedy = (
        "check the user and the password in proxy"
        if error.status == 407
        else "ask whoever runs the proxy, or go without it"
    )
    reason = sanitize(redactor.text(error.message))[:_MAX_REASON]
    return ConnectionFailed(
        f"{target}: the proxy refused the connection ({error.status} {reason}), nothing was sent; "
        f"{remedy}",
        permanent=True,
    )


def _bad_certificate(
    error: aiohttp.ClientConnectorCertificateError, target: str
) -> ConnectionFailed:
    fault = error.certificate_error
    reason = fault.verify_message if isinstance(fault, ssl.SSLCertVerificationError) else ""
    return ConnectionFailed(
        f"{target}: the server's certificate is not valid ({reason or type(fault).__name__}), "
        "nothing was sent; check base_url, this machine's clock and its CA certificates",
        permanent=True,
    )


def _cause(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = error.os_error.strerror or type(error.os_error).__name__
        is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
        return f"the proxy: {reason}" if is_proxy else reason
    return str(error) if isinstance(error, Broken) else type(error).__name__
