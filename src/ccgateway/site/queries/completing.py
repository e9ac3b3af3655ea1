"""Jobs that the site's own GraphQL found, with what only REST tells of them: statistics, and values as REST writes them.

The seconds in which they started are read again by REST: a few dozen together, where not much else started among them, or else
each by itself. A job that is gone by then is left out, and one that REST cannot read is told of, as if REST had found them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ccgateway.jobs.conditions import Conditions
from ccgateway.jobs.model import JobKey, JobRow
from ccgateway.site.base import JobsWanted, Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.reading import JobStream, Unreadable
from ccgateway.tasks import side_by_side

__all__ = ["Completed", "complete"]

#: jobs that are read again together, and rows that may be read for each of them before each is read by itself
TOGETHER, ROWS_EACH = 32, 4
#: rows of one second that are asked for first
OF_A_SECOND = 32


@dataclass(slots=True)
class Completed:
    """The jobs that are still there, by key; those that REST cannot read; and how many it sent."""

    rows: dict[JobKey, JobRow] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    scanned: int = 0


async def complete(site: Site, context: CallContext, rows: Sequence[JobRow], attributes: frozenset[str]) -> Completed:
    """The jobs of ``rows``, with ``attributes``. Raises ``SiteError``."""
    found = Completed()
    wanted = {row.key: row.id for row in rows}
    parts = _parts(sorted({row.start_time for row in rows}, reverse=True))

    async def work_off() -> None:
        for seconds in parts:  # shared by all who work
            for second in await _together(seconds):
                await _read(Conditions(earliest=second, latest=second), OF_A_SECOND, seconds={second})

    async def _together(seconds: list[int]) -> list[int]:
        """Reads a page of the time that the seconds span; which of them it does not reach."""
        if len(seconds) == 1:
            return seconds
        span = Conditions(earliest=seconds[-1], latest=seconds[0])
        floor = await _read(span, ROWS_EACH * len(seconds) + 1, seconds=set(seconds), to_its_end=False)
        return [second for second in seconds if second < floor]

    async def _read(conditions: Conditions, size: int, *, seconds: set[int], to_its_end: bool = True) -> int:
        stream = JobStream(site.origin, context, JobsWanted(conditions, attributes))
        await stream.read(size)
        while to_its_end and not stream.done:
            await stream.read(size)
        found.scanned += stream.scanned
        found.rows.update((row.key, row) for row in stream.rows if wanted.get(row.key) == row.id)
        found.unreadable += [one for one in stream.unreadable if one.second in seconds and (one.key is None or one.key in wanted)]
        return stream.floor

    async with side_by_side() as group:
        for _ in range(min(len(rows), site.settings.concurrency)):
            group.create_task(work_off())
    return found


def _parts(seconds: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(seconds), TOGETHER):
        yield list(seconds[start : start + TOGETHER])
