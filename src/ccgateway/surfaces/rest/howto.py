"""The format of ``/api`` and ``/userapi``: as ClusterCockpit's how-to page has it, and what real releases accept.

A job is flat, with ``state``; where a job stands alone, what cc-backend itself answers (``Meta``, ``Data``) stands beside it.
Errors say everything that is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

import msgspec

from ccgateway.errors import Code, FederationError, GatewayError, RequestError, SiteError, whole_seconds
from ccgateway.federation.questions import EVERYTHING, JobMetricsAnswer, ReportStatus
from ccgateway.jobs.filters import IntRange, JobFilter, StringInput, TimeRange
from ccgateway.jobs.metrics import SCOPES, MetricPiece, MetricsWanted
from ccgateway.jobs.model import STATES, JobRow, Tag
from ccgateway.jobs.writes import StartJob, UserChange
from ccgateway.surfaces.rest.bodies import CHANGES, change_in, read_change, read_started
from ccgateway.surfaces.rest.calls import CHALLENGE_HEADERS, Answer, Call, Query
from ccgateway.surfaces.rest.endpoints import Operation
from ccgateway.surfaces.rest.forms import form_in, is_form
from ccgateway.surfaces.rest.go_compat import RefusedError
from ccgateway.surfaces.rest.howto_results import Failure, HowtoResults
from ccgateway.surfaces.rest.jobs import DocumentedJob, Job, documented_job, job
from ccgateway.surfaces.rest.listing import COMPLETE, ListAsked, Listed, SiteState, job_number, states_of
from ccgateway.surfaces.rest.metrics import DocumentedMetric, Metric, NamedMetric, documented_metric, metric

__all__ = ["HowtoFormat", "JobPage", "Metrics", "Single"]

T = TypeVar("T")

#: integers are those of cc-backend: of 64 bits
_BOUND = 1 << 63


class JobPage(msgspec.Struct, omit_defaults=True):
    jobs: list[DocumentedJob]
    items: int
    page: int
    sites: dict[str, SiteState] | None = None


#: by metric and scope
Data: TypeAlias = dict[str, dict[str, Metric]] | None


class Single(DocumentedJob, kw_only=True, rename="camel", gc=False):
    """A job as the how-to page has it, and as cc-backend has it. ``sites``: what is missing, if something is."""

    meta: Job = msgspec.field(name="Meta")
    data: Data = msgspec.field(name="Data")
    sites: dict[str, SiteState] | msgspec.UnsetType = msgspec.UNSET


class SingleWith(DocumentedJob, kw_only=True, rename="camel", gc=False):
    """The same with the metrics that were asked for, one after the other."""

    meta: Job = msgspec.field(name="Meta")
    data: list[NamedMetric] | None = msgspec.field(name="Data")
    sites: dict[str, SiteState] | msgspec.UnsetType = msgspec.UNSET


class Metrics(msgspec.Struct, omit_defaults=True):
    """``notes``: what came otherwise than asked for."""

    metrics: list[DocumentedMetric]
    notes: list[str] = []


def _bad(message: str) -> RequestError:
    return RequestError(Code.BAD_REQUEST, message)


def _integer(text: str, name: str, *, least: int = 0) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 32 else -1
    if not least <= number < _BOUND:
        raise _bad(f"{name}: {text[:40]!r} is not a whole number of 64 bits, at least {least}.")
    return number


class HowtoFormat:
    """The how-to page's requests, answers and refusals."""

    #: what entity tags are told apart by
    name = "howto"
    #: whether HEAD is answered as GET is, and OPTIONS with the methods there are
    helpful = True
    #: whether callers have to say who they are before they are told that there is nothing
    asks_first = False
    #: what callers are told who are known, but not let in
    not_here = "/api is for administrators, and for tokens whose one role is api. Everybody else has /userapi."
    #: whether a job that is deleted by key is told by its id
    names_deleted = False
    results = HowtoResults()
    json = staticmethod(Answer.json)

    # --- refusals

    def unknown(self) -> Answer:
        """No such path."""
        return self.failed(GatewayError(Code.NOT_FOUND, "There is no such endpoint; /api/docs has all of them."))

    def wrong_method(self, methods: Sequence[str]) -> Answer:
        """There is something, but not to be done that way."""
        message = f"This endpoint knows {', '.join(methods)} only."
        failure = Failure("Method Not Allowed", message, Code.BAD_REQUEST, retryable=False)
        return Answer.json(failure, 405, headers={"Allow": ", ".join(methods)})

    def turned_away(self, error: GatewayError) -> Answer:
        """The caller is not let in."""
        answer = self.failed(error)
        return replace(answer, headers=CHALLENGE_HEADERS) if answer.status == 401 else answer

    def failed(self, error: GatewayError | RefusedError) -> Answer:
        """The request came to nothing."""
        if isinstance(error, RefusedError):
            error = _bad(error.message)
        causes = (
            [{"message": one.message, **one.extensions()} for one in error.causes] if isinstance(error, FederationError) else []
        )
        phrase = HTTPStatus(error.row.http).phrase
        failure = Failure(phrase, error.message, error.code, error.retryable, error.site, causes)
        return Answer.json(failure, error.row.http)

    def no_job(self, _number: int, error: GatewayError) -> GatewayError:
        """There is no job with that id."""
        return error

    def no_users(self, error: GatewayError) -> GatewayError:
        """No site told its users."""
        return error

    def unknown_cluster(self, name: str) -> GatewayError:
        """No site has a cluster of that name."""
        return RequestError(Code.UNKNOWN_CLUSTER, f"unknown cluster: {name[:60]}")

    def missing(self, key: str) -> GatewayError:
        """The body lacks what it needs."""
        return _bad(f"The body lacks {key}.")

    # --- what is asked

    def job_number(self, call: Call, _doing: str = "") -> int:
        """The integer id in the path, which has to be one of a site."""
        number = _integer(call.path["id"], "id")
        call.ids.place(number)
        return number

    def check_query(self, query: Query, operation: Operation) -> None:
        """Refuses parameters that the operation does not have: who misspells one means something by it."""
        known = [name for one in operation.parameters for name in self.spellings(one.name)]
        known += [name for name in (operation.form or {}).get("properties", ()) if name not in known]
        unknown = next((key for key in query.keys if key not in known), None)
        if unknown is not None:
            there_are = f"Known are {', '.join(dict.fromkeys(known))}." if known else "There are none here."
            raise _bad(f"invalid query parameter: {unknown[:60]}. {there_are}")

    def list_query(self, query: Query) -> ListAsked:
        """The list that ``query`` asks for: as the how-to page writes it, or as any release does. ``BAD_REQUEST`` otherwise."""
        states = query.all("state")
        wrong = next((state for state in states if state not in STATES), None)
        if wrong is not None:
            raise _bad(f"invalid query parameter value: state: {wrong[:40]!r} is not one of {', '.join(STATES)}.")
        numbers = query.all("jobId")
        wanted = JobFilter(
            job_id=job_number(numbers) if numbers else None,
            cluster=_text(query, "cluster"),
            user=_text(query, "user"),
            project=_text(query, "project"),
            job_name=_text(query, "jobName"),
            node=_text(query, "node"),
            state=tuple(dict.fromkeys(states)) or None,
            start_time=_window(query),
            num_nodes=_nodes(query),
        )
        page, size = query.first("page"), query.first("items_per_page", "items-per-page")
        return ListAsked(
            filter=wanted,
            page=_integer(page, "page", least=1) if page is not None else 1,
            size=_size(size) if size is not None else 25,
            cursor=query.first("cursor"),
            with_metadata=bool(query.flag(*self.spellings("with-metadata"))),
        )

    def wants_metrics(self, query: Query) -> bool:
        """Whether a job comes with its metrics."""
        return query.flag(*self.spellings("all-metrics")) is not False

    def metrics_named(self, call: Call, otherwise: MetricsWanted) -> MetricsWanted:
        """The metrics that the body names; all of them for null, an empty list or no body."""
        try:
            names = msgspec.json.decode(call.body, type=list[str | None] | None) if call.body.strip() else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise _bad('The body is not a list of metrics, such as ["cpu_load", "mem_bw"].') from None
        return MetricsWanted.of([name or "" for name in names] if names else None, otherwise.scopes)

    def metrics_asked(self, call: Call) -> MetricsWanted:
        """The metrics that the query names."""
        self.job_number(call)
        scopes, resolution = call.query.all("scope"), call.query.first("resolution")
        unknown = next((scope for scope in scopes if scope not in SCOPES), None)
        if unknown is not None:
            raise _bad(f"scope: {unknown[:40]!r} is not one of {', '.join(SCOPES)}.")
        every = _integer(resolution, "resolution") if resolution else None
        return MetricsWanted.of(call.query.all("metric") or None, scopes or None, every)

    def time_asked(self, query: Query) -> int:
        """The time that ``ts`` names, in epoch seconds."""
        given = query.first("ts")
        if given is None:
            raise _bad("ts: name a time in epoch seconds.")
        return _integer(given, "ts")

    def time_in_path(self, call: Call) -> int:
        """The same of the path."""
        return _integer(call.path["ts"], "ts")

    def spellings(self, name: str) -> tuple[str, ...]:
        """The spellings of a parameter: the how-to page's, and that of releases."""
        return tuple(dict.fromkeys((name, name.replace("-", "_"), name.replace("_", "-"))))

    def is_dry_run(self, call: Call) -> bool:
        """Whether nothing is to be deleted."""
        return bool(call.query.flag(*self.spellings("dry-run")))

    # --- bodies of writes

    def read(self, reader: Callable[[bytes], T], call: Call, _doing: str = "") -> T:
        """The body, read; what is wrong with it is told without a word of Go."""
        try:
            return reader(call.body)
        except ValueError as wrong:
            raise _bad(f"The body cannot be used: {_plain(str(wrong))}.") from None

    def job_started(self, call: Call) -> StartJob:
        """The job that has started, in any release's form."""
        command = self.read(lambda body: read_started(body, call.only_site, any_release=True), call)
        given = (("jobId", command.job_id), ("user", command.user), ("cluster", command.cluster))
        missing = [name for name, value in given if not value]
        if missing or not command.start_time:
            raise self.missing(", ".join(missing or ["startTime"]))
        return command

    def check_stop_time(self, seconds: int) -> None:
        """Refuses a stop without a time."""
        if not seconds:
            raise self.missing("stopTime")

    def tags(self, asked: Sequence[Tag], *, adds: bool) -> tuple[Tag, ...]:  # noqa: ARG002 - as the other format
        """The tags to be written; ``global`` where no scope is named."""
        if not asked or not all(one.type and one.name for one in asked):
            raise _bad("The list of tags is empty." if not asked else "A tag has a type and a name.")
        return tuple(Tag(one.type, one.name, one.scope or "global") for one in asked)

    def meta_values(self, body: bytes) -> Mapping[str, str]:
        """Keys of metadata and their values: any of them, or the one of ``{"key", "value"}``."""
        try:
            found = msgspec.json.decode(body, type=dict[str, str])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ValueError('it is no object of texts, such as {"note": "…"}') from None
        if found.keys() == {"key", "value"}:
            return {found["key"]: found["value"]}
        if not found:
            raise ValueError("there is nothing in it")
        return found

    def user_change(self, call: Call) -> tuple[UserChange, str]:
        """What is to change of a user: by JSON, as a form, or in the query."""

        def in_body(body: bytes) -> tuple[UserChange, str] | None:
            return change_in(form_in(call)) if is_form(call) else read_change(body) if body.strip() else None

        change = self.read(in_body, call) or change_in({name: call.query.first(name) or "" for name in CHANGES})
        if change is None:
            raise _bad(f"Name one of {', '.join(CHANGES)}.")
        return change

    # --- answers

    def site(self, name: str) -> str:
        """A site's name, where answers tell it."""
        return name

    def job_page(self, call: Call, asked: ListAsked, found: Listed) -> Answer:
        """One page of the list."""
        rows = [documented_job(row, call.ids, meta_data=meta, statistics=row.statistics_json) for row, meta in found.texts(asked)]
        return Answer.json(JobPage(rows, asked.size, asked.page, states_of(found.reports)), headers=found.headers)

    def single_job(self, call: Call, row: JobRow, data: Data, *, etag: str | None = None) -> Answer:
        """One job, and its metrics where they are there."""
        found = Single(**_flat(row, call), data=data)
        return Answer.json(found, headers={COMPLETE: "true"} if data is not None else None, etag=etag)

    def single_job_with(self, call: Call, row: JobRow, pieces: Sequence[MetricPiece]) -> Answer:
        """One job and its metrics, one after the other."""
        data = [NamedMetric(piece.name, piece.scope, metric(piece.metric)) for piece in pieces]
        return Answer.json(SingleWith(**_flat(row, call), data=data), headers={COMPLETE: "true"})

    def without_metrics(self, call: Call, row: JobRow, error: GatewayError) -> Answer:
        """The job stands although its site does not give its metrics."""
        if error.site is None:
            raise error
        wait = whole_seconds(error.retry_after) if isinstance(error, SiteError) else None
        state = SiteState(ReportStatus.PARTIAL.value, error.code.value, error.message, error.retryable, wait)
        return Answer.json(Single(**_flat(row, call), data=None, sites={row.site: state}), headers={COMPLETE: "false"})

    def metrics(self, told: JobMetricsAnswer, etag: str | None) -> Answer:
        """Metrics alone."""
        return Answer.json(Metrics([documented_metric(piece) for piece in told.pieces], told.report.notes), etag=etag)

    def no_metrics(self, error: GatewayError | RefusedError) -> Answer:
        """There are none to give."""
        raise error


