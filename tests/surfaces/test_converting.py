"""Whatever is asked, resolvers get the arguments that strawberry would give them."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    Undefined,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from ccgateway.surfaces.graphql.converting import python_arguments
from ccgateway.surfaces.graphql.schema import SCHEMA, core_schema

DEEP = 3


def values_of(kind: GraphQLInputType, depth: int = 0) -> st.SearchStrategy[Any]:
    """What graphql-core makes of any value that a caller may write."""
    if isinstance(kind, GraphQLNonNull):
        return some_of(kind.of_type, depth)
    return st.none() | some_of(kind, depth)


def some_of(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    if isinstance(kind, GraphQLList):
        return st.lists(values_of(kind.of_type, depth), max_size=2)
    if isinstance(kind, GraphQLInputObjectType):
        return st.deferred(lambda: input_of(kind, depth + 1))
    if isinstance(kind, GraphQLEnumType):
        return st.sampled_from([value.value for value in kind.values.values()])
    assert isinstance(kind, GraphQLScalarType)
    return st.integers(0, 9) | st.text(max_size=3)


def input_of(kind: GraphQLInputObjectType, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for name, field in kind.fields.items():
        needs = isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined
        if needs or depth < DEEP:
            (required if needs else optional)[field.out_name or name] = values_of(field.type, depth)
    return st.fixed_dictionaries(required, optional=optional)


def root_fields() -> list[tuple[str, str]]:
    schema = core_schema()
    kinds = [kind for kind in (schema.query_type, schema.mutation_type) if kind is not None]
    return [(kind.name, name) for kind in kinds for name, field in kind.fields.items() if field.args]


def definition_of(kind: str, name: str) -> StrawberryField:
    field = core_schema().type_map[kind].fields[name]  # type: ignore[attr-defined]
    found: StrawberryField = field.extensions["strawberry-definition"]
    return found


@pytest.mark.parametrize(("kind", "name"), root_fields())
@settings(max_examples=25)
@given(data=st.data())
def test_arguments_are_those_that_strawberry_would_make(kind: str, name: str, data: st.DataObject) -> None:
    definition = definition_of(kind, name)
    arguments = core_schema().type_map[kind].fields[name].args  # type: ignore[attr-defined]
    given_ = data.draw(st.fixed_dictionaries({}, optional={one: values_of(argument.type) for one, argument in arguments.items()}))
    scalars = SCHEMA.schema_converter.scalar_registry

    def told(convert: Any) -> Any:
        try:
            return convert()
        except Exception as failed:  # noqa: BLE001 - whatever an input makes of values that do not fit
            return type(failed), str(failed)

    expected = told(lambda: convert_arguments(dict(given_), definition.arguments, scalar_registry=scalars, config=SCHEMA.config))
    assert told(lambda: python_arguments(definition, given_)) == expected
