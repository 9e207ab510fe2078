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

_PIECE: Final = 2**18  # bytes; zlib holds what it expands in one go twice
_GZIP: Final = 16 + zlib.MAX_WBITS
_BARE_DEFLATE: Final = -zlib.MAX_WBITS


def decode_body(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """Return the body expanded, without a byte order mark, and whether that is all of it.

    One that would be larger than `max_bytes` is cut. What is not compressed as `encoding` says is
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
    pieces: list[bytes] = []
    size = 0
    try:
        for start in range(0, len(body), _PIECE):
            chunk, is_full = body[start : start + _PIECE], False
            while (chunk or is_full) and not unpacker.eof:
                pieces.append(unpacker.decompress(chunk, _PIECE))
                size += len(pieces[-1])
                if size > max_bytes:
                    return b"".join(pieces[: MAX_REST // _PIECE + 1])[:max_bytes][:MAX_REST], False
                chunk, is_full = unpacker.unconsumed_tail, len(pieces[-1]) == _PIECE
    except zlib.error:
        return body, True
    return (b"".join(pieces) if unpacker.eof else body), True
