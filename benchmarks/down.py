"""A fourth site that is sick, in each way that sites are: what that does to lists over the other three once it is known."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from statistics import quantiles

import aiohttp
from aiohttp import web

from benchmarks.client import Client
from benchmarks.processes import NO_CACHE, GatewayProcess, Site, ours, prepared

__all__ = ["sites_that_are_down"]

DOCUMENT = "{ jobs(first: 50) { items { id site jobId user cluster startTime duration numNodes state } complete } }"
ASKERS = (1, 16, 100)
KNOWN = 50  # lists for which the site has to be known as sick before anything is timed
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


async def _drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        for number in range(10_000):
            if writer.transport.is_closing():
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" if not number else b" ")
            await asyncio.sleep(0.2)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    writer.close()


@asynccontextmanager
async def _flapping(well: Site) -> AsyncIterator[str]:
    """Hands on to ``well``, but says 503 to every other request."""
    turns = count()
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def hand_on(request: web.Request) -> web.Response:
            if next(turns) % 2:
                return web.Response(status=503)
            headers = {name: request.headers[name] for name in ("X-Auth-Token", "Content-Type") if name in request.headers}
            url = f"{well.url}{request.raw_path}"
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hand_on)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def _speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


SERVED: dict[str, tuple[str, Serve]] = {
    "resets": ("http", _resets),
    "503": ("http", _saying(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")),
    "500": ("http", _saying(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")),
    "says nothing": ("http", _saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
    "an error in a 200": (
        "http",
        _saying(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"error":"oops"}'),
    ),
    "fails TLS": ("https", _speaks_no_tls),
    "drips": ("http", _drips),
    "hangs": ("http", _hangs),
}
FLAPS = "503 every other time"
NOT_THERE = {"refuses": "http://127.0.0.1:9", "unknown to DNS": "http://nowhere.invalid"}


@asynccontextmanager
async def _address(fault: str, fourth: Site) -> AsyncIterator[str]:
    if fault == FLAPS:
        async with _flapping(fourth) as url:
            yield url
        return
    if fault in NOT_THERE:
        yield NOT_THERE[fault]
        return
    scheme, serve = SERVED[fault]
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def sites_that_are_down(*, requests: int, faults: Sequence[str] = ()) -> None:
    """Prints the tables: with the cache, and with each list read from its sites. Every release is ``auto``.
    ``faults``: only those."""
    with ExitStack() as stack:
        well = [
            stack.enter_context(prepared(jobs=500, release=release, cluster=name, seed=seed))
            for seed, (name, release) in enumerate({"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3"}.items(), 1)
        ]
        fourth = stack.enter_context(prepared(jobs=500, release="1.5", cluster="draco", seed=9))
        well = [Site(one.name, "auto", one.url, one.token) for one in well]
        for title, cache in (("the cache as by default", None), ("no cache", NO_CACHE)):
            print(f"\n### Three sites and one that is sick, pages of 50, {title}\n")
            print(
                "| the fourth | " + " | ".join(f"p50, p99 ms with {number}" for number in ASKERS) + " | worst p50 | worst p99 |"
            )
            print("|---|" + "--:|" * (len(ASKERS) + 2))
            for fault in faults or (*NOT_THERE, *SERVED, FLAPS):
                async with _address(fault, fourth) as url:
                    down = Site("down", "auto", url, fourth.token)
                    # side by side, in turns: what the machine does meanwhile is done to both
                    with ours(well, cache=cache) as without, ours([*well, down], cache=cache) as beside:
                        await _show(fault, without, beside, requests)


async def _show(fault: str, without: GatewayProcess, beside: GatewayProcess, requests: int) -> None:
    cells, worst = [], [0.0, 0.0]
    async with Client(without) as alone, Client(beside) as both:
        if not json.loads(await alone.ask(DOCUMENT))["data"]["jobs"]["complete"]:
            raise RuntimeError("these are not the sites that were meant")
        for _ in range(KNOWN):  # in a row: one that flaps is well now and then
            while not any(
                error["extensions"]["code"] == "CIRCUIT_OPEN" for error in json.loads(await both.ask(DOCUMENT)).get("errors", ())
            ):
                pass
        for number in ASKERS:
            first: list[float] = []
            second: list[float] = []
            for _ in range(3):
                first += (await alone.load(DOCUMENT, requests=requests, at_once=number)).milliseconds
                second += (await both.load(DOCUMENT, requests=requests, at_once=number)).milliseconds
            plain, down = (quantiles(loads, n=100) for loads in (first, second))
            cells.append(f"{down[49]:.1f} of {plain[49]:.1f}, {down[98]:.1f} of {plain[98]:.1f}")
            worst = [max(worst[0], down[49] / plain[49]), max(worst[1], down[98] / plain[98])]
    print(f"| {fault} | " + " | ".join(cells) + f" | {worst[0]:.2f} | {worst[1]:.2f} |", flush=True)
