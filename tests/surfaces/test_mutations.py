"""Mutations: what their arguments order, how results show, and how they behave as a request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ccgateway.federation.gateway import Gateway
from ccgateway.simulator import SimulatedSite
from support.written import NOW, Fault, Wire, gateway_over, instance_of, job_at, look_quickly
from surfaces.apps import client_of, make_app

RESULT = "outcome site id key { cluster jobId startTime } code message retryable"


def job(db_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main",
        "numNodes": 1, "startTime": NOW - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "completed",
        "resources": [{"hostname": "an001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 3,
    } | changes  # fmt: skip


class World:
    """The endpoint in front of a simulated site (and of a second one, where asked for)."""

    def __init__(self, release: str = "1.4", second: str | None = None, **writes: Any) -> None:
        jobs = [job(1), job(2), job(3, jobState="running", monitoringStatus=1, startTime=NOW - 900)]
        self.wire = Wire(SimulatedSite("aurora", release, jobs, clock=lambda: float(NOW)))
        instances = [instance_of(self.wire)]
        if second is not None:
            self.second = Wire(SimulatedSite("borealis", second, [job(7, cluster="borealis")], clock=lambda: float(NOW)))
            instances.append(instance_of(self.second, 2))
        self.gateway: Gateway = gateway_over(*instances, writes=writes)
        self.app = make_app(self.gateway)

    async def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        async with client_of(self.app) as client:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.post("/graphql", json={"query": query, "variables": variables}, headers=names)

    async def ask(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        answer = await self.post(query, variables, **headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def write(self, field: str, arguments: str, selection: str = RESULT) -> list[dict[str, Any]]:
        answer = await self.ask(f"mutation {{ {field}({arguments}) {{ {selection} }} }}")
        assert "errors" not in answer, answer
        found: list[dict[str, Any]] = answer["data"][field]
        return found

    def stored(self, db_id: int) -> dict[str, Any]:
        return job_at(self.wire.site, db_id) or {}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


@pytest.fixture
def world() -> World:
    return World()


# --- arguments and results


async def test_a_start_says_everything_of_the_job(world: World) -> None:
    order = (
        '{jobId: 9007199254740993, user: "alice", cluster: "aurora", startTime: "2025-10-09T08:00:00Z", project: "p", '
        'subCluster: "main", partition: "devel", arrayJobId: 5, numHWThreads: 8, numAcc: 2, SMT: 1, monitoringStatus: 1, '
        'shared: "single_user", walltime: 7200, metaData: {jobName: "run", other: "x"}, tags: [{type: "t", name: "n"}], '
        'resources: [{hostname: "an001", hwthreads: [0, 1], accelerators: ["gpu0"], configuration: "c"}]}'
    )
    (found,) = await world.write("startJobs", f"jobs: [{order}]", RESULT + " job { shared metaData tags { name } numHWThreads }")
    assert found == {
        "outcome": "DONE", "site": "aurora", "id": "aurora:4", "code": None, "message": None, "retryable": False,
        "key": {"cluster": "aurora", "jobId": 9007199254740993, "startTime": "2025-10-09T08:00:00Z"},
        "job": {
            "shared": "single_user", "metaData": {"jobName": "run", "other": "x"}, "tags": [{"name": "n"}], "numHWThreads": 8,
        },
    }  # fmt: skip
    sent = json.loads(world.wire.sent[0].body or b"")
    assert sent["exclusive"] == 2
    assert sent["resources"] == [
        {"hostname": "an001", "hwthreads": [0, 1], "accelerators": ["gpu0"], "configuration": "c"}
    ]  # fmt: skip


async def test_a_started_job_that_does_not_show_is_pending_with_its_key() -> None:
    world = World("1.5")
    order = '{jobId: 9, user: "alice", cluster: "aurora", startTime: "2025-10-09T08:00:00Z", resources: [{hostname: "an001"}]}'
    (found,) = await world.write("startJobs", f"jobs: [{order}]", RESULT + " job { id }")
    assert (found["outcome"], found["job"], found["key"]["jobId"]) == ("PENDING", None, 9)
    stop = f'jobs: [{{job: {{id: "{found["id"]}"}}, stopTime: "2025-10-09T08:30:00Z", state: completed}}]'
    (stopped,) = await world.write("stopJobs", stop, RESULT + " job { jobId state }")
    assert (stopped["outcome"], stopped["job"]) == ("DONE", {"jobId": 9, "state": "completed"})


@pytest.mark.parametrize(
    "named",
    [
        '{id: "aurora:3"}',
        f'{{cluster: "aurora", jobId: 1003, startTime: "{"2025-10-09T08:38:20Z"}"}}',
        '{site: "aurora", cluster: "aurora", jobId: "1003"}',
        "{jobId: 1003}",
        '{id: "aurora:3", jobId: 1003}',
    ],
)
async def test_a_job_is_named_in_many_ways(world: World, named: str) -> None:
    stop = f'{{job: {named}, stopTime: "2025-10-09T08:53:00Z", state: timeout}}'
    (found,) = await world.write("stopJobs", f"jobs: [{stop}]", RESULT + " job { state duration }")
    assert (found["outcome"], found["job"]) == ("DONE", {"state": "timeout", "duration": 880}), found


@pytest.mark.parametrize(
    ("field", "arguments", "words"),
    [
        ("tagJobs", 'jobs: [{}], tags: [{type: "a", name: "b"}]', "Name the job"),
        ("tagJobs", 'jobs: [{id: "seven"}], tags: [{type: "a", name: "b"}]', "not a job id"),
        ("tagJobs", 'jobs: [{id: "aurora:1", site: "borealis"}], tags: [{type: "a", name: "b"}]', "not one of site"),
        ("tagJobs", 'jobs: [{cluster: "aurora"}], tags: [{type: "a", name: "b"}]', "Name the job"),
        ("tagJobs", 'jobs: [{id: "aurora:1"}], tags: []', "No tags"),
        ("tagJobs", 'jobs: [{id: "aurora:1"}], tags: [{type: "", name: "b"}]', "type and a name"),
        ("tagJobs", 'jobs: [], tags: [{type: "a", name: "b"}]', "nothing to do"),
        ("editJobsMeta", 'jobs: [{job: {id: "aurora:1"}, values: {a: 1}}]', "texts"),
        ("editJobsMeta", 'jobs: [{job: {id: "aurora:1"}, values: {}}]', "names no key"),
        ("deleteJobs", 'jobs: [{id: "aurora:1"}], idempotencyKey: ""', "1 to 255"),
    ],
)
async def test_what_is_no_order_is_refused_as_a_whole(world: World, field: str, arguments: str, words: str) -> None:
    answer = await world.ask(f"mutation {{ {field}({arguments}) {{ outcome }} }}")
    assert answer["data"] == {field: None}
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert words in error["message"]
    assert world.wire.sent == []


async def test_results_come_in_the_order_of_the_orders(world: World) -> None:
    tags = 'tags: [{type: "a", name: "b"}]'
    found = await world.write(
        "tagJobs", f'jobs: [{{id: "aurora:2"}}, {{id: "aurora:9"}}, {{id: "aurora:1"}}], {tags}', "outcome id code"
    )
    assert found == [
        {"outcome": "DONE", "id": "aurora:2", "code": None},
        {"outcome": "FAILED", "id": "aurora:9", "code": "NOT_FOUND"},
        {"outcome": "DONE", "id": "aurora:1", "code": None},
    ]
    taken = await world.write("untagJobs", f'jobs: [{{id: "aurora:2"}}, {{id: "aurora:2"}}], {tags}', "outcome")
    assert taken == [{"outcome": "DONE"}, {"outcome": "UNCHANGED"}]


async def test_metadata_is_an_object_of_texts(world: World) -> None:
    query = 'mutation($v: Any!) { editJobsMeta(jobs: [{job: {id: "aurora:1"}, values: $v}]) { outcome job { metaData } } }'
    answer = await world.ask(query, {"v": {"note": 'a "b"', "ü": "ñ"}})
    assert answer["data"]["editJobsMeta"] == [
        {"outcome": "DONE", "job": {"metaData": {"jobName": "x", "note": 'a "b"', "ü": "ñ"}}}
    ]  # fmt: skip


async def test_deletes_can_be_tried_dry(world: World) -> None:
    dry = await world.write("deleteJobs", 'jobs: [{id: "aurora:1"}], dryRun: true', "outcome id message")
    assert dry == [{"outcome": "UNCHANGED", "id": "aurora:1", "message": "It would be deleted."}]
    swept = await world.write("deleteJobsBefore", 'before: "2025-10-09T08:00:00Z", dryRun: true', "outcome site count")
    assert swept == [{"outcome": "UNCHANGED", "site": "aurora", "count": 2}]
    assert world.wire.sent == []
    (done,) = await world.write("deleteJobs", 'jobs: [{id: "aurora:1"}]', RESULT + " job { id }")
    assert (done["outcome"], done["id"], done["job"], done["key"]["jobId"]) == ("DONE", None, None, 1001)


async def test_an_outcome_that_is_not_known_says_so(world: World) -> None:
    world.wire.faults = [Fault.LATE_BEFORE]
    (found,) = await world.write("deleteJobs", 'jobs: [{id: "aurora:1"}]')
    assert (found["outcome"], found["code"], found["retryable"]) == ("UNKNOWN", "TIMEOUT", True)


# --- as a request


async def test_mutations_are_carried_out_one_after_the_other(world: World) -> None:
    answer = await world.ask(
        """mutation {
          a: editJobsMeta(jobs: [{job: {id: "aurora:1"}, values: {n: "1"}}]) { job { metaData } }
          b: editJobsMeta(jobs: [{job: {id: "aurora:1"}, values: {n: "2"}}]) { job { metaData } }
          c: deleteJobs(jobs: [{id: "aurora:1"}]) { outcome }
        }"""
    )
    assert [answer["data"][name][0]["job"]["metaData"]["n"] for name in "ab"] == ["1", "2"]
    assert answer["data"]["c"] == [{"outcome": "DONE"}]


async def test_a_mutation_that_is_refused_takes_none_of_the_others_results(world: World) -> None:
    answer = await world.ask(
        """mutation {
          a: deleteJobs(jobs: [{id: "aurora:1"}]) { outcome }
          b: deleteJobs(jobs: []) { outcome }
        }"""
    )
    assert answer["data"] == {"a": [{"outcome": "DONE"}], "b": None}


async def test_a_mutation_needs_a_post(world: World) -> None:
    async with client_of(world.app) as client:
        query = 'mutation { deleteJobs(jobs: [{id: "aurora:1"}]) { outcome } }'
        answer = await client.get("/graphql", params={"query": query}, headers={"Accept": "application/json"})
    assert answer.status_code == 405
    assert world.wire.sent == []


async def test_a_page_of_another_origin_cannot_write(world: World) -> None:
    answer = await world.post('mutation { deleteJobs(jobs: [{id: "aurora:1"}]) { outcome } }', Sec_Fetch_Site="cross-site")
    assert answer.status_code == 403
    assert world.wire.sent == []


async def test_the_same_document_with_the_same_key_is_carried_out_once(world: World) -> None:
    query = """mutation {
      a: tagJobs(jobs: [{id: "aurora:1"}], tags: [{type: "a", name: "b"}]) { outcome }
      b: tagJobs(jobs: [{id: "aurora:2"}], tags: [{type: "a", name: "b"}]) { outcome }
    }"""
    first = await world.ask(query, Idempotency_Key="k-1")
    again = await world.ask(query, Idempotency_Key="k-1")
    assert first == again == {"data": {"a": [{"outcome": "DONE"}], "b": [{"outcome": "DONE"}]}}
    assert len(world.wire.sent) == 2
    other = await world.ask(query.replace('"aurora:1"', '"aurora:3"'), Idempotency_Key="k-1")
    assert {error["extensions"]["code"] for error in other["errors"]} == {"CONFLICT"}
    more = query.rstrip("}") + 'c: tagJobs(jobs: [{id: "aurora:2"}], tags: [{type: "c", name: "d"}]) { outcome } }'
    assert {error["extensions"]["code"] for error in (await world.ask(more, Idempotency_Key="k-1"))["errors"]} == {"CONFLICT"}
    assert len(world.wire.sent) == 2
    fresh = await world.ask(query, Idempotency_Key="k" * 255)
    assert fresh["data"]["a"] == [{"outcome": "UNCHANGED"}]


async def test_several_keys_that_differ_are_refused(world: World) -> None:
    async with client_of(world.app) as client:
        query = 'mutation { tagJobs(jobs: [{id: "aurora:1"}], tags: [{type: "a", name: "b"}]) { outcome } }'
        answer = await client.post("/graphql", json={"query": query}, headers=[("Idempotency-Key", key) for key in "ab"])
    assert answer.status_code == 400 and not world.wire.sent


async def test_a_key_as_an_argument_is_the_fields_own(world: World) -> None:
    arguments = 'jobs: [{id: "aurora:1"}], tags: [{type: "a", name: "b"}], idempotencyKey: "mine"'
    assert await world.write("tagJobs", arguments, "outcome") == [{"outcome": "DONE"}]
    assert await world.write("tagJobs", arguments, "outcome") == [{"outcome": "DONE"}]
    assert len(world.wire.sent) == 1


async def test_who_writes_too_much_is_told_when_to_go_on() -> None:
    world = World(per_minute=1)
    await world.write("deleteJobs", 'jobs: [{id: "aurora:1"}]', "outcome")
    answer = await world.ask('mutation { deleteJobs(jobs: [{id: "aurora:2"}]) { outcome } }')
    assert answer["errors"][0]["extensions"] == {"code": "RATE_LIMITED", "retryable": True, "retryAfter": 60}


async def test_a_thousand_orders_fit_into_a_request_and_more_do_not() -> None:
    world = World(per_minute=10_000)
    query = 'mutation($j: [JobTarget!]!) { tagJobs(jobs: $j, tags: [{type: "a", name: "b"}]) { outcome } }'
    found = await world.ask(query, {"j": [{"id": "aurora:1"}] * 1000})
    assert [one["outcome"] for one in found["data"]["tagJobs"]] == ["DONE"] + ["UNCHANGED"] * 999
    over = await world.ask(query, {"j": [{"id": "aurora:1"}] * 1001})
    assert over["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    far_over = await world.ask(query, {"j": [{"id": "aurora:1"}] * 60_000})
    assert "limit is 50000 (limits.query_cost)" in far_over["errors"][0]["message"]


async def test_filters_stay_bounded_beside_the_orders(world: World) -> None:
    answer = await world.ask("query($f: [JobFilter!]) { jobs(filter: $f) { complete } }", {"f": [{}] * 101})
    assert "limit is 100" in answer["errors"][0]["message"]


async def test_orders_cost(world: World) -> None:
    app = make_app(world.gateway, query_cost=300)
    async with client_of(app) as client:

        async def code_of(count: int) -> str | None:
            query = "mutation($j: [JobTarget!]!) { deleteJobs(jobs: $j, dryRun: true) { outcome } }"
            body = {"query": query, "variables": {"j": [{"id": "aurora:1"}] * count}}
            found = (await client.post("/graphql", json=body)).json()
            return str(found["errors"][0]["extensions"]["code"]) if "errors" in found else None

        assert await code_of(19) is None
        assert await code_of(20) == "LIMIT_EXCEEDED"


# --- tags, and cc-backend's own mutations


async def test_tags_are_one_over_all_sites() -> None:
    world = World("1.4", second="1.3")
    world.wire.site.add_tag(1, "review", "slow")
    world.wire.site.add_tag(1, "ops", "watch", "admin")
    world.second.site.add_tag(7, "review", "slow")
    answer = await world.ask("{ tags { id type name scope } }")
    assert answer["data"]["tags"] == [
        {"id": "admin/ops/watch", "type": "ops", "name": "watch", "scope": "admin"},
        {"id": "global/review/slow", "type": "review", "name": "slow", "scope": "global"},
    ]
    listed = await world.ask('{ jobs(filter: [{tags: ["global/review/slow"]}]) { items { id } } }')
    assert {one["id"] for one in listed["data"]["jobs"]["items"]} == {"aurora:1", "borealis:7"}


async def test_cc_backends_own_mutations_take_federated_ids() -> None:
    world = World("1.4", second="1.3")
    created = await world.ask('mutation { createTag(type: "own", name: "a b/c", scope: "global") { id type name scope } }')
    tag = created["data"]["createTag"]
    assert tag == {"id": "global/own/a%20b%2Fc", "type": "own", "name": "a b/c", "scope": "global"}
    for job_id in ("aurora:1", "borealis:7"):
        ids = {"j": job_id, "t": [tag["id"]]}
        put = await world.ask("mutation($j: ID!, $t: [ID!]!) { addTagsToJob(job: $j, tagIds: $t) { id name } }", ids)
        assert put["data"]["addTagsToJob"] == [{"id": tag["id"], "name": "a b/c"}], put
        taken = await world.ask("mutation($j: ID!, $t: [ID!]!) { removeTagsFromJob(job: $j, tagIds: $t) { id } }", ids)
        assert taken["data"]["removeTagsFromJob"] == []
    unnamed = await world.ask("mutation($t: ID!) { deleteTag(id: $t) }", {"t": tag["id"]})
    assert "Name the sites" in unnamed["errors"][0]["message"]
    gone = await world.ask('mutation($t: [ID!]!) { removeTagFromList(tagIds: $t, sites: ["aurora"]) }', {"t": [tag["id"]]})
    assert gone == {"data": {"removeTagFromList": [tag["id"]]}}
    left = await world.ask('{ tags(sites: ["aurora"]) { name } }')
    assert left["data"]["tags"] == []


async def test_what_such_a_mutation_did_not_do_is_an_error(world: World) -> None:
    missing = await world.ask('mutation { addTagsToJob(job: "aurora:9", tagIds: ["global/a/b"]) { id } }')
    assert missing["errors"][0]["extensions"] == {"code": "NOT_FOUND", "retryable": False, "site": "aurora"}
    number = await world.ask('mutation { addTagsToJob(job: "aurora:1", tagIds: ["7"]) { id } }')
    assert number["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    world.wire.faults = [Fault.LATE_BEFORE]
    lost = await world.ask('mutation { addTagsToJob(job: "aurora:1", tagIds: ["global/a/b"]) { id } }')
    assert "not known whether" in lost["errors"][0]["message"]
    assert await world.ask('mutation { addTagsToJob(job: "aurora:1", tagIds: []) { id } }') == {"data": {"addTagsToJob": []}}


async def test_a_site_that_fails_is_named_beside_what_the_others_did() -> None:
    world = World("1.4", second="1.3")
    world.second.faults = [Fault.REFUSED]
    answer = await world.ask('mutation { createTag(type: "a", name: "b", scope: "global") { id } }')
    assert answer["data"]["createTag"] == {"id": "global/a/b"}
    (error,) = answer["errors"]
    assert (error["extensions"]["code"], error["extensions"]["site"], error["path"]) == ("UNREACHABLE", "borealis", ["createTag"])
    scoped = await world.ask('mutation { createTag(type: "c", name: "d", scope: "admin") { id } }')
    assert scoped["data"]["createTag"] == {"id": "admin/c/d"}
    assert [note["site"] for note in scoped["extensions"]["notes"]] == ["borealis"]
