"""What has to happen once: who is at it, and what it came to, so that whoever asks again is told and nothing happens twice.

Kept in this process, and in the Redis that all processes share where there is one. An entry that is lost (Redis wiped or down,
the process gone) was never there: what is protected by it must be harmless to repeat, as every write of the gateway is.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from ccgateway.settings import CacheSettings
from ccgateway.telemetry import Rarely

if TYPE_CHECKING:  # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.link import Link
    from ccgateway.cache.urls import Pipeline

logger = logging.getLogger("ccgateway.cache")

__all__ = ["CLAIM_FOR", "Ledger", "LocalLedger", "Page", "SharedLedger", "new_holder", "open_ledger"]

#: bytes of results kept in one process
MOST_BYTES = 32 << 20
#: seconds after its last sign of life for which a holder is believed to be at it
CLAIM_FOR = 3.0
#: an entry: what it is, a check of all of it together with its name, the digest of what was asked, and who is at it (and a number
#: that changes with every sign of life), or what it came to
OPEN, CLOSED, CHECK, DIGEST, HOLDER = b"o", b"c", 16, 32, 16
#: bytes of the longest entry that is looked at
LONGEST = 16 << 20

_CLAIM = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''"""
#: one's own entry, or none: with a new text, or (empty) gone
_SWAP = """
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 50, 65) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1"""
_SEIZE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1"""


@dataclass(frozen=True, slots=True)
class Page:
    """What the ledger has under a name. ``holder``: who is at it now; ``result``: what it came to; neither: it is the caller's
    turn. ``fits``: whether it is about the same request; ``found``: the entry as it is kept, which changes with every sign of
    life."""

    fits: bool = True
    holder: bytes | None = None
    result: bytes | None = None
    found: bytes = field(default=b"", compare=False)

    @property
    def is_mine(self) -> bool:
        """Whether the one who asked has to do it now."""
        return self.holder is None and self.result is None


class Ledger(Protocol):
    """Entries by name; ``digest`` (32 bytes) tells requests apart that come under one name. No method raises."""

    async def claim(self, name: str, digest: bytes, holder: bytes) -> Page:
        """What is there; if nothing is (or what is no entry), the name is the holder's as long as it gives signs of life."""
        ...

    async def seize(self, name: str, digest: bytes, holder: bytes, found: bytes) -> bool:
        """Makes the name the holder's if what was ``found`` there is there still; whether it is."""
        ...

    async def renew(self, name: str, digest: bytes, holder: bytes) -> None:
        """A sign of life, good for ``CLAIM_FOR`` seconds."""
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
    """Within this process, bounded in bytes: what is recorded longest goes first. A holder lives as long as the process."""

    def __init__(self, clock: Callable[[], float] = time.time, most: int = MOST_BYTES) -> None:
        self._clock, self._most = clock, most
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

    async def claim(self, name: str, digest: bytes, holder: bytes) -> Page:
        """As the port says."""
        found = self._get(name)
        if found is not None and (page := _read(name, found, digest)) is not None:
            return page
        self._put(name, _entry(name, OPEN, digest, holder), math.inf)
        return Page()

    async def seize(self, name: str, digest: bytes, holder: bytes, found: bytes) -> bool:
        """As the port says; nobody dies here alone."""
        current = self._get(name)
        if current is not None and (current != found or current[:1] == OPEN):
            return False
        self._put(name, _entry(name, OPEN, digest, holder), math.inf)
        return True

    async def renew(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""

    async def close(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """As the port says."""
        if self._get(name) == _entry(name, OPEN, digest, holder):
            self._put(name, _entry(name, CLOSED, digest, result), seconds)

    async def drop(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""
        if self._get(name) == _entry(name, OPEN, digest, holder):
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
        self._rarely = Rarely(logger)

    async def claim(self, name: str, digest: bytes, holder: bytes) -> Page:
        """As the port says; what this process knows comes first."""
        page = await self._local.claim(name, digest, holder)
        if not page.is_mine:
            return page
        found = await self._eval(_CLAIM, name, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))
        if not isinstance(found, bytes) or not found:
            return page
        theirs = _read(name, found, digest)
        if theirs is not None:
            await self._local.drop(name, digest, holder)
            return theirs
        self._rarely.warn("record", "an idempotency record in Redis could not be read and counts for nothing")
        await self._eval(_SEIZE, name, found, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))
        return page

    async def seize(self, name: str, digest: bytes, holder: bytes, found: bytes) -> bool:
        """As the port says."""
        if not await self._local.seize(name, digest, holder, found):
            return False
        if await self._eval(_SEIZE, name, found, _beat(name, digest, holder), _milliseconds(CLAIM_FOR)) != 0:
            return True
        await self._local.drop(name, digest, holder)
        return False

    async def renew(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""
        await self._eval(_SWAP, name, holder, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))

    async def close(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """As the port says."""
        await self._local.close(name, digest, holder, result, seconds)
        await self._eval(_SWAP, name, holder, _entry(name, CLOSED, digest, result), _milliseconds(seconds))

    async def drop(self, name: str, digest: bytes, holder: bytes) -> None:
        """As the port says."""
        await self._local.drop(name, digest, holder)
        await self._eval(_SWAP, name, holder, b"", b"0")

    async def aclose(self) -> None:
        """Closes the link."""
        await self._link.aclose()

    async def _eval(self, script: str, name: str, *arguments: bytes) -> object:
        key = f"{self._prefix}:2:once:{name}"

        def queue(pipeline: Pipeline) -> None:
            pipeline.execute_command("EVAL", script, 1, key, *arguments)

        replies = await self._link.run(queue)
        return replies[0] if replies else None


def _entry(name: str, kind: bytes, digest: bytes, rest: bytes) -> bytes:
    return kind + _check(name, kind + digest + rest) + digest + rest


def _beat(name: str, digest: bytes, holder: bytes) -> bytes:
    return _entry(name, OPEN, digest, holder + secrets.token_bytes(8))


def _check(name: str, text: bytes) -> bytes:
    return blake2b(text, digest_size=CHECK, key=name.encode()[:64]).digest()


def _read(name: str, found: bytes, digest: bytes) -> Page | None:
    """The entry; ``None`` for what is none, or is another name's."""
    kind, check, text = found[:1], found[1 : 1 + CHECK], found[1 + CHECK :]
    if len(found) > LONGEST or kind not in (OPEN, CLOSED) or check != _check(name, kind + text):
        return None
    fits, rest = text[:DIGEST] == digest, text[DIGEST:]
    return Page(fits, result=rest, found=found) if kind == CLOSED else Page(fits, holder=rest[:HOLDER], found=found)


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
