"""Bodies as they were before they were compressed, and what is not as its label says."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepath_async.protocol.encoding import decode_body

BODY = b'{"a": "' + b"x" * 500 + b'"}'


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        (" GZIP ", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", bare_deflate(BODY)),
        ("", BODY),
        ("identity", BODY),
    ],
)
def test_a_body_is_expanded(encoding: str, compressed: bytes) -> None:
    assert decode_body(compressed, encoding, 10_000) == (BODY, True)


@pytest.mark.parametrize("at", [1, 100, 2**18, 300_000])
def test_gzip_of_several_members_is_expanded_whole(at: int) -> None:
    body = random.Random(1).randbytes(400_000)
    members = gzip.compress(body[:at]) + gzip.compress(b"") + gzip.compress(body[at:])
    assert decode_body(members, "gzip", 10**6) == (body, True)
    assert decode_body(members + bytes(600), "gzip", 10**6) == (body, True)
    assert decode_body(members[:-9], "gzip", 10**6) == (members[:-9], True)
    assert decode_body(members, "gzip", 399_999) == (body[:399_999], False)


def test_a_member_may_end_where_a_piece_ends() -> None:
    lengths = set()
    for size in range(2**16 - 40, 2**16 - 10):
        first = random.Random(1).randbytes(size)
        member = gzip.compress(first, 0)
        lengths.add(len(member))
        assert decode_body(member + gzip.compress(BODY), "gzip", 10**6) == (first + BODY, True)
    assert lengths >= {2**16 - 1, 2**16, 2**16 + 1}


@pytest.mark.parametrize("kind", [zlib.compress, bare_deflate])
def test_what_follows_deflate_is_left_out(kind: Callable[[bytes], bytes]) -> None:
    assert decode_body(kind(BODY) + gzip.compress(BODY), "deflate", 10**6) == (BODY, True)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bare_deflate])
def test_another_encoding_is_not_guessed_at(pack: Callable[[bytes], bytes]) -> None:
    assert decode_body(pack(BODY), "br", 10**6) == (pack(BODY), True)


def test_the_last_match_of_bare_deflate_may_go_beyond_a_piece() -> None:
    for beyond in range(259):
        body = bytes(2**16 + beyond)
        assert decode_body(bare_deflate(body), "deflate", 10**6) == (body, True)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "nonsense"])
@pytest.mark.parametrize("body", [b"", b"{}", BODY, b"\x1f\x8b", b"\x78\x9c", b"\x00"])
def test_what_is_not_as_its_label_says_is_returned_as_it_came(encoding: str, body: bytes) -> None:
    assert decode_body(body, encoding, 10_000) == (body, True)


@pytest.mark.parametrize("cut", [5, 20, -8, -1])
def test_what_breaks_off_is_returned_as_it_came(cut: int) -> None:
    begun = gzip.compress(BODY)[:cut]
    assert decode_body(begun, "gzip", 10_000) == (begun, True)


def test_a_byte_order_mark_is_taken_off() -> None:
    assert decode_body(b"\xef\xbb\xbf{}", "", 10) == (b"{}", True)
    assert decode_body(gzip.compress(b"\xef\xbb\xbf{}"), "gzip", 10) == (b"{}", True)


@pytest.mark.parametrize("size", [99, 100, 101, 1000, 10_000_000])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bare_deflate])
def test_what_is_larger_than_allowed_is_cut(size: int, pack: Callable[[bytes], bytes]) -> None:
    encoding = "gzip" if pack is gzip.compress else "deflate"
    whole = size <= 100
    assert decode_body(pack(b"x" * size), encoding, 100) == (b"x" * min(size, 100), whole)


@pytest.mark.parametrize("size", [2**18 - 1, 2**18, 2**18 + 1, 2**20, 3_000_000])
@pytest.mark.parametrize("kind", ["zeros", "random"])
def test_large_bodies_are_expanded_whole_and_cut_to_a_mebibyte(size: int, kind: str) -> None:
    body = bytes(size) if kind == "zeros" else random.Random(1).randbytes(size)
    compressed = gzip.compress(body, 1)
    assert decode_body(compressed, "gzip", size) == (body, True)
    assert decode_body(compressed, "gzip", size - 1) == (body[: size - 1][: 2**20], False)


@given(body=st.binary(max_size=300), encoding=st.sampled_from(["gzip", "deflate"]))
def test_nothing_whatever_raises(body: bytes, encoding: str) -> None:
    assert len(decode_body(body, encoding, 1000)[0]) <= 1000
