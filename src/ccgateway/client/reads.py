"""The questions: each a plan of requests that ends with a value."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import quote

import msgspec

from ccgateway.client.errors import GatewayError, error_of
from ccgateway.client.filters import Filters, selection, several, tag_of, texts
from ccgateway.client.plans import Answer, Plan, Request, decoded
from ccgateway.client.values import Figures, Job, JobStatistics, Metric, Missing, Series, Site, SiteReport, Tag, Unit

__all__ = [
    "GroupBy",
    "Include",
    "JobId",
    "JobWalk",
    "count",
    "id_of",
    "job",
    "job_statistics",
    "metrics",
    "sites",
    "statistics",
    "tags",
]

T = TypeVar("T")

#: a job, its id (``"site:number"``), or its integer id as the REST interfaces give it
JobId: TypeAlias = Job | str | int
#: what of a job comes only if asked for, as it costs more
Include: TypeAlias = Literal["resources", "footprint", "meta_data"]
#: by what jobs are grouped
GroupBy: TypeAlias = Literal["user", "project", "cluster", "subcluster", "site"]

#: jobs on one page
PAGE = 500

_FIELDS = (
    "id site cluster subCluster jobId user project partition state startTime duration walltime numNodes numHWThreads numAcc SMT "
    "shared arrayJobId monitoringStatus energy tags { type name scope }"
)
_INCLUDED = {
    "resources": "resources { hostname hwthreads accelerators configuration }",
    "footprint": "footprint { name stat value }",
    "meta_data": "metaData",
}
_REPORT = "site number status code message retryable elapsed calls scanned returned cacheAge notes"
_ID = re.compile(r"[a-z0-9-]+:[0-9]+|[0-9]+", re.ASCII)


class _PageInfo(msgspec.Struct, rename="camel"):
    end_cursor: str | None
    has_next_page: bool


class _Page(msgspec.Struct, rename="camel"):
    sites: tuple[SiteReport, ...]
    items: list[Job] = []
    page_info: _PageInfo | None = None
    count: int | None = None


class _Measured(msgspec.Struct):
    timestep: int
    unit: Unit | None = None
    series: tuple[Series, ...] | None = None


class _Metric(msgspec.Struct):
    name: str
    scope: str
    metric: _Measured


def _field(answer: Answer, name: str, kind: type[T]) -> T:
    raw = answer.data.get(name)
    if raw is None:
        raise error_of("BAD_ANSWER", f"The gateway's answer lacks {name}.", missing=answer.missing)
    return decoded(raw, kind)


def _chosen(filters: Filters, partial: bool) -> Plan[dict[str, Any]]:  # noqa: FBT001 - as callers say it
    """Variables for those jobs: their filter, sites and policy."""
    where = selection(filters)
    chosen = texts(filters["site"]) if filters.get("site") is not None else None
    if filters.get("tag") is not None:
        where["tags"] = yield from _tag_ids(filters["tag"], chosen)
    return {"filter": [where] if where else None, "sites": chosen, "policy": "PARTIAL" if partial else "STRICT"}


def _tag_ids(wanted: Tag | str, chosen: Sequence[str] | None) -> Plan[list[str]]:
    """The ids of that tag, in all scopes where none is said. ``NOT_FOUND`` if all sites say that they have none.

    What a site cannot tell of its tags is no gap in a list of jobs: that one says itself of which sites it lacks jobs.
    """
    tag = tag_of(wanted)
    scoped = isinstance(wanted, Tag) or "@" in wanted
    document = "query ($sites: [String!]) { tags(sites: $sites, policy: PARTIAL) { id type name scope } }"
    try:
        answer = yield Request(document, {"sites": chosen}, partial=True)
    except GatewayError as error:
        if error.code != "ALL_SITES_FAILED":
            raise
        known, is_whole = list[dict[str, str]](), False
    else:
        known, is_whole = _field(answer, "tags", list[dict[str, str]]), not answer.missing
    ids = [
        one["id"]
        for one in known
        if (one["type"], one["name"]) == (tag.type, tag.name) and (not scoped or one["scope"] == tag.scope)
    ]
    if not ids and is_whole:
        raise error_of("NOT_FOUND", f"There is no tag {tag}, or it is not shown to you.")
    scopes = [tag.scope] if scoped else ["global", "admin"]
    made = ["/".join(quote(part, safe="") for part in (scope, tag.type, tag.name)) for scope in scopes]
    return list(dict.fromkeys([*ids, *made]))


class JobWalk:
    """One pass over the list of jobs, page by page. ``include``: what else of each job; ``cursor``: where it goes on;
    ``missing``: what it lacked so far, by site; ``more``: whether there is more to read."""

    def __init__(
        self, filters: Filters, *, include: Collection[str], partial: bool, limit: int | None, size: int, after: str | None
    ) -> None:
        self.include = frozenset(texts(include))
        if wrong := sorted(self.include - set(_INCLUDED)):
            raise ValueError(f"{', '.join(wrong)} cannot be included; there are {', '.join(_INCLUDED)}")
        if size < 1 or (limit is not None and limit < 0):
            raise ValueError("a page has at least one job, and a limit is no less than 0")
        selection(filters)  # what makes no sense is refused at once, not where reading begins
        self._filters, self._partial, self._left, self._size = filters, partial, limit, size
        fields = " ".join([_FIELDS, *(text for name, text in _INCLUDED.items() if name in self.include)])
        self._document = (
            "query Jobs($filter: [JobFilter!], $sites: [String!], $policy: Policy!, $first: Int, $after: String) {"
            " jobs(filter: $filter, sites: $sites, policy: $policy, first: $first, after: $after) {"
            f" items {{ {fields} }} pageInfo {{ endCursor hasNextPage }} sites {{ {_REPORT} }} }} }}"
        )
        self._chosen: dict[str, Any] | None = None
        self._missing: dict[str, Missing] = {}
        self.cursor = after
        self.more = limit != 0

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What is missing of which site, as far as the list was read."""
        return tuple(self._missing.values())

    def page(self) -> Plan[list[Job]]:
        """The next jobs: none, perhaps, while there are more."""
        if self._chosen is None:
            self._chosen = yield from _chosen(self._filters, self._partial)
        first = self._size if self._left is None else min(self._size, self._left)
        variables = {**self._chosen, "first": first, "after": self.cursor}
        page = _field((yield Request(self._document, variables, partial=self._partial)), "jobs", _Page)
        for report in page.sites:
            if (gap := report.missing) is not None:
                self._missing[report.site] = gap
        if page.page_info is None:
            raise error_of("BAD_ANSWER", "The gateway's answer lacks pageInfo.")
        if self._left is not None:
            self._left -= len(page.items)
        self.more = page.page_info.has_next_page and self._left != 0
        if self.more and page.page_info.end_cursor == self.cursor:
            raise error_of("BAD_ANSWER", "The gateway's list does not go on, although it says so.")
        self.cursor = page.page_info.end_cursor or self.cursor
        return page.items


