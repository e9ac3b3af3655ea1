"""The load of ``benchmarks.overload``, a process of its own: `python -m benchmarks.arrivals URL RATE SECONDS` sends so many requests
a second at random moments, whether or not earlier ones are answered, and says what became of them (JSON)."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import cast
from urllib.parse import urlsplit

import uvloop

__all__ = ["CONNECTIONS", "DOCUMENT"]

DOCUMENT = "{ jobs(first: 50) { items { id site jobId user cluster startTime duration numNodes state } complete } }"
#: as many as may wait for their answers at any one time: a request for which none is left is not sent, and counted
CONNECTIONS = 400


class _Connection(asyncio.Protocol):
    """One request at a time. ``free``: where it goes once it has its answer."""

    def __init__(self, free: list[_Connection], took: list[float], ended: Counter[str]) -> None:
        self._free, self._took, self._ended = free, took, ended
        self._transport: asyncio.Transport | None = None
        self._begun, self._left, self._status = 0.0, 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._free.append(self)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._begun, self._status = time.perf_counter(), b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._status:
            head, _, body = data.partition(b"\r\n\r\n")  # which the gateway sends in one piece
            self._status = head[9:12]
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._left = int(length) - len(body)
        else:
            self._left -= len(data)
        if self._left <= 0:
            if self._status == b"200":
                self._took.append((time.perf_counter() - self._begun) * 1000)
            self._ended[self._status.decode()] += 1
            self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self in self._free:
            self._free.remove(self)
        else:
            self._ended["lost"] += 1


async def _arrive(url: str, rate: float, seconds: float) -> None:
    host = urlsplit(url)
    body = json.dumps({"query": DOCUMENT}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {host.netloc}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    free: list[_Connection] = []
    took: list[float] = []
    ended: Counter[str] = Counter()
    loop, chance = asyncio.get_running_loop(), random.Random(1)
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(free, took, ended), host.hostname, host.port)
    begun = loop.time()
    due, late, until = begun, 0.0, begun + seconds
    while due < until:
        due += chance.expovariate(rate)
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        late = max(late, loop.time() - due)
        if free:
            free.pop().send(request)
        else:
            ended["not sent"] += 1
    elapsed = loop.time() - begun
    await asyncio.sleep(3.0)
    print(json.dumps({"elapsed": elapsed, "took": sorted(took), "ended": ended, "late": late}))


if __name__ == "__main__":
    uvloop.run(_arrive(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
