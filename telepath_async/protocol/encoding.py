"""Content-Encoding: the bytes of an answer as they were before they were compressed.

aiohttp is not asked to do it: it loses an answer whose label is wrong, its status included.
"""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from typing import Final

ACCEPT_ENCODING: Final = "gzip, deflate"

MAX_REST: Final = 2**20
"""Bytes of a body that is too large, which are kept to be looked at."""

_PIECE: Final = 2**16  # bytes; what follows a member in it is copied, once for each member
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_BEGINS: Final = b"\x1f"  # of each member: there may be several, and padding after the last
_BARE_DEFLATE: Final = -zlib.MAX_WBITS


def decode_body(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """Return the body expanded, without a byte order mark, and whether that is all of it.

    One that would be larger than `max_bytes` is cut. What is not compressed as `encoding` names is
    returned as it came.
    """
    whole = True
    if encoding and body:
        body, whole = _expand(body, encoding.strip().lower(), max_bytes)
    return body.removeprefix(BOM_UTF8), whole


def _expand(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    if encoding in ("gzip", "x-gzip"):
        unpacker = zlib.decompressobj(_GZIP)
    elif encoding == "deflate":  # the name stands for both, with a head and without
        unpacker = zlib.decompressobj(zlib.MAX_WBITS if body[0] & 0x0F == 8 else _BARE_DEFLATE)
    else:
        return body, True
    expanded = bytearray()
    try:
        for start in range(0, len(body), _PIECE):
            chunk, is_full = body[start : start + _PIECE], False
            while chunk or is_full:
                if unpacker.eof:
                    if encoding == "deflate" or not chunk.startswith(_GZIP_BEGINS):
                        return bytes(expanded), True
                    unpacker = zlib.decompressobj(_GZIP)
                piece = unpacker.decompress(chunk, _PIECE)
                expanded += piece
                if len(expanded) > max_bytes:
                    return bytes(expanded[: min(max_bytes, MAX_REST)]), False
                chunk = unpacker.unconsumed_tail or unpacker.unused_data
                is_full = len(piece) == _PIECE and not unpacker.eof
    except zlib.error:
        return body, True
    return (bytes(expanded) if unpacker.eof else body), True
