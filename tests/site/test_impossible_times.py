"""Jobs whose start lies where no job's can: they cost the others nothing, and are counted wherever the list begins."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.errors import Code
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListAnswer, JobListQuestion, PageRequest, ReportStatus
from ccgateway.jobs.conditions import LATEST
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.site import health
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.walking import CALLER
from support.writes import job, wire
from support.written import NOW, Wire, gateway_over, instance_of

RELEASES = pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5", "howto"])


def with_milliseconds(release: str, *db_ids: int, user: str = "bob") -> Wire:
    found = wire("aurora", release)
    for db_id in db_ids:
        one = job("aurora", db_id, startTime=NOW * 1000 + db_id, jobState="running", monitoringStatus=1, duration=5, user=user)
        found.site.start_job(one)
    return found


async def listed(gateway: Gateway, **question: Any) -> JobListAnswer:
    return await gateway.jobs(JobListQuestion(**{"first": 3, **question}), CALLER)


@RELEASES
async def test_they_are_counted_and_the_others_are_listed(release: str) -> None:
    aurora = with_milliseconds(release, 50, 51)
    found = await listed(gateway_over(instance_of(aurora)))
    assert [row.id for row in found.rows] == [5, 4, 3]
    (report,) = found.reports
    assert not found.complete and (report.status, report.code) == (ReportStatus.PARTIAL, Code.UNREADABLE_JOBS)
    assert (
        "2 jobs were left out" in str(report.message)
        and "milliseconds" in str(report.message)
        and f"job 1050 of aurora, started at {NOW * 1000 + 50}" in str(report.message)
    )


@RELEASES
async def test_more_of_them_than_a_page_has_hide_nobody(release: str) -> None:
    aurora = with_milliseconds(release, *range(50, 250))
    found = await listed(gateway_over(instance_of(aurora)))
    assert [row.id for row in found.rows] == [5, 4, 3] and not found.complete


@RELEASES
async def test_without_them_a_list_takes_as_many_calls_as_before(release: str) -> None:
    aurora = wire("aurora", release)
    found = await listed(gateway_over(instance_of(aurora)))
    assert found.complete and aurora.reads == 1


@RELEASES
async def test_where_the_question_does_not_reach_them_nothing_is_missing(release: str) -> None:
    gateway = gateway_over(instance_of(with_milliseconds(release, 50)))
    first = await listed(gateway, first=2)
    assert not first.complete
    assert (await listed(gateway, first=2, after=first.end_cursor)).complete
    assert (await listed(gateway, filters=(JobFilter(start_time=TimeRange(None, NOW)),))).complete
    assert (await listed(gateway, filters=(JobFilter(user=StringInput(eq="alice")),))).complete
    assert not (await listed(gateway, filters=(JobFilter(user=StringInput(eq="bob")),))).complete


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_up_to_1_3_somebody_elses_are_not_told_of(release: str) -> None:
    aurora = with_milliseconds(release, 50)
    assert (await listed(gateway_over(instance_of(aurora, user="alice")))).complete
    assert not (await listed(gateway_over(instance_of(aurora, user="bob")))).complete


async def test_a_count_that_leaves_them_out_is_no_count() -> None:
    found = await listed(
        gateway_over(instance_of(with_milliseconds("1.4", 50))), wants_count=True, first=None, page=PageRequest()
    )
    assert found.count is None


class Failing(Wire):
    """A site whose list fails as soon as it would hold one of them, as real ones do some time after such a job began."""

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        answer = await super().exchange(request, context)
        if request.safe and str(NOW * 1000)[:8].encode() in answer.body:
            return SiteAnswer(
                500, "application/json", b'{"status":"Internal Server Error","error":"converting driver.Value type"}'
            )
        return answer


async def test_a_site_that_fails_on_them_lists_the_others_and_is_not_tried_again_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aurora = Failing(with_milliseconds("1.5", 50).site)
    gateway = gateway_over(instance_of(aurora))
    for reads in (2, 3, 4):
        found = await listed(gateway)
        assert [row.id for row in found.rows] == [5, 4, 3] and aurora.reads == reads
        assert found.reports[0].code is Code.UNREADABLE_JOBS and not found.complete
    monkeypatch.setattr(health, "BOUNDED_FOR", 0.0)
    aurora.site.delete_job(50)
    again = gateway_over(instance_of(aurora))
    assert (await listed(again)).complete


async def test_an_archive_entry_that_is_lost_is_told_as_before() -> None:
    aurora = wire("aurora", "1.4")
    aurora.site.break_archive(5)
    found = await listed(gateway_over(instance_of(aurora)))
    assert [row.id for row in found.rows] == [4, 3, 2]
    assert "1 job was left out" in str(found.reports[0].message)


def test_the_bound_is_beyond_every_job_and_below_milliseconds() -> None:
    assert NOW * 10 < LATEST < NOW * 1000
