"""The operations that read. What a request asks for and how the answer looks is its face's format."""

from __future__ import annotations

from ccgateway.errors import Code, FederationError, GatewayError
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.writes import Target, WriteResult
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.surfaces.rest.clusters import Clusters, account, cluster
from ccgateway.surfaces.rest.conditional import etag_of, is_known, metrics_etag
from ccgateway.surfaces.rest.go_compat import RefusedError
from ccgateway.surfaces.rest.jobs import SINGLE
from ccgateway.surfaces.rest.listing import completeness, read_list, refuse_gaps, states_of
from ccgateway.surfaces.rest.metrics import by_metric_and_scope, own_scope, read_metrics
from ccgateway.surfaces.rest.nodes import NodesInUse, nodes_in_use

__all__ = [
    "afterwards", "clusters", "find", "find_of_key", "job_metrics", "list_jobs", "single_job", "single_job_with", "used_nodes",
    "users",
]  # fmt: skip


async def list_jobs(call: Call) -> Answer:
    """One page of the list."""
    asked = call.format.list_query(call.query)
    return call.format.job_page(call, asked, await read_list(call, asked))


async def find(call: Call, number: int) -> JobRow:
    """The row of the job with that integer id; what the face says of none if there is none."""
    try:
        return await call.gateway.job(call.ids.job_id(number), call.caller, fields=SINGLE)
    except GatewayError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise call.format.no_job(number, error) from None


async def find_of_key(call: Call, target: Target) -> JobRow | None:
    """The job that ``target`` names by number and start time; ``None`` if there is none."""
    if target.job_id is None:
        return None
    wanted = JobFilter.of_job(target.job_id, cluster=target.cluster, start_time=target.start_time)
    sites = [target.site] if target.site is not None else None
    answer = await call.gateway.jobs(JobListQuestion(filters=(wanted,), first=1, sites=sites, fields=SINGLE), call.caller)
    return answer.rows[0] if answer.rows else None


async def afterwards(call: Call, result: WriteResult) -> JobRow | None:
    """The job of a write as it is after it; ``None`` where it cannot be read."""
    if result.job is None:
        return None
    try:
        row = await call.gateway.job(result.job, call.caller, fields=SINGLE)
    except GatewayError:
        return None
    return row if row.key == result.key or result.key is None else None  # its number may be another job's by now


async def single_job(call: Call) -> Answer:
    """One job, with all of its metrics where they are asked for."""
    row = await find(call, call.format.job_number(call))
    with_metrics = call.format.wants_metrics(call.query)
    etag = etag_of(row, call, f"{call.format.name} {with_metrics}")
    if is_known(etag, call):
        return Answer(304, etag=etag)
    if not with_metrics:
        return call.format.single_job(call, row, None, etag=etag)
    try:
        told = await read_metrics(call, row, own_scope(row))
    except GatewayError as error:
        return call.format.without_metrics(call, row, error)
    return call.format.single_job(call, row, by_metric_and_scope(told.pieces), etag=etag)


async def single_job_with(call: Call) -> Answer:
    """One job with the metrics that the body names."""
    row = await find(call, call.format.job_number(call))
    wanted = call.format.metrics_named(call, own_scope(row))
    try:
        told = await read_metrics(call, row, wanted)
    except GatewayError as error:
        return call.format.without_metrics(call, row, error)
    return call.format.single_job_with(call, row, told.pieces)


async def job_metrics(call: Call) -> Answer:
    """Metrics of one job, by name and scope."""
    wanted = call.format.metrics_asked(call)
    try:
        job_id = call.ids.job_id(call.format.job_number(call, ""))
        told = await call.gateway.job_metrics(job_id, wanted, call.caller, budget=call.budget())
    except (GatewayError, RefusedError) as error:
        return call.format.no_metrics(error)
    etag = metrics_etag(told, f"{call.format.name} {wanted}")
    return Answer(304, etag=etag) if is_known(etag, call) else call.format.metrics(told, etag)


async def clusters(call: Call) -> Answer:
    """All clusters, or those of one name."""
    found = await call.gateway.clusters(call.caller, sites=call.sites, policy=call.policy, with_partitions=False)
    named = call.query.first("cluster")
    items = [one for one in found.items if named in (None, "", one.cluster.name)]
    if named and not items:
        refuse_gaps(found.reports)
        raise call.format.unknown_cluster(named)
    shown = [cluster(one.cluster, site=call.format.site(one.site)) for one in items]
    return call.format.json(Clusters(shown, states_of(found.reports)), headers=completeness(found.reports))


async def users(call: Call) -> Answer:
    """The accounts of all sites; ``not-just-user=true`` leaves out those that are nothing but users."""
    try:
        found = await call.gateway.users(call.caller, sites=call.sites, policy=call.policy)
    except FederationError as error:
        raise call.format.no_users(error) from None
    special = call.query.first("not-just-user") == "true"
    items = [one for one in found.items if not special or set(one.user.roles or ()) - {"user"}]
    accounts = [account(one.user, site=call.format.site(one.site)) for one in items]
    return call.format.json(accounts, headers=completeness(found.reports))


async def used_nodes(call: Call) -> Answer:
    """The nodes of jobs that run and started before ``ts``, by cluster."""
    found = await nodes_in_use(call, call.format.time_asked(call.query))
    return call.format.json(NodesInUse(found.nodes, states_of(found.reports)), headers=completeness(found.reports))
