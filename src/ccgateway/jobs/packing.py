"""Pieces of metrics as bytes, for a cache: samples stay the JSON text that the site wrote, and are found again without looking
for their ends.

MessagePack around that text. Unpacking ten megabytes takes less than a millisecond where the samples are long: nothing of them is
read, and each list is a view into the packed bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import JobMetric, MetricPiece, Series, Statistics, StatisticsSeries

__all__ = ["FORMAT", "pack_pieces", "unpack_pieces"]

#: changes with the format, so that nobody unpacks what another release of this gateway packed
FORMAT = 1


class _Series(msgspec.Struct, array_like=True, gc=False):
    hostname: str
    id: str | None
    statistics: Statistics | None
    data: memoryview


class _Metric(msgspec.Struct, array_like=True, gc=False):
    scope: str
    unit: tuple[str, str | None] | None
    timestep: int
    series: list[_Series] | None
    over_all: tuple[memoryview, memoryview, memoryview, memoryview] | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Metric])


def pack_pieces(pieces: Iterable[MetricPiece]) -> bytes:
    """The pieces, all of one metric, without its name."""
    return _ENCODER.encode([_packed(piece) for piece in pieces])


def unpack_pieces(name: str, payload: bytes) -> list[MetricPiece]:
    """The pieces again. Raises ``msgspec.MsgspecError`` for what is not packed pieces."""
    return [MetricPiece(name, one.scope, _metric(one)) for one in _DECODER.decode(payload)]


def _packed(piece: MetricPiece) -> _Metric:
    metric, over_all = piece.metric, piece.metric.statistics_series
    return _Metric(
        piece.scope,
        None if metric.unit is None else (metric.unit.base, metric.unit.prefix),
        metric.timestep,
        None
        if metric.series is None
        else [_Series(one.hostname, one.id, one.statistics, memoryview(one.data)) for one in metric.series],
        None
        if over_all is None
        else (memoryview(over_all.mean), memoryview(over_all.median), memoryview(over_all.min), memoryview(over_all.max)),
    )


def _metric(packed: _Metric) -> JobMetric:
    raw = msgspec.Raw
    return JobMetric(
        None if packed.unit is None else Unit(*packed.unit),
        packed.timestep,
        None if packed.series is None else [Series(one.hostname, one.id, one.statistics, raw(one.data)) for one in packed.series],
        None if packed.over_all is None else StatisticsSeries(*map(raw, packed.over_all)),
    )
