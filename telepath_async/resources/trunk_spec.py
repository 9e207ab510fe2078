"""`TrunkSpec`: what a trunk is made from.

It checks itself before anything is sent. API reference: Create Trunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from ..checks import is_text
from ..errors import UsageError
from ..models.trunks import AIProvider
from ..protocol.body import write_json
from ..protocol.redaction import as_secret, redact_request
from ..protocol.url import is_encodable
from ..secret import Secret, type_name

_USERNAME: Final = re.compile(r"[A-Za-z0-9-]+")
_SHORTEST_PASSWORD: Final = 8
NO_EXTRA: Final[Mapping[str, Any]] = MappingProxyType({})
_REQUIRED: Final = ("name", "ai_provider", "sip_username", "sip_password")
_NEEDED_BY: Final[dict[str, tuple[str, ...]]] = {
    AIProvider.OPENAI: ("openai_api_key",),
    AIProvider.ELEVENLABS: ("elevenlabs_api_key", "elevenlabs_agent_id"),
    AIProvider.CUSTOM: ("custom_endpoint",),
}


@frozen(kw_only=True, init=False)
class TrunkSpec:
    """What a trunk is made from. Raises UsageError that lists every fault.

    `sip_username`: letters, digits and hyphens; unique in the account. `sip_password`: 8 characters
    or more. `custom_endpoint`: a `wss://` URL. `extra`: fields that this SDK does not know, sent as
    they are. Passwords and keys may be given as str or Secret, and are kept as Secret, those in
    `extra` too. API reference: Create Trunk.
    """

    name: str
    ai_provider: AIProvider | str
    sip_username: str
    sip_password: Secret = field(converter=as_secret)  # for subclasses that attrs gives an __init__
    openai_api_key: Secret | None = field(default=None, converter=as_secret)
    elevenlabs_api_key: Secret | None = field(default=None, converter=as_secret)
    elevenlabs_agent_id: str | None = None
    custom_endpoint: str | None = None
    system_prompt: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, converter=redact_request, hash=False, repr=False)

    def __init__(
        self,
        *,
        name: str,
        ai_provider: AIProvider | str,
        sip_username: str,
        sip_password: str | Secret,
        openai_api_key: str | Secret | None = None,
        elevenlabs_api_key: str | Secret | None = None,
        elevenlabs_agent_id: str | None = None,
        custom_endpoint: str | None = None,
        system_prompt: str | None = None,
        extra: Mapping[str, Any] = NO_EXTRA,
    ) -> None:
        secrets = {
            "sip_password": as_secret(sip_password),
            "openai_api_key": as_secret(openai_api_key),
            "elevenlabs_api_key": as_secret(elevenlabs_api_key),
            "extra": redact_request(extra),
        }
        # Before anything can fail: a traceback keeps this frame, and crash reporters print its
        # locals.
        del sip_password, openai_api_key, elevenlabs_api_key, extra
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]  # attrs makes it
            name=name,
            ai_provider=ai_provider,
            sip_username=sip_username,
            elevenlabs_agent_id=elevenlabs_agent_id,
            custom_endpoint=custom_endpoint,
            system_prompt=system_prompt,
            **secrets,
        )

    def __attrs_post_init__(self) -> None:
        faults = spec_faults({name: getattr(self, name) for name in (*FIELDS, "extra")})
        if faults:
            raise UsageError(f"trunk spec: {'; '.join(faults)}")

    def fields(self) -> dict[str, Any]:
        """Return what is sent: every field that is not None, secrets still hidden."""
        known = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in known.items() if value is not None} | dict(
            self.extra
        )

    @classmethod
    def openai(
        cls,
        name: str,
        *,
        sip_username: str,
        sip_password: str | Secret,
        api_key: str | Secret,
        system_prompt: str | None = None,
    ) -> TrunkSpec:
        """Return the spec of an OpenAI Realtime trunk."""
        sip_password, api_key = as_secret(sip_password), as_secret(api_key)
        return cls(
            name=name,
            ai_provider=AIProvider.OPENAI,
            sip_username=sip_username,
            sip_password=sip_password,
            openai_api_key=api_key,
            system_prompt=system_prompt,
        )

    @classmethod
    def elevenlabs(
        cls,
        name: str,
        *,
        sip_username: str,
        sip_password: str | Secret,
        api_key: str | Secret,
        agent_id: str,
        system_prompt: str | None = None,
    ) -> TrunkSpec:
        """Return the spec of an ElevenLabs Conversational AI trunk."""
        sip_password, api_key = as_secret(sip_password), as_secret(api_key)
        return cls(
            name=name,
            ai_provider=AIProvider.ELEVENLABS,
            sip_username=sip_username,
            sip_password=sip_password,
            elevenlabs_api_key=api_key,
            elevenlabs_agent_id=agent_id,
            system_prompt=system_prompt,
        )

    @classmethod
    def custom(
        cls,
        name: str,
        *,
        sip_username: str,
        sip_password: str | Secret,
        endpoint: str,
        system_prompt: str | None = None,
    ) -> TrunkSpec:
        """Return the spec of a trunk to your own WebSocket agent; `endpoint` is a `wss://` URL."""
        sip_password = as_secret(sip_password)
        return cls(
            name=name,
            ai_provider=AIProvider.CUSTOM,
            sip_username=sip_username,
            sip_password=sip_password,
            custom_endpoint=endpoint,
            system_prompt=system_prompt,
        )


FIELDS: Final = tuple(field.name for field in attrs.fields(TrunkSpec) if field.name != "extra")
_SECRETS: Final = ("sip_password", "openai_api_key", "elevenlabs_api_key")
_FIXED: Final = ("ai_provider", "sip_username", "sip_password")
UPDATE_FIELDS: Final = (*(name for name in FIELDS if name not in _FIXED), "vad")


def spec_faults(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the fields of a spec, a phrase each.

    No value of a secret is in them.
    """
    provider = fields.get("ai_provider")
    needed = _NEEDED_BY.get(provider, ()) if isinstance(provider, str) else ()
    faults = [f"{name} is missing" for name in (*_REQUIRED, *needed) if fields.get(name) is None]
    return faults + field_faults(fields) + extra_faults(fields.get("extra", {}), FIELDS)


