"""Short notes under a name, kept for a while: in this process, and in the Redis that all processes share where there is one.

The last one to write a note is right. One that is lost (Redis wiped or full, the process gone) must be harmless.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Rarely

if TYPE_CHECKING:  # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.link import Link
    from ccgateway.cache.urls import Pipeline

__all__ = ["LocalNotes", "Notes", "SharedNotes", "open_notes"]

#: notes kept in one process
MOST_NOTES = 10_000
#: before a note of one's own: whether Redis took it
_TAKEN, _NOT_TAKEN = b"+", b"-"
#: bytes of the check before a note in Redis, which is of its name too, and of the longest note
CHECK, LONGEST = 16, 64 << 10

logger = logging.getLogger("ccgateway.cache")


class Notes(Protocol):
    """Notes by name. No method raises."""

    async def read(self, name: str) -> bytes | None:
        """The last note of that name; ``None`` if there is none (any more)."""
        ...

    async def write(self, name: str, text: bytes, seconds: float) -> None:
        """Keeps the note for so many seconds."""
        ...

    async def aclose(self) -> None:
        """Ends whatever it runs."""
        ...


class LocalNotes:
    """Within this process, bounded in number: those that were used longest ago go first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST_NOTES) -> None:
        self._clock, self._most = clock, most
        self._notes: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    async def read(self, name: str) -> bytes | None:
        """As the port says."""
        found = self._notes.get(name)
        if found is None or found[1] <= self._clock():
            return None
        self._notes.move_to_end(name)
        return found[0]

    async def write(self, name: str, text: bytes, seconds: float) -> None:
        """As the port says."""
        self._notes[name] = text, self._clock() + seconds
        self._notes.move_to_end(name)
        while len(self._notes) > self._most:
            self._notes.popitem(last=False)

    async def aclose(self) -> None:
        """Nothing runs."""


class SharedNotes:
    """In Redis, whose notes count, and in this process for when Redis has none or did not take it. Owns its link."""

    def __init__(self, link: Link, prefix: str, local: LocalNotes) -> None:
        self._link, self._prefix, self._local = link, prefix, local
        self._rarely = Rarely(logger)

    async def read(self, name: str) -> bytes | None:
        """As the port says."""
        own = await self._local.read(name)
        if own is not None and own.startswith(_NOT_TAKEN):
            return own[1:]

        def queue(pipeline: Pipeline) -> None:
            pipeline.execute_command("GET", self._key(name))

        replies = await self._link.run(queue)
        found = replies[0] if replies else None
        if isinstance(found, bytes) and (text := _read(name, found)) is not None:
            return text
        if found is not None:
            self._rarely.warn("note", "a note in Redis could not be read and counts for nothing")
        return None if own is None else own[1:]

    async def write(self, name: str, text: bytes, seconds: float) -> None:
        """As the port says."""

        def queue(pipeline: Pipeline) -> None:
            pipeline.execute_command("SET", self._key(name), _check(name, text) + text, "PX", int(seconds * 1000))

        replies = await self._link.run(queue, dispensable=True)
        is_taken = replies is not None and not isinstance(replies[0], Exception)
        await self._local.write(name, (_TAKEN if is_taken else _NOT_TAKEN) + text, seconds)

    async def aclose(self) -> None:
        """Closes the link."""
        await self._link.aclose()

    def _key(self, name: str) -> str:
        return f"{self._prefix}:2:note:{name}"


def _check(name: str, text: bytes) -> bytes:
    return blake2b(name.encode() + b"\0" + text, digest_size=CHECK).digest()


def _read(name: str, found: bytes) -> bytes | None:
    check, text = found[:CHECK], found[CHECK:]
    return text if len(text) <= LONGEST and check == _check(name, text) else None


def open_notes(settings: CacheSettings) -> Notes:
    """The notes in the Redis that the settings name, or within this process; reaches nothing yet."""
    url = settings.read_redis_url()
    if url is None:
        return LocalNotes()
    from ccgateway.cache.link import open_link

    return SharedNotes(open_link(settings, url), settings.redis_prefix, LocalNotes())