def _flat(row: JobRow, call: Call) -> dict[str, Any]:
    flat = documented_job(row, call.ids, meta_data=row.meta_data_json)
    return msgspec.structs.asdict(flat) | {"meta": job(row, call.ids, meta_data=row.meta_data_json)}


# --- parameters of lists


def _text(query: Query, name: str) -> StringInput | None:
    value = query.first(name)
    return StringInput(eq=value) if value is not None else None


def _size(text: str) -> int:
    return EVERYTHING if text == str(EVERYTHING) else _integer(text, "items_per_page", least=1)


def _window(query: Query) -> TimeRange | None:
    whole = query.first("start-time")
    if whole is not None:
        ends = whole.split("-")
        if len(ends) != 2:
            raise _bad("start-time: it has the form FROM-TO, in epoch seconds.")
        return TimeRange(_integer(ends[0], "start-time"), _integer(ends[1], "start-time"))
    earliest, latest = _bound(query, "startTime[from]"), _bound(query, "startTime[to]")
    return None if earliest is None and latest is None else TimeRange(earliest, latest)


def _nodes(query: Query) -> IntRange | None:
    least, most = _bound(query, "numNodes[from]"), _bound(query, "numNodes[to]", least=1)
    return None if least is None and most is None else IntRange(least, most)


def _bound(query: Query, name: str, *, least: int = 0) -> int | None:
    value = query.first(name)
    return _integer(value, name, least=least) if value is not None else None


# --- what is wrong with a body

_MISFIT = re.compile(r"json: cannot unmarshal (.+) into Go (?:struct field (?:\w+\.)+(\w+)|value) of type (\S+)")
_UNKNOWN = re.compile(r"json: unknown field (.+)")


def _plain(words: str) -> str:
    """What was wrong, without a word of Go."""
    if (found := _MISFIT.fullmatch(words)) is not None:
        return f"{found[2] or 'it'} is {found[1]}, where {_KINDS.get(found[3], 'something else')} is needed"
    if (found := _UNKNOWN.fullmatch(words)) is not None:
        return f"it has {found[1]}, which is not known here"
    return {"EOF": "it is empty", "unexpected EOF": "it is not complete JSON"}.get(words, words)


_KINDS = {
    "string": "a text",
    "int": "a whole number of 64 bits",
    "int32": "a whole number of 32 bits",
    "int64": "a whole number of 64 bits",
}
