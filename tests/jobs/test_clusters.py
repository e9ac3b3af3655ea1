"""How many hosts a compact node list names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.jobs.clusters import count_nodes


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        ("", 0),
        ("login1", 1),
        ("an[001-064]", 64),
        ("an[001-064],login1", 65),
        ("an[1,3,5-7]", 5),
        ("an[001-064,070],bn[1-2]", 67),
        ("r[1-2]n[01-10]", 20),
        ("a,b,,c,", 3),
        ("an[7-7]", 1),
        ("an[]", 1),
        ("an[x-y]", 1),
        ("an[9-5]", 1),
        (" a , b ", 2),
        ("an[1-3", 1),
    ],
)
def test_it_counts(nodes: str, count: int) -> None:
    assert count_nodes(nodes) == count


@given(text=st.text("an01-,[] x", max_size=40))
def test_any_text_counts_something_not_below_zero(text: str) -> None:
    assert count_nodes(text) >= 0


@given(low=st.integers(0, 500), size=st.integers(1, 500))
def test_a_range_counts_both_ends(low: int, size: int) -> None:
    assert count_nodes(f"n[{low:04}-{low + size - 1:04}]") == size


@pytest.mark.parametrize("nodes", ["a," * 50_000, "[" * 50_000, "a[1-9]" * 300, "a[" + "1," * 50_000, "[1-" + "9" * 50_000 + "]"])
def test_a_hostile_list_takes_no_more_than_a_moment(nodes: str) -> None:
    started = time.perf_counter()
    count_nodes(nodes)
    assert time.perf_counter() - started < 2.0
