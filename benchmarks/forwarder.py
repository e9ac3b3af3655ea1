"""The limit: a bare aiohttp server that hands on what sites send, byte for byte, and does nothing else.

A request names addresses, ``[["aurora", "/api/jobs/?page=1"], …]``; the answer is the list of what the sites sent. With
``FORWARDER_STREAMS`` set, a single body is handed on piece by piece instead of whole. ``python -m benchmarks.forwarder`` serves
it for the sites in ``FORWARDER_SITES``.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

SITES: dict[str, dict[str, str]] = {site["name"]: site for site in json.loads(os.environ.get("FORWARDER_SITES", "[]"))}
STREAMS = bool(os.environ.get("FORWARDER_STREAMS"))
SESSION: list[aiohttp.ClientSession] = []


def _asked(name: str, path: str) -> Any:
    site = SITES[name]
    headers = {"X-Auth-Token": site["token"], "Accept-Encoding": "identity"}
    return SESSION[0].get(site["url"] + path, headers=headers)


async def _body(name: str, path: str) -> bytes:
    async with _asked(name, path) as answer:
        content: bytes = await answer.read()
        return content


async def forward(request: web.Request) -> web.StreamResponse:
    """Hands it on."""
    wanted = json.loads(await request.read())
    if len(wanted) > 1:
        return web.Response(body=b"[" + b",".join(await asyncio.gather(*(_body(*one) for one in wanted))) + b"]")
    if not STREAMS:
        return web.Response(body=await _body(*wanted[0]))
    async with _asked(*wanted[0]) as answer:
        response = web.StreamResponse(headers={"Content-Length": answer.headers["Content-Length"]})
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        return response


async def main() -> None:
    """Serves it on a free port and says which."""
    listener = socket.create_server(("127.0.0.1", 0))
    SESSION.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)))
    app = web.Application()
    app.router.add_post("/graphql", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    sys.stderr.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stderr.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
