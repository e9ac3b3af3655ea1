"""What one operation of a document comes to, worked out once and used for every request that switches the same fields on and off.

A ``Plan`` knows what is selected, what that costs, and, where every root field is plain (its resolver asks the gateway, and the
projection writes what comes), how to answer without graphql-core: its ``fields``. Then a request costs no more than coercing its
variables, calling the resolvers and writing. Arguments without variables are coerced once, with the plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    OperationDefinitionNode,
    OperationType,
    get_argument_values,
    get_named_type,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import GatewayError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.context import Info, RequestContext
from ccgateway.surfaces.graphql.converting import python_arguments
from ccgateway.surfaces.graphql.limits import operation_cost
from ccgateway.surfaces.graphql.projection import Load, NotPlainError, Projection, Writing, written_field
from ccgateway.surfaces.graphql.schema import SCHEMA
from ccgateway.surfaces.graphql.selection import DEFINITION, NO_VARIABLES, Selection, SelectionRequest, operation_selections

__all__ = ["Constant", "Plan", "RootField"]


class _Told(Info):
    """What a resolver is told when no execution stands behind it."""

    def __init__(self, context: RequestContext, selection: Selection) -> None:
        self._context, self._selection = context, selection

    @property
    def context(self) -> RequestContext:
        """The request's."""
        return self._context

    @property
    def selection(self) -> Selection:
        """The root field's."""
        return self._selection

    @property
    def place(self) -> tuple[str | int, ...]:
        """The root field's."""
        return (self._selection.key,)


class Constant:
    """A root field that has one value: ``__typename``."""

    def __init__(self, selection: Selection) -> None:
        self.key, self.value = selection.key, selection.parent.name


class RootField:
    """A root field that is answered without graphql-core. Raises ``NotPlainError`` if it cannot be, and ``GraphQLError`` where
    its arguments do not fit."""

    def __init__(self, selection: Selection) -> None:
        self.key = selection.key
        self._selection = selection
        self._written = written_field(selection)
        self._resolver, self._definition = _resolver(selection)
        arguments = selection.parent.fields[selection.name].args
        names = {SCHEMA.config.name_converter.from_argument(one): one.python_name for one in self._definition.arguments}
        plain = {name for name in selection.varying if isinstance(get_named_type(arguments[name].type), GraphQLScalarType)}
        self._plain = {name: names[name] for name in plain}
        self._others = sorted(selection.varying - plain)
        self._fixed = self._converted([name for name in arguments if name not in selection.varying], NO_VARIABLES)

    def arguments(self, variables: VariableValues) -> dict[str, Any]:
        """As the resolver takes them. Raises ``GraphQLError`` where a variable does not fit."""
        found = self._selection.arguments(self._plain, variables)
        plain = {self._plain[name]: value for name, value in found.items()}
        return {**self._fixed, **plain, **self._converted(self._others, variables)}

    def _converted(self, names: Sequence[str], variables: VariableValues) -> dict[str, Any]:
        return python_arguments(self._definition, self._selection.arguments(names, variables)) if names else {}

    async def resolve(self, context: RequestContext, arguments: Mapping[str, Any]) -> Any:
        """What the resolver gives, or raises."""
        return await self._resolver(info=_Told(context, self._selection), **arguments)

    async def write(self, value: Any, context: RequestContext, variables: VariableValues) -> Any:
        """``value``, ready to be encoded. Raises where the answer has an error."""
        writing = Writing(context)
        if self._written.loading is not None:
            failed = False

            async def ask(load: Load, values: Sequence[Any]) -> list[Any]:
                nonlocal failed
                arguments = get_argument_values(load.field, load.nodes[0], variables)
                outcomes = await load.run(context, values, arguments)
                failed = failed or any(isinstance(outcome, GatewayError) for outcome in outcomes)
                return outcomes

            reach, projection = self._written.loading
            await projection.load(reach([value]), writing, ask)
            if failed:
                raise NotPlainError
        return self._written.write([value], writing)[0]


class Plan:
    """One operation, for one choice of the fields that directives leave in.

    ``fields``: how to answer without graphql-core; ``None`` where that cannot be. ``lists``: the projections of lists within
    what graphql-core executes, by the nodes of their field. ``weight``: estimated bytes that all of this takes.
    """

    def __init__(self, request: SelectionRequest, operation: OperationDefinitionNode, limits: LimitSettings) -> None:
        self.roots = operation_selections(request, operation)
        sum(root.size for root in self.roots)  # looks at all of them, so that too many are refused
        self.fields = _fields_of(self.roots) if operation.operation is OperationType.QUERY else None
        self.lists: dict[Hashable, Projection | None] = {}
        self._limits = limits
        self._cost = None if any(map(_has_variables, self.roots)) else operation_cost(self.roots, NO_VARIABLES, limits)
        self.weight = BYTES_PER_STEP * request.steps

    def cost(self, variables: VariableValues) -> int:
        """The cost of the operation with these variables."""
        return operation_cost(self.roots, variables, self._limits) if self._cost is None else self._cost


#: what a plan takes for every selection that was looked at for it (measured: 0.4 to 3.0 KB)
BYTES_PER_STEP = 3000


def _has_variables(selection: Selection) -> bool:
    return bool(selection.varying) or any(map(_has_variables, selection.children))


def _fields_of(roots: Sequence[Selection]) -> list[RootField | Constant] | None:
    try:
        fields = [Constant(root) if root.name == "__typename" else RootField(root) for root in roots]
    except (NotPlainError, GraphQLError):  # execution comes to the same error and reports it
        return None
    return fields if any(isinstance(one, RootField) for one in fields) else None


def _resolver(selection: Selection) -> tuple[Callable[..., Awaitable[Any]], Any]:
    definition = selection.parent.fields[selection.name].extensions.get(DEFINITION)
    if definition is None or definition.base_resolver is None:
        raise NotPlainError
    resolver = definition.base_resolver.wrapped_func
    if not inspect.iscoroutinefunction(resolver) or "info" not in inspect.signature(resolver).parameters:
        raise NotPlainError
    return resolver, definition
