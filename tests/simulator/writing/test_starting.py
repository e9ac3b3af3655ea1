"""Starting jobs: the answer, what is refused, and 1.5's commit worker."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.sites import EVERY_RELEASE, NOW, job, site
from simulator.writing.writes import NEW, OLD, REAL, Clock, a_tag, error_of, listed, start, started, told, write


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_the_answer_has_the_id_up_to_13(release: str) -> None:
    here = site(release, job(4))
    response = start(here, 500)
    assert response.status == 201
    assert told(response) == ({"id": 5} if release in {*OLD, "howto"} else {"msg": "success"})
    assert [j.id for j in here.truth.find(500)] == [1 if release == "1.5" else 5]


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_a_started_job_is_stored_as_given(release: str) -> None:
    here = site(release, job(1), commit=0)
    sharing: dict[str, Any] = {"exclusive": 2} if release in {*OLD, "1.4"} else {"shared": "single_user"}
    numbers: dict[str, Any] = {"arrayJobId": 7, "numAcc": 2, "numHwthreads": 16, "smt": 1, "walltime": 60}
    start(here, 500, partition="big", metaData={"a": "b"}, **numbers, **sharing)
    (stored,) = here.truth.find(500, "aurora", NOW - 1000)
    assert stored.state == "running"
    assert (stored.partition, stored.array_job_id, stored.num_acc, stored.num_hwthreads) == ("big", 7, 2, 16)
    assert (stored.smt, stored.walltime, stored.meta_data, stored.shared) == (1, 60, {"a": "b"}, "single_user")
    assert stored.monitoring_status == 1


BAD: list[tuple[dict[str, Any], str]] = [
    ({"cluster": "nowhere"}, "no such cluster: nowhere"),
    ({"subCluster": "none"}, "ARCHIVE/CLUSTERCONFIG > already assigned subcluster none unkown (cluster: aurora)"),
    ({"subCluster": None, "resources": []}, "ARCHIVE/CLUSTERCONFIG > job without any resources/hosts"),
    (
        {"subCluster": None, "resources": [{"hostname": "zz9"}]},
        "ARCHIVE/CLUSTERCONFIG > no subcluster found for cluster aurora and host zz9",
    ),
    ({"user": ""}, "'resources' and 'user' should not be empty"),
    ({"resources": []}, "'resources' and 'user' should not be empty"),
    ({"numNodes": 0}, "'numNodes', 'numAcc' or 'numHWThreads' invalid"),
    ({"numAcc": -1}, "'numNodes', 'numAcc' or 'numHWThreads' invalid"),
    ({"numNodes": 2}, "len(resources) does not equal numNodes (1 vs 2)"),
    ({"colour": 1}, 'parsing request body failed: json: unknown field "colour"'),
]


@pytest.mark.parametrize("release", REAL)
@pytest.mark.parametrize(("change", "reason"), BAD, ids=[str(change) for change, _ in BAD])
def test_what_makes_no_sense_is_refused(release: str, change: dict[str, Any], reason: str) -> None:
    here = site(release, job(1))
    response = start(here, 500, **change)
    assert (response.status, error_of(response)) == (400, reason)
    assert here.truth.effects == []


@pytest.mark.parametrize("release", REAL)
def test_each_release_has_its_own_word_for_sharing(release: str) -> None:
    here = site(release, job(1))
    words = ("exclusive", "shared") if release != "1.5" else ("shared", "exclusive")
    values: dict[str, Any] = {"exclusive": 1, "shared": "none"}
    assert start(here, 500, **{words[0]: values[words[0]]}).status == 201
    response = start(here, 501, **{words[1]: values[words[1]]})
    assert (response.status, error_of(response)) == (400, f'parsing request body failed: json: unknown field "{words[1]}"')


@pytest.mark.parametrize("release", REAL)
def test_the_database_checks_for_itself(release: str) -> None:
    here = site(release, job(1))
    smt = start(here, 500, smt=2)
    assert (smt.status, error_of(smt).split("(")[0].split()) == (
        500,
        ["insert", "into", "database", "failed:", "CHECK", "constraint", "failed:", "smt", "IN"],
    )
    assert start(here, 500, monitoringStatus=7).status == 500
    assert here.truth.find(500) == []


@pytest.mark.parametrize("release", REAL)
def test_a_job_like_one_of_the_same_day_is_refused_and_so_is_an_older_one(release: str) -> None:
    here = site(release, job(1, jobId=500, startTime=NOW - 200_000))
    for time, status in ((86_399, 422), (0, 422), (-300_000, 422), (86_400, 201)):
        assert start(here, 500, startTime=NOW - 200_000 + time).status == status
    response = start(here, 500, startTime=NOW - 200_000)
    assert error_of(response) == "a job with that jobId, cluster and startTime already exists: dbid: 1, jobid: 500"
    assert start(here, 501, startTime=NOW - 200_000).status == 201


@pytest.mark.parametrize("release", REAL)
def test_a_state_counts_up_to_13_only(release: str) -> None:
    here = site(release, job(1), commit=0)
    start(here, 500, jobState="completed")
    response = start(here, 501, jobState="flying")
    if release in OLD:
        assert here.truth.find(500)[0].state == "completed"
        assert (response.status, error_of(response)) == (400, "not a valid job state: flying")
    else:
        assert here.truth.find(500)[0].state == here.truth.find(501)[0].state == "running"


@pytest.mark.parametrize("release", REAL)
def test_who_may_start(release: str) -> None:
    here = site(release, job(1))
    statuses = {user: start(here, 500 + n, user).status for n, user in enumerate(here.users)}
    let_in = set(here.users) if release in OLD else {"demo", "robot"}
    assert statuses == {user: 201 if user in let_in else 401 for user in here.users}


@pytest.mark.parametrize("release", REAL)
def test_a_tag_that_fails_leaves_the_job_behind(release: str) -> None:
    here = site(release, job(1))
    tag = a_tag(here, "t", "n")
    response = start(here, 500, tags=[tag, tag])
    reason = "UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"
    assert response.status == 500
    assert f"adding tag to new job 2 failed: {reason}" in response.body.decode()
    assert response.body.decode().startswith(f"{reason}\n") == (release != "1.5")  # text and JSON in one body
    assert [t.name for t in here.truth.find(500)[0].tags] == ["n"]
    assert start(here, 501, tags=[None]).body == b""
    assert len(here.truth.find(501)) == 1


def test_15_shows_a_job_when_the_worker_has_run_after_it() -> None:
    clock = Clock()
    here = site("1.5", job(1), commit=60.0, clock=clock)
    clock.now += 30
    start(here, 500)
    assert (listed(here), [j.job_id for j in here.truth.waiting]) == ([1001], [500])
    clock.now = NOW + 59
    assert listed(here) == [1001]
    clock.now = NOW + 60
    assert (listed(here), here.truth.waiting) == ([500, 1001], [])
    assert [(e.what, e.job) for e in here.truth.effects] == [("start", 1), ("commit", 2)]


def test_15_shows_a_job_with_tags_at_once() -> None:
    here = site("1.5", job(1))
    start(here, 500, tags=[a_tag(here, "t", "n")])
    assert listed(here) == [500, 1001]


def test_15_lets_two_jobs_of_one_id_wait_but_not_of_one_key() -> None:
    here = site("1.5", job(1))
    assert start(here, 500).status == 201
    again = start(here, 500)
    columns = "job_cache.job_id, job_cache.cluster, job_cache.start_time"
    assert (again.status, error_of(again)) == (500, f"insert into database failed: UNIQUE constraint failed: {columns}")
    assert start(here, 500, startTime=NOW - 900).status == 201
    here.truth.commit()
    assert listed(here) == [500, 500, 1001]


def test_15_loses_a_waiting_job_whose_place_is_taken() -> None:
    here = site("1.5", job(1))
    start(here, 500)
    assert start(here, 500, user="demo", project="p_b", tags=[a_tag(here, "t", "n")]).status == 201
    here.truth.commit()
    assert [j.project for j in here.truth.find(500)] == ["p_b"]
    assert [e.what for e in here.truth.effects] == ["start", "start", "create tag", "tag", "lost"]


@pytest.mark.parametrize("release", NEW)
def test_ids_come_again(release: str) -> None:
    here = site(release, job(1), commit=0)
    start(here, 500, tags=[a_tag(here, "t", "n")])
    write(here, "DELETE", "/jobs/delete_job/2")
    start(here, 501)
    (new,) = here.truth.find(501)
    assert (new.id, new.tags) == (2, ())


def test_the_howto_example_starts_a_job() -> None:
    here = site("howto", job(1))
    nodes = [{"hostname": f"an{n:03d}"} for n in range(1, 5)]
    body = started(100001, numNodes=4, numHwthreads=128, walltime=86400, resources=nodes)
    assert told(write(here, "POST", "/jobs/start_job/", body)) == {"id": 2}
    assert listed(here) == [100001, 1001]
