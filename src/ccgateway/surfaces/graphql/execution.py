"""One request → its response: the document, the limits, the answer, and what is missing from it.

Where the plan of an operation knows how (``plans``), resolvers are called and their values written without graphql-core. If
anything then is not as plain as the plan takes it to be, or any part comes to an error, graphql-core executes the operation on
the values that are there already (``executor``): errors are always its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeAlias

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_variable_values,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import Code, RequestError, forget_frames
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import MOST_ERRORS, Document, Documents
from ccgateway.surfaces.graphql.executor import PlannedExecutor
from ccgateway.surfaces.graphql.failures import (
    Entry,
    Refusal,
    exactness_entry,
    field_entries,
    gap_entry,
    gateway_entries,
    request_entries,
)
from ccgateway.surfaces.graphql.limits import check_cost, check_items
from ccgateway.surfaces.graphql.lists import items_in
from ccgateway.surfaces.graphql.persisted import PersistedQueries
from ccgateway.surfaces.graphql.plans import Constant, Plan, RootField
from ccgateway.surfaces.graphql.selection import NO_VARIABLES
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from ccgateway.telemetry.requests import current_request, note_cost, note_error
from ccgateway.traffic.scopes import give_way

__all__ = ["Executions"]

Data: TypeAlias = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request that may be answered."""

    request: GraphQLRequest
    document: Document
    plan: Plan
    variables: VariableValues
    context: RequestContext


