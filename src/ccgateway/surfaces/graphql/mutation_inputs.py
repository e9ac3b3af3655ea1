"""The inputs of mutations, translated into write commands. Every input has ``to_value()``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

import strawberry

from ccgateway.errors import Code, RequestError
from ccgateway.jobs import model, writes
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE
from ccgateway.surfaces.graphql.inputs import time_value
from ccgateway.surfaces.graphql.scalars import AnyValue, Int64, JobState, Time
from ccgateway.surfaces.ids import Ids

__all__ = ["JobMetaInput", "JobTarget", "OmitTagged", "ResourceInput", "StartJobInput", "StopJobInput", "TagInput", "tag_values"]

GLOBAL = "global"
SHARED = tuple(SHARED_BY_EXCLUSIVE.values())


@strawberry.enum(description="Which jobs to spare when all jobs before a time are deleted.")
class OmitTagged(Enum):
    NONE = strawberry.enum_value("none", name="none", description="None: tagged jobs are deleted too.")
    ALL = strawberry.enum_value("all", name="all", description="Those with any tag.")
    USER = strawberry.enum_value("user", name="user", description="Those with a tag that a person put there.")

    def to_value(self) -> writes.OmitTagged:
        match self:
            case OmitTagged.ALL:
                return "all"
            case OmitTagged.USER:
                return "user"
            case _:
                return "none"


@strawberry.input(
    description="Names a job by its id, by its key, or by both: then the id counts only while it is that job still, as "
    "sites use their numbers again after deletes. Of a key, `jobId` is needed: without `startTime` it is the newest such job; "
    "without `site`, the site is the one that has the cluster."
)
class JobTarget:
    id: strawberry.ID | None = strawberry.field(
        default=None, description="The job's id, `site:number`, or its number as the REST faces give it."
    )
    site: str | None = strawberry.field(default=None, description="The site that holds it.")
    cluster: str | None = strawberry.field(default=None, description="The cluster it runs on.")
    job_id: Int64 | None = strawberry.field(default=None, description="The scheduler's job number.")
    start_time: Time | None = strawberry.field(default=None, description="When it started.")

    def to_value(self, ids: Ids) -> writes.Target:
        named = None if self.id is None else ids.named(self.id)
        return writes.Target.of(
            named, site=self.site, cluster=self.cluster, job_id=self.job_id, start_time=time_value(self.start_time)
        )


@strawberry.input(description="A tag.")
class TagInput:
    type: str = strawberry.field(description="What kind of tag it is.")
    name: str = strawberry.field(description="The tag itself.")
    scope: str = strawberry.field(
        default=GLOBAL,
        description="Who sees it: `global`, `admin`, or the name of the user at the site. Releases up to 1.3 have `global` only.",
    )

    def to_value(self) -> model.Tag:
        if not self.type or not self.name:
            raise RequestError(Code.BAD_REQUEST, "A tag has a type and a name.")
        return model.Tag(self.type, self.name, self.scope or GLOBAL)


def tag_values(tags: Sequence[TagInput]) -> tuple[model.Tag, ...]:
    """The tags of an argument, of which there must be some."""
    if not tags:
        raise RequestError(Code.BAD_REQUEST, "No tags are named.")
    return tuple(one.to_value() for one in tags)


@strawberry.input(description="What a job has of one host.")
class ResourceInput:
    hostname: str = strawberry.field(description="The host's name.")
    hwthreads: list[int] | None = strawberry.field(default=None, description="Its hardware threads that the job has.")
    accelerators: list[str] | None = strawberry.field(default=None, description="Its accelerators that the job has.")
    configuration: str | None = strawberry.field(default=None, description="How the host is configured.")

    def to_value(self) -> model.Resource:
        return model.Resource.of(self.hostname, self.hwthreads, self.accelerators, self.configuration)


@strawberry.input(description="A job that has started at a scheduler. What is left out the site fills in or leaves empty.")
class StartJobInput:
    job_id: Int64 = strawberry.field(description="The scheduler's job number.")
    user: str = strawberry.field(description="Name of the user who owns it, at the site.")
    cluster: str = strawberry.field(description="The cluster it runs on.")
    start_time: Time = strawberry.field(description="When it started.")
    resources: list[ResourceInput] = strawberry.field(description="Its hosts, and what it has of each.")
    site: str | None = strawberry.field(default=None, description="The site; needed only where several have the cluster.")
    project: str = strawberry.field(default="", description="Project or account it is charged to.")
    sub_cluster: str | None = strawberry.field(default=None, description="The sub-cluster; found out by its hosts if left out.")
    partition: str | None = strawberry.field(default=None, description="Partition of the scheduler.")
    array_job_id: Int64 | None = strawberry.field(default=None, description="The array job it belongs to.")
    num_nodes: int | None = strawberry.field(default=None, description="Number of nodes; as many as resources if left out.")
    num_hw_threads: int | None = strawberry.field(default=None, name="numHWThreads", description="Number of hardware threads.")
    num_acc: int | None = strawberry.field(default=None, description="Number of accelerators.")
    smt: int | None = strawberry.field(default=None, name="SMT", description="Threads per core that it may use.")
    monitoring_status: int | None = strawberry.field(default=None, description="0 for a job that is not to be monitored.")
    shared: str | None = strawberry.field(default=None, description="How it shares its nodes: none, single_user or multi_user.")
    walltime: Int64 | None = strawberry.field(default=None, description="Seconds of run time asked for.")
    tags: list[TagInput] | None = strawberry.field(default=None, description="Tags to begin with.")
    meta_data: AnyValue | None = strawberry.field(default=None, description='An object of texts, such as `{jobName: "run"}`.')

    def to_value(self) -> writes.StartJob:
        if self.shared is not None and self.shared not in SHARED:
            raise RequestError(Code.BAD_REQUEST, f"shared is one of {', '.join(SHARED)}.")
        start_time = time_value(self.start_time)
        if start_time is None:
            raise RequestError(Code.BAD_REQUEST, "startTime is empty.")
        return writes.StartJob(
            job_id=self.job_id,
            user=self.user,
            cluster=self.cluster,
            start_time=start_time,
            resources=tuple(one.to_value() for one in self.resources),
            site=self.site,
            project=self.project,
            sub_cluster=self.sub_cluster,
            partition=self.partition,
            array_job_id=self.array_job_id,
            num_nodes=self.num_nodes,
            num_hw_threads=self.num_hw_threads,
            num_acc=self.num_acc,
            smt=self.smt,
            monitoring_status=self.monitoring_status,
            shared=self.shared,
            walltime=self.walltime,
            tags=tuple(one.to_value() for one in self.tags or ()),
            meta_data=_texts(self.meta_data, "metaData"),
        )


@strawberry.input(description="A job that has ended.")
class StopJobInput:
    job: JobTarget = strawberry.field(description="The job.")
    stop_time: Time = strawberry.field(description="When it ended.")
    state: JobState = strawberry.field(
        default=JobState("completed"), description="What became of it. A site refuses states that its release does not know."
    )

    def to_value(self, ids: Ids) -> writes.StopJob:
        stop_time = time_value(self.stop_time)
        if stop_time is None:
            raise RequestError(Code.BAD_REQUEST, "stopTime is empty.")
        return writes.StopJob(target=self.job.to_value(ids), stop_time=stop_time, state=self.state)


@strawberry.input(description="What to write into a job's metadata.")
class JobMetaInput:
    job: JobTarget = strawberry.field(description="The job.")
    values: AnyValue = strawberry.field(
        description='An object of texts: keys and their new values, such as `{note: "slow disk"}`. Other keys stay; none can be '
        "taken away."
    )

    def to_value(self, ids: Ids) -> writes.EditMeta:
        found = _texts(self.values, "values")
        if not found:
            raise RequestError(Code.BAD_REQUEST, "values names no key.")
        return writes.EditMeta(target=self.job.to_value(ids), values=found)


def _texts(value: object, name: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise RequestError(Code.BAD_REQUEST, f"{name} is an object whose values are texts.")
    return value
