"""The client: sends one GraphQL request as bytes and hands back the answer's bytes, so that it costs next to nothing itself."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from benchmarks.processes import GatewayProcess

__all__ = ["Client", "Load"]


class Load:
    """What a number of requests cost: milliseconds of each, and the gateway's processor time for all."""

    def __init__(self, milliseconds: list[float], elapsed: float, cpu_seconds: float) -> None:
        self.milliseconds = sorted(milliseconds)
        self.per_second = len(milliseconds) / elapsed
        self.cpu_milliseconds = cpu_seconds * 1000 / len(milliseconds)

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the requests took at the most."""
        return self.milliseconds[min(len(self.milliseconds) - 1, int(share * len(self.milliseconds)))]


class Client:
    """Connections to one gateway, or to one at a URL that is somebody else's."""

    def __init__(self, gateway: GatewayProcess | str, key: str | None = None) -> None:
        self._gateway = None if isinstance(gateway, str) else gateway
        self._headers = {} if key is None else {"X-Auth-Token": key}
        self._url = (gateway if isinstance(gateway, str) else gateway.url) + "/graphql"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # uvicorn closes idle connections after 5 s: ours are given up before
            connector=aiohttp.TCPConnector(keepalive_timeout=2),
            headers={
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
                **self._headers,
            },  # as all who are compared answer
            timeout=aiohttp.ClientTimeout(120),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, document: str, variables: Mapping[str, Any] | None = None) -> bytes:
        """The body of an answer with status 200."""
        assert self._session is not None
        body = json.dumps({"query": document, "variables": variables or {}})
        async with self._session.post(self._url, data=body) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"HTTP {answer.status}: {content[:500]!r}")
            return content

    async def again_and_again(self, document: str, *, seconds: float, pause: float) -> list[float]:
        """Milliseconds of each of the requests that one sends who waits for every answer, and then ``pause`` seconds: sorted.
        Raises ``RuntimeError`` for a list of jobs that is not complete."""
        took, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            begun = time.perf_counter()
            content = await self.ask(document)
            took.append((time.perf_counter() - begun) * 1000)
            if b'"complete":true' not in content:
                raise RuntimeError(f"the user's answer: {content[:300]!r}")
            await asyncio.sleep(pause)
        return sorted(took)

    async def load(self, document: str, *, requests: int, at_once: int = 1, variables: Mapping[str, Any] | None = None) -> Load:
        """Sends the request so many times, so many of them at any one time."""
        assert self._gateway is not None
        times: list[float] = []
        left = requests

        async def one_after_the_other() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                started = time.perf_counter()
                await self.ask(document, variables)
                times.append((time.perf_counter() - started) * 1000)

        cpu, started = self._gateway.cpu_seconds, time.perf_counter()
        await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
        return Load(times, time.perf_counter() - started, self._gateway.cpu_seconds - cpu)
