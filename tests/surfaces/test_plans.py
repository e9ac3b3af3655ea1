"""What a plan answers without graphql-core is, byte for byte, what graphql-core answers: for every root field, whatever is
selected, switched, missing or broken.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

import msgspec
import pytest
from graphql import GraphQLObjectType, OperationDefinitionNode, parse, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ccgateway.errors import Code, FederationError, GatewayError, RequestError, SiteError
from ccgateway.federation.questions import JobListAnswer, SiteReport
from ccgateway.jobs.clusters import Accelerator, MetricConfig, MetricValue, SubCluster, Topology, Unit
from ccgateway.jobs.metrics import MetricPiece
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.executor import PlannedExecutor
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.plans import Plan
from ccgateway.surfaces.graphql.selection import NO_VARIABLES
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from surfaces.fakes import (
    CALLER,
    FakeGateway,
    aurora,
    borealis_is_down,
    make_cluster,
    make_piece,
    make_row,
    make_status,
    make_user,
)  # fmt: skip
from surfaces.paths import executed_by_core, executed_with_lists
from surfaces.test_metrics import BROKEN, OUTCOMES, in_order
from surfaces.test_projection import ROWS
from surfaces.test_selection import LIMITS, SCHEMA, selections


def kind(name: str) -> GraphQLObjectType:
    return cast(GraphQLObjectType, SCHEMA.type_map[name])


# --- questions

#: root fields as they may be written, and the type that they give
ROOTS = [
    ("jobs", "JobResultList"),
    ("jobs(first: $first, sites: $sites, policy: $policy)", "JobResultList"),
    ("jobs(filter: [{user: {eq: $word}}, {state: [running]}])", "JobResultList"),
    ("jobs(filter: $filter, page: {itemsPerPage: 2, page: $first})", "JobResultList"),
    ('job(id: "aurora:1")', "Job"),
    ("job(id: $id)", "Job"),
    ('jobByKey(cluster: "alex", jobId: 1)', "Job"),
    ("jobByKey(cluster: $word, jobId: $number, startTime: $time)", "Job"),
    ("jobMetrics(id: $id, metrics: $sites)", "JobMetricWithName"),
    ('jobStats(id: "aurora:1")', "NamedStats"),
    ("scopedJobStats(id: $id)", "NamedStatsWithScope"),
    ("clusters(sites: $sites)", "Cluster"),
    ("users(policy: STRICT)", "User"),
    ("sites", "Site"),
]
DECLARED = {
    "yes": "Boolean!", "no": "Boolean! = false", "first": "Int = 2", "sites": "[String!]", "policy": "Policy! = PARTIAL",
    "word": 'String! = "alice"', "filter": "[JobFilter!]", "id": "ID!", "number": "Int64! = 7", "time": "Time",
}  # fmt: skip
switches = st.sampled_from(["", "", "", "@include(if: $yes)", "@skip(if: $yes)", "@skip(if: $no)"])


@st.composite
def questions(draw: st.DrawFn) -> str:
    roots = []
    for i in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        root, name = draw(st.sampled_from(ROOTS))
        spreads = ("J",) if name == "Job" else ("L",) if name == "JobResultList" else ()
        body = draw(selections(kind(name), spreads=spreads, wanted=4))
        alias = draw(st.sampled_from(["", f"a{i}: "]))
        roots.append(f"{alias}{root} {draw(switches)} {body}")
    more = draw(st.sampled_from(["", "", "__typename", "t: __typename @include(if: $yes)", "...Q", "... on Query { ...Q }"]))
    body = " ".join((*roots, more))
    for name, on in (("J", "Job"), ("L", "JobResultList")):
        if f"...{name}" in body:
            body += f" }} fragment {name} on {on} {draw(selections(kind(on), wanted=3))[:-1]}"
    declared = ", ".join(f"${name}: {of}" for name, of in DECLARED.items() if re.search(rf"\${name}\b", body))
    return (
        f"query One{f'({declared})' if declared else ''} {{ {body} }} query Two {{ __typename ...Q }} "
        "fragment Q on Query { q: sites { name } __typename }"
    )


def is_valid(document: str) -> bool:
    """Not where two fields of one name differ in their arguments."""
    errors = validate(SCHEMA, parse(document))
    assert all("conflict" in error.message for error in errors), errors
    return not errors


VARIABLES = st.fixed_dictionaries(
    {"yes": st.booleans(), "id": st.sampled_from(["aurora:1", "aurora:2", "aurora:99", "nonsense", 7])},
    optional={
        "no": st.booleans(),
        "first": st.none() | st.integers(-1, 3),
        "sites": st.none() | st.just([]) | st.just(["aurora"]),
        "policy": st.sampled_from(["PARTIAL", "STRICT"]),
        "word": st.text(max_size=3),
        "filter": st.none() | st.just([{"user": {"contains": "a"}, "duration": {"from": 1}}]),
        "number": st.integers(0, 2**40) | st.just("12"),
        "time": st.none() | st.just("2024-06-01T12:00:00Z") | st.just(""),
    },
)


# --- what the gateway has

texts = st.text(max_size=4)
numbers = st.floats(-1e9, 1e9, allow_nan=False)
small = st.integers(0, 2**31 - 1) | st.just(2**31)
threads = st.lists(st.integers(0, 200) | st.just(2**31), max_size=3)
units = st.builds(Unit, texts, st.none() | texts)
topologies = st.builds(
    Topology,
    node=st.none() | threads,
    socket=st.none() | st.lists(threads, max_size=2),
    die=st.none() | st.lists(st.none() | threads, max_size=2),
    accelerators=st.none() | st.lists(st.builds(Accelerator, texts, texts, texts), max_size=1),
)
metric_configs = st.builds(
    MetricConfig, texts, units, st.just("core"), texts, small, numbers, st.none() | numbers,
    lower_is_better=st.none() | st.booleans(),
)  # fmt: skip
sub_clusters = st.builds(
    SubCluster, texts, st.sampled_from(["a[001-004]", "n1"]), texts, small,
    flop_rate_scalar=st.builds(MetricValue, units, numbers, st.none() | texts), topology=topologies,
    metric_config=st.none() | st.lists(metric_configs, max_size=1), footprint=st.none() | st.lists(texts, max_size=2),
)  # fmt: skip
clusters = st.builds(
    make_cluster, texts, metric_config=st.none() | st.lists(metric_configs, max_size=1),
    sub_clusters=st.none() | st.lists(sub_clusters, max_size=2), partitions=st.none() | st.lists(texts, max_size=2),
)  # fmt: skip
statuses = st.builds(
    make_status, texts, release=st.none() | st.just("1.5"), since=st.floats(0, 4e9), elapsed=st.none() | st.floats(0, 9),
    last_error=st.none() | st.just(BROKEN), last_error_at=st.none() | st.floats(0, 4e9), same_as=st.none() | texts,
)  # fmt: skip
FAULTS = [
    RequestError(Code.NOT_FOUND, "no such job"),
    FederationError(Code.ALL_SITES_FAILED, "none", [BROKEN]),
    SiteError(Code.TIMEOUT, "aurora", "late"),
]


@dataclass
class World:
    """What a gateway has, to make the same one again and again."""

    rows: list[dict[str, Any]]
    outcomes: list[list[MetricPiece] | GatewayError]
    lists: list[Any]
    statuses: list[Any]
    is_partial: bool
    fault: Exception | None
    users_fault: GatewayError | None
    notes: list[str]

    def gateway(self) -> FakeGateway:
        reports: list[SiteReport] = [aurora(elapsed=0.5, cache_age=2.0, notes=["n"])] + [borealis_is_down()] * self.is_partial
        return FakeGateway(
            rows=[make_row(number, **one) for number, one in enumerate(self.rows, 1)] or [make_row(1)],
            reports=reports,
            accounts=[make_user(), make_user("bob", "borealis")],
            lists=self.lists,
            pieces={f"aurora:{number}": one for number, one in enumerate(self.outcomes, 1)},
            metric_notes=self.notes,
            statuses=self.statuses,
            fault=self.fault,
            users_fault=self.users_fault,
            has_next_page=self.is_partial,
        )


WORLDS = st.builds(
    World,
    st.lists(ROWS, max_size=3),
    st.lists(OUTCOMES, max_size=3),
    st.lists(clusters, max_size=2),
    st.lists(statuses, max_size=2),
    st.booleans(),
    st.none() | st.none() | st.none() | st.sampled_from(FAULTS),
    st.none() | st.just(BROKEN),
    st.just([]) | st.just(["resolution: chosen by the site"]),
)


async def run(executions: Executions, document: str, variables: dict[str, Any] | None, gateway: FakeGateway) -> dict[str, Any]:
    request = GraphQLRequest(document, operation_name="One" if "query Two" in document else None, variables=variables)
    return await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "test")


def new_executions() -> Executions:
    return Executions(SCHEMA, Documents(SCHEMA, LIMITS))


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert msgspec.json.encode(one["data"]) == msgspec.json.encode(two["data"])
    if one["data"] is None:  # what ends the whole answer may come before or after what other fields run into
        assert one["errors"] and two["errors"]
    else:
        assert in_order(one.get("errors", [])) == in_order(two.get("errors", []))
        assert in_order(one.get("extensions", {}).get("notes", [])) == in_order(two.get("extensions", {}).get("notes", []))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(questions(), st.lists(VARIABLES, min_size=1, max_size=2), WORLDS)
async def test_the_planned_answer_is_the_executed_one(document: str, requests: list[dict[str, Any]], world: World) -> None:
    assume(is_valid(document))
    planned, listed, plain = new_executions(), new_executions(), new_executions()
    for variables in requests:  # one after the other, so that what was worked out for one serves the next
        answer = await run(planned, document, variables, world.gateway())
        with executed_by_core():
            assert_same(answer, await run(plain, document, variables, world.gateway()))
        with executed_with_lists():
            assert_same(answer, await run(listed, document, variables, world.gateway()))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(questions(), st.lists(VARIABLES, min_size=1, max_size=3))
async def test_the_gateway_is_asked_the_same_once(document: str, requests: list[dict[str, Any]]) -> None:
    assume(is_valid(document))
    planned, plain = new_executions(), new_executions()
    for variables in requests:
        one, two = FakeGateway(), FakeGateway()
        await run(planned, document, variables, one)
        with executed_by_core():
            await run(plain, document, variables, two)
        assert sorted(map(str, one.questions)) == sorted(map(str, two.questions))


# --- what is planned

PLANNED = [
    "{ jobs { items { id tags { name } metrics { name } } count pageInfo { endCursor } sites { site status notes } } }",
    '{ job(id: "aurora:1") { id key { site } metrics { metric { series { data } } } } }',
    '{ one: jobByKey(cluster: "alex", jobId: 1) { id } two: jobByKey(cluster: "alex", jobId: 2) { id } }',
    '{ jobMetrics(id: "aurora:1") { name } jobStats(id: "aurora:1") { name } scopedJobStats(id: "aurora:1") { name } }',
    "{ clusters { name metricConfig { unit { base } } subClusters { topology { socket } } } __typename }",
    "{ users { username roles } sites { name lastError { code } } }",
    "query($f: [JobFilter!]) { jobs(filter: $f) { complete } }",
]
EXECUTED = [
    "{ jobs { items { userData { name } } } }",
    "{ __schema { queryType { name } } }",
    "{ __typename }",
    '{ jobs { complete } __type(name: "Job") { name } }',
]


def plan_of(document: str) -> Plan:
    documents = Documents(SCHEMA, LIMITS)
    found = documents.get(document)
    (operation,) = (one for one in found.node.definitions if isinstance(one, OperationDefinitionNode))
    return documents.plan(found, operation, NO_VARIABLES)


@pytest.mark.parametrize("document", PLANNED)
async def test_what_is_plain_never_reaches_graphql_core(document: str) -> None:
    assert plan_of(document).fields is not None
    with patch.object(PlannedExecutor, "build", side_effect=AssertionError("executed")):
        answer = await run(new_executions(), document, None, FakeGateway())
    assert "errors" not in answer


@pytest.mark.parametrize("document", EXECUTED)
def test_what_is_not_plain_has_no_fields(document: str) -> None:
    assert plan_of(document).fields is None


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failed_question_is_not_asked_again(fault: Exception) -> None:
    gateway = FakeGateway(fault=fault)
    answer = await run(new_executions(), '{ job(id: "aurora:1") { id } }', None, gateway)
    assert (answer["data"], len(gateway.questions)) == ({"job": None}, 1)


async def test_a_value_that_is_not_plain_is_not_asked_for_again() -> None:
    gateway = FakeGateway(rows=[make_row(1, duration=2**31)])
    answer = await run(new_executions(), "{ jobs { items { duration metrics { name } } } }", None, gateway)
    assert answer["data"] is None
    assert [entry["path"] for entry in answer["errors"]] == [["jobs", "items", 0, "duration"]]
    assert len(gateway.questions) == 2


async def test_an_answer_that_cannot_be_ends_the_other_questions() -> None:
    class Slow(FakeGateway):
        async def jobs(self, question: Any, caller: Any) -> JobListAnswer:
            await self._hang()
            raise AssertionError

    gateway = Slow(fault=FAULTS[0])
    answer = await asyncio.wait_for(
        run(new_executions(), '{ jobs { complete } jobMetrics(id: "aurora:1") { name } }', None, gateway), 5
    )
    assert answer["data"] is None
    assert gateway.cancelled.is_set()


async def test_a_caller_who_leaves_ends_every_question() -> None:
    gateway = FakeGateway(hang=True)
    asking = asyncio.create_task(run(new_executions(), "{ a: jobs { complete } b: jobs { complete } }", None, gateway))
    await gateway.hanging.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert gateway.cancelled.is_set()


async def test_a_switch_that_is_null_is_the_callers_fault() -> None:
    document = "query($on: Boolean = true) { jobs @include(if: $on) { complete } }"
    with pytest.raises(Refusal) as caught:
        await run(new_executions(), document, {"on": None}, FakeGateway())
    assert (caught.value.code, caught.value.status) == (Code.BAD_REQUEST, 400)


# --- bytes of samples

LONG = b'{"series":[{"hostname":"a","data":[%s]}]}' % b",".join([b"1.00"] * 100)
WRITTEN = len(b",".join([b"1.00"] * 100)) + 2
SHOW = "metric { series { data } }"


@pytest.mark.parametrize("way", [None, executed_with_lists, executed_by_core])
@pytest.mark.parametrize(
    ("document", "times"),
    [
        (f'{{ jobMetrics(id: "aurora:1") {{ {SHOW} }} }}', 1),
        ('{ jobMetrics(id: "aurora:1") { metric { series { data a: data } b: series { data } } } }', 3),
        (f"{{ jobs {{ items {{ a: metrics {{ {SHOW} }} b: metrics {{ {SHOW} }} }} }} }}", 4),
        (f"{{ jobs {{ items {{ metrics {{ {SHOW} }} }} b: items {{ metrics {{ x: {SHOW} }} }} }} }}", 4),
    ],
)
async def test_samples_count_as_often_as_they_are_shown(way: Callable[[], Any] | None, document: str, times: int) -> None:
    for most, is_refused in ((times * WRITTEN, False), (times * WRITTEN - 1, True)):
        limits = LIMITS.model_copy(update={"metrics_bytes": most})
        gateway = FakeGateway(pieces={f"aurora:{number}": [make_piece(text=LONG)] for number in (1, 2)})
        executions = Executions(SCHEMA, Documents(SCHEMA, limits))
        context = RequestContext(gateway, CALLER, limits)
        if way is None:
            answer = await executions.run(GraphQLRequest(document), context, "test")
        else:
            with way():
                answer = await executions.run(GraphQLRequest(document), context, "test")
        if is_refused:
            codes = [entry["extensions"]["code"] for entry in answer["errors"]]
            assert (answer["data"], codes) == (None, ["LIMIT_EXCEEDED"])
        else:
            assert "errors" not in answer


# --- values that do not fit

TOPOLOGY = "{ clusters { subClusters { topology { node socket die accelerators { id } } } } }"


@pytest.mark.parametrize(
    "topology",
    [
        Topology([1, 2**31], [[1], []], [None], [[2]], None),  # type: ignore[list-item]
        Topology(None, [[1, 2**31]]),
        Topology(None, [[1], None]),  # type: ignore[list-item]
        Topology([None]),  # type: ignore[list-item]
        Topology(None, None, None, [None, [2**31]]),
        Topology(None, None, None, [None, [3], []], accelerators=[]),
    ],
)
async def test_lists_of_lists_are_looked_at_to_the_last_item(topology: Topology) -> None:
    gateway = FakeGateway(lists=[make_cluster(sub_clusters=[SubCluster("a", topology=topology), SubCluster("b")])])
    answer = await run(new_executions(), TOPOLOGY, None, gateway)
    with executed_by_core():
        assert_same(answer, await run(new_executions(), TOPOLOGY, None, gateway))
