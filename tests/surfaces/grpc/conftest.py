"""One gateway over sites of four releases for all tests of a module that leave it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support.faces import Faces, faces
from surfaces.grpc.listing import RELEASES, site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both() -> AsyncIterator[Faces]:
    async with faces(*(site(name, release) for name, release in RELEASES.items())) as found:
        yield found
