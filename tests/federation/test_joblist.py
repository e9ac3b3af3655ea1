"""The job list's smaller promises: limits, reports, cursors refused, cancellation, walks kept between pages."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.questions import JobListQuestion, PageRequest, Policy, ReportStatus
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import FloatRange, JobFilter, JobOrder, StringInput
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.instance import Instance
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER, gateway_over


@pytest.fixture
def upstream() -> Upstream:
    return Upstream([Job(i, 1000 + i, user="alice" if i % 2 else "bob") for i in range(200)])


@pytest.fixture
def sites(upstream: Upstream) -> list[Instance]:
    return [site_of(upstream, "one", 1)]


# --- what may be asked


@pytest.mark.parametrize("first", [0, 1, 199, 200, 201])
async def test_a_page_holds_what_was_asked_for_and_knows_what_follows(sites: list[Instance], first: int) -> None:
    async with gateway_over(sites) as gateway:
        answer = await gateway.jobs(JobListQuestion(first=first), CALLER)
    assert len(answer.rows) == min(first, 200)
    assert answer.has_next_page is (first < 200)
    assert (answer.limit, answer.offset) == (None, None)


async def test_a_page_of_no_jobs_goes_on_where_it_began(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        first = await gateway.jobs(JobListQuestion(first=20), CALLER)
        none = await gateway.jobs(JobListQuestion(first=0, after=first.end_cursor), CALLER)
        rest = await gateway.jobs(JobListQuestion(first=200, after=none.end_cursor), CALLER)
        over = await gateway.jobs(JobListQuestion(first=0, after=rest.end_cursor), CALLER)
    assert (none.rows, none.has_next_page, none.end_cursor) == ([], True, first.end_cursor)
    assert (len(rest.rows), over.has_next_page, over.end_cursor) == (180, False, None)


async def test_what_follows_a_page_is_not_read_to_know_that_it_follows() -> None:
    """Sixteen of twenty rows are final, as the last second of a page may be cut: that the others follow is known all the same."""
    upstream = Upstream([Job(i, 1000 + i // 4) for i in range(200)])
    async with gateway_over([site_of(upstream, "one", 1)], page_jobs=100) as gateway:
        seen, after = [], None
        while True:
            answer = await gateway.jobs(JobListQuestion(first=16, after=after), CALLER)
            seen += [row.id for row in answer.rows]
            if after is None:
                (report,) = answer.reports
                assert (report.calls, report.scanned, len(answer.rows), answer.has_next_page) == (1, 20, 16, True)
            if not answer.has_next_page:
                break
            after = answer.end_cursor
        assert sorted(seen) == list(range(1, 201))
        with pytest.raises(RequestError, match=r"More than 100 jobs match"):
            await gateway.jobs(JobListQuestion(page=PageRequest(1, -1)), CALLER)


async def test_without_a_size_a_page_has_fifty(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        assert len((await gateway.jobs(JobListQuestion(), CALLER)).rows) == 50


@pytest.mark.parametrize(
    "question",
    [
        JobListQuestion(first=101),
        JobListQuestion(page=PageRequest(1, 101)),
        JobListQuestion(page=PageRequest(1, -1)),
        JobListQuestion(first=101, order=JobOrder("user")),
    ],
)
async def test_a_page_larger_than_the_limit_is_refused_if_more_match(sites: list[Instance], question: JobListQuestion) -> None:
    async with gateway_over(sites, page_jobs=100) as gateway:
        with pytest.raises(RequestError, match=r"More than 100 jobs match.*limits\.page_jobs") as refused:
            await gateway.jobs(question, CALLER)
    assert refused.value.code is Code.LIMIT_EXCEEDED


HUGE = (201, 9_999_999, 2**63 - 1)


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("order", [JobOrder(), JobOrder("user")])
async def test_a_page_is_as_large_as_what_matches(sites: list[Instance], size: int, order: JobOrder) -> None:
    async with gateway_over(sites, page_jobs=200) as gateway:
        for question in (
            JobListQuestion(first=size, order=order),
            JobListQuestion(page=PageRequest(1, size), order=order),
            JobListQuestion(page=PageRequest(1, -1), order=order),
        ):
            answer = await gateway.jobs(question, CALLER)
            assert len(answer.rows) == 200 and answer.complete and not answer.has_next_page
            assert answer.limit in (None, -1, size)


@pytest.mark.parametrize("size", [150, *HUGE])
@pytest.mark.parametrize("number", [2, 3, 2**63 - 1])
async def test_later_pages_of_any_size_hold_what_is_left(sites: list[Instance], size: int, number: int) -> None:
    async with gateway_over(sites, page_jobs=200) as gateway:
        answer = await gateway.jobs(JobListQuestion(page=PageRequest(number, size)), CALLER)
    assert len(answer.rows) == max(0, 200 - (number - 1) * size) and answer.complete


async def test_a_huge_page_asks_its_sites_for_pages_of_a_bounded_size(upstream: Upstream, sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        await gateway.jobs(JobListQuestion(first=9_999_999), CALLER)
    sizes = [int(found[1]) for request in upstream.requests if (found := re.search(r"items-per-page=(\d+)", request.path))]
    assert sizes and max(sizes) <= 5000


async def test_a_huge_page_heeds_the_scan_budget(sites: list[Instance]) -> None:
    async with gateway_over(sites, scan_budget=50) as gateway:
        with pytest.raises(RequestError) as refused:
            await gateway.jobs(JobListQuestion(page=PageRequest(1, 9_999_999)), CALLER)
    assert refused.value.code is Code.SCAN_BUDGET


@pytest.mark.parametrize(
    "parts",
    [
        {"first": -1},
        {"first": 1, "page": PageRequest()},
        {"after": "x", "page": PageRequest()},
        {"page": PageRequest(0, 5)},
        {"page": PageRequest(-1, 5)},
        {"page": PageRequest(1, 0)},
        {"page": PageRequest(1, -2)},
    ],
)
def test_a_contradictory_question_is_refused(parts: dict[str, object]) -> None:
    with pytest.raises(RequestError) as refused:
        JobListQuestion(**parts)  # type: ignore[arg-type]
    assert refused.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("question", "code"),
    [
        (JobListQuestion(after="nonsense"), Code.INVALID_CURSOR),
        (JobListQuestion(sites=["one", "nowhere"]), Code.UNKNOWN_SITE),
        (JobListQuestion(order=JobOrder("nonsense")), Code.BAD_REQUEST),
        (JobListQuestion(filters=[JobFilter(shared="x")]), Code.BAD_REQUEST),
        (JobListQuestion(filters=[JobFilter(shared="x")], order=JobOrder("user")), Code.BAD_REQUEST),
    ],
)
async def test_a_bad_question_asks_nobody(
    sites: list[Instance], upstream: Upstream, question: JobListQuestion, code: Code
) -> None:
    async with gateway_over(sites) as gateway:
        with pytest.raises(RequestError) as refused:
            await gateway.jobs(question, CALLER)
    assert refused.value.code is code
    assert upstream.requests == []


@pytest.mark.parametrize(
    "other",
    [
        JobListQuestion(filters=[JobFilter(user=StringInput(eq="alice"))]),
        JobListQuestion(sites=["one"]),
        JobListQuestion(order=JobOrder("user")),
    ],
)
async def test_a_cursor_serves_only_its_own_question(sites: list[Instance], other: JobListQuestion) -> None:
    async with gateway_over(sites) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=5), CALLER)).end_cursor
        with pytest.raises(RequestError) as refused:
            await gateway.jobs(replace(other, after=cursor), CALLER)
        assert refused.value.code is Code.INVALID_CURSOR
        assert len((await gateway.jobs(JobListQuestion(first=7, after=cursor), CALLER)).rows) == 7


async def test_without_sites_there_is_an_empty_complete_list() -> None:
    async with gateway_over([]) as gateway:
        answer = await gateway.jobs(JobListQuestion(wants_count=True), CALLER)
    assert (answer.rows, answer.reports, answer.complete, answer.count) == ([], [], True, 0)


# --- reports


async def test_a_report_tells_what_was_asked_read_and_given(sites: list[Instance], upstream: Upstream) -> None:
    async with gateway_over(sites) as gateway:
        answer = await gateway.jobs(JobListQuestion(first=10, filters=[JobFilter(user=StringInput(eq="alice"))]), CALLER)
    [report] = answer.reports
    assert (report.site, report.number, report.status, report.code) == ("one", 1, ReportStatus.OK, None)
    assert report.calls == len(upstream.requests)
    assert report.scanned == upstream.rows_sent
    assert report.returned == 10
    assert report.elapsed > 0


async def test_counts_of_returned_jobs_add_up_over_the_sites(upstream: Upstream) -> None:
    other = Upstream([Job(5000 + i, 1000 + i, id=900 + i) for i in range(0, 200, 4)])
    async with gateway_over([site_of(upstream, "one", 1), site_of(other, "two", 2)]) as gateway:
        answer = await gateway.jobs(JobListQuestion(first=100), CALLER)
    assert sum(report.returned for report in answer.reports) == 100
    assert min(report.returned for report in answer.reports) > 0


async def test_one_call_is_enough_for_a_page_also_where_its_last_second_is_put_aside(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        for size in (16, 50, 150):
            (report,) = (await gateway.jobs(JobListQuestion(page=PageRequest(1, size)), CALLER)).reports
            assert report.calls == 1 and size < report.scanned <= size + 11


async def test_a_question_to_one_site_does_not_change_how_much_it_is_asked_beside_another(upstream: Upstream) -> None:
    alike = Upstream([replace(job, cluster="other") for job in upstream.jobs.values()])
    async with gateway_over([site_of(upstream, "one", 1), site_of(alike, "two", 2)]) as gateway:
        before = await gateway.jobs(JobListQuestion(first=100), CALLER)
        await gateway.jobs(JobListQuestion(first=100, sites=["one"]), CALLER)
        after = await gateway.jobs(JobListQuestion(first=100), CALLER)
    assert [report.scanned for report in after.reports] == [report.scanned for report in before.reports]


async def test_a_filter_on_what_a_site_does_not_keep_is_noted_in_its_report() -> None:
    old = Upstream([Job(1, 1000, energy=5.0)], release="1.3")
    async with gateway_over([site_of(old, "old", 1)]) as gateway:
        answer = await gateway.jobs(JobListQuestion(filters=[JobFilter(energy=FloatRange(1.0, None))]), CALLER)
    assert (answer.rows, answer.complete) == ([], True)
    assert "energy" in answer.reports[0].notes[0]


# --- leaving nothing behind


@pytest.mark.parametrize("question", [JobListQuestion(first=5), JobListQuestion(order=JobOrder("user"))])
async def test_cancelling_a_request_cancels_its_work(
    sites: list[Instance], upstream: Upstream, question: JobListQuestion
) -> None:
    upstream.hangs = True
    before = asyncio.all_tasks()
    async with gateway_over(sites) as gateway:
        task = asyncio.create_task(gateway.jobs(question, CALLER))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asyncio.all_tasks() == before


async def test_cancelling_a_request_that_counts_cancels_both(sites: list[Instance], upstream: Upstream) -> None:
    before = asyncio.all_tasks()
    async with gateway_over(sites, read_ahead=0) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=5), CALLER)).end_cursor
        upstream.hangs = True
        task = asyncio.create_task(gateway.jobs(JobListQuestion(first=5, after=cursor, wants_count=True), CALLER))
        await asyncio.sleep(0.02)
        assert len(asyncio.all_tasks()) > len(before) + 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert asyncio.all_tasks() == before


async def test_a_request_ends_at_its_own_deadline(sites: list[Instance], upstream: Upstream) -> None:
    upstream.hangs = True
    loop = asyncio.get_running_loop()
    async with gateway_over(sites, request_timeout=0.2) as gateway:
        started = loop.time()
        with pytest.raises(Exception, match="No site answered"):
            await gateway.jobs(JobListQuestion(first=5, wants_count=True), CALLER)
        assert loop.time() - started < 3.0


# --- walks kept between two pages


async def walk_pages(sites: list[Instance], count: int, *, read_ahead: float, caller: Principal = CALLER) -> list[int]:
    async with gateway_over(sites, read_ahead=read_ahead) as gateway:
        after, given = None, []
        for _ in range(count):
            answer = await gateway.jobs(JobListQuestion(first=20, after=after), caller)
            given += [row.job_id for row in answer.rows]
            after = answer.end_cursor
        return given


async def test_keeping_a_walk_changes_its_cost_and_not_the_list(upstream: Upstream, sites: list[Instance]) -> None:
    without = await walk_pages(sites, 10, read_ahead=0)
    calls = len(upstream.requests)
    kept = await walk_pages(sites, 10, read_ahead=2)
    assert kept == without == list(range(199, -1, -1))
    assert len(upstream.requests) - calls < calls


async def test_a_kept_walk_serves_nobody_else(upstream: Upstream, sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=20), CALLER)).end_cursor
        before = len(upstream.requests)
        answer = await gateway.jobs(JobListQuestion(first=20, after=cursor), Principal("somebody else"))
        assert len(upstream.requests) > before
        assert answer.rows[0].job_id == 179


async def test_a_kept_walk_does_not_serve_a_question_with_other_fields(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=20), CALLER)).end_cursor
        answer = await gateway.jobs(JobListQuestion(first=20, after=cursor, fields=frozenset({"user"})), CALLER)
        assert answer.rows[0].user == "alice"


async def test_the_same_cursor_twice_gives_the_same_page_twice(sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=20), CALLER)).end_cursor
        pages = await asyncio.gather(*(gateway.jobs(JobListQuestion(first=20, after=cursor), CALLER) for _ in range(3)))
        assert {tuple(row.job_id for row in page.rows) for page in pages} == {tuple(range(179, 159, -1))}


async def test_a_site_that_fails_while_read_ahead_is_asked_again_by_the_next_page(
    upstream: Upstream, sites: list[Instance]
) -> None:
    async with gateway_over(sites) as gateway:
        after = None
        for _ in range(3):
            answer = await gateway.jobs(JobListQuestion(first=20, after=after), CALLER)
            after = answer.end_cursor
        upstream.fails = lambda _: SiteError(Code.UNREACHABLE, "one", "down")
        await asyncio.sleep(0.05)
        upstream.fails = lambda _: None
        answer = await gateway.jobs(JobListQuestion(first=20, after=after), CALLER)
        assert [row.job_id for row in answer.rows] == list(range(139, 119, -1))
        assert answer.complete


async def test_reading_ahead_ends_with_the_gateway(upstream: Upstream, sites: list[Instance]) -> None:
    before = asyncio.all_tasks()
    async with gateway_over(sites) as gateway:
        after = None
        for _ in range(3):
            after = (await gateway.jobs(JobListQuestion(first=20, after=after), CALLER)).end_cursor
        upstream.hangs = True
    assert asyncio.all_tasks() == before


async def test_a_walk_that_nobody_goes_on_with_is_dropped(upstream: Upstream, sites: list[Instance]) -> None:
    before = asyncio.all_tasks()
    async with gateway_over(sites, read_ahead=0.05) as gateway:
        after = None
        for _ in range(3):
            after = (await gateway.jobs(JobListQuestion(first=20, after=after), CALLER)).end_cursor
        upstream.hangs = True
        await asyncio.sleep(0.2)
        assert asyncio.all_tasks() == before


async def test_strict_and_partial_do_not_share_a_kept_walk(upstream: Upstream, sites: list[Instance]) -> None:
    async with gateway_over(sites) as gateway:
        cursor = (await gateway.jobs(JobListQuestion(first=20), CALLER)).end_cursor
        before = len(upstream.requests)
        await gateway.jobs(JobListQuestion(first=20, after=cursor, policy=Policy.STRICT), CALLER)
        assert len(upstream.requests) > before


async def test_a_walk_kept_open_says_of_each_page_only_what_concerns_it() -> None:
    upstream = Upstream([Job(i, 1000 + i) for i in range(60)])
    async with gateway_over([site_of(upstream, "here")], scan_budget=20) as gateway:
        after, notes = None, []
        for _ in range(3):
            page = await gateway.jobs(JobListQuestion(first=5, after=after, wants_count=True), CALLER)
            notes.append(page.reports[0].notes)
            after = page.end_cursor
    assert [len(one) for one in notes] == [1, 1, 1]
    assert all("scan budget" in one[0] for one in notes)


async def test_nobody_is_called_slow_on_a_later_page_before_any_site_has_answered_it() -> None:
    gate = asyncio.Event()
    gate.set()

    class Gated(Upstream):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            await gate.wait()
            return await super().exchange(request, context)

    upstreams = [Gated([Job(i, 1000 + 2 * i + n) for i in range(200)]) for n in range(2)]
    both = [site_of(upstream, f"s{n}", n + 1) for n, upstream in enumerate(upstreams)]
    async with gateway_over(both, patience=1.0, read_ahead=5.0) as gateway:
        first = await gateway.jobs(JobListQuestion(first=20), CALLER)
        await asyncio.sleep(0.1)  # what is read ahead is there
        gate.clear()
        asyncio.get_running_loop().call_later(1.5, gate.set)
        second = await gateway.jobs(JobListQuestion(first=150, after=first.end_cursor), CALLER)
    assert (len(second.rows), second.complete) == (150, True)