def field_faults(fields: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the values that are not None, a phrase each."""
    return [
        fault
        for name in FIELDS
        if fields.get(name) is not None and (fault := _field_fault(name, fields[name]))
    ]


def extra_faults(extra: object, fields: Iterable[str]) -> list[str]:
    """Return what is wrong with `extra` beside these fields, a phrase each."""
    if not isinstance(extra, Mapping):
        return [f"extra must be a mapping, not {type(extra).__name__}"]
    faults = [
        f"{name} must not stand in extra, it is a field of its own"
        for name in fields
        if name in extra
    ]
    try:
        write_json(extra, "extra")
    except UsageError as error:
        faults.append(str(error))
    return faults


def _field_fault(name: str, value: object) -> str | None:
    text = _text(value) if name in _SECRETS else value
    if not isinstance(text, str):
        return f"{name} must be text, not {_kind(value)}"
    if not is_encodable(text):
        return f"{name} holds half a character (a lone surrogate)"
    if not text.strip() and name != "system_prompt":
        return f"{name} is blank"
    if name in _SECRETS and text != text.strip():
        return f"{name} has white space around it; a server would take that for a part of it"
    if name in _RULES:
        is_good, rule = _RULES[name]
        return None if is_good(text) else rule
    return None


def _kind(value: object) -> str:
    is_pickled = type(value) is Secret and _text(value) is None
    return f"{type_name(value)}{' without its value (it was pickled)' if is_pickled else ''}"


def _text(value: object) -> str | None:
    if is_text(value):
        try:
            return value.reveal()
        except ValueError:
            return None
    return value if isinstance(value, str) else None


def _is_websocket_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme == "wss" and bool(parts.hostname)
    except ValueError:
        return False


_RULES: Final[dict[str, tuple[Callable[[str], object], str]]] = {
    "ai_provider": (
        _NEEDED_BY.__contains__,
        f"ai_provider must be one of {', '.join(_NEEDED_BY)}",
    ),
    "sip_username": (
        _USERNAME.fullmatch,
        "sip_username may only contain letters, digits and hyphens",
    ),
    "sip_password": (
        lambda text: len(text) >= _SHORTEST_PASSWORD,
        f"sip_password must have at least {_SHORTEST_PASSWORD} characters",
    ),
    "custom_endpoint": (_is_websocket_url, "custom_endpoint must be a wss:// URL"),
}
"""Which text each of these fields takes, and the complaint about any other."""
