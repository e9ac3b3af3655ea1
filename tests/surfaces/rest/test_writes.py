"""Writes: bodies of every form become commands, results become answers."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.errors import CODES, Code
from ccgateway.jobs.model import JobKey, Resource, Tag
from ccgateway.jobs.writes import (
    DeleteBefore,
    EditMeta,
    RemoveTags,
    StartJob,
    StopJob,
    TagJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from surfaces.rest.asking import RestGateway, client_of, rest_row, written

RELEASED = "/cc-backend/1.5"
KEY = JobKey("aurora", "alex", 1_000_001, 1_699_999_940)
DONE = WriteResult(outcome=WriteOutcome.DONE, site="aurora", key=KEY, db_id=1)
BY_ID = Target(site="aurora", db_id=1)
TAG = {"type": "review", "name": "slow", "scope": "global"}
SLOW = Tag("review", "slow", "global")
STARTED = {
    "jobId": 100001, "user": "alice", "cluster": "mycluster", "subCluster": "main", "project": "p", "startTime": 5,
    "numNodes": 1, "numHwthreads": 128, "walltime": 86400, "resources": [{"hostname": "node01"}],
}  # fmt: skip


def result(outcome: WriteOutcome, code: Code | None = None, **values: Any) -> WriteResult:
    return WriteResult(outcome=outcome, site="aurora", code=code, **values)


# --- commands


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("base", ["", RELEASED])
async def test_tags_are_put_on(method: str, base: str) -> None:
    answer, (name, commands, _, _), _ = await written(method, f"{base}/api/jobs/tag_job/1001", [TAG])
    assert answer.status_code == 200 and (name, commands) == ("tag_jobs", [TagJob(target=BY_ID, tags=(SLOW,))])


@pytest.mark.parametrize("base", ["", RELEASED])
async def test_a_tag_without_scope_is_global(base: str) -> None:
    _, (_, commands, _, _), _ = await written("POST", f"{base}/api/jobs/tag_job/1001", [{"type": "review", "name": "slow"}])
    assert commands[0].tags == (SLOW,)


async def test_tags_are_taken_off_where_cc_backend_would_not_skip_them() -> None:
    _, (name, commands, _, _), _ = await written("DELETE", "/api/jobs/tag_job/1001", [{"type": "review", "name": "slow"}])
    assert (name, commands[0].tags) == ("untag_jobs", (SLOW,))
    answer, command, _ = await written("DELETE", f"{RELEASED}/api/jobs/tag_job/1001", [{"type": "review", "name": "slow"}])
    assert answer.status_code == 200 and command is None


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ({"note": "hello"}, {"note": "hello"}),
        ({"note": "a", "workflow": "b"}, {"note": "a", "workflow": "b"}),
        ({"key": "note", "value": "hello"}, {"note": "hello"}),
        ({"key": "note"}, {"key": "note"}),
    ],
)
async def test_metadata_by_any_keys_or_as_a_pair(body: Any, values: dict[str, str]) -> None:
    _, (name, commands, _, _), _ = await written("PATCH", "/api/jobs/edit_meta/1001", body)
    assert (name, commands) == ("edit_meta", [EditMeta(target=BY_ID, values=values)])


@pytest.mark.parametrize("base", ["", RELEASED])
async def test_metadata_of_the_job_of_a_key(base: str) -> None:
    body = {"jobId": 7, "cluster": "alex", "startTime": 5, "payload": {"key": "k", "value": "v"}}
    _, (_, commands, _, _), _ = await written("PATCH", f"{base}/api/jobs/edit_meta/?site=aurora", body)
    assert commands == [EditMeta(target=Target(site="aurora", cluster="alex", job_id=7, start_time=5), values={"k": "v"})]


@pytest.mark.parametrize(
    ("more", "shared"),
    [({}, None), ({"shared": "single_user"}, "single_user"), ({"exclusive": 0}, "multi_user"), ({"exclusive": 1}, "none")],
)
async def test_a_job_is_started_from_any_releases_body(more: dict[str, Any], shared: str | None) -> None:
    answer, (name, commands, _, _), _ = await written("POST", "/api/jobs/start_job/", STARTED | more)
    assert name == "start_jobs" and answer.status_code == 201 and answer.json()["id"] == 1001
    assert commands == [
        StartJob(
            job_id=100001, user="alice", cluster="mycluster", sub_cluster="main", project="p", start_time=5, num_nodes=1,
            num_hw_threads=128, walltime=86400, resources=(Resource("node01"),), shared=shared,
        )
    ]  # fmt: skip


async def test_the_site_of_a_started_job_may_be_named() -> None:
    for path, body in (("?site=borealis", {}), ("", {"site": "borealis"})):
        _, (_, commands, _, _), _ = await written("PUT", f"/api/jobs/start_job/{path}", STARTED | body)
        assert commands[0].site == "borealis"


async def test_keys_are_found_whatever_their_case_and_nulls_count_as_absent() -> None:
    body = {"JOBID": 7, "user": "u", "cluster": "c", "starttime": 5, "partition": None, "resources": [None, {"hostname": "n"}]}
    _, (_, (command,), _, _), _ = await written("POST", f"{RELEASED}/api/jobs/start_job/", body)
    assert (command.job_id, command.start_time, command.partition, command.resources) == (7, 5, None, (Resource("n"),))


async def test_a_job_is_stopped_by_id_or_by_key() -> None:
    body = {"jobState": "failed", "stopTime": 9}
    _, (_, commands, _, _), _ = await written("POST", "/api/jobs/stop_job/1001", body | {"cluster": "alex"})
    assert commands == [StopJob(target=BY_ID, stop_time=9, state="failed")]
    _, (_, commands, _, _), _ = await written("PUT", "/api/jobs/stop_job/1001", body | {"jobId": 7, "cluster": "alex"})
    assert commands[0].target == Target(site="aurora", db_id=1, cluster="alex", job_id=7)
    for base in ("", RELEASED):
        _, (_, commands, _, _), _ = await written("POST", f"{base}/api/jobs/stop_job/", {"jobId": 7, "stopTime": 9})
        assert commands == [StopJob(target=Target(job_id=7), stop_time=9, state="completed")]


async def test_a_job_of_another_cluster_than_the_body_says_is_not_stopped() -> None:
    answer, command, _ = await written("POST", "/api/jobs/stop_job/1001", {"cluster": "fritz", "stopTime": 9})
    assert answer.status_code == 409 and answer.json()["code"] == "CONFLICT" and command is None


@pytest.mark.parametrize("base", ["", RELEASED])
async def test_jobs_are_deleted(base: str) -> None:
    answer, (name, targets, _, _), _ = await written(
        "DELETE", f"{base}/api/jobs/delete_job/1001", None, result(WriteOutcome.DONE, key=KEY)
    )  # fmt: skip
    assert (name, targets, answer.json()["msg"]) == ("delete_jobs", [BY_ID], "Successfully deleted job 1001")
    _, (_, targets, _, _), _ = await written("DELETE", f"{base}/api/jobs/delete_job/", {"jobId": 7, "cluster": "alex"})
    assert targets == [Target(cluster="alex", job_id=7)]


@pytest.mark.parametrize("base", ["", RELEASED])
async def test_what_destroys_at_sites_names_them(base: str) -> None:
    _, (name, command, _, _), _ = await written("DELETE", f"{base}/api/jobs/delete_job_before/99?site=*&omit-tagged=user")
    assert (name, command) == ("delete_jobs_before", DeleteBefore(before=99, sites=("*",), omit_tagged="user"))
    _, (name, command, _, _), _ = await written("DELETE", f"{base}/api/tags/?site=aurora&site=borealis", [TAG])
    assert (name, command) == ("remove_tags", RemoveTags(tags=(SLOW,), sites=("aurora", "borealis")))
    _, (_, command, _, _), _ = await written("DELETE", f"{base}/api/tags/", [TAG])
    assert command.sites is None


async def test_what_would_be_deleted_is_told_by_a_dry_run() -> None:
    counted = result(WriteOutcome.UNCHANGED, count=3, message="They would be deleted.")
    answer, (_, _, _, more), _ = await written("DELETE", "/api/jobs/delete_job_before/99?dry-run=true", None, counted)
    assert more == {"dry_run": True} and answer.json()["msg"] == "3 jobs would be deleted" and answer.json()["count"] == 3


async def test_an_idempotency_key_goes_along() -> None:
    _, (_, _, call, _), _ = await written("POST", "/api/jobs/tag_job/1001", [TAG], key="abc")
    assert call.idempotency_key == "abc" and call.request_id


@pytest.mark.parametrize(("keys", "taken"), [(["a", "a"], "a"), (["a, b"], "a, b"), (["", "a"], "a"), (["a", "b"], None)])
async def test_several_idempotency_keys_have_to_be_one(keys: list[str], taken: str | None) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        headers = [("Content-Type", "application/json"), *(("Idempotency-Key", key) for key in keys)]
        answer = await client.post("/api/jobs/tag_job/1001", json=[TAG], headers=headers)
    assert [call.idempotency_key for _, _, call, _ in gateway.commands.told] == ([] if taken is None else [taken])
    assert (answer.status_code == 400) is (taken is None)


# --- bodies that cannot be used


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "jobs/tag_job/1001", b"", "decoding request failed: EOF"),
        ("POST", "jobs/tag_job/1001", b'[{"type":', "decoding request failed: unexpected EOF"),
        ("POST", "jobs/tag_job/1001", [{"colour": 1}], 'decoding request failed: json: unknown field "colour"'),
        ("PATCH", "jobs/edit_meta/1001", {"note": "x"}, 'decoding request failed: json: unknown field "note"'),
        ("POST", "jobs/start_job/", STARTED | {"exclusive": 1}, 'parsing request body failed: json: unknown field "exclusive"'),
        ("POST", "jobs/stop_job/", {"stopTime": 5}, "the field 'jobId' is required"),
        ("DELETE", "jobs/delete_job/", {"cluster": "x"}, "the field 'jobId' is required"),
        (
            "DELETE", "jobs/delete_job_before/x", None,
            'integer expected in path for ts: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        ("DELETE", "jobs/delete_job_before/5?omit-tagged=x", None, "omit-tagged must be one of: none, all, user"),
        (
            "POST", "jobs/start_job/", {"jobId": "x"},
            "parsing request body failed: json: cannot unmarshal string into Go struct field Job.jobId of type int64",
        ),
    ],
)  # fmt: skip
async def test_cc_backend_says_what_it_cannot_use_in_its_own_words(method: str, path: str, body: Any, words: str) -> None:
    answer, command, _ = await written(method, f"{RELEASED}/api/{path}", body)
    assert (answer.status_code, answer.json()["error"], command) == (400, words, None)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "jobs/tag_job/1001", b"", "it is empty"),
        ("POST", "jobs/tag_job/1001", b"[{", "it is not complete JSON"),
        ("POST", "jobs/tag_job/1001", [], "list of tags is empty"),
        ("POST", "jobs/tag_job/1001", [{"type": "x"}], "a type and a name"),
        ("POST", "jobs/tag_job/1001", [{"type": 5, "name": "x"}], "type is number, where a text is needed"),
        ("POST", "jobs/tag_job/1001", [{"type": "x", "name": "y", "colour": "z"}], '"colour", which is not known'),
        ("PATCH", "jobs/edit_meta/1001", {"note": 5}, "no object of texts"),
        ("PATCH", "jobs/edit_meta/1001", {}, "nothing in it"),
        ("PATCH", "jobs/edit_meta/1001", [], "no object of texts"),
        ("POST", "jobs/start_job/", {"jobId": 5}, "lacks user, cluster"),
        ("POST", "jobs/start_job/", STARTED | {"exclusive": 7}, "exclusive: 7"),
        ("POST", "jobs/start_job/", STARTED | {"shared": "perhaps"}, "shared: 'perhaps'"),
        ("POST", "jobs/start_job/", STARTED | {"jobId": 1.5}, "jobId is number 1.5, where a whole number of 64 bits is needed"),
        ("POST", "jobs/stop_job/1001", {}, "stopTime"),
        ("POST", "jobs/stop_job/", {"stopTime": 5}, "jobId"),
        ("DELETE", "jobs/delete_job_before/-5", None, "ts"),
        ("DELETE", "jobs/delete_job_before/5?omit-tagged=x", None, "omit-tagged"),
    ],
)
async def test_the_how_to_face_says_it_plainly(method: str, path: str, body: Any, words: str) -> None:
    answer, command, _ = await written(method, f"/api/{path}", body)
    told = answer.json()
    assert answer.status_code == 400 and command is None and told["code"] == "BAD_REQUEST"
    assert words in told["error"]
    assert "Go" not in told["error"].split()


# --- results


async def test_the_job_is_shown_as_it_is_afterwards() -> None:
    answer, _, gateway = await written("POST", "/api/jobs/tag_job/1001", [TAG])
    assert answer.json()["outcome"] == "DONE" and answer.json()["id"] == 1001 and answer.json()["tags"]
    assert gateway.questions[-1][0] == "aurora:1"
    answer, _, _ = await written(
        "PATCH", "/api/jobs/edit_meta/1001", {"a": "b"}, result(WriteOutcome.UNCHANGED, key=KEY, db_id=1)
    )
    assert answer.status_code == 200 and answer.json()["outcome"] == "UNCHANGED"


async def test_a_write_stands_although_the_job_cannot_be_read_back() -> None:
    answer, _, _ = await written("POST", "/api/jobs/tag_job/5001", [TAG], result(WriteOutcome.DONE, key=KEY, db_id=5))
    assert answer.status_code == 200
    assert answer.json() == {
        "outcome": "DONE", "id": 5001, "site": "aurora", "cluster": "alex", "jobId": 1_000_001, "startTime": 1_699_999_940,
    }  # fmt: skip


async def test_a_started_job_that_does_not_show_yet_is_accepted() -> None:
    pending = result(WriteOutcome.PENDING, key=KEY, message="later")
    here, _, _ = await written("POST", "/api/jobs/start_job/", STARTED, pending)
    there, _, _ = await written("POST", f"{RELEASED}/api/jobs/start_job/", STARTED, pending)
    assert here.status_code == 202 and "id" not in here.json() and here.json()["jobId"] == KEY.job_id
    assert (there.status_code, there.content) == (201, b'{"msg":"success"}\n')


async def test_a_job_that_was_started_before_is_told_by_its_id() -> None:
    there, _, _ = await written(
        "POST", f"{RELEASED}/api/jobs/start_job/", STARTED, result(WriteOutcome.UNCHANGED, key=KEY, db_id=1)
    )
    assert there.status_code == 422
    assert there.json()["error"] == "a job with that jobId, cluster and startTime already exists: dbid: 1001, jobid: 100001"


@pytest.mark.parametrize("base", ["", RELEASED])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "jobs/tag_job/1001", [TAG]),
        ("PATCH", "jobs/edit_meta/1001", {"key": "a", "value": "b"}),
        ("POST", "jobs/start_job/", STARTED),
        ("POST", "jobs/stop_job/", {"jobId": 7, "stopTime": 5}),
        ("DELETE", "jobs/delete_job/1001", None),
        ("DELETE", "jobs/delete_job_before/5", None),
        ("DELETE", "tags/", [TAG]),
    ],
)
async def test_that_nobody_knows_what_became_of_it_is_a_504(base: str, method: str, path: str, body: Any) -> None:
    unknown = result(WriteOutcome.UNKNOWN, Code.CONNECTION_LOST, message="It may have been done.", retryable=True, tag=SLOW)
    answer, _, _ = await written(method, f"{base}/api/{path}", body, unknown)
    assert answer.status_code == 504
    assert "not known whether this took effect" in answer.json()["error"] and "may have been done" in answer.json()["error"]
    if not base:
        assert (answer.json()["outcome"], answer.json()["code"], answer.json()["retryable"]) == (
            "UNKNOWN",
            "CONNECTION_LOST",
            True,
        )


@pytest.mark.parametrize(
    "code", [Code.NOT_FOUND, Code.CONFLICT, Code.READ_ONLY, Code.UNSUPPORTED, Code.TIMEOUT, Code.NO_CREDENTIAL]
)
async def test_a_failure_has_the_status_of_its_code(code: Code) -> None:
    answer, _, _ = await written("PATCH", "/api/jobs/edit_meta/1001", {"a": "b"}, result(WriteOutcome.FAILED, code, message="no"))
    assert answer.status_code == CODES[code].http
    assert (answer.json()["code"], answer.json()["outcome"], answer.json()["error"]) == (code, "FAILED", "no")


@pytest.mark.parametrize(("code", "status"), [(Code.SITE_REFUSED, 422), (Code.SITE_UNAUTHORIZED, 403)])
async def test_what_a_site_refuses_of_an_command_is_its_callers(code: Code, status: int) -> None:
    answer, _, _ = await written("POST", "/api/jobs/start_job/", STARTED, result(WriteOutcome.FAILED, code, message="no"))
    assert answer.status_code == status and answer.json()["code"] == code


async def test_a_sites_own_words_and_status_are_passed_on_by_cc_backends_face() -> None:
    words = "The site refuses the question (HTTP 400): len(resources) does not equal numNodes (1 vs 2)"
    refused = result(WriteOutcome.FAILED, Code.SITE_REFUSED, message=words)
    answer, _, _ = await written("POST", f"{RELEASED}/api/jobs/start_job/", STARTED, refused)
    assert answer.status_code == 400 and answer.json()["error"] == "len(resources) does not equal numNodes (1 vs 2)"


@pytest.mark.parametrize(
    ("outcome", "code", "status", "words"),
    [
        (WriteOutcome.UNCHANGED, None, 500, "adding tag failed: UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id"),
        (WriteOutcome.FAILED, Code.CONFLICT, 500, "adding tag failed: UNIQUE constraint failed: tag.tag_type, tag.tag_name"),
        (
            WriteOutcome.FAILED, Code.SITE_UNAUTHORIZED, 500,
            "adding tag failed: cannot write tag scope with current authorization",
        ),
        (WriteOutcome.FAILED, Code.NOT_FOUND, 404, "finding job failed: sql: no rows in result set"),
        (WriteOutcome.FAILED, Code.TIMEOUT, 504, "adding tag failed: late"),
    ],
)  # fmt: skip
async def test_tags_that_are_not_put_on_are_told_in_cc_backends_words(
    outcome: WriteOutcome, code: Code | None, status: int, words: str
) -> None:
    answer, _, _ = await written("POST", f"{RELEASED}/api/jobs/tag_job/1001", [TAG], result(outcome, code, message="late"))
    assert (answer.status_code, answer.json()["error"]) == (status, words)


@pytest.mark.parametrize(
    ("body", "row", "status", "words"),
    [
        ({"stopTime": 5, "jobState": "flying"}, {"state": "running"}, 400, 'invalid requested job state: "flying"'),
        ({"stopTime": 9}, {"state": "running", "start_time": 100}, 400, "stopTime 9 must be larger/equal than startTime 100"),
        ({"stopTime": 5}, {"state": "failed"}, 422, "job has already been stopped (state is: failed)"),
    ],
)
async def test_jobs_that_are_not_stopped_are_told_in_cc_backends_words(
    body: dict[str, Any], row: dict[str, Any], status: int, words: str
) -> None:
    found = rest_row(1, **({"start_time": 1} | row))
    refused = result(WriteOutcome.FAILED, Code.BAD_REQUEST if status == 400 else Code.CONFLICT, key=found.key, db_id=1)
    gateway = RestGateway(rows=[found])
    answer, _, _ = await written("POST", f"{RELEASED}/api/jobs/stop_job/", {"jobId": 7} | body, refused, gateway=gateway)
    assert answer.status_code == status
    assert answer.json()["error"] == f"jobId 1000001 (id 1001) on alex : {words}"


# --- several sites


def at_two_sites(second: WriteResult) -> list[WriteResult]:
    return [WriteResult(outcome=WriteOutcome.DONE, site="aurora", tag=SLOW, count=3), second]


async def test_a_write_at_several_sites_answers_for_each() -> None:
    failed = WriteResult(
        outcome=WriteOutcome.FAILED, site="borealis", tag=SLOW, code=Code.UNSUPPORTED, message="cannot", retryable=False
    )
    for path, body in (("tags/?site=*", [TAG]), ("jobs/delete_job_before/5?site=*", None)):
        here, _, _ = await written("DELETE", f"/api/{path}", body, *at_two_sites(failed))
        there, _, _ = await written("DELETE", f"{RELEASED}/api/{path}", body, *at_two_sites(failed))
        assert here.status_code == there.status_code == 207
        sites = here.json()["sites"]
        assert sites["aurora"][0]["outcome"] == "DONE"
        assert (sites["borealis"][0]["code"], sites["borealis"][0]["message"]) == ("UNSUPPORTED", "cannot")
        assert here.json()["msg"] in ("Deleted Tags from DB: 0 successfull of 1 requested", "Successfully deleted 3 jobs")
        assert there.json()["sites"] == {"aurora": "DONE", "borealis": "FAILED"} and "borealis: " in there.json()["error"]


async def test_where_every_site_did_it_the_answer_is_as_ever() -> None:
    done = WriteResult(outcome=WriteOutcome.DONE, site="borealis", tag=SLOW, count=4)
    here, _, _ = await written("DELETE", "/api/jobs/delete_job_before/5?site=*", None, *at_two_sites(done))
    there, _, _ = await written("DELETE", f"{RELEASED}/api/jobs/delete_job_before/5?site=*", None, *at_two_sites(done))
    assert here.status_code == 200 and here.json()["count"] == 7
    assert there.content == b'{"msg":"Successfully deleted 7 jobs"}\n'
    text, _, _ = await written("DELETE", f"{RELEASED}/api/tags/?site=*", [TAG], *at_two_sites(done))
    assert text.text == "Deleted Tags from DB: 1 successfull of 1 requested\n"
    assert text.headers["content-type"] == "text/plain; charset=utf-8"


async def test_where_no_site_did_it_the_status_is_that_of_what_is_worst() -> None:
    failed = [
        WriteResult(outcome=WriteOutcome.FAILED, site="aurora", tag=SLOW, code=Code.UNSUPPORTED, message="cannot"),
        WriteResult(outcome=WriteOutcome.UNKNOWN, site="borealis", tag=SLOW, code=Code.TIMEOUT, message="late"),
    ]
    answer, _, _ = await written("DELETE", "/api/tags/?site=*", [TAG], *failed)
    assert answer.status_code == 504 and set(answer.json()["sites"]) == {"aurora", "borealis"}


async def test_a_tag_that_no_site_has_is_told_in_cc_backends_words() -> None:
    unchanged = [WriteResult(outcome=WriteOutcome.UNCHANGED, site=site, tag=SLOW) for site in ("aurora", "borealis")]
    answer, _, _ = await written("DELETE", f"{RELEASED}/api/tags/?site=*", [TAG], *unchanged)
    assert answer.status_code == 500
    assert answer.json()["error"] == "removing tag failed: tag does not exist (name, type, scope): slow, review, global"
