"""Metrics of a job, as a site measured them: what is asked for, and the pieces that come.

A piece is one metric at one scope. What there is much of, the lists of samples, stays the JSON text that the site sent
(``msgspec.Raw``, a view into the site's body): it is found while the rest is decoded, and never becomes Python numbers on its
way to a client or a cache. Everything else (unit, hosts, statistics) is small and decoded.

::

    MetricsWanted      metrics, scopes and resolution, as a caller asks for them
    MetricPiece        one metric at one scope ── JobMetric ── Series, StatisticsSeries
    Forms              what was made of pieces that are kept
    summary            what one metric comes to in numbers, over the whole job
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

import msgspec

from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.model import Int32, JobKey, JobRow

__all__ = [
    "NEEDED", "SCOPES", "Forms", "JobMetric", "JobRef", "MetricPiece", "MetricsWanted", "Phase", "Series", "Statistics",
    "StatisticsSeries", "check_lists", "in_order_of", "phase_of", "summary",
]  # fmt: skip

#: every scope, coarse to fine
SCOPES = ("node", "socket", "memoryDomain", "core", "hwthread", "accelerator")

EMPTY = msgspec.Raw(b"[]")
_NULL = msgspec.Raw(b"null")
_BRACKET = ord("[")


class Phase(StrEnum):
    """How far a job has come, as far as its metrics are concerned: they grow, may still change, or stay as they are."""

    RUNNING = "running"
    ENDED = "ended"
    ARCHIVED = "archived"


def phase_of(state: str, monitoring_status: int) -> Phase:
    """The phase of a job in that state. One that has ended but is not archived (yet) is read from where running ones are."""
    if state in _UNDER_WAY:
        return Phase.RUNNING
    return Phase.ARCHIVED if monitoring_status == _ARCHIVED else Phase.ENDED


_UNDER_WAY, _ARCHIVED = frozenset({"running", "pending", "suspended"}), 3
#: the attributes of a row that tell its phase
NEEDED = frozenset({"state", "monitoring_status"})


@dataclass(frozen=True, slots=True)
class JobRef:
    """A job whose metrics are wanted: where it is and, where its row was read before, what identifies it for good and how far it
    has come."""

    site: str
    db_id: int
    key: JobKey | None = None
    phase: Phase | None = None

    @classmethod
    def of(cls, row: JobRow) -> JobRef:
        """The job of a row that has the attributes ``NEEDED``."""
        return cls(row.site, row.id, row.key, phase_of(row.state, row.monitoring_status))


@dataclass(frozen=True, slots=True)
class MetricsWanted:
    """Metrics and scopes by name (``None``: all that the site gives unasked; empty: none), and the seconds between samples."""

    names: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    resolution: int | None = None

    @classmethod
    def of(cls, names: Iterable[str] | None, scopes: Iterable[str] | None, resolution: int | None = None) -> MetricsWanted:
        """The same question written once: a name that comes twice is asked for once. No scopes at all are none that are said."""
        return cls(_distinct(names), _distinct(scopes) or None, resolution)

    @property
    def is_nothing(self) -> bool:
        """Whether an empty list asks for nothing. It must not be sent: sites take it for "all", and remember it as that."""
        return self.names == ()


def _distinct(words: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(dict.fromkeys(words))


def _list_text(text: msgspec.Raw) -> msgspec.Raw:
    """A list's JSON text; an empty one for ``null``, as cc-backend's own GraphQL writes it. Raises ``ValueError`` for others."""
    if memoryview(text)[0] == _BRACKET:
        return text
    if text == _NULL:
        return EMPTY
    raise ValueError("a list of samples is not a list")


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """Of one series."""

    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class Series(msgspec.Struct, gc=False):
    """One place's samples. ``id``: which socket, thread or accelerator of the host; ``None`` for the host as a whole.

    There may be thousands, so that ``data`` is looked at for all of a metric at once (``check_lists``).
    """

    hostname: str = ""
    id: str | None = None
    statistics: Statistics | None = None
    data: msgspec.Raw = EMPTY


def check_lists(series: Sequence[Series]) -> None:
    """Sees to it that ``data`` is a list everywhere, and empty where it is ``null``. Raises ``ValueError`` for anything else."""
    begins = bytes([memoryview(one.data)[0] for one in series])
    if begins.count(_BRACKET) < len(begins):
        for one in series:
            one.data = _list_text(one.data)


class StatisticsSeries(msgspec.Struct, omit_defaults=True, gc=False):
    """Over all places, sample by sample. What a release does not compute is empty."""

    mean: msgspec.Raw = EMPTY
    median: msgspec.Raw = EMPTY
    min: msgspec.Raw = EMPTY
    max: msgspec.Raw = EMPTY

    def __post_init__(self) -> None:
        self.mean, self.median = _list_text(self.mean), _list_text(self.median)
        self.min, self.max = _list_text(self.min), _list_text(self.max)


class JobMetric(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """One metric at one scope: ``timestep`` seconds from sample to sample, from the job's start on."""

    unit: Unit | None = None
    timestep: Int32 = 0
    series: list[Series] | None = None
    statistics_series: StatisticsSeries | None = None

    def __post_init__(self) -> None:
        check_lists(self.series or ())


