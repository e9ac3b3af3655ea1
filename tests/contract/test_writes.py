"""What the gateway sends is what real instances took, and what they answered is understood as what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccgateway.errors import Code
from ccgateway.jobs.model import JobKey, Resource, Tag
from ccgateway.jobs.writes import StartJob, StopJob, Target
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases import DIALECTS, Dialect
from ccgateway.site.releases.query import mutated
from ccgateway.site.releases.write_replies import Effect, Reply
from contract.exchanges import RELEASES, Exchange, exchanges
from support.recordings import recorded

EVERY = ("1.2", "1.3", "1.4", "1.5")


def understood(dialect: str, case: str, who: str = "demo") -> Reply:
    """What the gateway makes of the recorded answer."""
    answer, writing = recorded(dialect, case, who), DIALECTS[dialect]
    if case.startswith("start"):
        return writing.started(answer, "site")
    if case.startswith("stop"):
        return writing.stopped(answer, "site")
    if case.startswith("meta"):
        return writing.edited(answer, "site")
    if case.startswith("delete before"):
        return writing.deleted_before(answer, "site")
    if case.startswith("delete"):
        return writing.deleted(answer, "site")
    return writing.tagged(answer, "site", count=2 if "two" in case else 1)


DONE, REFUSED, ALREADY, DOUBT = Effect.DONE, Effect.REFUSED, Effect.ALREADY, Effect.DOUBT

#: title of the exchange, who sent it, at which releases, what it was
ANSWERS: list[tuple[str, str, tuple[str, ...], Effect, Code | None]] = [
    ("start", "demo", EVERY, DONE, None),
    ("start twice", "demo", ("1.2", "1.3", "1.4"), REFUSED, Code.CONFLICT),
    ("start twice", "demo", ("1.5",), ALREADY, Code.CONFLICT),
    ("start as alice", "alice", ("1.4", "1.5"), REFUSED, Code.SITE_UNAUTHORIZED),
    ("start as alice", "alice", ("1.2", "1.3"), DONE, None),
    ("start as nobody", "nobody", EVERY, REFUSED, Code.SITE_UNAUTHORIZED),
    ("start with tags", "demo", EVERY, DONE, None),
    ("start with exclusive", "demo", ("1.5",), REFUSED, Code.SITE_REFUSED),
    ("start with shared", "demo", ("1.2", "1.3", "1.4"), REFUSED, Code.SITE_REFUSED),
    ("start, no such cluster", "demo", EVERY, REFUSED, Code.SITE_REFUSED),
    ("start, resources do not match", "demo", EVERY, REFUSED, Code.SITE_REFUSED),
    ("start, smt 2", "demo", ("1.2", "1.3", "1.5"), REFUSED, Code.SITE_REFUSED),
    ("stop", "demo", EVERY, DONE, None),
    ("stop again", "demo", EVERY, REFUSED, Code.CONFLICT),
    ("stop, not found", "demo", EVERY, REFUSED, Code.NOT_FOUND),
    ("stop, bad state", "demo", EVERY, REFUSED, Code.SITE_REFUSED),
    ("stop as alice", "alice", ("1.4", "1.5"), REFUSED, Code.SITE_UNAUTHORIZED),
    ("stop by id, as the how-to writes it", "demo", ("1.2", "1.3"), DONE, None),
    ("stop by id, as the how-to writes it", "demo", ("1.4", "1.5"), REFUSED, Code.WRONG_RELEASE),
    ("tag without scope", "demo", EVERY, DONE, None),
    ("tag global", "demo", ("1.4", "1.5"), DONE, None),
    ("tag global", "demo", ("1.2", "1.3"), REFUSED, Code.SITE_REFUSED),
    ("tag again", "demo", ("1.4", "1.5"), ALREADY, Code.CONFLICT),
    ("tag scope of somebody else", "demo", ("1.4", "1.5"), REFUSED, Code.SITE_UNAUTHORIZED),
    ("tag same name, other scope", "demo", ("1.4", "1.5"), REFUSED, Code.CONFLICT),
    ("tag two, second fails", "demo", ("1.4", "1.5"), DOUBT, Code.CONFLICT),
    ("tag, unknown job", "demo", EVERY, REFUSED, Code.NOT_FOUND),
    ("tag by alice under api", "alice", ("1.4", "1.5"), REFUSED, Code.SITE_UNAUTHORIZED),
    ("untag global", "demo", ("1.4", "1.5"), DONE, None),
    ("untag global", "demo", ("1.2", "1.3"), REFUSED, Code.WRONG_RELEASE),
    ("untag unknown tag", "demo", ("1.4", "1.5"), ALREADY, Code.NOT_FOUND),
    ("untag on unknown job", "demo", ("1.4", "1.5"), REFUSED, Code.NOT_FOUND),
    ("remove tags", "demo", ("1.4", "1.5"), DONE, None),
    ("meta", "demo", ("1.3", "1.4", "1.5"), DONE, None),
    ("meta", "demo", ("1.2",), REFUSED, Code.WRONG_RELEASE),
    ("meta, unknown job", "demo", ("1.3", "1.4", "1.5"), REFUSED, Code.NOT_FOUND),
    ("meta by key triple", "demo", ("1.5",), DONE, None),
    ("delete by id", "demo", EVERY, DONE, None),
    ("delete by request", "demo", EVERY, DONE, None),
    ("delete by request again", "demo", EVERY, REFUSED, Code.NOT_FOUND),
    ("delete before", "demo", EVERY, DONE, None),
]


@pytest.mark.parametrize(
    ("dialect", "case", "who", "effect", "code"),
    [(one, case, who, effect, code) for case, who, releases, effect, code in ANSWERS for one in releases],
)
def test_an_answer_is_understood(dialect: str, case: str, who: str, effect: Effect, code: Code | None) -> None:
    reply = understood(dialect, case, who)
    assert (reply.effect, reply.error and reply.error.code) == (effect, code), reply


def test_what_an_answer_tells_beside_its_effect() -> None:
    assert understood("1.2", "start").number == recorded_id("1.2", "start")
    assert understood("1.5", "start").number is None
    assert understood("1.5", "delete before").number == 3
    assert understood("1.2", "delete before").number == 3
    assert understood("1.3", "delete before").number is None  # it says 0, whatever it deleted
    assert understood("1.4", "delete before").number is None
    assert understood("1.4", "tag global").job == ("borealis", 100028)


def recorded_id(dialect: str, case: str) -> int:
    found: int = json.loads(recorded(dialect, case).body)["id"]
    return found


# --- requests


def exchange_of(dialect: str, case: str) -> Exchange:
    name = next(name for name, one in RELEASES.items() if one == dialect)
    return next(one for one in exchanges(name) if one.case == case and one.who == "demo")


def assert_same(request: SiteRequest, recorded: Exchange) -> None:
    assert not request.safe
    assert (request.method, request.path) == (recorded.method, recorded.path)
    assert json.loads(request.body or b"null") == json.loads(recorded.body or b"null")


def start_order(body: dict[str, Any], **changes: Any) -> StartJob:
    values: dict[str, Any] = {
        "job_id": body["jobId"],
        "user": body["user"],
        "project": body["project"],
        "cluster": body["cluster"],
        "sub_cluster": body.get("subCluster"),
        "start_time": body["startTime"],
        "walltime": body["walltime"],
        "resources": tuple(Resource(one["hostname"]) for one in body["resources"]),
    }
    return StartJob(**{**values, **changes})


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("case", ["start", "start with tags", "sharing"])
def test_a_start_is_what_the_instance_took(dialect: str, case: str) -> None:
    sharing = "start with shared" if dialect == "1.5" else "start with exclusive"
    taken = exchange_of(dialect, sharing if case == "sharing" else case)
    body = json.loads(taken.body or b"")
    variants: dict[str, dict[str, Any]] = {
        "start": {},
        "start with tags": {"tags": (Tag("start", "t1", "global"),)},
        "sharing": {"shared": "none"},
    }
    changes = variants[case]
    assert_same(DIALECTS[dialect].start_request(start_order(body, **changes)), taken)


@pytest.mark.parametrize("dialect", EVERY)
def test_metadata_is_always_sent_with_a_start(dialect: str) -> None:
    order = StartJob(job_id=1, user="alice", cluster="c", start_time=5, resources=(Resource("h"),))
    assert json.loads(DIALECTS[dialect].start_request(order).body or b"")["metaData"] == {}


@pytest.mark.parametrize("dialect", EVERY)
def test_a_stop_is_what_the_instance_took(dialect: str) -> None:
    taken = exchange_of(dialect, "stop")
    body = json.loads(taken.body or b"")
    target = Target(site="s", db_id=7, cluster=body["cluster"], job_id=body["jobId"], start_time=body["startTime"])
    order = StopJob(target=target, stop_time=body["stopTime"], state=body["jobState"])
    assert_same(DIALECTS[dialect].stop_request(target, order), taken)


@pytest.mark.parametrize("dialect", EVERY)
def test_tags_are_what_the_instance_took(dialect: str) -> None:
    scoped = dialect in ("1.4", "1.5")
    taken = exchange_of(dialect, "tag global" if scoped else "tag without scope")
    (body,) = json.loads(taken.body or b"")
    db_id = int(taken.path.rpartition("/")[2])
    tag = Tag(body["type"], body["name"], body.get("scope", "global"))
    assert_same(DIALECTS[dialect].tag_request(db_id, (tag,)), taken)
    if scoped:
        assert_same(DIALECTS[dialect].untag_request(db_id, (tag,)), exchange_of(dialect, "untag global"))


@pytest.mark.parametrize("dialect", ["1.4", "1.5"])
def test_tags_are_removed_as_the_instance_took_it(dialect: str) -> None:
    taken = exchange_of(dialect, "remove tags")
    tags = [Tag(one["type"], one["name"], one["scope"]) for one in json.loads(taken.body or b"")]
    assert_same(DIALECTS[dialect].remove_tags_request(tags), taken)


@pytest.mark.parametrize("dialect", ["1.3", "1.4", "1.5"])
def test_metadata_is_what_the_instance_took(dialect: str) -> None:
    taken = exchange_of(dialect, "meta by key triple" if dialect == "1.5" else "meta")
    body = json.loads(taken.body or b"")
    pair = body.get("payload", body)
    key = JobKey("s", body.get("cluster", "c"), body.get("jobId", 1), body.get("startTime", 2))
    db_id = 0 if dialect == "1.5" else int(taken.path.rpartition("/")[2])
    ((part, request),) = DIALECTS[dialect].meta_requests(key, db_id, {pair["key"]: pair["value"]})
    assert part == {pair["key"]: pair["value"]}
    assert_same(request, taken)


@pytest.mark.parametrize("dialect", EVERY)
def test_deletes_are_what_the_instance_took(dialect: str) -> None:
    taken = exchange_of(dialect, "delete by request")
    body = json.loads(taken.body or b"")
    key = JobKey("s", body["cluster"], body["jobId"], body["startTime"])
    assert_same(DIALECTS[dialect].delete_request(key, 7), taken)
    before = exchange_of(dialect, "delete before")
    seconds = int(before.path.rpartition("/")[2])
    assert_same(DIALECTS[dialect].delete_before_request(seconds, "none"), before)
    spared = exchange_of(dialect, "delete before, omit tagged")
    assert_same(DIALECTS["1.5"].delete_before_request(1001, "all"), spared)


def test_the_how_to_page_stops_by_id_and_edits_any_keys_at_once() -> None:
    howto: Dialect = DIALECTS["howto"]
    target = Target(site="s", db_id=3938, cluster="mycluster", job_id=1, start_time=2)
    stop = howto.stop_request(target, StopJob(target=target, stop_time=9, state="completed"))
    assert (stop.method, stop.path) == ("POST", "/api/jobs/stop_job/3938")
    assert json.loads(stop.body or b"") == {"cluster": "mycluster", "jobState": "completed", "stopTime": 9}
    ((part, edit),) = howto.meta_requests(JobKey("s", "c", 1, 2), 7, {"note": "x", "other": "y"})
    assert (edit.method, edit.path, json.loads(edit.body or b"")) == ("PATCH", "/api/jobs/edit_meta/7", part)
    assert part == {"note": "x", "other": "y"}


# --- the site's own GraphQL, in the words of contract/cc-backend-graphql.md, section 6


@pytest.mark.parametrize(
    ("message", "effect", "code"),
    [
        ("not authorized to create tag with scope: global", REFUSED, Code.SITE_UNAUTHORIZED),
        ("Not authorized to create tag with scope: global", REFUSED, Code.SITE_UNAUTHORIZED),
        ("not authorized to add tag: 4", REFUSED, Code.SITE_UNAUTHORIZED),
        ("UNIQUE constraint failed: tag.tag_type, tag.tag_name", REFUSED, Code.CONFLICT),
        ("UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id", ALREADY, Code.CONFLICT),
        ("tag does not exist (ID): 4", ALREADY, Code.NOT_FOUND),
        ("FOREIGN KEY constraint failed", REFUSED, Code.NOT_FOUND),
        ("sql: no rows in result set", DOUBT, Code.NOT_FOUND),
        ("open var/job-archive/x/meta.json: no such file or directory", DOUBT, Code.SITE_ERROR),
    ],
)
def test_a_mutations_complaint_is_understood(message: str, effect: Effect, code: Code) -> None:
    body = json.dumps({"errors": [{"message": message, "path": ["addTagsToJob"]}], "data": None}).encode()
    reply = mutated(SiteAnswer(200, "application/json", body), "site")
    assert (reply.effect, reply.error and reply.error.code) == (effect, code)


def test_what_a_mutation_made_is_understood() -> None:
    made = mutated(SiteAnswer(200, "application/json", b'{"data":{"createTag":{"id":12}}}'), "site")
    assert (made.effect, made.number) == (DONE, 12)
    added = mutated(SiteAnswer(200, "application/json", b'{"data":{"addTagsToJob":[{"id":12}]}}'), "site")
    assert (added.effect, added.number) == (DONE, None)
    assert mutated(SiteAnswer(200, "application/json", b""), "site").effect is DOUBT
