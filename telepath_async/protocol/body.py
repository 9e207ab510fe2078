"""JSON in and out: an answer's body read, a request's body written.

What a JSON object means is decided in `answers.py`; what an error body means, in `refusals.py`.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from ..errors import ResponseError, UsageError
from ..models.fields import Model, wire_names
from ..secret import Secret, SecretBytes, SecretNumber, type_name
from ..unset import UNSET
from .url import time_text

if TYPE_CHECKING:
    from .messages import Response


_NOT_THE_API: Final = (
    "it is a web page, so something else answers here (a portal, a proxy, a wrong base_url)"
)


def read_json(response: Response) -> Any:
    """Decode the body: without a byte order mark, half a character as U+FFFD.

    Raises ResponseError in every way that JSON can fail: text, depth, numbers, syntax.
    """
    body = response.body.removeprefix(codecs.BOM_UTF8)
    try:
        # The search for one byte costs a hundredth of that for three.
        halves = b"\\" in body and b"\\ud" in body.lower()
        return msgspec.json.decode(_whole_characters(body) if halves else body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        why = _NOT_THE_API if body.lstrip()[:1] == b"<" else str(error) or type(error).__name__
        del body  # a traceback keeps this frame
    raise decode_error(response, why)


def _whole_characters(body: bytes) -> bytes:
    r"""Return JSON in which `\ud83d` without its other half is U+FFFD."""
    text = json.dumps(json.loads(body), ensure_ascii=False)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def decode_error(response: Response, why: str) -> ResponseError:
    """Return the error for an answer that makes no sense."""
    return ResponseError(
        f"{response.endpoint} answered {response.status} with something that makes no "
        f"sense: {why}; "
        "`.raw` holds what came; if it is not a proxy's page, please report it",
        status=response.status,
        raw=response.body,
    )


def write_json(value: Mapping[str, Any], name: str = "the body") -> bytes:
    """Encode a request's body; secrets are revealed here and nowhere else.

    Raises UsageError, which calls the value by `name`, on what JSON cannot hold.
    """
    try:
        return msgspec.json.encode(_plain(value))
    except RecursionError:
        why = "it is nested too deeply, or holds itself"
    except UnicodeEncodeError:
        why = "it holds half a character (a lone surrogate)"
    except ValueError as error:  # `_plain`'s; a Secret out of a pickle; thousands of digits
        why = str(error)
    raise UsageError(f"{name} cannot be sent as JSON: {why}")


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, SecretNumber):
        return _plain(value.number())
    if isinstance(value, Secret) and not isinstance(value, SecretBytes):
        return _plain(value.reveal())
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, str):  # msgspec takes no subclasses of str, int and float, such as numpy's
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Model):
        return _plain(model_fields(value))
    raise UsageError(
        f"{_shown(value)} in it; pass strings, finite numbers, booleans, None, lists and dicts"
    )


def _shown(value: object) -> str:
    return str(value) if isinstance(value, float) else f"an object of type {type_name(value)}"


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise UsageError(f"a key of type {type(key).__name__} in it; keys are strings")


def model_fields(model: Model) -> dict[str, Any]:
    """Return a model's fields under their names on the wire: without None, `extra` merged in."""
    fields = [field for field in attrs.fields(type(model)) if field.name != "extra"]
    values = {wire_names(field)[0]: getattr(model, field.name) for field in fields}
    return {name: value for name, value in values.items() if value is not None} | model.extra


def drop_unset(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not UNSET."""
    return {name: value for name, value in fields.items() if value is not UNSET}
