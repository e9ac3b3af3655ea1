"""How metrics are asked for and what comes back, in every dialect. Three endpoints of cc-backend give them:

* ``GET jobs/metrics/{id}?metric=…&scope=…`` always says 200: ``{"data": {"jobMetrics": […]}, "error": null}``, or ``{"data":
  null, "error": {"message": …}}``. It answers more scopes than asked where a metric is stored at another one, in any order. A
  token whose one role is ``api`` gets other people's metrics refused there.
* ``POST jobs/{id}`` with a list of names answers ``{"Meta": …, "Data": […]}`` for such a token too, at a scope of the site's
  own choice. When the metrics cannot be read it says 200 with an empty body.

* ``jobMetrics`` of the site's own GraphQL answers as the first one, and from 1.4 on in the steps that are asked for, where REST
  gives those that the site is configured to thin out to.

Up to 1.4, what an instance derives at node scope from a finer one is the sum over all hosts of the job, given to each of them
(``hosts_mixed``): wrong, but the site's own answer, so it is passed on and said.

The how-to page documents ``{"metrics": […]}``, flat.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode

import msgspec

from ccgateway.errors import Code, SiteError, redact
from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import JobMetric, MetricPiece, MetricsWanted, Series, StatisticsSeries, check_lists
from ccgateway.jobs.model import Int32
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases.query import QueryReply, check_known, data_in, query_request
from ccgateway.site.replies import NO_SUCH_JOB, refuse
from ccgateway.site.sampling import decode_sampled

__all__ = [
    "MetricsRefusedError",
    "MetricsRoute",
    "check_failures",
    "hosts_mixed",
    "howto_pieces",
    "metrics_not_found",
    "metrics_request",
    "released_pieces",
    "resolved_pieces",
    "resolved_request",
    "route_for",
]


#: characters that names have together, up to which what is asked for them is remembered
SHORT_NAMES = 1000


class MetricsRefusedError(SiteError):
    """The site answered, but not with this job's metrics: it has no such job, does not show them, or cannot read them."""


@dataclass(frozen=True, slots=True)
class MetricsRoute:
    """Which way a question goes with a credential. ``note``: what its callers should know about the answer. ``resolution``: the
    seconds between samples that are asked for, by the site's own GraphQL; ``None``: by REST, where the site chooses them."""

    by_post: bool
    note: str | None = None
    resolution: int | None = None


_BY_GET = MetricsRoute(by_post=False)
_BY_POST = MetricsRoute(
    by_post=True,
    note="scopes: chosen by the site (core for a job of one node, else node), as the gateway's token has the role api alone.",
)


def route_for(credential: Credential) -> MetricsRoute:
    """The way that is open to ``credential``."""
    return _BY_POST if credential.is_pure_api else _BY_GET


def metrics_request(root: str, db_id: int, wanted: MetricsWanted, route: MetricsRoute) -> SiteRequest:
    """The request. An empty list in it would mean "all": those who want nothing do not ask."""
    if route.by_post:
        return SiteRequest("POST", f"{root}/jobs/{db_id}", msgspec.json.encode(wanted.names))
    return SiteRequest("GET", f"{root}/jobs/metrics/{db_id}{_query(wanted)}")


def resolved_request(db_id: int, wanted: MetricsWanted) -> SiteRequest:
    """The request to the site's own GraphQL, which takes a resolution."""
    variables = {"i": str(db_id), "m": wanted.names, "s": wanted.scopes, "r": wanted.resolution}
    return query_request(_DOCUMENT, variables)


_DOCUMENT = (
    "query($i:ID!,$m:[String!],$s:[MetricScope!],$r:Int){jobMetrics(id:$i,metrics:$m,scopes:$s,resolution:$r){name scope "
    "metric{unit{base prefix} timestep series{hostname id statistics{avg min max} data} statisticsSeries{mean median min max}}}}"
)


def _query(wanted: MetricsWanted) -> str:
    is_short = sum(map(len, wanted.names or ())) <= SHORT_NAMES
    return (_remembered_query if is_short else _written_query)(wanted)


def _written_query(wanted: MetricsWanted) -> str:
    query = [("metric", name) for name in wanted.names or ()] + [("scope", scope) for scope in wanted.scopes or ()]
    return f"?{urlencode(query)}" if query else ""


# lists ask the same of every job
_remembered_query = lru_cache(maxsize=256)(_written_query)


class _Complaint(msgspec.Struct):
    message: str = ""


class _JobMetrics(msgspec.Struct, rename="camel"):
    job_metrics: list[MetricPiece] | None = None


class _ByGet(msgspec.Struct):
    data: _JobMetrics | None
    error: _Complaint | None = None


class _ByPost(msgspec.Struct, rename={"data": "Data"}):
    data: list[MetricPiece] | None


