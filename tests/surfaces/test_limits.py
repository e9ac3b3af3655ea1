"""Every limit: what is just below passes, what is just above is refused with the number and the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from graphql import get_introspection_query

from ccgateway.federation.questions import PageRequest
from surfaces.conftest import Ask
from surfaces.fakes import FakeGateway


async def refused(ask: Ask, query: str, variables: dict[str, Any] | None = None, **limits: Any) -> str:
    """The message of a refusal with LIMIT_EXCEEDED."""
    answer = await ask(query, variables, **limits)
    assert answer.get("data") is None
    assert [entry["extensions"]["code"] for entry in answer["errors"]] == ["LIMIT_EXCEEDED"]
    message: str = answer["errors"][0]["message"]
    return message


async def passes(ask: Ask, query: str, variables: dict[str, Any] | None = None, **limits: Any) -> None:
    answer = await ask(query, variables, **limits)
    assert "errors" not in answer, answer


async def test_a_page_of_jobs(ask: Ask) -> None:
    await passes(ask, "{ jobs(first: 30) { complete } }", page_jobs=30)
    await passes(ask, "{ jobs(page: {itemsPerPage: 30, page: 1}) { complete } }", page_jobs=30)


async def test_a_page_larger_than_pages_may_be_costs_as_much_as_the_largest(ask: Ask, gateway: FakeGateway) -> None:
    """It is given where no more match; whether they do is for the list to say."""
    for size in (31, 9_999_999, 2**31 - 1):
        await passes(ask, f"{{ jobs(first: {size}) {{ complete }} }}", page_jobs=30, query_cost=100)
        assert gateway.questions[-1].first == size
        await passes(ask, f"{{ jobs(page: {{itemsPerPage: {size}, page: 7}}) {{ complete }} }}", page_jobs=30, query_cost=100)
        assert gateway.questions[-1].page == PageRequest(7, size)


async def test_the_default_page_is_never_over_the_limit(ask: Ask, gateway: FakeGateway) -> None:
    await passes(ask, "{ jobs { complete } }", page_jobs=20)
    assert gateway.questions[-1].first == 20


def tokens(count: int) -> str:
    """A valid document of that many tokens, and some more in a list."""
    return "{ jobs(sites: [" + '"a" ' * 200 + "]) { complete " + "#\n" * (count - 12) + "} }"


async def test_tokens(ask: Ask) -> None:
    await passes(ask, tokens(100), query_tokens=100)
    assert "100" in await refused(ask, tokens(101), query_tokens=100)


async def test_comments_count_as_tokens(ask: Ask) -> None:
    assert "100 tokens" in await refused(ask, "{ jobs { complete } }" + "\n#" * 200, query_tokens=100)


DEEP = "{ clusters { subClusters { topology { accelerators { id } } } } }"  # 5


@pytest.mark.parametrize(
    "query",
    [
        DEEP,
        "{ ... on Query { clusters { ... { subClusters { topology { accelerators { ...A } } } } } } } "
        "fragment A on Accelerator { id }",
        "{ clusters { ...C } } fragment C on Cluster { subClusters { ...S } } "
        "fragment S on SubCluster { topology { accelerators { id } } }",
    ],
)
async def test_depth_counts_fields_not_fragments(ask: Ask, query: str) -> None:
    await passes(ask, query, query_depth=5)
    assert "5 fields deep or deeper; the limit is 4" in await refused(ask, query, query_depth=4)


async def test_cycles_of_fragments_end(ask: Ask) -> None:
    flat = await ask("{ jobs { ...A } } fragment A on JobResultList { ...B } fragment B on JobResultList { ...A }")
    assert {entry["extensions"]["code"] for entry in flat["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    await refused(ask, "{ jobs { ...A } } fragment A on JobResultList { items { ...B } } fragment B on Job { items { ...A } }")


@pytest.mark.timeout(60)
async def test_cycles_through_introspection_end_as_well(ask: Ask) -> None:
    await refused(ask, "{ ...F } fragment F on Query { __schema { ...F } }")


async def test_a_long_chain_of_fragments_is_survived(ask: Ask) -> None:
    chain = "".join(f" fragment F{i} on JobResultList {{ ...F{i + 1} }}" for i in range(95))
    answer = await ask("{ jobs { ...F0 } }" + chain + " fragment F95 on JobResultList { complete }")
    assert answer == {"data": {"jobs": {"complete": True}}}


async def test_graphiqls_question_for_the_schema_passes_at_any_depth_limit(ask: Ask) -> None:
    await passes(ask, get_introspection_query(specified_by_url=True, input_value_deprecation=True), query_depth=3)


async def test_introspection_is_bounded_all_the_same(ask: Ask) -> None:
    # one under the bound of 20 below __type, and one over it
    await passes(ask, '{ __type(name: "Job") { ' + "ofType { " * 19 + "name" + " }" * 20 + " }")
    assert "the limit is 21" in await refused(ask, '{ __type(name: "Job") { ' + "ofType { " * 20 + "name" + " }" * 21 + " }")


@pytest.mark.timeout(60)
async def test_fragments_that_double_at_every_step_are_followed_once(ask: Ask) -> None:
    steps = "".join(f" fragment F{i} on JobResultList {{ ...F{i + 1} ...F{i + 1} }}" for i in range(49))
    answer = await ask("{ jobs { ...F0 } }" + steps + " fragment F49 on JobResultList { complete }")
    assert answer == {"data": {"jobs": {"complete": True}}}


async def test_aliases(ask: Ask) -> None:
    # 2 in the operation, 1 in a fragment
    query = "{ a: jobs { b: complete ...F } } fragment F on JobResultList { c: count }"
    await passes(ask, query, query_aliases=3)
    assert "3 aliases; the limit is 2" in await refused(ask, query, query_aliases=2)


async def test_repeated_fields(ask: Ask) -> None:
    await passes(ask, "{ jobs { " + "complete " * 51 + "} }")
    assert "51 repeated fields" in await refused(ask, "{ jobs { " + "complete " * 52 + "} }")


async def test_fragment_spreads(ask: Ask) -> None:
    tail = "} } fragment F on JobResultList { complete }"
    await passes(ask, "{ jobs { " + "...F " * 100 + tail)
    assert "101 fragment spreads" in await refused(ask, "{ jobs { " + "...F " * 101 + tail)


COSTS = [
    # jobs: 10 + skipped + page * (1 + fields / 10)
    ("{ jobs { items { id user project cluster state startTime duration walltime SMT } } }", None, 10 + 50 * 1.9),
    ("{ jobs(first: 400) { items { id tags { type name } } } }", None, 10 + 400 * 1.4),
    ("query($n: Int) { jobs(first: $n) { items { id } } }", {"n": 900}, 10 + 900 * 1.1),
    ("query($n: Int = 800) { jobs(first: $n) { items { id } } }", None, 10 + 800 * 1.1),
    ("query($p: PageRequest) { jobs(page: $p) { items { id } } }", {"p": {"itemsPerPage": 100, "page": 4}}, 10 + 300 + 110),
    ("{ jobs(page: {itemsPerPage: -1, page: 1}) { complete } }", None, 10 + 10_000),
    ("{ jobs(first: 100) { items { id user @skip(if: true) } } }", None, 10 + 110),
    ("{ jobs(first: 100) { items { ...F } other: items { id } } } fragment F on Job { a: user id }", None, 10 + 100 * 1.3),
    ("{ jobs { items { userData { name } } } }", None, 10 + 50 * 1.2 + 1000),
    ("{ a: jobs { offset } b: jobs { offset } ...F } fragment F on Query { c: jobs { offset } }", None, 3 * 60),
    # what makes the gateway read every job that matches
    ("{ a: jobs { count } ...F } fragment F on Query { b: jobs { count } }", None, 2 * 5060),
    ("query($no: Boolean = false) { jobs(first: 100) { count @include(if: $no) complete } }", None, 110),
    ('{ jobs(order: {field: "duration", order: DESC}) { complete count } }', None, 5060),
    ('{ jobs(order: {field: "startTime"}) { complete } }', None, 5060),
    ('{ jobs(first: 100, order: {field: "startTime", order: DESC}) { complete } }', None, 110),
    ('query($o: OrderByInput) { jobs(order: $o) { complete } }', {"o": {"field": "flops_any_avg", "type": "foot"}}, 5060),
    # lists in arguments
    ('{ jobs(filter: [{dbId: ["1", "2"]}, {user: {in: ["a"]}}]) { complete } }', None, 60 + 2 * 100 + 3 * 10 + 2 * 10),
    ("query($f: [JobFilter!]) { a: jobs(filter: $f) { complete } b: jobs(filter: $f) { complete } }",
     {"f": [{"state": ["failed"], "metricStats": [{"metricName": "m", "range": {}}]}]}, 2 * (60 + 2 * 100 + 10)),
    ("query($i: [ID!] = [1, 2]) { jobs(first: 100, filter: {dbId: $i}) { complete } }", None, 110 + 2 * 10 + 2 * 10),
    ("query($f: JobFilter!, $i: ID!) { jobs(filter: [$f, {tags: [$i]}]) { complete } }", {"f": {}, "i": "1"}, 60 + 2 * 100 + 10),
    ('{ clusters(sites: ["a", "b"]) { name } }', None, 550 + 2 * 10),
    # one job with one field is 11.1, rounded up
    ('{ a: job(id: "aurora:1") { id } b: job(id: "aurora:1") { id } clusters { name } }', None, 24 + 550),
    ('{ jobByKey(cluster: "alex", jobId: 1) { id userData { name } } }', None, 10 + 2 + 1000 + 1500),
    ("{ clusters { name } users { name } sites { name } __typename }", None, 550 + 1100 + 110),
    (
        "{ clusters { a: subClusters { metricConfig { name } } b: subClusters { metricConfig { name unit { base } } } } }",
        None,
        500 + 50 * 8,
    ),
    ("{ jobsStatistics { totalJobs } }", None, 550),
    ("query($e: Boolean!) { jobsStatistics(exact: $e) { totalJobs } }", {"e": True}, 550 + 5000),
    ('{ jobsFootprints(metrics: ["a", "b"]) { metrics { metric } } }', None, 5000 + 2 * 50 + 2 * 10 + 2 * 500),
    # metrics: 10 for each that is named and each scope, 20 metrics where none is named; and 10 for each item of a root field
    ('{ jobMetrics(id: "aurora:1") { name } }', None, 10 + 200 + 1),
    ('{ jobMetrics(id: "a:1", metrics: ["a", "b", "c", "d"], scopes: [node, socket, core]) { name } }', None, 10 + 120 + 1 + 70),
    ('query($m: [String!]) { jobStats(id: "a:1", metrics: $m) { name } }', {"m": [*"abcdefghij"]}, 10 + 100 + 1 + 100),
    ('{ jobMetrics(id: "a:1") { ...M } } fragment M on JobMetricWithName { name metric { series { id hostname a: id b: id c: id '
     'd: id e: id f: id } } }', None, 10 + 200 + 2),
    ('{ scopedJobStats(id: "aurora:1", scopes: [node, core]) { name } }', None, 10 + 400 + 1 + 20),
    ('{ jobs(first: 100) { items { metrics(metrics: ["a", "b"]) { name } } } }', None, 10 + 100 * 1.2 + 100 * 20),
    ('{ jobs(first: 10) { items { metrics { name } b: metrics(metrics: ["a"]) { name } } } }', None, 10 + 10 * 1.4 + 10 * 210),
    ('{ jobs(first: 10) { items { metrics(metrics: [], scopes: [node, core]) { name } } } }', None, 10 + 10 * 1.2 + 10 * 20),
    ('{ jobs(first: 10, filter: {dbId: [1]}) { count items { metrics(metrics: "a") { name } } } }', None,
     10 + 10 * 1.2 + 10 * 10 + 5000 + 10 + 10),
    ('{ job(id: "aurora:1") { metrics { name } } }', None, 10 + 2 + 200),
    ("{ __schema { description types { ...T } } } fragment T on __Type { name a: fields { name } }", None, 1000 + 100 * 5),
]  # fmt: skip


@pytest.mark.parametrize(("query", "variables", "cost"), COSTS)
async def test_cost(ask: Ask, gateway: FakeGateway, query: str, variables: dict[str, Any] | None, cost: float) -> None:
    cost = round(cost)
    await passes(ask, query, variables, query_cost=cost)
    asked = len(gateway.questions)
    message = await refused(ask, query, variables, query_cost=cost - 1)
    assert f"costs {cost} " in message
    assert message.endswith(f"the limit is {cost - 1} (limits.query_cost).")
    assert len(gateway.questions) == asked


async def test_aliases_of_what_reads_everything_are_refused_by_default(ask: Ask, gateway: FakeGateway) -> None:
    for field in ('jobs(first: 1, order: {field: "duration"}) { complete }', "jobs(first: 1) { count }"):
        await refused(ask, "{ " + " ".join(f"a{i}: {field}" for i in range(30)) + " }")
    assert gateway.questions == []
    await passes(ask, '{ jobs(order: {field: "duration"}) { items { id } count } }')


def bomb(steps: int, *, leaf: str = "name") -> str:
    """Introspection that comes to 2 ** steps fields."""
    chain = "".join(f" fragment F{i} on __Type {{ ofType {{ ...F{i + 1} }} a: ofType {{ ...F{i + 1} }} }}" for i in range(steps))
    top = '{ __schema { types { ...F0 } queryType { ...F0 } mutationType { ...F0 } } __type(name: "Job") { ...F0 } }'
    return top + chain + f" fragment F{steps} on __Type {{ {leaf} }}"


@pytest.mark.timeout(60)
async def test_fragments_that_multiply_fields_are_refused_without_following_them(ask: Ask) -> None:
    assert "more than 20000 fields" in await refused(ask, bomb(17), query_cost=10**12)
    # left out, but looked at: 2 ** 9 times 100 fields
    skipped = "name " + "".join(f"a{i}: name @skip(if: true) " for i in range(100))
    assert "more than 20000 fields" in await refused(ask, bomb(9, leaf=skipped), query_cost=10**12, query_aliases=200)
    aliased = " ".join(f"a{i}: name" for i in range(30))
    series = " ".join(f"b{i}: series {{ ...S }}" for i in range(30))
    metrics = '{ jobMetrics(id: "aurora:1") { ' + " ".join(f"c{i}: metric {{ ...M }}" for i in range(30)) + " } }"
    metrics += f" fragment M on JobMetric {{ {series} }} fragment S on Series {{ {aliased.replace('name', 'id')} }}"
    assert "more than 20000 fields" in await refused(ask, metrics, query_cost=10**12, query_aliases=200)


LISTS: list[tuple[str, Callable[[int], Any], str, int]] = [
    ("[JobFilter!]", lambda count: [{}] * count, "filters", 100),
    ("[JobFilter!]", lambda count: [{"user": {"neq": "a"}}] * (count - 1) + [{}], "filters", 100),
    ("[JobFilter!]", lambda count: {"metricStats": [{"metricName": "m", "range": {}}] * count}, "filters", 100),
    ("[JobFilter!]", lambda count: {"dbId": ["1"] * count}, "values", 1000),
    ("[JobFilter!]", lambda count: {"user": {"in": ["a"] * count}}, "values", 1000),
    ("[JobFilter!]", lambda count: [{"state": ["failed"] * (count // 2), "tags": ["1"] * (count - count // 2)}], "values", 1000),
]


@pytest.mark.parametrize(("kind", "value", "what", "most"), LISTS)
async def test_items_of_lists_in_variables(ask: Ask, kind: str, value: Callable[[int], Any], what: str, most: int) -> None:
    query = f"query($v: {kind}) {{ jobs(filter: $v) {{ complete }} }}"
    await passes(ask, query, {"v": value(most)})
    message = await refused(ask, query, {"v": value(most + 1)})
    assert f"lists {most + 1} {what}" in message and message.endswith(f"the limit is {most}.")


async def test_items_of_lists_in_the_document(ask: Ask) -> None:
    await passes(ask, "{ jobs(filter: [" + "{} " * 100 + "]) { complete } }")
    assert "101 filters" in await refused(ask, "{ jobs(filter: [" + "{} " * 101 + "]) { complete } }")
    many = '"a" ' * 1001
    assert "1001 values" in await refused(ask, "{ jobs(filter: {user: {in: [" + many + "]}}) { complete } }")
    assert "1001 values" in await refused(ask, "query($s: [String!] = [" + many + "]) { jobs(sites: $s) { complete } }")
    assert "1001 values" in await refused(ask, "{ ...F } fragment F on Query { jobs(sites: [" + many + "]) { complete } }")


async def test_items_of_document_and_variables_count_together(ask: Ask) -> None:
    query = "query($v: [JobFilter!]) { a: jobs(filter: $v) { complete } b: jobs(filter: [" + "{} " * 60 + "]) { complete } }"
    await passes(ask, query, {"v": [{}] * 40})
    assert "101 filters" in await refused(ask, query, {"v": [{}] * 41})


@pytest.mark.timeout(60)
async def test_lists_are_counted_before_they_are_coerced(ask: Ask) -> None:
    values: list[Any] = [[{}] * 250_000, [{"nope": 1}] * 80_000, [[{}]] * 100_000, {"a": {"b": [{}] * 101}}]
    for value in values:
        await refused(ask, "query($v: [JobFilter!]) { jobs(filter: $v) { complete } }", {"v": value})
