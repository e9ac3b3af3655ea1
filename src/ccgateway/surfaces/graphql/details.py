"""What belongs to a job and is asked for only where it is shown: the jobs beside it, and its energy by what used it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import strawberry

from ccgateway.errors import GatewayError
from ccgateway.jobs import details as values
from ccgateway.jobs import model
from ccgateway.jobs.metrics import JobRef
from ccgateway.surfaces.graphql.context import Info, RequestContext
from ccgateway.surfaces.graphql.scalars import Int64

__all__ = [
    "DETAILED", "EnergyFootprintValue", "JobLink", "JobLinkResultList", "concurrent_jobs_of_row", "energy_footprint_of_row",
    "load_concurrent_jobs", "load_energy_footprints",
]  # fmt: skip

#: the attributes of a row by which its details are asked for
DETAILED = "id job_id cluster start_time state monitoring_status"

Row = strawberry.Parent[model.JobRow]


@strawberry.type(description="One part of the energy that a job used.")
class EnergyFootprintValue:
    hardware: str = strawberry.field(description="What used the energy: `CPU`, `Accelerator`, `Memory`, `Core` or `Other`.")
    metric: str = strawberry.field(description="The metric it was computed from.")
    value: float = strawberry.field(description="Energy in kWh.")


@strawberry.type(description="A pointer to a job.")
class JobLink:
    id: strawberry.ID = strawberry.field(description="The job's id.")
    job_id: Int64 = strawberry.field(description="The scheduler's job number.")


@strawberry.type(description="Jobs that shared a host with another job.")
class JobLinkResultList:
    list_query: str | None = strawberry.field(description="The same list as a query of cc-backend's own web pages.")
    items: list[JobLink] = strawberry.field(description="The jobs.")
    count: int | None = strawberry.field(description="How many they are.")


async def load_concurrent_jobs(
    context: RequestContext,
    rows: Sequence[model.JobRow],
    arguments: Mapping[str, Any],  # noqa: ARG001 - it has none
) -> list[JobLinkResultList | GatewayError | None]:
    """The jobs beside each of these."""
    found = await context.concurrent_jobs.many([JobRef.of(row) for row in rows])
    return [_links(row, one) if isinstance(one, values.JobLinks) else one for row, one in zip(rows, found, strict=True)]


async def concurrent_jobs_of_row(row: Row, info: Info) -> JobLinkResultList | None:
    found = await info.context.concurrent_jobs.one(JobRef.of(row))
    return None if found is None else _links(row, found)


async def load_energy_footprints(
    context: RequestContext,
    rows: Sequence[model.JobRow],
    arguments: Mapping[str, Any],  # noqa: ARG001 - it has none
) -> list[list[values.EnergyPart] | GatewayError | None]:
    """The energy of each of these jobs."""
    return await context.energy_footprints.many([JobRef.of(row) for row in rows])


async def energy_footprint_of_row(row: Row, info: Info) -> list[values.EnergyPart] | None:
    return await info.context.energy_footprints.one(JobRef.of(row))


def _links(row: model.JobRow, links: values.JobLinks) -> JobLinkResultList:
    items = [JobLink(id=strawberry.ID(f"{row.site}:{one.id}"), job_id=Int64(one.job_id)) for one in links.items]
    query = urlencode([("cluster", row.cluster), *(("jobId", one.job_id) for one in links.items)])
    return JobLinkResultList(list_query=query, items=items, count=len(items))
