"""One browser for all tests of a process, and one event loop for whatever they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from surfaces.portal.browsing import chromium
from surfaces.portal.provider import provider
from surfaces.portal.signed_in import Portal, portal


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """One for all tests that leave it as it was: starting and stopping takes longer than what most of them ask."""
    async with provider() as one, portal(one, tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def front(shared: Portal) -> Portal:
    """A portal to sign in at, as it was at first; browser tests have one of their own under that name."""
    shared.provider.reset()
    shared.site.heard.clear()
    return shared


@pytest_asyncio.fixture(loop_scope="session")
async def fresh(tmp_path: Path) -> AsyncIterator[Portal]:
    """One that has asked nobody anything yet."""
    async with provider() as one, portal(one, tmp_path) as found:
        yield found
