"""A page of a site's list before anybody is asked for it, and the seam between those who want one and whoever has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ccgateway.jobs.model import JobRow
from ccgateway.site.exchange import SiteRequest, Visit

__all__ = ["PageAsked", "PageSource", "from_site"]


@dataclass(frozen=True, slots=True)
class PageAsked:
    """One page. ``request``: what decides the answer, beside the credential; ``dialect`` and ``attributes``: how it is read;
    ``timeout``: seconds that the site may take.

    ``ask``: asks the site, and gives the rows with the body that they were read from; raises ``SiteError``. ``read``: the rows
    of such a body.
    """

    site: str
    request: SiteRequest
    dialect: str
    attributes: frozenset[str]
    timeout: float
    ask: Callable[[Visit], Awaitable[tuple[Sequence[JobRow], bytes]]]
    read: Callable[[bytes], Sequence[JobRow]]


#: gives the rows of a page, which nobody may change
PageSource: TypeAlias = Callable[[PageAsked, Visit], Awaitable[Sequence[JobRow]]]


async def from_site(page: PageAsked, visit: Visit) -> Sequence[JobRow]:
    """Asks the site, every time."""
    return (await page.ask(visit))[0]
