"""The federated list, as REST reads it: by page number or by cursor, and what else the answer says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from ccgateway.errors import Code, FederationError, RequestError, SiteError
from ccgateway.federation.page_cursors import NumberedPages
from ccgateway.federation.questions import EVERYTHING, JobListAnswer, JobListQuestion, PageRequest, SiteReport
from ccgateway.jobs.filters import JobFilter, StringInput
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.rest.calls import Call
from ccgateway.surfaces.rest.jobs import IN_LIST

__all__ = [
    "COMPLETE", "ListAsked", "Listed", "SiteState", "completeness", "job_number", "read_list", "refuse_gaps", "states_of",
]  # fmt: skip

#: the header that says whether all sites are in the answer
COMPLETE = "X-CCGateway-Complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAsked:
    """What a request asks of the list. With a ``cursor`` (empty: from the start) a page may be short while there is more; by
    number it is never."""

    filter: JobFilter
    page: int = 1
    size: int = 25
    cursor: str | None = None
    with_metadata: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list; ``headers``: what of it is said there."""

    rows: list[JobRow]
    reports: Sequence[SiteReport]
    headers: Mapping[str, str]

    def texts(self, asked: ListAsked) -> Iterable[tuple[JobRow, msgspec.Raw | None]]:
        """Each row, and its metadata where that was asked for."""
        if asked.with_metadata:
            return [(row, row.meta_data_json) for row in self.rows]
        return [(row, None) for row in self.rows]


class SiteState(msgspec.Struct, omit_defaults=True, rename="camel", gc=False):
    """What one site came to in an answer that is not complete. ``retry_after``: seconds after which to ask again."""

    status: str
    code: str | None = None
    message: str | None = None
    retryable: bool | None = None
    retry_after: int | None = None


def job_number(texts: Sequence[str]) -> StringInput:
    """The jobs that the scheduler gave any of these numbers. ``BAD_REQUEST`` for what is no number."""
    wrong = next((text for text in texts if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII)), None)
    if wrong is not None:
        raise RequestError(Code.BAD_REQUEST, f"invalid query parameter value: jobId: {wrong[:40]!r} is not a job number.")
    numbers = tuple(dict.fromkeys(str(int(text)) for text in texts))
    return StringInput(eq=numbers[0]) if len(numbers) == 1 else StringInput(in_=numbers)


def states_of(reports: Sequence[SiteReport]) -> dict[str, SiteState] | None:
    """Every site asked, by name; ``None`` if nothing of any is missing."""
    if all(report.is_complete for report in reports):
        return None
    return {one.site: _state(one) for one in reports}


def _state(report: SiteReport) -> SiteState:
    if report.is_complete:
        return SiteState(report.status.value)
    code = report.code.value if report.code else None
    return SiteState(report.status.value, code, report.message, report.retryable, report.retry_after)


def completeness(reports: Sequence[SiteReport]) -> dict[str, str]:
    """The header that says whether anything is missing."""
    return {COMPLETE: "true" if all(report.is_complete for report in reports) else "false"}


def refuse_gaps(reports: Sequence[SiteReport]) -> None:
    """Raises ``INCOMPLETE`` where a site is missing: what was not found may be there."""
    gaps = [one for one in reports if not one.is_complete]
    if gaps:
        causes = [SiteError(one.code or Code.INTERNAL, one.site, one.message or "") for one in gaps]
        raise FederationError(Code.INCOMPLETE, "Not found, but not every site could be asked.", causes)


async def read_list(call: Call, asked: ListAsked) -> Listed:
    """The page that ``asked`` means. ``SCAN_BUDGET`` where a numbered page would be short while there is more."""
    if asked.cursor is not None and asked.size == EVERYTHING:
        raise RequestError(Code.BAD_REQUEST, "A page of everything is not read on by a cursor: leave out one of them.")
    pages = NumberedPages(call.caller, asked.filter, tuple(call.sites or ("*",)), asked.size)
    by_number = asked.cursor is None
    start = asked.cursor
    if by_number and asked.page > 1:
        start = await call.gateway.page_cursors.start_of(pages, asked.page)
    skips = by_number and (asked.size == EVERYTHING or (asked.page > 1 and start is None))
    answer = await call.gateway.jobs(
        JobListQuestion(
            filters=(asked.filter,),
            page=PageRequest(asked.page, asked.size) if skips else None,
            first=None if skips else asked.size,
            after=start or None,
            sites=call.sites,
            policy=call.policy,
            fields=IN_LIST | {"meta_data_json"} if asked.with_metadata else IN_LIST,
        ),
        call.caller,
    )
    if by_number:
        _refuse_short(answer, asked, call)
        if answer.end_cursor is not None:
            await call.gateway.page_cursors.remember(pages, asked.page + 1, answer.end_cursor)
    headers = completeness(answer.reports)
    if answer.has_next_page and answer.end_cursor is not None:
        headers["Link"] = f'<?{_next_query(call, asked, answer.end_cursor)}>; rel="next"'
    return Listed(answer.rows, answer.reports, headers)


def _refuse_short(answer: JobListAnswer, asked: ListAsked, call: Call) -> None:
    """Who reads until there are fewer than a page would take a short one for the last."""
    if answer.has_next_page and len(answer.rows) < asked.size:
        budget = call.state.limits.scan_budget
        message = (
            f"For this page more than {budget} jobs of one site have to be read. Narrow the question (startTime[from]), or read "
            "by cursor: add cursor= and follow the Link headers; pages may then be short while there is more."
        )
        raise RequestError(Code.SCAN_BUDGET, message)


def _next_query(call: Call, asked: ListAsked, cursor: str) -> str:
    kept = [(key, value) for key, value in call.query.pairs if key not in ("page", "cursor")]
    return urlencode([*kept, ("page", asked.page + 1), ("cursor", cursor)])
