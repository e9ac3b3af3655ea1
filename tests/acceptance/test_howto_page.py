"""Every command and script of the how-to page, run as it stands on the page, and its output held against the sites' own data."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.howto import BLOCKS, CLUSTERS, HOUR, NUMBERS, PAGE, Block, Desk, blocks_of, make_sites
from acceptance.running import Front, running
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request

MISSING = [name for name in ("bash", "curl", "jq", "column", "bc", "awk") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(not PAGE.exists(), reason=f"the how-to page is not there: {PAGE} (CCGATEWAY_HOWTO can name it)"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)}"),
]

Job = dict[str, Any]
DAY = 24 * HOUR
EXAMPLE = 12345
REFUSED = re.compile(r"^jq: error: syntax error.*$", re.MULTILINE)


# --- the gateway, and who follows the page


@pytest.fixture(scope="module")
def sites() -> dict[str, SimulatedSite]:
    return make_sites()


@pytest.fixture(scope="module")
def front(sites: dict[str, SimulatedSite], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    people = {"demo": ("admin", "api"), "alice": ("user", "api")}
    with running(sites, NUMBERS, tmp_path_factory.mktemp("gateway"), **people) as found:
        yield found


@pytest.fixture(scope="module")
def page() -> dict[str, Block]:
    return blocks_of(PAGE.read_text("utf-8"))


@pytest.fixture
def follow(page: dict[str, Block], front: Front, tmp_path: Path) -> Callable[..., str]:
    """Runs the block of a title, and gives what it writes. A program that this jq does not take is put aside, in jq's words."""

    def run(title: str, user: str = "demo", **variables: str) -> str:
        desk = Desk(tmp_path, front.url, front.tokens[user])
        desk.prepare()
        ended = desk.run(page[title].text, variables)
        if (words := REFUSED.search(ended.stderr)) is not None:
            pytest.skip(f"{title} {words[0]}")
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


# --- the sites' own data


def job_id(site: str, db_id: int) -> int:
    return db_id * 1000 + NUMBERS[site]


def jobs_of(sites: dict[str, SimulatedSite], **wanted: Any) -> list[Job]:
    """The jobs of all sites, newest first, with the gateway's ids."""
    jobs = [one | {"id": job_id(name, one["id"]), "site": name} for name, site in sites.items() for one in site.all_jobs()]
    jobs.sort(key=lambda one: (-one["startTime"], one["site"], one["cluster"], one["jobId"]))
    return [one for one in jobs if all(one[name] == value for name, value in wanted.items())]


def since(jobs: list[Job], seconds: int) -> list[Job]:
    return [one for one in jobs if one["startTime"] >= int(time.time()) - seconds]


def job_of(sites: dict[str, SimulatedSite], number: int) -> Job:
    return next(one for one in jobs_of(sites) if one["id"] == number)


def site_of(sites: dict[str, SimulatedSite], number: int) -> SimulatedSite:
    return next(site for name, site in sites.items() if NUMBERS[name] == number % 1000)


def metrics_of(sites: dict[str, SimulatedSite], number: int, *names: str) -> dict[str, list[dict[str, Any]]]:
    """The series of a job's metrics at node scope, asked of its site."""
    site = site_of(sites, number)
    query = "&".join([f"metric={name}" for name in names])
    headers = (("x-auth-token", site.token("demo")),)
    answer = site.answer(Request("GET", f"/api/jobs/metrics/{number // 1000}", query, headers))
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(answer.body)["data"]["jobMetrics"]:
        found.setdefault(one["name"], []).extend(one["metric"]["series"])
    return found


def objects(text: str) -> list[Any]:
    """The JSON values that jq wrote one after the other."""
    decoder, found = json.JSONDecoder(), []
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


def tags_of(sites: dict[str, SimulatedSite], number: int) -> set[tuple[str, str, str]]:
    return {(one["type"], one["name"], one.get("scope", "global")) for one in job_of(sites, number).get("tags", ())}


# --- listing