class Executions:
    """Runs requests against one schema."""

    def __init__(self, schema: GraphQLSchema, documents: Documents) -> None:
        self._schema, self._documents, self._persisted = schema, documents, PersistedQueries()

    async def run(self, request: GraphQLRequest, context: RequestContext, request_id: str) -> dict[str, Any]:
        """The response as JSON-ready values. Raises ``Refusal`` if the request is not to be executed."""
        asked = await self._prepare(request, context)
        try:
            data, errors = await self._answer(asked)
        finally:
            await context.close()
        if context.is_overdrawn:
            note_error(Code.LIMIT_EXCEEDED)
            _let_go(errors)
            return {"errors": gateway_entries(context.budget.error()), "data": None}
        entries = [entry for error in errors for entry in field_entries(error, request_id)]
        _let_go(errors)
        if entries:
            _tell(entries, data)
        entries += [gap_entry(gap) for gap in context.gaps]
        response: dict[str, Any] = {"errors": entries, "data": data} if entries else {"data": data}
        extensions: dict[str, Any] = {}
        if context.notes:
            extensions["notes"] = [{"site": site, "message": words} for site, words in context.notes]
        if context.exactness:
            extensions["exactness"] = [exactness_entry(path, one) for (path, _), one in context.exactness.items()]
        if request.tells_ages:
            extensions["cache"] = [{"site": site, "age": age} for site, age in context.ages.items()]
        if extensions:
            response["extensions"] = extensions
        return response

    # --- what may be answered

    async def _prepare(self, request: GraphQLRequest, context: RequestContext) -> _Asked:
        document = await self._documents.fetch(self._persisted.text_of(request, context.caller.subject))
        if request.persisted is not None and request.query:
            self._persisted.keep(request.persisted, request.query, context.caller.subject)
        operation = document.operation(request.operation_name)
        if operation is None:
            raise self._unknown(request, document)
        if request.reads_only and operation.operation is not OperationType.QUERY:
            message = f"A {operation.operation.value} needs a POST request."
            raise Refusal.because(Code.BAD_REQUEST, message, status=405)
        try:
            if request.variables:
                check_items(document.items + items_in([request.variables]), context.limits, writes=document.writes)
            variables = self._coerced(operation, request)
            plan = self._documents.plan(document, operation, variables)
            cost = plan.cost(variables)
            note_cost(cost)
            check_cost(cost, context.limits)
            context.budget.is_shared = len(plan.roots) > 1
        except RequestError as error:
            raise Refusal.of(error) from None
        except GraphQLError as error:  # a directive that cannot be applied
            raise Refusal(Code.BAD_REQUEST, request_entries(Code.BAD_REQUEST, [error])) from None
        return _Asked(request, document, plan, variables, context)

    def _unknown(self, request: GraphQLRequest, document: Document) -> Refusal:
        """Why there is no such operation, in graphql-core's words."""
        errors = PlannedExecutor.build(self._schema, document.node, operation_name=request.operation_name)
        return Refusal(Code.BAD_REQUEST, request_entries(Code.BAD_REQUEST, errors if isinstance(errors, list) else ()))

    def _coerced(self, operation: OperationDefinitionNode, request: GraphQLRequest) -> VariableValues:
        if not operation.variable_definitions:
            return NO_VARIABLES
        definitions, given = operation.variable_definitions, request.variables or {}
        found = get_variable_values(self._schema, definitions, given, max_errors=MOST_ERRORS)
        if isinstance(found, list):
            _let_go(found)
            raise Refusal(Code.BAD_REQUEST, request_entries(Code.BAD_REQUEST, found))
        return found

    # --- the answer

    async def _answer(self, asked: _Asked) -> tuple[Data, Sequence[GraphQLError]]:
        fields = asked.plan.fields
        if fields is None:
            return await self._executed(asked, {})
        try:
            roots = [(one, one.arguments(asked.variables)) for one in fields if isinstance(one, RootField)]
        except GraphQLError:  # execution meets it, too, before it asks for anything
            return await self._executed(asked, {})
        if len(roots) == 1:
            ((root, arguments),) = roots
            return await self._completed(asked, fields, {root.key: await _resolved(root, arguments, asked.context)})
        tasks = {root.key: asyncio.create_task(root.resolve(asked.context, arguments)) for root, arguments in roots}
        try:
            await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            return await self._completed(asked, fields, tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _completed(
        self, asked: _Asked, fields: Sequence[RootField | Constant], given: Mapping[str, asyncio.Future[Any]]
    ) -> tuple[Data, Sequence[GraphQLError]]:
        await give_way()
        if all(one.done() and one.exception() is None for one in given.values()):
            try:
                return await _written(asked, fields, given), ()
            except Exception:  # noqa: BLE001 - execution comes to the same, and makes its errors of it
                if asked.context.is_overdrawn:
                    return None, ()
        return await self._executed(asked, given)

    async def _executed(self, asked: _Asked, given: Mapping[str, asyncio.Future[Any]]) -> tuple[Data, Sequence[GraphQLError]]:
        """What graphql-core makes of it."""
        asked.context.bytes_written = 0
        executor = PlannedExecutor.build(
            self._schema,
            asked.document.node,
            context_value=asked.context,
            raw_variable_values=asked.request.variables,
            operation_name=asked.request.operation_name,
        )
        if not isinstance(executor, PlannedExecutor):
            raise TypeError("an operation that has a plan can be executed")
        executor.plan, executor.given = asked.plan, given
        result = executor.execute_operation()
        if isawaitable(result):
            result = await result
        executor.variable_values = NO_VARIABLES  # it knows itself, and variables may be megabytes
        if not isinstance(result, ExecutionResult):
            raise TypeError("the schema has no incremental fields")
        return result.data, result.errors or ()


def _let_go(errors: Sequence[GraphQLError]) -> None:
    for error in errors:
        forget_frames(error)


def _tell(entries: Sequence[Entry], data: Data) -> None:
    """Notes errors of fields: one is the answer where there is nothing else, and a gap where there is."""
    record = current_request()
    if record is None:
        return
    told = [(Code(entry["extensions"]["code"]), entry["extensions"].get("site")) for entry in entries]
    if not data or all(value is None for value in data.values()):
        record.note_error(told[0][0])
    for code, site in told:
        if site is not None:
            record.note_site(site, code)
        else:
            record.lacking.append(code)


async def _resolved(root: RootField, arguments: Mapping[str, Any], context: RequestContext) -> asyncio.Future[Any]:
    """What the resolver came to, good or bad. Takes no task of its own."""
    try:
        return _good(await root.resolve(context, arguments))
    except Exception as error:  # noqa: BLE001 - execution makes the field's error of it
        return _bad(error)


def _good(value: Any) -> asyncio.Future[Any]:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    outcome.set_result(value)
    return outcome


def _bad(error: Exception) -> asyncio.Future[Any]:
    # not where it was caught: a frame that the error knows must not know the error
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    outcome.set_exception(error)
    outcome.exception()  # nobody need fetch it, where the caller leaves before the answer is made
    return outcome


async def _written(
    asked: _Asked, fields: Sequence[RootField | Constant], given: Mapping[str, asyncio.Future[Any]]
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for one in fields:
        if isinstance(one, Constant):
            data[one.key] = one.value
        else:
            data[one.key] = await one.write(given[one.key].result(), asked.context, asked.variables)
    return data
