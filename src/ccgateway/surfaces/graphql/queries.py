"""The root fields of ``Query``: each turns its arguments into a question to the gateway and notes what the answer lacks."""

from __future__ import annotations

from typing import Annotated

import strawberry

from ccgateway.federation.questions import JobListAnswer, JobListQuestion, SiteCluster, SiteStatus
from ccgateway.jobs.filters import JobOrder
from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.graphql import nodes as node_fields
from ccgateway.surfaces.graphql.clusters import Cluster
from ccgateway.surfaces.graphql.configuration import ConfigurationItem, configuration
from ccgateway.surfaces.graphql.context import Info
from ccgateway.surfaces.graphql.fields import computed
from ccgateway.surfaces.graphql.footprints import Footprints, JobStats, jobs_footprints, jobs_metric_stats, roofline_heatmap
from ccgateway.surfaces.graphql.inputs import (
    JobFilter,
    OrderByInput,
    PageRequest,
    Policy,
    PolicyArgument,
    SitesArgument,
    filter_values,
    time_value,
)
from ccgateway.surfaces.graphql.joblist import JobResultList
from ccgateway.surfaces.graphql.jobs import Job, Tag
from ccgateway.surfaces.graphql.metrics import (
    IdArgument,
    JobMetricWithName,
    NamedStats,
    NamedStatsWithScope,
    job_metrics,
    job_stats,
    scoped_job_stats,
)
from ccgateway.surfaces.graphql.scalars import Int64, Time
from ccgateway.surfaces.graphql.selection import row_attributes
from ccgateway.surfaces.graphql.sites import Site
from ccgateway.surfaces.graphql.statistics import JobsStatistics, jobs_statistics
from ccgateway.surfaces.graphql.tagging import list_tags
from ccgateway.surfaces.graphql.users import User, user_named

__all__ = ["DEFAULT_PAGE", "Query"]

#: jobs on a page when nobody says how many
DEFAULT_PAGE = 50

argument = strawberry.argument
AfterArgument = Annotated[str | None, argument(description="Give what comes after this cursor (`pageInfo.endCursor`).")]
PageArgument = Annotated[PageRequest | None, argument(description="A page by its number; not together with `first` or `after`.")]
OrderArgument = Annotated[OrderByInput | None, argument(description="The order; by start time, newest first, if left out.")]


#: what of a list takes reading it
_OF_JOBS = ("items", "pageInfo", "hasNextPage")


async def _jobs(
    info: Info,
    *,
    filter: Annotated[list[JobFilter] | None, argument(description="All of these must hold.")] = None,  # noqa: A002
    page: PageArgument = None,
    order: OrderArgument = None,
    first: Annotated[int | None, argument(description="How many jobs to give.")] = None,
    after: AfterArgument = None,
    sites: SitesArgument = None,
    policy: PolicyArgument = Policy.PARTIAL,
) -> JobListAnswer:
    selection = info.selection
    wanted = page.to_value() if page else None
    if wanted is None and first is None:
        first = min(DEFAULT_PAGE, info.context.limits.page_jobs)
    wants_count = selection.selects("count")
    shows_jobs = any(map(selection.selects, _OF_JOBS)) or any(field.name == "returned" for field in selection.below("sites"))
    question = JobListQuestion(
        filters=filter_values(filter, info.context.ids),
        order=order.to_value() if order else JobOrder(),
        first=first,
        after=after,
        page=wanted,
        sites=sites,
        policy=policy.to_value().of(info.context.caller),
        fields=row_attributes(selection.below("items")),
        wants_count=wants_count,
        wants_jobs=not wants_count or shows_jobs,
    )
    answer = await info.context.gateway.jobs(question, info.context.caller)
    info.context.note_gaps(info, answer.reports)
    return answer


async def _job(info: Info, id: IdArgument) -> JobRow:  # noqa: A002
    fields = row_attributes(info.selection.children)
    return await info.context.gateway.job(info.context.ids.named(id), info.context.caller, fields=fields)


async def _job_by_key(
    info: Info,
    cluster: Annotated[str, argument(description="The cluster it ran on.")],
    job_id: Annotated[Int64, argument(description="The scheduler's job number.")],
    start_time: Annotated[Time | None, argument(description="When it started.")] = None,
    site: Annotated[str | None, argument(description="The site that holds it.")] = None,
) -> JobRow:
    return await info.context.gateway.job_by_key(
        info.context.caller,
        cluster=cluster,
        job_id=job_id,
        start_time=time_value(start_time),
        site=site,
        fields=row_attributes(info.selection.children),
    )


async def _clusters(info: Info, sites: SitesArgument = None, policy: PolicyArgument = Policy.PARTIAL) -> list[SiteCluster]:
    answer = await info.context.gateway.clusters(
        info.context.caller,
        sites=sites,
        policy=policy.to_value().of(info.context.caller),
        with_partitions=info.selection.selects("partitions"),
    )
    info.context.note_gaps(info, answer.reports)
    return answer.items


async def _users(info: Info, sites: SitesArgument = None, policy: PolicyArgument = Policy.PARTIAL) -> list[User]:
    answer = await info.context.gateway.users(info.context.caller, sites=sites, policy=policy.to_value().of(info.context.caller))
    info.context.note_gaps(info, answer.reports)
    return [User.of(one.site, one.user) for one in answer.items]


