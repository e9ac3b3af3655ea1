"""The mutations of ``POST /query``."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request
from simulator.sites import job, running, site
from simulator.writing.writes import NEW, OLD, REAL, stop


def query(site: SimulatedSite, document: str, who: str = "demo", **variables: Any) -> Any:
    headers = (("x-auth-token", site.token(who)), ("content-type", "application/json"))
    body = msgspec.json.encode({"query": document, "variables": variables})
    response = site.answer(Request("POST", "/query", "", headers, body))
    assert response.status in {200, 422}, response
    return msgspec.json.decode(response.body)


def create(site: SimulatedSite, name: str, scope: str = "global", who: str = "demo") -> Any:
    """The tag ``t:name``, or the error."""
    if site.release.tag_scopes:
        document = 'mutation($n:String!,$c:String!){createTag(type:"t",name:$n,scope:$c){id type name scope}}'
        return outcome(query(site, document, who, n=name, c=scope), "createTag")
    return outcome(query(site, 'mutation($n:String!){createTag(type:"t",name:$n){id type name}}', who, n=name), "createTag")


def act(site: SimulatedSite, mutation: str, db_id: object, *tags: object, who: str = "demo") -> Any:
    """Names of the tags that the job has then, or the error."""
    document = f"mutation($j:ID!,$t:[ID!]!){{{mutation}(job:$j,tagIds:$t){{name}}}}"
    result = outcome(query(site, document, who, j=db_id, t=list(tags)), mutation)
    return result if isinstance(result, str) else [t["name"] for t in result]


def drop(site: SimulatedSite, *tags: object, who: str = "demo") -> Any:
    return outcome(query(site, "mutation($t:[ID!]!){removeTagFromList(tagIds:$t)}", who, t=list(tags)), "removeTagFromList")


def outcome(answer: Any, field: str) -> Any:
    if "errors" in answer:
        assert answer["data"] is None
        return answer["errors"][0]["message"]
    return answer["data"][field]


def lower(text: str) -> str:
    return text[0].lower() + text[1:]


@pytest.mark.parametrize("release", OLD)
def test_up_to_13_anybody_tags_anything_and_takes_it_off(release: str) -> None:
    here = site(release, job(1), job(2))
    assert create(here, "a", who="bob") == {"id": 1, "type": "t", "name": "a"}
    assert create(here, "b") == {"id": 2, "type": "t", "name": "b"}
    assert create(here, "b") == "UNIQUE constraint failed: tag.tag_type, tag.tag_name"
    assert act(here, "addTagsToJob", 1, 1, "2", who="bob") == ["a", "b"]
    assert act(here, "addTagsToJob", "1", 1) == "UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"
    assert act(here, "addTagsToJob", 1, 9) == act(here, "addTagsToJob", 9, 1) == "FOREIGN KEY constraint failed"
    assert act(here, "removeTagsFromJob", 1, 1, who="bob") == ["b"]
    assert act(here, "removeTagsFromJob", 1, 1, 9) == ["b"]
    assert act(here, "removeTagsFromJob", 9, 1) == "sql: no rows in result set"
    assert "Cannot query field" in drop(here, 1)


@pytest.mark.parametrize("release", NEW)
@pytest.mark.parametrize("who", ["demo", "sam", "robot", "mona", "alice"])
def test_from_14_on_scopes_decide_and_the_role_api_counts_for_nothing(release: str, who: str) -> None:
    here = site(release, job(1))
    may = {"demo": {"global", "admin", "own"}, "sam": {"global", "own"}}.get(who, {"own"})
    for scope in ("global", "admin", "own", "somebody", ""):
        made = create(here, f"{who}-{scope}", who if scope == "own" else scope, who)
        if scope in may:
            assert made["name"] == f"{who}-{scope}"
        else:
            assert lower(made) == f"not authorized to create tag with scope: {scope}"
            assert made.startswith("Not" if release == "1.4" else "not")


@pytest.mark.parametrize("release", NEW)
def test_from_14_on_tags_and_jobs_are_looked_at(release: str) -> None:
    here = site(release, job(1), job(2, user="bob"))
    for name, scope, who in (("g", "global", "demo"), ("own", "alice", "alice")):
        create(here, name, scope, who)
    assert act(here, "addTagsToJob", 1, 1) == ["g"]
    assert act(here, "addTagsToJob", 1, 2, who="alice") == ["g", "own"]
    assert act(here, "addTagsToJob", 1, 1, who="sam") == "UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"
    assert lower(act(here, "addTagsToJob", 1, 1, who="alice")) == "not authorized to add tag: 1"
    assert lower(act(here, "addTagsToJob", 1, 2)) == "not authorized to add tag: 2"
    assert lower(act(here, "addTagsToJob", 1, 9)) == "tag does not exist (ID): 9"
    assert act(here, "addTagsToJob", 2, 2, who="alice") == "sql: no rows in result set"
    assert act(here, "addTagsToJob", 2, 1, who="sam") == ["g"]
    assert lower(act(here, "removeTagsFromJob", 1, 1, who="robot")) == "not authorized to remove tag: 1"
    assert act(here, "removeTagsFromJob", 1, 1) == []  # what is left is alice's own
    assert [t.name for t in here.truth.tags] == ["g", "own"]


@pytest.mark.parametrize("release", NEW)
def test_from_14_on_tags_leave_the_site(release: str) -> None:
    here = site(release, job(1))
    for name, scope, who in (("g", "global", "demo"), ("a", "admin", "demo"), ("own", "alice", "alice")):
        create(here, name, scope, who)
    act(here, "addTagsToJob", 1, 1, 2)
    for who in ("sam", "robot", "alice"):
        assert lower(drop(here, 1, who=who)) == "not authorized to remove tag: 1"
    assert lower(drop(here, 3)) == "not authorized to remove tag: 3"
    assert drop(here, "3", who="alice") == [3]
    assert lower(drop(here, 1, 9)) == "tag does not exist (ID): 9"
    assert ([t.name for t in here.truth.tags], drop(here)) == (["a"], [])
    found = here.truth.job(1)
    assert found is not None
    assert [t.name for t in found.tags] == ["a"]


@pytest.mark.parametrize("release", REAL)
def test_before_it_is_archived_a_job_is_tagged_with_an_error(release: str) -> None:
    here = site(release, running(1, jobId=500))
    create(here, "a")
    stop(here, 500)
    assert act(here, "addTagsToJob", 1, 1).endswith("meta.json: no such file or directory")
    assert query(here, "{job(id:1){id tags{id}}}")["data"] == {"job": {"id": 1, "tags": [{"id": 1}]}}


@pytest.mark.parametrize("release", REAL)
def test_what_is_refused(release: str) -> None:
    here = site(release, job(1))
    create(here, "a")
    assert act(here, "addTagsToJob", 1) == []
    assert act(here, "addTagsToJob", "x", 1) == 'strconv.ParseInt: parsing "x": invalid syntax'
    assert "not implemented" in outcome(query(here, "mutation{deleteTag(id:1)}"), "deleteTag")
    lacking = query(here, "mutation($t:[ID!]!){addTagsToJob(job:1,tagIds:$t){id}}", t=None)
    assert (lacking["errors"][0]["message"], lacking["errors"][0]["path"]) == ("cannot be null", ["variable", "t"])
    by_get = here.answer(Request("GET", "/query", "query=mutation%7BdeleteTag(id:1)%7D", (("x-auth-token", here.token("demo")),)))
    assert by_get.status == (406 if release in OLD else 400)


@pytest.mark.parametrize("release", REAL)
def test_jobs_and_tags_are_read_by_who_may(release: str) -> None:
    here = site(release, job(1), job(2, user="bob"))
    create(here, "a")
    if release in NEW:
        create(here, "b", "admin")
        assert query(here, "{tags{id name}}", "alice")["data"]["tags"] == [{"id": 1, "name": "a"}]
    hidden = query(here, "{job(id:2){id}}", "alice")
    reason = "you are not allowed to see this job" if release in OLD else "sql: no rows in result set"
    assert (hidden["data"], hidden["errors"][0]["message"]) == ({"job": None}, reason)
    assert query(here, "{job(id:2){id user state metaData}}")["data"]["job"] == {
        "id": 2,
        "user": "bob",
        "state": "completed",
        "metaData": {"jobName": "job2"},
    }
