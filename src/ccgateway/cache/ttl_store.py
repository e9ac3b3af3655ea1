"""Values under names, each for a while, and claims: who is at something that has to happen once, and what it came to.

Kept in this process, and in the Redis that all processes share where there is one. Whatever is lost (Redis wiped, full or down,
the process gone) was never there: what is kept here must be harmless to lose, and what is claimed here harmless to repeat.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b, sha512
from typing import TYPE_CHECKING, NamedTuple

from cachetools import TLRUCache

from ccgateway.telemetry import Rarely

if TYPE_CHECKING:  # redis-py takes a third of a second to import: no need for those who have no Redis
    from ccgateway.cache.connection import RedisConnection, Reply

__all__ = ["CLAIM_FOR", "ClaimResult", "TtlStore", "new_holder"]

logger = logging.getLogger("ccgateway.cache")

#: bytes of one process's entries, and what each takes beside its name and its text
MOST_BYTES, OVERHEAD = 32 << 20, 200
#: seconds after its last sign of life for which a holder is believed to be at it
CLAIM_FOR = 3.0
#: an entry: what it is, a check of all of it together with its name, and: the value; or the digest of what was asked, and who is
#: at it (and a number that changes with every sign of life), or what it came to
VALUE, OPEN, CLOSED, CHECK, DIGEST, HOLDER = b"v", b"o", b"c", 16, 32, 16
#: bytes of the longest entry that is looked at
LONGEST = {VALUE: 64 << 10, OPEN: 16 << 20, CLOSED: 16 << 20}

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
class ClaimResult:
    """What a claim found.

    Args:
        fits: Whether what is there is about the same request.
        holder: Who is at it now.
        result: What it came to. Without ``holder`` and ``result`` the name is the claimant's.
        entry: The entry as it is kept, which changes with every sign of life.
    """

    fits: bool = True
    holder: bytes | None = None
    result: bytes | None = None
    entry: bytes = field(default=b"", compare=False)

    @property
    def is_granted(self) -> bool:
        """Whether the claimant has to do it now."""
        return self.holder is None and self.result is None


class _Kept(NamedTuple):
    entry: bytes
    expires: float
    size: int
    is_shared: bool


def new_holder() -> bytes:
    """A name for one who claims, never used again."""
    return secrets.token_bytes(HOLDER)


class TtlStore:
    """Values and claims of one kind, by name; no method raises.

    Args:
        kind: Tells the names of one store from those of another in the same Redis.
        redis: The process's connection, which somebody else closes; without it the store is this process's own.
        most_bytes: What this process keeps at most; the least recently used goes first.
        clock: Seconds, by which this process's entries expire.
    """

    def __init__(
        self, kind: str, redis: RedisConnection | None = None, *, most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._kind, self._redis = kind, redis
        self._here: TLRUCache[str, _Kept] = TLRUCache(
            most_bytes, ttu=lambda _name, kept, _now: kept.expires, timer=clock, getsizeof=lambda kept: kept.size
        )
        self._rarely = Rarely(logger)

    # --- values: the last one to be written counts

    async def get(self, name: str) -> bytes | None:
        """The value of that name; ``None`` if there is none (any more)."""
        kept = self._here.get(name)
        own = _value(name, kept.entry) if kept is not None else None
        if kept is not None and not kept.is_shared:  # Redis did not take it
            return own
        found = await self._ask("GET", name)
        if isinstance(found, bytes) and (text := _value(name, found)) is not None:
            return text
        if found is not None:
            self._warn()
        return own

    async def set(self, name: str, value: bytes, seconds: float) -> None:
        """Keeps the value for so many seconds."""
        entry = _sealed(name, VALUE, value)
        reply = await self._ask("SET", name, entry, "PX", _milliseconds(seconds), is_dispensable=True)
        self._keep(name, entry, seconds, is_shared=reply is not None and not isinstance(reply, Exception))

    # --- claims: ``digest`` (32 bytes) tells requests apart that come under one name

    async def claim(self, name: str, digest: bytes, holder: bytes) -> ClaimResult:
        """What is there; if nothing is (or what is no entry), the name is the holder's as long as it gives signs of life."""
        own = self._here.get(name)
        if own is not None and (result := _claimed(name, own.entry, digest)) is not None:
            return result
        self._hold(name, digest, holder)
        found = await self._evaluate(_CLAIM, name, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))
        if not isinstance(found, bytes) or not found:
            return ClaimResult()
        result = _claimed(name, found, digest)
        if result is not None:
            self._let_go(name, digest, holder)
            return result
        self._warn()
        await self._evaluate(_SEIZE, name, found, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))
        return ClaimResult()

    async def seize(self, name: str, digest: bytes, holder: bytes, entry: bytes) -> bool:
        """Makes the name the holder's if that ``entry`` is there still; whether it is. Within one process nobody dies alone."""
        own = self._here.get(name)
        if own is not None and (own.entry != entry or entry[:1] == OPEN):
            return False
        self._hold(name, digest, holder)
        if await self._evaluate(_SEIZE, name, entry, _beat(name, digest, holder), _milliseconds(CLAIM_FOR)) != 0:
            return True
        self._let_go(name, digest, holder)
        return False

    async def renew(self, name: str, digest: bytes, holder: bytes) -> None:
        """A sign of life, good for ``CLAIM_FOR`` seconds."""
        await self._evaluate(_SWAP, name, holder, _beat(name, digest, holder), _milliseconds(CLAIM_FOR))

    async def complete(self, name: str, digest: bytes, holder: bytes, result: bytes, seconds: float) -> None:
        """Records what it came to, for so many seconds, if the holder still has the name."""
        entry = _sealed(name, CLOSED, digest + result)
        if self._let_go(name, digest, holder):
            self._keep(name, entry, seconds)
        await self._evaluate(_SWAP, name, holder, entry, _milliseconds(seconds))

    async def release(self, name: str, digest: bytes, holder: bytes) -> None:
        """Gives the name back, if the holder still has it."""
        self._let_go(name, digest, holder)
        await self._evaluate(_SWAP, name, holder, b"", b"0")

    # --- within this process

    def _hold(self, name: str, digest: bytes, holder: bytes) -> None:
        self._keep(name, _sealed(name, OPEN, digest + holder), math.inf)

    def _let_go(self, name: str, digest: bytes, holder: bytes) -> bool:
        own = self._here.get(name)
        if own is None or own.entry != _sealed(name, OPEN, digest + holder):
            return False
        self._here.pop(name, None)
        return True

    def _keep(self, name: str, entry: bytes, seconds: float, *, is_shared: bool = False) -> None:
        self._here.pop(name, None)
        size = len(name) + len(entry) + OVERHEAD
        if size <= self._here.maxsize:
            self._here[name] = _Kept(entry, self._here.timer() + seconds, size, is_shared)

    # --- in Redis

    async def _evaluate(self, script: str, name: str, *arguments: bytes) -> Reply:
        return await self._ask("EVAL", name, *arguments, script=script)

    async def _ask(
        self, command: str, name: str, *arguments: bytes | str, script: str | None = None, is_dispensable: bool = False
    ) -> Reply:
        """The reply; ``None`` without a usable Redis."""
        if self._redis is None:
            return None
        words = [command, *(() if script is None else (script, 1)), f"{self._redis.prefix}:2:{self._kind}:{name}", *arguments]
        replies = await self._redis.run(lambda pipeline: pipeline.execute_command(*words), dispensable=is_dispensable)
        return replies[0] if replies else None

    def _warn(self) -> None:
        self._rarely.warn("entry", f"a record in Redis ({self._kind}) could not be read and counts for nothing")


