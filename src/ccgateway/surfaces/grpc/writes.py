"""WritesService: commands in, a result for each of them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ccgateway.federation.gateway import Gateway
from ccgateway.jobs import writes as values
from ccgateway.jobs.model import Resource
from ccgateway.jobs.writes import DeleteBefore, EditMeta, OmitTagged, StartJob, StopJob, TagJob, WriteOutcome
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_commands
from ccgateway.surfaces.grpc.messages import key_message
from ccgateway.surfaces.grpc.requests import bad, shared_of, state_of, tags_of, target_of, time_of
from ccgateway.v1 import job_pb2
from ccgateway.v1 import writes_service_pb2 as pb

__all__ = ["WriteMethods"]

_OUTCOMES: Mapping[WriteOutcome, int] = {
    outcome: pb.WriteOutcome.Value(f"WRITE_OUTCOME_{outcome.name}") for outcome in WriteOutcome
}
_SPARED: Mapping[int, OmitTagged] = {
    pb.SPARED_JOBS_UNSPECIFIED: "none",
    pb.SPARED_JOBS_TAGGED: "all",
    pb.SPARED_JOBS_TAGGED_BY_USERS: "user",
}


class WriteMethods:
    """The methods."""

    def __init__(self, gateway: Gateway, limits: LimitSettings) -> None:
        self._writes, self._limits = gateway.writes, limits

    async def start_jobs(self, request: pb.StartJobsRequest, call: Call) -> pb.StartJobsResponse:
        """Records jobs that have started."""
        check_commands(request, len(request.jobs), self._limits)
        commands = [_start(job) for job in request.jobs]
        results = await self._writes.start_jobs(commands, call.caller, call.write_call(request.idempotency_key))
        return pb.StartJobsResponse(results=_messages(results))

    async def stop_jobs(self, request: pb.StopJobsRequest, call: Call) -> pb.StopJobsResponse:
        """Records that jobs have ended."""
        check_commands(request, len(request.jobs), self._limits)
        commands = [_stop(job) for job in request.jobs]
        results = await self._writes.stop_jobs(commands, call.caller, call.write_call(request.idempotency_key))
        return pb.StopJobsResponse(results=_messages(results))

    async def tag_jobs(self, request: pb.TagJobsRequest, call: Call) -> pb.TagJobsResponse:
        """Puts tags on jobs."""
        commands = self._tag_commands(request)
        results = await self._writes.tag_jobs(commands, call.caller, call.write_call(request.idempotency_key))
        return pb.TagJobsResponse(results=_messages(results))

    async def untag_jobs(self, request: pb.UntagJobsRequest, call: Call) -> pb.UntagJobsResponse:
        """Takes tags from jobs."""
        commands = self._tag_commands(request)
        results = await self._writes.untag_jobs(commands, call.caller, call.write_call(request.idempotency_key))
        return pb.UntagJobsResponse(results=_messages(results))

    async def edit_jobs(self, request: pb.EditJobsRequest, call: Call) -> pb.EditJobsResponse:
        """Sets keys of jobs' metadata."""
        check_commands(request, len(request.jobs), self._limits)
        if not all(edit.meta_data for edit in request.jobs):
            raise bad("meta_data names no key.")
        commands = [EditMeta(target=target_of(edit.job), values=dict(sorted(edit.meta_data.items()))) for edit in request.jobs]
        results = await self._writes.edit_meta(commands, call.caller, call.write_call(request.idempotency_key))
        return pb.EditJobsResponse(results=_messages(results))

    async def delete_jobs(self, request: pb.DeleteJobsRequest, call: Call) -> pb.DeleteJobsResponse:
        """Deletes jobs."""
        check_commands(request, len(request.jobs), self._limits)
        results = await self._writes.delete_jobs(
            [target_of(job) for job in request.jobs],
            call.caller,
            call.write_call(request.idempotency_key),
            dry_run=request.dry_run,
        )
        return pb.DeleteJobsResponse(results=_messages(results))

    async def delete_jobs_before(self, request: pb.DeleteJobsBeforeRequest, call: Call) -> pb.DeleteJobsBeforeResponse:
        """Deletes every job that started before a time."""
        check_commands(request, 1, self._limits)
        if not request.HasField("before"):
            raise bad("before is missing.")
        if request.spare not in _SPARED:
            raise bad(f"spare: {request.spare} is not known.")
        command = DeleteBefore(
            before=time_of("before", request.before), sites=tuple(request.sites) or None, omit_tagged=_SPARED[request.spare]
        )
        results = await self._writes.delete_jobs_before(
            command, call.caller, call.write_call(request.idempotency_key), dry_run=request.dry_run
        )
        return pb.DeleteJobsBeforeResponse(results=_messages(results))

    def _tag_commands(self, request: pb.TagJobsRequest | pb.UntagJobsRequest) -> list[TagJob]:
        check_commands(request, len(request.jobs), self._limits)
        if not request.tags:
            raise bad("No tags are named.")
        tags = tags_of(request.tags)
        return [TagJob(target=target_of(job), tags=tags) for job in request.jobs]


def _start(job: pb.NewJob) -> StartJob:
    if not job.job_id or not job.user or not job.cluster or not job.HasField("start_time"):
        raise bad("A job that starts has a job_id, a user, a cluster and a start_time.")
    return StartJob(
        job_id=job.job_id,
        user=job.user,
        cluster=job.cluster,
        start_time=time_of("start_time", job.start_time),
        resources=tuple(map(_resource, job.resources)),
        site=job.site or None,
        project=job.project,
        sub_cluster=job.sub_cluster if job.HasField("sub_cluster") else None,
        partition=job.partition if job.HasField("partition") else None,
        array_job_id=job.array_job_id if job.HasField("array_job_id") else None,
        num_nodes=job.num_nodes if job.HasField("num_nodes") else None,
        num_hw_threads=job.num_hw_threads if job.HasField("num_hw_threads") else None,
        num_acc=job.num_acc if job.HasField("num_acc") else None,
        smt=job.smt if job.HasField("smt") else None,
        monitoring_status=job.monitoring_status if job.HasField("monitoring_status") else None,
        shared=shared_of(job.shared),
        walltime=job.walltime_seconds if job.HasField("walltime_seconds") else None,
        tags=tags_of(job.tags),
        meta_data=dict(job.meta_data),
    )


def _resource(one: job_pb2.Resource) -> Resource:
    configuration = one.configuration if one.HasField("configuration") else None
    return Resource(one.hostname, tuple(one.hwthreads) or None, tuple(one.accelerators) or None, configuration)


def _stop(job: pb.EndedJob) -> StopJob:
    if not job.HasField("stop_time"):
        raise bad("stop_time is missing.")
    state = state_of("state", job.state) if job.state else "completed"
    return StopJob(target=target_of(job.job), stop_time=time_of("stop_time", job.stop_time), state=state)


def _messages(results: Iterable[values.WriteResult]) -> list[pb.WriteResult]:
    return [_message(result) for result in results]


def _message(result: values.WriteResult) -> pb.WriteResult:
    return pb.WriteResult(
        outcome=_OUTCOMES[result.outcome],  # type: ignore[arg-type]
        site=result.site or "",
        id=result.job or "",
        key=key_message(result.key) if result.key is not None else None,
        count=result.count,
        code=result.code.value if result.code is not None else "",
        message=result.message or "",
        retryable=result.retryable,
    )
