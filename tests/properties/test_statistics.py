"""Statistics of any jobs, in any split over sites of any release: what is merged is what counting all jobs at once gives, exactly
where it says so and within the bound elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgateway.errors import GatewayError
from ccgateway.federation.statistics import METRICS, StatisticsAnswer, StatisticsQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, MetricStat, StringInput, TimeRange
from ccgateway.jobs.statistics.figures import Figure, GroupBy, Quality
from ccgateway.site.exchange import SiteAnswer
from support.figures import FIGURES, counted, lasted, rows, wire_over
from support.walking import gateway_over
from support.written import NOW, instance_of

CALLER = Principal("tester")
RELEASES = ["1.2", "1.3", "1.4", "1.5", "howto"]
HTML = SiteAnswer(200, "text/html", b"<html>Forbidden</html>")

Job = Mapping[str, Any]
#: release, whether its own GraphQL is blocked, and jobs of each site
Split = list[tuple[str, bool, list[dict[str, Any]]]]


@st.composite
def splits(draw: st.DrawFn) -> Split:
    """Sites: release, whether its own GraphQL is blocked, jobs."""
    jobs = draw(rows())
    sites: Split = [(draw(st.sampled_from(RELEASES)), draw(st.integers(0, 4)) == 0, []) for _ in range(draw(st.integers(1, 4)))]
    for job in jobs:
        sites[draw(st.integers(0, len(sites) - 1))][2].append(job)
    return sites


def ask(sites: Sequence[tuple[str, bool, Sequence[Job]]], question: StatisticsQuestion, **limits: Any) -> StatisticsAnswer:
    async def run() -> StatisticsAnswer:
        wires = []
        for n, (release, is_blocked, jobs) in enumerate(sites):
            wire = wire_over(f"s{n}", release, list(jobs))
            wire.instead = HTML if is_blocked else None
            wires.append(wire)
        async with gateway_over(
            [instance_of(wire, n, url=f"http://s{n}") for n, wire in enumerate(wires, 1)], **limits
        ) as gateway:
            (outcome,) = await gateway.statistics([question], CALLER)
            if isinstance(outcome, GatewayError):
                raise outcome
            return outcome

    return asyncio.run(run())


def held_against(answer: StatisticsAnswer, truth: Mapping[str, Mapping[Figure, int]], *, is_grouped: bool) -> None:
    """Every figure is what it says it is."""
    assert answer.complete
    if is_grouped:
        assert [item.group.id for item in answer.items] == sorted(truth)
    for item in answer.items:
        expected = truth.get(item.group.id, dict.fromkeys(Figure, 0))
        assert {one.figure for one in item.exactness} == {figure.value for figure in FIGURES}
        for one in item.exactness:
            value = expected[Figure(one.figure)]
            amount = item.group.amount(Figure(one.figure))
            if one.quality is Quality.REFUSED:
                assert amount is None and one.reason
                continue
            assert amount is not None and one.at_least is not None and one.at_most is not None
            assert one.at_least <= value <= one.at_most, one
            assert one.at_least <= amount.value <= one.at_most
            if one.quality is Quality.EXACT:
                assert amount.value == value


@given(splits(), st.sampled_from([None, *GroupBy]), st.booleans())
def test_merged_figures_are_those_of_the_union(sites: Split, group: GroupBy | None, exact: bool) -> None:
    answer = ask(sites, StatisticsQuestion(figures=FIGURES, group_by=group, exact=exact))
    union = [(f"s{n}", job) for n, (_, _, jobs) in enumerate(sites) for job in jobs]
    held_against(answer, counted(union, group), is_grouped=group is not None)
    if exact:
        assert all(one.quality is Quality.EXACT for item in answer.items for one in item.exactness)
    # what has no fraction is exact however it is merged
    added = {Figure.JOBS, Figure.RUNNING, Figure.USERS, Figure.NODES, Figure.CORES, Figure.ACCS}
    for item in answer.items:
        assert {one.figure for one in item.exactness if one.quality is Quality.EXACT} >= {figure.value for figure in added}


FILTERS: dict[str, tuple[JobFilter, Any]] = {
    "user": (JobFilter(user=StringInput(eq="alice")), lambda job: job["user"] == "alice"),
    "others": (JobFilter(user=StringInput(neq="alice")), lambda job: job["user"] != "alice"),
    "like": (JobFilter(user=StringInput(contains="AR")), lambda job: "ar" in job["user"]),
    "some": (JobFilter(project=StringInput(in_=("p_b", "x"))), lambda job: job["project"] == "p_b"),
    "sub-cluster": (JobFilter(sub_cluster=StringInput(eq="big")), lambda job: job["subCluster"] == "big"),
    "duration": (JobFilter(duration=IntRange(300, 100_000)), lambda job: 300 <= lasted(job) <= 100_000),
    "long": (JobFilter(duration=IntRange(3600, None)), lambda job: lasted(job) >= 3600),
    "nodes": (JobFilter(num_nodes=IntRange(2, 3)), lambda job: 2 <= job["numNodes"] <= 3),
    "gpus": (JobFilter(num_accelerators=IntRange(1, None)), lambda job: job["numAcc"] >= 1),
    "threads": (JobFilter(num_hw_threads=IntRange(None, 8)), lambda job: job["numHwthreads"] <= 8),
    "running": (JobFilter(state=("running",)), lambda job: job["jobState"] == "running"),
    "states": (JobFilter(state=("running", "suspended")), lambda job: job["jobState"] == "running"),
    "ended": (JobFilter(state=("completed", "stopped")), lambda job: job["jobState"] == "completed"),
    "none": (JobFilter(state=("suspended",)), lambda _: False),
    "times": (
        JobFilter(start_time=TimeRange(NOW - 399_990, NOW - 100)),
        lambda job: NOW - 399_990 <= job["startTime"] <= NOW - 100,
    ),
    "name": (JobFilter(job_name=StringInput(eq="x")), lambda _: True),
    "names": (JobFilter(job_name=StringInput(in_=("y",))), lambda _: False),
    "number": (JobFilter(job_id=StringInput(eq="01003")), lambda job: job["jobId"] == 1003),
    "node": (JobFilter(node=StringInput(starts_with="an0")), lambda _: True),
    "batch": (JobFilter(schedule="batch"), lambda _: True),
    "shared": (JobFilter(shared="multi_user"), lambda _: False),
    "ids": (JobFilter(db_id=("s0:1", "3")), None),
    "energy": (JobFilter(energy=FloatRange(None, 1.0)), lambda _: True),
    "footprint": (
        JobFilter(metric_stats=(MetricStat("flops_any_avg", FloatRange(50.0, 130.0)),)),
        lambda job: bool(job["footprint"]) and 50 <= job["footprint"]["flops_any_avg"] <= 130,
    ),
    "much energy": (JobFilter(energy=FloatRange(1.0, None)), lambda _: False),
}


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", FILTERS)
@given(sites=splits(), group=st.sampled_from([None, GroupBy.USER]))
def test_every_filter_means_the_same_at_every_release(name: str, sites: Split, group: GroupBy | None) -> None:
    wanted, test = FILTERS[name]
    if test is None:
        union = [
            (f"s{n}", job) for n, (_, _, jobs) in enumerate(sites) for job in jobs if job["id"] == 3 or (n, job["id"]) == (0, 1)
        ]
    else:
        union = [(f"s{n}", job) for n, (_, _, jobs) in enumerate(sites) for job in jobs if test(job)]
        if name == "footprint":  # releases up to 1.3 keep none
            union = [(site, job) for site, job in union if sites[int(site[1:])][0] not in ("1.2", "1.3")]
    answer = ask(sites, StatisticsQuestion(filters=(wanted,), figures=FIGURES, group_by=group))
    held_against(answer, counted(union, group), is_grouped=group is not None)


@given(splits(), st.sampled_from([None, "1m", "10m", "1h", "6h", "12h", "24h", "x"]))
def test_merged_histograms_are_those_of_the_union(sites: Split, word: str | None) -> None:
    names = frozenset({"histDuration", "histNumNodes", "histNumCores", "histNumAccs"})
    answer = ask(sites, StatisticsQuestion(histograms=names, num_duration_bins=word))
    union = [job for _, _, jobs in sites for job in jobs]
    (item,) = answer.items
    count, size = {
        "1m": (60, 60),
        "10m": (72, 600),
        None: (48, 3600),
        "1h": (48, 3600),
        "6h": (12, 21_600),
        "12h": (14, 43_200),
    }.get(word, (24, 3600))
    by_bin = Counter(lasted(job) // size + 1 for job in union)
    assert item.histograms["histDuration"] == [(n * size, by_bin[n]) for n in range(1, count + 1)]
    assert item.overflow == sum(jobs for bin_, jobs in by_bin.items() if bin_ > count)
    for name, attribute in (("histNumNodes", "numNodes"), ("histNumCores", "numHwthreads"), ("histNumAccs", "numAcc")):
        assert item.histograms[name] == sorted(Counter(job[attribute] for job in union).items())


@given(splits(), st.sampled_from([1, 5, 10, 25]))
def test_merged_histograms_of_metrics_are_those_of_the_union(sites: Split, bins: int) -> None:
    """Sites that keep metrics where nobody can count them refuse, and so does the whole."""
    question = StatisticsQuestion(histograms=frozenset({METRICS}), metrics=("flops_any",), num_metric_bins=bins)
    answer = ask(sites, question)
    (item,) = answer.items
    (histogram,) = item.metrics
    blind = [jobs for release, is_blocked, jobs in sites if release in ("1.2", "1.3") and is_blocked and jobs]
    if blind or not any(jobs for _, _, jobs in sites):
        return
    assert histogram.points is not None, item.exactness
    values = [job["footprint"]["flops_any_avg"] for _, _, jobs in sites for job in jobs if job["footprint"]]
    expected = Counter(int(value / 500 * bins) + 1 for value in values if value <= 500)
    assert {place: count for place, _, _, count in histogram.points if count} == dict(expected)
