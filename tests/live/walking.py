"""Walks the list page by page, to its end or in parts, and says what came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from live.faces import Face, Page
from live.truth import Key

__all__ = ["ends_one_by_one", "walk"]

Filters = Sequence[Mapping[str, Any]]


async def walk(
    face: Face,
    filters: Filters,
    size: int,
    *,
    after: str | None = None,
    at_most: int | None = None,
    between: Callable[[int], Awaitable[None]] | None = None,
) -> list[Key]:
    """Every key from ``after`` on, in the order in which they came; ``at_most`` ends the walk after that many pages.

    Every page must be complete and, but for the last, full. ``between`` runs after every page.
    """
    keys: list[Key] = []
    number = 0
    while at_most is None or number < at_most:
        page = await face.page(filters, first=size, after=after)
        _check(page, size)
        keys += page.keys
        if not page.has_next:
            break
        after, number = page.end, number + 1
        if between is not None:
            await between(number)
    return keys


def _check(page: Page, size: int) -> None:
    assert page.complete, page.reports
    assert all(status == "OK" for status, _, _ in page.reports.values()), page.reports
    assert len(page.keys) == size if page.has_next else len(page.keys) <= size
    assert page.end is not None or not page.has_next


async def ends_one_by_one(face: Face, filters: Filters, total: int, *, part: int) -> tuple[list[Key], list[Key]]:
    """The first and the last ``part`` of ``total`` keys, both read one by one."""
    head = await walk(face, filters, 1, at_most=part)
    before = max(total - part, 0)
    after = (await face.page(filters, first=before)).end if before else None
    return head, await walk(face, filters, 1, after=after)
