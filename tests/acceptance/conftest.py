"""A gateway on a real socket, in front of simulated sites on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn

from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.simulator.serve import Address

NOW = 1_760_000_000.0
#: a busy machine may stand still for ten seconds, which is not what is tested
PATIENT: Mapping[str, Any] = {"request_timeout": 120.0, "patience": 0}
PATIENT_SITES: Mapping[str, Any] = {"timeout": 60.0, "connect_timeout": 30.0}
#: every list is asked for: what a site does shows at once
UNREMEMBERED: Mapping[str, Any] = {"list_for": 0}


@dataclass
class Front:
    """The gateway as its callers have it; ``addresses``: where the sites behind it are served."""

    url: str
    session: aiohttp.ClientSession
    addresses: Mapping[str, Address]

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole response to a GraphQL request."""
        async with self.session.post(self.url, json={"query": query, "variables": variables}) as response:
            found: dict[str, Any] = await response.json()
            return found


def site(name: str, release: str, *, count: int = 400) -> SimulatedSite:
    return SimulatedSite(name, release, GeneratedJobs(count, cluster=name, seed=len(name), until=int(NOW)), clock=lambda: NOW)


@asynccontextmanager
async def gateway(
    *sites: SimulatedSite, limits: Mapping[str, Any] | None = None, cache: Mapping[str, Any] = UNREMEMBERED, **each: Any
) -> AsyncIterator[Front]:
    """A running gateway over running ``sites``; ``each``: settings of every site."""
    async with serve(*sites) as running, gateway_over(running, limits=limits, cache=cache, **each) as front:
        yield front


@asynccontextmanager
async def gateway_over(
    running: Mapping[str, Address],
    *,
    limits: Mapping[str, Any] | None = None,
    cache: Mapping[str, Any] = UNREMEMBERED,
    export: Mapping[str, Any] | None = None,
    of: Mapping[str, Mapping[str, Any]] | None = None,
    **each: Any,
) -> AsyncIterator[Front]:
    """A running gateway over sites that run already; ``of``: settings of some sites, by name."""
    sections = {
        name: {
            "number": number,
            "url": one.url,
            "token": one.site.token("demo"),
            **PATIENT_SITES,
            **each,
            **(of or {}).get(name, {}),
        }
        for number, (name, one) in enumerate(running.items(), start=1)
    }
    settings = Settings.model_validate(
        {"sites": sections, "limits": {**PATIENT, **(limits or {})}, "cache": dict(cache), "export": dict(export or {})}
    )
    config = uvicorn.Config(create_app(settings), port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session:
            yield Front(f"http://127.0.0.1:{port}/graphql", session, running)
    finally:
        server.should_exit = True
        await serving
