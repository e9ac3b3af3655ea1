"""What entries hold, decoded: while many ask for the same entry, it is decoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Decoded"]

T = TypeVar("T")


class Decoded(Generic[T]):
    """The least recently used go when together they weigh more than ``most``. What is given out is shared: nobody may change it.

    A value belongs to the very payload that it was decoded from; that an entry may still be served, the cache has said.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, tuple[bytes, T, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: Hashable, payload: bytes) -> T | None:
        """What was decoded from ``payload``, if it is still held."""
        found = self._held.get(key)
        if found is None:
            return None
        if found[0] is not payload:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return found[1]

    def keep(self, key: Hashable, payload: bytes, value: T, weight: int) -> None:
        """Holds what was decoded from ``payload``."""
        self._drop(key)
        if weight > self._most:
            return
        self._held[key] = payload, value, weight
        self._weight += weight
        while self._weight > self._most:
            self._drop(next(iter(self._held)))

    def _drop(self, key: Hashable) -> None:
        found = self._held.pop(key, None)
        if found is not None:
            self._weight -= found[2]
