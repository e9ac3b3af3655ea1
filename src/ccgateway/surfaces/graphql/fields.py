"""Declaring fields that are computed, in types whose bodies read as tables.

A plain field (``strawberry.field``) shows the attribute of the same Python name of whatever value stands behind the type. A
``computed`` one calls a resolver; on a type that stands for job rows it declares which of their attributes the resolver reads, so
that the sites are asked for what is shown and no more. A ``loaded`` one also says how it is had for a whole list of rows at once.
A ``remembered`` one is a list of objects that are the same ones as long as what they are made of is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import strawberry

__all__ = ["LOADS", "NEEDS", "REMEMBERED", "computed", "loaded", "remembered"]

#: key of a field's metadata: the row attributes that its resolver reads
NEEDS = "needs"
#: key of a field's metadata: how it is loaded for many rows at once
LOADS = "loads"
#: key of a field's metadata: its list is of objects that are remembered
REMEMBERED = "remembered"


def computed(resolver: Callable[..., Any], *, description: str, needs: str = "") -> Any:
    """A field that ``resolver`` gives, from the row attributes named in ``needs`` (separated by blanks), if it reads a row."""
    return strawberry.field(resolver=resolver, description=description, metadata={NEEDS: frozenset(needs.split())})


def loaded(resolver: Callable[..., Any], load: Callable[..., Any], *, description: str, needs: str) -> Any:
    """A nullable field that ``resolver`` gives for one row, and ``load`` for many: called with the request's context, the rows
    and the field's arguments, it gives (awaitable) a value or an error for each row."""
    metadata = {NEEDS: frozenset(needs.split()), LOADS: load}
    return strawberry.field(resolver=resolver, description=description, metadata=metadata)


def remembered(resolver: Callable[..., Any], *, description: str) -> Any:
    """A list that ``resolver`` gives, of the objects that the cache has, where they come from there."""
    return strawberry.field(resolver=resolver, description=description, metadata={NEEDS: frozenset(), REMEMBERED: True})
