"""How ``/cc-backend/1.5`` tells what a write came to: as cc-backend 1.5.4 answers it, words included.

A site's own words are passed on where it refuses. Federation adds: several sites may have to be named (``site=``); 504 says that
it is not known what became of a write; and where one site did and another did not, the answer says so for each. Creating and
deleting users is answered as releases up to 1.3 do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from ccgateway.errors import Code, GatewayError
from ccgateway.jobs.model import JobRow, Tag
from ccgateway.jobs.writes import ChangeUser, NodeStates, StartJob, StopJob, WriteOutcome, WriteResult
from ccgateway.surfaces.rest.calls import TEXT, Answer, Call
from ccgateway.surfaces.rest.go_compat import NO_ROWS, RefusedError, json_response
from ccgateway.surfaces.rest.howto_results import status_of, succeeded
from ccgateway.surfaces.rest.jobs import SINGLE, Job, job
from ccgateway.surfaces.rest.reads import afterwards, find_of_key

__all__ = ["NOT_ADMIN", "FailedAtSites", "Message", "ReleaseResults", "ReleasedFailure"]


class Message(msgspec.Struct):
    msg: str


class ReleasedFailure(msgspec.Struct):
    status: str
    error: str


class FailedAtSites(ReleasedFailure):
    """``sites``: the outcome at each."""

    sites: dict[str, str]


NOT_ADMIN = "only admins are allowed to update a user"
#: after a success: the job that a release would show could not be read back
_UNSEEN = Message("success; the job could not be read back")
_NOT_FOUND = f"finding job failed: {NO_ROWS}"
_SITES_WORDS = re.compile(r"\(HTTP (\d{3})\): (.+)", re.DOTALL)
_UNCHANGED = {
    "add-role": "user {user} already has role {value}",
    "remove-role": "role already deleted for user '{user}': {value}",
    "add-project": "user '{user}' already manages project '{value}'",
    "remove-project": "user '\"{user}\"': Cannot remove project '\"{value}\"' - Does not match",
}


class ReleaseResults:
    """Answers to writes. Raise ``RefusedError`` for what did not succeed."""

    def started(self, call: Call, command: StartJob, result: WriteResult) -> Answer:
        """That it is recorded, or will be."""
        if result.outcome in (WriteOutcome.DONE, WriteOutcome.PENDING):
            return json_response(Message("success"), 201)
        if result.outcome is WriteOutcome.UNCHANGED or result.code is Code.CONFLICT:
            known = result.site is not None and result.db_id is not None
            db_id = call.ids.of(result.site or "", result.db_id or 0) if known else 0
            message = "a job with that jobId, cluster and startTime already exists"
            raise RefusedError(422, f"{message}: dbid: {db_id}, jobid: {command.job_id}")
        if result.code is Code.UNKNOWN_CLUSTER:
            raise RefusedError(400, f"no such cluster: {command.cluster}")
        raise _refusal(result, not_found=400)

    async def stopped(self, call: Call, command: StopJob, results: Sequence[WriteResult]) -> Answer:
        """The job as it is after the stop."""
        if results[0].outcome is not WriteOutcome.DONE:
            raise await _not_stopped(call, command, results[0])
        row = await afterwards(call, results[0])
        if row is None:
            return json_response(_UNSEEN)
        stopped = job(row, call.ids)
        stopped.tags, stopped.monitoring_status = [], min(stopped.monitoring_status, 1)  # it is archived only after the answer
        return json_response(stopped)

    async def tagged(
        self, call: Call, number: int, asked: Sequence[Tag], results: Sequence[WriteResult], *, adds: bool
    ) -> Answer:
        """The job with its tags; also where none of those ``asked`` was to be written."""
        if results and (not succeeded(results[0]) or (adds and results[0].outcome is WriteOutcome.UNCHANGED)):
            raise _tag_refusal(results[0], "adding tag" if adds else "removing tag")
        try:
            row = await call.gateway.job(call.ids.job_id(number), call.caller, fields=SINGLE)
        except GatewayError as error:
            if results:
                return json_response(_UNSEEN)
            if error.code is not Code.NOT_FOUND:
                raise
            raise RefusedError(404, _NOT_FOUND) from None
        shown = job(row, call.ids)
        unscoped = {(one.type, one.name) for one in asked if adds and not one.scope}
        shown.tags = [Tag(t.type, t.name, "", t.id) if (t.type, t.name) in unscoped else t for t in shown.tags]
        return json_response(shown)

    async def edited(self, call: Call, results: Sequence[WriteResult], *, not_found: int) -> Answer:
        """The job with its metadata."""
        if not succeeded(results[0]):
            raise _refusal(results[0], not_found=not_found)
        row = await afterwards(call, results[0])
        if row is None:
            return json_response(_UNSEEN)
        shown: Job = job(row, call.ids, meta_data=row.meta_data_json)
        shown.tags = []
        return json_response(shown)

    def deleted(self, _call: Call, result: WriteResult, number: int) -> Answer:
        """That the job of that id is gone; one that is not there, too."""
        if not succeeded(result) and result.code is not Code.NOT_FOUND:
            raise _refusal(result, "deleting job", not_found=422)
        return json_response(Message(f"Successfully deleted job {number}"))

    def named_deleted(self, call: Call, result: WriteResult, row: JobRow | None) -> Answer:
        """That the job of a key is gone; ``row``: as it was before."""
        if not succeeded(result):
            raise _refusal(result, "deleting job", not_found=422)
        number = call.ids.of(row.site, row.id) if row is not None else result.key.job_id if result.key is not None else 0
        return json_response(Message(f"Successfully deleted job {number}"))

    def deleted_before(self, results: Sequence[WriteResult], *, dry_run: bool) -> Answer:  # noqa: ARG002 - there is none
        """How many jobs were deleted."""
        count = sum(result.count or 0 for result in results)
        return _at_sites(results, json_response(Message(f"Successfully deleted {count} jobs")), "deleting jobs")

    def tags_removed(self, results: Sequence[WriteResult], tags: Sequence[Tag], *, asked: int) -> Answer:
        """How many of the tags are gone."""
        outcomes = {tag.key: {one.outcome for one in results if one.tag == tag} for tag in tags}
        unknown = next((tag for tag in tags if outcomes[tag.key] == {WriteOutcome.UNCHANGED}), None)
        if unknown is not None:
            names = f"{unknown.name}, {unknown.type}, {unknown.scope}"
            raise RefusedError(500, f"removing tag failed: tag does not exist (name, type, scope): {names}")
        gone = sum(WriteOutcome.DONE in of_one for of_one in outcomes.values())
        text = f"Deleted Tags from DB: {gone} successfull of {asked} requested\n".encode()
        return _at_sites(results, Answer(200, text, TEXT), "removing tag")

    def user_changed(self, results: Sequence[WriteResult], command: ChangeUser) -> Answer:
        """What has changed of the user."""
        verb, _, what = command.change.partition("-")
        doing = f"{verb.rstrip('e')}ing {what}"
        if all(one.outcome is WriteOutcome.UNCHANGED for one in results):
            shown = command.value.lower() if what == "role" else command.value
            words = _UNCHANGED[command.change].format(user=command.user, value=shown)
            raise RefusedError(422, f"{doing} failed: {words}")
        done = json_response(Message(f"{verb.title()} {what.title()} Success for user {command.user}"))
        return _at_sites(results, done, doing, _user_refusal)

    def user_created(self, results: Sequence[WriteResult], user: str) -> Answer:
        """The user is there."""
        done = Answer(200, f"User {user} successfully created!\n".encode("utf-8", "replace"), TEXT)
        return _at_sites(results, done, "creating user", _new_user_refusal)

    def user_deleted(self, results: Sequence[WriteResult], _user: str) -> Answer:
        """Nothing."""
        return _at_sites(results, Answer(media_type=None), "deleting user")

    def nodes_updated(self, command: NodeStates, result: WriteResult) -> Answer:
        """Nothing."""
        if succeeded(result):
            return Answer(media_type=None)
        if result.code is Code.UNKNOWN_CLUSTER:
            raise RefusedError(400, f"no such cluster: {command.cluster}")
        raise _refusal(result, not_found=400)


async def _not_stopped(call: Call, command: StopJob, result: WriteResult) -> RefusedError:
    row = None
    if result.outcome is WriteOutcome.UNCHANGED or result.code in (Code.CONFLICT, Code.BAD_REQUEST):
        row = await afterwards(call, result)
        if row is None and command.target.start_time is not None:
            row = await find_of_key(call, command.target)
            if row is None:
                return RefusedError(404, _NOT_FOUND)
    if row is None:
        return _refusal(result, not_found=404)
    where = f"jobId {row.job_id} (id {call.ids.of(row.site, row.id)}) on {row.cluster} :"
    if row.state != "running":
        return RefusedError(422, f"{where} job has already been stopped (state is: {row.state})")
    if command.stop_time < row.start_time:
        return RefusedError(400, f"{where} stopTime {command.stop_time} must be larger/equal than startTime {row.start_time}")
    return RefusedError(400, f'{where} invalid requested job state: "{command.state}"')


def _refusal(result: WriteResult, doing: str = "", *, not_found: int = 422) -> RefusedError:
    """What 1.5.4 would say. ``doing``: what comes before the words of a failure, if anything."""
    prefix = f"{doing} failed: " if doing else ""
    if result.outcome is WriteOutcome.UNKNOWN:
        return RefusedError(status_of(result), f"{prefix}it is not known whether this took effect: {result.message or ''}")
    if result.code is Code.NOT_FOUND:
        return RefusedError(not_found, _NOT_FOUND)
    words = _SITES_WORDS.search(result.message or "")
    if words is not None and result.code in (Code.SITE_REFUSED, Code.SITE_ERROR):
        return RefusedError(int(words[1]), words[2])
    return RefusedError(status_of(result), f"{prefix}{result.message or 'it did not succeed'}")


def _tag_refusal(result: WriteResult, doing: str) -> RefusedError:
    if result.outcome is WriteOutcome.UNCHANGED:
        return RefusedError(500, f"{doing} failed: UNIQUE constraint failed: jobtag.job_id, jobtag.tag_id")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.CONFLICT:
        return RefusedError(500, f"{doing} failed: UNIQUE constraint failed: tag.tag_type, tag.tag_name")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.SITE_UNAUTHORIZED:
        return RefusedError(500, f"{doing} failed: cannot write tag scope with current authorization")
    return _refusal(result, doing, not_found=404)


def _user_refusal(result: WriteResult, doing: str) -> RefusedError:
    if result.outcome is WriteOutcome.FAILED and result.code is Code.NOT_FOUND:
        return RefusedError(422, f"{doing} failed: {NO_ROWS}")
    if result.outcome is WriteOutcome.FAILED and result.code is Code.SITE_UNAUTHORIZED:
        return RefusedError(403, NOT_ADMIN)
    refusal = _refusal(result, doing)
    if result.code is Code.SITE_REFUSED and not refusal.message.startswith(doing):  # up to 1.3
        words = refusal.message[:1].lower() + refusal.message[1:].rstrip("!")
        return RefusedError(refusal.status, f"{doing} failed: {words}")
    return refusal


def _new_user_refusal(result: WriteResult, doing: str) -> RefusedError:
    if result.outcome is WriteOutcome.FAILED and result.code is Code.CONFLICT:
        return RefusedError(422, f"{doing} failed: UNIQUE constraint failed: user.username")
    return _refusal(result, doing)


def _at_sites(
    results: Sequence[WriteResult], done: Answer, doing: str, refused: Callable[[WriteResult, str], RefusedError] = _refusal
) -> Answer:
    """``done`` if every site did it; else what those came to that did not."""
    failed = [one for one in results if not succeeded(one)]
    if not failed:
        return done
    refusals = [refused(one, doing) for one in failed]
    if len(results) == 1:
        raise refusals[0]
    words = "; ".join(f"{one.site}: {refusal.message}" for one, refusal in zip(failed, refusals, strict=True))
    sites: dict[str, str] = {}
    for one in results:
        if one.site is not None and sites.get(one.site) in (None, WriteOutcome.DONE.value, WriteOutcome.UNCHANGED.value):
            sites[one.site] = one.outcome.value
    status = refusals[0].status if len(failed) == len(results) else 207
    phrase = "Multi-Status" if status == 207 else refusals[0].status.phrase
    return json_response(FailedAtSites(phrase, words, sites), status)
