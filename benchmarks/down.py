"""A fourth site that is configured but down, in each way that sites are: what that does to lists over the other three."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

from benchmarks.client import Client, Load
from benchmarks.processes import NO_CACHE, GatewayProcess, Site, ours, prepared

__all__ = ["sites_that_are_down"]

DOCUMENT = "{ jobs(first: 50) { items { id site jobId user cluster startTime duration numNodes state } complete } }"
ASKERS = (1, 16, 64)
PATIENCE = 3.0  # seconds, as by default
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _saying(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            writer.close()

    return serve


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass
    writer.close()


async def _speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


SERVED: dict[str, tuple[str, Serve]] = {
    "resets": ("http", _resets),
    "503": ("http", _saying(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")),
    "500": ("http", _saying(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")),
    "fails TLS": ("https", _speaks_no_tls),
    "hangs": ("http", _hangs),
}
NOT_THERE = {"refuses": "http://127.0.0.1:9", "unknown to DNS": "http://nowhere.invalid"}


@asynccontextmanager
async def _address(fault: str) -> AsyncIterator[str]:
    if fault in NOT_THERE:
        yield NOT_THERE[fault]
        return
    scheme, serve = SERVED[fault]
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def sites_that_are_down(*, requests: int) -> None:
    """Prints the tables: with the cache, and with each list read from its sites. Every release is ``auto``."""
    with ExitStack() as stack:
        well = [
            stack.enter_context(prepared(jobs=500, release=release, cluster=name, seed=seed))
            for seed, (name, release) in enumerate({"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3"}.items(), 1)
        ]
        well = [Site(one.name, "auto", one.url, one.token) for one in well]
        for title, cache in (("the cache as by default", None), ("no cache", NO_CACHE)):
            print(f"\n### Three sites and one that is down, pages of 50, {title}\n")
            print("| the fourth | " + " | ".join(f"lists/s, p50 ms with {number}" for number in ASKERS) + " | worst ratio |")
            print("|---|" + "--:|" * (len(ASKERS) + 1))
            for fault in (*NOT_THERE, *SERVED):
                async with _address(fault) as url:
                    down = Site("down", "auto", url, well[0].token)
                    # side by side, in turns: what the machine does meanwhile is done to both
                    with ours(well, cache=cache) as without, ours([*well, down], cache=cache) as beside:
                        await _show(fault, without, beside, requests)


async def _show(fault: str, without: GatewayProcess, beside: GatewayProcess, requests: int) -> None:
    cells, worst = [], 0.0
    async with Client(without) as alone, Client(beside) as both:
        for client, complete in ((alone, True), (both, False)):
            while (await client.load(DOCUMENT, requests=20)).percentile(1.0) > PATIENCE / 2 * 1000:
                pass  # a site that hangs is known to be down once it has been waited for
            if json.loads(await client.ask(DOCUMENT))["data"]["jobs"]["complete"] is not complete:
                raise RuntimeError("these are not the sites that were meant")
        for number in ASKERS:
            first: list[Load] = []
            second: list[Load] = []
            for _ in range(3):
                first.append(await alone.load(DOCUMENT, requests=requests, at_once=number))
                second.append(await both.load(DOCUMENT, requests=requests, at_once=number))
            plain, down = (max(loads, key=lambda load: load.per_second) for loads in (first, second))
            middle, plainly = down.percentile(0.5), plain.percentile(0.5)
            cells.append(f"{down.per_second:.0f} of {plain.per_second:.0f}, {middle:.1f} of {plainly:.1f}")
            worst = max(worst, plain.per_second / down.per_second, middle / plainly)
    print(f"| {fault} | " + " | ".join(cells) + f" | {worst:.2f} |", flush=True)
