"""What is stored, what a fill says, and what a caller gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Absent", "Entry", "Filled", "Hit", "Source", "Stamp"]

#: the tokens of a key's three realms, widest first, as they were before the fill began
Stamp = tuple[bytes, bytes, bytes]

#: seconds by which another host's clock may run ahead of ours before its entries are not believed
MOST_SKEW = 1.0


class Source(StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    REDIS = "redis"
    SITE = "site"


@dataclass(frozen=True, slots=True)
class Filled:
    """A fill's word on one key: the payload, seconds for which it is good, and seconds more in which it may still be
    served while it is refreshed. ``fresh_for=0`` is given to whoever waits, and not remembered.
    """

    payload: bytes
    fresh_for: float
    stale_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Absent:
    """A fill's word on one key: the site has no such thing, and need not be asked again for ``fresh_for`` seconds."""

    fresh_for: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A payload with its life. ``filled_at``: when the site was asked (seconds since the epoch)."""

    payload: bytes
    filled_at: float
    fresh_for: float
    stale_for: float
    absent: bool
    stamp: Stamp

    def age(self, now: float) -> float:
        """Seconds since the site was asked."""
        return max(0.0, now - self.filled_at)

    def is_fresh(self, now: float) -> bool:
        """Whether it may be served as it is."""
        return -MOST_SKEW <= now - self.filled_at < self.fresh_for

    def is_alive(self, now: float) -> bool:
        """Whether it may be served at all."""
        return -MOST_SKEW <= now - self.filled_at < self.fresh_for + self.stale_for


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer: its payload (empty if ``absent``), its age in seconds, where it came from, whether it is being refreshed."""

    payload: bytes
    age: float
    source: Source
    absent: bool = False
    stale: bool = False
