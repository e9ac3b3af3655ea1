"""Which nodes are in use: those of the jobs that run, read off the list of all sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ccgateway.federation.questions import JobListQuestion, SiteReport
from ccgateway.jobs.filters import JobFilter, TimeRange
from ccgateway.surfaces.rest.calls import Call
from ccgateway.surfaces.rest.listing import SiteState

__all__ = ["NodesInUse", "UsedNodes", "nodes_in_use"]

#: jobs read at once
PAGE = 2000


@dataclass(frozen=True, slots=True)
class UsedNodes:
    """Host names by cluster, both in alphabetical order, and what each site came to."""

    nodes: Mapping[str, Sequence[str]]
    reports: Sequence[SiteReport]


class NodesInUse(msgspec.Struct, omit_defaults=True, rename="camel"):
    """As it is written. ``sites``: what each site came to, if one is missing."""

    used_nodes: Mapping[str, Sequence[str]]
    sites: dict[str, SiteState] | None = None


async def nodes_in_use(call: Call, before: int) -> UsedNodes:
    """The nodes of the running jobs that started before ``before`` (epoch seconds). Clusters of one name count as one."""
    wanted = JobFilter(state=("running",), start_time=TimeRange(None, before - 1))
    hosts: dict[str, set[str]] = {}
    reports: dict[str, SiteReport] = {}
    after: str | None = None
    while True:
        size = min(PAGE, call.state.limits.page_jobs)
        question = JobListQuestion(
            filters=(wanted,), first=size, after=after, sites=call.sites, fields=frozenset({"resources"}), policy=call.policy
        )
        answer = await call.gateway.jobs(question, call.caller)
        for row in answer.rows:
            hosts.setdefault(row.cluster, set()).update(one.hostname for one in row.resources or ())
        for report in answer.reports:
            if report.site not in reports or not report.is_complete:
                reports[report.site] = report
        after = answer.end_cursor
        if not answer.has_next_page or after is None:
            break
    return UsedNodes({cluster: sorted(hosts[cluster]) for cluster in sorted(hosts)}, list(reports.values()))
