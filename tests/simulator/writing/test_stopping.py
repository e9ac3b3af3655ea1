"""Stopping jobs: which one is meant, what is refused, and what comes later."""

from __future__ import annotations

import msgspec
import pytest

from simulator.sites import EVERY_RELEASE, NOW, ask_json, job, running, site
from simulator.writing.writes import NEW, OLD, REAL, Clock, error_of, start, stop, told, write

COMBINED = "stopTime must be larger than startTime and only running jobs can be stopped"


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_a_job_ends_and_is_archived_later(release: str) -> None:
    clock = Clock()
    here = site(release, running(1, jobId=500), archiving=10.0, clock=clock)
    shown = told(stop(here, 500, jobState="failed"))
    assert shown["state" if release == "howto" else "jobState"] == "failed"
    assert (shown["duration"], shown["monitoringStatus"], shown["metaData"], shown.get("tags")) == (600, 1, None, None)
    assert here.truth.find(500)[0].monitoring_status == 1
    clock.now += 10
    archived = here.truth.find(500)[0]
    assert (archived.state, archived.monitoring_status, archived.duration) == ("failed", 3, 600)
    assert msgspec.json.decode(archived.statistics)


@pytest.mark.parametrize("release", REAL)
def test_what_cannot_be_stopped(release: str) -> None:
    here = site(release, running(1, jobId=500), job(2, jobId=501))
    missing = stop(here, 777)
    assert (missing.status, error_of(missing)) == (
        404 if release == "1.5" else 422,
        "finding job failed: sql: no rows in result set",
    )
    nameless = stop(here, 500, jobId=None)
    assert (nameless.status, error_of(nameless)) == (400, "the field 'jobId' is required")
    over, early, odd = stop(here, 501), stop(here, 500, stopTime=5), stop(here, 500, jobState="flying")
    if release in OLD:
        assert (over.status, error_of(over)) == (early.status, error_of(early)) == (400, COMBINED)
        assert (odd.status, error_of(odd)) == (400, 'invalid job state: "flying"')
    else:
        name = "jobId 501 (id 2) on aurora :"
        assert (over.status, error_of(over)) == (422, f"{name} job has already been stopped (state is: completed)")
        name = "jobId 500 (id 1) on aurora :"
        assert (early.status, error_of(early)) == (400, f"{name} stopTime 5 must be larger/equal than startTime {NOW - 1000}")
        assert (odd.status, error_of(odd)) == (400, f'{name} invalid requested job state: "flying"')
    assert here.truth.effects == []


@pytest.mark.parametrize("release", REAL)
def test_a_job_of_no_length(release: str) -> None:
    here = site(release, running(1, jobId=500))
    assert stop(here, 500, stopTime=NOW - 1000).status == (400 if release in OLD else 200)


@pytest.mark.parametrize("release", REAL)
def test_each_release_has_states_of_its_own(release: str) -> None:
    here = site(release, running(1, jobId=500), running(2, jobId=501, startTime=NOW - 900))
    assert (stop(here, 500, jobState="stopped").status, stop(here, 501, jobState="node_fail").status) == (
        (400, 200) if release == "1.5" else (200, 400)
    )


@pytest.mark.parametrize("release", REAL)
def test_a_job_can_be_stopped_into_running(release: str) -> None:
    here = site(release, running(1, jobId=500))
    assert told(stop(here, 500, jobState="running"))["duration"] == 600
    assert told(stop(here, 500))["jobState"] == "completed"


@pytest.mark.parametrize("release", REAL)
def test_a_duration_has_only_32_bits(release: str) -> None:
    here = site(release, running(1, jobId=500))
    assert told(stop(here, 500, stopTime=NOW - 1000 + 2**31 + 5))["duration"] == 5 - 2**31


@pytest.mark.parametrize("release", REAL)
def test_of_several_jobs_of_one_id_the_newest_is_meant_from_14_on(release: str) -> None:
    days = (NOW - 300_000, NOW - 200_000, NOW - 1000)
    here = site(release, *(running(n, jobId=500, startTime=t) for n, t in enumerate(days, 1)))
    assert told(stop(here, 500, cluster=None))["id"] == (1 if release in OLD else 3)
    assert told(stop(here, 500, cluster=None, startTime=days[1]))["id"] == 2


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_by_id_where_the_release_has_it(release: str) -> None:
    here = site(release, running(1, jobId=500))
    body = {"cluster": "aurora", "jobState": "completed", "stopTime": NOW - 400}
    response = write(here, "POST", "/jobs/stop_job/1", body)
    if release in NEW:
        assert response.status == 404
        return
    assert told(response)["id"] == 1
    assert write(here, "POST", "/jobs/stop_job/9", body).status == here.release.stop_missing
    assert write(here, "POST", "/jobs/stop_job/abc", b"{").status == 400


def test_a_job_without_monitoring_is_not_archived() -> None:
    here = site("1.4", running(1, jobId=500, monitoringStatus=0))
    stop(here, 500)
    here.truth.archive()
    assert here.truth.find(500)[0].monitoring_status == 0


def test_archiving_fails_when_metrics_cannot_be_loaded() -> None:
    here = site("1.4", running(1, jobId=500))
    here.break_metrics(1)
    stop(here, 500)
    here.truth.archive()
    assert here.truth.find(500)[0].monitoring_status == 2


def test_15_finds_a_job_that_only_waits_and_makes_it_visible() -> None:
    here = site("1.5", running(1, jobId=500, startTime=NOW - 90_000))
    start(here, 499, startTime=NOW - 950)
    start(here, 500)
    early = stop(here, 500, stopTime=5)
    assert error_of(early).startswith("jobId 500 (id 2) on aurora : stopTime 5")  # its number among those that wait
    assert [j.job_id for j in here.truth.waiting] == [499, 500]
    shown = told(stop(here, 500))
    assert (shown["id"], shown["startTime"]) == (2, NOW - 1000)
    assert [j.job_id for j in here.truth.waiting] == [499]
    assert [j["jobState"] for j in ask_json(here, "/api/jobs/")["jobs"]] == ["completed", "running"]
