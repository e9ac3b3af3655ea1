"""JobsService: whole result sets for reports, of the moment at which they begin."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Policy
from ccgateway.identity.principal import Principal
from ccgateway.surfaces.export.columns import RUNS_BY, is_running
from ccgateway.surfaces.export.resuming import Resume
from ccgateway.surfaces.export.shards import MOST_SHARDS, PIECE, Shard
from ccgateway.surfaces.export.streams import JobReader, Streams
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_filters
from ccgateway.surfaces.grpc.jobs import MOST_JOBS
from ccgateway.surfaces.grpc.messages import IN_LIST, JobWriter, report_message
from ccgateway.surfaces.grpc.requests import bad, filters_of, masked, policy_of, sites_of
from ccgateway.surfaces.ids import Ids
from ccgateway.v1 import job_pb2
from ccgateway.v1.jobs_service_pb2 import ExportJobsRequest, ExportJobsResponse
from ccgateway.v1.report_pb2 import POLICY_UNSPECIFIED

__all__ = ["Exports"]


class Exports:
    """The method. ``streams``: the exports of the process, by whichever face."""

    def __init__(self, gateway: Gateway, streams: Streams) -> None:
        self._gateway, self._streams = gateway, streams

    async def export_jobs(self, request: ExportJobsRequest, call: Call) -> None:
        """The stream of batches."""
        check_filters(request)
        if request.page_size < 0:
            raise bad("page_size is not below 0.")
        writer = JobWriter(masked(request.read_mask, job_pb2.Job, IN_LIST))
        digest = _digest_of(request, call.caller, self._gateway.releases(sites_of(request.sites), call.caller))
        resume = Resume.decode(request.page_token or None, digest)
        is_strict = request.policy == POLICY_UNSPECIFIED
        with self._streams.entered(call.caller.share):
            reader = JobReader(
                self._gateway,
                call.caller,
                self._streams,
                filters_of(request.filters, Ids(self._gateway.numbers)),
                resume.as_of,
                Policy.STRICT if is_strict else policy_of(request.policy, call.caller),
                writer.needs | RUNS_BY,
                sites_of(request.sites),
                after=resume.cursor,
                missing=frozenset(resume.missing),
                shard=_shard_of(request),
                latest=resume.latest,
                size=min(request.page_size or MOST_JOBS, MOST_JOBS),
            )
            await self._give(reader, writer, call, digest, is_running_too=request.running, rows=resume.rows)

    async def _give(
        self, reader: JobReader, writer: JobWriter, call: Call, digest: str, *, is_running_too: bool, rows: int
    ) -> None:
        as_of, is_last = Timestamp(seconds=reader.as_of), False
        while not is_last:
            with call.sending() as sending:
                response = ExportJobsResponse(as_of=as_of)
                async with call.admitted(sending):
                    batch = await reader.next()
                    jobs = () if batch is None else batch.rows
                    jobs = jobs if is_running_too else [row for row in jobs if not is_running(row, reader.as_of)]
                    writer.write(jobs, response.jobs.add)
                rows += len(jobs)
                reader.streams.observer.rows_exported("grpc", len(jobs))
                is_last = batch is None or batch.is_last
                response.rows = rows
                response.resume_token = reader.resume_token(digest, rows)
                response.unreachable.extend(sorted(reader.missing) if is_last or batch is None else batch.missing)
                if is_last:
                    response.complete = not reader.missing
                    response.site_reports.extend(map(report_message, reader.reports))
                del batch, jobs
                message = response.SerializeToString()
                del response
                sending.settle(len(message))
                await call.send(message)


def _shard_of(request: ExportJobsRequest) -> Shard | None:
    if not request.shard and not request.shards:
        return None
    if not 1 <= request.shard <= request.shards <= MOST_SHARDS:
        raise bad(
            f"shard: {request.shard} of {request.shards} is no slice: it is one of 1 to shards, which is {MOST_SHARDS} at most."
        )
    return Shard(request.shard, request.shards)


def _digest_of(request: ExportJobsRequest, caller: Principal, sites: Iterable[str]) -> str:
    """What must be the same for a token to go on: the question, who asks, and the names of the sites that it goes to."""
    filters = [one.SerializeToString(deterministic=True) for one in request.filters]
    asked = [filters, sorted(sites), request.running, request.shard, request.shards, PIECE]
    return blake2b(msgspec.msgpack.encode(["gRPC", caller.share, *asked]), digest_size=8).hexdigest()
