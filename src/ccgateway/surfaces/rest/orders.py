"""Writes as both faces order them: who orders, at which sites, and the job as it is afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ccgateway.errors import CODES, Code, GatewayError
from ccgateway.federation.questions import JobListQuestion
from ccgateway.federation.writes import WriteCall
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.model import JobRow, Tag
from ccgateway.jobs.writes import Target, WriteOutcome, WriteResult
from ccgateway.surfaces.rest.bodies import Named
from ccgateway.surfaces.rest.calls import Call
from ccgateway.surfaces.rest.jobs import SINGLE

__all__ = ["AtSite", "afterwards", "find_named", "named_sites", "only_site", "status_of", "succeeded", "target_of", "write_call"]

#: how a site's refusal of an order is told
_REFUSED = {Code.SITE_REFUSED: 422, Code.SITE_UNAUTHORIZED: 403}
#: outcomes of orders that are as they should be
_GOOD = frozenset({WriteOutcome.DONE, WriteOutcome.UNCHANGED, WriteOutcome.PENDING})


class AtSite(msgspec.Struct, omit_defaults=True):
    """What one site came to. ``tag``: which tag it is about; ``count``: jobs that were deleted."""

    outcome: WriteOutcome
    tag: Tag | None = None
    count: int | None = None
    code: Code | None = None
    message: str | None = None
    retryable: bool = False


def write_call(call: Call) -> WriteCall:
    """How the caller asks."""
    return WriteCall(call.request_id, call.headers.get("idempotency-key") or None)


def named_sites(call: Call) -> tuple[str, ...] | None:
    """The sites that ``site=`` names, as a write at sites takes them."""
    return tuple(call.query.all("site")) or None


def only_site(call: Call) -> str | None:
    """The one site that ``site=`` names; ``None`` where it names none, or all of them."""
    named = call.query.first("site")
    return None if named == "*" else named


def target_of(call: Call, named: Named) -> Target:
    """The job of that key, at the site that the request names, if it names one."""
    return Target(site=only_site(call), cluster=named.cluster, job_id=named.job_id, start_time=named.start_time)


def succeeded(result: WriteResult) -> bool:
    """Whether what was ordered is so now, or will be."""
    return result.outcome in _GOOD


def status_of(result: WriteResult) -> int:
    """The HTTP status of one result: 504 where it is not known what became of the order.

    What a site refuses of an order, it refuses its caller, not the gateway: that is no 502.
    """
    if succeeded(result):
        return 200
    if result.outcome is WriteOutcome.UNKNOWN:
        return CODES[Code.TIMEOUT].http
    if result.code in _REFUSED:
        return _REFUSED[result.code]
    return CODES[result.code or Code.INTERNAL].http


async def find_named(call: Call, target: Target) -> JobRow | None:
    """The job that ``target`` names by id, or by number and start time; ``None`` if there is none."""
    if target.db_id is None:
        return await _of_second(call, target)
    try:
        return await call.gateway.job(f"{target.site}:{target.db_id}", call.caller, fields=SINGLE)
    except GatewayError as error:
        if error.code is Code.NOT_FOUND:
            return None
        raise


async def _of_second(call: Call, target: Target) -> JobRow | None:
    wanted = JobFilter(
        cluster=StringInput(eq=target.cluster) if target.cluster is not None else None,
        job_id=StringInput(eq=str(target.job_id)),
        start_time=TimeRange(target.start_time, target.start_time),
    )
    sites = [target.site] if target.site is not None else None
    answer = await call.gateway.jobs(JobListQuestion(filters=(wanted,), first=1, sites=sites, fields=SINGLE), call.caller)
    return answer.rows[0] if answer.rows else None


async def afterwards(call: Call, results: Sequence[WriteResult]) -> JobRow | None:
    """The job of the first result as it is now; ``None`` where it cannot be read."""
    job_id = results[0].job
    if job_id is None:
        return None
    try:
        return await call.gateway.job(job_id, call.caller, fields=SINGLE)
    except GatewayError:
        return None
