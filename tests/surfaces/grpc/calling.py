"""What the tests of calls share: a site that may be slow, how calls fail, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from support.faces import Faces, settled

__all__ = ["NOW", "awaited", "nothing_left", "running", "site"]

NOW = 1_760_000_000


def site(name: str = "aurora", count: int = 40, release: str = "1.5", **options: Any) -> SimulatedSite:
    jobs = GeneratedJobs(count, cluster=name, seed=len(name), until=NOW)
    return SimulatedSite(name, release, jobs, clock=lambda: float(NOW), **options)


def running(both: Faces) -> int:
    assert both.app.grpc is not None
    return both.app.grpc.calls.running


@contextlib.asynccontextmanager
async def nothing_left(both: Faces) -> AsyncIterator[None]:
    """Whatever is done inside leaves no call, and no task of one, behind."""
    before = {task for task in asyncio.all_tasks() if task.get_name().startswith("request ")}
    yield
    await settled(lambda: running(both) == 0)
    await settled(lambda: {one for one in asyncio.all_tasks() if one.get_name().startswith("request ")} <= before)


async def awaited(call: Any) -> Any:
    return await call
