"""One metric as the bytes of its message.

What there is much of, the samples and what stands before each series, is put together here; the rest is written by the library
and joined with it, as the pieces of a message in the order of their fields are that message. A sample that is missing is NaN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.metrics import MetricPiece, Series, Statistics, StatisticsSeries
from ccgateway.surfaces.grpc.packed_numbers import packed
from ccgateway.v1 import metrics_pb2

__all__ = ["EncodedMetric", "encode", "with_length"]

#: bytes of samples that are read without letting others have their turn
AT_ONCE = 256 << 10
#: bytes beyond which a part of a message takes no more series
PART = 64 << 10

#: what begins a field that has a length: of a metric, a series and what is over all series; of a series, its host, its id, its
#: statistics and its samples; of what is over all series, each list
_SERIES, _OVER_ALL = b"\x2a", b"\x32"
_HOST, _ID, _STATISTICS, _SAMPLES = b"\x0a", b"\x12", b"\x1a", b"\x22"
_LISTS = (b"\x0a", b"\x12", b"\x1a", b"\x22")
#: statistics none of which is 0, with their length: each begins with the number of its field
_THREE = Struct("<BBdBdBd")
_LENGTH_OF_THREE = _THREE.size - 1


@dataclass(frozen=True, slots=True)
class EncodedMetric:
    """The message in parts. ``head``: name, scope, unit, timestep; ``rest``: one or several series in each, and at last what is
    taken over all of them."""

    head: bytes
    rest: Sequence[bytes]

    @property
    def whole(self) -> list[bytes]:
        """The one message."""
        return [self.head, *self.rest]

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(map(len, self.whole))

    def groups(self, most: int) -> Iterator[list[bytes]]:
        """Messages of no more than ``most`` bytes, unless one part alone is larger: each has the head and some of the rest."""
        parts, size = [self.head], len(self.head)
        for part in self.rest:
            if size + len(part) > most and len(parts) > 1:
                yield parts
                parts, size = [self.head], len(self.head)
            parts.append(part)
            size += len(part)
        yield parts


async def encode(piece: MetricPiece, site: str) -> EncodedMetric:
    """The piece's message. Raises ``BAD_ANSWER`` for samples that are no numbers."""
    unit = piece.metric.unit
    message = metrics_pb2.JobMetric(name=piece.name, scope=piece.scope, timestep_seconds=piece.metric.timestep)
    if unit is not None:
        message.unit.CopyFrom(metrics_pb2.Unit(base=unit.base, prefix=unit.prefix or ""))
    head = message.SerializeToString()
    rest: list[bytes] = []
    hosts: dict[str, bytes] = {}
    read, written, size = 0, list[bytes](), 0
    for one in piece.metric.series or ():
        if (read := read + len(one.data)) > AT_ONCE:
            await asyncio.sleep(0)
            read = 0
        begin, samples = _one_series(one, hosts, site)
        written += begin, samples
        size += len(begin) + len(samples)
        if size > PART:
            rest.append(b"".join(written))
            written, size = [], 0
    rest += b"".join(written), _over_all(piece.metric.statistics_series, site)
    return EncodedMetric(head, [part for part in rest if part])


def _one_series(one: Series, hosts: dict[str, bytes], site: str) -> tuple[bytes, bytes]:
    """What comes before the samples, and these; ``hosts``: the fields of those met so far."""
    host = hosts.get(one.hostname)
    if host is None:
        host = hosts[one.hostname] = _text(_HOST, one.hostname) if one.hostname else b""
    part = _text(_ID, one.id) if one.id is not None else b""
    statistics = _statistics(one.statistics) if one.statistics is not None else b""
    samples = _doubles(one.data, site)
    length = _varint(len(samples))
    size = len(host) + len(part) + len(statistics) + 1 + len(length) + len(samples)
    return b"".join((_SERIES, _varint(size), host, part, statistics, _SAMPLES, length)), samples


def _statistics(its: Statistics) -> bytes:
    if its.avg and its.min and its.max:
        return _STATISTICS + _THREE.pack(_LENGTH_OF_THREE, 0x09, its.avg, 0x11, its.min, 0x19, its.max)
    # a number that is 0 is left out, but for -0
    message = metrics_pb2.SeriesStatistics(avg=its.avg, min=its.min, max=its.max).SerializeToString()
    return _STATISTICS + _varint(len(message)) + message


def _over_all(one: StatisticsSeries | None, site: str) -> bytes:
    if one is None:
        return b""
    parts: list[bytes] = []
    for tag, text in zip(_LISTS, (one.mean, one.median, one.min, one.max), strict=True):
        samples = _doubles(text, site)
        if samples:
            parts += with_length(tag, [samples])
    return b"".join(with_length(_OVER_ALL, parts))


def _doubles(text: msgspec.Raw, site: str) -> bytes:
    try:
        return packed(text)
    except (msgspec.MsgspecError, ValueError):
        raise SiteError(Code.BAD_ANSWER, site, "The site's samples are not proper JSON.") from None


def with_length(tag: bytes, parts: Sequence[bytes]) -> list[bytes]:
    """A field of that tag: what it holds is ``parts``."""
    return [tag, _varint(sum(map(len, parts))), *parts]


def _text(tag: bytes, text: str) -> bytes:
    written = text.encode()
    return tag + _varint(len(written)) + written


def _varint(number: int) -> bytes:
    if number < 128:
        return number.to_bytes(1, "little")
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
