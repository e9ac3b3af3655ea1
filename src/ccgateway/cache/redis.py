"""The store that all processes share, in Redis. Every failure of it is a miss, or something not kept; none is an error.

Names, each subject in one slot of a cluster::

    ccgateway:1:{*}:t                     token of everything
    ccgateway:1:{aurora}:t                token of a site
    ccgateway:1:{aurora/c%2F1%2F17}:t     token of a subject
    ccgateway:1:{aurora/c%2F1%2F17}:e:…   an entry
    ccgateway:1:{aurora/c%2F1%2F17}:l:…   a claim: the holder, who has to live to keep it
    ccgateway:1:{aurora/c%2F1%2F17}:w:…   there for moments after a process wanted what another one's claim is for

An invalidation deletes a token, which a full Redis does as well. A token that expired, was evicted or wiped is an
invalidation nobody asked for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from redis.exceptions import OutOfMemoryError

from ccgateway.cache.coalescer import BatchCoalescer
from ccgateway.cache.codec import Codec, Header
from ccgateway.cache.connection import RedisConnection, Reply
from ccgateway.cache.counts import MemoryStats, RedisStats
from ccgateway.cache.entries import Entry, Source
from ccgateway.cache.keys import EVERYTHING, InvalidationTag, Key
from ccgateway.cache.store import WANTED_FOR, Claim, Claims, Look, Tokens, tags_of, versions_of
from ccgateway.cache.urls import Pipeline
from ccgateway.telemetry import Rarely

__all__ = ["RedisStore"]

logger = logging.getLogger("ccgateway.cache")

#: seconds after which a subject's token goes, if nothing of it was put meanwhile
TOKEN_LIFE = 8 * 86400
#: invalidations remembered one by one while Redis does not take them; beyond that, everything is invalidated
MOST_UNDELIVERED = 10_000
#: round trips for looks at any one time; more looks wait and go together
LOOKS = 4
#: bytes of a token, of a holder's name, and of what changes with its signs of life
TOKEN, HOLDER, BEAT = 12, 12, 8
#: bytes of payloads sent with one pipeline
MOST_AT_ONCE = 4 << 20

_PUT = """
if ARGV[1] ~= '' then
    local found = redis.call('GET', KEYS[2])
    if not found or string.sub(found, 1, 12) ~= ARGV[1] then return 0 end
