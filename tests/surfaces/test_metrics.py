"""Metrics over GraphQL: samples come out as the site wrote them, many jobs are one question, one job's failure is a null
there.
"""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from graphql import GraphQLObjectType, get_named_type, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgateway.errors import Code, GatewayError, RequestError, SiteError
from ccgateway.jobs.metrics import JobRef, MetricPiece, MetricsWanted, Phase
from ccgateway.jobs.model import JobKey
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.loading import MetricsLoader
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from support.memory import LARGE, held
from surfaces.apps import client_of, make_app
from surfaces.conftest import Ask
from surfaces.fakes import CALLER, LOAD, FakeGateway, make_piece, make_row
from surfaces.paths import executed_by_core
from surfaces.test_selection import LIMITS, SCHEMA, selections

BROKEN = SiteError(Code.SITE_ERROR, "aurora", "The site cannot read this job's metrics: gone")
EVERYTHING = """
name scope metric { unit { base prefix } timestep series { hostname id statistics { avg min max } data }
statisticsSeries { mean median min max } }"""


async def text_of(gateway: FakeGateway, query: str, variables: dict[str, Any] | None = None) -> str:
    async with client_of(make_app(gateway)) as client:
        response = await client.post("/graphql", json={"query": query, "variables": variables})
        return response.text


# --- what comes out


async def test_samples_come_out_as_the_site_wrote_them(gateway: FakeGateway) -> None:
    text = await text_of(gateway, f'{{ jobMetrics(id: "aurora:1") {{ {EVERYTHING} }} }}')
    assert text == (
        '{"data":{"jobMetrics":[{"name":"cpu_load","scope":"node","metric":{"unit":{"base":"","prefix":null},"timestep":60,"series":['
        '{"hostname":"a0001","id":null,"statistics":{"avg":2.5,"min":1.0,"max":4.0},"data":[1.00,null,4.00]},'
        '{"hostname":"a0002","id":"1","statistics":{"avg":3.5,"min":0.5,"max":5.0},"data":[0.50]}],'
        '"statisticsSeries":{"mean":[],"median":[0.75],"min":[0.50],"max":[1.00]}}}]}}'
    )


async def test_a_question_reaches_the_gateway_as_it_was_asked(ask: Ask, gateway: FakeGateway) -> None:
    await ask('{ jobMetrics(id: "aurora:1", metrics: ["a", "b", "a"], scopes: [node, socket], resolution: 60) { name } }')
    await ask('{ jobMetrics(id: "aurora:1") { name } }')
    await ask('{ jobMetrics(id: "aurora:1", metrics: [], scopes: null) { name } }')
    await ask('{ scopedJobStats(id: "aurora:1", metrics: ["a"], scopes: [core]) { name } }')
    await ask('{ jobStats(id: "aurora:1", metrics: ["a"]) { name } }')
    assert gateway.questions == [
        ("aurora:1", MetricsWanted(("a", "b"), ("node", "socket"), 60)),
        ("aurora:1", MetricsWanted()),
        ("aurora:1", MetricsWanted(())),
        ("aurora:1", MetricsWanted(("a",), ("core",))),
        ("aurora:1", MetricsWanted(("a",), ("node",))),
    ]


async def test_statistics_are_of_the_same_bodies(ask: Ask, gateway: FakeGateway) -> None:
    gateway.pieces["aurora:1"] = [make_piece(), make_piece(scope="socket"), make_piece("empty", text=b"{}")]
    answer = await ask(
        """{ jobStats(id: "aurora:1") { name data { avg min max } }
             scopedJobStats(id: "aurora:1") { name scope stats { hostname id data { avg min max } } } }"""
    )
    places = [
        {"hostname": "a0001", "id": None, "data": {"avg": 2.5, "min": 1.0, "max": 4.0}},
        {"hostname": "a0002", "id": "1", "data": {"avg": 3.5, "min": 0.5, "max": 5.0}},
    ]
    assert answer == {
        "data": {
            "jobStats": [{"name": "cpu_load", "data": {"avg": 3.0, "min": 0.5, "max": 5.0}}],
            "scopedJobStats": [
                {"name": "cpu_load", "scope": "node", "stats": places},
                {"name": "cpu_load", "scope": "socket", "stats": places},
                {"name": "empty", "scope": "node", "stats": []},
            ],
        }
    }


