"""Pages of sites' lists, for a second: however many open the same list at once, each site is asked once.

A remembered page is a page that was read a little earlier. Walks stay exact with such pages: the pages of a walk are apart in
their start times, so that each job is on one page whenever that was read, and what a job's page says is as old as
``cache.list_for`` allows. So a job comes exactly once if it is there from that many seconds before the walk began to its end.
What has to be read in one moment (the several pages of one second), and what is to be exact now (counts), is not read from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccgateway.cache.entries import Entry, Filled
from ccgateway.cache.keys import Key
from ccgateway.federation.remembered.decoded import Decoded
from ccgateway.federation.remembered.shelf import JOBS, Shelf, person_of
from ccgateway.jobs.model import JobRow
from ccgateway.site.exchange import Visit
from ccgateway.site.pages import PageAsked, from_site

__all__ = ["Pages"]

#: rows that are held decoded
MOST_ROWS = 20_000


class Pages:
    """A ``PageSource`` over a shelf. ``most_bytes``: larger pages are nobody's start page, and not kept."""

    def __init__(self, shelf: Shelf, *, most_bytes: int = 4 << 20) -> None:
        self._shelf, self._most_bytes = shelf, most_bytes
        self._rows: Decoded[Sequence[JobRow]] = Decoded(MOST_ROWS)

    @property
    def are_kept(self) -> bool:
        """Whether there is any use in asking here."""
        return self._shelf.is_used and self._shelf.lives.list_for > 0

    async def get(self, page: PageAsked, visit: Visit) -> Sequence[JobRow]:
        """The rows of a page that was read ``cache.list_for`` seconds ago at most. Raises ``SiteError``."""
        person = person_of(visit.credential)
        if person is None:
            return await from_site(page, visit)
        key = Key(page.site, JOBS, person, f"{page.dialect} {page.request.path}")
        shape = key, page.attributes

        async def fill(keys: Sequence[Key], visit: Visit) -> Mapping[Key, Filled]:
            rows, body = await page.ask(visit)
            self._rows.keep(shape, body, rows, len(rows))
            life = self._shelf.lives.list_for if len(body) <= self._most_bytes else 0.0
            return dict.fromkeys(keys, Filled(body, life))

        def rows_in(payload: bytes) -> Sequence[JobRow]:
            rows = self._rows.get(shape, payload)
            if rows is None:
                rows = page.read(payload)
                self._rows.keep(shape, payload, rows, len(rows))
            return rows

        def read(_key: Key, entry: Entry) -> object:
            return rows_in(entry.payload)

        hit = (await self._shelf.fetch([key], fill, visit, within=page.timeout, read=read))[key]
        return rows_in(hit.payload)
