"""JobsService, but for metrics: lists, counts, single jobs."""

from __future__ import annotations

from ccgateway.errors import Code, RequestError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_filters
from ccgateway.surfaces.grpc.messages import ALL_FIELDS, IN_LIST, JobWriter, report_message, unreachable_in
from ccgateway.surfaces.grpc.requests import bad, filters_of, masked, order_of, policy_of, sites_of, time_of
from ccgateway.surfaces.ids import Ids
from ccgateway.v1 import job_pb2
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    CountJobsResponse,
    GetJobByKeyRequest,
    GetJobByKeyResponse,
    GetJobRequest,
    GetJobResponse,
    ListJobsRequest,
    ListJobsResponse,
)

__all__ = ["Jobs"]

#: jobs in one message at the most
MOST_JOBS = 500


class Jobs:
    """The methods."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_jobs(self, request: ListJobsRequest, call: Call) -> None:
        """The stream of batches."""
        check_filters(request)
        if request.page_size < 0 or request.limit < 0:
            raise bad("page_size and limit are not below 0.")
        fields = masked(request.read_mask, job_pb2.Job, IN_LIST)
        writer = JobWriter(fields)
        question = JobListQuestion(
            filters=filters_of(request.filters, Ids(self._gateway.numbers)),
            order=order_of(request.order),
            after=request.page_token or None,
            sites=sites_of(request.sites),
            policy=policy_of(request.policy, call.caller),
            fields=writer.needs,
        )
        size = min(request.page_size or MOST_JOBS, MOST_JOBS)
        batches = self._gateway.job_batches(question, call.caller, size=size, most=request.limit or None)
        missing: dict[str, None] = {}
        while True:
            with call.sending() as sending:
                response = ListJobsResponse()
                async with call.admitted(sending):
                    batch = await batches.next()
                    if batch is None:
                        return
                    writer.write(batch.rows, response.jobs.add)
                missing.update(dict.fromkeys(batch.missing))
                response.resume_token = batch.resume or ""
                response.unreachable.extend(batch.missing)
                if batch.is_last:
                    del response.unreachable[:]
                    response.unreachable.extend(missing)
                    response.complete = not missing
                    response.has_more = batch.has_more
                    response.site_reports.extend(map(report_message, batches.reports))
                del batch
                message = response.SerializeToString()
                del response
                sending.settle(len(message))
                await call.send(message)

    async def count_jobs(self, request: CountJobsRequest, call: Call) -> CountJobsResponse:
        """How many jobs match."""
        check_filters(request)
        question = JobListQuestion(
            filters=filters_of(request.filters, Ids(self._gateway.numbers)),
            first=0,
            sites=sites_of(request.sites),
            policy=policy_of(request.policy, call.caller),
            wants_count=True,
            wants_jobs=False,
        )
        answer = await self._gateway.jobs(question, call.caller)
        return CountJobsResponse(
            count=answer.count,
            complete=answer.complete,
            unreachable=unreachable_in(answer.reports),
            site_reports=map(report_message, answer.reports),
        )

    async def get_job(self, request: GetJobRequest, call: Call) -> GetJobResponse:
        """One job by its id."""
        writer = JobWriter(masked(request.read_mask, job_pb2.Job, ALL_FIELDS))
        row = await self._gateway.job(Ids(self._gateway.numbers).named(request.id), call.caller, fields=writer.needs)
        return GetJobResponse(job=writer.one(row))

    async def get_job_by_key(self, request: GetJobByKeyRequest, call: Call) -> GetJobByKeyResponse:
        """One job by its key."""
        if not request.cluster or not request.job_id:
            raise RequestError(Code.BAD_REQUEST, "A key has a cluster and a job_id.")
        writer = JobWriter(masked(request.read_mask, job_pb2.Job, ALL_FIELDS))
        row = await self._gateway.job_by_key(
            call.caller,
            cluster=request.cluster,
            job_id=request.job_id,
            start_time=time_of("start_time", request.start_time) if request.HasField("start_time") else None,
            site=request.site or None,
            fields=writer.needs,
        )
        return GetJobByKeyResponse(job=writer.one(row))
