"""Ids of the gateway's own for jobs that have none yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.jobs.model import JobKey
from ccgateway.jobs.provisional import FIRST_PROVISIONAL, Clue, clue_of, is_provisional, provisional_id

NOW = 1_760_000_000
KEYS = st.builds(JobKey, st.just("aurora"), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**40))


@given(KEYS, st.integers(1, 999))
def test_with_any_site_number_they_are_integers_that_browsers_read_exactly(key: JobKey, site: int) -> None:
    number = provisional_id(key) * 1000 + site
    assert is_provisional(provisional_id(key)) and 2**52 <= number < 2**53
    assert number % 1000 == site


@given(KEYS)
def test_the_same_key_makes_the_same_id_everywhere(key: JobKey) -> None:
    assert provisional_id(key) == provisional_id(JobKey(*key))


@given(st.integers(0, 2**26 - 1), st.integers(-600, 32_000))
def test_a_schedulers_number_and_a_recent_start_are_read_out_of_it(number: int, ago: int) -> None:
    key = JobKey("aurora", "aurora", number, NOW - ago)
    assert clue_of(provisional_id(key), NOW) == Clue(number, NOW - ago)


@pytest.mark.parametrize("number", [2**26, 2**32, 4711 << 32 | 8, 2**63 - 1])
def test_a_larger_number_is_a_digest(number: int) -> None:
    one, two = (provisional_id(JobKey("aurora", cluster, number, NOW)) for cluster in ("aurora", "borealis"))
    assert one != two and clue_of(one, NOW) is None


def test_no_database_counts_that_far() -> None:
    assert FIRST_PROVISIONAL > 4_000_000_000_000
    assert not is_provisional(FIRST_PROVISIONAL - 1) and clue_of(3938, NOW) is None
