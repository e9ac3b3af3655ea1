"""``jobs``: filter, order, page and count as each release has them.

No release adds a tie-breaker to an order: here, equal keys come in an order that looks like none and that differs from column to
column, so that whoever relies on one is found out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice
from typing import Any

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.gate import Rows, rows_of
from ccgateway.simulator.job import Job
from ccgateway.simulator.querying.job_fields import JobFields
from ccgateway.simulator.querying.job_filters import Found, filtered, footprint_of

__all__ = ["jobs"]

_NO_ROLES = "user has no or unknown roles"


def jobs(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One page of the matching jobs that the caller may see, and how many there are."""
    page = arguments.get("page") or {"itemsPerPage": 50, "page": 1}
    key = _sort_key(call, arguments.get("order"))
    found = filtered(call, arguments.get("filter"))
    found.tests[:0] = _hiding(call)
    if found.tests or found.tag_ids is not None:
        count = sum(found.times(job, call.release) for job in _matching(call, found))
    else:
        count = call.backend.jobs.count(found.selection)
    shown, more = _page(call, found, key, page["itemsPerPage"], page["page"])
    return {
        "items": [JobFields(call, job) for job in shown],
        "offset": None,
        "limit": None,
        "count": count,
        "hasNextPage": more if call.release.tells_next_page else None,
    }


def _hiding(call: Call) -> list[Callable[[Job], bool]]:
    """The test of the jobs that the caller may see, unless that is all of them."""
    rows = rows_of(call.release, call.who)
    if rows is Rows.ALL:
        return []
    if rows is Rows.NONE and call.release.row_visibility:
        raise FieldError(_NO_ROLES)
    return [lambda job: job.user == call.who.subject]


def _matching(call: Call, found: Found) -> Iterator[Job]:
    """Newest first."""
    return (job for job in call.backend.jobs.matching(found.selection) if found.admits(job))


Key = Callable[[Job], Any] | None


def _page(call: Call, found: Found, key: tuple[Key, bool], size: int, number: int) -> tuple[list[Job], bool]:
    """The jobs of the page, and whether there are more."""
    if size != -1:
        if size < 1 and call.release.strict_paging:
            raise FieldError(f"invalid items-per-page value: {size}")
        number = max(number, 1) if call.release.strict_paging else number
        if size < 1 or number < 1:
            return [], False
    skip = 0 if size == -1 else (number - 1) * size
    end = None if size == -1 else skip + size
    rows = (job for job in _matching(call, found) for _ in range(found.times(job, call.release)))
    value, descending = key
    if value is None:  # by start time, newest first, as the store has them
        shown = list(islice(rows, skip, None if end is None else end + 1))
    else:
        keyed = ((_ranked(value(job), descending=descending), _shuffled(job.id), job.id, job) for job in rows)
        first = sorted(keyed) if end is None else nsmallest(end + 1, keyed)
        shown = [job for *_, job in first[skip:]]
    return (shown, False) if end is None else (shown[:size], len(shown) > size)


def _shuffled(db_id: int) -> int:
    return db_id * 2654435761 % 65537


class _Reversed:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    __hash__ = None  # type: ignore[assignment]


def _ranked(value: Any, *, descending: bool) -> Any:
    """SQLite's order, in which NULL is the least."""
    pair = (0, "") if value is None else (1, value)
    return _Reversed(pair) if descending else pair


# --- order

_COLUMNS: dict[str, Callable[[Job], Any]] = {
    "id": lambda job: job.id,
    "job_id": lambda job: job.job_id,
    "cluster": lambda job: job.cluster,
    "subcluster": lambda job: job.sub_cluster,
    "project": lambda job: job.project,
    "start_time": lambda job: job.start_time,
    "duration": lambda job: job.duration,
    "walltime": lambda job: job.walltime,
    "num_nodes": lambda job: job.num_nodes,
    "num_hwthreads": lambda job: job.num_hwthreads,
    "num_acc": lambda job: job.num_acc,
    "smt": lambda job: job.smt,
    "job_state": lambda job: job.state,
    "monitoring_status": lambda job: job.monitoring_status,
    "array_job_id": lambda job: job.array_job_id,
}
_OLD_NAMES: dict[str, Callable[[Job], Any]] = {"user": lambda job: job.user, "partition": lambda job: job.partition}
_NEW_NAMES: dict[str, Callable[[Job], Any]] = {
    "hpc_user": lambda job: job.user,
    "cluster_partition": lambda job: job.partition,
    "energy": lambda job: job.energy,
}


def _snake(name: str) -> str:
    """Go's conversion of a GraphQL name into a column's."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def _sort_key(call: Call, order: Mapping[str, Any] | None) -> tuple[Key, bool]:
    """The value to sort by (None: start time, newest first), and whether descending."""
    if order is None:
        return (lambda job: job.id % 7), False  # in no order to speak of
    release = call.release
    if re.search(r"['\"\\]" if not release.zero_is_open else r"['\"\\;\- ]", order["field"]):
        raise FieldError("MAIN > Panic caused by: toSnakeCase: potentially dangerous character detected")
    field, descending = _snake(order["field"]), order["order"] == "DESC"
    if release.order_needs_type and order["type"] != "col":
        return (lambda job: (footprint_of(job) or {}).get(field)), descending
    if field == "start_time" and descending:
        return None, True
    known = _COLUMNS | (_NEW_NAMES if release.order_needs_type else _OLD_NAMES)
    known |= {"shared": lambda job: job.shared} if release.zero_is_open else {"exclusive": lambda job: job.exclusive}
    if field not in known:
        raise FieldError(f"SQL logic error: no such column: job.{field} (1)")
    return known[field], descending
