"""Something costly that several users hold at a time, and that ends with the last of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(Generic[T]):
    """``value``, closed once everybody who held it has left.

    Args:
        value: What is shared.
        close: Closes it.
    """

    def __init__(self, value: T, close: Callable[[], Awaitable[None]]) -> None:
        self.value, self._close, self._users = value, close, 0

    def hold(self) -> T:
        """One more user."""
        self._users += 1
        return self.value

    async def leave(self) -> None:
        """One user less; the last closes it."""
        self._users -= 1
        if self._users == 0:
            await self._close()