def test_list_all_running_jobs_on_a_cluster(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    names = ("id", "jobId", "user", "numNodes", "startTime")
    expected = [{name: one[name] for name in names} for one in jobs_of(sites, jobState="running", cluster="mycluster")]
    assert objects(follow("List all running jobs on a cluster:")) == expected != []


def test_list_completed_jobs_of_a_user_in_a_time_window(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    matching = since(jobs_of(sites, jobState="completed", user="alice"), 7 * DAY)
    assert int(follow("List completed jobs for a specific user in a time window:")) == min(25, len(matching)) == 25


def test_paginate_through_all_jobs(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    total = len(jobs_of(sites))
    lines = follow("Paginate through all jobs (100 at a time):").splitlines()
    assert total > 200
    assert lines == [
        "Page 1: 100 jobs (total so far: 100)",
        "Page 2: 100 jobs (total so far: 200)",
        f"Page 3: {total - 200} jobs (total so far: {total})",
        f"Grand total: {total} jobs",
    ]


# --- one job


def test_get_full_metadata_and_metrics(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    job = job_of(sites, EXAMPLE)
    names = ("jobId", "user", "cluster", "numNodes", "startTime", "duration")
    expected = {name: job[name] for name in names} | {"state": job["jobState"]}
    assert objects(follow("Get full metadata and metrics for a specific job (by database id):")) == [expected]


def test_request_specific_metrics(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    (answer,) = objects(follow("Request specific metrics only:", DB_ID=str(EXAMPLE)))
    told: dict[str, list[Any]] = {}
    for one in answer["metrics"]:
        told.setdefault(one["name"], []).extend(one["series"])
    expected = metrics_of(sites, EXAMPLE, "flops_any", "mem_bw", "cpu_load")
    assert set(told) == {"flops_any", "mem_bw", "cpu_load"}
    assert {name: in_order(series) for name, series in told.items()} == {n: in_order(s) for n, s in expected.items()}


def in_order(series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(series, key=lambda one: (one["hostname"], one.get("id", "")))


def test_extract_per_node_average(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    told = objects(follow("Extract per-node average for a metric:", DB_ID=str(EXAMPLE)))
    expected = [
        {"hostname": one["hostname"], "avg": one["statistics"]["avg"]} for one in metrics_of(sites, EXAMPLE, "mem_bw")["mem_bw"]
    ]
    assert sorted(told, key=by_host) == sorted(expected, key=by_host) != []


def by_host(one: dict[str, Any]) -> tuple[str, float]:
    return one["hostname"], one["avg"]


def test_print_a_summary_table(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    lines = follow("Script: print a summary table for all completed jobs in the last 24 hours:").splitlines()
    names = ("id", "jobId", "user", "numNodes", "duration", "cluster")
    expected = [[str(one[name]) for name in names] for one in since(jobs_of(sites, jobState="completed"), DAY)][:25]
    assert lines[0].split() == ["DB_ID", "JobID", "User", "Nodes", "Duration(s)", "Cluster"]
    assert [line.split() for line in lines[1:]] == expected != []


# --- tagging, in the order of the page


def test_add_and_remove_a_tag(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    tag = ("review", "problematic", "global")
    (added,) = objects(follow("Add a tag to a job:"))
    assert added["id"] == EXAMPLE and tag in {(one["type"], one["name"], one["scope"]) for one in added["tags"]}
    assert tag in tags_of(sites, EXAMPLE)
    (removed,) = objects(follow("Remove a tag from a job:", DB_ID=str(EXAMPLE)))
    assert removed["id"] == EXAMPLE and tag not in tags_of(sites, EXAMPLE)


def test_bulk_tag_jobs_from_a_file(follow: Callable[..., str], sites: dict[str, SimulatedSite], tmp_path: Path) -> None:
    numbers = [EXAMPLE, job_id("center", 21), job_id("cygnus", 40), 999_345]
    (tmp_path / "job_ids.txt").write_text(
        "".join(f"{number}\n" for number in numbers[:2]) + "\n" + "".join(f"{n}\n" for n in numbers[2:])
    )
    lines = follow("Script: bulk-tag a list of job database IDs from a file (job_ids.txt):").splitlines()
    assert lines == [f"Job {number}: HTTP {200 if number != 999_345 else 404}" for number in numbers]
    assert all(("review", "flagged", "global") in tags_of(sites, number) for number in numbers[:3])


def test_tag_all_jobs_over_a_node_threshold(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    lines = follow("Script: tag all jobs from a user that exceeded a node threshold:").splitlines()
    large = [one["id"] for one in jobs_of(sites, jobState="completed", user="alice") if one["numNodes"] >= 64]
    assert lines == [f"Tagged job {number}" for number in large] and len(large) > 3
    tagged = {one["id"] for one in jobs_of(sites) if ("size", "large-job", "global") in tags_of(sites, one["id"])}
    assert tagged == set(large)


# --- metadata


def test_add_an_annotation(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    note = "High memory variance detected — check NUMA binding"
    (answer,) = objects(follow("Add an annotation to a job:"))
    assert answer["metaData"]["note"] == note
    assert job_of(sites, EXAMPLE)["metaData"] == {"jobName": "job12", "note": note}


def test_annotate_jobs_from_a_table(follow: Callable[..., str], sites: dict[str, SimulatedSite], tmp_path: Path) -> None:
    notes = {EXAMPLE: "first", job_id("center", 22): "a longer note, with a comma", job_id("cygnus", 30): "third"}
    (tmp_path / "annotations.csv").write_text("".join(f"{number},{note}\n" for number, note in notes.items()))
    lines = follow("Script: read a CSV of db_id,note and annotate each job:").splitlines()
    assert lines == [f"Annotated job {number}" for number in notes]
    assert {number: job_of(sites, number)["metaData"]["note"] for number in notes} == notes


# --- jobs that start and stop


def test_start_a_job(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    before = int(time.time())
    (answer,) = objects(follow("Start a job:"))
    job = job_of(sites, answer["id"])
    assert (job["jobId"], job["user"], job["cluster"], job["jobState"]) == (100001, "alice", "mycluster", "running")
    assert job["startTime"] >= before and job["numNodes"] == 4 and job["numHwthreads"] == 128
    assert [one["hostname"] for one in job["resources"]] == ["node01", "node02", "node03", "node04"]


def test_stop_a_job(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    (answer,) = objects(follow("Stop a job (by database id):"))
    job = job_of(sites, 3938)
    assert answer["id"] == 3938 and answer["state"] == job["jobState"] == "completed"
    assert 0 < job["duration"] <= HOUR


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
def test_a_job_starts_and_stops_as_the_page_has_it_at_every_release(release: str, page: dict[str, Block], tmp_path: Path) -> None:
    before = {"id": 1, "jobId": 7, "user": "bob", "project": "p", "cluster": "mycluster", "subCluster": "main", "numNodes": 4}
    hosts = [{"hostname": f"node{n:02}"} for n in range(1, 5)]
    ended = {"startTime": 1_700_000_000, "duration": 60, "jobState": "completed", "monitoringStatus": 3, "resources": hosts}
    center = SimulatedSite("center", release, [before | ended])  # 1.5 commits after two minutes
    with running({"center": center}, {"center": 938}, tmp_path, demo=("admin", "api")) as front:
        desk = Desk(tmp_path, front.url, front.tokens["demo"])
        desk.prepare()
        (answer,) = objects(desk.run(page["Start a job:"].text).stdout)
        assert answer["id"] % 1000 == 938 and answer["id"] < 2**53
        time.sleep(1.1)  # up to 1.3 no job ends in the second in which it began
        stop = page["Stop a job (by database id):"].text
        assert stop.count("DB_ID=3938") == 1
        (stopped,) = objects(desk.run(stop.replace("DB_ID=3938", f"DB_ID={answer['id']}")).stdout)
    assert (stopped["jobId"], stopped["cluster"], stopped["state"]) == (100001, "mycluster", "completed")
    assert [(one["jobState"]) for one in center.all_jobs() if one["jobId"] == 100001] == ["completed"]


# --- one's own jobs


def own(sites: dict[str, SimulatedSite], **wanted: Any) -> list[Job]:
    return jobs_of(sites, user="alice", **wanted)


def test_list_own_jobs(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    told = objects(follow("Listing Your Own Jobs", "alice"))
    names = ("id", "jobId", "cluster", "numNodes", "duration", "startTime")
    week = [{name: one[name] for name in names} for one in since(own(sites, jobState="completed"), 7 * DAY)][:25]
    newest = own(sites, jobState="completed")[:25]
    counts = [{"cluster": c, "count": n} for c in sorted(CLUSTERS.values()) if (n := sum(one["cluster"] == c for one in newest))]
    assert told == [*week, *counts]


def test_get_full_metadata_of_an_own_job(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    (told,) = objects(follow("Get full job metadata:", "alice"))
    job = job_of(sites, EXAMPLE)
    assert {name: told[name] for name in ("jobId", "cluster", "numNodes", "startTime", "duration")} == {
        name: job[name] for name in ("jobId", "cluster", "numNodes", "startTime", "duration")
    }
    assert told["state"] == "completed" and {(t["type"], t["name"]) for t in told["tags"]} == {
        (kind, name) for kind, name, _ in tags_of(sites, EXAMPLE)
    }


def test_per_node_statistics(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    told = objects(follow("Get per-node metric data and show statistics:", "alice", DB_ID=str(EXAMPLE)))
    expected = metrics_of(sites, EXAMPLE, "mem_bw", "flops_any")
    assert {one["unit"] for one in told} == {"GB/s", "GF/s"}
    for one in told:
        own_series = [
            {"host": s["hostname"], **{k: s["statistics"][k] for k in ("min", "avg", "max")}} for s in expected[one["metric"]]
        ]
        assert all(node in own_series for node in one["nodes"]) and one["nodes"]


def test_check_for_idle_nodes(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    title = "Check whether any node had very low CPU utilization (potential idle node):"
    told = objects(follow(title, "alice", DB_ID=str(EXAMPLE)))
    idle = [one for one in metrics_of(sites, EXAMPLE, "cpu_load")["cpu_load"] if one["statistics"]["avg"] < 0.1]
    assert told == [f"WARNING: low cpu_load on {one['hostname']}: avg={one['statistics']['avg']}" for one in idle]


def averages(sites: dict[str, SimulatedSite], jobs: list[Job], metric: str, statistic: str) -> dict[int, list[float]]:
    return {one["id"]: [s["statistics"][statistic] for s in metrics_of(sites, one["id"], metric)[metric]] for one in jobs}


def test_compute_average_flops(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    lines = follow("Script: compute average flops_any across all completed jobs in a time range:", "alice").splitlines()
    jobs = since(own(sites, jobState="completed"), 30 * DAY)[:25]
    expected = {number: sum(found) / len(found) for number, found in averages(sites, jobs, "flops_any", "avg").items()}
    told = {
        int(found[1]): float(found[2]) for line in lines if (found := re.fullmatch(r"Job (\d+): flops_any avg = (\S+)", line))
    }
    assert told == pytest.approx(expected) and len(told) == 25
    assert lines[-2] == "Jobs evaluated: 25"
    assert float(lines[-1].removeprefix("Overall average flops_any: ")) == pytest.approx(sum(expected.values()) / 25, abs=1e-3)


def test_top_jobs_by_memory_bandwidth(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    lines = follow("Script: find your top-10 jobs by peak memory bandwidth:", "alice").splitlines()
    jobs = own(sites, jobState="completed")[:200]
    peaks = {number: max(found) for number, found in averages(sites, jobs, "mem_bw", "max").items()}
    told = [
        (int(found[1]), float(found[2])) for line in lines if (found := re.fullmatch(r"DB_ID (\d+) +peak mem_bw = (\S+)", line))
    ]
    assert [peak for _, peak in told] == sorted(peaks.values(), reverse=True)[:10]
    assert all(peaks[number] == peak for number, peak in told)


def test_summarize_efficiency(follow: Callable[..., str], sites: dict[str, SimulatedSite]) -> None:
    lines = follow("Script: summarize job efficiency — ratio of actual to walltime:", "alice").splitlines()
    expected = [
        [
            str(one["id"]),
            str(one["jobId"]),
            str(one["duration"]),
            str(one["walltime"]),
            f"{round_half_up(100 * one['duration'] / one['walltime'])}%",
        ]
        for one in own(sites, jobState="completed")[:100]
        if one.get("walltime", 0) > 0
    ]
    assert lines[0].split() == ["DB_ID", "JobID", "Duration", "Walltime", "Efficiency"]
    assert [line.split() for line in lines[1:]] == expected != []


def round_half_up(value: float) -> int:
    return int(value + 0.5)


# --- nothing is left out


def test_every_command_of_the_page_is_in_a_block_that_is_run(page: dict[str, Block]) -> None:
    text, inside = PAGE.read_text("utf-8"), "".join(block.text for block in page.values())
    assert text.count("curl -s") == inside.count("curl -s") > 20
    assert text.count("#!/bin/bash") == inside.count("#!/bin/bash") > 5
    source = Path(__file__).read_text("utf-8")
    assert [title for title in BLOCKS if f'"{title}"' not in source] == []
