"""A Redis that answers any one command with whatever it likes: answers stay true and soon, and the log says it once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from hashlib import sha256
from typing import TypeVar

import pytest

from cache.asking import JOB, Site, ask, key, settled
from cache.servers import Valkey
from ccgateway.cache.facade import Cache, open_redis
from ccgateway.cache.ttl_store import TtlStore, new_holder
from ccgateway.settings import CacheSettings

T = TypeVar("T")
Opened = Callable[..., Cache]
DIGEST = sha256(b"what is asked").digest()
#: seconds of one command, and within which any one question is answered: a few of them, never a fill's ten
TIMEOUT, SOON = 0.5, 30.0

COMMANDS = ["SET", "GET", "MGET", "EVAL", "DEL", "EXISTS"]
LIES = {
    "nil": b"$-1\r\n",
    "an integer": b":7\r\n",
    "a negative integer": b":-1\r\n",
    "an integer of 200 digits": b":" + b"9" * 200 + b"\r\n",
    "OK": b"+OK\r\n",
    "nothing": b"$0\r\n\r\n",
    "a string": b"$3\r\nfoo\r\n",
    "no text": b"$4\r\n\xff\xfe\x00\xc3\r\n",
    "an empty list": b"*0\r\n",
    "a list": b"*2\r\n:1\r\n$3\r\nfoo\r\n",
    "a list of lists": b"*3\r\n*1\r\n:1\r\n*0\r\n*-1\r\n",
    "an error": b"-ERR no\r\n",
    "an error of that key": b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    "full": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "no reply at all": b"?what\r\n",
    "a string that never ends": b"$99999999\r\nfoo",
    "two replies": b"$3\r\nfoo\r\n$3\r\nbar\r\n",
}
lies = pytest.mark.parametrize("lie", list(LIES.values()), ids=list(LIES))
commands = pytest.mark.parametrize("command", COMMANDS)


async def message(reader: asyncio.StreamReader) -> bytes:
    """The bytes of one request or reply."""
    line = await reader.readuntil(b"\r\n")
    if line[:1] == b"$" and int(line[1:]) >= 0:
        return line + await reader.readexactly(int(line[1:]) + 2)
    for _ in range({b"*": 1, b"%": 2, b"~": 1}.get(line[:1], 0) * max(0, int(line[1:] if line[:1] in b"*%~" else 0))):
        line += await message(reader)
    return line


async def soon(work: Awaitable[T]) -> T:
    """What it comes to, which takes no longer than that."""
    begun = time.monotonic()
    found = await work
    assert time.monotonic() - begun < SOON
    return found


@asynccontextmanager
async def lying(server: Valkey, command: str, lie: bytes) -> AsyncIterator[str]:
    """The URL of one that asks the server, and answers ``command`` with ``lie`` whatever the server says."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", server.port)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                request = await message(reader)
                to_server.write(request)
                reply = await message(from_server)
                is_lie = request.split(b"\r\n")[2].decode().upper() == command
                writer.write(lie if is_lie else reply)
                await writer.drain()
        to_server.close()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0"
    finally:
        listener.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if getattr(task.get_coro(), "__qualname__", "").endswith("lying.<locals>.serve"):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@commands
@lies
async def test_whatever_a_command_is_answered_with_the_answer_is_true_and_soon(
    command: str, lie: bytes, valkey: Valkey, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    async with lying(valkey, command, lie) as url:
        caches = [opened(url, redis_timeout=TIMEOUT, redis_retry_after=0.5) for _ in range(2)]
        site, begun = Site(), time.monotonic()
        with caplog.at_level(logging.WARNING):
            for cache in caches:
                assert (await soon(ask(cache, site)))[key()].value.startswith(b'"1')
                await settled(cache)
            site.version = 2
            for cache in caches:
                await soon(cache.invalidate("aurora", JOB))
            for cache in [*caches, *caches]:
                assert (await soon(ask(cache, site)))[key()].value.startswith(b'"2')
                await settled(cache)
            assert [len(await soon(ask(cache, site, key("a"), key("b")))) for cache in caches] == [2, 2]
            for cache in caches:
                await cache.stats()
                await cache.aclose()
        said = Counter((one.name, one.getMessage().rsplit(":", 1)[0].split(" after ")[0]) for one in caplog.records)
        most = len(caches) * (1 + (time.monotonic() - begun) // 10)  # a connection says again after ten seconds that it is down
        assert all(times <= most for times in said.values()), said
        assert not any(one.exc_info for one in caplog.records)


@commands
@lies
async def test_whatever_a_command_is_answered_with_records_and_notes_hold_nobody_up(
    command: str, lie: bytes, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    async with lying(valkey, command, lie) as url, AsyncExitStack() as stack:
        settings = CacheSettings.model_validate({"redis_url": url, "redis_timeout": TIMEOUT, "redis_retry_after": 0.5})
        redis = open_redis(settings)
        assert redis is not None
        stack.push_async_callback(redis.aclose)
        claims, values = TtlStore("once", redis), TtlStore("note", redis)
        begun, holder = time.monotonic(), new_holder()
        assert (await soon(claims.claim("call", DIGEST, holder))).is_granted
        await soon(claims.renew("call", DIGEST, holder))
        await soon(claims.complete("call", DIGEST, holder, b"[]", 60))
        assert (await soon(claims.claim("call", DIGEST, new_holder()))).result == b"[]"
        assert (await soon(claims.claim("other", DIGEST, holder))).is_granted
        await soon(claims.release("other", DIGEST, holder))
        assert (await soon(claims.claim("other", DIGEST, new_holder()))).is_granted
        await soon(values.set("page", b"where it begins", 60))
        assert await soon(values.get("page")) == b"where it begins"
        assert await soon(values.get("none")) is None
        said = Counter(one.getMessage().split(":")[0] for one in caplog.records if one.levelno >= logging.WARNING)
        assert all(times <= 2 * (1 + (time.monotonic() - begun) // 10) for times in said.values()), said
