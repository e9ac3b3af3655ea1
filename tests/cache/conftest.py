from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cache.servers import Valkey
from ccgateway.cache.facade import Cache, open_cache
from ccgateway.settings import CacheSettings


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One server for all tests that leave it as it is."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """A running server, empty."""
    shared_valkey.ask("FLUSHALL")
    return shared_valkey


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A running server that the test may do with as it likes."""
    with Valkey(tmp_path) as server:
        yield server


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Cache]]:
    """Opens caches, and closes them in the end; no task may be left. A busy machine is no Redis that hangs: they wait long."""
    async with AsyncExitStack() as stack:

        def open_one(url: str | None = None, *, redis_timeout: float = 10.0, **settings: object) -> Cache:
            values = {"redis_url": url, "redis_timeout": redis_timeout, "redis_connect_timeout": redis_timeout, **settings}
            cache = open_cache(CacheSettings.model_validate(values))
            stack.push_async_callback(cache.aclose)
            return cache

        yield open_one
    assert asyncio.all_tasks() == {asyncio.current_task()}
