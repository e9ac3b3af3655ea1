"""Connections that ask nothing, and callers who do not read what they asked for: what that does to a user beside them."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import Client
from benchmarks.fairness import SMALL
from benchmarks.metrics import JOBS, SHAPES
from benchmarks.processes import GatewayProcess, ours, prepared

__all__ = ["crowds"]

KEYS = {"user": "ccg_" + "u" * 43, "crowd": "ccg_" + "c" * 43}
METRICS = """{ jobMetrics(id: "aurora:%d", metrics: %s, scopes: [node]) { name scope metric { unit { base } timestep
  series { hostname id statistics { avg min max } data } } } }"""
IDLE, READERS, ADDRESSES = 600, 200, 20
#: bytes that a slow reader reads, and seconds until it reads on
PIECE, PAUSE = 16 << 10, 0.25
#: seconds between two lists of the user
BETWEEN = 0.02
#: bytes for the cache and for answers on their way, where there is little memory
LITTLE_CACHE, LITTLE_IN_FLIGHT = {"memory_bytes": 64 << 20}, {"inflight_bytes": 192 << 20}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def crowds(*, seconds: float) -> None:
    """Prints the table. The crowd has few addresses or many, all of this machine."""
    with ExitStack() as stack:
        sites = [stack.enter_context(prepared(jobs=JOBS, release="1.5", cluster="aurora"))]
        gateway = stack.enter_context(ours(sites, keys=KEYS))
        small = stack.enter_context(ours(sites, keys=KEYS, cache=LITTLE_CACHE, limits=LITTLE_IN_FLIGHT))
        print(f"\n### {IDLE} connections that ask nothing, and {READERS} readers of 10 MB, {PIECE >> 10} KB every {PAUSE:g} s\n")
        print("| beside the user | user's p50 ms | p99 ms | what the crowd came to | MB at most |\n|---|--:|--:|---|--:|")
        async with Client(gateway, KEYS["user"]) as user:
            await _row("nobody", gateway, user, seconds, Counter())
            for addresses in (1, ADDRESSES):
                came: Counter[str] = Counter()
                async with _idle(gateway, addresses, came):
                    await _row(f"{IDLE} idle connections of {addresses} addresses", gateway, user, seconds, came)
            came = Counter()
            async with _readers(gateway, came):
                await _row(f"{READERS} slow readers", gateway, user, seconds, came)
        async with Client(small, KEYS["user"]) as user:
            came = Counter()
            async with _readers(small, came):
                await _row("the same, cache of 64 MB, inflight_bytes of 192 MB", small, user, seconds, came)


async def _row(title: str, gateway: GatewayProcess, user: Client, seconds: float, came: Counter[str]) -> None:
    gateway.forget_peak()
    took = await user.again_and_again(SMALL, seconds=seconds, pause=BETWEEN)
    told = ", ".join(f"{number} {what}" for what, number in sorted(came.items()))
    middle, last = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(f"| {title} | {middle:.1f} | {last:.1f} | {told} | {gateway.peak_megabytes:.0f} |", flush=True)


@asynccontextmanager
async def _crowd(number: int, one: Callable[[int], Coroutine[Any, Any, None]], every: float) -> AsyncIterator[None]:
    """So many of them, one every so many seconds, until it is over."""
    tasks = []
    for place in range(number):
        tasks.append(asyncio.create_task(one(place)))
        await asyncio.sleep(every)
    await asyncio.sleep(1.0)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connected(gateway: GatewayProcess, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(gateway.url)
    return await asyncio.open_connection(url.hostname, url.port, limit=PIECE, local_addr=(f"127.0.1.{number + 1}", 0))


@asynccontextmanager
async def _idle(gateway: GatewayProcess, addresses: int, came: Counter[str]) -> AsyncIterator[None]:
    async def wait(number: int) -> None:
        reader, writer = await _connected(gateway, number % addresses)
        came["open"] += 1
        try:
            with suppress(ConnectionError):
                await reader.read()
            came["open"] -= 1
            came["closed by the gateway"] += 1
        finally:
            writer.close()

    async with _crowd(IDLE, wait, 0.001):
        yield


@asynccontextmanager
async def _readers(gateway: GatewayProcess, came: Counter[str]) -> AsyncIterator[None]:
    names = json.dumps(list(next(iter(SHAPES.values()))))

    async def read(number: int) -> None:
        body = json.dumps({"query": METRICS % (number + 2, names)}).encode()
        reader, writer = await _connected(gateway, number % ADDRESSES)
        try:
            writer.write(
                b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Auth-Token: %b\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (KEYS["crowd"].encode(), len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            came["answered" if length is not None and int(length[1]) > 1 << 20 else "refused"] += 1
            while await reader.read(PIECE):  # noqa: ASYNC110 - it is slow
                await asyncio.sleep(PAUSE)
        except (ConnectionError, asyncio.IncompleteReadError):
            came["cut off"] += 1
        finally:
            writer.close()

    async with _crowd(READERS, read, 0.005):
        yield
