"""Which coding a caller gets, and that what is compressed in it can be unpacked."""

from __future__ import annotations

import gzip
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.surfaces.content_coding import coding_for, compressor_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNPACK = {"gzip": gzip.decompress, "zstd": zstd.decompress}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("deflate, br", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("zstd, gzip", "gzip"),
        ("zstd;q=0.9, gzip;q=0.9", "gzip"),
        ("zstd, gzip;q=0.9", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip; q=0.5 , zstd; q=0.501", "zstd"),
        ("gzip;q=0", None),
        ("gzip;q=0.000, zstd;q=0", None),
        ("gzip;q=0, zstd", "zstd"),
        ("*", "gzip"),
        ("*;q=0", None),
        ("*;q=0.1, gzip;q=0", None),
        ("zstd;q=0.2, *", "gzip"),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=nan", None),
        ("gzip;q=", None),
        ("gzip;level=9;q=0.5", "gzip"),
        (",,; ;q=1,gzip,", "gzip"),
    ],
)
def test_the_caller_gets_what_it_likes_best(accepted: str, coding: str | None) -> None:
    assert coding_for(accepted) == coding


@given(st.text(max_size=60))
def test_whatever_is_asked_for_is_understood_or_ignored(accepted: str) -> None:
    assert coding_for(accepted) in (None, "gzip", "zstd")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_what_was_packed_piece_by_piece_is_whole_again(coding: str, pieces: list[bytes]) -> None:
    compressor = compressor_for(coding)
    compressed = b"".join(compressor.compress(memoryview(piece)) for piece in pieces) + compressor.flush()
    assert UNPACK[coding](compressed) == b"".join(pieces)
