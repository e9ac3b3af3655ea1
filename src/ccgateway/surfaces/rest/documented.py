"""``/api`` and ``/userapi`` as ClusterCockpit's how-to page has them, over all sites at once; and what real releases accept.

A job is flat, with ``state``; where a job stands alone, what cc-backend itself answers (``Meta``, ``Data``) stands beside it.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.questions import EVERYTHING, ReportStatus
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput, TimeRange
from ccgateway.jobs.metrics import SCOPES, MetricsWanted
from ccgateway.jobs.model import STATES, JobRow
from ccgateway.surfaces.rest.calls import Answer, Call, Query
from ccgateway.surfaces.rest.clusters import Clusters, account, cluster
from ccgateway.surfaces.rest.conditional import etag_of, is_known, metrics_etag
from ccgateway.surfaces.rest.jobs import SINGLE, DocumentedJob, Job, documented_job, job
from ccgateway.surfaces.rest.listing import (
    COMPLETE,
    ListAsked,
    SiteState,
    completeness,
    job_number,
    read_list,
    refuse_gaps,
    states_of,
)  # fmt: skip
from ccgateway.surfaces.rest.metrics import (
    DocumentedMetric,
    Metric,
    NamedMetric,
    by_metric_and_scope,
    documented_metric,
    metric,
    own_scope,
    read_metrics,
)
from ccgateway.surfaces.rest.nodes import NodesInUse, nodes_in_use

__all__ = [
    "clusters", "find", "integer", "job_metrics", "list_jobs", "path_id", "single_job", "single_job_with", "used_nodes", "users",
]  # fmt: skip

#: integers are those of cc-backend: of 64 bits
_BOUND = 1 << 63


class JobPage(msgspec.Struct, omit_defaults=True):
    jobs: list[DocumentedJob]
    items: int
    page: int
    sites: dict[str, SiteState] | None = None


#: by metric and scope, or one after the other
Data: TypeAlias = dict[str, dict[str, Metric]] | list[NamedMetric] | None


class Single(DocumentedJob, kw_only=True, rename="camel", gc=False):
    """A job as the how-to page has it, and as cc-backend has it. ``sites``: what is missing, if something is."""

    meta: Job = msgspec.field(name="Meta")
    data: Data = msgspec.field(name="Data")
    sites: dict[str, SiteState] | msgspec.UnsetType = msgspec.UNSET


class Metrics(msgspec.Struct, omit_defaults=True):
    """``notes``: what came otherwise than asked for."""

    metrics: list[DocumentedMetric]
    notes: list[str] = []


def bad(message: str) -> RequestError:
    """The refusal of a request that cannot be used as it is."""
    return RequestError(Code.BAD_REQUEST, message)


def integer(text: str, name: str, *, least: int = 0) -> int:
    """A decimal number in a URL; ``BAD_REQUEST`` for anything else."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 32 else -1
    if not least <= number < _BOUND:
        raise bad(f"{name}: {text[:40]!r} is not a whole number of 64 bits, at least {least}.")
    return number


# --- lists

_KNOWN = (
    "jobId", "state", "cluster", "user", "project", "startTime[from]", "startTime[to]", "start-time", "numNodes[from]",
    "numNodes[to]", "page", "items_per_page", "items-per-page", "with_metadata", "with-metadata", "site", "cursor", "policy",
)  # fmt: skip


def read_list_query(query: Query) -> ListAsked:
    """The list that ``query`` asks for: as the how-to page writes it, or as any release does. ``BAD_REQUEST`` otherwise."""
    unknown = next((key for key in query.keys if key not in _KNOWN), None)
    if unknown is not None:
        raise bad(f"invalid query parameter: {unknown[:60]}. Known are {', '.join(_KNOWN)}.")
    states = query.all("state")
    wrong = next((state for state in states if state not in STATES), None)
    if wrong is not None:
        raise bad(f"invalid query parameter value: state: {wrong[:40]!r} is not one of {', '.join(STATES)}.")
    numbers = query.all("jobId")
    wanted = JobFilter(
        job_id=job_number(numbers) if numbers else None,
        cluster=_text(query, "cluster"),
        user=_text(query, "user"),
        project=_text(query, "project"),
        state=tuple(dict.fromkeys(states)) or None,
        start_time=_window(query),
        num_nodes=_nodes(query),
    )
    with_metadata = query.first("with_metadata", "with-metadata")
    page, size = query.first("page"), query.first("items_per_page", "items-per-page")
    return ListAsked(
        filter=wanted,
        page=integer(page, "page", least=1) if page is not None else 1,
        size=_size(size) if size is not None else 25,
        cursor=query.first("cursor"),
        with_metadata=with_metadata is not None and with_metadata.lower() not in ("false", "0"),
    )


def _text(query: Query, name: str) -> StringInput | None:
    value = query.first(name)
    return StringInput(eq=value) if value is not None else None


def _size(text: str) -> int:
    return EVERYTHING if text == str(EVERYTHING) else integer(text, "items_per_page", least=1)


def _window(query: Query) -> TimeRange | None:
    whole = query.first("start-time")
    if whole is not None:
        ends = whole.split("-")
        if len(ends) != 2:
            raise bad("start-time: it has the form FROM-TO, in epoch seconds.")
        return TimeRange(integer(ends[0], "start-time"), integer(ends[1], "start-time"))
    earliest, latest = _bound(query, "startTime[from]"), _bound(query, "startTime[to]")
    return None if earliest is None and latest is None else TimeRange(earliest, latest)


def _nodes(query: Query) -> IntRange | None:
    least, most = _bound(query, "numNodes[from]"), _bound(query, "numNodes[to]", least=1)
    return None if least is None and most is None else IntRange(least, most)


