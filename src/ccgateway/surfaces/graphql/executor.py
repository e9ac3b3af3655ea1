"""graphql-core's executor, for what no plan answers: fields of Job that are looked up one by one, introspection, and whatever
ends with an error.

Lists of jobs and of their metrics are written by a projection here, too, where their selection has one. What such a list must ask
for first is loaded for the whole list; a job whose part of it failed has null and an error there, as execution would have it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

import msgspec
from graphql import (
    Executor,
    GraphQLError,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    get_argument_values,
    get_named_type,
    located_error,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import AwaitableOrValue, Path

from ccgateway.errors import GatewayError, forget_frames
from ccgateway.surfaces.graphql.jobs import Job
from ccgateway.surfaces.graphql.metrics import JobMetricWithName, NamedStats, NamedStatsWithScope
from ccgateway.surfaces.graphql.plans import Plan
from ccgateway.surfaces.graphql.projection import Load, NotPlainError, Projection, Writing
from ccgateway.surfaces.graphql.selection import Selection, SelectionRequest

__all__ = ["PlannedExecutor"]

#: types whose lists are written by a projection where possible
PROJECTED = frozenset(one.__name__ for one in (Job, JobMetricWithName, NamedStats, NamedStatsWithScope))


class PlannedExecutor(Executor[Any]):
    """``plan``: of the operation. ``given``: what root fields' resolvers came to already, by key; the others are called."""

    plan: Plan
    given: Mapping[str, Awaitable[Any]]

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        """As graphql-core, but for what is given."""
        given = self.given.get(str(path.key)) if path.prev is None else None
        if given is None:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        nodes = [detail.node for detail in field_details_list]
        field = parent_type.fields[nodes[0].name.value]
        info = self.build_resolve_info(field, nodes, parent_type, path)
        return self.complete_awaitable_value(field.type, field_details_list, info, path, given, position_context)

    def handle_field_error(
        self, raw_error: Exception, return_type: GraphQLOutputType, field_details_list: FieldDetailsList, path: Path
    ) -> None:
        """As graphql-core, which gives its error the frames of ours, and does not tell of each that it makes."""
        if isinstance(raw_error, GatewayError):
            forget_frames(raw_error)
        super().handle_field_error(raw_error, return_type, field_details_list, path)

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
        context = self.context_value
        if isinstance(result, msgspec.Raw):
            context.write(len(result))
            return result
        if get_named_type(return_type).name in PROJECTED:
            projection = self._projection(info, path, field_details_list)
            if projection is not None and projection.must_load:
                return self._loaded(projection, return_type, field_details_list, info, path, result, position_context)
            if projection is not None:
                written = context.bytes_written
                try:
                    return projection.objects(result, Writing(context))
                except NotPlainError:
                    context.bytes_written = written
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
        context = self.context_value
        writing, written, failures = Writing(context), context.bytes_written, list[tuple[int, Load, GatewayError]]()

        async def ask(load: Load, rows: Sequence[Any]) -> list[Any]:
            arguments = get_argument_values(load.field, load.nodes[0], self.variable_values)
            outcomes = await load.run(context, rows, arguments)
            failures.extend((i, load, one) for i, one in enumerate(outcomes) if isinstance(one, GatewayError))
            return [None if isinstance(one, GatewayError) else one for one in outcomes]

        try:
            await projection.load(result, writing, ask)
            objects = projection.objects(result, writing)
        except (NotPlainError, GraphQLError):  # arguments that cannot be used are among them
            context.bytes_written = written
            executed = super().complete_list_value(return_type, field_details_list, info, path, result, position_context)
            return await executed if isawaitable(executed) else executed
        for index, load, error in sorted(failures, key=lambda one: (one[0], one[1].place)):
            where = path.add_key(index).add_key(load.key, get_named_type(return_type).name)
            self.collected_errors.add(located_error(error, list(load.nodes), where.as_list()), where)
        return objects

    def _projection(self, info: GraphQLResolveInfo[Any], path: Path, details: FieldDetailsList) -> Projection | None:
        nodes = tuple(detail.node for detail in details)
        lists, key = self.plan.lists, tuple(map(id, nodes))
        if key not in lists:
            request = SelectionRequest(self.schema, self.fragment_definitions, self.variable_values)
            try:
                lists[key] = Projection(Selection(request, info.parent_type, str(path.key), nodes).children)
            except NotPlainError:
                lists[key] = None
        return lists[key]
