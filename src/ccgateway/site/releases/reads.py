"""How a release is read: facts about it, the requests made of them, and its answers understood.

Frozen values without I/O. The façade of one site (``ccgateway.site.instance``) sends the requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import msgspec

from ccgateway.jobs.clusters import Cluster, User
from ccgateway.jobs.conditions import Condition, Conditions, Push
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.jobs.model import JobRow
from ccgateway.site.credentials import Credential
from ccgateway.site.decoding import Wire, page_decoder, wrapped_decoder
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases.metric_answers import (
    MetricsRoute,
    check_failures,
    hosts_mixed,
    metrics_request,
    released_pieces,
    route_for,
)
from ccgateway.site.releases.query import Complaint, QueryReply, clusters_request, query_data, query_request
from ccgateway.site.releases.query_facts import QueryFacts, StatisticsFacts
from ccgateway.site.replies import decode

__all__ = ["ListPage", "ReadPlan", "Reads", "Window"]


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
    """One page as the site gave it: every row read, and those that match the question. ``total``: how many jobs match in all of
    the window, where the site says so."""

    rows: list[JobRow]
    matching: list[JobRow]
    total: int | None = None


#: attributes that lists show only on request
METADATA = frozenset({"meta_data", "meta_data_json"})


class _Clusters(msgspec.Struct):
    clusters: list[Cluster]


class _Either(msgspec.Struct):
    """Clusters in either of the two forms in which they come."""

    clusters: list[Cluster] | None = None
    data: _Clusters | None = None
    errors: list[Complaint] | None = None


_CLUSTERS = msgspec.json.Decoder(_Clusters)
_QUERIED = msgspec.json.Decoder(QueryReply[_Clusters])
_EITHER = msgspec.json.Decoder(_Either)
_USERS = msgspec.json.Decoder(list[User])


@dataclass(frozen=True, eq=False, kw_only=True)
class Reads:
    """One release as it is read. A fact with a default has the value of most releases."""

    #: the release as settings write it
    name: str
    #: what it can do, in the words of ``Site.capabilities``
    capabilities: tuple[str, ...]
    #: the job states that it knows: it refuses to be asked for others
    states: frozenset[str]
    #: whether it keeps an ordinary user's token to that user's jobs, and from writing; if not, the gateway does
    isolates: bool = True
    #: the roles of which a token needs one beside ``api`` to be let into ``/userapi``
    user_roles: frozenset[str] = frozenset({"user", "manager", "support"})
    #: kinds of conditions that it evaluates itself
    pushes: frozenset[str]
    #: notes for the caller when a filter needs what it does not keep: condition name → note
    lacks: Mapping[str, str] = field(default_factory=dict)
    #: how jobs are written in lists, and alone
    in_list: Wire
    single: Wire
    #: whether ``GET jobs/{id}`` exists; else ``POST``, which tells neither tags nor metadata
    job_by_get: bool = True
    #: statuses that say that there is no such job
    no_job: frozenset[int] = frozenset({422})
    #: what its own GraphQL tells of many jobs at once
    statistics: StatisticsFacts = field(default_factory=StatisticsFacts)
    #: what of cc-backend's schema it answers there beside jobs, clusters and tags: fields, and parts of them after a point
    answers: frozenset[str] = frozenset()
    #: how any token may list jobs by the site's own GraphQL, ``POST /query``; ``None``: there is none
    query: QueryFacts | None
    #: whether ``GET clusters/`` exists
    clusters_by_rest: bool = True
    #: whether its GraphQL has the settings of metrics within subclusters; else they stand above them
    metrics_in_subclusters: bool = True
    #: whether metrics that it derives at node scope are of all hosts together
    mixes_hosts: bool = False

    # --- what a credential opens

    def root(self, credential: Credential) -> str:
        """The API root for a credential."""
        return credential.root if self.isolates else "/api"

    def admits(self, roles: Sequence[str], root: str) -> bool:
        """Whether a token with these roles may use that API root; a role named twice does not fit."""
        if not self.isolates:
            return root == "/api" and "api" in roles
        if list(roles) == ["api"]:
            return True
        partners = {"admin"} if root == "/api" else self.user_roles | {"admin"}
        return any(
            sum(role in (partner, "api") for role in roles) == 2 and {partner, "api"} <= set(roles) for partner in partners
        )

    # --- jobs

    @property
    def missing_in_single(self) -> frozenset[str]:
        """Attributes that a single job's answer lacks, though the list has them."""
        return frozenset() if self.job_by_get else frozenset({"tags"}) | METADATA

    def accepts(self, push: Push) -> bool:
        """Whether the site can evaluate ``push``. An empty text cannot be asked for."""
        return push.kind in self.pushes and push.value != ""

    def plan(self, conditions: Conditions, attributes: frozenset[str], credential: Credential) -> ReadPlan:
        """The plan for a question, for this release and what the credential may see."""
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

    def list_request(self, root: str, plan: ReadPlan, window: Window, size: int, page: int) -> SiteRequest:
        """``GET jobs/``, newest first; both ends of ``start-time`` are needed and inclusive."""
        query: list[tuple[str, Any]] = [("start-time", f"{window.earliest}-{window.latest}"), ("items-per-page", size)]
        if page > 1:
            query.append(("page", page))
        for push in plan.pushed:
            query += [("state", state) for state in sorted(push.value)] if push.kind == "state" else [(push.kind, push.value)]
        if plan.with_metadata:
            query.append(("with-metadata", "true"))
        return SiteRequest("GET", f"{root}/jobs/?{urlencode(query)}", rows=size)

    def list_rows(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> list[JobRow]:
        """The rows of a list's page, ``{"jobs": […]}``."""
        return decode(answer, page_decoder(site, self.in_list, attributes), site).jobs

    def job_request(self, root: str, db_id: int) -> SiteRequest:
        """``GET jobs/{id}``, or ``POST`` for a metric that does not exist, as an empty list would load them all."""
        if self.job_by_get:
            return SiteRequest("GET", f"{root}/jobs/{db_id}")
        return SiteRequest("POST", f"{root}/jobs/{db_id}", b'["-"]')

    def job_row(self, answer: SiteAnswer, site: str, attributes: frozenset[str]) -> JobRow:
        """The row of a single job's answer, ``{"Meta": …}``."""
        return decode(answer, wrapped_decoder(site, self.single, attributes), site).meta

    # --- metrics

    @property
    def thins_out(self) -> bool:
        """Whether it thins out samples: to the steps that it is configured to, or that its own GraphQL is asked for."""
        return "jobMetrics.resolution" in self.answers

    def metrics_route(self, credential: Credential) -> MetricsRoute:
        """Which of the endpoints with metrics is open to a credential."""
        return route_for(credential)

    def metrics_request(self, root: str, db_id: int, wanted: MetricsWanted, route: MetricsRoute) -> SiteRequest:
        """The request for a job's metrics."""
        return metrics_request(root, db_id, wanted, route)

    def metric_pieces(self, answer: SiteAnswer, site: str, wanted: MetricsWanted, route: MetricsRoute) -> list[MetricPiece]:
        """What the answer holds, wanted or not. ``MetricsRefusedError`` where the site has no metrics of the job to give."""
        check_failures(answer, site, self.no_job)
        return self._pieces(answer, site, wanted, route)

    def _pieces(
        self,
        answer: SiteAnswer,
        site: str,
        wanted: MetricsWanted,  # noqa: ARG002 - a dialect that does not name scopes goes by it
        route: MetricsRoute,
    ) -> list[MetricPiece]:
        return released_pieces(answer, site, route)

    def metric_notes(self, pieces: Sequence[MetricPiece]) -> list[str]:
        """What is wrong with what the site gave, by its release's fault."""
        mixed = hosts_mixed(pieces) if self.mixes_hosts else []
        if not mixed:
            return []
        words = (
            f"scopes: at node scope, each host has the sum over all hosts in {', '.join(mixed)} (a fault of releases up to 1.4)."
        )
        return [f"{words} Ask for the finer scope that the site keeps."]

    # --- clusters and users

    def clusters_request(self, credential: Credential) -> SiteRequest:
        """The request for the site's clusters, without their partitions: by REST where the token may use that, or must."""
        if self.query is None or (self.clusters_by_rest and self.root(credential) == "/api"):
            return SiteRequest("GET", "/api/clusters/")
        return clusters_request(metrics_in_subclusters=self.metrics_in_subclusters)

    def clusters(self, answer: SiteAnswer, site: str) -> list[Cluster]:
        """The clusters, from either of the two forms in which they come."""
        found = decode(answer, _EITHER, site)
        if found.data is not None or found.errors:
            return self.graphql_clusters(answer, site)
        return found.clusters if found.clusters is not None else decode(answer, _CLUSTERS, site).clusters

    def graphql_clusters(self, answer: SiteAnswer, site: str) -> list[Cluster]:
        """The clusters of an answer to ``POST /query``."""
        return query_data(answer, _QUERIED, site).clusters

    def partitions_request(self) -> SiteRequest | None:
        """The request for the partitions of every cluster, which REST does not tell; ``None`` if there is no way to ask."""
        return query_request("{clusters{name partitions}}") if self.query is not None else None

    def users_request(self) -> SiteRequest:
        """The request for the site's user table."""
        return SiteRequest("GET", "/api/users/")

    def users(self, answer: SiteAnswer, site: str) -> list[User]:
        """The user table."""
        return decode(answer, _USERS, site)


def _owner(user: str | None) -> Condition:
    """On releases that isolate nobody the gateway does: without a known name nothing is the caller's own."""
    return Condition("owner", frozenset({"user"}), lambda row: user is not None and row.user == user)
