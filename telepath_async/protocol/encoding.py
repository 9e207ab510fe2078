"""Content-Encoding: the bytes of an answer as they were before they were compressed.

Not aiohttp's business here: it loses an answer whose label is wrong, its status included.
"""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from typing import Final

ACCEPT_ENCODING: Final = "gzip, deflate"

_GZIP: Final = 16 + zlib.MAX_WBITS
_BARE_DEFLATE: Final = -zlib.MAX_WBITS


def decode_body(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return the body expanded, and without the mark of a byte order in front of it.

    At most `max_bytes` + 1 of it: one more than allowed shows that it is too large. What is not
    compressed as `encoding` says is returned as it came.
    """
    if encoding and body:
        body = _expand(body, encoding.strip().lower(), max_bytes + 1)
    return body.removeprefix(BOM_UTF8)


def _expand(body: bytes, encoding: str, most: int) -> bytes:
    if encoding in ("gzip", "x-gzip"):
        window = _GZIP
    elif encoding == "deflate":
        window = zlib.MAX_WBITS if body[0] & 0x0F == 8 else _BARE_DEFLATE  # both are sent as it
    else:
        return body
    expanded, rest = bytearray(), body
    try:
        while rest and len(expanded) < most:  # gzip may come in several members
            unpacker = zlib.decompressobj(window)
            expanded += unpacker.decompress(rest, most - len(expanded))
            if not unpacker.eof and len(expanded) < most:
                return body  # it breaks off
            rest = unpacker.unused_data
    except zlib.error:
        return body
    return bytes(expanded)