def _sealed(name: str, kind: bytes, text: bytes) -> bytes:
    return kind + _check(name, kind + text) + text


def _opened(name: str, entry: bytes) -> bytes | None:
    """The text of the entry; ``None`` for what is none, or is another name's."""
    kind, check, text = entry[:1], entry[1 : 1 + CHECK], entry[1 + CHECK :]
    return text if len(text) <= LONGEST.get(kind, -1) and check == _check(name, kind + text) else None


def _value(name: str, entry: bytes) -> bytes | None:
    return _opened(name, entry) if entry[:1] == VALUE else None


def _claimed(name: str, entry: bytes, digest: bytes) -> ClaimResult | None:
    text = _opened(name, entry)
    if text is None or entry[:1] == VALUE:
        return None
    fits, rest = text[:DIGEST] == digest, text[DIGEST:]
    is_closed = entry[:1] == CLOSED
    return ClaimResult(fits, None if is_closed else rest[:HOLDER], rest if is_closed else None, entry)


def _beat(name: str, digest: bytes, holder: bytes) -> bytes:
    return _sealed(name, OPEN, digest + holder + secrets.token_bytes(8))


def _check(name: str, text: bytes) -> bytes:
    key = name.encode()
    return blake2b(text, digest_size=CHECK, key=key if len(key) <= 64 else sha512(key).digest()).digest()


def _milliseconds(seconds: float) -> bytes:
    return b"%d" % max(1, int(seconds * 1000))
