"""``Job`` and what hangs on it. Every field reads a job row (``ccgateway.jobs.model.JobRow``), and what its site keeps beside
that.

A plain field shows the row's attribute of the same Python name; a field with a resolver declares the attributes that it reads
(``fields.computed``), so that the sites are asked for what is shown and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import strawberry

from ccgateway.jobs import model
from ccgateway.jobs.conditions import encode_tag_id
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.details import (
    DETAILED,
    EnergyFootprintValue,
    JobLinkResultList,
    concurrent_jobs_of_row,
    energy_footprint_of_row,
    load_concurrent_jobs,
    load_energy_footprints,
)
from ccgateway.surfaces.graphql.fields import computed, loaded
from ccgateway.surfaces.graphql.metrics import JobMetricWithName, load_metrics, metrics_of_row
from ccgateway.surfaces.graphql.scalars import AnyValue, Int64, JobState, Time
from ccgateway.surfaces.graphql.users import User, needs_list

__all__ = ["FootprintValue", "Job", "JobKey", "Resource", "Tag"]

Row = strawberry.Parent[model.JobRow]


@strawberry.type(description="What identifies a job for good. A database id does not: sites use them again after deletes.")
class JobKey:
    site: str = strawberry.field(description="The site that holds the job.")
    cluster: str = strawberry.field(description="The cluster it ran on.")
    job_id: Int64 = strawberry.field(description="The scheduler's job number.")
    start_time: Time = strawberry.field(description="When it started.")


def _tag_id(tag: strawberry.Parent[model.Tag]) -> str:
    return encode_tag_id(tag)


@strawberry.type(description="A tag on a job. Tags of the same scope, type and name are one tag, whatever site they are at.")
class Tag:
    id: strawberry.ID = computed(_tag_id, description="The tag's id over all sites: scope, type and name.")
    type: str = strawberry.field(description="What kind of tag it is.")
    name: str = strawberry.field(description="The tag itself.")
    scope: str = strawberry.field(
        description="Who sees it: `global`, `admin`, or a user's name. Releases up to 1.3 have no scopes: `global`."
    )


@strawberry.type(description="What a job has of one host.")
class Resource:
    hostname: str = strawberry.field(description="The host's name.")
    hwthreads: list[int] | None = strawberry.field(description="Its hardware threads that the job has; null: all, or not known.")
    accelerators: list[str] | None = strawberry.field(description="Its accelerators that the job has; null: none, or not known.")
    configuration: str | None = strawberry.field(description="How the host was configured, if the site keeps that.")


@strawberry.type(description="One value of a job's footprint.")
class FootprintValue:
    name: str = strawberry.field(description="The metric.")
    stat: str = strawberry.field(description="The statistic, such as `avg` or `max`.")
    value: float = strawberry.field(description="Its value, in the metric's unit.")


def _id(row: Row) -> str:
    return f"{row.site}:{row.id}"


def _site(row: Row) -> str:
    return row.site


def _key(row: Row) -> model.JobKey:
    return row.key


def _tags(row: Row) -> Sequence[model.Tag]:
    return row.tags or ()


def _resources(row: Row) -> Sequence[model.Resource]:
    return row.resources or ()


def _footprint(row: Row) -> list[FootprintValue] | None:
    kept: Mapping[str, float | None] | None = row.footprint
    if kept is None:
        return None
    return [_footprint_value(key, value) for key, value in kept.items() if value is not None]


def _footprint_value(key: str, value: float) -> FootprintValue:
    name, mark, stat = key.rpartition("_")
    return FootprintValue(name=name, stat=stat, value=value) if mark else FootprintValue(name=key, stat="", value=value)


async def _user_data(row: Row, info: Info) -> User | None:
    account = await info.context.account(row.site, row.user, in_list=needs_list(info))
    return None if account is None else User.of(row.site, account)


@strawberry.type(description="One job of one site.")
class Job:
    id: strawberry.ID = computed(
        _id, needs="id", description="The job's id over all sites, `site:number`. The site uses the number again after deletes."
    )
    site: str = computed(_site, description="The site that holds the job.")
    key: JobKey = computed(_key, needs="job_id cluster start_time", description="What identifies the job for good.")
    job_id: Int64 = strawberry.field(description="The scheduler's job number.")
    user: str = strawberry.field(description="Name of the user who owns the job.")
    project: str = strawberry.field(description="Project or account the job is charged to.")
    cluster: str = strawberry.field(description="The cluster.")
    sub_cluster: str = strawberry.field(description="The sub-cluster.")
    start_time: Time = strawberry.field(description="When the job started.")
    duration: int = strawberry.field(description="Seconds of run time; for a running job, so far.")
    walltime: Int64 = strawberry.field(description="Seconds of run time asked for; 0 if not known.")
    num_nodes: int = strawberry.field(description="Number of nodes.")
    num_hw_threads: int = strawberry.field(
        name="numHWThreads", description="Number of hardware threads; 0 if the job was started without it."
    )
    num_acc: int = strawberry.field(description="Number of accelerators.")
    energy: float = strawberry.field(description="Energy used in kWh; 0 for running jobs and at sites up to 1.3.")
    smt: int = strawberry.field(name="SMT", description="Threads per core that the job may use.")
    shared: str = strawberry.field(description="How the job shares its nodes: `none`, `single_user` or `multi_user`.")
    partition: str = strawberry.field(description="Partition of the scheduler; empty if it has none.")
    array_job_id: Int64 = strawberry.field(description="The array job it belongs to; 0 if none.")
    monitoring_status: int = strawberry.field(
        description="0: not monitored, 1: running or being archived, 2: archiving failed, 3: archived."
    )
    state: JobState = strawberry.field(description="What became of the job.")
    tags: list[Tag] = computed(
        _tags, needs="tags", description="Its tags, as far as the gateway's credential at the site may see them."
    )
    resources: list[Resource] = computed(_resources, needs="resources", description="Its hosts and what it has of each.")
    concurrent_jobs: JobLinkResultList | None = loaded(
        concurrent_jobs_of_row,
        load_concurrent_jobs,
        needs=DETAILED,
        description="Jobs that shared a host with this one, as far as the gateway's credential at the site may see them; null "
        "for a job that shared none, or ran for less than ten minutes. Null with an error where the site does not tell, or the "
        "gateway itself hides other people's jobs (ordinary users up to 1.3). Each hundred jobs of a site cost it a request.",
    )
    footprint: list[FootprintValue | None] | None = computed(
        _footprint,
        needs="footprint",
        description="Averages and the like that the site keeps with the job; null if it keeps none. The site's keys are split at "
        "their last `_` into metric and statistic.",
    )
    energy_footprint: list[EnergyFootprintValue | None] | None = loaded(
        energy_footprint_of_row,
        load_energy_footprints,
        needs=DETAILED,
        description="The energy of the job by kind of hardware; null at sites up to 1.3. Each hundred jobs of a site cost it "
        "a request.",
    )
    meta_data: AnyValue | None = strawberry.field(
        description="What the site keeps with the job (`jobName`, `jobScript`, `slurmInfo`, …): an object of texts, or null."
    )
    metrics: list[JobMetricWithName] | None = loaded(
        metrics_of_row,
        load_metrics,
        needs="id job_id cluster start_time state monitoring_status",
        description="Its metrics, as `jobMetrics` gives them. In a list of jobs each site is asked for all of its jobs side by "
        "side; a job whose metrics its site does not give has null here, with an error.",
    )
    user_data: User | None = computed(
        _user_data,
        needs="user",
        description="The account of the job's owner in the site's own user list; null if it has none. Null with an error where "
        "the gateway's credential at the site may not read it. Each site is asked once for all accounts of a list of jobs.",
    )
