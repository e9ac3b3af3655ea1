"""One request → its response: the document, the limits, the execution, and what is missing from the answer."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, Executor, GraphQLSchema, OperationType

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.failures import Refusal, field_entries, gap_entry, request_entries
from ccgateway.surfaces.graphql.limits import check_cost
from ccgateway.surfaces.graphql.selection import operation_selections
from ccgateway.surfaces.graphql.wire import GraphQLRequest

__all__ = ["Executions"]


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

    def _prepare(self, request: GraphQLRequest, context: RequestContext) -> Executor[Any]:
        document = self._documents.get(request.query)
        executor = Executor.build(
            self._schema,
            document.node,
            context_value=context,
            raw_variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if isinstance(executor, list):
            raise Refusal(Code.BAD_REQUEST, request_entries(Code.BAD_REQUEST, executor))
        operation = executor.operation
        if request.reads_only and operation.operation is not OperationType.QUERY:
            message = f"A {operation.operation.value} needs a POST request."
            raise Refusal.because(Code.BAD_REQUEST, message, status=405)
        roots = operation_selections(self._schema, operation, document.fragments, executor.variable_values)
        try:
            check_cost(roots, context.limits)
        except RequestError as error:
            raise Refusal.of(error) from None
        return executor
