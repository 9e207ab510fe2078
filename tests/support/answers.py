"""Answers of servers that make no sense, for property tests."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from tests.support.hostile import reply

_HEADERS = st.tuples(
    st.from_regex(r"\A[A-Za-z-]{1,12}\Z"), st.text("abc\xff ;,=\t", max_size=8)
) | st.sampled_from(
    [
        ("Content-Encoding", "gzip"), ("Content-Encoding", "br"), ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "gzip, chunked"), ("Connection", "close"), ("Connection", "upgrade"),
        ("Upgrade", "websocket"), ("Set-Cookie", "=; a=b; \xff"), ("Location", "http://[::1"),
        ("Content-Type", "text/html; charset=nonsense"), ("Content-Length", "1"),
        ("Retry-After", "nan"), ("X-RateLimit-Limit", "-1"), ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "9999999999"), ("Date", "yesterday"), ("X-Request-Id", "\xff"),
    ]
)  # fmt: skip
_NAMES = ["data", "trunks", "pagination", "id", "error", "total", "next_cursor"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)
ANSWERS = st.builds(
    lambda status, body, headers: reply(status, body, headers=headers, then="close").bytes,
    st.integers(0, 999) | st.sampled_from([200, 204, 302, 401, 409, 422, 429, 503]),
    st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(_HEADERS, max_size=4),
)
