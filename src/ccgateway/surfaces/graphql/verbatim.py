"""Decoded values that are encoded, as they are, to just what a selection shows of them: then nothing is built to write them.

That is so where the selection has the fields of their type in its order, none under another name, each of a kind that is written
without a change. Of thousands of series of a metric, with statistics each, it saves two objects per series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from graphql import (
    GraphQLFloat,
    GraphQLObjectType,
    GraphQLString,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

from ccgateway.surfaces.graphql.selection import DEFINITION, SAMPLE, Selection

__all__ = ["may_be_verbatim", "samples_if_verbatim"]

#: scalars → the annotation whose decoded values are written without a change; what is decoded has no infinite numbers
_LEAVES: Mapping[str, type] = {GraphQLString.name: str, GraphQLFloat.name: float}
_NONE = type(None)


def may_be_verbatim(selections: Sequence[Selection]) -> bool:
    """Whether there can be a type of which ``selections`` show each value as it is encoded."""
    return all(_attribute(one) == one.name == one.key for one in selections)


def samples_if_verbatim(kind: type, selections: Sequence[Selection]) -> list[str] | None:
    """The attributes of ``kind`` that are lists of samples, if its values, decoded by msgspec, are encoded as ``selections`` show
    them; else ``None``."""
    if not issubclass(kind, msgspec.Struct) or not may_be_verbatim(selections):
        return None
    config = kind.__struct_config__
    if config.omit_defaults or config.array_like or config.tag is not None:
        return None
    if kind.__struct_encode_fields__ != tuple(one.key for one in selections):
        return None
    annotations = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    samples: list[str] = []
    for one in selections:
        if annotations[one.key] is msgspec.Raw and _is_samples(one):
            samples.append(one.key)
        elif not _is_written_the_same(one, annotations[one.key]):
            return None
    return samples


def _attribute(selection: Selection) -> str | None:
    """The attribute that a plain field shows."""
    definition = selection.field.extensions.get(DEFINITION) if selection.field else None
    return definition.python_name if definition and definition.base_resolver is None else None


def _is_samples(selection: Selection) -> bool:
    kind = selection.parent.fields[selection.name].type
    return is_non_null_type(kind) and is_list_type(kind.of_type) and get_named_type(kind).name == SAMPLE


def _is_written_the_same(selection: Selection, annotation: Any) -> bool:
    kind = selection.parent.fields[selection.name].type
    choices = set(get_args(annotation) or (annotation,))
    if is_non_null_type(kind):
        kind = kind.of_type
    else:
        choices.discard(_NONE)
    if len(choices) != 1:
        return False
    (choice,) = choices
    if isinstance(kind, GraphQLObjectType):
        return isinstance(choice, type) and samples_if_verbatim(choice, selection.children) == []
    return not is_list_type(kind) and _LEAVES.get(get_named_type(kind).name) is choice
