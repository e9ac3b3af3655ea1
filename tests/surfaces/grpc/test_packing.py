"""Samples packed as doubles: whichever way they are read, the same bytes and the same refusals."""

from __future__ import annotations

import json
import math
from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.surfaces.grpc import packed_numbers

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70), st.sampled_from([0, -0.0, 1e308, 5e-324])
)


def expected(numbers: list[float | None]) -> bytes:
    return array("d", [math.nan if number is None else number for number in numbers]).tobytes()


@given(st.lists(NUMBERS, max_size=300), st.sampled_from([(",", ":"), (" , ", ":"), (",\n\t", ":")]))
def test_numbers_are_packed_as_they_are(numbers: list[float], separators: tuple[str, str]) -> None:
    text = msgspec.Raw(json.dumps(numbers, separators=separators).encode())
    assert packed_numbers.packed(text) == packed_numbers._by_msgspec(text) == expected(list(numbers))


@given(st.sets(st.integers(0, 1199), max_size=5))
def test_few_that_are_missing_are_nan_at_their_places(missing: set[int]) -> None:
    numbers = [None if place in missing else place / 8 for place in range(1200)]
    text = json.dumps(numbers).encode()
    assert packed_numbers._by_simdjson(text) == packed_numbers._by_msgspec(msgspec.Raw(text)) == expected(numbers)


def test_where_most_are_missing_they_are_read_in_the_other_way() -> None:
    numbers = [None, 1.5] * 200
    text = json.dumps(numbers).encode()
    assert packed_numbers._by_simdjson(text) is None
    assert packed_numbers.packed(msgspec.Raw(text)) == expected(numbers)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[", b"[1,2", b"[1,]", b"[[1],2]", b"[[1,2]]", b'["1"]', b'["null"]', b"[true]", b"[NaN]", b"[1]x", b"3",
        b'{"a":1}', b"[1null]", b"[null1]", b"[nullnull]", b"[n ull]", b"[01]", b"[" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("padded", [False, True])
def test_what_is_no_list_of_numbers_is_refused(text: bytes, padded: bool) -> None:
    if padded:  # so long that a null in it is one of few
        text = text.replace(b"[", b"[" + b"1.25," * 400, 1)
    with pytest.raises((msgspec.MsgspecError, ValueError)):
        packed_numbers.packed(msgspec.Raw(text))


def test_lists_beyond_what_one_parser_keeps_are_packed_alike() -> None:
    numbers = [place / 3 for place in range(packed_numbers.KEPT // 10)]
    text = msgspec.Raw(json.dumps(numbers).encode())
    assert len(bytes(text)) > packed_numbers.KEPT
    assert packed_numbers.packed(text) == expected(list(numbers))


def test_without_simdjson_everything_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_numbers, "simdjson", None)
    text = msgspec.Raw(b"[1,2.5,null]")
    assert packed_numbers.packed(text) == expected([1, 2.5, None])
