"""The async Python SDK for the Telepath Voice API."""

import importlib
import typing

from .errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConflictError,
    ConnectionFailed,
    ConnectionLost,
    NotFoundError,
    OutcomeUnknown,
    PagingError,
    PermissionDeniedError,
    ProviderCredentialsError,
    RateLimitError,
    RequestTimeout,
    ResponseError,
    ServerError,
    TelepathError,
    ThrottledError,
    TransportError,
    UsageError,
)
from .events import (
    CallEnded,
    CallStarted,
    Event,
    RequestFailed,
    RequestStarted,
    ResponseReceived,
    RetryScheduled,
    Throttled,
)
from .limiter import Limiter, LocalLimiter
from .models.analytics import AnalyticsOverview
from .models.calls import (
    Call,
    CallDetails,
    CallDirection,
    CallMetrics,
    CallStatus,
    Speaker,
    TimelineEvent,
    Turn,
)
from .models.numbers import AccountConnection, Agent, PhoneNumber
from .models.plain import to_dict
from .models.trunks import AIProvider, SipCredentials, Trunk, TrunkMetrics, TrunkStatus
from .protocol.messages import Response
from .protocol.odd_rows import OddValue, RejectedRow
from .protocol.paging import Drift
from .protocol.ratelimit import RateLimit
from .protocol.retry import RetryPolicy
from .resources.outcomes import (
    TrunkCreated,
    TrunkExists,
    TrunkFailed,
    TrunkOutcome,
    TrunkUnknown,
)
from .resources.trunk_spec import TrunkSpec
from .secret import Secret
from .unset import UNSET
from .version import __version__ as __version__

if typing.TYPE_CHECKING:
    from .client import TelepathClient
    from .paginator import Page, Paginator

__all__ = [
    "UNSET",
    "AIProvider",
    "APIError",
    "AccountConnection",
    "Agent",
    "AnalyticsOverview",
    "AuthenticationError",
    "BadRequestError",
    "Call",
    "CallDetails",
    "CallDirection",
    "CallEnded",
    "CallMetrics",
    "CallStarted",
    "CallStatus",
    "ClientClosedError",
    "ConflictError",
    "ConnectionFailed",
    "ConnectionLost",
    "Drift",
    "Event",
    "Limiter",
    "LocalLimiter",
    "NotFoundError",
    "OddValue",
    "OutcomeUnknown",
    "Page",
    "Paginator",
    "PagingError",
    "PermissionDeniedError",
    "PhoneNumber",
    "ProviderCredentialsError",
    "RateLimit",
    "RateLimitError",
    "RejectedRow",
    "RequestFailed",
    "RequestStarted",
    "RequestTimeout",
    "Response",
    "ResponseError",
    "ResponseReceived",
    "RetryPolicy",
    "RetryScheduled",
    "Secret",
    "ServerError",
    "SipCredentials",
    "Speaker",
    "TelepathClient",
    "TelepathError",
    "Throttled",
    "ThrottledError",
    "TimelineEvent",
    "TransportError",
    "Trunk",
    "TrunkCreated",
    "TrunkExists",
    "TrunkFailed",
    "TrunkMetrics",
    "TrunkOutcome",
    "TrunkSpec",
    "TrunkStatus",
    "TrunkUnknown",
    "Turn",
    "UsageError",
    "to_dict",
]

# These bring aiohttp, two thirds of the time that an import takes: the command completes a word,
# shows its help and refuses an option without them.
_BRING_AIOHTTP = {"TelepathClient": "client", "Page": "paginator", "Paginator": "paginator"}


def __getattr__(name: str) -> object:
    if name not in _BRING_AIOHTTP:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_BRING_AIOHTTP[name]}", __name__), name)
    globals()[name] = value  # from now on, it is found without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
