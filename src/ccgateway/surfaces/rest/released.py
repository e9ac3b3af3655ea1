"""``/cc-backend/1.5``: what a client of cc-backend 1.5.4 asks and gets, over all sites at once.

Parameters, statuses, bodies and the words of refusals are those of 1.5.4. Federation adds integer ids over all sites, the
parameters ``site``, ``jobId``, ``cursor`` and ``policy``, the headers ``Link`` and ``X-CCGateway-Complete``, and ``sites`` in
what is not complete.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ccgateway.errors import Code, FederationError, GatewayError
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.metrics import SCOPES, MetricsWanted
from ccgateway.jobs.model import STATES, JobRow
from ccgateway.surfaces.rest.calls import Answer, Call, Query
from ccgateway.surfaces.rest.clusters import Clusters, account, cluster
from ccgateway.surfaces.rest.conditional import etag_of, is_known, metrics_etag
from ccgateway.surfaces.rest.jobs import SINGLE, Job, job
from ccgateway.surfaces.rest.listing import ListAsked, SiteState, completeness, job_number, read_list, refuse_gaps, states_of
from ccgateway.surfaces.rest.metrics import (
    Metric,
    MetricByName,
    NamedMetric,
    by_metric_and_scope,
    metric,
    own_scope,
    read_metrics,
    texts_of,
)
from ccgateway.surfaces.rest.nodes import NodesInUse, nodes_in_use
from ccgateway.surfaces.rest.wording import NO_ROWS, RefusedError, decode_json, kind_of, parse_int, written

__all__ = [
    "clusters", "find", "job_metrics", "list_jobs", "path_id", "read_list_query", "single_job", "single_job_with",
    "used_nodes", "users",
]  # fmt: skip

#: the states of 1.5.4
OWN_STATES = frozenset(STATES) - {"stopped"}


class JobPage(msgspec.Struct, omit_defaults=True):
    jobs: list[Job]
    items: int
    page: int
    sites: dict[str, SiteState] | None = None


class Single(msgspec.Struct, rename="pascal"):
    meta: Job
    data: dict[str, dict[str, Metric]] | list[MetricByName] | None


class JobMetrics(msgspec.Struct, rename="camel"):
    job_metrics: list[NamedMetric]


class Complaint(msgspec.Struct):
    message: str


class Metrics(msgspec.Struct):
    """Either the one or the other."""

    data: JobMetrics | None
    error: Complaint | None


# --- lists


def read_list_query(query: Query) -> ListAsked:
    """The list that ``query`` asks for. ``RefusedError`` as 1.5.4 refuses."""
    asked = _List()
    for key in query.keys:
        asked.take(key, query.all(key))
    return asked.done(query.first("cursor"))


class _List:
    def __init__(self) -> None:
        self._texts: dict[str, StringInput] = {}
        self._states: tuple[str, ...] | None = None
        self._job_id: StringInput | None = None
        self._window: TimeRange | None = None
        self._page, self._size, self._with_metadata = 1, 25, False

    def take(self, key: str, values: list[str]) -> None:
        first = values[0]
        match key:
            case "project" | "cluster":
                self._texts[key] = StringInput(eq=first)
            case "jobId":
                self._job_id = job_number(values)
            case "state":
                if not OWN_STATES.issuperset(values):
                    raise RefusedError(400, "invalid query parameter value: state")
                self._states = tuple(dict.fromkeys(values))
            case "start-time":
                self._window = _window(first)
            case "page":
                self._page = _positive(first, "page")
            case "items-per-page":
                self._size = _positive(first, "items-per-page")
            case "with-metadata":
                self._with_metadata = True
            case "site" | "cursor" | "policy":
                pass
            case _:
                raise RefusedError(400, f"invalid query parameter: {key}")

    def done(self, cursor: str | None) -> ListAsked:
        wanted = JobFilter(
            job_id=self._job_id,
            project=self._texts.get("project"),
            cluster=self._texts.get("cluster"),
            state=self._states,
            start_time=self._window,
        )
        return ListAsked(filter=wanted, page=self._page, size=self._size, cursor=cursor, with_metadata=self._with_metadata)


def _window(text: str) -> TimeRange:
    ends = text.split("-")
    if len(ends) != 2:
        raise RefusedError(400, "invalid query parameter value: startTime")
    return TimeRange(_integer(ends[0]), _integer(ends[1]))


def _integer(text: str, function: str = "ParseInt") -> int:
    try:
        return parse_int(text, function)
    except ValueError as wrong:
        raise RefusedError(400, str(wrong)) from None


def _positive(text: str, name: str) -> int:
    number = _integer(text, "Atoi")
    if number < 1:
        raise RefusedError(400, f"{name} must be >= 1")
    return number


async def list_jobs(call: Call) -> Answer:
    """One page of the list."""
    asked = read_list_query(call.query)
    found = await read_list(call, asked)
    rows = [job(row, call.ids, meta_data=meta, statistics=row.statistics_json) for row, meta in found.texts(asked)]
    return written(JobPage(rows, asked.size, asked.page, states_of(found.reports)), headers=found.headers)


# --- one job


async def find(call: Call, number: int) -> JobRow:
    """The row of the job with that integer id. ``RefusedError`` if there is none."""
    try:
        return await call.gateway.job(call.ids.job_id(number), call.caller, fields=SINGLE)
    except GatewayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise RefusedError(422, f"finding job with db id {number} failed: {NO_ROWS}") from None


def path_id(call: Call) -> int:
    """The integer id in the path."""
    try:
        return parse_int(call.path["id"])
    except ValueError as wrong:
        raise RefusedError(400, f"integer expected in path for id: {wrong}") from None


async def single_job(call: Call) -> Answer:
    """One job, with all of its metrics if ``all-metrics=true``."""
    row = await find(call, path_id(call))
    with_metrics = call.query.first("all-metrics") == "true"
    etag = etag_of(row, call, f"1.5 {with_metrics}")
    if is_known(etag, call):
        return Answer(304, etag=etag)
    data: dict[str, dict[str, Metric]] | None = None
    if with_metrics:
        wanted = own_scope(row)
        told = await read_metrics(call, row, wanted)
        data = by_metric_and_scope(told.pieces)
    return replace(written(Single(job(row, call.ids, meta_data=row.meta_data_json), data)), etag=etag)


async def single_job_with(call: Call) -> Answer:
    """One job with the metrics that the body names."""
    row = await find(call, path_id(call))
    wanted = MetricsWanted.of(_names(call.body), own_scope(row).scopes)
    told = await read_metrics(call, row, wanted)
    data: list[MetricByName] = [MetricByName(metric(piece.metric), piece.name, piece.scope) for piece in told.pieces]
    return written(Single(job(row, call.ids, meta_data=row.meta_data_json), data))


def _names(body: bytes) -> list[str] | None:
    """Names of metrics; ``None`` (all) for null and for an empty list."""
    try:
        value = decode_json(body)
        if value is not None and not isinstance(value, list):
            raise ValueError(f"json: cannot unmarshal {kind_of(value)} into Go value of type api.GetJobAPIRequest")  # noqa: TRY301
        wrong = next((one for one in value or () if not isinstance(one, str | None)), None)
        if wrong is not None:
            raise ValueError(f"json: cannot unmarshal {kind_of(wrong)} into Go value of type string")  # noqa: TRY301
    except ValueError as wrong_body:
        raise RefusedError(400, f"decoding request failed: {wrong_body}") from None
    return [one or "" for one in value] if value else None


async def job_metrics(call: Call) -> Answer:
    """Metrics of one job. That a job has none to give is said within a 200."""
    scopes = call.query.all("scope")
    unknown = next((scope for scope in scopes if scope not in SCOPES), None)
    if unknown is not None:
        raise RefusedError(400, f"unmarshaling scope failed: SCHEMA/METRICS > {unknown} is not a valid MetricScope")
    try:
        number = parse_int(call.path["id"])
    except ValueError as wrong:
        return _no_metrics(str(wrong))
    try:
        job_id = call.ids.job_id(number)
    except GatewayError:
        return _no_metrics(NO_ROWS)
    wanted = MetricsWanted.of(call.query.all("metric") or None, scopes or None)
    try:
        told = await call.gateway.job_metrics(job_id, wanted, call.caller, budget=call.budget())
    except GatewayError as error:
        if error.code is Code.NOT_FOUND:
            return _no_metrics(NO_ROWS)
        if error.code is Code.SITE_ERROR:
            return _no_metrics(error.message)
        raise
    etag = metrics_etag(told, f"1.5 {wanted}")
    if is_known(etag, call):
        return Answer(304, etag=etag)
    found = [NamedMetric(piece.name, piece.scope, metric(piece.metric)) for piece in told.pieces]
    return replace(written(Metrics(JobMetrics(found), None), texts=texts_of(told.pieces)), etag=etag)


def _no_metrics(message: str) -> Answer:
    return written(Metrics(None, Complaint(message)))


# --- all else


async def clusters(call: Call) -> Answer:
    """All clusters, or those of one name."""
    found = await call.gateway.clusters(call.caller, sites=call.sites, policy=call.policy, with_partitions=False)
    named = call.query.first("cluster")
    items = [one.cluster for one in found.items if named in (None, "", one.cluster.name)]
    if named and not items:
        refuse_gaps(found.reports)
        raise RefusedError(400, f"unknown cluster: {named}")
    content = Clusters([cluster(one) for one in items], states_of(found.reports))
    return written(content, headers=completeness(found.reports))


async def users(call: Call) -> Answer:
    """The accounts of all sites; ``not-just-user=true`` leaves out those that are nothing but users."""
    try:
        found = await call.gateway.users(call.caller, sites=call.sites, policy=call.policy)
    except FederationError as error:
        if all(cause.code is Code.SITE_UNAUTHORIZED for cause in error.causes):
            raise RefusedError(403, "only admins are allowed to fetch a list of users") from None
        raise
    special = call.query.first("not-just-user") == "true"
    accounts = [account(one.user) for one in found.items if not special or set(one.user.roles or ()) - {"user"}]
    return written(accounts, headers=completeness(found.reports))


async def used_nodes(call: Call) -> Answer:
    """The nodes of jobs that run and started before ``ts``, by cluster."""
    given = call.query.first("ts")
    if not given:
        raise RefusedError(400, "missing required query parameter: ts")
    try:
        before = parse_int(given)
    except ValueError as wrong:
        raise RefusedError(400, f"invalid timestamp format: {wrong}") from None
    found = await nodes_in_use(call, before)
    return written(NodesInUse(found.nodes, states_of(found.reports)), headers=completeness(found.reports))
