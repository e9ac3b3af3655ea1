"""Numbered pages that follow one another: where the next one begins is remembered.

A list that is read page by page, "until there are fewer than a page", must neither lose nor double a job when others come and go
meanwhile. So page 2 begins where the page 1 that the same caller read last ended, and so on. What is not remembered (any more) is
found by skipping, as everybody does who asks for page 7 out of the blue.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import JobFilter

__all__ = ["NumberedPages", "PageCursorStore"]

#: seconds for which a place is remembered
REMEMBERED_FOR = 600.0


@dataclass(frozen=True, slots=True)
class NumberedPages:
    """A list read in numbered pages: who reads what, in pages of which size. ``sites``: as they were named."""

    caller: Principal
    filter: JobFilter
    sites: tuple[str, ...]
    size: int

    def name(self, page: int) -> str:
        """The name of one of its pages: for all processes the same, and nothing can be read from it."""
        caller = self.caller
        who = [caller.issuer, caller.subject, sorted(caller.roles), caller.names]  # and not the token, which is renewed
        return f"page:{blake2b(msgspec.json.encode([who, self.filter, self.sites, self.size, page]), digest_size=20).hexdigest()}"


class PageCursorStore:
    """For every such list and page number the cursor at which that page begins.

    Two readings of one caller with the very same question share theirs: the one that read a page last says where the next begins.
    """

    def __init__(self, store: TtlStore) -> None:
        self._store = store

    async def start_of(self, pages: NumberedPages, page: int) -> str | None:
        """The cursor at which ``page`` begins; ``None`` if that is not known."""
        found = await self._store.get(pages.name(page))
        try:
            return None if found is None else found.decode()
        except UnicodeDecodeError:
            return None

    async def remember(self, pages: NumberedPages, page: int, cursor: str) -> None:
        """``page`` begins at ``cursor``."""
        await self._store.set(pages.name(page), cursor.encode(), REMEMBERED_FOR)
