"""What a Redis says that nobody put there: whatever it is, a miss, soon, and said in the log once."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest

from cache.asking import Site, ask, key, settled
from cache.servers import Valkey
from ccgateway.cache.codec import Codec
from ccgateway.cache.entries import Entry
from ccgateway.cache.facade import Cache, open_redis
from ccgateway.cache.ttl_store import TtlStore, new_holder
from ccgateway.settings import CacheSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Opened = Callable[..., Cache]
Lie = Callable[[bytes], bytes]
DIGEST = sha256(b"what is asked").digest()


def second_frame(true: bytes) -> bytes:
    """What is there, and more behind it that a decompressor would take for its own."""
    return true + zstd.compress(bytes(50 << 20))


LIES: dict[str, Lie] = {
    "nothing": lambda _: b"",
    "an integer": lambda _: b"7",
    "garbage": lambda _: b"\xff\x00 garbage \xc3\x28" * 9,
    "half": lambda true: true[: len(true) // 2],
    "one bit": lambda true: true[:-1] + bytes([true[-1] ^ 1]),
    "more": lambda true: true + b"x",
    "a second frame": second_frame,
    "a deep nesting": lambda true: b"\xff\xff" + b"\x91" * 70_000 + true,
}
lies = pytest.mark.parametrize("lie", list(LIES.values()), ids=list(LIES))


def opened_store(kind: str, settings: CacheSettings, stack: AsyncExitStack) -> TtlStore:
    redis = open_redis(settings)
    assert redis is not None
    stack.push_async_callback(redis.aclose)
    return TtlStore(kind, redis)


def poison(server: Valkey, name: bytes, lie: Lie) -> None:
    server.ask("SET", name, lie(server.ask("GET", name) or b"0" * 20))


@lies
@pytest.mark.parametrize("metric", ["flops", "f" * 600], ids=["as it is", "compressed"])
async def test_an_entry_that_lies_is_a_miss(
    metric: str, lie: Lie, valkey: Valkey, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    site, wanted = Site(), key(metric)
    first = opened(valkey.url)
    await ask(first, site, wanted)
    await settled(first)
    (name,) = valkey.ask("KEYS", "*:e:*")
    poison(valkey, name, lie)
    site.version = 2
    begun = time.monotonic()
    with caplog.at_level(logging.WARNING, "ccgateway.cache"):
        second = opened(valkey.url)
        found = await ask(second, site, wanted)
        assert found[wanted].value.startswith(b'"2')
        await settled(second)
    assert time.monotonic() - begun < 5
    assert len(caplog.records) == 1


async def test_one_keys_entry_under_anothers_name_is_a_miss(valkey: Valkey, opened: Opened) -> None:
    site, first = Site(), opened(valkey.url)
    await ask(first, site, key("one"))
    await settled(first)
    (one,) = valkey.ask("KEYS", "*:e:*")
    await ask(first, site, key("two"))
    await settled(first)
    (two,) = [name for name in valkey.ask("KEYS", "*:e:*") if name != one]
    valkey.ask("SET", two, valkey.ask("GET", one))
    assert b"two" in (await ask(opened(valkey.url), site, key("two")))[key("two")].value


@lies
async def test_a_token_or_claim_that_lies_holds_nobody_up(lie: Lie, valkey: Valkey, opened: Opened) -> None:
    site, first = Site(), opened(valkey.url)
    await ask(first, site)
    await settled(first)
    (entry,) = valkey.ask("KEYS", "*:e:*")
    names = valkey.ask("KEYS", "*")
    valkey.ask("DEL", entry)
    for name in [*(name for name in names if name != entry), entry.replace(b":e:", b":w:")]:
        poison(valkey, name, lie)
    site.version = 2
    begun = time.monotonic()
    second = opened(valkey.url)
    assert (await ask(second, site))[key()].value.startswith(b'"2')
    await settled(second)
    assert time.monotonic() - begun < 5


async def test_names_of_another_type_hold_nobody_up(valkey: Valkey, opened: Opened) -> None:
    site, first = Site(), opened(valkey.url)
    await ask(first, site)
    await settled(first)
    for name in valkey.ask("KEYS", "*"):
        valkey.ask("DEL", name)
        valkey.ask("RPUSH", name, "a", "b")
    site.version = 2
    begun = time.monotonic()
    second = opened(valkey.url)
    assert (await ask(second, site))[key()].value.startswith(b'"2')
    await settled(second)
    assert time.monotonic() - begun < 5


@lies
async def test_a_note_that_lies_is_none(lie: Lie, valkey: Valkey) -> None:
    settings = CacheSettings.model_validate({"redis_url": valkey.url})
    async with AsyncExitStack() as stack:
        one, other = opened_store("note", settings, stack), opened_store("note", settings, stack)
        await one.set("page", b"where it begins", 60)
        (name,) = valkey.ask("KEYS", "*note*")
        poison(valkey, name, lie)
        assert await other.get("page") is None


@lies
@pytest.mark.parametrize("is_closed", [False, True], ids=["claimed", "recorded"])
async def test_an_idempotency_record_that_lies_is_none(is_closed: bool, lie: Lie, valkey: Valkey) -> None:
    settings = CacheSettings.model_validate({"redis_url": valkey.url})
    async with AsyncExitStack() as stack:
        one, other = opened_store("once", settings, stack), opened_store("once", settings, stack)
        holder = new_holder()
        await one.claim("call", DIGEST, holder)
        if is_closed:
            await one.complete("call", DIGEST, holder, b"[]", 60)
        (name,) = valkey.ask("KEYS", "*once*")
        poison(valkey, name, lie)
        assert (await other.claim("call", DIGEST, new_holder())).is_granted


async def test_a_holder_that_died_holds_its_key_for_three_seconds(valkey: Valkey) -> None:
    settings = CacheSettings.model_validate({"redis_url": valkey.url})
    async with AsyncExitStack() as stack:
        other = opened_store("once", settings, stack)
        async with AsyncExitStack() as life:
            await opened_store("once", settings, life).claim("call", DIGEST, new_holder())
        (name,) = valkey.ask("KEYS", "*once*")
        assert 0 < valkey.ask("PTTL", name) <= 3000
        valkey.ask("PEXPIRE", name, 1)
        await asyncio.sleep(0.05)
        assert (await other.claim("call", DIGEST, new_holder())).is_granted


@pytest.mark.parametrize("told", [100, 1 << 20], ids=["says it is short", "and a true frame before it"])
async def test_a_bomb_is_never_unpacked(told: int) -> None:
    compressor = zstd.ZstdCompressor(level=1)
    chunk = bytes(16 << 20)
    bomb = b"".join(compressor.compress(chunk) for _ in range(32)) + compressor.flush()
    codec = Codec()
    true = Entry(b"x" * told, time.time(), 60.0, 0.0, absent=False, versions=(b"", b"", b""))
    blob = await codec.pack(key(), true)
    end = 2 + int.from_bytes(blob[:2], "big")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for forged in (blob[:end] + bomb, blob + bomb):
        header = codec.header(key(), forged)
        assert header is not None
        assert await codec.unpack(forged, header) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "kilobytes"
    codec.close()
