"""How many items the lists in arguments have, counted on what was written: to coerce a list is much more work than to read it.

Types are not looked at. Objects are counted apart from other items: they are filters, or the restrictions in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphql import IntValueNode, ListValueNode, ObjectValueNode, ValueNode, VariableNode

__all__ = ["Items", "children_of", "commands_in", "has_long_int_lists", "is_long_int_list", "items_in"]


#: from so many on a list of integers is a long one
MANY_INTEGERS = 16


@dataclass(frozen=True, slots=True)
class Items:
    """Items of lists, at whatever depth: ``objects`` and ``others``."""

    objects: int = 0
    others: int = 0

    def __add__(self, more: Items) -> Items:
        return Items(self.objects + more.objects, self.others + more.others)


def items_in(values: Iterable[object], variables: Mapping[str, object] | None = None) -> Items:
    """The items of all lists in ``values``: JSON values, or nodes of a document with ``variables`` put into them."""
    objects = others = 0
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, ValueNode):
            value = _content(value, variables or {})
        if isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list):
            found = sum(isinstance(item, (dict, ObjectValueNode)) for item in value)
            objects, others = objects + found, others + len(value) - found
            stack += [item for item in value if isinstance(item, (dict, list, ValueNode))]
    return Items(objects, others)


def commands_in(values: Iterable[object], variables: Mapping[str, object]) -> int:
    """How many objects the lists among ``values`` have themselves: the commands of a mutation."""
    count = 0
    for value in values:
        found = _content(value, variables) if isinstance(value, ValueNode) else value
        if isinstance(found, list):
            count += sum(isinstance(item, (dict, ObjectValueNode)) for item in found)
    return count


def is_long_int_list(node: ValueNode) -> bool:
    """Whether it is a list of nothing but integers, and of many."""
    if not isinstance(node, ListValueNode) or len(node.values) <= MANY_INTEGERS:
        return False
    return all(type(item) is IntValueNode for item in node.values)


def has_long_int_lists(values: Iterable[ValueNode]) -> bool:
    """Whether there are such lists among ``values``, or within."""
    stack = list(values)
    while stack:
        value = stack.pop()
        if is_long_int_list(value):
            return True
        stack += children_of(value)
    return False


def children_of(node: ValueNode) -> Iterable[ValueNode]:
    """The values within a value of a document."""
    if isinstance(node, ListValueNode):
        return node.values
    return [field.value for field in node.fields] if isinstance(node, ObjectValueNode) else ()


def _content(node: ValueNode, variables: Mapping[str, object]) -> object:
    if isinstance(node, VariableNode):
        return variables.get(node.name.value)
    if isinstance(node, ListValueNode):
        # a variable in a list stands for the item that it holds
        return [_content(item, variables) if isinstance(item, VariableNode) else item for item in node.values]
    if isinstance(node, ObjectValueNode):
        return {field.name.value: field.value for field in node.fields}
    return None
