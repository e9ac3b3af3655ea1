"""Editing metadata: the database first, the archive after it."""

from __future__ import annotations

import pytest

from ccgateway.simulator import SimulatedSite
from simulator.sites import job, running, site
from simulator.writing.writes import NEW, REAL, error_of, start, stop, told, write

WITH_METADATA = ("1.3", "1.4", "1.5")


def metadata(site: SimulatedSite, db_id: int = 1) -> dict[str, str] | None:
    found = site.truth.job(db_id)
    assert found is not None
    return found.meta_data


@pytest.mark.parametrize("release", REAL)
def test_one_key_is_set(release: str) -> None:
    here = site(release, job(1, tags=[{"id": 1, "type": "t", "name": "a", "scope": "global"}]))
    response = write(here, "PATCH", "/jobs/edit_meta/1", {"key": "note", "value": "x"})
    if release == "1.2":
        assert response.status == 404
        return
    shown = told(response)
    assert shown["metaData"] == metadata(here) == {"jobName": "job1", "note": "x"}
    assert "tags" not in shown
    assert write(here, "POST", "/jobs/edit_meta/1", {"key": "note", "value": "y"}).status == (405 if release == "1.5" else 200)


@pytest.mark.parametrize("release", WITH_METADATA)
def test_what_is_refused(release: str) -> None:
    here = site(release, job(1))
    free = write(here, "PATCH", "/jobs/edit_meta/1", {"note": "x"})
    assert (free.status, error_of(free).removeprefix("decoding request failed: ")) == (400, 'json: unknown field "note"')
    assert write(here, "PATCH", "/jobs/edit_meta/9", b"{").status == 404
    assert write(here, "PATCH", "/jobs/edit_meta/abc", b"{").status == 400
    assert here.truth.effects == []
    assert told(write(here, "PATCH", "/jobs/edit_meta/1", {"value": "x"}))["metaData"] == {"jobName": "job1", "": "x"}


@pytest.mark.parametrize("release", WITH_METADATA)
def test_a_job_archived_without_metadata_crashes_the_site_after_the_fact(release: str) -> None:
    here = site(release, job(1), running(2, jobId=500, metaData=None))
    stop(here, 500)
    here.truth.archive()
    for value in ("x", "y"):
        response = write(here, "PATCH", "/jobs/edit_meta/2", {"key": "note", "value": value})
        assert (response.status, response.body, response.headers) == (500, b"", ())
        assert metadata(here, 2) == {"note": value}


@pytest.mark.parametrize("release", WITH_METADATA)
@pytest.mark.parametrize("given", [None, {}])
def test_empty_metadata_at_the_start_avoids_that(release: str, given: dict[str, str] | None) -> None:
    here = site(release, job(1), commit=0)
    start(here, 500, metaData=given)
    assert metadata(here, 2) == given
    stop(here, 500)
    here.truth.archive()
    response = write(here, "PATCH", "/jobs/edit_meta/2", {"key": "note", "value": "x"})
    assert response.status == (500 if given is None else 200)


@pytest.mark.parametrize("release", WITH_METADATA)
def test_metadata_set_before_the_job_is_archived_is_archived_with_it(release: str) -> None:
    here = site(release, job(1), running(2, jobId=500, metaData=None))
    stop(here, 500)
    early = write(here, "PATCH", "/jobs/edit_meta/2", {"key": "note", "value": "x"})
    assert (early.status, metadata(here, 2)) == (500, {"note": "x"})
    assert "meta.json: no such file or directory" in error_of(early)
    here.truth.archive()
    assert write(here, "PATCH", "/jobs/edit_meta/2", {"key": "note", "value": "y"}).status == 200


def test_15_edits_by_key() -> None:
    here = site("1.5", job(1, jobId=500), job(2, jobId=500))
    start(here, 501)
    edit = {"payload": {"key": "note", "value": "x"}}
    assert told(write(here, "PATCH", "/jobs/edit_meta/", edit | {"jobId": 500}))["id"] == 2
    key = {"jobId": 500, "cluster": "aurora", "startTime": here.truth.find(500)[0].start_time}
    assert told(write(here, "PATCH", "/jobs/edit_meta/", edit | key))["id"] == 1
    assert write(here, "PATCH", "/jobs/edit_meta/", edit).status == 400
    assert write(here, "PATCH", "/jobs/edit_meta/", edit | {"jobId": 501}).status == 422  # still waits to become visible
    assert write(here, "PATCH", "/jobs/edit_meta/", edit | {"jobId": 500, "colour": 1}).status == 400


@pytest.mark.parametrize("release", NEW)
def test_who_may_edit(release: str) -> None:
    here = site(release, job(1))
    edit = {"key": "note", "value": "x"}
    assert {u: write(here, "PATCH", "/jobs/edit_meta/1", edit, u).status for u in here.users} == {
        u: 200 if u in {"demo", "robot"} else 401 for u in here.users
    }


def test_the_howto_page_sets_any_keys() -> None:
    here = site("howto", job(1, metaData=None))
    note = "High memory variance detected — check NUMA binding"
    assert told(write(here, "PATCH", "/jobs/edit_meta/1", {"note": note, "by": "sam"}))["metaData"] == {"note": note, "by": "sam"}
    assert write(here, "POST", "/jobs/edit_meta/1", {"note": "other"}).status == 200
    assert metadata(here) == {"note": "other", "by": "sam"}
