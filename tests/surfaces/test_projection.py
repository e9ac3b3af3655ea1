"""A list written by a projection is, byte for byte, the list that graphql-core's execution gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgateway.jobs.model import JobRow, Resource, Tag
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from surfaces.fakes import CALLER, FakeGateway, make_row
from surfaces.paths import executed_by_core, executed_with_lists
from surfaces.test_selection import LIMITS, SCHEMA, documents

texts = st.text(max_size=8)
small = st.integers(0, 2**31 - 1)
ROWS = st.fixed_dictionaries(
    {
        "user": texts,
        "job_id": st.integers(0, 2**63 - 1),
        "start_time": st.integers(0, 4_000_000_000) | st.integers(-(2**63), 2**63 - 1),
        "duration": small,
        "energy": st.floats(0, 1e6, allow_nan=False),
        "state": st.sampled_from(["running", "completed", "stopped"]),
        "tags": st.none() | st.lists(st.builds(Tag, texts, texts, texts, small), max_size=2),
        "resources": st.none()
        | st.lists(
            st.builds(Resource, texts, st.none() | st.lists(small, max_size=3), st.none() | st.lists(texts, max_size=2)),
            max_size=3,
        ),
        "footprint": st.none() | st.dictionaries(texts, st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=3),
        "meta_data": st.none() | st.dictionaries(texts, texts, max_size=2),
    }
)


async def answer(document: str, rows: Sequence[JobRow]) -> dict[str, Any]:
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    variables = {"yes": True, "no": False} if "$yes" in document else None
    request = GraphQLRequest(document, variables=variables)
    return await executions.run(request, RequestContext(FakeGateway(rows=list(rows)), CALLER, LIMITS), "test")


async def executed(document: str, rows: Sequence[JobRow]) -> dict[str, Any]:
    with executed_by_core():
        return await answer(document, rows)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.lists(ROWS, max_size=4))
async def test_the_projected_answer_is_the_executed_one(document: str, values: list[dict[str, Any]]) -> None:
    rows = [make_row(number, **one) for number, one in enumerate(values)]
    projected, plain = await answer(document, rows), await executed(document, rows)
    assert msgspec.json.encode(projected) == msgspec.json.encode(plain)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.lists(ROWS, max_size=4))
async def test_a_list_within_what_is_executed_is_the_same_as_well(document: str, values: list[dict[str, Any]]) -> None:
    rows = [make_row(number, **one) for number, one in enumerate(values)]
    with executed_with_lists():
        projected = await answer(document, rows)
    assert msgspec.json.encode(projected) == msgspec.json.encode(await executed(document, rows))


async def test_what_must_be_looked_up_is_executed_and_lists_beside_it_are_projected() -> None:
    items = "{ id metrics { name } userData { name } } more: items { startTime }"
    found = (await answer(f"{{ jobs {{ items {items} }} }}", [make_row(1)]))["data"]["jobs"]
    assert found["items"][0]["userData"]["name"] == "Alice A."
    assert isinstance(found["more"][0], msgspec.Struct)


@pytest.mark.parametrize("changes", [{"duration": 2**31}, {"num_nodes": -(2**31) - 1}, {"user": None}, {"start_time": "soon"}])
async def test_a_value_that_does_not_fit_the_schema_is_the_error_that_execution_makes_of_it(changes: dict[str, Any]) -> None:
    document, rows = "{ jobs { items { id user startTime duration numNodes } complete } }", [make_row(1), make_row(2, **changes)]
    projected, plain = await answer(document, rows), await executed(document, rows)
    assert projected == plain
    assert projected["errors"]


async def test_one_document_serves_both_values_of_a_switch() -> None:
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    document = "query($on: Boolean!) { jobs { items { id user @include(if: $on) } } }"
    shown = []
    for on in (True, False, True):
        request = GraphQLRequest(document, variables={"on": on})
        response = await executions.run(request, RequestContext(FakeGateway(rows=[make_row(1)]), CALLER, LIMITS), "test")
        shown.append(msgspec.json.encode(response["data"]["jobs"]))
    with_user, without = b'{"items":[{"id":"aurora:1","user":"alice"}]}', b'{"items":[{"id":"aurora:1"}]}'
    assert shown == [with_user, without, with_user]
