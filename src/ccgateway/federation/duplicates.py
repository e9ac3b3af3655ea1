"""Two configured sites that are one and the same instance: known from the settings alone, their jobs never listed twice.

Nothing that a site answers proves it: whoever can read an instance can repeat what it says, and would take its place. So sites
are one only where the operator says so, by the same address or by ``same_as``. Then both go on being asked, as their tokens may
open different parts of the instance; what both give is given once, at the site of lower number. Sites that merely give the same
jobs are both listed, and that is told: in their reports, in the log, and by ``check``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from ccgateway.deadline import Deadline
from ccgateway.errors import SiteError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions
from ccgateway.jobs.model import JobRow
from ccgateway.settings.base import is_loopback
from ccgateway.site.base import JobsWanted, PageFailedError, Site
from ccgateway.site.registry import Registry
from ccgateway.site.releases import Window

__all__ = ["DuplicateSiteDetector", "address_of", "look_alike", "same_jobs"]

log = logging.getLogger("ccgateway.federation.twins")  # as operators know it

#: seconds after which a suspicion is logged again
AGAIN = 3600.0
COMPARED = 100
_ATTRIBUTES = frozenset({"user", "project"})
_PORTS = {"http": 80, "https": 443}


class DuplicateSiteDetector:
    """Which of the sites are one instance. The one with the lower number stands for both."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._warned: dict[tuple[str, str], float] = {}

    def are_one(self, first: Site, second: Site) -> bool:
        """Whether the settings say so."""
        return self._address(first) == self._address(second)

    def original_of(self, instance: Site, others: Sequence[Site]) -> Site | None:
        """The site of lowest number among ``others`` that is the same instance as ``instance``, and stands for it, if any."""
        same = [other for other in others if other.number < instance.number and self.are_one(other, instance)]
        return min(same, key=lambda other: other.number, default=None)

    def suspect(self, first: Site, second: Site) -> None:
        """Tells the operator, now and then, that both give a job with the same numbers though nobody says that they are one."""
        now, pair = time.monotonic(), (first.name, second.name)
        if now - self._warned.get(pair, -AGAIN) >= AGAIN:
            self._warned[pair] = now
            message = (
                "sites %s and %s give the same jobs: set sites.%s.same_as if they are one instance; else one repeats the other"
            )
            log.warning(message, first.name, second.name, second.name)

    def _address(self, instance: Site) -> tuple[str, str, int, str]:
        named = instance.settings.same_as
        return address_of((instance if named is None else self._registry.one(named)).settings.url)


@lru_cache(maxsize=2048)  # looked at for every pair of sites
def address_of(url: str) -> tuple[str, str, int, str]:
    """Where a site's URL leads, however it is spelled: scheme, host (one for all of loopback), port, path."""
    split = urlsplit(url)
    host = (split.hostname or "").rstrip(".")
    return split.scheme, "loopback" if is_loopback(host) else host, split.port or _PORTS[split.scheme], split.path.rstrip("/")


async def look_alike(first: Site, second: Site, caller: Principal, deadline: Deadline) -> bool:
    """Whether the newest jobs of the two are the same, as far as ``caller`` sees; ``False`` if one cannot be read."""
    try:
        return same_jobs(await _newest(first, caller, deadline), await _newest(second, caller, deadline))
    except SiteError:
        return False


async def _newest(instance: Site, caller: Principal, deadline: Deadline) -> list[JobRow]:
    """The newest jobs that the site sends, also those that the gateway would not show; fewer where one cannot be read."""
    wanted, context = JobsWanted(Conditions(), _ATTRIBUTES), await instance.context(caller, deadline)
    for size in (COMPARED, COMPARED // 4, COMPARED // 20):
        try:
            return (await instance.origin.page(context, wanted, Window(EARLIEST, LATEST), size=size)).rows
        except PageFailedError:
            continue
    return []


def same_jobs(one: Sequence[JobRow], two: Sequence[JobRow]) -> bool:
    """Whether two lists of newest jobs come from one instance.

    Every job that both have must agree in database id, owner and project, and of the span of time that both cover, the shorter
    list must be in the longer one but for a tenth (jobs that came or went between the two reads, or are hidden from one token).
    """
    if not one or not two:
        return False
    since = max(min(row.start_time for row in one), min(row.start_time for row in two))
    first, second = ({row.key[1:]: row for row in rows if row.start_time >= since} for rows in (one, two))
    common = first.keys() & second.keys()
    if not common or any(_facts(first[key]) != _facts(second[key]) for key in common):
        return False
    return len(common) * 10 >= min(len(first), len(second)) * 9


def _facts(row: JobRow) -> tuple[int, str, str]:
    return row.id, row.user, row.project
