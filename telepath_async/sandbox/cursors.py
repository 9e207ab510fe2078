"""Cursors: a row's key, made opaque.

Scrambled, and then in standard Base64, so that `+`, `/` and `=` occur: a client that does not
encode them is caught.
"""

from base64 import b64decode, b64encode
from zlib import crc32

from .problem import invalid_params

_MODULUS = 2**64
_FACTOR = 0x9E3779B97F4A7C15
_INVERSE = pow(_FACTOR, -1, _MODULUS)
_KEY_BYTES = 8


def encode_cursor(key: int) -> str:
    """Return the cursor after the row `key`."""
    body = (key * _FACTOR % _MODULUS).to_bytes(_KEY_BYTES, "big")
    return b64encode(body + crc32(body).to_bytes(4, "big")[:3]).decode()


def decode_cursor(cursor: str) -> int:
    """Return the key inside a cursor. Raises a 400 for anything but an exact cursor."""
    try:
        body = b64decode(cursor, validate=True)[:_KEY_BYTES]
    except ValueError:
        raise _bad_cursor() from None
    key = int.from_bytes(body, "big") * _INVERSE % _MODULUS
    if encode_cursor(key) != cursor:
        raise _bad_cursor()
    return key


def _bad_cursor() -> Exception:
    return invalid_params("Invalid cursor parameter. Pass next_cursor back unchanged")
