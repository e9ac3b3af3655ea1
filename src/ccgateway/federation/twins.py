"""Two configured sites that are one and the same instance: noticed by their jobs, reported, their jobs never listed twice.

Suspicion costs nothing: two sites give a job with the same cluster, number, start and database id. Then their newest jobs are
compared; what was found holds for a while. Both go on being asked, as their tokens may open different parts of the instance;
only what both give is given once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ccgateway.deadline import Deadline
from ccgateway.errors import SiteError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions
from ccgateway.jobs.model import JobRow
from ccgateway.site.dialects import Window
from ccgateway.site.instance import Instance, JobsWanted, PageFailedError

__all__ = ["Twins", "same_jobs"]

SAME_FOR, DISTINCT_FOR = 600.0, 60.0
COMPARED = 100
_ATTRIBUTES = frozenset({"user", "project"})


@dataclass(frozen=True, slots=True)
class _Finding:
    same: bool
    until: float


class Twins:
    """What is known about pairs of sites. The one with the lower number stands for both."""

    def __init__(self) -> None:
        self._findings: dict[tuple[str, str], _Finding] = {}

    def known(self, instance: Instance, others: Sequence[Instance]) -> Instance | None:
        """The site of lower number among ``others`` that ``instance`` is known to be, if any."""
        for other in others:
            if other.number < instance.number:
                finding = self._fresh(other, instance)
                if finding is not None and finding.same:
                    return other
        return None

    async def compare(self, one: Instance, two: Instance, caller: Principal, deadline: Deadline) -> bool:
        """Whether the two are the same instance, as far as ``caller`` sees, remembered; ``False`` if one cannot be read."""
        finding = self._fresh(one, two)
        if finding is None:
            try:
                first, second = await _newest(one, caller, deadline), await _newest(two, caller, deadline)
            except SiteError:
                first = second = []
            if not first or not second:
                return False  # this caller sees too little to tell, but others may see more
            same = same_jobs(first, second)
            finding = _Finding(same, time.monotonic() + (SAME_FOR if same else DISTINCT_FOR))
            self._findings[_pair(one, two)] = finding
        return finding.same

    def _fresh(self, one: Instance, two: Instance) -> _Finding | None:
        finding = self._findings.get(_pair(one, two))
        return finding if finding is not None and finding.until > time.monotonic() else None


def _pair(one: Instance, two: Instance) -> tuple[str, str]:
    return (one.name, two.name) if one.number < two.number else (two.name, one.name)


async def _newest(instance: Instance, caller: Principal, deadline: Deadline) -> list[JobRow]:
    """The newest jobs that the site sends, also those that the gateway would not show; fewer where one cannot be read."""
    wanted, visit = JobsWanted(Conditions(), _ATTRIBUTES), await instance.visit(caller, deadline)
    for size in (COMPARED, COMPARED // 4, COMPARED // 20):
        try:
            return (await instance.page(visit, wanted, Window(EARLIEST, LATEST), size=size)).rows
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
