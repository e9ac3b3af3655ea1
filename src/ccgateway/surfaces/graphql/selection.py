"""What a question selects: the seam between GraphQL documents and the attributes of rows.

``Selection`` is one field as it will be executed: all nodes with the same response key in its parent, fragments and inline
fragments followed, ``@skip`` and ``@include`` applied with the request's variables. From it come

* the row attributes that a site must send (``row_attributes``): for a plain field the attribute that it shows, for a computed one
  what it declares (``fields.computed``). Resolvers read nothing else off a row; a test holds them to it.
* the number of fields of one item (``size``), for the cost of a question.

Fragments can multiply one another to any size, so whatever is worked out for one request ends with ``LIMIT_EXCEEDED`` once it has
looked at ``MOST_STEPS`` selections. What a selection was found to hold it keeps, so that a plan (``plans``) serves many requests:
all of them with the same values in ``@skip`` and ``@include``. The other variables are therefore no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SchemaMetaFieldDef,
    SelectionNode,
    SelectionSetNode,
    TypeMetaFieldDef,
    ValueNode,
    VariableNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    is_abstract_type,
)
from graphql.execution.values import VariableValues

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.graphql.fields import NEEDS
from ccgateway.surfaces.graphql.lists import children_of

__all__ = ["NO_VARIABLES", "Selection", "SelectionRequest", "operation_selections", "row_attributes"]

DEFINITION = "strawberry-definition"
INTROSPECTION = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}
#: selections looked at for one request, those that directives leave out included: each takes up to ten microseconds
MOST_STEPS = 20_000


NO_VARIABLES = VariableValues({}, {})


def varies(node: ValueNode) -> bool:
    """Whether an argument's value has a variable in it."""
    return isinstance(node, VariableNode) or any(map(varies, children_of(node)))


@dataclass(slots=True)
class SelectionRequest:
    """What is the same for every selection of one request. ``switches``: the values of the variables, of which only those in
    directives count. ``steps``: selections looked at so far."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    switches: VariableValues
    steps: int = 0

    def step(self) -> None:
        """Counts one selection more. Raises ``RequestError`` when they are too many."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            message = f"The query comes to more than {MOST_STEPS} fields once its fragments are written out."
            raise RequestError(Code.LIMIT_EXCEEDED, message)


