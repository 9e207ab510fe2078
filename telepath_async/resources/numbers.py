"""Phone numbers: another vendor's endpoint, at an origin of its own where the client has one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ..checks import shown
from ..errors import UsageError
from ..models.numbers import Agent, PhoneNumber
from ..protocol.answers import read_object
from ..protocol.body import drop_unset, write_json
from ..protocol.messages import Request
from ..protocol.redaction import redact_request, secret_values
from ..protocol.url import query_of
from ..session import Session
from ..unset import UNSET, UnsetType

_E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_TYPES: Final = {
    "label": ("text", str),
    "outbound_only": ("True or False", bool),
    "description": ("text", str),
    "example_context": ("a mapping", dict),
    "inbound_agent": ("an id, an Agent, or a mapping of its fields", str | dict),
}
"""What each field must be, and the type of that once it is redacted."""


class Numbers:
    """`telepath.numbers`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def update(
        self,
        phone_number: str,
        *,
        label: str | None | UnsetType = UNSET,
        outbound_only: bool | None | UnsetType = UNSET,
        description: str | None | UnsetType = UNSET,
        example_context: Mapping[str, str] | None | UnsetType = UNSET,
        inbound_agent: str | Agent | Mapping[str, Any] | None | UnsetType = UNSET,
    ) -> PhoneNumber:
        """Set the fields that are given, and return the number; None clears a field. Safe to
        repeat, and retried.

        `phone_number`: E.164, such as `+15550100001`; `inbound_agent`: an id, an `Agent`, or a
        mapping of its fields. Raises UsageError before anything is sent; BadRequestError (400 and
        422), NotFoundError. API reference of Fluents: Update Number.
        """
        fields = redact_request(
            drop_unset(
                label=label,
                outbound_only=outbound_only,
                description=description,
                example_context=example_context,
                inbound_agent=inbound_agent,
            )
        )
        del inbound_agent, example_context  # a traceback keeps this frame
        if not isinstance(phone_number, str) or not _E164.fullmatch(phone_number):
            raise UsageError(
                f"phone_number must be E.164, such as '+15550100001', not {shown(phone_number)}"
            )
        faults = _type_faults(fields)
        if faults:
            raise UsageError("; ".join(faults))
        if not fields:
            raise UsageError("nothing to update: give at least one field")
        request = Request(
            method="POST",
            path="/numbers/update",
            template="/numbers/update",
            query=query_of(phone_number=phone_number),
            body=write_json(fields),
            secrets=secret_values(fields),
        )
        response = await self._session.send(request)
        return read_object(PhoneNumber, response.or_if_empty({"number": phone_number}))


def _type_faults(fields: Mapping[str, Any]) -> list[str]:
    """Return what is not of its field's type, a phrase each."""
    return [
        f"{name} must be {_TYPES[name][0]}, not {type(value).__name__}"
        for name, value in fields.items()
        if value is not None and not isinstance(value, _TYPES[name][1])
    ]
