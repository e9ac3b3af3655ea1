"""How ``/api`` tells what a write came to: the job as it is afterwards, and the ``outcome``.

What did not succeed has the HTTP status of its code; 504 says that it is not known what became of the write.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from ccgateway.errors import CODES, Code
from ccgateway.jobs.model import JobRow, Tag
from ccgateway.jobs.writes import ChangeUser, NodeStates, StartJob, StopJob, WriteOutcome, WriteResult
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.jobs import DocumentedJob, documented_job
from ccgateway.surfaces.rest.reads import afterwards

__all__ = ["AtSites", "FailedWrite", "Failure", "HowtoResults", "Told", "Written", "status_of", "succeeded"]

#: how a site's refusal of a write is told
_REFUSED = {Code.SITE_REFUSED: 422, Code.SITE_UNAUTHORIZED: 403}
#: outcomes of writes that are as they should be
_GOOD = frozenset({WriteOutcome.DONE, WriteOutcome.UNCHANGED, WriteOutcome.PENDING})


class AtSite(msgspec.Struct, omit_defaults=True):
    """What one site came to. ``tag``: which tag it is about; ``count``: jobs that were deleted."""

    outcome: WriteOutcome
    tag: Tag | None = None
    count: int | None = None
    code: Code | None = None
    message: str | None = None
    retryable: bool = False


class AtSites(msgspec.Struct, omit_defaults=True):
    """What a write at several sites came to, in all and at each."""

    msg: str
    sites: dict[str, list[AtSite]]
    count: int | None = None


class Written(DocumentedJob, kw_only=True, rename="camel", gc=False):
    """A job after a write."""

    outcome: WriteOutcome


class Told(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What is left to tell where there is no job to show."""

    outcome: WriteOutcome
    id: int | None = None
    msg: str | None = None
    site: str | None = None
    cluster: str | None = None
    job_id: int | None = None
    start_time: int | None = None


class Failure(msgspec.Struct, omit_defaults=True):
    """``status`` and ``error`` as cc-backend has them, and what GraphQL says in ``extensions``."""

    status: str
    error: str
    code: Code
    retryable: bool
    site: str | None = None
    causes: list[dict[str, str | bool | int]] = []


class FailedWrite(Failure, kw_only=True):
    outcome: WriteOutcome
    sites: dict[str, list[AtSite]] = {}


def succeeded(result: WriteResult) -> bool:
    """Whether what was asked for is so now, or will be."""
    return result.outcome in _GOOD


def status_of(result: WriteResult) -> int:
    """The HTTP status of one result: 504 where it is not known what became of the write.

    What a site refuses of a write, it refuses its caller, not the gateway: that is no 502.
    """
    if succeeded(result):
        return 200
    if result.outcome is WriteOutcome.UNKNOWN:
        return CODES[Code.TIMEOUT].http
    if result.code in _REFUSED:
        return _REFUSED[result.code]
    return CODES[result.code or Code.INTERNAL].http


