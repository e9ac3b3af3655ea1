"""What a site tells of a job only by its own GraphQL: the jobs that shared a host with it, and its energy by part.

Many jobs are asked for in one question, each on its own: what one comes to touches no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.details import EnergyPart, JobLink, JobLinks
from ccgateway.jobs.model import Int64, JobKey
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.asking import Question, ask_in_parts, refused_by
from ccgateway.site.releases.query import QueryReply
from ccgateway.site.replies import NO_SUCH_JOB

__all__ = ["concurrent_jobs", "energy_footprints"]

#: jobs in one question: a release of 1.5 takes 5000 fields
AT_ONCE = 100


class _Identified(msgspec.Struct, rename="camel"):
    job_id: Int64
    cluster: str


class _Links(msgspec.Struct):
    items: list[JobLink]


class _Beside(_Identified, rename="camel"):
    concurrent_jobs: _Links | None


class _Energy(_Identified, rename="camel"):
    energy_footprint: list[EnergyPart | None] | None


_BESIDE = msgspec.json.Decoder(QueryReply[dict[str, _Beside | None]], strict=False)
_ENERGY = msgspec.json.Decoder(QueryReply[dict[str, _Energy | None]])
_I = TypeVar("_I", bound=_Identified)


async def concurrent_jobs(
    site: Site, context: CallContext, jobs: Sequence[tuple[int, JobKey]]
) -> list[JobLinks | SiteError | None]:
    """The jobs beside each of these (database id and key), or ``None`` where the site keeps no account of them.

    Where the gateway itself hides other people's jobs nothing is told of them: the site would name everybody's.
    """
    if site.hides_others(context.credential):
        return [refused_by(site.name, "concurrentJobs")] * len(jobs)
    found = await _of_each(site, context, "concurrentJobs{items{id jobId}}", jobs, _BESIDE)
    return [
        one if isinstance(one, SiteError) else None if one.concurrent_jobs is None else JobLinks(one.concurrent_jobs.items)
        for one in found
    ]


async def energy_footprints(
    site: Site, context: CallContext, jobs: Sequence[tuple[int, JobKey]]
) -> list[list[EnergyPart] | SiteError | None]:
    """The energy of each of these jobs by what used it, or ``None`` where the site keeps no account of it."""
    found = await _of_each(site, context, "energyFootprint{hardware metric value}", jobs, _ENERGY)
    return [
        one if isinstance(one, SiteError) else None if one.energy_footprint is None else [p for p in one.energy_footprint if p]
        for one in found
    ]


async def _of_each(
    site: Site,
    context: CallContext,
    field: str,
    jobs: Sequence[tuple[int, JobKey]],
    decoder: msgspec.json.Decoder[QueryReply[dict[str, _I | None]]],
) -> list[_I | SiteError]:
    found: list[_I | SiteError] = []
    name = field.partition("{")[0]
    for start in range(0, len(jobs), AT_ONCE):
        some = jobs[start : start + AT_ONCE]
        keys = [f"j{place}" for place in range(len(some))]
        declared = ",".join(f"${key}:ID!" for key in keys)
        asked = " ".join(f"{key}:job(id:${key}){{jobId cluster {field}}}" for key in keys)
        variables = {key: str(db_id) for key, (db_id, _) in zip(keys, some, strict=True)}
        parts = await ask_in_parts(site, context, name, Question(f"query({declared}){{{asked}}}", variables), decoder)
        found += [_checked(site, key, part) for (_, key), part in zip(some, parts, strict=True)]
    return found


def _checked(site: Site, key: JobKey, part: _I | SiteError | None) -> _I | SiteError:
    """What was said of that job; the site may have given its number to another meanwhile."""
    if isinstance(part, SiteError):
        return part
    if part is None or (part.job_id, part.cluster) != (key.job_id, key.cluster):
        return SiteError(Code.NOT_FOUND, site.name, NO_SUCH_JOB.format(site=site.name))
    return part
