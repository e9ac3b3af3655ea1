"""``POST /query``: clusters, tags, jobs and the mutations, per release; whatever else is asked gets a clear error.

The schema knows more than the resolvers do (:mod:`resolving`, :mod:`.writing.mutations`), so that validation errors are those
of the release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
    value_from_ast_untyped,
)

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.clusters import nodes_in
from ccgateway.simulator.decoding import complaint
from ccgateway.simulator.executing import ListExecutor
from ccgateway.simulator.job import Tag
from ccgateway.simulator.messages import TEXT, Request, Response, json_response
from ccgateway.simulator.querying.job_fields import JOB_FIELDS
from ccgateway.simulator.release import RELEASES, Release
from ccgateway.simulator.resolving import QUERIES
from ccgateway.simulator.sdl import sdl
from ccgateway.simulator.writing.mutations import MUTATIONS

__all__ = ["query"]

_COMPLEXITY_LIMIT = 5000


class Ask(msgspec.Struct, rename="camel"):
    """A GraphQL request over HTTP."""

    query: str = ""
    variables: dict[str, Any] | None = None
    operation_name: str | None = None


def query(call: Call) -> Response:
    """Answer one GraphQL request."""
    release = call.release
    ask = _read(call.request, release)
    if isinstance(ask, Response):
        return ask
    schema = _schema(release.name)
    try:
        document, invalid = _checked(release.name, ask.query)
    except GraphQLError as bad:
        return _refused([bad], "GRAPHQL_PARSE_FAILED", schema)
    if invalid:
        return _refused(invalid, "GRAPHQL_VALIDATION_FAILED", schema)
    if release.chi:
        size = _complexity(document)
        if size > _COMPLEXITY_LIMIT:
            message = f"operation has complexity {size}, which exceeds the limit of {_COMPLEXITY_LIMIT}"
            error = {"message": message, "extensions": {"code": "COMPLEXITY_LIMIT_EXCEEDED"}}
            return json_response({"errors": [error], "data": None})
    hidden = [] if release.introspection else _introspected(document)
    if hidden:
        errors = [_hidden(field, release) for field in hidden]
        return json_response({"errors": errors, "data": {_key(field): None for field in hidden}})
    operation = get_operation_ast(document, ask.operation_name)
    if operation is not None:
        if call.request.method == "GET" and operation.operation is not OperationType.QUERY:
            refusal = {"errors": [{"message": "GET requests only allow query operations"}], "data": None}
            return json_response(refusal, status=406)
        lacking = _lacking(operation, ask.variables or {})
        if lacking is not None:
            return json_response({"errors": [lacking], "data": None}, status=422)
    result = execute_sync(
        schema,
        document,
        root_value=call,
        variable_values=ask.variables or {},
        operation_name=ask.operation_name,
        field_resolver=_resolve,
        executor_class=_QueryExecutor,
    )
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_failed(error, release) for error in result.errors]
    return json_response(answer, jobs=_jobs_in(result.data))


def _resolve(source: object, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    parent, name = info.parent_type.name, info.field_name
    try:
        if isinstance(source, Call):
            return (MUTATIONS if parent == "Mutation" else QUERIES)[name](source, arguments)
        return _value(source, parent, name)
    except FieldError as failed:
        raise GraphQLError(str(failed)) from failed


#: fields that are not always what an object has under their name
_SPECIAL = {"footprint", "id", "metricConfig", "name", "numberOfNodes", "prefix", "subClusters"}


def _value(source: object, parent: str, name: str) -> Any:
    """A field of what a root field answered."""
    if isinstance(source, Tag):
        return getattr(source, name)
    if not isinstance(source, Mapping) or (parent == "Job" and name not in source):
        raise FieldError(f'the simulator does not answer "{name}"')
    if (parent, name) == ("MetricValue", "name"):
        raise FieldError("internal system error")
    if (parent, name) == ("Node", "id"):
        raise FieldError("MAIN > Panic caused by: not implemented: ID - id")
    if callable(value := source.get(name)):  # worked out only where it is shown
        return value()
    if name == "numberOfNodes":
        return nodes_in(source["nodes"])
    if (parent, name) == ("Unit", "prefix"):
        return source.get("prefix", "")
    if name in {"subClusters", "footprint", "metricConfig"} and parent != "GlobalMetricListItem":
        return value or []
    return value


@lru_cache
def _resolver(parent: str, name: str) -> Callable[[Any], Any]:
    """As ``_value``, for one field."""
    if parent == "Job" and name in JOB_FIELDS:
        return JOB_FIELDS[name]
    if name in _SPECIAL:
        return partial(_value, parent=parent, name=name)

    def plain(source: Any) -> Any:
        value = source.get(name) if type(source) is dict else _value(source, parent, name)
        return value() if callable(value) else value

    return plain


class _QueryExecutor(ListExecutor):
    resolver = staticmethod(_resolver)


@lru_cache
def _schema(release: str) -> GraphQLSchema:
    schema = build_schema(sdl(RELEASES[release]))
    for name in ("Job", "Tag"):  # whose ids are numbers
        kind = schema.type_map[name]
        if isinstance(kind, GraphQLObjectType):
            kind.fields["id"].type = GraphQLNonNull(GraphQLScalarType("NumericID"))
    _lengthen(schema)
    return schema


@lru_cache(maxsize=256)
def _checked(release: str, text: str) -> tuple[DocumentNode, list[GraphQLError]]:
    """A document, and what is wrong with it: clients ask the same ones again and again."""
    document = parse(text)
    return document, validate(_schema(release), document)


def _lengthen(schema: GraphQLSchema) -> None:
    """``Int`` has 64 bits here, and takes texts of digits."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value):
            return int(value)
        raise GraphQLError(f"cannot use {value!r} as Int")

    def read_literal(node: ValueNode, _variables: object = None) -> int:
        return read(int(node.value) if isinstance(node, IntValueNode) else value_from_ast_untyped(node))

    long = GraphQLScalarType("Long", parse_value=read, parse_literal=read_literal)
    long.name = "Int"  # which graphql-core keeps to itself

    def lengthened(kind: Any) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return GraphQLNonNull(lengthened(kind.of_type))
        if isinstance(kind, GraphQLList):
            return GraphQLList(lengthened(kind.of_type))
        return long if kind is GraphQLInt else kind

    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInputObjectType):
            for field in kind.fields.values():
                field.type = lengthened(field.type)
                for argument in getattr(field, "args", {}).values():
                    argument.type = lengthened(argument.type)
    schema.type_map["Int"] = long


