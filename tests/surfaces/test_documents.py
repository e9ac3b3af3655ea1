"""Documents are parsed and validated once, and what is remembered is bounded."""

from __future__ import annotations

import pytest

from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.documents import BYTES_PER_TOKEN, Documents
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.schema import core_schema

LIMITS = LimitSettings()  # type: ignore[call-arg]


def query(number: int) -> str:
    return f"{{ jobs(first: {number}) {{ complete }} }}"


def test_the_same_text_is_read_once() -> None:
    documents = Documents(core_schema(), LIMITS)
    assert documents.get(query(1)) is documents.get(query(1))
    assert documents.get(query(1)) is not documents.get(query(2))


def test_the_least_recently_used_goes_first() -> None:
    documents = Documents(core_schema(), LIMITS, most=2)
    first, second = documents.get(query(1)), documents.get(query(2))
    assert documents.get(query(1)) is first
    documents.get(query(3))
    assert len(documents) == 2
    assert documents.get(query(1)) is first
    assert documents.get(query(2)) is not second


def test_bytes_are_bounded_and_follow_what_is_held() -> None:
    weight = Documents(core_schema(), LIMITS).get(query(1)).weight
    assert weight > len(query(1)) + 10 * BYTES_PER_TOKEN
    documents = Documents(core_schema(), LIMITS, most_bytes=3 * weight)
    for number in range(1, 9):
        documents.get(query(number))
        assert documents.bytes_held == len(documents) * weight <= 3 * weight
    assert len(documents) == 3


def test_what_is_larger_than_the_whole_cache_is_served_and_not_kept() -> None:
    documents = Documents(core_schema(), LIMITS, most_bytes=100)
    assert documents.get(query(1)).node.definitions
    assert (len(documents), documents.bytes_held) == (0, 0)


@pytest.mark.parametrize("text", ["{", "{ nope }", "{ jobs " + "{ items " * 30 + "}" * 31])
def test_what_is_refused_is_not_kept(text: str) -> None:
    documents = Documents(core_schema(), LIMITS)
    with pytest.raises(Refusal):
        documents.get(text)
    assert len(documents) == 0
