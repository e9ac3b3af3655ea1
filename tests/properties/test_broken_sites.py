"""A site that fails on everything fails quickly, and the others' jobs come as if it were not there."""

from __future__ import annotations

import asyncio

import pytest

from ccgateway.errors import Code, FederationError, SiteError
from ccgateway.federation.questions import JobListAnswer, JobListQuestion, Policy, ReportStatus
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.instance import Instance
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER, gateway_over

EMPTY_500 = SiteAnswer(500, "", b"")
WORDY_500 = SiteAnswer(500, "application/json", b'{"status":"Internal Server Error","error":"database is locked"}')


@pytest.fixture
def healthy() -> Upstream:
    return Upstream([Job(i, 1000 + i) for i in range(20)])


@pytest.fixture
def broken() -> Upstream:
    return Upstream([Job(i, 1000 + i) for i in range(20)], release="1.4")


def ask(*instances: Instance, policy: Policy = Policy.PARTIAL, first: int = 50) -> JobListAnswer:
    async def run() -> JobListAnswer:
        async with gateway_over(instances) as gateway:
            return await gateway.jobs(JobListQuestion(first=first, policy=policy), CALLER)

    return asyncio.run(run())


@pytest.mark.parametrize("answer", [EMPTY_500, WORDY_500])
@pytest.mark.parametrize("first", [1, 50, 5000])
def test_a_site_that_answers_500_to_everything_is_given_up_soon(
    healthy: Upstream, broken: Upstream, answer: SiteAnswer, first: int
) -> None:
    broken.fails = lambda _: answer
    page = ask(site_of(healthy, "healthy", 1), site_of(broken, "broken", 2), first=first)
    assert len(page.rows) == min(first, 20)
    report = page.reports[1]
    assert (report.status, report.code, report.retryable) == (ReportStatus.FAILED, Code.SITE_ERROR, True)
    assert not page.complete
    assert len(broken.requests) < 30


@pytest.mark.parametrize("archive", ["named", "silent"])
def test_a_site_that_lost_its_whole_archive_does_not_take_thousands_of_requests(healthy: Upstream, archive: str) -> None:
    lost = Upstream([Job(i, 1000 + i, archive=archive) for i in range(1000)])  # type: ignore[arg-type]
    page = ask(site_of(healthy, "healthy", 1), site_of(lost, "lost", 2))
    assert len(page.rows) == 20
    assert not page.complete
    assert page.reports[1].status is ReportStatus.FAILED
    assert len(lost.requests) < 1000


def test_all_sites_failing_is_an_error_and_never_an_empty_list(broken: Upstream) -> None:
    broken.fails = lambda _: EMPTY_500
    with pytest.raises(FederationError) as failed:
        ask(site_of(broken, "one", 1), site_of(broken, "two", 2))
    assert failed.value.code is Code.ALL_SITES_FAILED
    assert {cause.site for cause in failed.value.causes} == {"one", "two"}


def test_strict_gives_no_list_without_every_site(healthy: Upstream, broken: Upstream) -> None:
    broken.fails = lambda _: SiteError(Code.UNREACHABLE, "broken", "down")
    with pytest.raises(FederationError) as failed:
        ask(site_of(healthy, "healthy", 1), site_of(broken, "broken", 2), policy=Policy.STRICT)
    assert failed.value.code is Code.INCOMPLETE
    assert [cause.site for cause in failed.value.causes] == ["broken"]
    assert failed.value.causes[0].code is Code.UNREACHABLE


@pytest.mark.parametrize("required", ["healthy", "broken"])
def test_only_a_required_site_that_fails_takes_the_answer_with_it(healthy: Upstream, broken: Upstream, required: str) -> None:
    broken.fails = lambda _: SiteError(Code.UNREACHABLE, "broken", "down")
    instances = [site_of(healthy, "healthy", 1), site_of(broken, "broken", 2, required=required == "broken")]
    if required == "broken":
        with pytest.raises(FederationError) as failed:
            ask(*instances)
        assert failed.value.code is Code.INCOMPLETE
    else:
        assert len(ask(*instances).rows) == 20


def test_a_site_without_a_token_is_not_asked_and_says_so(healthy: Upstream, broken: Upstream) -> None:
    page = ask(site_of(healthy, "healthy", 1), site_of(broken, "broken", 2, credential=None))
    assert len(page.rows) == 20
    assert page.reports[1].code is Code.NO_CREDENTIAL
    assert broken.requests == []


def test_a_site_that_hangs_delays_the_others_by_the_patience_and_no_more(healthy: Upstream, broken: Upstream) -> None:
    broken.hangs = True

    async def run() -> tuple[JobListAnswer, float]:
        loop = asyncio.get_running_loop()
        async with gateway_over([site_of(healthy, "healthy", 1), site_of(broken, "broken", 2)], patience=0.1) as gateway:
            started = loop.time()
            page = await gateway.jobs(JobListQuestion(first=50), CALLER)
            return page, loop.time() - started

    page, took = asyncio.run(run())
    assert len(page.rows) == 20
    assert page.reports[1].code is Code.TIMEOUT
    assert 0.1 <= took < 10.0


def test_a_site_that_fails_midway_gives_what_it_gave(healthy: Upstream) -> None:
    """Its rows above the place where it stopped are true, and stay."""
    failing = Upstream([Job(1000 + i, 2000 + i) for i in range(300)])
    calls = iter(range(1000))
    failing.fails = lambda _: SiteError(Code.CONNECTION_LOST, "failing", "gone") if next(calls) else None
    page = ask(site_of(healthy, "healthy", 1), site_of(failing, "failing", 2), first=100)
    assert page.reports[1].code is Code.CONNECTION_LOST
    assert [row.start_time for row in page.rows[:25]] == list(range(2299, 2274, -1))
    assert {row.site for row in page.rows[:-20]} == {"failing"}
    assert {row.site for row in page.rows[-20:]} == {"healthy"}


def test_a_site_that_ignores_what_it_is_asked_is_noticed(healthy: Upstream) -> None:
    """One that does not heed the window of start times could be read for ever."""
    jobs = b'{"jobs":[' + b",".join(
        b'{"id":%d,"jobId":%d,"cluster":"x","startTime":%d}' % (i, i, 5000 + i) for i in range(200)
    ) + b'],"items":25,"page":1}'  # fmt: skip
    deaf = Upstream()
    deaf.fails = lambda _: SiteAnswer(200, "application/json", jobs)
    page = ask(site_of(healthy, "healthy", 1), site_of(deaf, "deaf", 2))
    assert page.reports[1].code is Code.WRONG_RELEASE
    assert len(deaf.requests) < 5
