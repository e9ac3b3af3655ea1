"""Pieces of metrics as bytes, for a cache: samples stay the JSON text that the site wrote, and are found again without looking
for their ends.

First all but the samples, as MessagePack, with the length of each list of samples; then these lists, one behind the other. To
pack copies each list once, to unpack reads none of them: each is a view into the packed bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import JobMetric, MetricPiece, Series, Statistics, StatisticsSeries

__all__ = ["FORMAT", "pack_pieces", "unpack_pieces"]

#: changes with the format, so that nobody unpacks what another release of this gateway packed
FORMAT = 1
_LENGTH_BYTES = 4
#: bytes of an empty list
_SHORTEST = 2


class _Series(msgspec.Struct, array_like=True, gc=False):
    hostname: str
    id: str | None
    statistics: Statistics | None
    size: int


class _Metric(msgspec.Struct, array_like=True, gc=False):
    scope: str
    unit: tuple[str, str | None] | None
    timestep: int
    series: list[_Series] | None
    over_all: tuple[int, int, int, int] | None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Metric])


def pack_pieces(pieces: Iterable[MetricPiece]) -> bytes:
    """The pieces, all of one metric, without its name."""
    samples: list[memoryview] = []
    head = _ENCODER.encode([_packed(piece.scope, piece.metric, samples) for piece in pieces])
    return b"".join((len(head).to_bytes(_LENGTH_BYTES, "big"), head, *samples))


def unpack_pieces(name: str, payload: bytes) -> list[MetricPiece]:
    """The pieces again. Raises ``msgspec.MsgspecError`` for what is not packed pieces."""
    view = memoryview(payload)
    end = _LENGTH_BYTES + int.from_bytes(view[:_LENGTH_BYTES], "big")
    samples = _Samples(view, end)
    pieces = [MetricPiece(name, one.scope, _metric(one, samples)) for one in _DECODER.decode(view[_LENGTH_BYTES:end])]
    if samples.end != len(payload):
        raise msgspec.DecodeError("the samples are not as long as they are said to be")
    return pieces


class _Samples:
    """Takes one list of samples after the other."""

    __slots__ = ("_view", "end")

    def __init__(self, view: memoryview, start: int) -> None:
        self._view, self.end = view, start

    def take(self, size: int) -> msgspec.Raw:
        start = self.end
        if size < _SHORTEST:
            raise ValueError("no list is that short")
        self.end = end = start + size
        return msgspec.Raw(self._view[start:end])


def _packed(scope: str, metric: JobMetric, samples: list[memoryview]) -> _Metric:
    """The piece without its samples, which are added to ``samples``."""
    series, over_all = None, None
    if metric.series is not None:
        lists = [memoryview(one.data) for one in metric.series]
        samples += lists
        series = [
            _Series(one.hostname, one.id, one.statistics, view.nbytes) for one, view in zip(metric.series, lists, strict=True)
        ]
    if (taken := metric.statistics_series) is not None:
        mean, median, lowest, highest = views = [memoryview(one) for one in (taken.mean, taken.median, taken.min, taken.max)]
        samples += views
        over_all = mean.nbytes, median.nbytes, lowest.nbytes, highest.nbytes
    unit = None if metric.unit is None else (metric.unit.base, metric.unit.prefix)
    return _Metric(scope, unit, metric.timestep, series, over_all)


def _metric(packed: _Metric, samples: _Samples) -> JobMetric:
    take = samples.take
    try:
        return JobMetric(
            None if packed.unit is None else Unit(*packed.unit),
            packed.timestep,
            None
            if packed.series is None
            else [Series(one.hostname, one.id, one.statistics, take(one.size)) for one in packed.series],
            None if packed.over_all is None else StatisticsSeries(*map(take, packed.over_all)),
        )
    except (ValueError, IndexError) as error:  # what was taken is no list
        raise msgspec.DecodeError("the samples are not where they are said to be") from error
