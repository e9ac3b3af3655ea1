"""Integer job ids over all sites: the site's own database id times 1000, plus the number of the site.

The REST faces know no others; GraphQL gives ``"site:dbid"`` and takes both, so that an id from one face works in the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ccgateway.errors import Code, RequestError

__all__ = ["Ids"]

SITES = 1000
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Ids:
    """Translates between integer ids and ``"site:dbid"``; ``numbers``: of the configured sites, by name."""

    numbers: Mapping[str, int]

    def of(self, site: str, db_id: int) -> int:
        """The integer id of that job of ``site``."""
        return db_id * SITES + self.numbers[site]

    def place(self, number: int) -> tuple[str, int]:
        """Site and database id of the job with that integer id. ``NOT_FOUND`` where no site has the number in it."""
        db_id, site_number = divmod(number, SITES)
        for site, own in self.numbers.items():
            if own == site_number and db_id >= 0:
                return site, db_id
        raise RequestError(Code.NOT_FOUND, f"There is no job {number}: its last three digits are no site's number.")

    def job_id(self, number: int) -> str:
        """``"site:dbid"`` of the job with that integer id. ``NOT_FOUND`` likewise."""
        site, db_id = self.place(number)
        return f"{site}:{db_id}"

    def named(self, text: str) -> str:
        """``"site:dbid"`` of what may be an integer id as text. ``NOT_FOUND`` likewise."""
        return self.job_id(int(text)) if _NUMBER.fullmatch(text) else text

    def all_named(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Those of them that may be a job's: an integer id of no site is left out."""
        return tuple(self.named(text) for text in texts if not _NUMBER.fullmatch(text) or self._has_site(int(text)))

    def _has_site(self, number: int) -> bool:
        return number % SITES in self.numbers.values()