end
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[5])
if ARGV[1] ~= '' then redis.call('DEL', KEYS[2]) end
return 1"""
_EXTEND = """
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 12) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) return 1 end
return 0"""
_RELEASE = """
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 12) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0"""


class RedisStore:
    """Entries, tokens and claims in Redis. Owns its connection and its codec."""

    def __init__(self, connection: RedisConnection, *, clock: Callable[[], float] = time.time) -> None:
        self.connection = connection
        self._prefix, self._clock = f"{connection.prefix}:1:", clock
        self._codec = Codec()
        self._rarely = Rarely(logger)
        self._undelivered: dict[InvalidationTag, int] = {}
        self._delivering: dict[InvalidationTag, int] = {}
        self._invalidations = 0
        self._writes_refused = 0
        self._looks: BatchCoalescer[Key | InvalidationTag, Look] = BatchCoalescer(self._look, at_once=LOOKS)
        self._version_lookups: BatchCoalescer[InvalidationTag, Tokens] = BatchCoalescer(self._read_versions, at_once=LOOKS)
        connection.deliver_first(self._queue_undelivered, self._note_delivered)

    def __repr__(self) -> str:
        return f"RedisStore({self.connection.name})"

    @property
    def down(self) -> str | None:
        """See ``Store``."""
        return None if self.connection.is_up else f"not in use ({self.connection.breaker.reason})"

    def forget(self, keys: Iterable[Key]) -> None:
        """See ``Store``: nothing is kept here."""

    def reweigh(self, key: Key, entry: Entry) -> None:
        """See ``Store``: nothing is kept here."""

    # --- reading

    async def look(self, keys: Sequence[Key], confirm: Sequence[Key] = ()) -> Look:
        """See ``Store``. ``confirm``: keys whose tokens only are wanted."""
        if not self.connection.is_up:
            return Look()
        tags = tags_of([*keys, *confirm])
        found = await self._looks.want([*keys, *tags])
        return Look(
            {key: found.entries[key] for key in keys if key in found.entries},
            {tag: found.tokens[tag] for tag in tags if tag in found.tokens},
        )

    async def _look(self, wanted: Sequence[Key | InvalidationTag]) -> Look:
        keys = [item for item in wanted if isinstance(item, Key)]
        tags = [item for item in wanted if isinstance(item, InvalidationTag)]

        names = [*(self._entry(key) for key in keys), *(self._token(tag) for tag in tags)]

        def queue(pipeline: Pipeline) -> None:
            if not self.connection.is_cluster:
                pipeline.execute_command("MGET", *names)  # one reply takes a third of the time of many
                return
            for name in names:
                pipeline.execute_command("GET", name)

        look = Look()
        replies = await self.connection.run(queue)
        if replies is not None and not self.connection.is_cluster:
            found = replies[0]
            replies = found if isinstance(found, list) and len(found) == len(names) else None
            if replies is None:
                self._rarely.warn("reply", "Redis answered with what is no answer; it counts for nothing")
        if replies is not None:
            look.tokens = _tokens(tags, replies[len(keys) :])
            await self._take(look, keys, replies)
        return look

    async def _take(self, look: Look, keys: Sequence[Key], blobs: Sequence[Reply]) -> None:
        for key, blob in zip(keys, blobs, strict=False):
            header = self._codec.header(key, blob) if isinstance(blob, bytes) else None
            if blob is not None and header is None:
                self._rarely.warn("entry", "an entry in Redis could not be read and counts for nothing")
            if isinstance(blob, bytes) and header is not None and self._holds(key, header, look.tokens):
                entry = await self._codec.unpack(blob, header)
                if entry is None:
                    self._rarely.warn("entry", "an entry in Redis could not be read and counts for nothing")
                if entry is not None and entry.is_alive(self._clock()):
                    look.entries[key] = entry, Source.REDIS

    def _holds(self, key: Key, header: Header, tokens: Tokens) -> bool:
        return header.versions == versions_of(key, tokens)

    async def versions(self, tags: Sequence[InvalidationTag]) -> Tokens:
        """See ``Store``."""
        return await self._version_lookups.want(tags) if self.connection.is_up else {}

    async def _read_versions(self, tags: Sequence[InvalidationTag]) -> Tokens:
        replies = await self.connection.run(lambda pipeline: self._queue_versions(pipeline, tags))
        return {} if replies is None else _tokens(tags, replies[1::2])

    def _queue_versions(self, pipeline: Pipeline, tags: Iterable[InvalidationTag]) -> None:
        for tag in tags:
            name = self._token(tag)
            life = ("EX", TOKEN_LIFE) if tag.subject else ()
            pipeline.execute_command("SET", name, secrets.token_bytes(TOKEN), "NX", *life)
            pipeline.execute_command("GET", name)

    # --- filling

    async def claim(self, keys: Sequence[Key], holder: bytes, seconds: float) -> Claims:
        """See ``Store``."""
        tags = tags_of(keys)

        def queue(pipeline: Pipeline) -> None:
            self._queue_versions(pipeline, tags)
            for key in keys:
                pipeline.execute_command("SET", self._claim(key), _held(holder), "NX", "PX", int(seconds * 1000))
                pipeline.execute_command("GET", self._entry(key))
                pipeline.execute_command("GET", self._claim(key))

        replies = await self.connection.run(queue)
        if replies is None:
            return Claims(owners=dict.fromkeys(keys, Claim.OPEN))
        of_tags, of_keys = replies[: 2 * len(tags)], replies[2 * len(tags) :]
        claims = Claims(tokens=_tokens(tags, of_tags[1::2]))
        claims.owners = {key: _owner(*told, mine=holder) for key, *told in zip(keys, of_keys[::3], of_keys[2::3], strict=True)}
        claims.holders = {key: told for key, told in zip(keys, of_keys[2::3], strict=True) if isinstance(told, bytes)}
        await self._take(claims, keys, of_keys[1::3])
        return claims

    async def extend(self, keys: Sequence[Key], holder: bytes, seconds: float) -> None:
        """See ``Store``."""
        await self._each_claim(_EXTEND, keys, holder, int(seconds * 1000), _held(holder))

    async def release(self, keys: Sequence[Key], holder: bytes) -> None:
        """See ``Store``."""
        await self._each_claim(_RELEASE, keys, holder)

    async def want(self, keys: Sequence[Key]) -> None:
        """See ``Store``."""

        def queue(pipeline: Pipeline) -> None:
            for key in keys:
                pipeline.execute_command("SET", self._wish(key), b"1", "PX", int(WANTED_FOR * 1000))

        await self.connection.run(queue)

    async def is_wanted(self, keys: Sequence[Key]) -> bool:
        """See ``Store``."""

        def queue(pipeline: Pipeline) -> None:
            for key in keys:
                pipeline.execute_command("EXISTS", self._wish(key))

        return 1 in (await self.connection.run(queue) or ())

    async def _each_claim(self, script: str, keys: Sequence[Key], *args: Any) -> None:
        def queue(pipeline: Pipeline) -> None:
            for key in keys:
                pipeline.execute_command("EVAL", script, 1, self._claim(key), *args)

        await self.connection.run(queue)

    async def put(self, entries: Mapping[Key, Entry], holder: bytes | None) -> set[Key]:
        """See ``Store``."""
        kept: set[Key] = set()
        batch: dict[Key, tuple[int, Entry, bytes]] = {}
        size = 0
        for key, entry in entries.items():
            life = int((entry.fresh_for + entry.stale_for - entry.age(self._clock())) * 1000)
            if life <= 0 or not self.connection.is_up:
                continue
            blob = await self._codec.pack(key, entry)
            if not blob:
                continue
            if batch and size + len(blob) > MOST_AT_ONCE:
                kept |= await self._send(batch, holder)
                batch, size = {}, 0
            batch[key] = life, entry, blob
            size += len(blob)
        return kept | await self._send(batch, holder) if batch else kept

    async def _send(self, batch: Mapping[Key, tuple[int, Entry, bytes]], holder: bytes | None) -> set[Key]:
        def queue(pipeline: Pipeline) -> None:
            for key, (life, entry, blob) in batch.items():
                names = self._entry(key), self._claim(key), self._token(key.tags[2])
                args = holder or b"", entry.versions[2], life, blob, TOKEN_LIFE
                pipeline.execute_command("EVAL", _PUT, 3, *names, *args)

        replies = await self.connection.run(queue) or []
        self._writes_refused += sum(isinstance(reply, OutOfMemoryError) for reply in replies)
        return {key for key, reply in zip(batch, replies, strict=False) if reply == 1}

    # --- invalidating

    async def invalidate(self, tags: Sequence[InvalidationTag]) -> None:
        """See ``Store``. An invalidation that Redis did not take takes Redis out of use until it has."""
        delivered = False
        try:
            replies = await self.connection.run(lambda pipeline: self._queue_invalidations(pipeline, tags))
            delivered = replies is not None and all(type(reply) is int for reply in replies)
        finally:  # also when the caller was cancelled: the write it tells of was made
            if not delivered:
                self._invalidations += 1
                self._undelivered.update(dict.fromkeys(tags, self._invalidations))
                if len(self._undelivered) > MOST_UNDELIVERED:
                    self._undelivered = {EVERYTHING: self._invalidations}
                self.connection.breaker.open("a bump was not delivered")

    def _queue_invalidations(self, pipeline: Pipeline, tags: Iterable[InvalidationTag]) -> None:
        for tag in tags:
            pipeline.execute_command("DEL", self._token(tag))

    def _queue_undelivered(self, pipeline: Pipeline) -> None:
        self._delivering = dict(self._undelivered)
        self._queue_invalidations(pipeline, self._delivering)

    def _note_delivered(self) -> bool:
        # what was invalidated once more meanwhile has to be delivered once more
        self._undelivered = {tag: number for tag, number in self._undelivered.items() if self._delivering.get(tag) != number}
        return not self._undelivered

    async def clear(self, tag: InvalidationTag) -> int:
        """See ``Store``."""
        await self.invalidate([tag])
        pattern = tag.name if tag.subject else f"{tag.name}/*".removeprefix("/")
        return await self.connection.sweep(f"{self._prefix}{{{pattern}}}:e:*")

    # --- telling

    async def stats(self) -> tuple[MemoryStats | None, RedisStats | None]:
        """See ``Store``."""
        used: dict[str, Any] = {}
        keys: Reply = None
        if not self.connection.is_cluster:
            replies = await self.connection.run(_queue_info, dispensable=True)
            if replies is not None:
                told, keys = replies[0], replies[-1]
                used = told if isinstance(told, dict) else {}
        breaker = self.connection.breaker
        return None, RedisStats(
            self.connection.name, "up" if self.connection.is_up else "down", "" if self.connection.is_up else breaker.reason,
            breaker.times_opened,
            self._writes_refused, len(self._undelivered), _count(used.get("used_memory")), _count(used.get("maxmemory")),
            policy if isinstance(policy := used.get("maxmemory_policy"), str) else None, _count(keys),
        )  # fmt: skip

    async def aclose(self) -> None:
        """See ``Store``."""
        await asyncio.gather(self._looks.aclose(), self._version_lookups.aclose())
        await self.connection.aclose()
        self._codec.close()

    # --- names

    def _token(self, tag: InvalidationTag) -> str:
        return f"{self._prefix}{{{tag.name or '*'}}}:t"

    def _entry(self, key: Key) -> str:
        return f"{self._prefix}{{{key.tags[2].name}}}:e:{key.member}"

    def _claim(self, key: Key) -> str:
        return f"{self._prefix}{{{key.tags[2].name}}}:l:{key.member}"

    def _wish(self, key: Key) -> str:
        return f"{self._prefix}{{{key.tags[2].name}}}:w:{key.member}"


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _queue_info(pipeline: Pipeline) -> None:
    pipeline.execute_command("INFO", "memory")
    pipeline.execute_command("DBSIZE")


def _tokens(tags: Sequence[InvalidationTag], replies: Sequence[Reply]) -> dict[InvalidationTag, bytes]:
    return {tag: token for tag, token in zip(tags, replies, strict=False) if isinstance(token, bytes) and len(token) == TOKEN}


def _owner(taken: Reply, holder: Reply, *, mine: bytes) -> Claim:
    """Whose a claim is: another's only where Redis says who that is."""
    if taken is True:
        return Claim.MINE
    if taken is not None or not isinstance(holder, bytes) or len(holder) != HOLDER + BEAT:
        return Claim.OPEN
    return Claim.MINE if holder[:HOLDER] == mine[:HOLDER].ljust(HOLDER) else Claim.BUSY


def _held(holder: bytes) -> bytes:
    """A claim's text: its holder, and what changes with every sign of life."""
    return holder[:HOLDER].ljust(HOLDER) + secrets.token_bytes(BEAT)