def _jobs_in(data: object) -> int:
    """Jobs of lists in an answer."""
    parts = data.values() if isinstance(data, dict) else ()
    return sum(len(part["items"]) for part in parts if isinstance(part, dict) and isinstance(part.get("items"), list))


def _read(request: Request, release: Release) -> Ask | Response:
    if request.method == "GET":
        if not release.query_by_get:
            return _no_transport()
        return Ask(query=request.value("query") or "", operation_name=request.value("operationName"))
    if not (request.header("content-type") or "").startswith("application/json"):
        return _no_transport()
    try:
        return msgspec.json.decode(request.body, type=Ask)
    except msgspec.DecodeError:
        text = request.body.decode(errors="replace")
        message = f"json request body could not be decoded: {complaint(text)} body:{text}"
        return json_response({"errors": [{"message": message}], "data": None}, status=400)


def _no_transport() -> Response:
    answer = {"errors": [{"message": "transport not supported"}], "data": None}
    return json_response(answer, status=400, content_type=TEXT)


def _worded(message: str, schema: GraphQLSchema) -> str:
    """An error of graphql-core in the words of gqlgen's validator."""
    lacking = re.match(r"Expected value of type ['\"](\w+)['\"] to include required field ['\"](\w+)['\"]", message)
    kind = schema.get_type(lacking.group(1)) if lacking else None
    if lacking and isinstance(kind, GraphQLInputObjectType):
        name, field = lacking.groups()
        return f'Field "{name}.{field}" of required type "{kind.fields[field].type}" was not provided.'
    missing = re.match(r"""Argument ['"]\w+\.(\w+)\((\w+):\)['"] of type ['"]([^'"]+)['"] is required""", message)
    if missing:
        return 'Field "{}" argument "{}" of type "{}" is required, but it was not provided.'.format(*missing.groups())
    return re.sub(r"'([^']*)'", r'"\1"', message)


def _lacking(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first variable that must have a value and has none, in gqlgen's words."""
    for variable in operation.variable_definitions or ():
        name = variable.variable.name.value
        if isinstance(variable.type, NonNullTypeNode) and variable.default_value is None and given.get(name) is None:
            message = "cannot be null" if name in given else "must be defined"
            return {
                "message": message,
                "path": ["variable", name],
                "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"},
            }
    return None


def _refused(errors: list[GraphQLError], code: str, schema: GraphQLSchema) -> Response:
    shown = [
        {
            "message": _worded(error.message, schema),
            "locations": [{"line": at.line, "column": at.column} for at in error.locations or ()],
            "extensions": {"code": code},
        }
        for error in errors
    ]
    return json_response({"errors": shown, "data": None}, status=422)


def _failed(error: GraphQLError, release: Release) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": error.message, "path": error.path}
    if release.located_resolver_errors and not error.message.startswith("MAIN > Panic"):
        shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations or ()]
    return shown


def _introspected(document: DocumentNode) -> list[FieldNode]:
    roots = [d.selection_set.selections for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    return [f for fields in roots for f in fields if isinstance(f, FieldNode) and f.name.value in {"__schema", "__type"}]


def _key(field: FieldNode) -> str:
    return (field.alias or field.name).value


def _hidden(field: FieldNode, release: Release) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": "introspection disabled", "path": [_key(field)]}
    if release.located_resolver_errors and field.loc is not None:
        token = field.loc.start_token
        shown["locations"] = [{"line": token.line, "column": token.column}]
    return shown


def _complexity(document: DocumentNode) -> int:
    """One for every field, however often fragments repeat it."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}

    def size(selected: SelectionSetNode | None) -> int:
        total = 0
        for node in selected.selections if selected else ():
            if isinstance(node, FieldNode):
                total += 1 + size(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                total += size(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += size(fragments[node.name.value].selection_set)
        return total

    return sum(size(d.selection_set) for d in document.definitions if isinstance(d, OperationDefinitionNode))
