"""The root fields of GraphQL that the simulator answers, apart from the mutations: clusters, tags, jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.gate import Rows, rows_of
from ccgateway.simulator.messages import GoError, parse_int
from ccgateway.simulator.querying.job_fields import JobFields
from ccgateway.simulator.querying.job_lists import jobs
from ccgateway.simulator.writing.mutations import readable_tags
from ccgateway.simulator.writing.refusing import NO_ROWS

__all__ = ["QUERIES"]


def clusters(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of them, with the partitions that jobs ran in."""
    backend = call.backend
    return [c | {"partitions": backend.jobs.partitions(str(c["name"]))} for c in backend.clusters]


def tags(call: Call, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that the caller may see."""
    return [msgspec.to_builtins(t) for t in readable_tags(call, list(call.backend.tags))]


def job(call: Call, arguments: Mapping[str, Any]) -> JobFields:
    """One job, if the caller may see it whole."""
    release = call.release
    if release.row_visibility and rows_of(release, call.who) is Rows.NONE:
        raise FieldError("user has no or unknown roles")
    try:
        found = call.backend.visible_job(call.who, parse_int(str(arguments["id"])))
    except GoError as bad:
        raise FieldError(str(bad)) from bad
    if found is None:
        raise FieldError(NO_ROWS)
    if not call.who.may_read_metrics_of(found.user):
        raise FieldError("you are not allowed to see this job")
    return JobFields(call, found)


QUERIES: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {"clusters": clusters, "tags": tags, "job": job, "jobs": jobs}
