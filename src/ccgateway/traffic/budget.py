"""Bytes of answers in memory: one budget for all requests of a process, of which each caller gets a fair share.

A caller may hold as much as is left free beside it: alone half of the budget, of two callers each a third. So there is always
something left for whoever comes next.
"""

from __future__ import annotations

from collections.abc import Hashable

from ccgateway.errors import Code, RequestError

__all__ = ["Account", "ByteBudget"]

#: seconds after which a caller may ask again: answers that are read leave within moments, stalled readers are dropped after 30 s
RETRY_AFTER = 2.0


class ByteBudget:
    """``most``: bytes that all accounts may hold together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._used = 0
        self._by_caller: dict[Hashable, int] = {}

    @property
    def used(self) -> int:
        """Bytes that are held now."""
        return self._used

    def add(self, caller: Hashable, size: int, *, insists: bool = False) -> bool:
        """Takes ``size`` bytes for ``caller``, if that leaves as much free as the caller then holds, or it ``insists``."""
        if not size:
            return True
        held = self._by_caller.get(caller, 0) + size
        if held > self.most - self._used - size and not insists:
            return False
        self._used += size
        self._by_caller[caller] = held
        return True

    def release(self, caller: Hashable, size: int) -> None:
        """Gives ``size`` bytes back."""
        if not size:
            return
        self._used -= size
        left = self._by_caller[caller] - size
        if left:
            self._by_caller[caller] = left
        else:
            del self._by_caller[caller]


class Account:
    """What one request holds of the budget. ``close`` gives everything back."""

    def __init__(self, budget: ByteBudget, caller: Hashable) -> None:
        self._budget, self._caller = budget, caller
        self._held = 0
        self._is_closed = False
        self._refusal: RequestError | None = None
        self.insists = False  # what has taken effect has an answer, however large

    @property
    def held(self) -> int:
        """Bytes that it holds."""
        return self._held

    @property
    def refusal(self) -> RequestError | None:
        """The error that it came to when it wanted too much: such a request has no other answer. A new one each time, as one that
        was kept would keep all that was at hand where it was raised."""
        return None if self._refusal is None else self._refusal.again()

    def hold(self, size: int) -> None:
        """Holds ``size`` bytes more until it is closed; nothing once it is. Raises ``RATE_LIMITED``, or ``LIMIT_EXCEEDED`` if
        this request by itself is too large."""
        if self._is_closed:
            return
        if not self._budget.add(self._caller, size, insists=self.insists):
            self._refusal = self._refused(size)
            raise self._refusal.again()
        self._held += size

    def free(self, size: int) -> None:
        """Gives ``size`` of the bytes back."""
        size = min(size, self._held)
        self._held -= size
        self._budget.release(self._caller, size)

    def settle(self, size: int) -> None:
        """Holds ``size`` bytes instead of all that it held: the answer, instead of what it was made of. Raises as ``hold``."""
        self.free(self._held)
        self.hold(size)

    def close(self) -> None:
        """Gives everything back."""
        self.free(self._held)
        self._is_closed = True

    def _refused(self, size: int) -> RequestError:
        most = self._budget.most
        if self._held + size > most // 2:
            message = (
                f"This takes more than {most // 2} bytes of memory, the most for one caller (half of limits.inflight_bytes). "
                "Ask for less at once."
            )
            return RequestError(Code.LIMIT_EXCEEDED, message)
        message = (
            f"Answers under way fill this caller's share of {most} bytes (limits.inflight_bytes). "
            f"Read those that you asked for, and try again in {RETRY_AFTER:g} s."
        )
        return RequestError(Code.RATE_LIMITED, message, retry_after=RETRY_AFTER)
