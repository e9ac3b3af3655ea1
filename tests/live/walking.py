"""Walks the list page by page, to its end or in parts, and says what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from live.faces import Face, Page
from live.truth import Key

__all__ = ["ends_one_by_one", "pages", "walk"]

Filters = Sequence[Mapping[str, Any]]


async def pages(face: Face, filters: Filters, size: int, *, after: str | None = None) -> AsyncIterator[Page]:
    """Every page from ``after`` on. Every page but the last must be full."""
    while True:
        page = await face.page(filters, first=size, after=after)
        assert len(page.keys) == size if page.has_next else len(page.keys) <= size
        yield page
        if not page.has_next:
            return
        assert page.end is not None, "a next page without a cursor to it"
        after = page.end


async def walk(
    face: Face, filters: Filters, size: int, *, after: str | None = None, at_most: int | None = None, breath: float = 0.0
) -> list[Key]:
    """Every key from ``after`` on, in the order in which they came; ``at_most`` ends the walk after that many pages.

    Every page must be complete. ``breath``: seconds between two pages.
    """
    keys: list[Key] = []
    number = 0
    async for page in pages(face, filters, size, after=after):
        assert page.complete, page.reports
        assert all(status == "OK" for status, _, _ in page.reports.values()), page.reports
        keys += page.keys
        number += 1
        if number == at_most:
            break
        if breath:
            await asyncio.sleep(breath)
    return keys


async def ends_one_by_one(face: Face, filters: Filters, total: int, *, part: int) -> tuple[list[Key], list[Key]]:
    """The first and the last ``part`` of ``total`` keys, both read one by one."""
    head = await walk(face, filters, 1, at_most=part)
    before = max(total - part, 0)
    after = (await face.page(filters, first=before)).end if before else None
    return head, await walk(face, filters, 1, after=after)
