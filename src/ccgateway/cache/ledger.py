"""What has to happen once: who is at it, and what it came to, so that whoever asks again is told and nothing happens twice.

Kept in this process, and in the Redis that all processes share where there is one. An entry that is lost (Redis wiped or down,
the process gone) was never there: what is protected by it must be harmless to repeat, as every write of the gateway is.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ccgateway.settings import CacheSettings

if TYPE_CHECKING:  # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.link import Link
    from ccgateway.cache.urls import Pipeline

__all__ = ["Ledger", "LocalLedger", "Page", "SharedLedger", "new_holder", "open_ledger"]

#: bytes of results kept in one process
MOST_BYTES = 32 << 20
#: an entry: what it is, the digest of what was asked (``DIGEST`` bytes), and who is at it, or what it came to
OPEN, CLOSED, DIGEST = b"o", b"c", 32

_CLAIM = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''"""
_SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1"""


@dataclass(frozen=True, slots=True)
class Page:
    """What the ledger has under a name. ``holder``: who is at it now; ``result``: what it came to; neither: it is the caller's
    turn. ``fits``: whether it is about the same request."""

    fits: bool = True
    holder: bytes | None = None
    result: bytes | None = None

    @property
    def is_mine(self) -> bool:
        """Whether the one who asked has to do it now."""
        return self.holder is None and self.result is None


class Ledger(Protocol):
    """Entries by name; ``digest`` (32 bytes) tells requests apart that come under one name. No method raises."""

    async def claim(self, name: str, digest: bytes, holder: bytes, seconds: float) -> Page:
        """What is there; if nothing is, the name is the holder's for so many seconds."""
        ...

    async def close(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """Records what it came to, for so many seconds, if the holder still has the name."""
        ...

    async def drop(self, name: str, digest: bytes, holder: bytes) -> None:
        """Gives the name back, if the holder still has it."""
        ...

    async def aclose(self) -> None:
        """Ends whatever it runs."""
        ...


def new_holder() -> bytes:
    """A name for one who claims, never used again."""
    return secrets.token_bytes(16)


class LocalLedger:
    """Within this process, bounded in bytes: what is recorded longest goes first."""

    def __init__(self, clock: Callable[[], float] = time.time, most: int = MOST_BYTES) -> None:
        self._clock, self._most = clock, most
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    async def claim(self, name: str, digest: bytes, holder: bytes, seconds: float) -> Page:
        """As the port says."""
        found = self._get(name)
        if found is not None:
            return _read(found, digest)
        self._put(name, OPEN + digest + holder, seconds)
        return Page()

    async def close(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """As the port says."""
        if self._get(name) == OPEN + digest + holder:
            self._put(name, CLOSED + digest + result, seconds)

    async def drop(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""
        if self._get(name) == OPEN + digest + holder:
            self._remove(name)

    async def aclose(self) -> None:
        """Nothing runs."""

    def _get(self, name: str) -> bytes | None:
        value, until = self._entries.get(name, (None, 0.0))
        if value is not None and until <= self._clock():
            self._remove(name)
            return None
        return value

    def _put(self, name: str, value: bytes, seconds: float) -> None:
        self._remove(name)
        self._entries[name] = value, self._clock() + seconds
        self._bytes += len(value) + len(name)
        while self._bytes > self._most:
            self._remove(next(iter(self._entries)))

    def _remove(self, name: str) -> None:
        value, _ = self._entries.pop(name, (None, 0.0))
        if value is not None:
            self._bytes -= len(value) + len(name)


class SharedLedger:
    """In Redis, and in this process for what Redis cannot be asked about. Owns its link."""

    def __init__(self, link: Link, prefix: str, local: LocalLedger) -> None:
        self._link, self._prefix, self._local = link, prefix, local

    async def claim(self, name: str, digest: bytes, holder: bytes, seconds: float) -> Page:
        """As the port says; what this process knows comes first."""
        page = await self._local.claim(name, digest, holder, seconds)
        if not page.is_mine:
            return page
        found = await self._eval(_CLAIM, name, OPEN + digest + holder, _milliseconds(seconds))
        if isinstance(found, bytes) and found:
            await self._local.drop(name, digest, holder)
            return _read(found, digest)
        return page

    async def close(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """As the port says."""
        await self._local.close(name, digest, holder, result, seconds)
        await self._eval(_SWAP, name, OPEN + digest + holder, CLOSED + digest + result, _milliseconds(seconds))

    async def drop(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""
        await self._local.drop(name, digest, holder)
        await self._eval(_SWAP, name, OPEN + digest + holder, b"", b"0")

    async def aclose(self) -> None:
        """Closes the link."""
        await self._link.aclose()

    async def _eval(self, script: str, name: str, *arguments: bytes) -> object:
        key = f"{self._prefix}:1:once:{name}"

        def queue(pipeline: Pipeline) -> None:
            pipeline.execute_command("EVAL", script, 1, key, *arguments)

        replies = await self._link.run(queue)
        return replies[0] if replies else None


def _read(found: bytes, digest: bytes) -> Page:
    kind, of, rest = found[:1], found[1 : 1 + DIGEST], found[1 + DIGEST :]
    fits = of == digest
    return Page(fits, result=rest) if kind == CLOSED else Page(fits, holder=rest)


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % max(1, int(seconds * 1000))


def open_ledger(settings: CacheSettings) -> Ledger:
    """The ledger in the Redis that the settings name, or within this process; reaches nothing yet."""
    local = LocalLedger()
    url = settings.read_redis_url()
    if url is None:
        return local
    from ccgateway.cache.link import open_link

    return SharedLedger(open_link(settings, url), settings.redis_prefix, local)