def _bound(query: Query, name: str, *, least: int = 0) -> int | None:
    value = query.first(name)
    return integer(value, name, least=least) if value is not None else None


async def list_jobs(call: Call) -> Answer:
    """One page of the list."""
    asked = read_list_query(call.query)
    found = await read_list(call, asked)
    rows = [documented_job(row, call.ids, meta_data=meta, statistics=row.statistics_json) for row, meta in found.texts(asked)]
    return Answer.json(JobPage(rows, asked.size, asked.page, states_of(found.reports)), headers=found.headers)


# --- one job


def path_id(call: Call) -> int:
    """The integer id in the path."""
    return integer(call.path["id"], "id")


async def find(call: Call, number: int) -> JobRow:
    """The row of the job with that integer id; ``NOT_FOUND`` if there is none."""
    return await call.gateway.job(call.ids.job_id(number), call.caller, fields=SINGLE)


async def single_job(call: Call) -> Answer:
    """One job with its metrics; without them if ``all-metrics=false``."""
    row = await find(call, path_id(call))
    with_metrics = (call.query.first("all-metrics") or "true").lower() not in ("false", "0")
    etag = etag_of(row, call, f"howto {with_metrics}")
    if is_known(etag, call):
        return Answer(304, etag=etag)
    if not with_metrics:
        return Answer.json(_single(row, call, None), etag=etag)
    try:
        told = await read_metrics(call, row, own_scope(row))
    except GatewayError as error:
        return _without_metrics(row, call, error)
    return Answer.json(_single(row, call, by_metric_and_scope(told.pieces)), headers={COMPLETE: "true"}, etag=etag)


async def single_job_with(call: Call) -> Answer:
    """One job with the metrics that the body names; all of them for null, an empty list or no body."""
    row = await find(call, path_id(call))
    wanted = MetricsWanted.of(_names(call.body), own_scope(row).scopes)
    try:
        told = await read_metrics(call, row, wanted)
    except GatewayError as error:
        return _without_metrics(row, call, error)
    data = [NamedMetric(piece.name, piece.scope, metric(piece.metric)) for piece in told.pieces]
    return Answer.json(_single(row, call, data), headers={COMPLETE: "true"})


def _names(body: bytes) -> list[str] | None:
    try:
        names = msgspec.json.decode(body, type=list[str | None] | None) if body.strip() else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise bad('The body is not a list of metrics, such as ["cpu_load", "mem_bw"].') from None
    return [name or "" for name in names] if names else None


def _single(row: JobRow, call: Call, data: Data, sites: dict[str, SiteState] | msgspec.UnsetType = msgspec.UNSET) -> Single:
    flat = documented_job(row, call.ids, meta_data=row.meta_data_json)
    return Single(**msgspec.structs.asdict(flat), meta=job(row, call.ids, meta_data=row.meta_data_json), data=data, sites=sites)


def _without_metrics(row: JobRow, call: Call, error: GatewayError) -> Answer:
    """The job stands although its site does not give its metrics."""
    if error.site is None:
        raise error
    state = SiteState(ReportStatus.PARTIAL.value, error.code.value, error.message, error.retryable)
    return Answer.json(_single(row, call, None, {row.site: state}), headers={COMPLETE: "false"})


async def job_metrics(call: Call) -> Answer:
    """Metrics of one job, by name and scope."""
    job_id = call.ids.job_id(path_id(call))
    scopes = call.query.all("scope")
    unknown = next((scope for scope in scopes if scope not in SCOPES), None)
    if unknown is not None:
        raise bad(f"scope: {unknown[:40]!r} is not one of {', '.join(SCOPES)}.")
    resolution = call.query.first("resolution")
    wanted = MetricsWanted.of(
        call.query.all("metric") or None, scopes or None, integer(resolution, "resolution") if resolution else None
    )
    told = await call.gateway.job_metrics(job_id, wanted, call.caller, budget=call.budget())
    etag = metrics_etag(told, f"howto {wanted}")
    if is_known(etag, call):
        return Answer(304, etag=etag)
    return Answer.json(Metrics([documented_metric(piece) for piece in told.pieces], told.report.notes), etag=etag)


# --- all else


async def clusters(call: Call) -> Answer:
    """All clusters, or those of one name. ``UNKNOWN_CLUSTER`` if no site has one of that name."""
    found = await call.gateway.clusters(call.caller, sites=call.sites, policy=call.policy, with_partitions=False)
    named = call.query.first("cluster")
    items = [one for one in found.items if named in (None, "", one.cluster.name)]
    if named and not items:
        refuse_gaps(found.reports)
        raise RequestError(Code.UNKNOWN_CLUSTER, f"unknown cluster: {named[:60]}")
    content = Clusters([cluster(one.cluster, site=one.site) for one in items], states_of(found.reports))
    return Answer.json(content, headers=completeness(found.reports))


async def users(call: Call) -> Answer:
    """The accounts of all sites; ``not-just-user=true`` leaves out those that are nothing but users."""
    found = await call.gateway.users(call.caller, sites=call.sites, policy=call.policy)
    special = call.query.first("not-just-user") == "true"
    items = [one for one in found.items if not special or set(one.user.roles or ()) - {"user"}]
    return Answer.json([account(one.user, site=one.site) for one in items], headers=completeness(found.reports))


async def used_nodes(call: Call) -> Answer:
    """The nodes of jobs that run and started before ``ts``, by cluster."""
    given = call.query.first("ts")
    if given is None:
        raise bad("ts: name a time in epoch seconds.")
    found = await nodes_in_use(call, integer(given, "ts"))
    return Answer.json(NodesInUse(found.nodes, states_of(found.reports)), headers=completeness(found.reports))