async def test_a_metric_without_series_has_null_where_it_may(ask: Ask, gateway: FakeGateway) -> None:
    gateway.pieces["aurora:1"] = [make_piece(text=b"{}")]
    answer = await ask(f'{{ jobMetrics(id: "aurora:1") {{ {EVERYTHING} }} }}')
    nothing = {"unit": None, "timestep": 0, "series": None, "statisticsSeries": None}
    assert answer["data"]["jobMetrics"] == [{"name": "cpu_load", "scope": "node", "metric": nothing}]


@pytest.mark.parametrize("document", ["{ jobs { items { metrics { name } } } }", '{ jobMetrics(id: "aurora:1") { name } }'])
async def test_nothing_that_came_waits_for_the_collector(gateway: FakeGateway, document: str) -> None:
    executions, request = Executions(SCHEMA, Documents(SCHEMA, LIMITS)), GraphQLRequest(document)
    await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "r")  # what is kept of a document is not counted
    with held() as bytes_held:
        text = LOAD.replace(b"[0.50]", b"[%b0.50]" % (b"0.50," * (LARGE // 5)), 1)
        gateway.pieces = {"aurora:1": [make_piece(text=text)], "aurora:2": [make_piece(text=text)]}
        del text
        response = await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "r")
        assert "errors" not in response and bytes_held() > LARGE
        gateway.pieces = {}
        del response
        await asyncio.sleep(0)  # what woke this up is still held by the loop
        assert bytes_held() < LARGE / 2


async def test_what_was_delivered_otherwise_stands_in_the_extensions_once(ask: Ask, gateway: FakeGateway) -> None:
    gateway.metric_notes = ["resolution: chosen by the site"]
    answer = await ask('{ jobs { items { metrics { name } } } jobMetrics(id: "aurora:1") { name } }')
    assert answer["extensions"] == {"notes": [{"site": "aurora", "message": "resolution: chosen by the site"}]}


async def test_a_failure_of_one_jobs_metrics_is_the_fields_error(ask: Ask, gateway: FakeGateway) -> None:
    gateway.pieces["aurora:1"] = BROKEN
    answer = await ask('{ jobMetrics(id: "aurora:1") { name } }')
    assert answer["data"] is None
    (entry,) = answer["errors"]
    assert entry["extensions"] == {"code": "SITE_ERROR", "retryable": True, "site": "aurora"}
    assert entry["path"] == ["jobMetrics"]


@pytest.mark.parametrize("arguments", ['scopes: ["galaxy"]', "metrics: [1]", 'resolution: "x"'])
async def test_arguments_that_cannot_be_used_are_refused(ask: Ask, gateway: FakeGateway, arguments: str) -> None:
    for query in (
        f'{{ jobMetrics(id: "a:1", {arguments}) {{ name }} }}',
        f"{{ jobs {{ items {{ metrics({arguments}) {{ name }} }} }} }}",
    ):
        answer = await ask(query)
        assert {entry["extensions"]["code"] for entry in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert gateway.questions == []


async def test_a_variable_that_does_not_fit_is_refused(ask: Ask, gateway: FakeGateway) -> None:
    query = "query($s: [MetricScope!]) { jobs { items { metrics(scopes: $s) { name } } } }"
    answer = await ask(query, {"s": ["galaxy"]})
    assert {entry["extensions"]["code"] for entry in answer["errors"]} == {"BAD_REQUEST"}


# --- many jobs

PLAIN = '{ jobs { items { id metrics(metrics: ["a"], scopes: [node]) { name } } } }'
EXECUTED = '{ jobs { items { id metrics(metrics: ["a"], scopes: [node]) { name } userData { name } } } }'


@pytest.mark.parametrize("query", [PLAIN, EXECUTED])
async def test_a_list_of_jobs_is_one_question_for_metrics(ask: Ask, gateway: FakeGateway, query: str) -> None:
    gateway.rows = [make_row(number, site) for number in range(1, 51) for site in ("aurora", "borealis")]
    answer = await ask(query)
    assert all(item["metrics"] == [{"name": "cpu_load"}] for item in answer["data"]["jobs"]["items"])
    (jobs,) = [question for question in gateway.questions if isinstance(question, tuple) and len(question[0]) == 100]
    assert jobs == (tuple(JobRef.of(row) for row in gateway.rows), MetricsWanted(("a",), ("node",)))
    assert jobs[0][0] == JobRef("aurora", 1, JobKey("aurora", "alex", 1_000_001, 1_699_999_940), Phase.ARCHIVED)


@pytest.mark.parametrize("query", [PLAIN, EXECUTED])
async def test_one_jobs_failure_is_a_null_with_an_error_at_its_place(ask: Ask, gateway: FakeGateway, query: str) -> None:
    gateway.pieces = {"aurora:2": BROKEN, "aurora:3": SiteError(Code.NOT_FOUND, "aurora", "no such job")}
    gateway.rows = [make_row(number) for number in range(1, 5)]
    answer = await ask(query)
    assert [item["metrics"] for item in answer["data"]["jobs"]["items"]] == [
        [{"name": "cpu_load"}],
        None,
        None,
        [{"name": "cpu_load"}],
    ]
    assert [(entry["path"], entry["extensions"]["code"], entry["extensions"]["site"]) for entry in answer["errors"]] == [
        (["jobs", "items", 1, "metrics"], "SITE_ERROR", "aurora"),
        (["jobs", "items", 2, "metrics"], "NOT_FOUND", "aurora"),
    ]
    assert all(entry["locations"] for entry in answer["errors"])


async def test_different_arguments_are_different_questions_and_equal_ones_are_one(ask: Ask, gateway: FakeGateway) -> None:
    await ask(
        """query($m: [String!]) { jobs { items { a: metrics(metrics: $m) { name } b: metrics(metrics: ["x"]) { scope }
             c: metrics(metrics: ["y"]) { name } } } }""",
        {"m": ["x"]},
    )
    assert [question[1].names for question in gateway.questions[1:]] == [("x",), ("y",)]


async def test_variables_of_this_request_count_not_those_of_the_first(gateway: FakeGateway) -> None:
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    query = "query($m: [String!]) { jobs { items { metrics(metrics: $m) { name } } } }"
    for names in (["a"], ["b"], None):
        await executions.run(GraphQLRequest(query, variables={"m": names}), RequestContext(gateway, CALLER, LIMITS), "test")
    assert [question[1].names for question in gateway.questions[1::2]] == [("a",), ("b",), None]


@pytest.mark.parametrize("root", ['job(id: "aurora:1")', 'jobByKey(cluster: "alex", jobId: 1)'])
async def test_one_job_has_metrics_as_well(ask: Ask, gateway: FakeGateway, root: str) -> None:
    answer = await ask(f"{{ one: {root} {{ id metrics {{ name scope }} }} }}")
    assert answer == {"data": {"one": {"id": "aurora:1", "metrics": [{"name": "cpu_load", "scope": "node"}]}}}
    gateway.pieces["aurora:1"] = BROKEN
    answer = await ask(f"{{ one: {root} {{ id metrics {{ name }} }} }}")
    assert answer["data"] == {"one": {"id": "aurora:1", "metrics": None}}
    assert answer["errors"][0]["path"] == ["one", "metrics"]


async def test_a_fault_of_our_own_is_an_internal_error(ask: Ask, gateway: FakeGateway) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    with patch.object(FakeGateway, "metrics_of", fail):
        answer = await ask(PLAIN)
    assert {entry["extensions"]["code"] for entry in answer["errors"]} == {"INTERNAL"}


async def test_a_caller_who_leaves_ends_the_loading() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    class Hanging(FakeGateway):
        async def metrics_of(self, *_: Any, **__: Any) -> Any:
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    asking = asyncio.create_task(executions.run(GraphQLRequest(PLAIN), RequestContext(Hanging(), CALLER, LIMITS), "test"))
    await started.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert ended.is_set()


async def test_a_waiter_that_is_cancelled_does_not_take_the_others_down() -> None:
    release = asyncio.Event()

    async def answer(jobs: Any, wanted: MetricsWanted) -> list[list[MetricPiece] | GatewayError]:
        await release.wait()
        return [[make_piece()] for _ in jobs]

    loader = MetricsLoader(answer)
    first, second = (asyncio.create_task(loader.one(JobRef("aurora", number), MetricsWanted())) for number in (1, 2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    release.set()
    assert await second == [make_piece()]
    assert len(loader.tasks) == 1


# --- written by a projection, executed field by field: the same bytes

numbers = st.lists(st.sampled_from(["1.00", "0.25", "null", "-3.10", "100000000000000000000.00"]), max_size=3)
lists = numbers.map(lambda values: "[" + ",".join(values) + "]") | st.just("null")
floats = st.floats(-1e9, 1e9, allow_nan=False)
words = st.text(max_size=5)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


SERIES = st.fixed_dictionaries(
    {"hostname": words, "data": lists.map(raw)},
    optional={
        "id": st.none() | words,
        "statistics": st.none() | st.fixed_dictionaries({"avg": floats, "min": floats, "max": floats}),
    },
)
METRICS = st.fixed_dictionaries(
    {},
    optional={
        "unit": st.none() | st.fixed_dictionaries({"base": words}, optional={"prefix": st.none() | words}),
        "timestep": st.integers(0, 600) | st.just(2**31),
        "series": st.none() | st.lists(SERIES, max_size=2),
        "statisticsSeries": st.none()
        | st.dictionaries(st.sampled_from(["mean", "median", "min", "max"]), lists.map(raw), max_size=4),
    },
)


def piece_of(name: str, scope: str, value: dict[str, Any]) -> MetricPiece:
    piece = make_piece(name, scope, msgspec.json.encode({key: one for key, one in value.items() if key != "timestep"}))
    piece.metric.timestep = value.get("timestep", 0)  # decoding refuses one over 32 bits; the surface must not rely on that
    return piece


PIECES = st.lists(
    st.builds(
        piece_of,
        words,
        st.sampled_from(["node", "core"]),
        METRICS,
    ),
    max_size=3,
)
OUTCOMES = PIECES | st.just(BROKEN) | st.just(RequestError(Code.LIMIT_EXCEEDED, "too many"))
ARGUMENTS = st.sampled_from(
    ["", '(metrics: ["a"])', "(metrics: $names)", "(scopes: [node])", "(scopes: $scopes, resolution: 60)"]
)
WITH_NAME, NAMED, SCOPED = (SCHEMA.type_map[name] for name in ("JobMetricWithName", "NamedStats", "NamedStatsWithScope"))


@st.composite
def metric_documents(draw: st.DrawFn) -> str:
    assert (
        isinstance(WITH_NAME, GraphQLObjectType)
        and isinstance(NAMED, GraphQLObjectType)
        and isinstance(SCOPED, GraphQLObjectType)
    )

    def below(parent: GraphQLObjectType = WITH_NAME) -> str:
        return draw(selections(parent, spreads=("M",) if parent is WITH_NAME else (), wanted=4))

    switch = st.sampled_from(["", "", "@include(if: $yes)", "@skip(if: $yes)"])
    items = [
        f"metrics{draw(ARGUMENTS)} {draw(switch)} {below()}",
        f"again: metrics{draw(ARGUMENTS)} {below()}",
        "... on Job { third: metrics { ...M } }",
        "id",
    ]
    chosen = draw(st.lists(st.sampled_from(items), min_size=1, unique=True))
    one = f'job(id: "aurora:1") {{ metrics{draw(ARGUMENTS)} {below()} }}'
    roots = [
        f"jobs {{ items {{ {' '.join(chosen)} }} complete }}",
        f"all: jobs {{ items {{ id metrics{draw(ARGUMENTS)} {below()} {draw(st.sampled_from(['', 'userData { name }']))} }} }}",
        f'jobMetrics(id: "aurora:1") {below()}',
        f'jobStats(id: "aurora:1") {below(NAMED)}',
        f'scopedJobStats(id: "aurora:1") {below(SCOPED)}',
        one,
    ]
    body = " ".join(draw(st.lists(st.sampled_from(roots), min_size=1, max_size=3, unique=True)))
    fragment = draw(selections(WITH_NAME, wanted=3))
    return (
        "query($yes: Boolean!, $no: Boolean!, $names: [String!], $scopes: [MetricScope!]) {"
        f"{body} __typename @skip(if: $no) @include(if: $yes) unused: __typename ...V }} "
        'fragment V on Query { v: jobMetrics(id: "aurora:1", metrics: $names, scopes: $scopes) { ...M } } '
        f"fragment M on JobMetricWithName {fragment}"
    )


async def response(document: str, outcomes: list[Any]) -> dict[str, Any]:
    gateway = FakeGateway(rows=[make_row(number) for number in range(1, len(outcomes) + 1)] or [make_row(1)])
    gateway.pieces = {f"aurora:{number}": outcome for number, outcome in enumerate(outcomes, 1)}
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    variables = {"yes": True, "no": False, "names": ["a"], "scopes": ["node"]}
    request = GraphQLRequest(document, variables=variables)
    return await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "test")


def in_order(entries: list[Any]) -> list[str]:
    # fields that wait for the same thing may fail in any order; ids of internal errors differ
    return sorted(str(entry) for entry in entries)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(metric_documents(), st.lists(OUTCOMES, min_size=1, max_size=3))
async def test_metrics_by_projection_are_those_by_execution(document: str, outcomes: list[Any]) -> None:
    if validate(SCHEMA, parse(document)):
        return  # two fields of one name that differ in their arguments
    projected = await response(document, outcomes)
    with executed_by_core():
        executed = await response(document, outcomes)
    assert msgspec.json.encode(projected["data"]) == msgspec.json.encode(executed["data"])
    if projected["data"] is None:  # what ends the whole answer may come before or after what other fields run into
        assert projected["errors"] and executed["errors"]
    else:
        assert in_order(projected.get("errors", [])) == in_order(executed.get("errors", []))


async def test_metrics_are_projected_where_they_can_be() -> None:
    answer = await response(f"{{ jobs {{ items {{ id metrics {{ {EVERYTHING} }} }} }} }}", [[make_piece()], [make_piece()]])
    assert isinstance(answer["data"]["jobs"], msgspec.Struct)
    answer = await response(f'{{ jobMetrics(id: "aurora:1") {{ {EVERYTHING} }} }}', [[make_piece()]])
    assert isinstance(answer["data"]["jobMetrics"][0], msgspec.Struct)


async def test_samples_are_never_copied_on_their_way_through(gateway: FakeGateway) -> None:
    one = make_piece(text=LOAD)
    assert one.metric.series is not None
    gateway.pieces["aurora:1"] = [one]
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    request = GraphQLRequest('{ jobMetrics(id: "aurora:1") { metric { series { data } } } }')
    answer = await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "test")
    (shown,) = answer["data"]["jobMetrics"]
    assert shown.f0.f0[0].f0 is one.metric.series[0].data


def test_the_scalar_of_samples_is_used_in_lists_only() -> None:
    for one in SCHEMA.type_map.values():
        if isinstance(one, GraphQLObjectType):
            for field in one.fields.values():
                if get_named_type(field.type).name == "NullableFloat":
                    assert str(field.type) == "[NullableFloat]!"
