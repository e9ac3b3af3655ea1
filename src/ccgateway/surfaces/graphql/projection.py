"""Lists of plain objects, written as JSON by a plan instead of field by field.

A ``Projection`` is made once per selection: for every field a column (a function from objects to values), for every nested object
a projection of its own, and one msgspec type that has the response keys in order. Writing a list is then a few C loops over whole
columns. What it writes equals, byte for byte, what graphql-core's execution would: a property test holds the two together.

A selection that needs more (a field with arguments, an asynchronous resolver) has no projection; a value that execution would
turn into an error (an integer over 32 bits where the schema says ``Int``, a time that is none) raises ``NotPlainError``. Both are
executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import msgspec
from graphql import (
    GraphQLError,
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

from ccgateway.surfaces.graphql.selection import DEFINITION, Selection

__all__ = ["NotPlainError", "Projection"]

Column = Callable[[Sequence[Any]], list[Any]]

_INT32 = range(-(1 << 31), 1 << 31)


class NotPlainError(Exception):
    """The selection, or a value in the list, needs graphql-core's execution."""


class Projection:
    """Writes objects of one type as one selection shows them. Raises ``NotPlainError`` if there is no plan for it."""

    def __init__(self, selections: Sequence[Selection]) -> None:
        if not selections:
            raise NotPlainError
        names = [f"f{i}" for i in range(len(selections))]
        rename = {name: selection.key for name, selection in zip(names, selections, strict=True)}
        self._columns = [_column(selection) for selection in selections]
        self._shape = msgspec.defstruct("Projected", names, rename=rename, gc=False)

    def objects(self, values: Sequence[Any]) -> list[msgspec.Struct]:
        """One object for every value, ready to be encoded."""
        return list(map(self._shape, *(column(values) for column in self._columns)))

    def encode(self, values: Sequence[Any]) -> msgspec.Raw:
        """The values as the JSON text of a list."""
        return msgspec.Raw(msgspec.json.encode(self.objects(values)))


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
