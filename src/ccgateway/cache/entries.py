"""What is stored, what a fill says, and what a caller gets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

import msgspec

from ccgateway.cache.keys import Key
from ccgateway.errors import GatewayError

__all__ = ["RAW", "UNREADABLE", "Absent", "Entry", "Filled", "Hit", "Source", "TagVersions", "View"]

T = TypeVar("T")

#: the tokens of a key's three tags, widest first, as they were before the fill began
TagVersions = tuple[bytes, bytes, bytes]

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
    served while it is refreshed. ``fresh_for=0`` is given to whoever waits, and not remembered. ``values``: what the payload
    says, where the fill has decoded it already: by the name of the view, with the bytes that it takes.
    """

    payload: bytes
    fresh_for: float
    stale_for: float = 0.0
    values: Mapping[Hashable, tuple[Any, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """A fill's word on one key: the site has no such thing, and need not be asked again for ``fresh_for`` seconds."""

    fresh_for: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A payload with its life. ``filled_at``: when the site was asked (seconds since the epoch). ``values``: what it was decoded
    to, by the name of the view, and how many bytes that takes."""

    payload: bytes
    filled_at: float
    fresh_for: float
    stale_for: float
    absent: bool
    versions: TagVersions
    values: dict[Hashable, tuple[Any, int]] = field(default_factory=dict, compare=False, repr=False, init=False)

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
class View(Generic[T]):
    """What callers make of entries. A value is decoded once while its entry is in memory, and shared: nobody may change it.

    ``decode`` gives the value and the bytes that it takes beside the payload; it raises one of ``UNREADABLE`` for an entry that
    says nothing of the kind. ``name`` tells the views of one entry apart.
    """

    decode: Callable[[Key, Entry], tuple[T, int]]
    name: Hashable = None


#: what decoding raises where an entry holds something else
UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError, GatewayError)
#: payloads as they are
RAW: View[bytes] = View(lambda _key, entry: (entry.payload, 0))


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """An answer: its value, its age in seconds, where it came from, whether it is that there is no such thing, and whether it is
    being refreshed. ``entry``: what it was read from."""

    value: T
    age: float
    source: Source
    absent: bool = False
    stale: bool = False
    entry: Entry | None = field(default=None, compare=False, repr=False)
