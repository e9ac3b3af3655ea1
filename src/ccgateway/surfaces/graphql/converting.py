"""Arguments as graphql-core coerces them → as resolvers take them: what strawberry does, worked out once for each type.

Strawberry looks at the type of every field of an input anew with each request, which takes half a millisecond for a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional, get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.types.unset import UNSET

from ccgateway.surfaces.graphql.schema import SCHEMA

__all__ = ["python_arguments"]

#: for a value that is not null
_Converter: TypeAlias = Callable[[Any], Any]
_NAMES = SCHEMA.config.name_converter


def python_arguments(field: StrawberryField, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``field`` that are in ``values``."""
    return {python: _value(convert, values[name]) for name, python, convert in _arguments(field) if name in values}


@cache
def _arguments(field: StrawberryField) -> Sequence[tuple[str, str, _Converter | None]]:
    return [(_NAMES.from_argument(one), one.python_name, _converter(one.type)) for one in field.arguments]


def _converter(kind: Any) -> _Converter | None:
    """``None``: graphql-core's value is the resolver's, too."""
    if isinstance(kind, StrawberryOptional):
        return _converter(kind.of_type)
    if isinstance(kind, LazyType):
        return _converter(kind.resolve_type())
    if isinstance(kind, StrawberryList):
        convert = _converter(kind.of_type)
        return lambda values: [_value(convert, value) for value in values]
    definition = get_object_definition(kind)
    return None if definition is None else _Input(kind, definition)


class _Input:
    """Makes an input object. Fields that may be left out have a default."""

    def __init__(self, kind: Any, definition: StrawberryObjectDefinition) -> None:
        self._kind, self._definition = kind, definition
        self._fields: Sequence[tuple[str, str, _Converter | None]] | None = None

    def __call__(self, values: Mapping[str, Any]) -> Any:
        if self._fields is None:  # not before: inputs hold themselves
            self._fields = [
                (_NAMES.from_field(one), one.python_name, _converter(one.resolve_type(type_definition=self._definition)))
                for one in self._definition.fields
            ]
        return self._kind(**{python: _value(convert, values[name]) for name, python, convert in self._fields if name in values})


def _value(convert: _Converter | None, value: Any) -> Any:
    return value if convert is None or value is None or value is UNSET else convert(value)
