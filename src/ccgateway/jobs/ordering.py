"""The total order of jobs, cursors into it, and the merge of many sites' rows. Pure.

The order is ``startTime`` descending, then site, cluster, jobId ascending: strict, because the job key is unique. Sites give
``startTime`` descending with undefined ties, so rows are only final once a site is known to be complete down to their second.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.filters import JobFilter, JobOrder
from ccgateway.jobs.model import JobRow

__all__ = [
    "Cursor",
    "Position",
    "SortPlan",
    "before_second",
    "digest_of",
    "in_total_order",
    "position_of",
    "sort_plan",
    "take_through",
]  # fmt: skip

#: where a row stands in the total order: (−startTime, site, cluster, jobId), ascending
Position = tuple[int, str, str, int]


def position_of(row: JobRow) -> Position:
    """The row's place in the total order."""
    return -row.start_time, row.site, row.cluster, row.job_id


def before_second(second: int) -> Position:
    """The position just before every job that started in ``second``, and after all that started later."""
    return -second, "", "", -1


_start_of = attrgetter("start_time")


def in_total_order(rows: Iterable[JobRow]) -> list[JobRow]:
    """``rows`` by ``position_of``."""
    # whole numbers are compared faster than places, and few jobs share a second
    ordered = sorted(rows, key=_start_of, reverse=True)
    starts = list(map(_start_of, ordered))
    if len(set(starts)) < len(starts):
        first = 0
        for _, same in groupby(starts):
            end = first + len(list(same))
            if end - first > 1:
                ordered[first:end] = sorted(ordered[first:end], key=position_of)
            first = end
    return ordered


def take_through(rows: Sequence[JobRow], second: int) -> tuple[list[JobRow], list[JobRow]]:
    """Splits ``rows`` into those that started in ``second`` or later and the others, both as they were."""
    final = [row for row in rows if row.start_time >= second]
    waiting = [row for row in rows if row.start_time < second] if len(final) < len(rows) else []
    return final, waiting


# --- cursors


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    digest: str
    position: Position
    value: int | float | str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: everything up to and including ``position`` has been given.

    ``digest``: of the question it belongs to. ``value``: for another order than the total one, the value ordered by.
    Its text is of constant size, holds no secret, and stays valid when sites come and go.
    """

    digest: str
    position: Position
    value: int | float | str | None = None

    def encode(self) -> str:
        """The opaque text that clients hand back."""
        packed = msgspec.msgpack.encode(_Wire(1, self.digest, self.position, self.value))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, digest: str) -> Cursor:
        """The cursor in ``text``; ``INVALID_CURSOR`` if it is none, or one of another question."""
        try:
            packed = base64.b64decode(text[:2048] + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            wire = msgspec.msgpack.decode(packed, type=_Wire)
        except (ValueError, msgspec.MsgspecError):
            raise RequestError(
                Code.INVALID_CURSOR,
                "This is not a cursor. Hand it back as it was given, or start without one.",
            ) from None
        if wire.version != 1 or wire.digest != digest:
            raise RequestError(
                Code.INVALID_CURSOR,
                "This cursor belongs to another question (filter, order or sites differ). "
                "Repeat the question it came from, or start without one.",
            )
        return cls(wire.digest, wire.position, wire.value)


def digest_of(filters: Sequence[JobFilter], order: JobOrder, sites: Sequence[str] | None) -> str:
    """What must be the same for a cursor to continue: filter, order, and the sites asked for (``None``: all there are)."""
    asked = sorted(set(sites)) if sites is not None else None
    packed = msgspec.msgpack.encode([[msgspec.to_builtins(f) for f in filters], msgspec.to_builtins(order), asked])
    return hashlib.blake2b(packed, digest_size=8).hexdigest()


# --- other orders

#: names that ``order.field`` may have → row attribute; both the columns of the releases and the schema's own names
_COLUMNS = {
    "id": "id", "jobId": "job_id", "cluster": "cluster", "subcluster": "sub_cluster", "subCluster": "sub_cluster",
    "project": "project", "startTime": "start_time", "duration": "duration", "walltime": "walltime", "numNodes": "num_nodes",
    "numHwthreads": "num_hw_threads", "numHWThreads": "num_hw_threads", "numAcc": "num_acc", "smt": "smt", "SMT": "smt",
    "jobState": "state", "state": "state", "monitoringStatus": "monitoring_status", "arrayJobId": "array_job_id",
    "user": "user", "hpcUser": "user", "partition": "partition", "clusterPartition": "partition", "shared": "shared",
    "energy": "energy",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SortPlan:
    """How to sort for one ``JobOrder``: the attributes needed, the value ordered by, and the direction.

    ``is_total``: it is the total order, which needs no scan. Rows without a value (footprint keys) come last.
    """

    needs: frozenset[str]
    value: Callable[[JobRow], Any]
    descending: bool
    is_total: bool

    def sort(self, rows: Iterable[JobRow]) -> list[JobRow]:
        """``rows`` in this order, equal values in the total order."""
        pairs = [(self.value(row), row) for row in sorted(rows, key=position_of)]
        have = sorted((pair for pair in pairs if pair[0] is not None), key=itemgetter(0), reverse=self.descending)
        return [row for _, row in have] + [row for value, row in pairs if value is None]

    def after(self, rows: Sequence[JobRow], cursor: Cursor) -> list[JobRow]:
        """The part of the sorted ``rows`` that comes after ``cursor``."""
        return [row for row in rows if self._is_after(row, cursor)]

    def _is_after(self, row: JobRow, cursor: Cursor) -> bool:
        value, mark = self.value(row), cursor.value
        if value == mark:
            return position_of(row) > cursor.position
        if value is None or mark is None:  # what lacks a value comes last
            return value is None
        if isinstance(value, str) is not isinstance(mark, str):
            raise RequestError(Code.INVALID_CURSOR, "This cursor does not fit the order asked for.")
        return bool(value < mark) is self.descending


def sort_plan(order: JobOrder) -> SortPlan:
    """The plan for ``order``; ``BAD_REQUEST`` for a field that jobs cannot be ordered by."""
    descending = order.direction == "DESC"
    if order.type != "col":
        key = order.field
        return SortPlan(frozenset({"footprint"}), lambda row: (row.footprint or {}).get(key), descending, is_total=False)
    column = _COLUMNS.get(order.field)
    if column is None:
        known = ", ".join(_COLUMNS)
        raise RequestError(
            Code.BAD_REQUEST,
            f"OrderByInput.field: jobs cannot be ordered by {order.field[:40]!r}. "
            f'Use one of {known}; or type "foot" with a footprint key.',
        )
    return SortPlan(
        frozenset({column}),
        lambda row: getattr(row, column),
        descending,
        is_total=column == "start_time" and descending,
    )