class HowtoResults:
    """Answers to writes."""

    def started(self, call: Call, _command: StartJob, result: WriteResult) -> Answer:
        """202, with a provisional id, while the site does not show the job yet."""
        if not succeeded(result):
            return _refused(result)
        status = {WriteOutcome.DONE: 201, WriteOutcome.PENDING: 202}.get(result.outcome, 200)
        return Answer.json(_without_job(result, call), status)

    async def stopped(self, call: Call, _command: StopJob, results: Sequence[WriteResult]) -> Answer:
        """The job as it is after the stop."""
        return await _job_after(call, results)

    async def tagged(
        self,
        call: Call,
        _number: int,
        _asked: Sequence[Tag],
        results: Sequence[WriteResult],
        *,
        adds: bool,  # noqa: ARG002
    ) -> Answer:
        """The job as it is with its tags."""
        return await _job_after(call, results)

    async def edited(self, call: Call, results: Sequence[WriteResult], *, not_found: int) -> Answer:  # noqa: ARG002 - likewise
        """The job as it is with its metadata."""
        return await _job_after(call, results)

    def deleted(self, call: Call, result: WriteResult, number: int | None) -> Answer:
        """What is left to tell of the job that was named by its id (``number``)."""
        if not succeeded(result):
            return _refused(result)
        answer = _without_job(result, call)
        if answer.msg is None:
            answer.msg = "Successfully deleted job" + (f" {number}" if number is not None else "")
        return Answer.json(answer)

    def named_deleted(self, call: Call, result: WriteResult, _row: JobRow | None) -> Answer:
        """The same of the job of a key."""
        return self.deleted(call, result, None)

    def deleted_before(self, results: Sequence[WriteResult], *, dry_run: bool) -> Answer:
        """How many jobs were, or would be, deleted."""
        count = sum(result.count or 0 for result in results)
        return _at_sites(results, f"{count} jobs would be deleted" if dry_run else f"Successfully deleted {count} jobs", count)

    def tags_removed(self, results: Sequence[WriteResult], _tags: Sequence[Tag], *, asked: int) -> Answer:
        """How many of the tags are gone: from all sites that had them."""
        gone = {result.tag for result in results if result.outcome is WriteOutcome.DONE}
        gone -= {result.tag for result in results if not succeeded(result)}
        return _at_sites(results, f"Deleted Tags from DB: {len(gone)} successfull of {asked} requested")

    def user_changed(self, results: Sequence[WriteResult], command: ChangeUser) -> Answer:
        """What has changed of the user."""
        return _at_sites(results, f"{command.change.replace('-', ' ').title()} Success for user {command.user}")

    def user_created(self, results: Sequence[WriteResult], user: str) -> Answer:
        """The user is there."""
        return _at_sites(results, f"User {user} successfully created!")

    def user_deleted(self, results: Sequence[WriteResult], user: str) -> Answer:
        """The user is gone."""
        return _at_sites(results, f"There is no user {user} any more.")

    def nodes_updated(self, _command: NodeStates, result: WriteResult) -> Answer:
        """Nothing, as releases answer."""
        return Answer(media_type=None) if succeeded(result) else _refused(result)


def _without_job(result: WriteResult, call: Call) -> Told:
    key = result.key
    return Told(
        outcome=result.outcome,
        id=call.ids.of(result.site, result.db_id) if result.site is not None and result.db_id is not None else None,
        msg=result.message,
        site=result.site,
        cluster=key.cluster if key else None,
        job_id=key.job_id if key else None,
        start_time=key.start_time if key else None,
    )


async def _job_after(call: Call, results: Sequence[WriteResult]) -> Answer:
    (result,) = results
    if not succeeded(result):
        return _refused(result)
    row = await afterwards(call, result)
    if row is None:
        return Answer.json(_without_job(result, call))
    flat = documented_job(row, call.ids, meta_data=row.meta_data_json)
    return Answer.json(Written(**msgspec.structs.asdict(flat), outcome=result.outcome))


def _refused(result: WriteResult, *, sites: dict[str, list[AtSite]] | None = None) -> Answer:
    """A write that came to nothing, or to nobody knows what (504); ``sites``: what each site came to."""
    status = status_of(result)
    message = result.message or "It did not succeed."
    if result.outcome is WriteOutcome.UNKNOWN:
        message = f"It is not known whether this took effect. {message}"
    refusal = FailedWrite(
        status=HTTPStatus(status).phrase,
        error=message,
        code=result.code or (Code.TIMEOUT if status == 504 else Code.INTERNAL),
        retryable=result.retryable,
        site=result.site,
        outcome=result.outcome,
        sites=sites or {},
    )
    return Answer.json(refusal, status)


def _at_sites(results: Sequence[WriteResult], message: str, count: int | None = None) -> Answer:
    """``words`` and what each site came to. 207 where some did and others did not; if none did, the status of one of them."""
    sites: dict[str, list[AtSite]] = {}
    for result in results:
        sites.setdefault(result.site or "", []).append(
            AtSite(result.outcome, result.tag, result.count, result.code, result.message, result.retryable)
        )
    succeeding = sum(map(succeeded, results))
    if not succeeding:
        return _refused(next((result for result in results if result.outcome is WriteOutcome.UNKNOWN), results[0]), sites=sites)
    return Answer.json(AtSites(message, sites, count), 200 if succeeding == len(results) else 207)
