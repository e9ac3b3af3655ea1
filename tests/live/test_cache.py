"""What comes from the cache is what the instance itself says: cold, warm, and from Redis in a second process."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cache.servers import Valkey
from live import upstream
from live.enrich import FIRST_JOB_ID, measure, start, stop, wait_for
from live.faces import Http, served
from live.farm import Farm, Site
from live.test_metrics import ONE, by_name
from live.truth import Job, truth_of

#: metrics and scopes asked for, of every job
QUESTIONS: list[tuple[list[str] | None, list[str] | None]] = [
    (None, None),
    (["mem_bw", "cpu_load"], ["node", "socket"]),
    (["flops_any", "nope"], ["core"]),
]
LIST_FOR = 1.0
#: running jobs that are looked at of each site
RUNNING = 6

Asked = tuple[str, int]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def running(scratch: Farm) -> Iterator[None]:
    """Jobs that run, with metrics also where the instance has a metric store of its own."""
    now = int(time.time())
    numbers = [FIRST_JOB_ID + 500 + number for number in range(5)]
    for site in scratch:
        for number in numbers:
            start(site, number, now - 1800)
        if site.is_newest:
            measure(site, [f"{site.cluster[0]}n00{host}" for host in range(1, 10)], now)
        wait_for(site, numbers)
    yield
    for site in scratch:
        for number in numbers:
            stop(site, number, now - 1800)


def said(site: Site, db_id: int, names: list[str] | None, scopes: list[str] | None) -> Any:
    """What the instance answers itself; ``None`` where it cannot give the metrics."""
    query = "&".join([*(f"metric={name}" for name in names or ()), *(f"scope={scope}" for scope in scopes or ())])
    status, answer = upstream.call(site, "GET", f"/api/jobs/metrics/{db_id}?{query}")
    assert status == 200
    return by_name(answer["data"]["jobMetrics"]) if isinstance(answer, dict) and answer["data"] else None


def same_so_far(found: Any, expected: Any) -> bool:
    """Whether both are of one job that runs. Instances keep such answers for two minutes, question by question, so that the
    samples of one reading go on where those of another end."""
    if not found or not expected or found.keys() != expected.keys():
        return bool(found == expected)
    for key, metric in found.items():
        other = expected[key]
        if (metric["unit"], metric["timestep"], len(metric["series"])) != (
            other["unit"],
            other["timestep"],
            len(other["series"]),
        ):
            return False
        for one, two in zip(metric["series"], other["series"], strict=True):
            common = min(len(one["data"]), len(two["data"]))
            if (one["hostname"], one["id"]) != (two["hostname"], two["id"]) or one["data"][:common] != two["data"][:common]:
                return False
    return True


def given(http: Http, site: Site, job: Job, names: list[str] | None, scopes: list[str] | None) -> tuple[Any, float | None]:
    """What the gateway answers, and how old it is."""
    variables = {"id": f"{site.name}:{job['dbId']}", "metrics": names, "scopes": scopes}
    answer = http.ask(ONE, variables)
    if answer["data"] is None:
        return None, None
    (age,) = [one["age"] for one in answer["extensions"]["cache"]]
    return by_name(answer["data"]["jobMetrics"]), age


@pytest.mark.timeout(1800)
def test_every_jobs_metrics_are_the_instances_own_cold_warm_and_in_a_second_process(
    scratch: Farm, running: None, valkey: Valkey, tmp_path: Path
) -> None:
    sites = {site.name: site for site in scratch}
    running_of: Counter[str] = Counter()
    jobs: list[tuple[Site, Job]] = []
    for job in truth_of(scratch):  # newest first; the farm's stand-in for a metric store takes a second for each that runs
        running_of[job["site"]] += job["state"] == "running"
        if job["state"] != "running" or running_of[job["site"]] <= RUNNING:
            jobs.append((sites[job["site"]], job))
    truth: dict[tuple[str, int, int], Any] = {}
    for _ in range(2):  # up to 1.3 an instance answers more of a job once it was asked for scopes that it has to compute
        for site, job in jobs:
            for number, question in enumerate(QUESTIONS):
                truth[site.name, job["dbId"], number] = said(site, job["dbId"], *question)
    counts = {"compared": 0, "running": 0, "without": 0, "changed": 0}

    def check(http: Http, *, is_remembered: bool) -> None:
        for site, job in jobs:
            for number, question in enumerate(QUESTIONS):
                expected = truth[site.name, job["dbId"], number]
                found, age = given(http, site, job, *question)
                if found != expected:
                    counts["changed"] += 1
                    expected = said(site, job["dbId"], *question)
                is_right = same_so_far if job["state"] == "running" else operator.eq
                assert is_right(found, expected), (site.name, job["dbId"], question)
                counts["compared"] += 1
                counts["running"] += job["state"] == "running" and bool(expected)
                counts["without"] += not expected
                if is_remembered and expected and job["state"] != "running":  # these live for one sampling interval
                    assert age is not None and age > LIST_FOR, (site.name, job["dbId"], question, age)

    (tmp_path / "redis.url").write_text(valkey.url)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    cache = f'redis_url_file = "{tmp_path / "redis.url"}"\nlist_for = {LIST_FOR}\nabsent_for = 3600'
    with served(scratch.settings(), tmp_path / "one", cache=cache) as url:
        http = Http(url)
        check(http, is_remembered=False)
        time.sleep(2 * LIST_FOR)
        check(http, is_remembered=True)
        http.close()
    with served(scratch.settings(), tmp_path / "two", cache=cache) as url:
        http = Http(url)
        check(http, is_remembered=True)
        http.close()
    print(counts, len(jobs), valkey.ask("DBSIZE"), valkey.ask("INFO", "memory")["used_memory_human"])
    assert counts["running"] >= 3 * RUNNING * len(scratch)
    assert counts["changed"] < counts["running"] / 2
    assert counts["without"] < counts["compared"] / 3


def test_a_job_that_ends_is_read_anew(scratch: Farm, valkey: Valkey, tmp_path: Path) -> None:
    number, begun = FIRST_JOB_ID + 600, int(time.time()) - 1800
    (tmp_path / "redis.url").write_text(valkey.url)
    cache = f'redis_url_file = "{tmp_path / "redis.url"}"\nlist_for = {LIST_FOR}'
    state = "query($id: ID!) { job(id: $id) { state monitoringStatus } }"
    with served(scratch.settings(), tmp_path, cache=cache) as url:
        http = Http(url)
        for site in scratch:
            start(site, number, begun)
            if site.is_newest:
                measure(site, [f"{site.cluster[0]}n00{1 + number % 9}"], int(time.time()))
            db_id = wait_for(site, [number])[number]
            job: Job = {"dbId": db_id}
            while_running, _ = given(http, site, job, None, None)
            stop(site, number, begun, seconds=600)
            until = time.monotonic() + 60
            while http.data(state, {"id": f"{site.name}:{db_id}"})["job"] != {"state": "completed", "monitoringStatus": 3}:
                assert time.monotonic() < until, site.name
                time.sleep(0.1)
            time.sleep(2 * LIST_FOR)
            found, _ = given(http, site, job, None, None)
            assert found == said(site, db_id, None, None), site.name
            assert found != while_running
        http.close()
