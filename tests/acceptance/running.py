"""Gateways and sites in a thread of their own, for tests that ask from outside of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager

from acceptance.recorded import serving
from ccgateway.settings import Settings
from ccgateway.simulator import SimulatedSite, serve

__all__ = ["running"]


@contextmanager
def running(sites: Mapping[str, SimulatedSite], numbers: Mapping[str, int], *, users: Sequence[str]) -> Iterator[dict[str, str]]:
    """For every user a gateway that shows the sites that user's tokens: addresses by user."""
    found: dict[str, str] = {}
    ready, loop = threading.Event(), asyncio.new_event_loop()
    done = asyncio.Event()

    async def work() -> None:
        async with serve(*sites.values()) as addresses, AsyncExitStack() as stack:
            for user in users:
                sections = {
                    name: {"number": numbers[name], "url": addresses[name].url, "token": site.token(user)}
                    for name, site in sites.items()
                }
                client = await stack.enter_async_context(serving(Settings.model_validate({"sites": sections})))
                found[user] = str(client.base_url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    try:
        assert ready.wait(60)
        yield found
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
