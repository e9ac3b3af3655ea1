"""One request → its response: the document, the limits, the execution, and what is missing from the answer.

graphql-core executes everything but lists of jobs and of their metrics: those are written by a projection where their selection
has one (``projection``). Plans are kept with the document, by selected nodes and the variables that decide what is included.
What a plan must ask for first is loaded for the whole list; a job whose part of it failed has null and an error there, as
execution would have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from inspect import isawaitable
from typing import Any

import msgspec
from graphql import (
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLList,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    get_argument_values,
    get_named_type,
    located_error,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import AwaitableOrValue, Path

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Document, Documents
from ccgateway.surfaces.graphql.failures import Refusal, field_entries, gap_entry, request_entries
from ccgateway.surfaces.graphql.jobs import Job
from ccgateway.surfaces.graphql.limits import check_cost, check_items
from ccgateway.surfaces.graphql.lists import items_in
from ccgateway.surfaces.graphql.metrics import JobMetricWithName, NamedStats, NamedStatsWithScope
from ccgateway.surfaces.graphql.projection import Load, NotPlainError, Projection
from ccgateway.surfaces.graphql.selection import Selection, SelectionRequest, operation_selections
from ccgateway.surfaces.graphql.wire import GraphQLRequest

__all__ = ["Executions"]

#: plans kept for one document: only documents with many switches come to more
MOST_PLANS = 64
#: types whose lists are written by a projection where possible
PROJECTED = frozenset(one.__name__ for one in (Job, JobMetricWithName, NamedStats, NamedStatsWithScope))


class _Executor(Executor[Any]):
    """graphql-core's executor, but for the lists that a projection can write or that are written already."""

    document: Document

    def complete_list_value(  # noqa: PLR0917 - graphql-core's own signature
        self,
        return_type: GraphQLList[Any],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[Any]:
        """As graphql-core, or values that are ready to be encoded."""
        if isinstance(result, msgspec.Raw):
            return result
        if get_named_type(return_type).name in PROJECTED:
            projection = self._projection(info, path, field_details_list)
            if projection is not None and projection.loads:
                return self._loaded(projection, return_type, field_details_list, info, path, result, position_context)
            if projection is not None:
                try:
                    return projection.objects(result)
                except NotPlainError:
                    pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    async def _loaded(  # noqa: PLR0917 - as above
        self,
        projection: Projection,
        return_type: GraphQLList[Any],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        try:
            loaded = await self._load(projection.loads, result)
            errors = _without_errors(loaded)
            objects = projection.objects(result, loaded)
        except (NotPlainError, GraphQLError):  # arguments that cannot be used are among them
            executed = super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
            return await executed if isawaitable(executed) else executed
        by_place = {load.place: load for load in projection.loads}
        for index, place, error in sorted(errors, key=lambda one: one[:2]):
            where = path.add_key(index).add_key(by_place[place].key, get_named_type(return_type).name)
            self.collected_errors.add(located_error(error, list(by_place[place].nodes), where.as_list()), where)
        return objects

    async def _load(self, loads: Sequence[Load], rows: Sequence[Any]) -> dict[int, list[Any]]:
        arguments = [get_argument_values(load.field, load.nodes[0], self.variable_values) for load in loads]
        async with asyncio.TaskGroup() as group:
            tasks = {
                load.place: group.create_task(_run(load, self.context_value, rows, given))
                for load, given in zip(loads, arguments, strict=True)
            }
        return {place: task.result() for place, task in tasks.items()}

    def _projection(self, info: GraphQLResolveInfo[Any], path: Path, details: FieldDetailsList) -> Projection | None:
        nodes = tuple(detail.node for detail in details)
        switches = tuple((name, value) for name, value in self.variable_values.coerced.items() if isinstance(value, bool))
        plans, key = self.document.plans, (*map(id, nodes), *switches)
        if key not in plans:
            if len(plans) >= MOST_PLANS:
                plans.clear()
            request = SelectionRequest(self.schema, self.document.fragments, self.variable_values)
            try:
                plans[key] = Projection(Selection(request, info.parent_type, str(path.key), nodes).children(), with_loads=True)
            except NotPlainError:
                plans[key] = None
        return plans[key]


async def _run(load: Load, context: RequestContext, rows: Sequence[Any], arguments: dict[str, Any]) -> list[Any]:
    return await load.run(context, rows, arguments)


def _without_errors(loaded: dict[int, list[Any]]) -> list[tuple[int, int, GatewayError]]:
    """Puts ``None`` where an error is; gives the errors as (index in the list, place in the selection, error)."""
    found = []
    for place, outcomes in loaded.items():
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, GatewayError):
                found.append((index, place, outcome))
                outcomes[index] = None
    return found


class Executions:
    """Runs requests against one schema."""

    def __init__(self, schema: GraphQLSchema, documents: Documents) -> None:
        self._schema, self._documents = schema, documents

    async def run(self, request: GraphQLRequest, context: RequestContext, request_id: str) -> dict[str, Any]:
        """The response as JSON-ready values. Raises ``Refusal`` if the request is not to be executed."""
        executor = self._prepare(request, context)
        try:
            result = executor.execute_operation()
            if isawaitable(result):
                result = await result
        finally:
            await context.close()
        if not isinstance(result, ExecutionResult):
            raise TypeError("the schema has no incremental fields")
        entries = [entry for error in result.errors or () for entry in field_entries(error, request_id)]
        entries += [gap_entry(gap) for gap in context.gaps]
        response: dict[str, Any] = {"errors": entries, "data": result.data} if entries else {"data": result.data}
        extensions: dict[str, Any] = {}
        if context.notes:
            extensions["notes"] = [{"site": site, "message": words} for site, words in context.notes]
        if request.tells_ages:
            extensions["cache"] = [{"site": site, "age": age} for site, age in context.ages.items()]
        if extensions:
            response["extensions"] = extensions
        return response

    def _prepare(self, request: GraphQLRequest, context: RequestContext) -> _Executor:
        document = self._documents.get(request.query)
        try:
            check_items(document.items + items_in([request.variables]), writes=document.writes)
            return self._affordable(request, document, context)
        except RequestError as error:
            raise Refusal.of(error) from None

    def _affordable(self, request: GraphQLRequest, document: Document, context: RequestContext) -> _Executor:
        executor = _Executor.build(
            self._schema,
            document.node,
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if isinstance(executor, list):
            raise Refusal(Code.BAD_REQUEST, request_entries(Code.BAD_REQUEST, executor))
        if not isinstance(executor, _Executor):
            raise TypeError("the executor builds executors of its own class")
        executor.document = document
        operation = executor.operation
        if request.reads_only and operation.operation is not OperationType.QUERY:
            message = f"A {operation.operation.value} needs a POST request."
            raise Refusal.because(Code.BAD_REQUEST, message, status=405)
        roots = operation_selections(self._schema, operation, document.fragments, executor.variable_values)
        check_cost(roots, context.limits)
        return executor
