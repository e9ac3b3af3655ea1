"""How a site is read: the interface that every dialect fills, and the parts they share.

A dialect is a frozen value without I/O: it builds requests and understands answers. The façade of one site
(``ccgateway.site.instance``) sends them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec

from ccgateway.errors import Code, SiteError, redact
from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.conditions import Condition, Conditions, Push
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.jobs.model import JobRow
from ccgateway.site.credentials import Credential
from ccgateway.site.dialects.metrics import MetricsRoute, metrics_request, released_pieces, route_for
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.replies import decode

__all__ = ["METADATA", "Dialect", "ListPage", "ReadPlan", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """Start times a page is read from, epoch seconds, both ends inclusive."""

    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How one question for jobs is put to one site: what it evaluates itself, what the gateway tests, what rows must hold.

    ``never``: no job there can match, so it need not be asked.
    """

    attributes: frozenset[str]
    pushed: tuple[Push, ...]
    residual: tuple[Condition, ...]
    with_metadata: bool
    never: bool = False

    def matching(self, rows: Sequence[JobRow]) -> list[JobRow]:
        """The rows that pass every residual test."""
        found = list(rows)
        for condition in self.residual:
            found = [row for row in found if condition.test(row)]
        return found


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page as the site gave it: every row read, and those that match the question."""

    rows: list[JobRow]
    matching: list[JobRow]


#: attributes that lists show only on request
METADATA = frozenset({"meta_data", "meta_data_json"})


class _Clusters(msgspec.Struct):
    clusters: list[Cluster]


class _Complaint(msgspec.Struct):
    message: str = ""


class _Data(msgspec.Struct):
    data: _Clusters | None
    errors: list[_Complaint] | None = None


class _Told(msgspec.Struct):
    """Clusters in either of the two forms in which they come."""

    clusters: list[Cluster] | None = None
    data: _Clusters | None = None
    errors: list[_Complaint] | None = None


_CLUSTERS = msgspec.json.Decoder(_Clusters)
_TOLD = msgspec.json.Decoder(_Told)
_DATA = msgspec.json.Decoder(_Data)
_USERS = msgspec.json.Decoder(list[User])


class Dialect(ABC):
    """The interface; ``name`` is the release as settings write it."""

    name: str
    #: what reading this dialect cannot do, and can, in the words of ``Site.capabilities``
    capabilities: tuple[str, ...]
    #: whether the site itself hides other people's jobs from an ordinary user's token
    isolates: bool
    #: the job states that the site knows: it refuses to be asked for others
    states: frozenset[str]
    #: notes for the caller when a filter needs what the release does not keep: condition name → note
    lacks: Mapping[str, str]

    def root(self, credential: Credential) -> str:
        """The API root for a credential."""
        return credential.root if self.isolates else "/api"

    def plan(self, conditions: Conditions, attributes: frozenset[str], credential: Credential) -> ReadPlan:
        """The plan for a question, for this dialect and what the credential may see."""
        pushed, residual = conditions.split(self.accepts)
        never = conditions.never
        for i, push in enumerate(pushed):
            if push.kind == "state":
                known = push.value & self.states
                never = never or not known
                pushed[i] = replace(push, value=known)
        if not self.isolates and not credential.sees_all:
            residual.append(_owner(credential.user))
        needs = attributes.union(*(condition.needs for condition in residual)) if residual else attributes
        return ReadPlan(needs, tuple(pushed), tuple(residual), not needs.isdisjoint(METADATA), never)

    @abstractmethod
    def accepts(self, push: Push) -> bool:
        """Whether the site can evaluate ``push``."""

    @abstractmethod
    def list_request(self, root: str, plan: ReadPlan, window: Window, size: int, page: int) -> SiteRequest:
        """The request for one page of the list, newest first."""

    @abstractmethod
    def list_rows(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> list[JobRow]:
        """The rows of a list's page."""

    @abstractmethod
    def job_request(self, root: str, db_id: int) -> SiteRequest:
        """The request for one job by database id."""

    @abstractmethod
    def job_row(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> JobRow:
        """The row of a single job's answer."""

    #: attributes that a single job's answer lacks, though the list has them
    missing_in_single: ClassVar[frozenset[str]] = frozenset()

    def metrics_route(self, credential: Credential) -> MetricsRoute:
        """Which of the endpoints with metrics is open to a credential."""
        return route_for(credential)

    def metrics_request(self, root: str, db_id: int, wanted: MetricsWanted, route: MetricsRoute) -> SiteRequest:
        """The request for a job's metrics."""
        return metrics_request(root, db_id, wanted, route)

    def metric_pieces(
        self,
        answer: SiteAnswer,
        site: str,
        wanted: MetricsWanted,  # noqa: ARG002 - a dialect that does not name scopes goes by it
        route: MetricsRoute,
    ) -> list[MetricPiece]:
        """What the answer holds, wanted or not. ``MetricsRefusedError`` where the site has no metrics of the job to give."""
        return released_pieces(answer, site, route)

    def metric_notes(self, pieces: Sequence[MetricPiece]) -> list[str]:  # noqa: ARG002 - nothing, unless a release has its ways
        """What is wrong with what the site gave, by its release's fault."""
        return []

    @abstractmethod
    def clusters_request(self, credential: Credential) -> SiteRequest:
        """The request for the site's clusters, without their partitions."""

    def clusters(self, answer: SiteAnswer, site: str) -> list[Cluster]:
        """The clusters, from either of the two forms in which they come."""
        told = decode(answer, _TOLD, site)
        if told.data is not None or told.errors:
            return self.graphql_clusters(answer, site)
        return told.clusters if told.clusters is not None else decode(answer, _CLUSTERS, site).clusters

    def graphql_clusters(self, answer: SiteAnswer, site: str) -> list[Cluster]:
        """The clusters of an answer to ``POST /query``."""
        told = decode(answer, _DATA, site)
        if told.data is None:
            words = redact("; ".join(one.message for one in told.errors or ()))
            raise SiteError(Code.SITE_ERROR, site, f"The site's own GraphQL failed: {words or 'it gave no reason'}")
        return told.data.clusters

    def partitions_request(self) -> SiteRequest | None:
        """The request for the partitions of every cluster, which REST does not tell; ``None`` if there is no way to ask."""
        return query_request("{clusters{name partitions}}")

    def users_request(self) -> SiteRequest:
        """The request for the site's user table."""
        return SiteRequest("GET", "/api/users/")

    def users(self, answer: SiteAnswer, site: str) -> list[User]:
        """The user table."""
        return decode(answer, _USERS, site)


def query_request(document: str) -> SiteRequest:
    """A request to the site's own GraphQL endpoint."""
    return SiteRequest("POST", "/query", msgspec.json.encode({"query": document}))


def _owner(user: str | None) -> Condition:
    """On releases that isolate nobody the gateway does: without a known name nothing is the caller's own."""
    return Condition("owner", frozenset({"user"}), lambda row: user is not None and row.user == user)
