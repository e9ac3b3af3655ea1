"""One request → its response: the document, the limits, the execution, and what is missing from the answer.

graphql-core executes everything but lists of jobs: those are written by a projection where their selection has one
(``projection``). Plans are kept with the document, by selected nodes and the variables that decide what is included.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, Executor, GraphQLList, GraphQLResolveInfo, GraphQLSchema, OperationType
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import AwaitableOrValue, Path

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Document, Documents
from ccgateway.surfaces.graphql.failures import Refusal, field_entries, gap_entry, request_entries
from ccgateway.surfaces.graphql.joblist import JobResultList
from ccgateway.surfaces.graphql.limits import check_cost, check_items
from ccgateway.surfaces.graphql.lists import items_in
from ccgateway.surfaces.graphql.projection import NotPlainError, Projection
from ccgateway.surfaces.graphql.selection import Selection, SelectionRequest, operation_selections
from ccgateway.surfaces.graphql.wire import GraphQLRequest

__all__ = ["Executions"]

#: plans kept for one document: only documents with many switches come to more
MOST_PLANS = 64
ITEMS = "items"


class _Executor(Executor[Any]):
    """graphql-core's executor, but for the lists of jobs that a projection can write."""

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
        """As graphql-core, or the list's JSON text."""
        if info.field_name == ITEMS and info.parent_type.name == JobResultList.__name__:
            projection = self._projection(info, path, field_details_list)
            if projection is not None:
                try:
                    return projection.encode(result)
                except NotPlainError:
                    pass
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    def _projection(self, info: GraphQLResolveInfo[Any], path: Path, details: FieldDetailsList) -> Projection | None:
        nodes = tuple(detail.node for detail in details)
        switches = tuple((name, value) for name, value in self.variable_values.coerced.items() if isinstance(value, bool))
        plans, key = self.document.plans, (*map(id, nodes), *switches)
        if key not in plans:
            if len(plans) >= MOST_PLANS:
                plans.clear()
            request = SelectionRequest(self.schema, self.document.fragments, self.variable_values)
            try:
                plans[key] = Projection(Selection(request, info.parent_type, str(path.key), nodes).children())
            except NotPlainError:
                plans[key] = None
        return plans[key]


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
        return {"errors": entries, "data": result.data} if entries else {"data": result.data}

    def _prepare(self, request: GraphQLRequest, context: RequestContext) -> _Executor:
        document = self._documents.get(request.query)
        try:
            check_items(document.items + items_in([request.variables]))
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
