"""The one exact job list, whatever the sites hold and whatever happens meanwhile: nothing lost or doubled, one strict order."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ccgateway.federation.questions import JobListQuestion, PageRequest
from ccgateway.jobs.filters import JobFilter
from properties.worlds import World, filter_lists, worlds
from support.walking import CALLER, Walked, gateway_over, order_of, walked_over

page_sizes = st.sampled_from([1, 2, 3, 7, 50])


def assert_strictly_ordered(walked: Walked) -> None:
    for one, other in pairwise(walked.keys):
        assert order_of(one) < order_of(other)


@given(world=worlds(), size=page_sizes)
def test_a_walk_over_sites_at_rest_is_the_sorted_union(world: World, size: int) -> None:
    walked = walked_over(world.instances, JobListQuestion(first=size), at_most=world.total() + 2)
    assert walked.keys == sorted(world.expected([]), key=order_of)
    assert walked.is_complete
    assert all(len(page.rows) == size for page in walked.pages[:-1])


@given(world=worlds(churn=True), size=page_sizes)
def test_nothing_that_stays_is_lost_or_doubled_while_jobs_come_end_and_go(world: World, size: int) -> None:
    walked = walked_over(world.instances, JobListQuestion(first=size), at_most=world.total() + 200)
    assert_strictly_ordered(walked)
    assert world.expected([]) <= set(walked.keys)


@given(world=worlds(seconds=0, churn=True), size=page_sizes)
def test_pages_within_one_second_lose_nothing(world: World, size: int) -> None:
    walked = walked_over(world.instances, JobListQuestion(first=size), at_most=world.total() + 200)
    assert_strictly_ordered(walked)
    assert world.expected([]) <= set(walked.keys)


@given(world=worlds(most_sites=3), filters=filter_lists(), size=page_sizes)
def test_a_filtered_walk_is_what_the_oracle_says(world: World, filters: list[JobFilter], size: int) -> None:
    question = JobListQuestion(filters=filters, first=size)
    walked = walked_over(world.instances, question, at_most=world.total() + 2)
    assert walked.keys == sorted(world.expected(filters), key=order_of)
    assert walked.is_complete


@given(world=worlds(churn=True, most_sites=3), filters=filter_lists(), size=page_sizes)
def test_a_filtered_walk_keeps_what_stays(world: World, filters: list[JobFilter], size: int) -> None:
    question = JobListQuestion(filters=filters, first=size)
    walked = walked_over(world.instances, question, at_most=world.total() + 200)
    assert_strictly_ordered(walked)
    assert world.expected(filters) <= set(walked.keys)


@given(world=worlds(most_sites=3), size=page_sizes, filters=st.one_of(st.just([]), filter_lists()))
def test_pages_by_number_tile_the_list(world: World, size: int, filters: list[JobFilter]) -> None:
    expected = sorted(world.expected(filters), key=order_of)

    async def pages() -> None:
        async with gateway_over(world.instances) as gateway:
            for number in range(1, len(expected) // size + 3):
                question = JobListQuestion(filters=filters, page=PageRequest(number, size), wants_count=True)
                answer = await gateway.jobs(question, CALLER)
                skipped = (number - 1) * size
                assert [row.key for row in answer.rows] == expected[skipped : skipped + size]
                assert (answer.offset, answer.limit) == (skipped, size)
                assert answer.has_next_page == (len(expected) > skipped + size)
                assert answer.count == len(expected)

    asyncio.run(pages())


@given(world=worlds(), filters=st.one_of(st.just([]), filter_lists()))
def test_everything_in_one_page(world: World, filters: list[JobFilter]) -> None:
    question = JobListQuestion(filters=filters, page=PageRequest(1, -1))
    [answer] = walked_over(world.instances, question, at_most=1).pages
    assert [row.key for row in answer.rows] == sorted(world.expected(filters), key=order_of)
    assert not answer.has_next_page


@given(world=worlds(most_sites=3), filters=filter_lists(), size=page_sizes)
def test_counts_are_exact_on_every_page(world: World, filters: list[JobFilter], size: int) -> None:
    question = JobListQuestion(filters=filters, first=size, wants_count=True)
    walked = walked_over(world.instances, question, at_most=world.total() + 2)
    assert {page.count for page in walked.pages} == {len(world.expected(filters))}