async def _sites(
    info: Info,
    names: Annotated[list[str] | None, argument(description="Only these sites; all of them if left out.")] = None,
) -> list[SiteStatus]:
    return await info.context.gateway.sites(info.context.caller, sites=names)


@strawberry.type(description="What can be asked.")
class Query:
    jobs: JobResultList = computed(
        _jobs,
        description="The jobs of all sites, newest first unless `order` says otherwise. Read on with `first` and `after`: that "
        "way no job is lost or comes twice while jobs start and end. Without `first` and `page`, the first 50.",
    )
    job: Job | None = computed(
        _job, description="One job by its id; null with an error if its site has none or does not show it."
    )
    job_by_key: Job | None = computed(
        _job_by_key,
        description="One job by its key. Without `startTime` the newest of that cluster and number; without `site`, at any site; "
        "null with an error if there is none, or if several sites have one.",
    )
    job_metrics: list[JobMetricWithName] = computed(
        job_metrics,
        description="The metrics of one job, in the order asked for, then by name, scopes from coarse to fine. A metric that the "
        "site does not have is left out. For many jobs, ask for `metrics` of `jobs`.",
    )
    job_stats: list[NamedStats] = computed(
        job_stats, description="What the metrics of one job come to. A metric that the site does not have is left out."
    )
    scoped_job_stats: list[NamedStatsWithScope] = computed(
        scoped_job_stats, description="What the metrics of one job come to at each of its places."
    )
    jobs_statistics: list[JobsStatistics] = computed(
        jobs_statistics,
        description="Figures of the jobs that match, at all sites together: one element, or one for each group of `groupBy`. "
        "`exactness` tells how far each figure can be trusted.",
    )
    jobs_metric_stats: list[JobStats] = computed(
        jobs_metric_stats,
        description="What the metrics of each job that matches come to, oldest job first. Jobs that have none are left out.",
    )
    jobs_footprints: Footprints | None = computed(
        jobs_footprints,
        description="One average of each metric for every job that matches, at all sites together, in no particular order.",
    )
    roofline_heatmap: list[list[float]] = computed(
        roofline_heatmap,
        description="How many samples of the jobs that match fall into each cell. Columns are by the logarithm of `flops_any` "
        "for each byte of `mem_bw`, rows by that of `flops_any`, smallest first. Sites whose own GraphQL cannot be asked are "
        "missing.",
    )
    clusters: list[Cluster] = computed(_clusters, description="The clusters of all sites.")
    users: list[User] = computed(
        _users,
        description="The accounts in the user lists of all sites. A site shows its list to administrators only; where the "
        "gateway's credential is less than that, the site is reported as failed.",
    )
    user: User | None = computed(
        user_named,
        description="The account of that name in a site's own user list, at the first site that has one; null if none has. A "
        "site shows it to administrators, support and managers, and to the person.",
    )
    global_metrics: list[node_fields.GlobalMetricListItem] = computed(
        node_fields.global_metrics, description="The metrics of all clusters, each once, and which clusters have it."
    )
    allocated_nodes: list[node_fields.Count] = computed(
        node_fields.allocated_nodes,
        description="How many nodes of a cluster run jobs, by sub-cluster. These are everybody's jobs, so only those who see all "
        "jobs are told.",
    )
    node: node_fields.Node | None = computed(
        node_fields.node, description="One node, to administrators and support; null with an error if there is none."
    )
    nodes: node_fields.NodeStateResultList = computed(
        node_fields.nodes,
        description="The nodes of all sites and their latest states, to administrators and support; sites of the series 1.5 "
        "know them.",
    )
    nodes_with_meta: node_fields.NodeStateResultList = computed(
        node_fields.nodes_with_meta, description="The same with what the sites keep beside the states."
    )
    node_states: list[node_fields.NodeStates] = computed(
        node_fields.node_states, description="How many nodes are in which state, added over all sites."
    )
    node_states_timed: list[node_fields.NodeStatesTimed] = computed(
        node_fields.node_states_timed, description="How many nodes were in which state over time."
    )
    node_metrics: list[node_fields.NodeMetrics] = computed(
        node_fields.node_metrics,
        description="What is measured on the nodes of a cluster, to administrators and support (up to 1.3 to administrators).",
    )
    node_metrics_list: node_fields.NodesResultList = computed(
        node_fields.node_metrics_list, description="The same page by page. Releases up to 1.3 cannot."
    )
    cluster_metrics: node_fields.ClusterMetrics = computed(
        node_fields.cluster_metrics,
        description="What is measured on all nodes of a cluster, added up by the gateway, as cc-backend's own sum leaves a node "
        "out and loses small numbers. In the unit in which it is measured.",
    )
    configuration: list[ConfigurationItem] = computed(
        configuration, description="What the caller's own front end has set with `updateConfiguration`."
    )
    tags: list[Tag] = computed(
        list_tags,
        description="The tags of all sites, as far as the gateway's credentials may see them: those of the same scope, type and "
        "name are one tag.",
    )
    sites: list[Site] = computed(_sites, description="The sites behind the gateway, each asked just now whether it answers.")
