"""How many items the lists in arguments have, counted on what was written: to coerce a list is much more work than to read it.

Types are not looked at. Objects are counted apart from other items: they are filters, or the restrictions in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphql import ListValueNode, ObjectValueNode, ValueNode, VariableNode

__all__ = ["Items", "items_in"]


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
        value = _content(stack.pop(), variables or {})
        if isinstance(value, list):
            inner = [_content(item, variables or {}) for item in value]
            nested = sum(isinstance(item, dict) for item in inner)
            objects, others = objects + nested, others + len(inner) - nested
            stack += [item for item in inner if isinstance(item, (dict, list))]
        elif isinstance(value, dict):
            stack += value.values()
    return Items(objects, others)


def _content(value: object, variables: Mapping[str, object]) -> object:
    """A list, a dictionary, or what is neither."""
    if isinstance(value, VariableNode):
        value = variables.get(value.name.value)
    if isinstance(value, ListValueNode):
        return list(value.values)
    if isinstance(value, ObjectValueNode):
        return {field.name.value: field.value for field in value.fields}
    return None if isinstance(value, ValueNode) else value
