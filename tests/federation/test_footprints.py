"""Heat maps: ends as cc-backend takes them, bounds before any site is asked, samples of all sites added cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ccgateway.errors import Code, FederationError, RequestError
from ccgateway.federation.footprints import MetricsQuestion
from ccgateway.federation.questions import JobListQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput
from ccgateway.jobs.statistics.footprints import HeatmapWanted
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from support.simulated import Simulated
from support.walking import gateway_over

CALLER = Principal("tester")
NOW = 1_760_000_000
FILTERS = (JobFilter(state=("completed",)),)


def wanted(rows: int = 10, cols: int = 10, ends: tuple[float, float, float, float] = (0.001, 0.001, 1e6, 1e6)) -> HeatmapWanted:
    return HeatmapWanted(FILTERS, rows, cols, *ends)


def site(name: str, release: str) -> Simulated:
    jobs = GeneratedJobs(8, cluster=name, seed=len(name), until=NOW)
    return Simulated(SimulatedSite(name, release, jobs, clock=lambda: float(NOW)))


@pytest.mark.parametrize(
    "asked",
    [
        wanted(rows=2**31 - 1, cols=0), wanted(rows=0, cols=2**31 - 1), wanted(rows=-1), wanted(rows=10**5, cols=10**5),
        wanted(ends=(0.0, 0.1, 1.0, 1.0)), wanted(ends=(-2.0, -1.0, 2.0, 4.0)), wanted(ends=(0.1, 0.1, float("inf"), 1.0)),
        wanted(ends=(1.0, 0.1, 1.0, 1.0)),
    ],
)  # fmt: skip
async def test_a_heat_map_that_cannot_be_is_refused_before_a_site_is_asked(asked: HeatmapWanted) -> None:
    there = site("aurora", "1.5")
    async with gateway_over([there.instance()]) as gateway:
        with pytest.raises(RequestError) as refused:
            await gateway.heatmap(MetricsQuestion(filters=FILTERS), asked, CALLER)
    assert refused.value.code is Code.BAD_REQUEST and not there.requests


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
async def test_the_samples_of_all_sites_are_added_and_ends_are_no_logarithms(release: str) -> None:
    found = []
    for names in (("aurora",), ("borealis",), ("aurora", "borealis")):
        instances = [site(name, release).instance(number) for number, name in enumerate(names, 1)]
        async with gateway_over(instances) as gateway:
            found.append((await gateway.heatmap(MetricsQuestion(filters=FILTERS), wanted(), CALLER)).cells)
    one, two, both = found
    assert both == [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one, two, strict=True)]
    assert sum(map(sum, one)) > 0 and sum(map(sum, two)) > 0


#: by which release 1.5 finds other jobs than are meant
MEANT_OTHERWISE = (JobFilter(num_hw_threads=IntRange(1, None)), JobFilter(job_name=StringInput(in_=("job1", "job3"))))


@pytest.mark.parametrize("meant", [*MEANT_OTHERWISE, JobFilter(num_nodes=IntRange(1, 64))], ids=str)
async def test_samples_are_those_of_the_jobs_that_are_meant_whatever_the_release_makes_of_the_filter(meant: JobFilter) -> None:
    there = site("aurora", "1.5")
    async with gateway_over([there.instance()]) as gateway:
        jobs = await gateway.jobs(JobListQuestion(filters=(meant,), first=100, fields=frozenset()), CALLER)
        by_hand = JobFilter(db_id=tuple(f"aurora:{row.id}" for row in jobs.rows))
        found = []
        for one in (meant, by_hand):
            asked = replace(wanted(), filters=(one,))
            found.append((await gateway.heatmap(MetricsQuestion(filters=(one,)), asked, CALLER)).cells)
    assert jobs.rows and found[0] == found[1] and sum(map(sum, found[0])) > 0


@pytest.mark.parametrize("release", ["1.4", "1.5"])
async def test_a_site_without_a_job_that_is_meant_has_no_samples_and_lacks_nothing(release: str) -> None:
    there = site("aurora", release)
    nobody = (*MEANT_OTHERWISE, JobFilter(cluster=StringInput(eq="elsewhere")))
    async with gateway_over([there.instance()]) as gateway:
        answer = await gateway.heatmap(MetricsQuestion(filters=nobody), replace(wanted(), filters=nobody), CALLER)
    assert sum(map(sum, answer.cells)) == 0 and all(report.code is None for report in answer.reports)


@pytest.mark.parametrize(
    ("release", "user", "settings", "code"),
    [("1.4", "sam", {}, "SITE_UNAUTHORIZED"), ("1.5", "demo", {"reads": "rest"}, "UNSUPPORTED")],
)
async def test_samples_are_not_had_by_a_way_that_is_not_open(
    release: str, user: str, settings: dict[str, Any], code: str
) -> None:
    there = site("aurora", release)
    async with gateway_over([there.instance(user=user, **settings)]) as gateway:
        with pytest.raises(FederationError) as refused:
            await gateway.heatmap(MetricsQuestion(filters=FILTERS), wanted(), CALLER)
    assert [cause.code.value for cause in refused.value.causes] == [code]
    assert not any(b"rooflineHeatmap" in (request.body or b"") for request in there.requests)


@pytest.mark.parametrize("reads", ["auto", "rest"])
@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
async def test_a_job_has_no_statistics_of_a_metric_that_its_cluster_does_not_measure(release: str, reads: str) -> None:
    there = site("aurora", release)
    metrics = sorted(metric.name for metric in there.site.backend.hardware("aurora").metrics)
    async with gateway_over([there.instance(reads=reads)]) as gateway:
        question = MetricsQuestion(filters=FILTERS)
        known = (await gateway.summaries(question, metrics, CALLER)).items
        mixed = (await gateway.summaries(question, [*metrics, "of_nobody"], CALLER)).items
        of_nobody = (await gateway.summaries(question, ["of_nobody"], CALLER)).items
    assert known and mixed == known and any(one.job.stats for one in known)
    assert [one.job.id for one in of_nobody] == [one.job.id for one in known]
    assert not any(one.job.stats for one in of_nobody)
