"""Jobs of every kind on the farm that may be altered: what a seeded archive lacks (ties across sites, tags, arrays, …)."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from live import upstream
from live.farm import Farm, Site

__all__ = ["FIRST_JOB_ID", "enriched", "measure", "remove_from", "start", "stop", "wait_for"]

#: numbers of jobs that tests add; whatever has such a number is removed again
FIRST_JOB_ID = 9_000_000
#: seconds after which a job that was started must be in the list (1.5 commits them from time to time)
COMMITTED_WITHIN = 150.0

#: jobs that start in one and the same second at every site
CROWD = 40

SHARED_BEFORE_1_5 = {"multi_user": 0, "none": 1, "single_user": 2}


def start(site: Site, job_id: int, start_time: int, *, shared: str = "none", **fields: Any) -> None:
    """Starts a job by REST, on one host unless ``fields`` say otherwise."""
    resources = [{"hostname": f"{site.cluster[0]}n00{1 + job_id % 9}", "hwthreads": [0, 1, 2, 3]}]
    body = {
        "jobId": job_id,
        "user": "alice",
        "project": "p_a",
        "cluster": site.cluster,
        "subCluster": "main",
        "partition": "main",
        "numNodes": len(fields.get("resources", resources)),
        "numHwthreads": 4,
        "walltime": 3600,
        "startTime": start_time,
        "resources": resources,
        "metaData": {},
        **fields,
    }
    if site.is_newest:
        body["shared"] = shared
    else:
        body["exclusive"] = SHARED_BEFORE_1_5[shared]
    status, said = upstream.call(site, "POST", "/api/jobs/start_job/", body)
    assert status == 201, f"{site.name}: {status} {said}"


def stop(site: Site, job_id: int, start_time: int, *, seconds: int = 600, state: str = "completed") -> None:
    """Ends a job by REST."""
    body = {
        "jobId": job_id,
        "cluster": site.cluster,
        "startTime": start_time,
        "stopTime": start_time + seconds,
        "jobState": state,
    }
    status, said = upstream.call(site, "POST", "/api/jobs/stop_job/", body)
    assert status == 200, f"{site.name}: {status} {said}"


def wait_for(site: Site, job_ids: Sequence[int]) -> dict[int, int]:
    """Database ids of the jobs, once the site lists them all."""
    until = time.monotonic() + COMMITTED_WITHIN
    while True:
        found = {row["jobId"]: row["id"] for row in upstream.listed(site) if row["jobId"] in set(job_ids)}
        if len(found) == len(set(job_ids)):
            return found
        assert time.monotonic() < until, f"{site.name} does not list the jobs {set(job_ids) - set(found)}"
        time.sleep(0.5)


@contextmanager
def enriched(farm: Farm) -> Iterator[None]:
    """Adds the jobs, and removes them and whatever else tests left."""
    for site in farm:
        _clear(site)
    for site in farm:
        _fill(site)
    try:
        yield
    finally:
        for site in farm:
            with suppress(OSError):
                _clear(site)


def remove_from(site: Site, first: int) -> None:
    """Deletes every job whose number is ``first`` or higher."""
    for row in upstream.listed(site):
        if row["jobId"] >= first:
            upstream.call(site, "DELETE", f"/api/jobs/delete_job/{row['id']}")


def _clear(site: Site) -> None:
    remove_from(site, FIRST_JOB_ID)
    for entry in site.archive.glob(f"*/{FIRST_JOB_ID // 1000}") if site.folder else ():
        shutil.rmtree(entry)


def _fill(site: Site) -> None:
    tied = max(row["startTime"] for row in upstream.listed(site)) // 100_000 * 100_000  # the same at every site
    host = site.cluster[0]
    two_hosts = [{"hostname": f"{host}n001"}, {"hostname": f"{host}n064", "accelerators": ["gpu0", "gpu1"]}]
    last = "node_fail" if site.is_newest else "stopped"
    many: list[tuple[str | None, dict[str, Any]]] = [
        ("completed", {"shared": "multi_user", "user": "bob", "project": "p_b", "metaData": {"jobName": "interactive"}}),
        (
            "cancelled",
            {"shared": "single_user", "partition": "devel", "numHwthreads": 0, "metaData": {"jobName": "100% Ünï_codé"}},
        ),
        ("failed", {"arrayJobId": 4242, "numAcc": 2, "resources": two_hosts, "numHwthreads": 16, "smt": 1}),
        ("out_of_memory", {"arrayJobId": 4242, "user": "carol", "project": "", "walltime": 5_000_000_000}),
        (last, {"user": "DAVE", "project": "P_D", "partition": "", "metaData": {"jobName": "job12", "other": 'a "quoted" text'}}),
        ("timeout", {"metaData": {"jobName": "batch"}}),
        (None, {"user": "bob", "metaData": {"jobName": "job5"}}),
    ]
    ids = [FIRST_JOB_ID + number for number in range(len(many))]
    now = int(time.time())
    starts = [tied if state else now - 120 for state, _ in many]
    for job_id, start_time, (_, fields) in zip(ids, starts, many, strict=True):
        start(site, job_id, start_time, **fields)
    for job_id, start_time, (state, _) in zip(ids, starts, many, strict=True):
        if state:
            stop(site, job_id, start_time, state=state)
    crowd = [FIRST_JOB_ID + 100 + number for number in range(CROWD)]
    for job_id in crowd:
        start(site, job_id, tied + 1, metaData={"jobName": "crowd"})
    found = wait_for(site, ids + crowd)
    _tag(site, found[ids[0]], [("review", "slow", "global"), ("ops", "watch", "admin")])
    _tag(site, found[ids[1]], [("review", "slow", "global"), ("mine", "own / 100%", "demo")])
    _wait_until_archived(site)


def _wait_until_archived(site: Site) -> None:
    until = time.monotonic() + COMMITTED_WITHIN
    while any(row.get("monitoringStatus") == 1 and row["jobState"] != "running" for row in upstream.listed(site)):
        assert time.monotonic() < until, f"{site.name} does not end archiving"
        time.sleep(0.2)


def _tag(site: Site, db_id: int, tags: Sequence[tuple[str, str, str]]) -> None:
    for kind, name, scope in tags:
        tag = {"type": kind, "name": name} | ({"scope": scope} if site.isolates else {})
        # the answer tells of the archive, which may not have the job: what counts is what the list shows
        upstream.call(site, "POST", f"/api/jobs/tag_job/{db_id}", [tag])
    assert any(row.get("tags") for row in upstream.listed(site) if row["id"] == db_id), f"{site.name} took no tag"


def measure(site: Site, hosts: list[str], now: int) -> None:
    """Half an hour of samples for the metric store that releases from 1.5 on have inside."""
    lines = []
    for minute in range(30):
        moment = now - 1800 + 60 * minute
        for place, host in enumerate(hosts):
            tags = f"cluster={site.cluster},hostname={host}"
            by_host = ("cpu_load", "mem_used", "flops_any", "cpu_power")
            lines += [f"{metric},{tags},type=node value={minute + place / 8} {moment}" for metric in by_host]
            lines += [f"mem_bw,{tags},type=socket,type-id={socket} value={minute * 2 + socket} {moment}" for socket in (0, 1)]
    request = urllib.request.Request(
        f"{site.url}/api/write/?cluster={site.cluster}", "\n".join(lines).encode(), {"X-Auth-Token": site.tokens["demo"]}
    )
    urllib.request.urlopen(request, timeout=30).close()