class MetricPiece(msgspec.Struct, frozen=True, gc=False):
    """One metric of one job at one scope."""

    name: str
    scope: str
    metric: JobMetric

    @classmethod
    def from_json(cls, name: str, scope: str, text: bytes | msgspec.Raw) -> MetricPiece:
        """The piece whose metric is written in ``text``; raises ``msgspec.MsgspecError``."""
        return cls(name, scope, _DECODER.decode(text))

    def to_json(self) -> bytes:
        """The metric alone, every sample as the site wrote it."""
        return _ENCODER.encode(self.metric)

    @property
    def size(self) -> int:
        """Bytes that its samples take."""
        metric = self.metric
        total = sum(map(len, map(_DATA, metric.series or ())))
        if (over_all := metric.statistics_series) is not None:
            total += sum(map(len, (over_all.mean, over_all.median, over_all.min, over_all.max)))
        return total


class Forms(Protocol):
    """What a face has made of pieces that are kept: kept beside them, and let go with them."""

    def get(self, piece: MetricPiece) -> object | None:
        """What was made of this very piece, if it is still there."""
        ...

    def keep(self, piece: MetricPiece, form: object, size: int) -> None:
        """Keeps ``form``, which takes ``size`` bytes and is changed by nobody, as long as the piece is kept, if it is."""
        ...


_DATA = attrgetter("data")
_DECODER = msgspec.json.Decoder(JobMetric)
_ENCODER = msgspec.json.Encoder()


def in_order_of(wanted: MetricsWanted, pieces: Iterable[MetricPiece]) -> list[MetricPiece]:
    """``pieces`` as they were asked for: by name, then by scope; what was not asked for by name comes in alphabetical order,
    scopes from coarse to fine."""
    names, scopes = wanted.names or (), (*(wanted.scopes or ()), *SCOPES)

    def rank(piece: MetricPiece) -> tuple[int, str, int, str]:
        return _place(piece.name, names), piece.name, _place(piece.scope, scopes), piece.scope

    return sorted(pieces, key=rank)


def _place(word: str, words: Sequence[str]) -> int:
    return words.index(word) if word in words else len(words)


def summary(pieces: Sequence[MetricPiece]) -> Statistics | None:
    """What one metric comes to over the whole job, from its pieces at all scopes: the mean of the nodes' averages (two
    decimals, as cc-backend keeps it), the lowest and the highest value. Without a piece at node scope, over the series of the
    coarsest there is. ``None`` where no series has statistics."""
    for piece in sorted(pieces, key=lambda piece: _place(piece.scope, SCOPES)):
        found = [one.statistics for one in piece.metric.series or () if one.statistics is not None]
        if found:
            mean = sum(one.avg for one in found) / len(found)
            return Statistics(round(mean, 2), min(one.min for one in found), max(one.max for one in found))
    return None
