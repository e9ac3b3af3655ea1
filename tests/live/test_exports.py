"""Exports over real instances: every job that they list, in every column, once; and the sums of those, to the second."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyarrow.parquet
import pytest

from acceptance.exports import Export, read_csv, read_lines
from ccgateway.client import Gateway
from live import upstream
from live.faces import served
from live.farm import Farm, Site
from live.truth import Job, jobs_of, key_of, truth_of

#: marks that are gone on from
MOST_MARKS = 3
METRICS = ("cpu_load", "mem_bw", "nope")
COLUMNS = (
    "site,jobId,cluster,subCluster,partition,project,user,jobState,startTime,duration,walltime,numNodes,numHwthreads,numAcc,shared,"
    "smt,arrayJobId,monitoringStatus,energy,tags,resources,footprint,metaData,jobName,id"
)
#: a column → what the instances' own lists call it, where that is another name
CALLED = {"jobState": "state", "numHwthreads": "numHWThreads", "smt": "SMT"}
HOURS = {"nodeHours": "numNodes", "coreHours": "numHWThreads", "accHours": "numAcc"}
PERIODS = {"month": "%Y-%m", "day": "%Y-%m-%d", "week": "%G-W%V", "year": "%Y", "all": "all"}


def export(url: str, kind: str = "jobs", **parameters: str) -> bytes:
    """The body of an export, which must not be refused."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=120)
    connection.request("GET", f"/export/{kind}?{urlencode(parameters)}")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def lines(url: str, kind: str = "jobs", **parameters: str) -> Export:
    """An export of JSON lines that says that nothing is missing."""
    found = read_lines(export(url, kind, **parameters))
    assert found.end is not None and found.end["complete"], found.end
    return found


def expected(farm: Farm, jobs: list[Job]) -> list[dict[str, Any]]:
    """The rows by what the instances list, newest first."""
    numbers = {site.name: site.number for site in farm}
    return [_row(job, numbers[job["site"]]) for job in sorted(jobs, key=lambda job: key_of(job).place)]


