"""What gRPC lists of jobs and sites is what GraphQL lists: every filter, every walk, every value."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from ccgateway.jobs import filters as values
from ccgateway.jobs.model import STATES
from ccgateway.v1 import filter_pb2, job_pb2
from ccgateway.v1.directory_service_pb2 import ListClustersRequest, ListSitesRequest, ListTagsRequest, ListUsersRequest
from ccgateway.v1.filter_pb2 import (
    DoubleRange,
    FootprintRange,
    Int64Range,
    JobFilter,
    JobOrder,
    StringFilter,
    StringList,
    TimeRange,
)
from ccgateway.v1.jobs_service_pb2 import (
    CountJobsRequest,
    GetJobByKeyRequest,
    GetJobRequest,
    ListJobsRequest,
    StreamJobMetricsRequest,
)
from support.faces import JOB, Faces, faces, ids_in, job_fields, job_of
from surfaces.grpc.listing import COUNT, LIST, NOW, RELEASES, site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(both: Faces, filters: list[dict[str, Any]], **more: Any) -> tuple[list[dict[str, Any]], int]:
    page = (await both.data(LIST, filter=filters, first=1000, **more))["jobs"]
    assert not page["pageInfo"]["hasNextPage"]
    return [job_fields(job) for job in page["items"]], page["count"]


def at(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)


def iso(seconds: int) -> str:
    return at(seconds).ToJsonString()


TEXTS = {
    "eq": (StringFilter(eq="alice"), {"eq": "alice"}),
    "neq": (StringFilter(neq="alice"), {"neq": "alice"}),
    "contains": (StringFilter(contains="LI"), {"contains": "LI"}),
    "starts_with": (StringFilter(starts_with="al"), {"startsWith": "al"}),
    "ends_with": (StringFilter(ends_with="ob"), {"endsWith": "ob"}),
    "any_of": (StringFilter(any_of=StringList(values=["alice", "dave"])), {"in": ["alice", "dave"]}),
    "any of none": (StringFilter(any_of=StringList()), {"in": []}),
    "no operator": (StringFilter(), {}),
}
SOME = StringFilter(contains="1"), {"contains": "1"}
FILTERS: dict[str, tuple[JobFilter, dict[str, Any]]] = {
    **{f"user {name}": (JobFilter(user=own), {"user": other}) for name, (own, other) in TEXTS.items()},
    "job_id": (JobFilter(job_id=SOME[0]), {"jobId": SOME[1]}),
    "project": (JobFilter(project=StringFilter(eq="p_a")), {"project": {"eq": "p_a"}}),
    "job_name": (JobFilter(job_name=StringFilter(contains="a")), {"jobName": {"contains": "a"}}),
    "cluster": (JobFilter(cluster=StringFilter(eq="aurora")), {"cluster": {"eq": "aurora"}}),
    "sub_cluster": (JobFilter(sub_cluster=StringFilter(eq="main")), {"subCluster": {"eq": "main"}}),
    "partition": (JobFilter(partition=StringFilter(neq="main")), {"partition": {"neq": "main"}}),
    "node": (JobFilter(node=StringFilter(contains="n00")), {"node": {"contains": "n00"}}),
    "array job": (JobFilter(array_job_id=0), {"arrayJobId": 0}),
    "duration": (JobFilter(duration_seconds=Int64Range(min=600, max=7200)), {"duration": {"from": 600, "to": 7200}}),
    "duration, open": (JobFilter(duration_seconds=Int64Range(min=9000)), {"duration": {"from": 9000}}),
    "duration, below 0": (JobFilter(duration_seconds=Int64Range(min=-1, max=60)), {"duration": {"from": -1, "to": 60}}),
    "nodes": (JobFilter(num_nodes=Int64Range(min=2)), {"numNodes": {"from": 2}}),
    "accelerators": (JobFilter(num_acc=Int64Range(min=1)), {"numAccelerators": {"from": 1}}),
    "threads": (JobFilter(num_hw_threads=Int64Range(max=16)), {"numHWThreads": {"to": 16}}),
    "energy": (JobFilter(energy_kwh=DoubleRange(min=0.5)), {"energy": {"from": 0.5}}),
    "start": (
        JobFilter(start_time=TimeRange(not_before=at(NOW - 40 * 86400), not_after=at(NOW - 86400))),
        {"startTime": {"from": iso(NOW - 40 * 86400), "to": iso(NOW - 86400)}},
    ),
    "start, open": (
        JobFilter(start_time=TimeRange(not_after=at(NOW - 30 * 86400))), {"startTime": {"to": iso(NOW - 30 * 86400)}},
    ),
    "recent": (JobFilter(start_time=TimeRange(recent=filter_pb2.RECENT_TIME_LAST_30_DAYS)), {"startTime": {"range": "last30d"}}),
    "states": (
        JobFilter(states=[job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_TIMEOUT]), {"state": ["failed", "timeout"]},
    ),
    **{
        f"state {state}": (JobFilter(states=[f"JOB_STATE_{state.upper()}"]), {"state": [state]})
        for state in STATES
    },
    "footprint": (
        JobFilter(footprint=[FootprintRange(key="flops_any_avg", range=DoubleRange(min=100, max=300))]),
        {"metricStats": [{"metricName": "flops_any_avg", "range": {"from": 100, "to": 300}}]},
    ),
    "shared": (JobFilter(shared=job_pb2.NODE_SHARING_NONE), {"shared": "none"}),
    "interactive": (JobFilter(schedule=filter_pb2.SCHEDULE_INTERACTIVE), {"schedule": "interactive"}),
    "batch": (JobFilter(schedule=filter_pb2.SCHEDULE_BATCH), {"schedule": "batch"}),
    "ids": (JobFilter(ids=["aurora:3", "draco:7", "9"]), {"dbId": ["aurora:3", "draco:7", "9"]}),
    "two fields": (
        JobFilter(user=StringFilter(eq="bob"), num_nodes=Int64Range(min=2)), {"user": {"eq": "bob"}, "numNodes": {"from": 2}},
    ),
    "nothing": (JobFilter(), {}),
}  # fmt: skip


async def test_the_table_has_every_filter() -> None:
    used = {name for own, _ in FILTERS.values() for name in (field.name for field, _ in own.ListFields())} | {"tag_ids"}
    assert used == set(JobFilter.DESCRIPTOR.fields_by_name)
    assert len(used) == len(values.JobFilter.__dataclass_fields__)
    assert {one.WhichOneof("operator") for one, _ in TEXTS.values()} == {
        None, *(field.name for field in StringFilter.DESCRIPTOR.oneofs_by_name["operator"].fields)
    }  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_means_the_same(both: Faces, name: str) -> None:
    own, other = FILTERS[name]
    wanted, count = await listed(both, [other])
    found = await both.walk(filters=[own], read_mask=FieldMask(paths=["*"]))
    assert [job_of(job) for one in found for job in one.jobs] == wanted
    assert [one.HasField("complete") for one in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].complete and not found[-1].unreachable and not found[-1].has_more
    counted = await both.jobs.CountJobs(CountJobsRequest(filters=[own]))
    assert (counted.count, counted.complete) == (count, True) and count == len(wanted)


async def test_tags_are_found_by_their_ids(both: Faces) -> None:
    tags = (await both.data("{ tags { type name scope id } }"))["tags"]
    found = await both.directory.ListTags(ListTagsRequest())
    assert [{"type": t.tag.type, "name": t.tag.name, "scope": t.tag.scope, "id": t.tag.id} for t in found.tags] == tags
    assert list(found.tags[0].sites) == list(RELEASES)
    wanted, _ = await listed(both, [{"tags": [tags[0]["id"]]}])
    jobs = await both.walk(filters=[JobFilter(tag_ids=[tags[0]["id"]])], read_mask=FieldMask(paths=["*"]))
    assert [job_of(job) for one in jobs for job in one.jobs] == wanted and len(wanted) == 3 * len(RELEASES)


async def test_several_filters_must_all_hold_and_sites_can_be_chosen(both: Faces) -> None:
    wanted, _ = await listed(both, [{"user": {"eq": "bob"}}, {"numNodes": {"from": 2}}], sites=["draco", "aurora"])
    filters = [JobFilter(user=StringFilter(eq="bob")), JobFilter(num_nodes=Int64Range(min=2))]
    found = await both.walk(filters=filters, sites=["draco", "aurora"])
    assert ids_in(found) == [job["id"] for job in wanted] != []
    assert [report.site for report in found[-1].site_reports] == ["aurora", "draco"]


ORDERS = {
    "newest first": (JobOrder(), None),
    "oldest first": (
        JobOrder(field="startTime", direction=filter_pb2.SORT_DIRECTION_ASCENDING), {"field": "startTime", "order": "ASC"},
    ),
    "longest": (JobOrder(field="duration"), {"field": "duration", "order": "DESC"}),
    "a text": (JobOrder(field="user", direction=filter_pb2.SORT_DIRECTION_ASCENDING), {"field": "user", "order": "ASC"}),
    "a footprint": (
        JobOrder(field="flops_any_avg", footprint=True), {"field": "flops_any_avg", "type": "foot", "order": "DESC"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDERS)
async def test_a_walk_goes_on_after_a_break_at_every_message(both: Faces, name: str) -> None:
    order, other = ORDERS[name]
    wanted = [job["id"] for job in (await listed(both, [], order=other))[0]]
    whole = await both.walk(order=order, page_size=50)
    assert ids_in(whole) == wanted and len(wanted) == COUNT * len(RELEASES)
    assert [len(one.jobs) for one in whole] == [50] * 4 + [40]
    for place in range(len(whole) + 1):
        token = whole[place - 1].resume_token if place else ""
        rest = await both.walk(order=order, page_size=50, page_token=token)
        assert ids_in(whole[:place]) + ids_in(rest) == wanted
        assert rest[-1].complete


async def test_a_token_is_graphqls_cursor_and_the_other_way_round(both: Faces) -> None:
    (first,) = await both.walk(limit=100)
    page = (await both.data(LIST, first=50, after=first.resume_token))["jobs"]
    rest = await both.walk(page_token=page["pageInfo"]["endCursor"])
    wanted = [job["id"] for job in (await listed(both, []))[0]]
    assert ids_in([first]) + [job["id"] for job in page["items"]] + ids_in(rest) == wanted


@pytest.mark.parametrize("limit", [1, 49, 50, 51, 120, 240, 241])
async def test_a_limit_ends_the_stream_and_says_whether_there_is_more(both: Faces, limit: int) -> None:
    found = await both.walk(limit=limit, page_size=50)
    assert len(ids_in(found)) == min(limit, 240)
    assert found[-1].HasField("complete") and found[-1].has_more == (limit < 240)
    assert sum(report.returned for report in found[-1].site_reports) == min(limit, 240)


async def test_only_the_fields_of_the_mask_come_and_the_sites_are_asked_for_no_more(both: Faces) -> None:
    always = {"id", "site", "cluster", "job_id", "start_time"}
    for paths in (["user"], ["state", "num_nodes"], ["tags", "resources"]):
        found = await both.walk(limit=20, read_mask=FieldMask(paths=paths))
        shown = {field.name for one in found for job in one.jobs for field, _ in job.ListFields()}
        assert always <= shown <= always | set(paths)
    (unmasked,) = await both.walk(limit=20)
    assert not any(job.meta_data for job in unmasked.jobs) and any(job.resources for job in unmasked.jobs)


async def test_a_job_by_id_and_by_key(both: Faces) -> None:
    for name in RELEASES:
        ident = f"{name}:7"
        query = f"query J($id: ID!) {{ job(id: $id) {{ {JOB} }} }}"
        wanted = job_fields((await both.data(query, id=ident))["job"])
        assert job_of((await both.jobs.GetJob(GetJobRequest(id=ident))).job) == wanted
        key = {"cluster": name, "job_id": wanted["jobId"]}
        for request in (
            GetJobByKeyRequest(**key),
            GetJobByKeyRequest(**key, start_time=at(wanted["startTime"])),
            GetJobByKeyRequest(**key, site=name, start_time=at(wanted["startTime"])),
        ):
            assert job_of((await both.jobs.GetJobByKey(request)).job) == wanted


async def test_sites_clusters_and_users_are_the_same_in_pages_of_any_size(both: Faces) -> None:
    sites = (await both.data("{ sites { name number release required reachable capabilities sameAs } }"))["sites"]
    found = (await both.directory.ListSites(ListSitesRequest())).sites
    assert [
        {
            "name": one.name, "number": one.number, "release": one.release, "required": one.required,
            "reachable": one.reachable, "capabilities": list(one.capabilities), "sameAs": one.same_as or None,
        }
        for one in found
    ] == sites  # fmt: skip
    users = (await both.data("{ users { site username name email roles projects } }"))["users"]
    numbers = {one["name"]: one["number"] for one in sites}
    users.sort(key=lambda one: (numbers[one["site"]], one["username"]))
    for size in (0, 1, 4, 100):
        pages, token = [], ""
        while True:
            page = await both.directory.ListUsers(ListUsersRequest(page_size=size, page_token=token))
            pages.append(page)
            token = page.next_page_token
            if not token:
                break
        assert [
            {
                "site": one.site, "username": one.username, "name": one.name, "email": one.email, "roles": list(one.roles),
                "projects": list(one.projects),
            }
            for page in pages for one in page.users
        ] == users  # fmt: skip
        assert size == 0 or max(len(page.users) for page in pages) <= size


CLUSTERS = """{ clusters { site name partitions metricConfig { name scope timestep peak normal unit { base } }
  subClusters { name nodes numberOfNodes socketsPerNode flopRateSimd { value } topology { node socket }
    metricConfig { name alert } footprint } } }"""


async def test_clusters_are_the_same(both: Faces) -> None:
    wanted = (await both.data(CLUSTERS))["clusters"]
    request = ListClustersRequest(read_mask=FieldMask(paths=["*"]))
    found = (await both.directory.ListClusters(request)).clusters
    assert [
        {
            "site": one.site,
            "name": one.name,
            "partitions": list(one.partitions),
            "metricConfig": [
                {
                    "name": metric.name, "scope": metric.scope, "timestep": metric.timestep_seconds, "peak": metric.peak,
                    "normal": metric.normal if metric.HasField("normal") else None, "unit": {"base": metric.unit.base},
                }
                for metric in one.metric_configs
            ],
            "subClusters": [
                {
                    "name": part.name, "nodes": part.nodes, "numberOfNodes": part.node_count,
                    "socketsPerNode": part.sockets_per_node, "flopRateSimd": {"value": part.flop_rate_simd.value},
                    "topology": {
                        "node": list(part.topology.node), "socket": [list(each.ids) for each in part.topology.sockets],
                    },
                    "metricConfig": [{"name": metric.name, "alert": metric.alert} for metric in part.metric_configs],
                    "footprint": list(part.footprint),
                }
                for part in one.sub_clusters
            ],
        }
        for one in found
    ] == wanted  # fmt: skip
    plain = (await both.directory.ListClusters(ListClustersRequest())).clusters
    assert not any(one.partitions for one in plain) and any(one["partitions"] for one in wanted)


async def test_a_site_that_is_down_is_reported_as_by_graphql(both: Faces) -> None:
    async with faces(site("aurora", "1.5"), site("borealis", "1.4")) as other:
        await other.sites["borealis"].stop()
        question = "{ jobs(first: 1000) { items { id } complete sites { site status code } } }"
        await other.ask(question)  # who asks first finds out that it is down
        page = (await other.ask(question))["data"]["jobs"]
        found = await other.walk()
        assert ids_in(found) == [job["id"] for job in page["items"]]
        last = found[-1]
        assert (last.complete, list(last.unreachable)) == (page["complete"], ["borealis"]) == (False, ["borealis"])
        assert {(one.site, one.code) for one in last.site_reports} == {(one["site"], one["code"] or "") for one in page["sites"]}
        counted = await other.jobs.CountJobs(CountJobsRequest())
        assert not counted.HasField("count") and list(counted.unreachable) == ["borealis"]


async def test_what_is_asked_for_wrongly_is_told(both: Faces) -> None:
    import grpc.aio

    from support.faces import failure_of

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"page_size": -1}, "BAD_REQUEST"),
        ({"limit": -1}, "BAD_REQUEST"),
        ({"page_token": "nonsense"}, "INVALID_CURSOR"),
        ({"read_mask": FieldMask(paths=["nonsense"])}, "BAD_REQUEST"),
        ({"order": JobOrder(field="nonsense")}, "BAD_REQUEST"),
        ({"filters": [JobFilter(states=[77])]}, "BAD_REQUEST"),  # type: ignore[list-item]
        ({"filters": [JobFilter(schedule=77)]}, "BAD_REQUEST"),  # type: ignore[arg-type]
        ({"filters": [JobFilter(shared=77)]}, "BAD_REQUEST"),  # type: ignore[arg-type]
        ({"filters": [JobFilter(start_time=TimeRange(recent=77))]}, "BAD_REQUEST"),  # type: ignore[arg-type]
        ({"policy": 77}, "BAD_REQUEST"),
        ({"sites": ["nowhere"]}, "UNKNOWN_SITE"),
        ({"filters": [JobFilter()] * 101}, "LIMIT_EXCEEDED"),
        ({"filters": [JobFilter(ids=["1"] * 1001)]}, "LIMIT_EXCEEDED"),
    ]
    for request, reason in wrong:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await both.walk(**request)
        assert failure_of(refused.value).reason == reason, request
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        many = StreamJobMetricsRequest(ids=["aurora:1"] * 10_000)
        assert [one async for one in both.jobs.StreamJobMetrics(many)]
    assert "limits.query_cost" in failure_of(refused.value).message
    (whole,) = [one async for one in both.jobs.ListJobs(ListJobsRequest(limit=1))]
    token = whole.resume_token
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await both.walk(page_token=token, sites=["aurora"])
    assert failure_of(refused.value).reason == "INVALID_CURSOR"
