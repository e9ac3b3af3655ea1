"""Documents are parsed and validated once, and what is remembered is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from graphql import GraphQLError, Source, parse
from graphql.execution.values import VariableValues
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql import documents as module
from ccgateway.surfaces.graphql.documents import BYTES_PER_TOKEN, MOST_PLANS, Document, Documents
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.plans import Plan
from ccgateway.surfaces.graphql.schema import core_schema
from ccgateway.surfaces.graphql.selection import NO_VARIABLES

LIMITS = LimitSettings()  # type: ignore[call-arg]


def query(number: int) -> str:
    return f"{{ jobs(first: {number}) {{ complete }} }}"


def test_the_same_text_is_read_once() -> None:
    documents = Documents(core_schema(), LIMITS)
    assert documents.get(query(1)) is documents.get(query(1))
    assert documents.get(query(1)) is not documents.get(query(2))


def test_the_least_recently_used_goes_first() -> None:
    documents = Documents(core_schema(), LIMITS, most=2)
    first, second = documents.get(query(1)), documents.get(query(2))
    assert documents.get(query(1)) is first
    documents.get(query(3))
    assert len(documents) == 2
    assert documents.get(query(1)) is first
    assert documents.get(query(2)) is not second


def test_bytes_are_bounded_and_follow_what_is_held() -> None:
    weight = Documents(core_schema(), LIMITS).get(query(1)).weight
    assert weight > len(query(1)) + 10 * BYTES_PER_TOKEN
    documents = Documents(core_schema(), LIMITS, most_bytes=3 * weight)
    for number in range(1, 9):
        documents.get(query(number))
        assert documents.bytes_held == len(documents) * weight <= 3 * weight
    assert len(documents) == 3


def test_what_is_larger_than_the_whole_cache_is_served_and_not_kept() -> None:
    documents = Documents(core_schema(), LIMITS, most_bytes=100)
    assert documents.get(query(1)).node.definitions
    assert (len(documents), documents.bytes_held) == (0, 0)


@pytest.mark.parametrize("text", ["{", "{ nope }", "{ jobs " + "{ items " * 30 + "}" * 31])
def test_what_is_refused_is_not_kept(text: str) -> None:
    documents = Documents(core_schema(), LIMITS)
    with pytest.raises(Refusal):
        documents.get(text)
    assert len(documents) == 0


SWITCHED = (
    "query($a: Int, $b: Int) { jobs(first: $a, sites: []) { complete "
    + "".join(f"a{i}: count @include(if: $c{i}) " for i in range(5))
    + "} }"
)
SWITCHED = SWITCHED.replace("$b: Int", ", ".join(f"$c{i}: Boolean!" for i in range(5)))


def plan_of(documents: Documents, document: Document, **variables: object) -> Plan:
    operation = document.operation(None)
    assert operation is not None
    return documents.plan(document, operation, VariableValues({}, dict(variables)))


def switched(number: int, **more: object) -> dict[str, object]:
    return {**{f"c{i}": bool(number >> i & 1) for i in range(5)}, **more}


def test_a_plan_serves_every_request_with_the_same_switches() -> None:
    documents = Documents(core_schema(), LIMITS)
    document = documents.get(SWITCHED)
    assert document.switches == {f"c{i}" for i in range(5)}
    first = plan_of(documents, document, **switched(3, a=1))
    assert plan_of(documents, document, **switched(3, a=2)) is first
    assert plan_of(documents, document, **switched(4, a=1)) is not first


def test_plans_are_bounded_and_counted_with_their_document() -> None:
    documents = Documents(core_schema(), LIMITS)
    document = documents.get(SWITCHED)
    bare = document.weight
    for number in range(32):
        plan_of(documents, document, **switched(number))
        assert len(document.plans) <= MOST_PLANS
        assert documents.bytes_held == document.weight == bare + sum(plan.weight for plan in document.plans.values())
    assert document.weight > bare + 1000


def test_plans_go_with_their_document() -> None:
    documents = Documents(core_schema(), LIMITS, most=1)
    document = documents.get(query(1))
    plan_of(documents, document)
    other = documents.get(query(2))
    assert documents.bytes_held == other.weight
    plan_of(documents, document)  # of a request that is still under way: not kept any more
    assert documents.bytes_held == other.weight


def test_the_operation_is_the_one_named_or_the_only_one() -> None:
    documents = Documents(core_schema(), LIMITS)
    one, two = documents.get("query A { __typename }"), documents.get("query A { __typename } query B { __typename }")
    assert one.operation(None) is one.operation("A") is not None
    assert one.operation("B") is two.operation(None) is None
    assert two.operation("B") is two.node.definitions[1]
    assert documents.plan(one, one.operations["A"], NO_VARIABLES).fields is None


@pytest.mark.parametrize("filler", [" ", "\n", "\r\n", "\ufeff", "# remark\n", "#"])
@pytest.mark.parametrize(
    "place", [lambda filler: "{" + filler + " __typename }", lambda filler: "{ __typename " + filler + "\n}"]
)
def test_a_text_of_a_few_tokens_and_millions_of_characters_is_refused(filler: str, place: Callable[[str], str]) -> None:
    with pytest.raises(Refusal) as refused:
        Documents(core_schema(), LIMITS).get(place(filler * (4_000_000 // len(filler))))
    assert refused.value.code is Code.LIMIT_EXCEEDED and "as variables" in refused.value.entries[0]["message"]


def test_more_lines_than_the_tokens_that_are_allowed_are_refused() -> None:
    documents, most = Documents(core_schema(), LIMITS), LIMITS.query_tokens + LIMITS.query_cost
    assert documents.get("{" + "\n" * most + "__typename }").operations
    for line in ("\n", "\r", "\r\n"):
        with pytest.raises(Refusal, match="LIMIT_EXCEEDED"):
            documents.get("{" + line * (most + 1) + "__typename }")


async def test_a_long_text_is_read_in_a_thread_however_few_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: set[str] = set()

    def parsed(source: Source) -> object:
        readers.add(threading.current_thread().name)
        return parse(source)

    monkeypatch.setattr(module, "parse", parsed)
    documents = Documents(core_schema(), LIMITS)
    await documents.fetch("{ __typename }")
    assert readers == {threading.current_thread().name}
    readers.clear()
    await documents.fetch('{ job(id: "' + "x" * 100_000 + '") { id } }')
    assert len(readers) == 1 and readers.pop().startswith("documents")


@given(text=st.text(alphabet="{}! a\n\r\u2028\x0b", max_size=40), place=st.integers(0, 45))
def test_errors_say_where_they_are_as_graphql_core_does(text: str, place: int) -> None:
    ours: Source = module._Text(text)
    assert ours.get_location(place) == Source(text).get_location(place)
    for body in (text, "{ nope\n" + text):
        try:
            theirs = parse(body).to_dict()
        except GraphQLError as error:
            with pytest.raises(GraphQLError) as failed:
                parse(module._Text(body))
            assert failed.value.formatted == error.formatted
        else:
            assert parse(module._Text(body)).to_dict() == theirs