def count(filters: Filters) -> Plan[int]:
    """How many jobs match, at all sites."""
    chosen = yield from _chosen(filters, partial=False)
    document = (
        "query Count($filter: [JobFilter!], $sites: [String!], $policy: Policy!) {"
        f" jobs(filter: $filter, sites: $sites, policy: $policy) {{ count sites {{ {_REPORT} }} }} }}"
    )
    page = _field((yield Request(document, chosen)), "jobs", _Page)
    if page.count is None:
        notes = "; ".join(dict.fromkeys(note for report in page.sites for note in report.notes))
        raise error_of("SCAN_BUDGET", notes or "The jobs cannot be counted exactly.")
    return page.count


def id_of(wanted: JobId) -> str:
    """The id of a job. Raises ``ValueError`` for what cannot be one."""
    text = wanted.id if isinstance(wanted, Job) else str(wanted)
    if not _ID.fullmatch(text):
        raise ValueError(f"{text[:60]!r} is no job's id: write site:number")
    return text


def job(wanted: JobId) -> Plan[Job]:
    """One job, with all there is."""
    document = f"query Job($id: ID!) {{ job(id: $id) {{ {' '.join([_FIELDS, *_INCLUDED.values()])} }} }}"
    return _field((yield Request(document, {"id": id_of(wanted)})), "job", Job)