def _row(job: Job, number: int) -> dict[str, Any]:
    own = {
        "tags": sorted(job["tags"], key=lambda tag: (tag["type"], tag["name"], tag["scope"])),
        "jobName": (job["metaData"] or {}).get("jobName"),
        "id": job["dbId"] * 1000 + number,
    }
    return {name: own[name] if name in own else job[CALLED.get(name, name)] for name in COLUMNS.split(",")}


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, with tags in one order."""
    return [row | {"tags": sorted(row["tags"], key=lambda tag: (tag["type"], tag["name"], tag["scope"]))} for row in rows]


@pytest.fixture(scope="module")
def whole(farm_url: str) -> Export:
    return lines(farm_url, columns=COLUMNS)


def test_an_export_is_what_the_instances_list_in_every_column(farm: Farm, farm_jobs: list[Job], whole: Export) -> None:
    assert comparable(whole.rows) == expected(farm, farm_jobs)
    assert whole.begin["sites"] == [{"name": site.name, "release": site.release} for site in farm]
    counts = {one["site"]: one["rows"] for one in whole.end["sites"]}  # type: ignore[index]
    assert counts == {site.name: sum(job["site"] == site.name for job in farm_jobs) for site in farm}


def test_so_is_one_of_jobs_of_every_kind(scratch: Farm, scratch_url: str) -> None:
    """Jobs of one second, tags, arrays, shared nodes, odd names and texts; running ones, whose duration grows, are left out."""
    jobs = [job for job in truth_of(scratch) if job["state"] != "running"]
    assert any(job["tags"] for job in jobs) and any(job["arrayJobId"] for job in jobs)
    assert comparable(lines(scratch_url, columns=COLUMNS).rows) == expected(scratch, jobs)


def test_running_jobs_come_when_they_are_asked_for_and_are_marked(scratch: Farm, scratch_url: str) -> None:
    running = {key_of(job) for job in truth_of(scratch) if job["state"] == "running"}
    assert running
    found = lines(scratch_url, running="true").rows
    marked = {(row["startTime"], row["site"], row["cluster"], row["jobId"]) for row in found if row["running"]}
    assert marked == {tuple(key) for key in running}
    assert len(found) == len(truth_of(scratch))


def test_csv_and_parquet_have_the_same_rows(farm_url: str, whole: Export) -> None:
    header, rows, end = read_csv(export(farm_url, columns=COLUMNS, format="csv"))
    assert end["complete"] and header == COLUMNS.split(",")
    assert rows == [["" if value is None else _cell(value) for value in row.values()] for row in whole.rows]
    table = pyarrow.parquet.read_table(io.BytesIO(export(farm_url, columns=COLUMNS, format="parquet")))
    assert json.loads(table.schema.metadata[b"ccgateway.end"])["complete"]
    nested = {"footprint", "metaData"}
    for found, row in zip(table.to_pylist(maps_as_pydicts="strict"), whole.rows, strict=True):
        assert {name: value for name, value in found.items() if name not in nested} == {
            name: value for name, value in row.items() if name not in nested
        }
        for name in nested:
            assert dict(found[name] or {}) == (row[name] or {})


def _cell(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


def test_statistics_of_metrics_are_those_that_the_instances_keep(farm: Farm, farm_url: str) -> None:
    kept = {
        (site.name, row["jobId"], row["startTime"]): row.get("statistics") or {} for site in farm for row in upstream.listed(site)
    }
    rows = lines(farm_url, metrics=",".join(METRICS)).rows
    assert len(rows) == len(kept)
    for row in rows:
        statistics = kept[row["site"], row["jobId"], row["startTime"]]
        for metric in METRICS:
            for which in ("min", "avg", "max"):
                assert row[f"{metric}_{which}"] == statistics.get(metric, {}).get(which), (row["site"], row["jobId"], metric)


@pytest.mark.parametrize("name", ["user", "cluster", "state", "nodes", "time", "job name", "node"])
def test_a_filter_leaves_the_rows_that_it_means(farm: Farm, farm_jobs: list[Job], farm_url: str, name: str) -> None:
    some = farm_jobs[len(farm_jobs) // 3]
    start, host = some["startTime"], some["resources"][0]["hostname"]
    questions: dict[str, tuple[dict[str, str], Callable[[Job], bool]]] = {
        "user": ({"user": "alice"}, lambda job: job["user"] == "alice"),
        "cluster": ({"cluster": some["cluster"]}, lambda job: job["cluster"] == some["cluster"]),
        "state": ({"state": "failed"}, lambda job: job["state"] == "failed"),
        "nodes": ({"numNodes[from]": "3"}, lambda job: job["numNodes"] >= 3),
        "time": ({"start-time": f"{start - 9000}-{start}"}, lambda job: start - 9000 <= job["startTime"] <= start),
        "job name": ({"jobName": "job12"}, lambda job: job["metaData"]["jobName"] == "job12"),
        "node": ({"node": host}, lambda job: any(one["hostname"] == host for one in job["resources"])),
    }
    parameters, means = questions[name]
    jobs = [job for job in farm_jobs if means(job)]
    found = comparable(lines(farm_url, columns=COLUMNS, **parameters).rows)
    assert jobs and found == expected(farm, jobs)


def test_every_mark_leads_to_exactly_the_rest(farm_url: str, whole: Export) -> None:
    if not whole.marks:
        pytest.skip("an export has its first mark after more than two thousand jobs")
    for rows, token, count in whole.marks[:: max(1, len(whole.marks) // MOST_MARKS)]:
        rest = lines(farm_url, columns=COLUMNS, resume=token)
        assert rows == count == rest.begin["resumedAt"]
        assert rest.lines == whole.lines[rows:]


def test_slices_are_disjoint_and_together_everything(farm_url: str, whole: Export) -> None:
    slices = [lines(farm_url, columns=COLUMNS, shard=f"{number}/5").lines for number in range(1, 6)]
    assert sum(map(len, slices)) == len(whole.lines)
    assert set().union(*slices) == set(whole.lines)


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("by", ["site,cluster,project,user", "user", "project,site"])
def test_usage_is_the_sum_of_the_jobs_to_the_second(farm_jobs: list[Job], farm_url: str, by: str, period: str) -> None:
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in farm_jobs:
        start = datetime.fromtimestamp(job["startTime"], UTC).strftime(PERIODS[period])
        groups.setdefault((start, *[job[name] for name in by.split(",")]), []).append(job)
    found = lines(farm_url, "usage", by=by, period=period).rows
    names = ("period", *by.split(","))
    assert [tuple(row[name] for name in names) for row in found] == sorted(groups)
    for row in found:
        jobs = groups[tuple(row[name] for name in names)]
        assert row["jobs"] == len(jobs)
        for hours, of in HOURS.items():
            assert row[hours] == sum(job[of] * job["duration"] for job in jobs) / 3600
        told = [job["energy"] for job in jobs if job["energy"]]
        assert row["energyJobs"] == len(told)
        assert row["energy"] == (pytest.approx(sum(told), rel=1e-12) if told else None)


def test_usage_is_the_same_in_every_format(farm_url: str) -> None:
    rows = lines(farm_url, "usage").rows
    _, cells, end = read_csv(export(farm_url, "usage", format="csv"))
    assert end["complete"]
    assert cells == [["" if value is None else str(value) for value in row.values()] for row in rows]
    table = pyarrow.parquet.read_table(io.BytesIO(export(farm_url, "usage", format="parquet")))
    assert table.to_pylist() == rows


# --- whose token the gateway holds


@pytest.fixture(scope="module", params=["robot", "sam", "mona", "alice", "bob"])
def person(request: pytest.FixtureRequest, farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Someone, and a gateway that holds that person's tokens."""
    name = request.param
    with served(farm.settings(name), tmp_path_factory.mktemp(name)) as url:
        yield name, url


