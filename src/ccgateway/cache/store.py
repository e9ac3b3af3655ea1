"""The port: what the cache asks of a place where entries are kept. No method of it raises, whatever befalls that place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from ccgateway.cache.counts import MemoryStats, RedisStats
from ccgateway.cache.entries import Entry, Source, TagVersions
from ccgateway.cache.keys import InvalidationTag, Key

__all__ = ["WANTED_FOR", "Claim", "Claims", "Look", "Store", "Tokens", "tags_of", "versions_of"]

#: seconds after which it is forgotten that a process wanted a key
WANTED_FOR = 3.0

#: the tokens of tags; a tag that is missing has none, or it is not known
Tokens = Mapping[InvalidationTag, bytes]


def tags_of(keys: Iterable[Key]) -> list[InvalidationTag]:
    """Every tag of the keys, once."""
    return list(dict.fromkeys(tag for key in keys for tag in key.tags))


def versions_of(key: Key, tokens: Tokens) -> TagVersions | None:
    """The key's three tokens; ``None`` if one is missing."""
    everything, site, subject = (tokens.get(tag) for tag in key.tags)
    return None if everything is None or site is None or subject is None else (everything, site, subject)


@dataclass(slots=True)
class Look:
    """What is there: entries whose versions hold and which are alive, where each was found, and the tokens that confirm them."""

    entries: dict[Key, tuple[Entry, Source]] = field(default_factory=dict)
    tokens: dict[InvalidationTag, bytes] = field(default_factory=dict)


class Claim(Enum):
    """Whose a key's fill is."""

    MINE = "mine"
    BUSY = "busy"  # another process is at it
    OPEN = "open"  # nobody can tell: fill it, as if there were no other process


@dataclass(slots=True)
class Claims(Look):
    """Whose each key's fill is. An entry that is there all the same was put since one last looked."""

    owners: dict[Key, Claim] = field(default_factory=dict)
    #: for each key that is busy a text that changes as long as its holder lives
    holders: dict[Key, bytes] = field(default_factory=dict)


class Store(Protocol):
    """A place where entries are kept; ``holder`` names one batch of fills and is never used again (the fencing token)."""

    @property
    def down(self) -> str | None:
        """Why the shared place is not in use; ``None`` if it is, or there is none."""
        ...

    def forget(self, keys: Iterable[Key]) -> None:
        """Drops what this process has of the keys."""
        ...

    def reweigh(self, key: Key, entry: Entry) -> None:
        """Counts the values that the entry was decoded to, if it is what this process has of the key."""
        ...

    async def look(self, keys: Sequence[Key]) -> Look:
        """What is there of the keys; as of a moment after the call."""
        ...

    async def versions(self, tags: Sequence[InvalidationTag]) -> Tokens:
        """The tags' tokens, made where there are none. Missing: not known, and nothing of that tag may be kept."""
        ...

    async def claim(self, keys: Sequence[Key], holder: bytes, seconds: float) -> Claims:
        """Claims the keys' fills for so many seconds; looks and reads the versions at that."""
        ...

    async def extend(self, keys: Sequence[Key], holder: bytes, seconds: float) -> None:
        """Keeps the claims that the holder still has for so many seconds from now."""
        ...

    async def want(self, keys: Sequence[Key]) -> None:
        """Tells the processes that have the keys' claims that this one wants them; good for ``WANTED_FOR`` seconds."""
        ...

    async def is_wanted(self, keys: Sequence[Key]) -> bool:
        """Whether another process wants any of the keys, as far as can be told."""
        ...

    async def put(self, entries: Mapping[Key, Entry], holder: bytes | None) -> set[Key]:
        """Keeps each entry if its versions, and the holder's claim, still hold (``None``: no claim needed).

        Gives back those that were kept, whose claims have ended with that.
        """
        ...

    async def release(self, keys: Sequence[Key], holder: bytes) -> None:
        """Ends the claims that the holder still has."""
        ...

    async def invalidate(self, tags: Sequence[InvalidationTag]) -> None:
        """Invalidates all that is kept, or being filled, of the tags."""
        ...

    async def clear(self, tag: InvalidationTag) -> int:
        """Invalidates, and frees the room as well; how many entries were found there."""
        ...

    def stats_now(self) -> MemoryStats:
        """How what is kept in this process stands."""
        ...

    async def stats(self) -> tuple[MemoryStats | None, RedisStats | None]:
        """How it stands."""
        ...

    async def aclose(self) -> None:
        """Ends whatever it runs."""
        ...
