"""A scan has a budget: when it is spent the answer says so, and its cursor goes on where the scan stopped."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code
from ccgateway.federation.questions import JobListQuestion, ReportStatus
from ccgateway.jobs.filters import JobFilter, StringInput
from properties.worlds import World, filter_lists, worlds
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER, gateway_over, order_of, walked_over

budgets = st.sampled_from([1, 2, 5, 20])


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a scan of a few jobs takes several pages, and may stop between any two of them."""
    monkeypatch.setattr("ccgateway.federation.merge.FIRST_SCAN", 2)


def test_a_needle_is_found_over_several_empty_pages_that_say_so() -> None:
    upstream = Upstream([Job(i, 1000 + i // 2, user="rare" if i == 3 else "alice") for i in range(300)])
    question = JobListQuestion(filters=[JobFilter(user=StringInput(eq="rare"))], first=10)
    walked = walked_over([site_of(upstream, "here")], question, at_most=10, scan_budget=50)
    assert [key.job_id for key in walked.keys] == [3]
    *empty, last = walked.pages
    assert len(empty) >= 2
    for page in empty:
        [report] = page.reports
        assert (page.rows, page.complete, report.code, report.retryable) == ([], False, Code.SCAN_BUDGET, False)
        assert 50 <= report.scanned <= 120
        assert report.message is not None
        assert "cursor continues" in report.message
    assert last.complete
    assert upstream.rows_sent <= 2 * 300


@given(world=worlds(most_sites=3), filters=filter_lists(), budget=budgets, size=st.sampled_from([1, 3, 50]))
def test_a_walk_with_a_small_budget_still_finds_everything(
    world: World, filters: list[JobFilter], budget: int, size: int
) -> None:
    question = JobListQuestion(filters=filters, first=size)
    walked = walked_over(world.instances, question, at_most=2 * world.total() + 5, scan_budget=budget)
    assert walked.keys == sorted(world.expected(filters), key=order_of)
    for page in walked.pages:
        spent = [report for report in page.reports if report.code is Code.SCAN_BUDGET]
        assert page.complete == (not spent)
        assert all(report.status is ReportStatus.PARTIAL and report.scanned >= budget for report in spent)
        assert page.has_next_page or page.complete


@given(world=worlds(most_sites=3, churn=True), filters=filter_lists(), budget=budgets)
def test_a_small_budget_loses_nothing_while_jobs_come_and_go(world: World, filters: list[JobFilter], budget: int) -> None:
    question = JobListQuestion(filters=filters, first=3)
    walked = walked_over(world.instances, question, at_most=2 * world.total() + 300, scan_budget=budget)
    assert walked.keys == sorted(set(walked.keys), key=order_of)
    assert world.expected(filters) <= set(walked.keys)


@given(world=worlds(most_sites=3), filters=filter_lists(), budget=budgets)
def test_a_count_is_exact_or_absent_with_the_reason(world: World, filters: list[JobFilter], budget: int) -> None:
    async def first_page() -> None:
        async with gateway_over(world.instances, scan_budget=budget) as gateway:
            answer = await gateway.jobs(JobListQuestion(filters=filters, first=2, wants_count=True), CALLER)
            if answer.count is None:
                assert any(note.startswith("count: ") for report in answer.reports for note in report.notes)
                assert max(len(upstream.jobs) for upstream in world.upstreams.values()) >= budget
            else:
                assert answer.count == len(world.expected(filters))

    asyncio.run(first_page())
