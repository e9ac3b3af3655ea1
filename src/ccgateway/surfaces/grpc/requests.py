"""What callers ask for, as the gateway's own values: filters, orders, field masks, times, and the jobs of writes.

A field that is not set restricts nothing. Enum numbers that this version does not know are refused, not passed over: a filter
that does not filter would give too much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any, Literal

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.errors import Code, RequestError
from ccgateway.federation.questions import Policy
from ccgateway.identity.principal import Principal
from ccgateway.jobs import filters as values
from ccgateway.jobs.metrics import SCOPES, MetricsWanted
from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, STATES, Tag
from ccgateway.jobs.writes import Target
from ccgateway.surfaces.ids import Ids
from ccgateway.v1 import filter_pb2, job_pb2, metrics_pb2, report_pb2, writes_service_pb2

__all__ = [
    "SHARED_BY_NUMBER", "STATE_BY_NUMBER", "bad", "filters_of", "masked", "metrics_wanted", "order_of", "policy_of",
    "shared_of", "sites_of", "state_of", "tags_of", "target_of", "time_of",
]  # fmt: skip

#: of ``JobState`` and ``NodeSharing``: number → the gateway's own word
STATE_BY_NUMBER: Mapping[int, str] = {job_pb2.JobState.Value(f"JOB_STATE_{state.upper()}"): state for state in STATES}
SHARED_BY_NUMBER: Mapping[int, str] = {
    job_pb2.NodeSharing.Value(f"NODE_SHARING_{word.upper()}"): word for word in SHARED_BY_EXCLUSIVE.values()
}
_RECENT: Mapping[int, str | None] = {
    filter_pb2.RECENT_TIME_UNSPECIFIED: None,
    filter_pb2.RECENT_TIME_LAST_6_HOURS: "last6h",
    filter_pb2.RECENT_TIME_LAST_24_HOURS: "last24h",
    filter_pb2.RECENT_TIME_LAST_7_DAYS: "last7d",
    filter_pb2.RECENT_TIME_LAST_30_DAYS: "last30d",
}
_SCHEDULES: Mapping[int, str | None] = {
    filter_pb2.SCHEDULE_UNSPECIFIED: None,
    filter_pb2.SCHEDULE_INTERACTIVE: "interactive",
    filter_pb2.SCHEDULE_BATCH: "batch",
}
_DIRECTIONS: Mapping[int, Literal["ASC", "DESC"]] = {
    filter_pb2.SORT_DIRECTION_UNSPECIFIED: "DESC",
    filter_pb2.SORT_DIRECTION_DESCENDING: "DESC",
    filter_pb2.SORT_DIRECTION_ASCENDING: "ASC",
}
_POLICIES: Mapping[int, Policy] = {
    report_pb2.POLICY_UNSPECIFIED: Policy.PARTIAL,
    report_pb2.POLICY_PARTIAL: Policy.PARTIAL,
    report_pb2.POLICY_STRICT: Policy.STRICT,
}


def bad(message: str) -> RequestError:
    """``BAD_REQUEST``."""
    return RequestError(Code.BAD_REQUEST, message)


def time_of(field: str, time: Timestamp) -> int:
    """Epoch seconds; fractions of a second do not count."""
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos < 10**9:
        raise bad(f"{field}: is no Timestamp, which lies between the years 1 and 9999.")
    return time.seconds


def sites_of(names: Iterable[str]) -> list[str] | None:
    """The sites to ask; ``None``: all of them."""
    return list(names) or None


def policy_of(number: int, caller: Principal) -> Policy:
    """What holds for that caller when a site does not answer."""
    if number not in _POLICIES:
        raise bad(f"policy: {number} is not known.")
    return _POLICIES[number].of(caller)


def masked(mask: FieldMask, of: type[Message], default: Collection[str]) -> frozenset[str]:
    """The fields that a read mask names; ``default`` without one. ``*`` is all of them."""
    if not mask.paths:
        return frozenset(default)
    known = of.DESCRIPTOR.fields_by_name
    for path in mask.paths:
        if path != "*" and path not in known:
            raise bad(f"read_mask: {path[:60]!r} is none of the fields of {of.DESCRIPTOR.name}: {', '.join(known)}.")
    return frozenset(known) if "*" in mask.paths else frozenset(mask.paths)


def order_of(order: filter_pb2.JobOrder) -> values.JobOrder:
    """The order asked for; newest first for none."""
    if order.direction not in _DIRECTIONS:
        raise bad(f"order.direction: {order.direction} is not known.")
    direction = _DIRECTIONS[order.direction]
    if order.footprint:
        if not order.field:
            raise bad("order.field: which key of the footprint is meant?")
        return values.JobOrder(order.field, "foot", direction)
    return values.JobOrder(order.field or "startTime", "col", direction)


# --- filters


def filters_of(filters: Iterable[filter_pb2.JobFilter], ids: Ids) -> tuple[values.JobFilter, ...]:
    """The filters, of which all must hold; ``ids``: how integer ids are read."""
    return tuple(_filter(one, ids) for one in filters)


def _filter(one: filter_pb2.JobFilter, ids: Ids) -> values.JobFilter:
    texts: dict[str, Any] = {name: _text(getattr(one, name)) for name in _TEXTS if one.HasField(name)}
    ranges: dict[str, Any] = {own: _integers(getattr(one, name)) for name, own in _RANGES.items() if one.HasField(name)}
    return values.JobFilter(
        **texts,
        **ranges,
        tags=tuple(one.tag_ids) or None,
        db_id=ids.all_named(one.ids) if one.ids else None,
        array_job_id=one.array_job_id if one.HasField("array_job_id") else None,
        energy=_numbers(one.energy_kwh) if one.HasField("energy_kwh") else None,
        start_time=_times(one.start_time) if one.HasField("start_time") else None,
        state=tuple(state_of("states", state) for state in one.states) or None,
        metric_stats=tuple(values.MetricStat(stat.key, _numbers(stat.range)) for stat in one.footprint) or None,
        shared=shared_of(one.shared),
        schedule=_known("schedule", _SCHEDULES, one.schedule),
    )


_TEXTS = ("job_id", "user", "project", "job_name", "cluster", "sub_cluster", "partition", "node")
_RANGES = {
    "duration_seconds": "duration",
    "num_nodes": "num_nodes",
    "num_acc": "num_accelerators",
    "num_hw_threads": "num_hw_threads",
}


def _text(one: filter_pb2.StringFilter) -> values.StringInput:
    operator = one.WhichOneof("operator")
    if operator is None:
        return values.StringInput()
    if operator == "any_of":
        return values.StringInput(in_=tuple(one.any_of.values))
    return values.StringInput(**{operator: getattr(one, operator)})


def _integers(one: filter_pb2.Int64Range) -> values.IntRange:
    return values.IntRange(one.min if one.HasField("min") else None, one.max if one.HasField("max") else None)


def _numbers(one: filter_pb2.DoubleRange) -> values.FloatRange:
    if not (isfinite(one.min) and isfinite(one.max)):
        raise bad("The ends of a range are finite numbers.")
    return values.FloatRange(one.min if one.HasField("min") else None, one.max if one.HasField("max") else None)


def _times(one: filter_pb2.TimeRange) -> values.TimeRange:
    return values.TimeRange(
        time_of("not_before", one.not_before) if one.HasField("not_before") else None,
        time_of("not_after", one.not_after) if one.HasField("not_after") else None,
        _known("recent", _RECENT, one.recent),
    )


def _known(field: str, words: Mapping[int, str | None], number: int) -> str | None:
    if number not in words:
        raise bad(f"{field}: {number} is not known.")
    return words[number]


def state_of(field: str, number: int) -> str:
    """The word for a state. ``BAD_REQUEST`` for none."""
    state = STATE_BY_NUMBER.get(number)
    if state is None:
        raise bad(f"{field}: {number} is no JobState that this gateway knows.")
    return state


def shared_of(number: int) -> str | None:
    """The word for how a job shares its nodes; ``None`` for the unspecified."""
    if number == job_pb2.NODE_SHARING_UNSPECIFIED:
        return None
    return _known("shared", SHARED_BY_NUMBER, number)


def metrics_wanted(selection: metrics_pb2.MetricSelection) -> MetricsWanted:
    """Which metrics, at which scopes."""
    for scope in selection.scopes:
        if scope not in SCOPES:
            raise bad(f"selection.scopes: {scope[:40]!r} is none of {', '.join(SCOPES)}.")
    if selection.resolution_seconds < 0:
        raise bad("selection.resolution_seconds: is below 0.")
    resolution = selection.resolution_seconds if selection.HasField("resolution_seconds") else None
    return MetricsWanted.of(list(selection.metrics) or None, list(selection.scopes) or None, resolution)


# --- writes


def target_of(job: writes_service_pb2.JobTarget) -> Target:
    """The job that is meant. ``BAD_REQUEST`` where none is named."""
    return Target.of(
        job.id or None,
        site=job.site or None,
        cluster=job.cluster or None,
        job_id=job.job_id if job.HasField("job_id") else None,
        start_time=time_of("start_time", job.start_time) if job.HasField("start_time") else None,
    )


def tags_of(tags: Iterable[job_pb2.Tag]) -> tuple[Tag, ...]:
    """The tags."""
    found = tuple(Tag(tag.type, tag.name, tag.scope or "global") for tag in tags)
    if not all(tag.type and tag.name for tag in found):
        raise bad("A tag has a type and a name.")
    return found
