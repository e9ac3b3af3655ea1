"""Statistics of several instances are those of one 1.5 that holds all their jobs.

``CCGATEWAY_LIVE_UNION`` names the ``farm.json`` of that one; it is only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from live import upstream
from live.faces import Http
from live.farm import Farm, Site
from live.test_front_end import _differences as differences
from live.truth import Job

UNION = "CCGATEWAY_LIVE_UNION"
EXACT = "totalJobs runningJobs shortJobs totalUsers totalNodes totalCores totalAccs"
HOURS = ("totalWalltime", "totalNodeHours", "totalCoreHours", "totalAccHours")
GROUPED = f"""query($f: [JobFilter!], $by: Aggregate) {{ jobsStatistics(filter: $f, groupBy: $by) {{
  id {EXACT} {" ".join(HOURS)} }} }}"""
#: the same, and what the gateway says of it
BOUNDED = GROUPED.replace("id ", "complete exactness { figure quality atLeast atMost } id ")
HISTOGRAMS = """query($f: [JobFilter!], $bins: String, $m: [String!], $n: Int) {
  jobsStatistics(filter: $f, numDurationBins: $bins, metrics: $m, numMetricBins: $n) {
    totalJobs totalWalltime totalNodeHours totalCoreHours histDuration { value count } histNumNodes { value count }
    histNumCores { value count } histNumAccs { value count } histMetrics { metric unit stat data { bin min max count } } } }"""
FILTERS: Mapping[str, list[dict[str, Any]]] = {
    "none": [],
    "user": [{"user": {"eq": "alice"}}],
    "user, another": [{"user": {"neq": "alice"}}],
    "nodes": [{"numNodes": {"from": 2, "to": 4}}],
    "state": [{"state": ["failed", "timeout"]}],
    "duration": [{"duration": {"from": 3600, "to": 7200}}],
    "start": [{"startTime": {"from": "2025-06-15T16:00:00Z", "to": "2025-06-15T18:00:00Z"}}],
    "name": [{"jobName": {"eq": "job12"}}],
    "name, a part": [{"jobName": {"contains": "job4"}}, {"numNodes": {"from": 1, "to": 2}}],
    "cluster": [{"cluster": {"in": ["aurora", "draco"]}}],
    "nobody": [{"user": {"eq": "nobody"}}],
}
filtered = pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS.keys())


@pytest.fixture(scope="module")
def union(farm_jobs: list[Job]) -> Site:
    found = Farm.named_by(UNION)
    if found is None:
        pytest.skip(f"{UNION} is not set: it names the farm.json of an instance that holds the jobs of all others")
    (site,) = found
    rows = {(row["cluster"], row["jobId"], row["startTime"]) for row in upstream.listed(site)}
    assert rows == {(job["cluster"], job["jobId"], job["startTime"]) for job in farm_jobs}
    return site


@filtered
@pytest.mark.parametrize("by", ["USER", "PROJECT", "CLUSTER", "SUBCLUSTER"])
def test_groups_are_those_of_one_instance_that_holds_all(farm_http: Http, union: Site, by: str, filters: list[Any]) -> None:
    variables = {"f": filters, "by": by}
    own = {one["id"]: one for one in upstream.query(union, GROUPED, variables)["jobsStatistics"]}
    ours = {one["id"]: one for one in farm_http.data(BOUNDED, variables)["jobsStatistics"]}
    assert ours.keys() == own.keys()
    for key, element in own.items():
        assert {name: ours[key][name] for name in EXACT.split()} == {name: element[name] for name in EXACT.split()}, key
        assert ours[key]["complete"]
        told = {one["figure"]: one for one in ours[key]["exactness"]}
        for name in HOURS:
            if told[name]["quality"] == "EXACT":
                assert ours[key][name] == element[name]
            else:
                assert told[name]["atLeast"] <= element[name] <= told[name]["atMost"], (key, name, told[name])


@filtered
@pytest.mark.parametrize("bins", ["1m", "10m", "1h", "6h", "12h"])
def test_histograms_are_those_of_one_instance_that_holds_all(farm_http: Http, union: Site, bins: str, filters: list[Any]) -> None:
    variables = {"f": filters, "bins": bins, "m": [], "n": 10}
    (own,) = upstream.query(union, HISTOGRAMS, variables)["jobsStatistics"]
    (ours,) = farm_http.data(HISTOGRAMS, variables)["jobsStatistics"]
    assert ours["totalJobs"] == own["totalJobs"]
    for name in ("histNumNodes", "histNumCores", "histNumAccs", "histDuration"):
        assert _counts(ours[name]) == _counts(own[name]), name


def _counts(points: list[dict[str, int]]) -> dict[int, int]:
    return {point["value"]: point["count"] for point in points if point["count"]}


@pytest.mark.parametrize("metric", ["flops_any", "mem_bw", "cpu_load"])
@pytest.mark.parametrize("count", [5, 10, 20])
def test_histograms_of_metrics_are_those_of_one_instance_where_all_tell_them(
    farm: Farm, farm_http: Http, union: Site, metric: str, count: int
) -> None:
    """Releases up to 1.3 have averages of fewer digits, so that a job may be counted in the bin beside its own."""
    newer = [site.cluster for site in farm if site.isolates]
    variables = {"f": [{"cluster": {"in": newer}}], "bins": "1h", "m": [metric], "n": count}
    (ours,) = farm_http.data(HISTOGRAMS, variables)["jobsStatistics"]
    asked = [variables | {"f": [{"cluster": {"eq": cluster}}]} for cluster in newer]
    parts = [upstream.query(union, HISTOGRAMS, one)["jobsStatistics"][0] for one in asked]
    (found,) = ours["histMetrics"]
    added = {
        point["bin"]: sum(next(p["count"] for p in part["histMetrics"][0]["data"] if p["bin"] == point["bin"]) for part in parts)
        for point in parts[0]["histMetrics"][0]["data"]
    }
    assert {point["bin"]: point["count"] for point in found["data"]} == added
    assert (found["metric"], found["unit"]) == (metric, parts[0]["histMetrics"][0]["unit"])


def test_footprints_and_statistics_of_jobs_are_those_of_one_instance_that_holds_all(farm_http: Http, union: Site) -> None:
    document = """query($f: [JobFilter!], $m: [String!]!) {
      jobsMetricStats(filter: $f, metrics: $m) { jobId startTime duration cluster subCluster numNodes numHWThreads
        stats { name data { avg min max } } } }"""
    variables = {"f": [{"user": {"eq": "bob"}}, {"numNodes": {"from": 2, "to": 8}}], "m": ["flops_any", "mem_bw"]}
    own = _by_job(upstream.query(union, document, variables)["jobsMetricStats"])
    assert own
    assert list(differences(_by_job(farm_http.data(document, variables)["jobsMetricStats"]), own)) == []


def _by_job(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        f"{one['cluster']} {one['jobId']} {one['startTime']}": one
        | {"stats": {each["name"]: each["data"] for each in one["stats"]}}
        for one in found
    }
