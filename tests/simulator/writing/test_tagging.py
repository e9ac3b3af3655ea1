"""Tags by REST: onto jobs, off jobs, out of the site."""

from __future__ import annotations

import pytest

from ccgateway.simulator import SimulatedSite
from simulator.sites import EVERY_RELEASE, ask_json, job, running, site
from simulator.writing.writes import NEW, OLD, REAL, a_tag, error_of, stop, told, write

WITH_SCOPES = ("1.4", "1.5", "howto")
ON_IT = "UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"
NO_ENTRY = "open var/job-archive/aurora/0/500/{start}/meta.json: no such file or directory"


def prefixed(release: str, doing: str, reason: str) -> str:
    """An error about tags as the release words it."""
    return f"{doing} failed: {reason}" if release in {"1.5", "howto"} else reason


def names(site: SimulatedSite, db_id: int = 1) -> list[str]:
    found = site.truth.job(db_id)
    assert found is not None
    return [t.name for t in found.tags]


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_a_tag_is_made_and_put_on(release: str) -> None:
    here = site(release, job(1))
    first = told(write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a")]))
    assert first["tags"] == [{"id": 1} | a_tag(here, "t", "a")]
    both = told(write(here, "PATCH", "/jobs/tag_job/1", [a_tag(here, "t", "b")]))
    assert [t["name"] for t in both["tags"]] == names(here) == ["a", "b"]


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_twice_is_an_error_and_what_came_before_it_stays(release: str) -> None:
    here = site(release, job(1))
    again = write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a"), a_tag(here, "t", "a"), a_tag(here, "t", "b")])
    assert (again.status, error_of(again)) == (500, prefixed(release, "adding tag", ON_IT))
    assert names(here) == ["a"]


@pytest.mark.parametrize("release", OLD)
def test_up_to_13_tags_have_no_scope_and_anybody_tags_anything(release: str) -> None:
    here = site(release, job(1))
    scoped = write(here, "POST", "/jobs/tag_job/1", [{"type": "t", "name": "a", "scope": "global"}])
    assert (scoped.status, error_of(scoped)) == (400, 'json: unknown field "scope"')
    assert write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a")], "bob").status == 200
    assert write(here, "DELETE", "/jobs/tag_job/1", [a_tag(here, "t", "a")]).status == 404
    assert write(here, "DELETE", "/tags/", [a_tag(here, "t", "a")]).status == 404


@pytest.mark.parametrize("release", WITH_SCOPES)
@pytest.mark.parametrize(
    ("who", "scope", "status"),
    [
        ("demo", "global", 200),
        ("demo", "admin", 200),
        ("demo", "demo", 200),
        ("demo", "bob", 500),
        ("robot", "global", 200),
        ("robot", "admin", 200),
        ("robot", "robot", 200),
        ("robot", "bob", 500),
        ("alice", "alice", 401),
        ("mona", "global", 401),
    ],
)
def test_who_may_write_which_scope(release: str, who: str, scope: str, status: int) -> None:
    here = site(release, job(1))
    response = write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a", scope)], who)
    assert response.status == status
    assert names(here) == (["a"] if status == 200 else [])
    if status == 500:
        assert error_of(response) == prefixed(release, "adding tag", "cannot write tag scope with current authorization")
    if status == 200:
        assert [t["scope"] for t in told(response)["tags"]] == [scope]


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_no_scope_is_global_and_told_as_none(release: str) -> None:
    here = site(release, job(1))
    assert told(write(here, "POST", "/jobs/tag_job/1", [{"type": "t", "name": "a"}]))["tags"][0]["scope"] == ""
    assert [t.scope for t in here.truth.tags] == ["global"]


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_a_name_is_taken_in_every_scope(release: str) -> None:
    here = site(release, job(1), job(2))
    write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a")])
    response = write(here, "POST", "/jobs/tag_job/2", [a_tag(here, "t", "a", "admin")])
    reason = "UNIQUE constraint failed: tag.tag_type, tag.tag_name"
    assert (response.status, error_of(response)) == (500, prefixed(release, "adding tag", reason))


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_a_robot_never_sees_again_what_it_put_on_for_admins(release: str) -> None:
    here = site(release, job(1))
    assert told(write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a", "admin")], "robot"))["tags"]
    assert "tags" not in told(write(here, "POST", "/jobs/tag_job/1", [], "robot"))
    assert told(write(here, "POST", "/jobs/tag_job/1", []))["tags"]


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_untagging_passes_over_private_and_missing_scopes(release: str) -> None:
    here = site(release, job(1))
    write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", n, s) for n, s in (("a", "global"), ("b", "demo"), ("c", "admin"))])
    response = write(here, "DELETE", "/jobs/tag_job/1", [{"type": "t", "name": "a"}, a_tag(here, "t", "b", "demo")])
    assert (response.status, names(here)) == (200, ["a", "b", "c"])
    left = told(write(here, "DELETE", "/jobs/tag_job/1", [a_tag(here, "t", n, s) for n, s in (("a", "global"), ("c", "admin"))]))
    assert [t["name"] for t in left["tags"]] == names(here) == ["b"]
    assert write(here, "DELETE", "/jobs/tag_job/1", [a_tag(here, "t", "a")]).status == 200  # not on it: as good as done
    unknown = write(here, "DELETE", "/jobs/tag_job/1", [a_tag(here, "t", "a", "admin")])
    begin = "Tag" if release == "1.4" else "tag"
    assert error_of(unknown) == prefixed(release, "removing tag", f"{begin} does not exist (name, type, scope): a, t, admin")


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_tags_are_removed_from_the_site_up_to_the_first_unknown(release: str) -> None:
    here = site(release, job(1), job(2))
    for n in (1, 2):
        write(here, "POST", f"/jobs/tag_job/{n}", [a_tag(here, "t", "a"), a_tag(here, "t", "b"), a_tag(here, "t", "c", "demo")])
    response = write(here, "DELETE", "/tags/", [a_tag(here, "t", "a"), a_tag(here, "t", "c", "demo")], "robot")
    assert response.body == b"Deleted Tags from DB: 1 successfull of 2 requested\n"
    assert dict(response.headers)["content-type"] == "text/plain; charset=utf-8"
    assert names(here, 1) == names(here, 2) == ["b", "c"]
    assert (
        write(here, "DELETE", "/tags/", [a_tag(here, "t", "b"), a_tag(here, "no", "such"), a_tag(here, "t", "x")]).status == 500
    )
    assert [t.name for t in here.truth.tags] == ["c"]


@pytest.mark.parametrize("release", WITH_SCOPES)
def test_the_highest_tag_id_comes_again(release: str) -> None:
    here = site(release, job(1))
    write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a"), a_tag(here, "t", "b")])
    write(here, "DELETE", "/tags/", [a_tag(here, "t", "b")])
    write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "c")])
    assert [(t.id, t.name) for t in here.truth.tags] == [(1, "a"), (2, "c")]


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_before_it_is_archived_a_job_is_tagged_with_an_error(release: str) -> None:
    here = site(release, running(1, jobId=500))
    assert write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a")]).status == 200
    stop(here, 500)
    response = write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "b"), a_tag(here, "t", "c")])
    reason = NO_ENTRY.format(start=ask_json(here, "/api/jobs/")["jobs"][0]["startTime"])
    assert (response.status, error_of(response)) == (500, prefixed(release, "adding tag", reason))
    assert names(here) == ["a", "b"]
    here.truth.archive()
    assert error_of(write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "b")])).endswith(ON_IT)


@pytest.mark.parametrize("release", NEW)
def test_a_lost_archive_entry_fails_untagging_after_the_fact(release: str) -> None:
    here = site(release, job(1))
    write(here, "POST", "/jobs/tag_job/1", [a_tag(here, "t", "a")])
    here.break_archive(1)
    assert (write(here, "DELETE", "/jobs/tag_job/1", [a_tag(here, "t", "a")]).status, names(here)) == (500, [])


@pytest.mark.parametrize("release", REAL)
def test_what_cannot_be_read_or_found(release: str) -> None:
    here = site(release, job(1))
    statuses = {
        path: write(here, "POST", f"/jobs/tag_job/{path}", body).status for path, body in (("9", b"{"), ("abc", b"{"), ("1", b""))
    }
    assert statuses == {"9": 404, "abc": 400, "1": 400}
    api = "API" if release == "1.5" else "Api"
    wrong = write(here, "POST", "/jobs/tag_job/1", {"type": "a"})
    reason = f"json: cannot unmarshal object into Go value of type api.TagJob{api}Request"
    assert error_of(wrong) == prefixed(release, "decoding request", reason)
    crash = write(here, "POST", "/jobs/tag_job/1", [None])
    assert (crash.status, crash.body) == (500, b"")