def metrics(wanted: JobId, names: Sequence[str] | None, scopes: Sequence[str] | None) -> Plan[list[Metric]]:
    """The metrics of one job."""
    document = (
        "query Metrics($id: ID!, $metrics: [String!], $scopes: [MetricScope!]) {"
        " jobMetrics(id: $id, metrics: $metrics, scopes: $scopes) { name scope metric { unit { base prefix } timestep"
        " series { hostname id statistics { avg min max } data } } } }"
    )
    variables = {"id": id_of(wanted), "metrics": several(names), "scopes": several(scopes)}
    found = _field((yield Request(document, variables)), "jobMetrics", list[_Metric])
    return [
        Metric(
            name=one.name,
            scope=one.scope,
            unit=one.metric.unit or Unit(),
            timestep=one.metric.timestep,
            series=one.metric.series or (),
        )
        for one in found
    ]


def job_statistics(names: Sequence[str] | None, filters: Filters) -> Plan[list[JobStatistics]]:
    """What the metrics of each job come to."""
    chosen = yield from _chosen(filters, partial=False)
    document = (
        "query JobStatistics($filter: [JobFilter!], $metrics: [String!], $sites: [String!], $policy: Policy!) {"
        " jobsMetricStats(filter: $filter, metrics: $metrics, sites: $sites, policy: $policy) {"
        " site cluster id jobId duration numNodes stats { name data { avg min max } } } }"
    )
    return _field((yield Request(document, {**chosen, "metrics": several(names)})), "jobsMetricStats", list[JobStatistics])


def statistics(group_by: GroupBy | None, filters: Filters, *, partial: bool, exact: bool) -> Plan[list[Figures]]:
    """Figures of the jobs that match, together or by group."""
    if group_by is not None and group_by not in get_args(GroupBy):
        raise ValueError(f"jobs are grouped by {', '.join(get_args(GroupBy))}, not by {group_by!r}")
    chosen = yield from _chosen(filters, partial)
    document = (
        "query Statistics($filter: [JobFilter!], $by: Aggregate, $sites: [String!], $policy: Policy!, $exact: Boolean!) {"
        " jobsStatistics(filter: $filter, groupBy: $by, sites: $sites, policy: $policy, exact: $exact) {"
        " id name totalJobs runningJobs shortJobs totalUsers totalWalltime totalNodes totalNodeHours totalCores totalCoreHours"
        " totalAccs totalAccHours exactness { figure quality atLeast atMost reason } complete"
        f" sites {{ {_REPORT} }} }} }}"
    )
    answer = yield Request(document, {**chosen, "by": group_by and group_by.upper(), "exact": exact}, partial=partial)
    return _field(answer, "jobsStatistics", list[Figures])


def sites() -> Plan[list[Site]]:
    """The sites, each asked just now."""
    document = (
        "{ sites { name number release required reachable since elapsed lastError { code message at } capabilities sameAs } }"
    )
    return _field((yield Request(document, partial=True)), "sites", list[Site])


def tags(*, partial: bool) -> Plan[list[Tag]]:
    """The tags of all sites."""
    document = f"{{ tags(policy: {'PARTIAL' if partial else 'STRICT'}) {{ type name scope }} }}"
    return _field((yield Request(document, partial=partial)), "tags", list[Tag])
