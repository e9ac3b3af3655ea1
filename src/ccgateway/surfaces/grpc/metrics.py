"""Metrics of jobs: samples become packed doubles straight from the text that a site sent (``encoding``)."""

from __future__ import annotations

from ccgateway.errors import GatewayError, RequestError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import MetricPiece
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_metrics
from ccgateway.surfaces.grpc.encoding import EncodedMetric, encode, with_length
from ccgateway.surfaces.grpc.messages import report_message
from ccgateway.surfaces.grpc.requests import bad, metrics_wanted
from ccgateway.surfaces.grpc.statuses import error_message
from ccgateway.surfaces.ids import Ids
from ccgateway.v1.jobs_service_pb2 import (
    GetJobMetricsRequest,
    GetJobMetricsResponse,
    StreamJobMetricsRequest,
    StreamJobMetricsResponse,
)

__all__ = ["Metrics"]

#: bytes of one message of a stream that are not gone beyond, unless one series alone is larger
MESSAGE_BYTES = 1_000_000
#: what begins the field of a metric, in the one response and in those of a stream
_IN_ONE, _IN_STREAM = b"\x0a", b"\x12"


def _named(ids: Ids, text: str) -> str:
    """The id as it is known; as it is where an integer is none, so that it fails alone."""
    try:
        return ids.named(text)
    except RequestError:
        return text


class Metrics:
    """The methods."""

    def __init__(self, gateway: Gateway, limits: LimitSettings) -> None:
        self._gateway, self._limits = gateway, limits

    async def get_job_metrics(self, request: GetJobMetricsRequest, call: Call) -> bytes:
        """The metrics of one job in one message."""
        wanted = metrics_wanted(request.selection)
        check_metrics(1, wanted, self._limits)
        budget = MetricsBudget(self._limits)
        answer = await self._gateway.job_metrics(Ids(self._gateway.numbers).named(request.id), wanted, call.caller, budget=budget)
        parts: list[bytes] = []
        for piece in answer.pieces:
            parts += with_length(_IN_ONE, (await _encoded(piece, answer)).whole)
        parts.append(GetJobMetricsResponse(site_report=report_message(answer.report)).SerializeToString())
        return b"".join(parts)

    async def stream_job_metrics(self, request: StreamJobMetricsRequest, call: Call) -> None:
        """The metrics of many jobs."""
        if not request.ids:
            raise bad("ids: no jobs are named.")
        wanted = metrics_wanted(request.selection)
        check_metrics(len(request.ids), wanted, self._limits)
        ids = Ids(self._gateway.numbers)
        batches = self._gateway.metrics_batches([_named(ids, one) for one in request.ids], wanted, call.caller)
        asked = iter(request.ids)
        while True:
            with call.sending() as sending:
                async with call.admitted(sending):
                    found = await batches.next()
                if found is None:
                    return
                found.reverse()
                while found:  # what was sent is let go of
                    _, outcome = found.pop()
                    await _send(next(asked), outcome, call)


async def _send(job_id: str, outcome: JobMetricsAnswer | GatewayError, call: Call) -> None:
    """The messages of one job, of which the last says that it is."""
    if isinstance(outcome, GatewayError):
        response = StreamJobMetricsResponse(id=job_id, job_done=True, error=error_message(outcome))
        await call.send(response.SerializeToString())
        return
    head = StreamJobMetricsResponse(id=job_id).SerializeToString()
    parts, size = [head], len(head)
    try:
        for piece in outcome.pieces:
            for found in (await _encoded(piece, outcome)).groups(MESSAGE_BYTES):
                more = sum(map(len, found))
                if size + more > MESSAGE_BYTES and len(parts) > 1:
                    await call.send(b"".join(parts))
                    parts, size = [head], len(head)
                parts += with_length(_IN_STREAM, found)
                size += more
    except SiteError as error:
        done = StreamJobMetricsResponse(job_done=True, error=error_message(error))
    else:
        done = StreamJobMetricsResponse(job_done=True, site_report=report_message(outcome.report))
    parts.append(done.SerializeToString())
    await call.send(b"".join(parts))


async def _encoded(piece: MetricPiece, answer: JobMetricsAnswer) -> EncodedMetric:
    """The piece's message: made once for as long as the piece is kept. Raises ``BAD_ANSWER`` for samples that are no numbers."""
    kept = answer.forms.get(piece) if answer.forms is not None else None
    if isinstance(kept, EncodedMetric):
        return kept
    made = await encode(piece, answer.report.site)
    if answer.forms is not None:
        answer.forms.keep(piece, made, made.size)
    return made
