"""Statistics over real instances are those of the jobs that they list, exactly or within the bounds that they tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from live.faces import Http
from live.meaning import matches
from live.questions import FILTERS, FROM_JOBS, filters_named
from live.truth import Job

DOCUMENT = """query S($filter: [JobFilter!], $by: Aggregate, $exact: Boolean!) {
  jobsStatistics(filter: $filter, groupBy: $by, exact: $exact) {
    id totalUsers totalJobs runningJobs totalWalltime totalNodes totalNodeHours totalCores totalCoreHours totalAccs totalAccHours
    complete exactness { figure quality atLeast atMost reason } sites { site status code notes } } }"""
HISTOGRAMS = """query H($filter: [JobFilter!]) { jobsStatistics(filter: $filter) {
  histNumNodes { value count } histNumCores { value count } histNumAccs { value count } complete } }"""
KEYS: Mapping[str, Callable[[Job], Any]] = {
    "USER": lambda job: job["user"], "PROJECT": lambda job: job["project"], "CLUSTER": lambda job: job["cluster"],
    "SUBCLUSTER": lambda job: job["subCluster"], "SITE": lambda job: job["site"],
}  # fmt: skip
WEIGHTS = {"totalWalltime": None, "totalNodeHours": "numNodes", "totalCoreHours": "numHWThreads", "totalAccHours": "numAcc"}
COUNTS = {"totalNodes": "numNodes", "totalCores": "numHWThreads", "totalAccs": "numAcc"}


def figures_of(jobs: list[Job]) -> dict[str, int]:
    """Figure → its value by the rows; hours only where no job runs, as these grow."""
    found = {
        "totalJobs": len(jobs),
        "totalUsers": len({job["user"] for job in jobs}),
        "runningJobs": sum(job["state"] == "running" for job in jobs),
        **{name: sum(job[key] for job in jobs) for name, key in COUNTS.items()},
    }
    if not found["runningJobs"]:
        for name, key in WEIGHTS.items():
            found[name] = sum(job["duration"] * (job[key] if key else 1) for job in jobs) // 3600
    return found


def check(element: Mapping[str, Any], jobs: list[Job]) -> None:
    """Every figure is the rows', or lies where it says, and none is refused."""
    exactness = {one["figure"]: one for one in element["exactness"]}
    for figure, true in figures_of(jobs).items():
        told = exactness[figure]
        if told["quality"] == "EXACT":
            assert element[figure] == true, (figure, told)
        else:
            assert told["quality"] == "BOUNDED" and told["atLeast"] <= true <= told["atMost"], (figure, true, told)


@pytest.mark.parametrize("exact", [False, True], ids=["as told", "exact"])
@pytest.mark.parametrize("name", [*FILTERS, *FROM_JOBS])
def test_every_filter_counts_the_jobs_that_are_listed(farm_http: Http, farm_jobs: list[Job], name: str, *, exact: bool) -> None:
    filters = filters_named(name, farm_jobs)
    (found,) = farm_http.data(DOCUMENT, {"filter": filters, "exact": exact})["jobsStatistics"]
    jobs = [job for job in farm_jobs if matches(job, filters)]
    assert found["complete"], found["sites"]
    check(found, jobs)
    if exact:
        assert {one["quality"] for one in found["exactness"]} == {"EXACT"}


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("name", ["none", "user neq", "nodes from", "duration", "job name contains"])
def test_groups_are_those_of_the_rows(farm_http: Http, farm_jobs: list[Job], name: str, by: str) -> None:
    filters = filters_named(name, farm_jobs)
    found = farm_http.data(DOCUMENT, {"filter": filters, "by": by, "exact": False})["jobsStatistics"]
    groups: dict[str, list[Job]] = {}
    for job in farm_jobs:
        if matches(job, filters):
            groups.setdefault(KEYS[by](job), []).append(job)
    assert {one["id"] for one in found} == set(groups)
    for one in found:
        check(one, groups[one["id"]])


@pytest.mark.parametrize("name", ["none", "user eq", "nodes from and to"])
def test_histograms_are_those_of_the_rows(farm_http: Http, farm_jobs: list[Job], name: str) -> None:
    filters = filters_named(name, farm_jobs)
    (found,) = farm_http.data(HISTOGRAMS, {"filter": filters})["jobsStatistics"]
    jobs = [job for job in farm_jobs if matches(job, filters)]
    for field, key in (("histNumNodes", "numNodes"), ("histNumCores", "numHWThreads"), ("histNumAccs", "numAcc")):
        counts: dict[int, int] = {}
        for job in jobs:
            counts[job[key]] = counts.get(job[key], 0) + 1
        assert {one["value"]: one["count"] for one in found[field]} == counts
