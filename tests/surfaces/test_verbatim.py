"""Which decoded values are encoded, as they are, to what a selection shows."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from graphql import FieldNode, GraphQLObjectType, OperationDefinitionNode, parse

from ccgateway.jobs.metrics import JobMetric, MetricPiece, Series, Statistics
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.selection import NO_VARIABLES, Selection, SelectionRequest
from ccgateway.surfaces.graphql.verbatim import samples_if_verbatim
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from surfaces.fakes import CALLER, FakeGateway, make_piece
from surfaces.paths import executed_by_core
from surfaces.test_selection import LIMITS, SCHEMA


def selected(kind: str, fields: str) -> list[Selection]:
    """What is selected in a field that gives a ``kind``."""
    parents = (one for one in SCHEMA.type_map.values() if isinstance(one, GraphQLObjectType))
    parent, name = next(
        (one, name) for one in parents for name, field in one.fields.items() if kind in str(field.type).strip("[]!")
    )
    operation = cast(OperationDefinitionNode, parse(f"{{ {name} {{ {fields} }} }}").definitions[0])
    node = cast(FieldNode, operation.selection_set.selections[0])
    return Selection(SelectionRequest(SCHEMA, {}, NO_VARIABLES), parent, name, (node,)).children


WHOLE = "hostname id statistics { avg min max } data"


@pytest.mark.parametrize(
    ("kind", "of", "fields", "samples"),
    [
        (Series, "Series", WHOLE, ["data"]),
        (Statistics, "MetricStatistics", "avg min max", []),
        (Series, "Series", "hostname id data statistics { avg min max }", None),
        (Series, "Series", "hostname id statistics { min avg max } data", None),
        (Series, "Series", "hostname id statistics { avg min } data", None),
        (Series, "Series", "host: hostname id statistics { avg min max } data", None),
        (Series, "Series", "hostname: id id: hostname statistics { avg min max } data", None),
        (Series, "Series", "__typename " + WHOLE, None),
        (Series, "Series", WHOLE + " again: data", None),
        (Series, "Series", "hostname", None),
        (JobMetric, "JobMetric", "unit { base prefix } timestep", None),
        (MetricPiece, "JobMetricWithName", "name scope metric { timestep }", None),
        (dict, "MetricStatistics", "avg min max", None),
    ],
)
def test_only_what_is_encoded_to_the_very_same_is_verbatim(kind: type, of: str, fields: str, samples: list[str] | None) -> None:
    assert samples_if_verbatim(kind, selected(of, fields)) == samples


class Tagged(msgspec.Struct, tag=True):
    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class Omitting(msgspec.Struct, omit_defaults=True):
    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class Listed(msgspec.Struct, array_like=True):
    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class Renamed(msgspec.Struct, rename="upper"):
    avg: float = 0.0
    min: float = 0.0
    max: float = 0.0


class Other(msgspec.Struct):
    avg: int = 0
    min: float = 0.0
    max: float = 0.0


class Absent(msgspec.Struct):
    avg: float | None = None
    min: float = 0.0
    max: float = 0.0


@pytest.mark.parametrize("kind", [Tagged, Omitting, Listed, Renamed, Other, Absent])
def test_types_that_are_encoded_otherwise_are_not(kind: type) -> None:
    assert samples_if_verbatim(kind, selected("MetricStatistics", "avg min max")) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"series":[{"hostname":"a","data":null},{"hostname":"b","id":"1","statistics":{"avg":5,"min":1e3},"data":[1.00]}]}',
        b'{"series":[]}',
        b"{}",
    ],
)
@pytest.mark.parametrize("fields", [WHOLE, "statistics { avg min max }", "hostname id data statistics { max }"])
async def test_it_is_what_graphql_core_gives(text: bytes, fields: str) -> None:
    async def answer() -> dict[str, Any]:
        gateway = FakeGateway(pieces={"aurora:1": [make_piece(text=text)]})
        request = GraphQLRequest(f'{{ jobMetrics(id: "aurora:1") {{ metric {{ series {{ {fields} }} }} }} }}')
        return await Executions(SCHEMA, Documents(SCHEMA, LIMITS)).run(request, RequestContext(gateway, CALLER, LIMITS), "test")

    planned = msgspec.json.encode(await answer())
    with executed_by_core():
        assert planned == msgspec.json.encode(await answer())


async def test_nothing_is_built_for_series_that_are_shown_as_they_are() -> None:
    piece = make_piece()
    gateway = FakeGateway(pieces={"aurora:1": [piece]})
    request = GraphQLRequest(f'{{ jobMetrics(id: "aurora:1") {{ metric {{ series {{ {WHOLE} }} }} }} }}')
    context = RequestContext(gateway, CALLER, LIMITS)
    answer = await Executions(SCHEMA, Documents(SCHEMA, LIMITS)).run(request, context, "test")
    (shown,) = answer["data"]["jobMetrics"]
    assert piece.metric.series is not None
    assert [one is two for one, two in zip(shown.f0.f0, piece.metric.series, strict=True)] == [True, True]
    assert context.bytes_written == sum(len(one.data) for one in piece.metric.series)
