"""Walks the merged list page by page, as a client would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListAnswer, JobListQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import JobKey
from ccgateway.settings import LimitSettings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.instance import Instance
from support.upstream import Sites

__all__ = ["CALLER", "Walked", "gateway_over", "order_of", "walk", "walked_over"]

CALLER = Principal("tester")


@dataclass
class Walked:
    """Everything a walk gave: its pages, and the keys of all rows in the order in which they came."""

    pages: list[JobListAnswer] = field(default_factory=list)

    @property
    def keys(self) -> list[JobKey]:
        return [row.key for page in self.pages for row in page.rows]

    @property
    def is_complete(self) -> bool:
        return all(page.complete for page in self.pages)


def order_of(key: JobKey) -> tuple[int, str, str, int]:
    """Where a key stands in the total order, written down once more."""
    return -key.start_time, key.site, key.cluster, key.job_id


@asynccontextmanager
async def gateway_over(
    instances: Iterable[Instance] | Sites, responses: ResponseCache | None = None, **limits: Any
) -> AsyncIterator[Gateway]:
    """A gateway over ``instances`` that keeps what they answer in ``responses``; on leaving, nothing of it may still run."""
    registry = instances if isinstance(instances, Sites) else Sites(instances, responses)
    gateway = Gateway(registry, LimitSettings.model_validate(limits))
    try:
        yield gateway
    finally:
        await gateway.aclose()


async def walk(
    gateway: Gateway, question: JobListQuestion, *, at_most: int, between: Callable[[int], None] | None = None
) -> Walked:
    """Follows the cursor to the end; fails if that takes more than ``at_most`` pages. ``between`` runs after every page."""
    walked = Walked()
    after = question.after
    for number in range(at_most):
        answer = await gateway.jobs(replace(question, after=after), CALLER)
        walked.pages.append(answer)
        if not answer.has_next_page:
            return walked
        assert answer.end_cursor is not None, "a next page without a cursor to it"
        assert answer.rows or answer.end_cursor != after, "an empty page whose cursor leads to itself"
        after = answer.end_cursor
        if between is not None:
            between(number)
    raise AssertionError(f"the walk did not end within {at_most} pages")


def walked_over(instances: Iterable[Instance], question: JobListQuestion, *, at_most: int, **limits: Any) -> Walked:
    """``walk`` in an event loop of its own."""

    async def run() -> Walked:
        async with gateway_over(instances, **limits) as gateway:
            return await walk(gateway, question, at_most=at_most)

    return asyncio.run(run())