class _Flat(msgspec.Struct, rename="camel"):
    name: str
    scope: str | None = None
    unit: Unit | None = None
    timestep: Int32 = 0
    series: list[Series] | None = None
    statistics_series: StatisticsSeries | None = None

    def __post_init__(self) -> None:
        check_lists(self.series or ())


class _Documented(msgspec.Struct):
    metrics: list[_Flat] | None


_BY_GET_DECODER = msgspec.json.Decoder(_ByGet)
_BY_QUERY_DECODER = msgspec.json.Decoder(QueryReply[_JobMetrics])
_BY_POST_DECODER = msgspec.json.Decoder(_ByPost)
_DOCUMENTED_DECODER = msgspec.json.Decoder(_Documented)


def check_failures(answer: SiteAnswer, site: str, no_job: Collection[int]) -> None:
    """Raises ``MetricsRefusedError`` for what is about this job, and not about the site as a whole. ``no_job``: the statuses that
    say that there is none."""
    if answer.status in no_job:
        raise metrics_not_found(site)
    if answer.status == 500:
        failed = refuse(answer, site)
        raise MetricsRefusedError(failed.code, site, failed.message)
    if 200 <= answer.status < 300 and not answer.body.strip():
        message = "The site sent an empty answer, as it does when it cannot read a job's metrics."
        raise MetricsRefusedError(Code.SITE_ERROR, site, message)


def released_pieces(answer: SiteAnswer, site: str, route: MetricsRoute) -> list[MetricPiece]:
    """The pieces of a release's answer. ``MetricsRefusedError`` where it has none to give."""
    if route.by_post:
        return decode_sampled(answer, _BY_POST_DECODER, site, _series_by_post).data or []
    told = decode_sampled(answer, _BY_GET_DECODER, site, _series_by_name)
    if told.data is None:
        raise _refused(told.error.message if told.error else "", site)
    return told.data.job_metrics or []


def resolved_pieces(answer: SiteAnswer, site: str) -> list[MetricPiece]:
    """The pieces that the site's own GraphQL gives. ``QueryFailedError`` where it has none to give."""
    check_known(answer, site)
    told = decode_sampled(answer, _BY_QUERY_DECODER, site, _series_by_name)
    pieces = data_in(told, site).job_metrics or []
    for piece in pieces:
        if piece.metric.unit is not None and not piece.metric.unit.prefix:
            piece.metric.unit = Unit(piece.metric.unit.base)  # REST leaves out what is empty
    return pieces


def howto_pieces(answer: SiteAnswer, site: str, wanted: MetricsWanted) -> list[MetricPiece]:
    """The pieces of the documented answer. One that does not tell its scope has the one that was asked for, or ``node``."""
    scope = wanted.scopes[0] if wanted.scopes and len(wanted.scopes) == 1 else "node"
    return [
        MetricPiece(one.name, one.scope or scope, JobMetric(one.unit, one.timestep, one.series, one.statistics_series))
        for one in decode_sampled(answer, _DOCUMENTED_DECODER, site, _series_documented).metrics or ()
    ]


def hosts_mixed(pieces: Sequence[MetricPiece]) -> list[str]:
    """The metrics whose hosts all have the very same samples at node scope."""
    return [piece.name for piece in pieces if piece.scope == "node" and _are_the_same(piece.metric.series or ())]


def _are_the_same(series: Sequence[Series]) -> bool:
    first, *others = series or (Series(),)
    if not others or any(one.data != first.data for one in others):
        return False
    return bool(bytes(memoryview(first.data)).strip(b"[]0.,nul"))  # idle hosts are the same by right


def _series_by_name(told: _ByGet | QueryReply[_JobMetrics]) -> Iterator[Series]:
    return _series_of(piece.metric for piece in (told.data.job_metrics if told.data else None) or ())


def _series_by_post(told: _ByPost) -> Iterator[Series]:
    return _series_of(piece.metric for piece in told.data or ())


def _series_documented(told: _Documented) -> Iterator[Series]:
    return _series_of(told.metrics or ())


def _series_of(metrics: Iterable[JobMetric | _Flat]) -> Iterator[Series]:
    return (series for metric in metrics for series in metric.series or ())


def _refused(words: str, site: str) -> MetricsRefusedError:
    if "no rows in result set" in words:
        return metrics_not_found(site)
    if "not allowed to see this job" in words:
        message = (
            "The site does not show this job's metrics to the gateway's token. Other people's metrics need a token with the "
            "roles admin and api (or support and api)."
        )
        return MetricsRefusedError(Code.SITE_UNAUTHORIZED, site, message)
    reason = redact(words) or "it gave no reason"
    return MetricsRefusedError(Code.SITE_ERROR, site, f"The site cannot read this job's metrics: {reason}")


def metrics_not_found(site: str) -> MetricsRefusedError:
    """There is no such job, or it may not be seen."""
    return MetricsRefusedError(Code.NOT_FOUND, site, NO_SUCH_JOB.format(site=site))
