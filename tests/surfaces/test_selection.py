"""What a question needs of a row is what answering it reads off the row: no more, no less."""

from __future__ import annotations

from typing import Any, cast

import pytest
from graphql import GraphQLObjectType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgateway.jobs.model import JOB_FIELDS
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.schema import core_schema
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from surfaces.fakes import CALLER, FakeGateway, make_row

SCHEMA = core_schema()
LIMITS = LimitSettings(query_aliases=500, query_depth=30)  # type: ignore[call-arg]
JOB = cast(GraphQLObjectType, SCHEMA.type_map["Job"])


class RecordingRow:
    """A row that remembers which of its attributes were read."""

    def __init__(self) -> None:
        self._row, self.read = make_row(), set[str]()

    @property
    def key(self) -> Any:
        self.read |= {"cluster", "job_id", "start_time"}
        return self._row.key

    def __getattr__(self, name: str) -> Any:
        if name in JOB_FIELDS:
            self.read.add(name)
        return getattr(self._row, name)


directives = st.sampled_from(
    ["", "", "", "@skip(if: $yes)", "@skip(if: $no)", "@include(if: $yes)", "@include(if: $no)", "@skip(if: true)"]
)


@st.composite
def selections(
    draw: st.DrawFn, parent: GraphQLObjectType, *, spreads: tuple[str, ...] = (), wanted: int = 6, depth: int = 0
) -> str:
    """A selection set on ``parent``: fields, aliases, inline fragments, ``__typename``, the given fragments; with directives."""
    parts = []
    for index in range(draw(st.integers(1, wanted))):
        kind = draw(st.sampled_from(["field", "field", "alias", "inline", "typename", "spread"]))
        directive = draw(directives)
        if kind == "typename":
            parts.append(f"__typename {directive}")
        elif kind == "spread" and spreads:
            parts.append(f"...{draw(st.sampled_from(spreads))} {directive}")
        elif kind == "inline" and depth < 2:
            condition = draw(st.sampled_from(["", f"on {parent.name}"]))
            inner = draw(selections(parent, spreads=spreads, wanted=3, depth=depth + 1))
            parts.append(f"... {condition} {directive} {inner}")
        else:
            name = draw(st.sampled_from(sorted(parent.fields)))
            alias = f"k{depth}_{index}_{name}: " if kind == "alias" else ""
            below = get_named_type(parent.fields[name].type)
            inner = draw(selections(below, wanted=2)) if isinstance(below, GraphQLObjectType) else ""
            parts.append(f"{alias}{name} {directive} {inner}")
    return "{ " + " ".join(parts) + " }"


@st.composite
def documents(draw: st.DrawFn) -> str:
    body, again = draw(selections(JOB, spreads=("A", "B"))), draw(selections(JOB, wanted=2))
    a, b = draw(selections(JOB, spreads=("B",), wanted=3)), draw(selections(JOB, wanted=3))
    more = draw(
        st.sampled_from(["", f"more: items @include(if: $no) {again}", f"items {again}", f"... {{ other: items {again} }}"])
    )
    return (
        f"query($yes: Boolean!, $no: Boolean!) {{ jobs {{ items {body} {more} complete @include(if: $yes) @skip(if: $no)"
        f" ...P }} }} fragment P on JobResultList {{ third: items {{ ...A ...B }} }} fragment A on Job {a} fragment B on Job {b}"
    )


async def needs_and_reads(document: str) -> tuple[frozenset[str], set[str]]:
    row = RecordingRow()
    gateway = FakeGateway(rows=[row])  # type: ignore[list-item]
    executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
    variables = {"yes": True, "no": False} if "$yes" in document else None
    request = GraphQLRequest(document, variables=variables)
    response = await executions.run(request, RequestContext(gateway, CALLER, LIMITS), "test")
    assert "errors" not in response, response
    return gateway.questions[0].fields, row.read


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents())
async def test_what_a_question_needs_is_what_its_answer_reads(document: str) -> None:
    needs, reads = await needs_and_reads(document)
    assert needs == reads


@pytest.mark.parametrize("name", sorted(JOB.fields))
async def test_every_field_of_a_job_needs_what_it_reads(name: str) -> None:
    below = get_named_type(JOB.fields[name].type)
    needs, reads = await needs_and_reads(
        f"{{ jobs {{ items {{ {name} {'{ __typename }' if isinstance(below, GraphQLObjectType) else ''} }} }} }}"
    )
    assert needs == reads
    assert needs <= set(JOB_FIELDS)


async def test_a_question_for_no_jobs_needs_nothing() -> None:
    assert await needs_and_reads("{ jobs { count } }") == (frozenset(), set())