@dataclass(frozen=True, eq=False)
class Selection:
    """One selected field of ``parent``; ``key`` is its name in the answer."""

    request: SelectionRequest
    parent: GraphQLObjectType
    key: str
    nodes: tuple[FieldNode, ...]

    @classmethod
    def of(cls, info: GraphQLResolveInfo[Any]) -> Selection:
        """The selection that a resolver answers."""
        request = SelectionRequest(info.schema, info.fragments, info.variable_values)
        return cls(request, info.parent_type, str(info.path.key), tuple(info.field_nodes))

    @cached_property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @cached_property
    def field(self) -> GraphQLField | None:
        """The field in the schema; ``None`` for what every type has, such as ``__typename``."""
        found: GraphQLField | None = self.parent.fields.get(self.name)
        return found

    @property
    def written(self) -> tuple[ValueNode, ...]:
        """The values of the field's arguments as the document has them."""
        return tuple(argument.value for argument in self.nodes[0].arguments or ())

    def arguments(self, names: Iterable[str], variables: VariableValues) -> dict[str, Any]:
        """Those of these arguments that the field has, coerced, defaults filled in. Raises ``GraphQLError`` where a variable does
        not fit."""
        found: dict[str, Any] = {}
        for name in names:
            if name in self._constants:
                found.update(self._constants[name])
            elif name in self._variables and (value := variables.coerced.get(self._variables[name])) is not None:
                found[name] = value  # its own type has coerced it
            else:
                found.update(self._coerced(name, variables))
        return found

    @cached_property
    def varying(self) -> frozenset[str]:
        """The arguments whose values depend on variables."""
        return frozenset(one.name.value for one in self.nodes[0].arguments or () if varies(one.value))

    @cached_property
    def _constants(self) -> dict[str, dict[str, Any]]:
        names = self.field.args if self.field else ()
        return {name: self._coerced(name, NO_VARIABLES) for name in names if name not in self.varying}

    @cached_property
    def _variables(self) -> dict[str, str]:
        given = self.nodes[0].arguments or ()
        return {one.name.value: one.value.name.value for one in given if isinstance(one.value, VariableNode)}

    def _coerced(self, name: str, variables: VariableValues) -> dict[str, Any]:
        whole = self.parent.fields[self.name]
        part = GraphQLField(whole.type, args={name: whole.args[name]} if name in whole.args else {})
        return get_argument_values(part, self.nodes[0], variables)

    @cached_property
    def children(self) -> list[Selection]:
        """The selected fields of the object (or of each object of the list) that the field gives."""
        field = self.field or INTROSPECTION.get(self.name)
        below = get_named_type(field.type) if field else None
        if not isinstance(below, GraphQLObjectType):
            return []
        return _collect(self.request, below, [node.selection_set for node in self.nodes if node.selection_set])

    def selects(self, name: str) -> bool:
        """Whether the field ``name`` is selected in what this field gives, under whatever key."""
        return any(child.name == name for child in self.children)

    def below(self, name: str) -> list[Selection]:
        """What is selected in the fields ``name`` of what this field gives, whatever their keys."""
        return [grandchild for child in self.children if child.name == name for grandchild in child.children]

    @cached_property
    def size(self) -> int:
        """How many fields this one comes to, itself and everything below it."""
        return 1 + sum(child.size for child in self.children)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The attributes of a row that resolving this one field reads."""
        definition = self.field.extensions.get(DEFINITION) if self.field else None
        if definition is None:  # __typename
            return frozenset()
        needs: frozenset[str] | None = definition.metadata.get(NEEDS)
        return frozenset({definition.python_name}) if needs is None else needs


def row_attributes(selections: list[Selection]) -> frozenset[str]:
    """The attributes of a row that ``selections`` read together."""
    return frozenset[str]().union(*[selection.needs for selection in selections])


def operation_selections(request: SelectionRequest, operation: OperationDefinitionNode) -> list[Selection]:
    """The root fields of an operation. Raises ``RequestError`` when they are too many, as every look into them does, and
    ``GraphQLError`` where a directive cannot be applied."""
    root = request.schema.get_root_type(operation.operation)
    return _collect(request, root, [operation.selection_set]) if root else []


def _collect(request: SelectionRequest, parent: GraphQLObjectType, sets: list[SelectionSetNode]) -> list[Selection]:
    found: dict[str, list[FieldNode]] = {}
    visited: set[str] = set()
    for one in sets:
        for node in _fields(request, parent, one, visited):
            found.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
    return [Selection(request, parent, key, tuple(nodes)) for key, nodes in found.items()]


def _fields(
    request: SelectionRequest, parent: GraphQLObjectType, one: SelectionSetNode, visited: set[str]
) -> Iterator[FieldNode]:
    for node in one.selections:
        request.step()
        if not _is_included(node, request.switches):
            continue
        match node:
            case FieldNode():
                yield node
            case InlineFragmentNode():
                if _applies(request.schema, node.type_condition.name.value if node.type_condition else None, parent):
                    yield from _fields(request, parent, node.selection_set, visited)
            case FragmentSpreadNode():
                name = node.name.value
                fragment = request.fragments.get(name)
                if fragment and name not in visited and _applies(request.schema, fragment.type_condition.name.value, parent):
                    visited.add(name)
                    yield from _fields(request, parent, fragment.selection_set, visited)


def _is_included(node: SelectionNode, variables: VariableValues) -> bool:
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and not (include and not include["if"])


def _applies(schema: GraphQLSchema, condition: str | None, parent: GraphQLObjectType) -> bool:
    if condition is None or condition == parent.name:
        return True
    abstract = schema.get_type(condition)
    return is_abstract_type(abstract) and schema.is_sub_type(abstract, parent)
