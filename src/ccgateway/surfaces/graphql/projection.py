"""Lists of plain objects, written as JSON by a plan instead of field by field.

A ``Projection`` is made once per selection: for every field a column (a function from objects to values), for every nested object
a projection of its own, and one msgspec type that has the response keys in order. Writing a list is then a few C loops over whole
columns. What it writes equals, byte for byte, what graphql-core's execution would: a property test holds the two together.

A field that must be asked for (``fields.loaded``) is loaded for the whole list before it is written: ``Projection.loads`` says
which, with which arguments. A list that is JSON text already (samples of metrics) is written as it stands.

A selection that needs more (other fields with arguments, an asynchronous resolver) has no projection; a value that execution
would turn into an error (an integer over 32 bits where the schema says ``Int``, a time that is none) raises ``NotPlainError``.
Both are executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLString,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.fields import LOADS
from ccgateway.surfaces.graphql.selection import DEFINITION, Selection

__all__ = ["Load", "NotPlainError", "Projection"]

Column = Callable[[Sequence[Any]], list[Any]]

#: the scalar whose lists are JSON text already
SAMPLE = "NullableFloat"
_INT32 = range(-(1 << 31), 1 << 31)


class NotPlainError(Exception):
    """The selection, or a value in the list, needs graphql-core's execution."""


@dataclass(frozen=True, slots=True)
class Load:
    """A field whose values must be asked for: its place in the selection, its key in the answer, and how to load it for many
    values."""

    place: int
    key: str
    field: GraphQLField
    nodes: tuple[FieldNode, ...]
    run: Callable[[RequestContext, Sequence[Any], Mapping[str, Any]], Awaitable[list[Any]]]


class Projection:
    """Writes objects of one type as one selection shows them. Raises ``NotPlainError`` if there is no plan for it.

    ``loads``: what must be loaded first, and given to ``objects`` by place; only ``with_loads``, else there is no plan for it.
    """

    def __init__(self, selections: Sequence[Selection], *, with_loads: bool = False) -> None:
        if not selections:
            raise NotPlainError
        self.loads = [load for place, one in enumerate(selections) if (load := _load(place, one))] if with_loads else []
        loaded = {load.place for load in self.loads}
        names = [f"f{i}" for i in range(len(selections))]
        rename = {name: selection.key for name, selection in zip(names, selections, strict=True)}
        self._columns = [
            _completed(list, one.parent.fields[one.name].type, one) if place in loaded else _column(one)
            for place, one in enumerate(selections)
        ]
        self._shape = msgspec.defstruct("Projected", names, rename=rename, gc=False)

    def objects(self, values: Sequence[Any], loaded: Mapping[int, Sequence[Any]] | None = None) -> list[msgspec.Struct]:
        """One object for every value, ready to be encoded."""
        given = loaded or {}
        return list(map(self._shape, *(column(given.get(place, values)) for place, column in enumerate(self._columns))))


def _load(place: int, selection: Selection) -> Load | None:
    field = selection.parent.fields.get(selection.name)
    definition = field.extensions.get(DEFINITION) if field else None
    run = definition.metadata.get(LOADS) if definition else None
    return Load(place, selection.key, field, selection.nodes, run) if field and run and not is_non_null_type(field.type) else None


def _column(selection: Selection) -> Column:
    if selection.name == "__typename":
        return lambda values: [selection.parent.name] * len(values)
    field = selection.parent.fields[selection.name]
    if field.args:
        raise NotPlainError
    return _completed(_source(selection), field.type, selection)


def _source(selection: Selection) -> Column:
    """The field's values as its resolver gives them."""
    definition = selection.parent.fields[selection.name].extensions.get(DEFINITION)
    if definition is None:
        raise NotPlainError
    if definition.base_resolver is None:
        get = attrgetter(definition.python_name)
        return lambda values: list(map(get, values))
    resolver = definition.base_resolver.wrapped_func
    parameters = inspect.signature(resolver).parameters
    if inspect.iscoroutinefunction(resolver) or len(parameters) > 1:
        raise NotPlainError
    if not parameters:
        return lambda values: [resolver() for _ in values]
    return lambda values: list(map(resolver, values))


def _completed(source: Column, kind: GraphQLOutputType, selection: Selection) -> Column:
    """``source``'s values as the answer shows values of type ``kind``."""
    is_required = is_non_null_type(kind)
    if is_non_null_type(kind):
        kind = kind.of_type
    if is_list_type(kind) and get_named_type(kind).name == SAMPLE:
        return lambda values: _filled(source(values), _unchanged, is_required=is_required)
    if is_list_type(kind):
        inner = _completed(list, kind.of_type, selection)
        return lambda values: _split(source(values), inner, is_required=is_required)
    if is_leaf_type(kind):
        write = _writer(get_named_type(kind))
    elif isinstance(kind, GraphQLObjectType):
        write = Projection(selection.children()).objects
    else:
        raise NotPlainError
    return lambda values: _filled(source(values), write, is_required=is_required)


def _filled(values: list[Any], write: Column, *, is_required: bool) -> list[Any]:
    if None not in values:
        return write(values)
    if is_required:
        raise NotPlainError
    written = iter(write([value for value in values if value is not None]))
    return [None if value is None else next(written) for value in values]


def _split(lists: list[Any], inner: Column, *, is_required: bool) -> list[Any]:
    """Completes the items of all lists in one go."""
    if is_required and None in lists:
        raise NotPlainError
    written = iter(inner(list(chain.from_iterable(one for one in lists if one))))
    return [None if one is None else list(islice(written, len(one))) for one in lists]


def _unchanged(values: Sequence[Any]) -> list[Any]:
    return list(values)


def _int32(values: Sequence[Any]) -> list[Any]:
    if values and not (min(values) in _INT32 and max(values) in _INT32):
        raise NotPlainError
    return list(values)


#: scalars whose Python values are written as they are
_WRITERS: Mapping[str, Column] = {
    GraphQLString.name: _unchanged,
    GraphQLID.name: _unchanged,
    GraphQLFloat.name: _unchanged,
    GraphQLInt.name: _int32,
    "Boolean": _unchanged,
    "Int64": _unchanged,
    "JobState": _unchanged,
    "MetricScope": _unchanged,
    "Any": _unchanged,
}


def _writer(kind: object) -> Column:
    if isinstance(kind, GraphQLScalarType):
        if (known := _WRITERS.get(kind.name)) is not None:
            return known
        coerce = kind.coerce_output_value

        def write(values: Sequence[Any]) -> list[Any]:
            try:
                return list(map(coerce, values))
            except (TypeError, ValueError, GraphQLError):
                raise NotPlainError from None

        return write
    raise NotPlainError
