"""Integer job ids over all sites: the site's own database id times 1000, plus the number of the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ccgateway.errors import Code, RequestError

__all__ = ["Ids"]

SITES = 1000


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
