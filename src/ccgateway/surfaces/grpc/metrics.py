"""Metrics of jobs: samples become packed doubles straight from the text that a site sent.

What there is much of, the samples, is put into the message as bytes; the rest (names, units, statistics) is written by the
library and joined with them, as the pieces of a message in the order of their fields are that message. A sample that is missing
is NaN.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from ccgateway.errors import Code, GatewayError, RequestError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs import metrics as values
from ccgateway.jobs.metrics import MetricPiece
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.grpc.calls import Call
from ccgateway.surfaces.grpc.costs import check_metrics
from ccgateway.surfaces.grpc.messages import report_message
from ccgateway.surfaces.grpc.packing import packed
from ccgateway.surfaces.grpc.requests import bad, metrics_wanted
from ccgateway.surfaces.grpc.statuses import error_message
from ccgateway.surfaces.ids import Ids
from ccgateway.v1.jobs_service_pb2 import (
    GetJobMetricsRequest,
    GetJobMetricsResponse,
    StreamJobMetricsRequest,
    StreamJobMetricsResponse,
)
from ccgateway.v1.metrics_pb2 import JobMetric, Series, SeriesStatistics, Unit

__all__ = ["Metrics"]

#: bytes of one message of a stream that are not gone beyond, unless one series alone is larger
MESSAGE_BYTES = 1_000_000
#: bytes of samples that are read without letting others have their turn
AT_ONCE = 256 << 10

#: what begins a field that has a length: of the response, its metrics; of a metric, a series and what is over all series; of a
#: series, the samples; of what is over all series, each list
_IN_ONE, _IN_STREAM = b"\x0a", b"\x12"
_SERIES, _OVER_ALL = b"\x2a", b"\x32"
_SAMPLES = b"\x22"
_LISTS = (b"\x0a", b"\x12", b"\x1a", b"\x22")


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
            async for found in _groups(piece, answer.report.site, most=None):
                parts += _field(_IN_ONE, found)
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
            async for found in _groups(piece, outcome.report.site, most=MESSAGE_BYTES):
                more = sum(map(len, found))
                if size + more > MESSAGE_BYTES and len(parts) > 1:
                    await call.send(b"".join(parts))
                    parts, size = [head], len(head)
                parts += _field(_IN_STREAM, found)
                size += more
    except SiteError as error:
        done = StreamJobMetricsResponse(job_done=True, error=error_message(error))
    else:
        done = StreamJobMetricsResponse(job_done=True, site_report=report_message(outcome.report))
    parts.append(done.SerializeToString())
    await call.send(b"".join(parts))


# --- a metric's bytes


async def _groups(piece: MetricPiece, site: str, *, most: int | None) -> AsyncIterator[list[bytes]]:
    """The metric as parts of a message; in several, of no more than ``most`` bytes each (``None``: in one).

    Raises ``BAD_ANSWER`` for samples that are no numbers.
    """
    series = piece.metric.series or ()
    head = _head(piece)
    over_all = _over_all(piece.metric.statistics_series, site)
    parts, size, read = [head], len(head), 0
    for one in series:
        if (read := read + len(one.data)) > AT_ONCE:
            await asyncio.sleep(0)
            read = 0
        written = _one_series(one, site)
        more = sum(map(len, written))
        if most is not None and size + more > most and len(parts) > 1:
            yield parts
            parts, size = [head], len(head)
        parts += written
        size += more
    if most is not None and size + sum(map(len, over_all)) > most and len(parts) > 1:
        yield parts
        parts = [head]
    yield parts + over_all


def _head(piece: MetricPiece) -> bytes:
    unit = piece.metric.unit
    message = JobMetric(name=piece.name, scope=piece.scope, timestep_seconds=piece.metric.timestep)
    if unit is not None:
        message.unit.CopyFrom(Unit(base=unit.base, prefix=unit.prefix or ""))
    return message.SerializeToString()


def _one_series(one: values.Series, site: str) -> list[bytes]:
    message = Series(hostname=one.hostname, id=one.id)
    if (its := one.statistics) is not None:
        message.statistics.CopyFrom(SeriesStatistics(avg=its.avg, min=its.min, max=its.max))
    head, samples = message.SerializeToString(), _doubles(one.data, site)
    length = _varint(len(samples))
    size = len(head) + 1 + len(length) + len(samples)
    return [_SERIES, _varint(size), head, _SAMPLES, length, samples]


def _over_all(one: values.StatisticsSeries | None, site: str) -> list[bytes]:
    if one is None:
        return []
    parts: list[bytes] = []
    for tag, text in zip(_LISTS, (one.mean, one.median, one.min, one.max), strict=True):
        samples = _doubles(text, site)
        if samples:
            parts += [tag, _varint(len(samples)), samples]
    return _field(_OVER_ALL, parts)


def _doubles(text: msgspec.Raw, site: str) -> bytes:
    try:
        return packed(text)
    except (msgspec.MsgspecError, ValueError):
        raise SiteError(Code.BAD_ANSWER, site, "The site's samples are not proper JSON.") from None


def _field(tag: bytes, parts: Sequence[bytes]) -> list[bytes]:
    """A field with a length: what it holds is ``parts``."""
    return [tag, _varint(sum(map(len, parts))), *parts]


def _varint(number: int) -> bytes:
    if number < 128:
        return number.to_bytes(1, "little")
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
