"""One question for jobs to a site's own GraphQL: document, variables, and its answer decoded into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import LATEST
from ccgateway.jobs.model import ALWAYS, JobRow
from ccgateway.site.decoding import row_type
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.queries.filters import Filter
from ccgateway.site.releases import Window
from ccgateway.site.releases.query import QueryReply, query_data, query_request
from ccgateway.site.releases.query_facts import QueryFacts, read_kind

__all__ = ["BY_ID", "FAR", "NEWEST", "Counted", "Order", "QueriedList", "started_within"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a site's: a column, or a key of footprints."""

    field: str
    direction: Literal["ASC", "DESC"]
    type: Literal["col", "foot"] = "col"


NEWEST = Order("startTime", "DESC")
#: within one second, so that pages do not shift
BY_ID = Order("id", "DESC")


class Counted(msgspec.Struct, Generic[T]):
    """A page and how many jobs match altogether."""

    items: list[T]
    count: int


class _Jobs(msgspec.Struct, Generic[T]):
    jobs: Counted[T]


@dataclass(frozen=True, slots=True)
class QueriedList:
    """One page of a list: how the site is asked for it, and what its answer says. The counterpart of ``ListQuery``.

    ``request``: all that decides the site's answer, beside the credential. ``size``: rows that the answer has at the most.
    ``name``: what tells it from other lists of the site.
    """

    facts: QueryFacts
    attributes: frozenset[str]
    request: SiteRequest
    size: int
    page: int
    name: str

    #: the part that it may take of the time for a question: REST is to be asked after it
    share: ClassVar[float] = 0.5

    @classmethod
    def of(
        cls,
        facts: QueryFacts,
        attributes: frozenset[str],
        filters: Sequence[Filter],
        *,
        order: Order | None,
        size: int,
        page: int = 1,
    ) -> QueriedList:
        """The list that the filters select, all of them together."""
        document = _document(facts, attributes, order)
        request = query_request(document, {"f": list(filters), "n": size, "p": page})
        name = f"query {(request.body or b'').decode()}"
        return cls(facts, attributes, SiteRequest("POST", request.path, request.body, rows=size), size, page, name)

    def answer(self, answer: SiteAnswer, site: str) -> Counted[JobRow]:
        """The page and the count. Raises ``SiteError`` for what is none, and for a page that is not as full as the count says."""
        told = query_data(answer, _decoder(site, self.facts, self.attributes), site).jobs
        rows = len(told.items)
        if rows > self.size:
            raise SiteError(Code.WRONG_RELEASE, site, f"The site sent {rows} jobs where {self.size} were asked for.")
        if rows > told.count or (self.page == 1 and rows < min(self.size, told.count)):
            # they are counted a moment later: jobs that came or went in between are no reason to leave it alone for long
            message = f"The site's own GraphQL sent {rows} jobs and counted {told.count}."
            raise SiteError(Code.SITE_ERROR, site, message)
        self.facts.finish(told.items, self.attributes)
        return told

    def rows(self, answer: SiteAnswer, site: str) -> list[JobRow]:
        """Every row of the answer."""
        return self.answer(answer, site).items


@lru_cache(maxsize=1024)
def _document(facts: QueryFacts, attributes: frozenset[str], order: Order | None) -> str:
    ordered = ""
    if order is not None:
        kind = f'type:"{order.type}",' if facts.types_orders else ""
        ordered = f',order:{{field:"{order.field}",{kind}order:{order.direction}}}'
    fields = " ".join(
        _selected(facts, attribute) for attribute in sorted(attributes | ALWAYS) if attribute not in facts.wire.absent
    )
    return (
        "query($f:[JobFilter!],$n:Int!,$p:Int!){jobs(filter:$f,page:{itemsPerPage:$n,page:$p}"
        f"{ordered}){{count items{{{fields}}}}}}}"
    )


def _selected(facts: QueryFacts, attribute: str) -> str:
    if attribute in facts.selections:
        return facts.selections[attribute]
    computed = facts.wire.computed.get(attribute)
    return facts.wire.key(attribute) if computed is None else " ".join(key for key, _, _ in computed.needs)


@lru_cache(maxsize=1024)
def _decoder(site: str, facts: QueryFacts, attributes: frozenset[str]) -> msgspec.json.Decoder[QueryReply[_Jobs[JobRow]]]:
    row = row_type(site, facts.wire, attributes)
    return msgspec.json.Decoder(QueryReply[_Jobs[row]], dec_hook=read_kind)  # type: ignore[valid-type]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def started_within(window: Window) -> Filter:
    """The jobs that started then. A far end is none: sites hold times that no calendar has."""
    bounds: dict[str, Any] = {"from": _moment(window.earliest)}
    if window.latest <= LATEST:
        bounds["to"] = _moment(window.latest)
    return {"startTime": bounds}


def _moment(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")


#: jobs that started when no job can
FAR: Filter = {"startTime": {"from": _moment(LATEST + 1)}}
