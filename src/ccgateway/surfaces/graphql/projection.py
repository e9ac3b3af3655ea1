"""Plain objects, written as JSON by a plan instead of field by field.

A ``Projection`` is made once per selection: for every field a column (a function from objects to values), for every nested object
a projection of its own, and one msgspec type that has the response keys in order. Writing a list is then a few C loops over whole
columns; a single object is a list of one. What is written equals, byte for byte, what graphql-core's execution would give: a
property test holds the two together.

A field that must be asked for (``fields.loaded``) is loaded for all objects before they are written: ``Projection.load`` does so,
at whatever depth. A list that is JSON text already (samples of metrics) is written as it stands, and counted.

A selection that needs more (other fields with arguments, an asynchronous resolver) has no projection; a value that execution
would turn into an error (an integer over 32 bits where the schema says ``Int``, a time that is none) raises ``NotPlainError``.
Both are executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from math import isfinite
from operator import attrgetter
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLEnumType,
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
from ccgateway.surfaces.graphql.fields import LOADS, REMEMBERED
from ccgateway.surfaces.graphql.selection import DEFINITION, SAMPLE, Selection
from ccgateway.surfaces.graphql.verbatim import may_be_verbatim, samples_if_verbatim
from ccgateway.surfaces.graphql.written_lists import FEWEST
from ccgateway.tasks import side_by_side

__all__ = ["Load", "NotPlainError", "Projection", "Writing", "written_field"]

_INT32 = range(-(1 << 31), 1 << 31)


class NotPlainError(Exception):
    """The selection, or a value in the list, needs graphql-core's execution."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """A field whose values must be asked for: its place in the selection, its key in the answer, and how to load it for many
    values."""

    place: int
    key: str
    field: GraphQLField
    nodes: tuple[FieldNode, ...]
    run: Callable[[RequestContext, Sequence[Any], Mapping[str, Any]], Awaitable[list[Any]]]


@dataclass(slots=True)
class Writing:
    """One answer as it is written. ``loaded``: what was asked for, one value for each object that is written there."""

    context: RequestContext
    loaded: dict[Load, list[Any]] = field(default_factory=dict)


Column = Callable[[Sequence[Any], Writing], list[Any]]
Ask = Callable[[Load, Sequence[Any]], Awaitable[list[Any]]]
#: the objects of a nested projection, among those that a column is made of, in the order in which they are written
Reach = Callable[[Sequence[Any]], list[Any]]


class Projection:
    """Writes objects of one type as one selection shows them. Raises ``NotPlainError`` if there is no plan for it.

    ``loads``: what must be loaded first for the objects themselves; ``below``: the projections within this one where something
    must be loaded, and how their objects are reached.
    """

    def __init__(self, selections: Sequence[Selection]) -> None:
        if not selections:
            raise NotPlainError
        self.loads: list[Load] = []
        self.below: list[tuple[Reach, Projection]] = []
        names = [f"f{i}" for i in range(len(selections))]
        rename = {name: selection.key for name, selection in zip(names, selections, strict=True)}
        self._columns = [self._column(place, one) for place, one in enumerate(selections)]
        self._shape = msgspec.defstruct("Projected", names, rename=rename, gc=False)
        self._selections = selections if may_be_verbatim(selections) else ()
        self._verbatim: dict[type, list[Callable[[Any], Any]] | None] = {}

    @property
    def must_load(self) -> bool:
        """Whether ``load`` has anything to do."""
        return bool(self.loads or self.below)

    async def load(self, values: Sequence[Any], writing: Writing, ask: Ask) -> None:
        """Asks for what must be loaded before ``values`` are written: one value of each load for every object there."""
        if len(self.loads) + len(self.below) == 1:
            for load in self.loads:
                await self._run(load, values, writing, ask)
            for reach, projection in self.below:
                await projection.load(reach(values), writing, ask)
            return
        async with side_by_side() as group:
            for load in self.loads:
                group.create_task(self._run(load, values, writing, ask))
            for reach, projection in self.below:
                group.create_task(projection.load(reach(values), writing, ask))

    async def _run(self, load: Load, values: Sequence[Any], writing: Writing, ask: Ask) -> None:
        writing.loaded[load] = await ask(load, values)

    def objects(self, values: Sequence[Any], writing: Writing) -> list[Any]:
        """One object for every value, ready to be encoded."""
        if self._selections and (samples := self._samples(values)) is not None:
            for get in samples:
                writing.context.write(sum(map(len, map(get, values))))
            return list(values)
        return list(map(self._shape, *[column(values, writing) for column in self._columns]))

    def _samples(self, values: Sequence[Any]) -> list[Callable[[Any], Any]] | None:
        """How to get at the samples of values that are encoded as they are; ``None`` for values that are not."""
        kinds = set(map(type, values))
        if len(kinds) != 1:
            return None
        (kind,) = kinds
        if kind not in self._verbatim:
            names = samples_if_verbatim(kind, self._selections)
            self._verbatim[kind] = None if names is None else [attrgetter(name) for name in names]
        return self._verbatim[kind]

    def _column(self, place: int, selection: Selection) -> Column:
        if selection.name == "__typename":
            return lambda values, _: [selection.parent.name] * len(values)
        field = selection.parent.fields[selection.name]
        if (load := _load(place, selection, field)) is not None:
            self.loads.append(load)
            return _loaded(load, _completed(field.type, selection).write)
        if field.args:
            raise NotPlainError
        source, inner = _source(selection), _completed(field.type, selection)
        if inner.loading is not None:
            reach, projection = inner.loading
            self.below.append((lambda values: reach(source(values)), projection))
            return lambda values, writing: inner.write(source(values), writing)
        definition = field.extensions.get(DEFINITION)
        write = _kept(inner.write) if definition and REMEMBERED in definition.metadata else inner.write
        return lambda values, writing: write(source(values), writing)


def written_field(selection: Selection) -> Completed:
    """How the value of one field is written, whatever resolves it. Raises ``NotPlainError`` if there is no plan for it."""
    if selection.field is None:
        raise NotPlainError
    return _completed(selection.field.type, selection)


@dataclass(frozen=True, slots=True)
class Completed:
    """How values of some type are written, and where among them something must be loaded first."""

    write: Column
    loading: tuple[Reach, Projection] | None = None


def _load(place: int, selection: Selection, field: GraphQLField) -> Load | None:
    definition = field.extensions.get(DEFINITION)
    run = definition.metadata.get(LOADS) if definition else None
    return Load(place, selection.key, field, selection.nodes, run) if run and not is_non_null_type(field.type) else None


def _loaded(load: Load, write: Column) -> Column:
    return lambda _, writing: write(writing.loaded[load], writing)


def _source(selection: Selection) -> Callable[[Sequence[Any]], list[Any]]:
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


def _completed(kind: GraphQLOutputType, selection: Selection) -> Completed:
    """How the answer shows values of type ``kind``."""
    is_required = is_non_null_type(kind)
    if is_non_null_type(kind):
        kind = kind.of_type
    if is_list_type(kind) and get_named_type(kind).name == SAMPLE:
        return Completed(_filled(_samples, is_required=is_required))
    if is_list_type(kind):
        inner = _completed(kind.of_type, selection)
        loading = None
        if inner.loading is not None:
            reach, projection = inner.loading
            loading = (lambda lists: reach(_flat(lists)), projection)
        write = _checked(inner.write) if _is_unchanged(kind.of_type) else _split(inner.write)
        return Completed(_without_none(write) if is_required else write, loading)
    if is_leaf_type(kind):
        return Completed(_filled(_writer(get_named_type(kind)), is_required=is_required))
    if not isinstance(kind, GraphQLObjectType):
        raise NotPlainError
    projection = Projection(selection.children)
    return Completed(
        _filled(projection.objects, is_required=is_required), (_present, projection) if projection.must_load else None
    )


def _present(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _flat(lists: Sequence[Sequence[Any] | None]) -> list[Any]:
    return list(chain.from_iterable([one for one in lists if one]))


def _filled(write: Column, *, is_required: bool) -> Column:
    """``write`` for what is there; ``None`` for what is not, where that may be."""

    def filled(values: Sequence[Any], writing: Writing) -> list[Any]:
        if None not in values:
            return write(values, writing)
        if is_required:
            raise NotPlainError
        written = iter(write(_present(values), writing))
        return [None if value is None else next(written) for value in values]

    return filled


def _without_none(write: Column) -> Column:
    def required(values: Sequence[Any], writing: Writing) -> list[Any]:
        if None in values:
            raise NotPlainError
        return write(values, writing)

    return required


def _split(inner: Column) -> Column:
    """Completes the items of all lists in one go, as tuples: the collector looks at them once."""

    def split(lists: Sequence[Any], writing: Writing) -> list[Any]:
        written = iter(inner(_flat(lists), writing))
        return [None if one is None else tuple(islice(written, len(one))) for one in lists]

    return split


def _kept(inner: Column) -> Column:
    """Writes a list only once for as long as it is made of the same objects, which those are that are remembered."""

    def kept(lists: Sequence[Any], writing: Writing) -> list[Any]:
        if len(lists) != 1 or len(lists[0]) < FEWEST or not writing.context.is_recalled:
            return inner(lists, writing)
        known, [values] = writing.context.written_lists, lists
        found = known.find(inner, values)
        return [known.keep(inner, values, inner(lists, writing)[0]) if found is None else found]

    return kept


def _checked(inner: Column) -> Column:
    """The lists themselves, once ``inner``, which changes nothing, has looked at their items."""

    def checked(lists: Sequence[Any], writing: Writing) -> list[Any]:
        inner(_flat(lists), writing)
        return list(lists)

    return checked


def _samples(values: Sequence[Any], writing: Writing) -> list[Any]:
    writing.context.write(sum(map(len, values)))
    return list(values)


def _unchanged(values: Sequence[Any], _: Writing) -> list[Any]:
    return list(values)


def _int32(values: Sequence[Any], _: Writing) -> list[Any]:
    if values and not (min(values) in _INT32 and max(values) in _INT32):
        raise NotPlainError
    return list(values)


def _float(values: Sequence[Any], _: Writing) -> list[Any]:
    try:
        written = list(map(float, values))
    except (TypeError, ValueError, OverflowError):
        raise NotPlainError from None
    if not isfinite(sum(written)):  # as it is where any of them is not
        raise NotPlainError
    return written


#: scalars that need no function of theirs; all but floats are written as they are
_KNOWN: Mapping[str, Column] = {
    GraphQLString.name: _unchanged,
    GraphQLID.name: _unchanged,
    GraphQLFloat.name: _float,
    GraphQLInt.name: _int32,
    "Boolean": _unchanged,
    "Int64": _unchanged,
    "JobState": _unchanged,
    "MetricScope": _unchanged,
    "SchedulerState": _unchanged,
    "MonitoringState": _unchanged,
    "Any": _unchanged,
}


def _is_unchanged(kind: GraphQLOutputType) -> bool:
    if is_non_null_type(kind):
        kind = kind.of_type
    return isinstance(kind, GraphQLScalarType) and kind.name in _KNOWN and kind != GraphQLFloat


def _writer(kind: object) -> Column:
    if isinstance(kind, GraphQLScalarType) and kind.name in _KNOWN:
        return _KNOWN[kind.name]
    if not isinstance(kind, (GraphQLScalarType, GraphQLEnumType)):
        raise NotPlainError
    coerce = kind.coerce_output_value

    def write(values: Sequence[Any], _: Writing) -> list[Any]:
        try:
            return list(map(coerce, values))
        except (TypeError, ValueError, GraphQLError):
            raise NotPlainError from None

    return write
