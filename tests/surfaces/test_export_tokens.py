"""Tokens by which exports are taken up again come from strangers: whatever stands in one, it is refused or fit to go on with."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.export.records import End, Mark, moment, written
from ccgateway.surfaces.export.resuming import VERSION, Resume

DIGEST = "0123456789abcdef"


def written_token(*fields: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).decode().rstrip("=")


_edges = st.sampled_from([
    -(2**63), -1, 0, 1, 2**31, 253_402_300_799, 253_402_300_800, 2**39, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1,
])  # fmt: skip
_integers = st.one_of(_edges, st.integers(-(2**63), 2**64 - 1))
_anything = st.one_of(_integers, st.none(), st.booleans(), st.floats(), st.text(), st.binary(max_size=20))


def go_on(text: str) -> None:
    """As an export does with a token."""
    try:
        found = Resume.decode(text, DIGEST)
    except RequestError as refused:
        assert refused.code is Code.INVALID_CURSOR
        return
    assert moment(found.as_of).endswith("Z")
    rows = found.rows + 1_000_000_000
    later = msgspec.structs.replace(found, rows=rows).encode()
    assert written(Mark(later, rows)) and written(End(rows=0, sha256="", complete=True, sites=(), resumed_at=rows, resume=later))


@given(as_of=_integers, rows=_integers, cursor=st.one_of(st.none(), st.text()), missing=st.lists(st.text(), max_size=3))
def test_a_token_with_impossible_numbers_is_refused(as_of: int, rows: int, cursor: str | None, missing: list[str]) -> None:
    go_on(written_token(1, DIGEST, as_of, rows, cursor, missing))


@given(fields=st.lists(_anything, max_size=7))
def test_a_token_of_other_kinds_is_refused(fields: list[Any]) -> None:
    go_on(written_token(*fields))


@given(text=st.one_of(st.text(), st.binary(max_size=60).map(lambda one: base64.urlsafe_b64encode(one).decode())))
def test_what_is_no_token_is_refused(text: str) -> None:
    go_on(text)


@pytest.mark.parametrize("as_of", [253_402_300_800, 1 << 39])
def test_a_time_after_the_last_year_is_refused(as_of: int) -> None:
    with pytest.raises(RequestError):
        Resume.decode(written_token(VERSION, DIGEST, as_of, 0, None, ()), DIGEST)
