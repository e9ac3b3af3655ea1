"""Windows of start times that hold few enough jobs: some questions to a site's own GraphQL are of 500 jobs at the most."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import msgspec

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.conditions import EARLIEST, LATEST
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.documents import started_within
from ccgateway.site.queries.scanning import beyond_budget
from ccgateway.site.releases import Window
from ccgateway.site.releases.query import QueryReply

if TYPE_CHECKING:
    from ccgateway.site.instance import Instance

__all__ = ["MOST_JOBS", "few_enough"]

#: jobs of one question; a few may start before it is asked
MOST_JOBS = 480
#: windows that are counted by one question
AT_ONCE = 40
DAY = 86_400


class _Total(msgspec.Struct, rename="camel"):
    total_jobs: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


_TOTALS = msgspec.json.Decoder(QueryReply[dict[str, list[_Total]]], strict=False)


@dataclass(frozen=True, slots=True)
class _Counted:
    window: Window
    jobs: int


async def few_enough(
    site: Instance, context: CallContext, elements: Sequence[Mapping[str, object]], *, most: int
) -> list[Window]:
    """Windows, newest first, that together hold every job of the filter, each of them at most ``MOST_JOBS``; for use within
    ``in_dialect``. ``SCAN_BUDGET`` if there are more than ``most``, ``UNSUPPORTED`` if too many started in one second."""
    now = int(time.time())
    edges = [LATEST, *(now + DAY - DAY * 2**n for n in range(1, 17)), EARLIEST - 1]
    waiting = [Window(max(low + 1, EARLIEST), high) for high, low in pairwise(edges) if high >= EARLIEST]
    total: int | None = None
    done: list[_Counted] = []
    while waiting:
        counted = [
            one
            for start in range(0, len(waiting), AT_ONCE)
            for one in await _count(site, context, elements, waiting[start : start + AT_ONCE])
        ]
        if total is None:
            total = sum(one.jobs for one in counted)
            if total > most:
                raise beyond_budget(site.name, most)
        waiting = []
        for one in counted:
            if one.jobs <= MOST_JOBS:
                done += [one] if one.jobs else []
            elif one.window.earliest == one.window.latest:
                message = f"More than {MOST_JOBS} jobs started in one second, and the site takes no more in one question."
                raise SiteError(Code.UNSUPPORTED, site.name, message)
            else:
                waiting += _divided(one)
    return _joined(sorted(done, key=lambda one: -one.window.latest))


async def _count(
    site: Instance, context: CallContext, elements: Sequence[Mapping[str, object]], windows: Sequence[Window]
) -> list[_Counted]:
    declared = ",".join(f"$f{n}:[JobFilter!]" for n in range(len(windows)))
    parts = " ".join(f"w{n}:jobsStatistics(filter:$f{n}){{totalJobs}}" for n in range(len(windows)))
    variables = {f"f{n}": [*elements, started_within(window)] for n, window in enumerate(windows)}
    answer = await site.query(context, f"query({declared}){{{parts}}}", variables, _TOTALS)
    try:
        return [_Counted(window, answer[f"w{n}"][0].total_jobs) for n, window in enumerate(windows)]
    except (KeyError, IndexError):
        message = "The site's own GraphQL left out what was asked for."
        raise SiteError(Code.WRONG_RELEASE, site.name, message) from None


def _divided(one: _Counted) -> list[Window]:
    first, last = one.window.earliest, one.window.latest
    pieces = min(AT_ONCE, max(2, 2 * one.jobs // MOST_JOBS), last - first + 1)
    edges = [first + (last - first + 1) * n // pieces for n in range(pieces + 1)]
    return [Window(low, high - 1) for low, high in pairwise(edges)]


def _joined(windows: Sequence[_Counted]) -> list[Window]:
    """Neighbours, newest first, made one as long as they hold few enough jobs."""
    found: list[_Counted] = []
    for one in windows:
        if found and found[-1].jobs + one.jobs <= MOST_JOBS:
            found[-1] = _Counted(Window(one.window.earliest, found[-1].window.latest), found[-1].jobs + one.jobs)
        else:
            found.append(one)
    return [one.window for one in found]
