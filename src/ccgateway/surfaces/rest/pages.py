"""Numbered pages that follow one another: where the next one begins is remembered.

A list that is read page by page, "until there are fewer than a page", must neither lose nor double a job when others come and go
meanwhile. So page 2 begins where the page 1 that the same caller read last ended, and so on. What is not remembered (any more) is
found by skipping, as everybody does who asks for page 7 out of the blue.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from ccgateway.cache.notes import LocalNotes, Notes
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import JobFilter
from ccgateway.surfaces.rest.calls import encode

__all__ = ["RememberedPages", "Walk"]

#: seconds for which a place is remembered
REMEMBERED_FOR = 600.0


@dataclass(frozen=True, slots=True)
class Walk:
    """Who reads what, in pages of which size. ``sites``: as they were named."""

    caller: Principal
    filter: JobFilter
    sites: tuple[str, ...]
    size: int

    def name(self, page: int) -> str:
        """The name of one of its pages: for all processes the same, and nothing can be read from it."""
        caller = self.caller
        who = [caller.issuer, caller.subject, sorted(caller.roles), caller.names]  # and not the token, which is renewed
        return f"page:{blake2b(encode([who, self.filter, self.sites, self.size, page]), digest_size=20).hexdigest()}"


class RememberedPages:
    """For every walk and page number the cursor at which that page begins.

    Two walks of one caller with the very same question share their places: whichever read a page last says where the next begins.
    """

    def __init__(self, notes: Notes | None = None) -> None:
        self._notes = notes or LocalNotes()

    async def start_of(self, walk: Walk, page: int) -> str | None:
        """The cursor at which ``page`` of ``walk`` begins; ``None`` if that is not known."""
        found = await self._notes.read(walk.name(page))
        return None if found is None else found.decode()

    async def remember(self, walk: Walk, page: int, cursor: str) -> None:
        """``page`` of ``walk`` begins at ``cursor``."""
        await self._notes.write(walk.name(page), cursor.encode(), REMEMBERED_FOR)
