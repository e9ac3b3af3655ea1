"""Whether fields that come to one key of the answer agree: the same field, asked for in the same way.

graphql-core compares every such field with every other one, and every fragment with every other one: a document of ten kilobytes
takes seconds. All types of this schema are objects (a test holds it to that), so that fields of one key must be the same field
with the same arguments: each is compared with the first of them, and what is selected below is looked at once for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    print_ast,
)
from graphql.utilities.sort_value_node import sort_value_node

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.graphql.selection import MOST_STEPS

__all__ = ["FieldsAgreeRule"]


class FieldsAgreeRule(ValidationRule):
    """Stands for ``OverlappingFieldsCanBeMergedRule``, in time linear to the selections that are looked at, of which there may be
    ``MOST_STEPS``: fragments can multiply one another. Raises ``LIMIT_EXCEEDED`` beyond. The document nests within bounds, also
    where its fragments go round in circles (``limits.check_shape``)."""

    context: ValidationContext

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        definitions = context.document.definitions
        self._fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self._steps = 0

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        """Looks at all that the operation reaches."""
        waiting = [[node.selection_set]]
        while waiting:
            by_key: dict[str, list[FieldNode]] = defaultdict(list)
            for field in self._fields(waiting.pop()):
                by_key[(field.alias or field.name).value].append(field)
            for key, fields in by_key.items():
                if len(fields) == 1 or self._agree(key, fields):
                    below = [one.selection_set for one in fields if one.selection_set]
                    if below:
                        waiting.append(below)

    def _fields(self, sets: list[SelectionSetNode]) -> Iterator[FieldNode]:
        """The fields of these selections together, fragments followed, each fragment once."""
        stack, visited = sets[::-1], set[str]()
        while stack:
            for node in stack.pop().selections:
                self._steps += 1
                if self._steps > MOST_STEPS:
                    message = f"The query comes to more than {MOST_STEPS} fields once its fragments are written out."
                    raise RequestError(Code.LIMIT_EXCEEDED, message)
                if isinstance(node, FieldNode):
                    yield node
                elif isinstance(node, InlineFragmentNode):
                    stack.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
                    visited.add(node.name.value)
                    if (fragment := self._fragments.get(node.name.value)) is not None:
                        stack.append(fragment.selection_set)

    def _agree(self, key: str, fields: list[FieldNode]) -> bool:
        first, *others = fields
        # one and the same node comes several times where its fragment does
        for other in {id(one): one for one in others if one is not first}.values():
            if (reason := _difference(first, other)) is not None:
                message = (
                    f"Fields '{key}' conflict because {reason}. "
                    "Use different aliases on the fields to fetch both if this was intentional."
                )
                self.report_error(GraphQLError(message, [first, other]))
                return False
        return True


def _difference(one: FieldNode, two: FieldNode) -> str | None:
    if one.name.value != two.name.value:
        return f"'{one.name.value}' and '{two.name.value}' are different fields"
    if len(one.arguments or ()) != len(two.arguments or ()) or _arguments(one) != _arguments(two):
        return "they have differing arguments"
    return None


def _arguments(field: FieldNode) -> dict[str, str]:
    return {one.name.value: print_ast(sort_value_node(one.value)) for one in field.arguments or ()}
