"""A Redis that is absent, hangs, is full, wiped, restarted, read-only or forbidding: slower, never wrong, never an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cache.asking import JOB, Site, ask, key, settled
from cache.servers import Valkey, tls_proxy
from ccgateway.cache.entries import Source
from ccgateway.cache.facade import Cache
from support.loopback import free_port, self_signed

Opened = Callable[..., Cache]
TIMEOUT = 2.0
#: seconds that are far more than one time-out on a machine that has no time for us, and far less than fifty
FEW = 8 * TIMEOUT


async def redis_of(cache: Cache, state: str, *, within: float = 5.0) -> None:
    """Waits until the cache sees Redis in that state."""
    until = time.monotonic() + within
    while True:
        stats = (await cache.stats()).redis
        assert stats is not None
        if stats.state == state:
            return
        assert time.monotonic() < until, stats
        await asyncio.sleep(0.02)


async def timed(asking: Awaitable[object]) -> float:
    begun = time.monotonic()
    await asking
    return time.monotonic() - begun


async def source(cache: Cache, site: Site) -> Source:
    found = (await ask(cache, site))[key()].source
    await settled(cache)
    return found


async def test_absent_at_the_start_and_there_later(opened: Opened, tmp_path: Path) -> None:
    port, site = free_port(), Site()
    cache = opened(f"redis://127.0.0.1:{port}/0", redis_timeout=TIMEOUT, redis_retry_after=0.3)
    assert await timed(ask(cache, site)) < FEW
    assert await source(cache, site) is Source.SITE  # nobody can say whether it still holds
    with Valkey(tmp_path, port=port):
        await redis_of(cache, "up")
        assert await source(cache, site) is Source.SITE
        assert await source(cache, site) is Source.MEMORY


async def test_a_hanging_redis_costs_one_time_out_and_then_nothing(opened: Opened, own_valkey: Valkey) -> None:
    site = Site()
    cache = opened(own_valkey.url, redis_timeout=TIMEOUT, redis_retry_after=0.5)
    await source(cache, site)
    own_valkey.pause()
    took = await asyncio.gather(*(timed(ask(cache, site, key(f"m{number}"))) for number in range(50)))
    assert max(took) < FEW
    assert max(await asyncio.gather(*(timed(ask(cache, site)) for _ in range(50)))) < TIMEOUT
    stats = (await cache.stats()).redis
    assert stats is not None and (stats.state, stats.trips) == ("down", 1)
    own_valkey.go_on()
    await redis_of(cache, "up")
    assert await source(cache, site) is Source.MEMORY
    assert (await cache.stats()).redis.trips == 1  # type: ignore[union-attr]


async def test_a_killed_redis_comes_back_empty(opened: Opened, own_valkey: Valkey) -> None:
    site = Site()
    cache = opened(own_valkey.url, redis_timeout=TIMEOUT, redis_retry_after=0.3)
    await source(cache, site)
    own_valkey.stop()
    assert await source(cache, site) is Source.SITE
    own_valkey.start()
    await redis_of(cache, "up")
    assert await source(cache, site) is Source.SITE
    assert await source(cache, site) is Source.MEMORY


async def test_a_restart_between_two_calls_is_not_even_noticed(opened: Opened, own_valkey: Valkey) -> None:
    site = Site()
    cache = opened(own_valkey.url)
    await source(cache, site)
    own_valkey.stop()
    own_valkey.start()
    assert await source(cache, site) is Source.SITE
    assert await source(cache, site) is Source.MEMORY
    assert (await cache.stats()).redis.trips == 0  # type: ignore[union-attr]


async def test_a_wiped_redis_brings_nothing_old_back(opened: Opened, valkey: Valkey) -> None:
    site = Site()
    one, other = opened(valkey.url), opened(valkey.url)
    await source(one, site)
    await source(other, site)
    site.version = 2
    await one.invalidate("aurora", JOB)
    valkey.ask("FLUSHALL")
    for cache in (other, one):
        assert (await ask(cache, site))[key()].value.startswith(b'"2')
        await settled(cache)


async def test_a_full_redis_takes_nothing_and_harms_nobody(opened: Opened, own_valkey: Valkey) -> None:
    site = Site()
    cache = opened(own_valkey.url)
    await source(cache, site)
    own_valkey.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    own_valkey.ask("CONFIG", "SET", "maxmemory", "1")
    assert await source(cache, site) is Source.MEMORY  # known before: still confirmed
    assert (await ask(cache, site, key("new")))[key("new")].source is Source.SITE
    site.version = 2
    await cache.invalidate("aurora", JOB)  # what is full can still forget
    assert (await ask(cache, site))[key()].value.startswith(b'"2')
    stats = (await cache.stats()).redis
    assert stats is not None and (stats.state, stats.trips) == ("up", 0)
    own_valkey.ask("CONFIG", "SET", "maxmemory", "0")
    await source(cache, site)
    assert await source(cache, site) is Source.MEMORY


async def test_an_evicting_redis_brings_nothing_old_back(opened: Opened, own_valkey: Valkey) -> None:
    cache, site = opened(own_valkey.url), Site()
    await source(cache, site)
    (name,) = own_valkey.ask("KEYS", "*:e:*")
    old = own_valkey.ask("GET", name)
    site.version = 2
    await cache.invalidate("aurora", JOB)
    for evicted in own_valkey.ask("KEYS", "*"):
        own_valkey.ask("DEL", evicted)
    own_valkey.ask("SET", name, old)  # all but the entry was evicted
    assert (await ask(cache, site))[key()].value.startswith(b'"2')
    await settled(cache)
    own_valkey.ask("SET", name, old)
    assert (await ask(opened(own_valkey.url), site))[key()].value.startswith(b'"2')


async def test_a_replica_is_not_used(opened: Opened, own_valkey: Valkey) -> None:
    cache, site = opened(own_valkey.url, redis_retry_after=0.2), Site()
    await source(cache, site)
    own_valkey.ask("REPLICAOF", "127.0.0.1", free_port())
    await cache.invalidate("aurora", JOB)
    await redis_of(cache, "down")
    site.version = 2
    assert (await ask(cache, site))[key()].value.startswith(b'"2')
    own_valkey.ask("REPLICAOF", "NO", "ONE")
    await redis_of(cache, "up")
    assert (await ask(cache, site))[key()].value.startswith(b'"2')


async def test_a_bump_while_redis_hangs_is_delivered_before_it_is_used_again(opened: Opened, own_valkey: Valkey) -> None:
    site = Site()
    writer, reader = (opened(own_valkey.url, redis_timeout=TIMEOUT, redis_retry_after=0.2) for _ in range(2))
    await source(writer, site)
    assert await source(reader, site) is Source.REDIS
    own_valkey.pause()
    site.version = 2
    assert await timed(writer.invalidate("aurora", JOB)) < FEW
    assert (await ask(writer, site))[key()].value.startswith(b'"2')
    stats = (await writer.stats()).redis
    assert stats is not None and (stats.state, stats.undelivered) == ("down", 1)
    own_valkey.go_on()
    await redis_of(writer, "up")
    for cache in (writer, reader):
        assert (await ask(cache, site))[key()].value.startswith(b'"2')


async def test_a_bump_whose_caller_leaves_is_delivered_all_the_same(opened: Opened, own_valkey: Valkey) -> None:
    cache, site = opened(own_valkey.url, redis_timeout=1.0, redis_retry_after=0.2), Site()
    await source(cache, site)
    own_valkey.pause()
    invalidating = asyncio.create_task(cache.invalidate("aurora", JOB))
    await asyncio.sleep(0.05)
    invalidating.cancel()
    await asyncio.gather(invalidating, return_exceptions=True)
    own_valkey.go_on()
    site.version = 2
    await redis_of(cache, "up")
    assert (await ask(cache, site))[key()].value.startswith(b'"2')


async def test_damaged_entries_are_misses(opened: Opened, valkey: Valkey) -> None:
    site = Site()
    await source(opened(valkey.url), site)
    (name,) = valkey.ask("KEYS", "*:e:*")
    whole = valkey.ask("GET", name)
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    for damaged in (flipped, b"", b"\x00", b"\xff\xff\xff", whole[:-3], whole[:10], b"\x00\x02\x91\x01junk", whole + b"x"):
        valkey.ask("SET", name, damaged)
        assert await source(opened(valkey.url), site) is Source.SITE


async def test_another_type_under_our_name_takes_redis_out_of_use_and_harms_nobody(opened: Opened, valkey: Valkey) -> None:
    cache, site = opened(valkey.url, redis_retry_after=0.2), Site()
    await source(cache, site)
    (name,) = valkey.ask("KEYS", "*:e:*")
    valkey.ask("DEL", name)
    valkey.ask("LPUSH", name, "x")
    assert await source(opened(valkey.url), site) is Source.SITE


# --- who may, and by which way


ACL = ["SETUSER", "gate", "on", ">canary:p@ss/word", "~ccgateway:*", "-@all", "+get", "+mget", "+set", "+del", "+unlink", "+eval",
       "+expire", "+pexpire", "+scan"]  # fmt: skip


async def test_a_user_with_just_the_rights_that_are_needed(opened: Opened, own_valkey: Valkey) -> None:
    own_valkey.ask("ACL", *ACL)
    own_valkey.ask("ACL", "SETUSER", "default", "off")
    site = Site()
    url = f"redis://gate:canary%3Ap%40ss%2Fword@127.0.0.1:{own_valkey.port}"
    one, other = opened(url), opened(url)
    await source(one, site)
    assert await source(other, site) is Source.REDIS
    assert await one.clear() == 1
    assert await source(other, site) is Source.SITE
    stats = (await one.stats()).redis
    assert stats is not None and (stats.state, stats.used_bytes) == ("up", None)


@pytest.mark.parametrize("user", ["gate:wrong", "nobody:canary", ":canary"])
async def test_a_user_who_may_not_is_a_redis_that_is_not_there(
    opened: Opened, own_valkey: Valkey, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    own_valkey.ask("ACL", *ACL)
    own_valkey.ask("ACL", "SETUSER", "default", "off")
    cache, site = opened(f"redis://{user}@127.0.0.1:{own_valkey.port}"), Site()
    assert await source(cache, site) is Source.SITE
    stats = (await cache.stats()).redis
    assert stats is not None and stats.state == "down"
    assert "canary" not in caplog.text + stats.reason
    assert "wrong" not in caplog.text


async def test_too_few_rights_are_told(opened: Opened, own_valkey: Valkey) -> None:
    own_valkey.ask("ACL", *[right for right in ACL if right != "+eval"])
    cache = opened(f"redis://gate:canary%3Ap%40ss%2Fword@127.0.0.1:{own_valkey.port}", redis_retry_after=0.2)
    for _ in range(3):
        await source(cache, Site())
    stats = (await cache.stats()).redis
    assert stats is not None and stats.state == "down" and "eval" in stats.reason


@asynccontextmanager
async def tls(valkey: Valkey, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    cert, private = self_signed(folder)
    async with tls_proxy(valkey.port, cert, private) as port:
        yield f"rediss://127.0.0.1:{port}/0", cert


async def test_tls_with_a_known_authority(opened: Opened, valkey: Valkey, tmp_path: Path) -> None:
    async with tls(valkey, tmp_path) as (url, cert):
        site = Site()
        one, other = opened(url, redis_ca_file=cert), opened(url, redis_ca_file=cert)
        await source(one, site)
        assert await source(other, site) is Source.REDIS
        await asyncio.gather(one.aclose(), other.aclose())


async def test_tls_with_an_unknown_authority_is_a_redis_that_is_not_there(opened: Opened, valkey: Valkey, tmp_path: Path) -> None:
    async with tls(valkey, tmp_path) as (url, _):
        cache = opened(url)
        assert await source(cache, Site()) is Source.SITE
        await redis_of(cache, "down")
        assert valkey.ask("KEYS", "*") == []
        await cache.aclose()