def test_nobody_exports_or_sums_up_more_than_the_instances_list_to_that_person(
    farm: Farm, farm_jobs: list[Job], person: tuple[str, str]
) -> None:
    name, url = person
    seen = [job for site in farm for job in _listed_to(site, name)]
    found = read_lines(export(url, columns=COLUMNS, policy="PARTIAL"))
    told = {one["site"] for one in found.end["sites"] if one["status"] == "OK"}  # type: ignore[index]
    assert comparable(found.rows) == expected(farm, [job for job in seen if job["site"] in told])
    refused = {site.name for site in farm if not _may_list(site, name)}
    assert {site.name for site in farm} - told == refused
    sums = read_lines(export(url, "usage", by="user", period="all", policy="PARTIAL"))
    assert sum(row["jobs"] for row in sums.rows) == len(found.rows)
    assert {row["user"] for row in sums.rows} == {row["user"] for row in found.rows}


def _may_list(site: Site, name: str) -> bool:
    return upstream.call(site, "GET", f"{site.root(name)}/jobs/?items-per-page=1", user=name)[0] == 200


def _listed_to(site: Site, name: str) -> list[Job]:
    return jobs_of(site, name) if _may_list(site, name) else []


# --- the Python client


def test_the_python_client_lists_and_exports_every_job(farm: Farm, farm_jobs: list[Job], farm_url: str) -> None:
    with Gateway(farm_url) as gateway:
        newest_first = sorted(farm_jobs, key=lambda job: key_of(job).place)
        assert [job.id for job in gateway.jobs()] == [f"{job['site']}:{job['dbId']}" for job in newest_first]
        rows = list(gateway.export(columns=COLUMNS.split(",")))
        assert comparable(rows) == expected(farm, farm_jobs)
        assert {one.name for one in gateway.sites()} == {site.name for site in farm}
