"""Deleting jobs: from the database only, and counted as the releases count."""

from __future__ import annotations

import pytest

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from simulator.sites import EVERY_RELEASE, NOW, job, running, site
from simulator.writing.writes import OLD, REAL, a_tag, error_of, listed, start, stop, told, write


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_by_id_it_is_always_a_success(release: str) -> None:
    here = site(release, job(1), job(2))
    for _ in range(2):
        assert told(write(here, "DELETE", "/jobs/delete_job/2")) == {"msg": "Successfully deleted job 2"}
    assert (listed(here), [e.what for e in here.truth.effects]) == ([1001], ["delete"])
    assert write(here, "DELETE", "/jobs/delete_job/abc").status == 400


@pytest.mark.parametrize("release", REAL)
def test_by_key(release: str) -> None:
    here = site(release, job(1, jobId=500), job(2, jobId=500), job(3))
    newest = 1 if release in OLD else 2
    key = {"jobId": 500, "cluster": "aurora"}
    assert told(write(here, "DELETE", "/jobs/delete_job/", key)) == {"msg": f"Successfully deleted job {newest}"}
    missing = write(here, "DELETE", "/jobs/delete_job/", key | {"startTime": 5})
    assert (missing.status, error_of(missing)) == (422, "finding job failed: sql: no rows in result set")
    assert error_of(write(here, "DELETE", "/jobs/delete_job/", {"cluster": "aurora"})) == "the field 'jobId' is required"
    assert write(here, "DELETE", "/jobs/delete_job/", key | {"stopTime": 5}).status == 400
    assert len(listed(here)) == 2


@pytest.mark.parametrize("release", REAL)
def test_before_a_time_it_is_starts_that_count_and_some_releases_cannot(release: str) -> None:
    here = site(release, *(running(n, startTime=NOW - 100 + n) for n in range(1, 6)))
    response = told(write(here, "DELETE", f"/jobs/delete_job_before/{NOW - 100 + 3}"))
    assert response == {"msg": f"Successfully deleted {2 if release in {'1.2', '1.5'} else 0} jobs"}
    assert listed(here) == [1005, 1004, 1003]
    assert write(here, "DELETE", "/jobs/delete_job_before/abc").status == 400


def test_the_howto_page_goes_by_the_end_of_jobs() -> None:
    early = NOW - 10_000
    here = site(
        "howto", job(1, startTime=early, duration=100), job(2, startTime=early, duration=5000), running(3, startTime=early)
    )
    assert told(write(here, "DELETE", f"/jobs/delete_job_before/{early + 200}")) == {"msg": "Successfully deleted 1 jobs"}
    assert sorted(listed(here)) == [1002, 1003]


@pytest.mark.parametrize(("omit", "left"), [("none", []), ("", []), ("all", [1001, 1002]), ("user", [1001])])
def test_15_spares_tagged_jobs_when_asked(omit: str, left: list[int]) -> None:
    here = site("1.5", job(1), job(2), job(3))
    for number, kind in ((1, "mine"), (2, "app")):
        write(here, "POST", f"/jobs/tag_job/{number}", [a_tag(here, kind, "x")])
    response = told(write(here, "DELETE", f"/jobs/delete_job_before/{NOW}?omit-tagged={omit}"))
    assert response == {"msg": f"Successfully deleted {3 - len(left)} jobs"}
    assert sorted(listed(here)) == left


@pytest.mark.parametrize("release", REAL)
def test_only_15_looks_at_omit_tagged(release: str) -> None:
    here = site(release, job(1))
    response = write(here, "DELETE", "/jobs/delete_job_before/5?omit-tagged=maybe")
    assert response.status == (400 if release == "1.5" else 200)


@pytest.mark.parametrize("release", REAL)
def test_who_may_delete(release: str) -> None:
    here = site(release, *(job(n) for n in range(1, 7)))
    statuses = {user: write(here, "DELETE", f"/jobs/delete_job/{n}", None, user).status for n, user in enumerate(here.users, 1)}
    let_in = set(here.users) if release in OLD else {"demo", "robot"}
    assert statuses == {user: 200 if user in let_in else 401 for user in here.users}


def test_what_waits_is_not_deleted() -> None:
    here = site("1.5", job(1))
    start(here, 500)
    assert write(here, "DELETE", "/jobs/delete_job/", {"jobId": 500}).status == 422
    write(here, "DELETE", f"/jobs/delete_job_before/{NOW}")
    here.truth.commit()
    assert listed(here) == [500]


def test_a_job_deleted_before_it_is_archived_does_not_come_back() -> None:
    here = site("1.4", running(1, jobId=500))
    stop(here, 500)
    write(here, "DELETE", "/jobs/delete_job/1")
    here.truth.archive()
    assert listed(here) == []
    start(here, 501)
    assert here.truth.find(501)[0].monitoring_status == 1


def test_many_jobs_are_deleted_at_once() -> None:
    here = SimulatedSite("aurora", "1.5", GeneratedJobs(20_000, "aurora", until=NOW), clock=lambda: float(NOW))
    half = sorted(j["startTime"] for j in here.all_jobs())[10_000]
    write(here, "DELETE", f"/jobs/delete_job_before/{half}")
    left = [j["startTime"] for j in here.all_jobs()]
    assert 9_990 < len(left) < 10_010  # several start in the same second
    assert min(left) == half
