"""Who has come and not begun, in the order in which they will."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

__all__ = ["Comer", "Turns"]


class Comer(Protocol):
    """Whoever waits. ``at``: since when, seconds."""

    @property
    def caller(self) -> Hashable: ...

    @property
    def at(self) -> float: ...


C = TypeVar("C", bound=Comer)


class Turns(Generic[C]):
    """All who wait. Callers take turns; of the same caller, who came first is next. Those that are put behind have a line
    of their own, in the order in which they came."""

    def __init__(self) -> None:
        self._all: OrderedDict[C, None] = OrderedDict()
        self._lines: OrderedDict[Hashable, OrderedDict[C, None]] = OrderedDict()
        self._was_behind = False

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, comer: C) -> bool:
        return comer in self._all

    def join(self, comer: C) -> None:
        """One more."""
        self._all[comer] = None
        self._lines.setdefault(comer.caller, OrderedDict())[comer] = None

    def is_behind(self, comer: C) -> bool:
        """Whether it was put behind."""
        return comer not in self._lines.get(comer.caller, ())

    def leave(self, comer: C) -> None:
        """One less."""
        del self._all[comer]
        line = self._lines.get(comer.caller)
        if line is not None and comer in line:
            del line[comer]
            if not line:
                del self._lines[comer.caller]

    def next(self, *, passes_behind: bool) -> C:
        """Whose turn it is; it stays until it leaves. There has to be one. ``passes_behind``: those that were put behind have a
        turn only when nobody else waits, and not every other one."""
        first = next(iter(self._all))  # whoever is behind came before all others
        self._was_behind = self.is_behind(first) and not (self._lines and (passes_behind or self._was_behind))
        if self._was_behind:
            return first
        caller, line = next(iter(self._lines.items()))
        self._lines.move_to_end(caller)
        return next(iter(line))

    def put_behind(self) -> None:
        """All who wait now."""
        self._lines.clear()

    def since(self) -> float | None:
        """When the one came that has waited longest of those that are not put behind; ``None``: there is none."""
        return min((next(iter(line)).at for line in self._lines.values()), default=None)

    def came_before(self, moment: float) -> list[C]:
        """Those that have waited since before then."""
        found = []
        for comer in self._all:
            if comer.at >= moment:
                break
            found.append(comer)
        return found
