"""Lists as they were written, for whoever asks for the same again while the sites' answers are remembered.

What is remembered are values: a list that is asked for again and again would be written anew each time, which takes longer than
everything else about it. It is the same text as long as it is made of the very same objects by the same plan, whoever asks: what
others may not see, the cache gives them other objects of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from cachetools import TTLCache

__all__ = ["FEWEST", "WrittenLists"]

#: bytes of text that are kept, and seconds for which: lists are remembered for a second by default
MOST_BYTES, KEPT_FOR = 16 << 20, 5.0
#: objects below which a list is written as quickly as it is found
FEWEST = 8
#: bytes that an object takes which its text keeps from going, beside that text
EACH = 1000


@dataclass(frozen=True, slots=True)
class _Written:
    """``values`` keeps the objects, so that no others get their identity."""

    values: list[Any]
    text: msgspec.Raw

    @property
    def size(self) -> int:
        return len(self.text) + EACH * len(self.values)


class WrittenLists:
    """The texts of lists by the plan that wrote them and the objects in them."""

    def __init__(self) -> None:
        self._held: TTLCache[tuple[object, ...], _Written] = TTLCache(MOST_BYTES, KEPT_FOR, getsizeof=lambda one: one.size)

    def find(self, plan: object, values: Sequence[Any]) -> msgspec.Raw | None:
        """The list of these very objects as that plan writes it, if it is known."""
        found = self._held.get((plan, *map(id, values)))
        return None if found is None else found.text

    def keep(self, plan: object, values: Sequence[Any], written: Sequence[Any]) -> msgspec.Raw:
        """``written`` as text, which is found from now on."""
        text = msgspec.Raw(msgspec.json.encode(written))
        one = _Written(list(values), text)
        if one.size <= MOST_BYTES:
            self._held[plan, *map(id, values)] = one
        return text
