"""Lists of objects, completed by steps that are worked out once an answer instead of once for each field of each row.

Whatever is out of the ordinary in one (an error, a null that may be none, arguments, types known only at run time) is left to
graphql-core as a whole, so that no answer differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor
from graphql.pyutils import Path

from ccgateway.simulator.call import FieldError

__all__ = ["ListExecutor"]

_Step: TypeAlias = Callable[[Any], Any]

#: scalars whose values of that class are written as they are
_AS_IT_IS = {"String": str, "Boolean": bool, "Int": int}


class _UnusualError(Exception):
    """Something that graphql-core has to see."""


class ListExecutor(Executor[Any]):
    """As graphql-core's own, but for speed. ``resolver``: of a field of a type, by their names, what makes its value of an object
    of that type."""

    resolver: Callable[[str, str], _Step]

    def complete_list_value(  # noqa: PLR0917  graphql-core's own
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The rows, by steps where all of them are ordinary."""
        if isinstance(result, list) and result:
            try:
                step = self._list(return_type, field_details_list)
                return step(result)
            except (_UnusualError, FieldError, GraphQLError, TypeError):
                pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _step(self, kind: GraphQLOutputType, selected: list[FieldDetails]) -> _Step:
        if isinstance(kind, GraphQLNonNull):
            return _not_null(self._step(kind.of_type, selected))
        if isinstance(kind, GraphQLList):
            return self._list(kind, selected)
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, selected)
        if is_leaf_type(kind):
            written, same = kind.coerce_output_value, _AS_IT_IS.get(kind.name) if isinstance(kind, GraphQLScalarType) else None
            return lambda value: value if value is None or type(value) is same else written(value)
        raise _UnusualError

    def _list(self, kind: GraphQLList[GraphQLOutputType], selected: list[FieldDetails]) -> _Step:
        step = self._step(kind.of_type, selected)

        def rows(values: Any) -> list[Any] | None:
            if values is None:
                return None
            if not isinstance(values, list | tuple):
                raise _UnusualError
            return [step(value) for value in values]

        return rows

    def _object(self, kind: GraphQLObjectType, selected: list[FieldDetails]) -> _Step:
        grouped = self.collect_subfields(kind, selected).grouped_field_set
        resolver, of = type(self).resolver, kind.name
        fields = [(key, resolver(of, group[0].node.name.value), self._field(kind, group)) for key, group in grouped.items()]

        def made(value: Any) -> dict[str, Any] | None:
            return None if value is None else {key: step(resolve(value)) for key, resolve, step in fields}

        return made

    def _field(self, kind: GraphQLObjectType, group: list[FieldDetails]) -> _Step:
        field: GraphQLField | None = kind.fields.get(group[0].node.name.value)
        if field is None or field.args or field.resolve is not None:
            raise _UnusualError
        return self._step(field.type, group)


def _not_null(step: _Step) -> _Step:
    def checked(value: Any) -> Any:
        made = step(value)
        if made is None:
            raise _UnusualError
        return made

    return checked
