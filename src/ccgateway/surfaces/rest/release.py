"""The format of ``/cc-backend/1.5``: what a client of cc-backend 1.5.4 asks and gets, over all sites at once.

Parameters, statuses, bodies and the words of refusals are those of 1.5.4. Federation adds integer ids over all sites, the
parameters ``site``, ``jobId``, ``cursor`` and ``policy``, the headers ``Link`` and ``X-CCGateway-Complete``, and ``sites`` in
what is not complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import TypeVar

import msgspec

from ccgateway.errors import Code, FederationError, GatewayError
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.metrics import SCOPES, MetricPiece, MetricsWanted
from ccgateway.jobs.model import STATES, JobRow, Tag
from ccgateway.jobs.writes import StartJob, UserChange
from ccgateway.surfaces.rest.bodies import CHANGES, read_change, read_pair, read_started
from ccgateway.surfaces.rest.calls import CHALLENGE_HEADERS, Answer, Call, Query
from ccgateway.surfaces.rest.endpoints import Operation
from ccgateway.surfaces.rest.go_compat import NO_ROWS, RefusedError, decode_json, json_response, kind_of, parse_int
from ccgateway.surfaces.rest.jobs import Job, job
from ccgateway.surfaces.rest.listing import ListAsked, Listed, SiteState, job_number, states_of
from ccgateway.surfaces.rest.metrics import Metric, MetricByName, NamedMetric, metric, texts_of
from ccgateway.surfaces.rest.release_results import NOT_ADMIN, ReleasedFailure, ReleaseResults

__all__ = ["JobPage", "Metrics", "ReleaseFormat", "Single"]

T = TypeVar("T")

#: the states of 1.5.4
OWN_STATES = frozenset(STATES) - {"stopped"}
#: tags in these scopes can be taken away; others are skipped without a word
REMOVABLE = frozenset({"global", "admin"})


class JobPage(msgspec.Struct, omit_defaults=True):
    jobs: list[Job]
    items: int
    page: int
    sites: dict[str, SiteState] | None = None


class Single(msgspec.Struct, rename="pascal"):
    meta: Job
    data: dict[str, dict[str, Metric]] | None


class SingleWith(msgspec.Struct, rename="pascal"):
    meta: Job
    data: list[MetricByName] | None


class JobMetrics(msgspec.Struct, rename="camel"):
    job_metrics: list[NamedMetric]


class Complaint(msgspec.Struct):
    message: str


class Metrics(msgspec.Struct):
    """Either the one or the other."""

    data: JobMetrics | None
    error: Complaint | None


def _refused(wrong: ValueError | str, doing: str = "") -> RefusedError:
    return RefusedError(400, f"{doing}{wrong}")


def _integer(text: str, function: str = "ParseInt", doing: str = "") -> int:
    try:
        return parse_int(text, function)
    except ValueError as wrong:
        raise _refused(wrong, doing) from None


class ReleaseFormat:
    """The requests, answers and refusals of cc-backend 1.5.4."""

    name = "1.5"
    helpful = False
    not_here = "unauthorized"
    names_deleted = True
    results = ReleaseResults()
    json = staticmethod(json_response)

    def __init__(self, *, asks_first: bool) -> None:
        self.asks_first = asks_first

    # --- refusals

    def unknown(self) -> Answer:
        """No such path."""
        return json_response({"error": "the requested endpoint does not exist", "status": "Resource not found"}, 404)

    def wrong_method(self, methods: Sequence[str]) -> Answer:
        """There is something, but not to be done that way."""
        return Answer(405, media_type=None, headers={"Allow": ", ".join(methods)})

    def turned_away(self, error: GatewayError) -> Answer:
        """The caller is not let in."""
        if error.code not in (Code.UNAUTHENTICATED, Code.FORBIDDEN):
            return self.failed(error)
        return json_response({"error": error.message, "status": "Unauthorized"}, 401, headers=CHALLENGE_HEADERS)

    def failed(self, error: GatewayError | RefusedError) -> Answer:
        """The request came to nothing."""
        message, status = error.message, error.status if isinstance(error, RefusedError) else HTTPStatus(error.row.http)
        if isinstance(error, FederationError):
            message = " ".join((message, *(f"{cause.site}: {cause.message}" for cause in error.causes)))
        return json_response(ReleasedFailure(status.phrase, message), status)

    def no_job(self, number: int, _error: GatewayError) -> RefusedError:
        """There is no job with that id."""
        return RefusedError(422, f"finding job with db id {number} failed: {NO_ROWS}")

    def no_users(self, error: FederationError) -> Exception:
        """No site told its users."""
        if all(cause.code is Code.SITE_UNAUTHORIZED for cause in error.causes):
            return RefusedError(403, "only admins are allowed to fetch a list of users")
        return error

    def unknown_cluster(self, name: str) -> RefusedError:
        """No site has a cluster of that name."""
        return _refused(f"unknown cluster: {name}")

    def missing(self, key: str) -> RefusedError:
        """The body lacks what it needs."""
        return _refused("no such cluster: " if key == "cluster" else f"the field '{key}' is required")

    # --- what is asked

    def job_number(self, call: Call, doing: str = "integer expected in path for id: ") -> int:
        """The integer id in the path; ``doing``: what comes before the words of a refusal."""
        return _integer(call.path["id"], doing=doing)

    def check_query(self, query: Query, _operation: Operation) -> None:
        """1.5.4 passes over what it does not know. Who asks for a dry run must not get a real one."""
        asked = next((key for key in query.keys if key.lower().replace("_", "-") in ("dry-run", "dryrun")), None)
        if asked is not None:
            raise _refused(f"invalid query parameter: {asked[:60]}: releases know no dry run, /api does")

    def list_query(self, query: Query) -> ListAsked:
        """The list that ``query`` asks for. ``RefusedError`` as 1.5.4 refuses: what it meets first."""
        wanted, asked = JobFilter(), ListAsked(filter=JobFilter(), cursor=query.first("cursor"))
        for key in query.keys:
            values = query.all(key)
            first = values[0]
            match key:
                case "project":
                    wanted = replace(wanted, project=StringInput(eq=first))
                case "cluster":
                    wanted = replace(wanted, cluster=StringInput(eq=first))
                case "jobId":
                    wanted = replace(wanted, job_id=job_number(values))
                case "state":
                    if not OWN_STATES.issuperset(values):
                        raise _refused("invalid query parameter value: state")
                    wanted = replace(wanted, state=tuple(dict.fromkeys(values)))
                case "start-time":
                    wanted = replace(wanted, start_time=_window(first))
                case "page":
                    asked = replace(asked, page=_positive(first, key))
                case "items-per-page":
                    asked = replace(asked, size=_positive(first, key))
                case "with-metadata":
                    asked = replace(asked, with_metadata=True)
                case "site" | "cursor" | "policy":
                    pass
                case _:
                    raise _refused(f"invalid query parameter: {key}")
        return replace(asked, filter=wanted)

    def wants_metrics(self, query: Query) -> bool:
        """Whether a job comes with its metrics."""
        return query.first("all-metrics") == "true"

    def metrics_named(self, call: Call, otherwise: MetricsWanted) -> MetricsWanted:
        """The metrics that the body names; all of them for null and for an empty list."""
        names = self.read(_names, call)
        return MetricsWanted.of([name or "" for name in names] if names else None, otherwise.scopes)

    def metrics_asked(self, call: Call) -> MetricsWanted:
        """The metrics that the query names."""
        scopes = call.query.all("scope")
        unknown = next((scope for scope in scopes if scope not in SCOPES), None)
        if unknown is not None:
            raise _refused(f"unmarshaling scope failed: SCHEMA/METRICS > {unknown} is not a valid MetricScope")
        return MetricsWanted.of(call.query.all("metric") or None, scopes or None)

    def time_asked(self, query: Query) -> int:
        """The time that ``ts`` names, in epoch seconds."""
        given = query.first("ts")
        if not given:
            raise _refused("missing required query parameter: ts")
        return _integer(given, doing="invalid timestamp format: ")

    def time_in_path(self, call: Call) -> int:
        """The same of the path."""
        return _integer(call.path["ts"], doing="integer expected in path for ts: ")

    def spellings(self, name: str) -> tuple[str, ...]:
        """The one spelling of a parameter."""
        return (name,)

    def is_dry_run(self, _call: Call) -> bool:
        """1.5.4 knows nothing of the kind."""
        return False

    # --- bodies of writes

    def read(self, reader: Callable[[bytes], T], call: Call, doing: str = "decoding request") -> T:
        """The body, read; ``doing``: what comes before the words of a failure."""
        try:
            return reader(call.body)
        except ValueError as wrong:
            raise _refused(wrong, f"{doing} failed: ") from None

    def job_started(self, call: Call) -> StartJob:
        """The job that has started."""
        return self.read(lambda body: read_started(body, call.only_site), call, "parsing request body")

    def check_stop_time(self, _seconds: int) -> None:
        """The site says what is wrong with it."""

    def tags(self, asked: Sequence[Tag], *, adds: bool) -> tuple[Tag, ...]:
        """The tags to be written."""
        return tuple(Tag(one.type, one.name, one.scope or "global") for one in asked if adds or one.scope in REMOVABLE)

    def meta_values(self, body: bytes) -> Mapping[str, str]:
        """One key of metadata, and its value."""
        pair = read_pair(body)
        return {pair.key: pair.value}

    def user_change(self, call: Call) -> tuple[UserChange, str]:
        """What is to change of a user."""
        if "admin" not in call.caller.roles:
            raise RefusedError(403, NOT_ADMIN)
        change = self.read(read_change, call)
        if change is None:
            raise _refused(f"no operation specified: must provide {', '.join(CHANGES[:-1])}, or {CHANGES[-1]}")
        return change

    # --- answers

    def site(self, _name: str) -> str:
        """Answers do not tell a site's name."""
        return ""

    def job_page(self, call: Call, asked: ListAsked, found: Listed) -> Answer:
        """One page of the list."""
        rows = [job(row, call.ids, meta_data=meta, statistics=row.statistics_json) for row, meta in found.texts(asked)]
        return json_response(JobPage(rows, asked.size, asked.page, states_of(found.reports)), headers=found.headers)

    def single_job(
        self, call: Call, row: JobRow, data: dict[str, dict[str, Metric]] | None, *, etag: str | None = None
    ) -> Answer:
        """One job, and its metrics where they are there."""
        return replace(json_response(Single(job(row, call.ids, meta_data=row.meta_data_json), data)), etag=etag)

    def single_job_with(self, call: Call, row: JobRow, pieces: Sequence[MetricPiece]) -> Answer:
        """One job and its metrics, one after the other."""
        data = [MetricByName(metric(piece.metric), piece.name, piece.scope) for piece in pieces]
        return json_response(SingleWith(job(row, call.ids, meta_data=row.meta_data_json), data))

    def without_metrics(self, _call: Call, _row: JobRow, error: GatewayError) -> Answer:
        """A job whose metrics cannot be read is not shown."""
        raise error

    def metrics(self, told: JobMetricsAnswer, etag: str | None) -> Answer:
        """Metrics alone."""
        found = [NamedMetric(piece.name, piece.scope, metric(piece.metric)) for piece in told.pieces]
        return replace(json_response(Metrics(JobMetrics(found), None), texts=texts_of(told.pieces)), etag=etag)

    def no_metrics(self, error: GatewayError | RefusedError) -> Answer:
        """That a job has none to give is said within a 200."""
        if isinstance(error, RefusedError) or error.code is Code.SITE_ERROR:
            return json_response(Metrics(None, Complaint(error.message)))
        if error.code is Code.NOT_FOUND:
            return json_response(Metrics(None, Complaint(NO_ROWS)))
        raise error


def _window(text: str) -> TimeRange:
    ends = text.split("-")
    if len(ends) != 2:
        raise _refused("invalid query parameter value: startTime")
    return TimeRange(_integer(ends[0]), _integer(ends[1]))


def _positive(text: str, name: str) -> int:
    number = _integer(text, "Atoi")
    if number < 1:
        raise _refused(f"{name} must be >= 1")
    return number


def _names(body: bytes) -> list[str | None] | None:
    value = decode_json(body)
    if value is not None and not isinstance(value, list):
        raise ValueError(f"json: cannot unmarshal {kind_of(value)} into Go value of type api.GetJobAPIRequest")
    wrong = next((one for one in value or () if not isinstance(one, str | None)), None)
    if wrong is not None:
        raise ValueError(f"json: cannot unmarshal {kind_of(wrong)} into Go value of type string")
    return value
