"""Hours used, summed up from jobs: by the period in which they started, and by site, cluster, project and user.

A job is counted whole, in the period of its start, as cc-backend counts it. Periods are UTC's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from operator import attrgetter

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.batches import JobBatch
from ccgateway.jobs.model import ALWAYS, JobRow
from ccgateway.settings.export import ExportSettings
from ccgateway.surfaces.export.columns import Column, Kind, is_running
from ccgateway.surfaces.export.encodings import Encoding
from ccgateway.surfaces.export.files import encoding_for, file_answer, to_its_end
from ccgateway.surfaces.export.questions import UsageAsked, asked_query
from ccgateway.surfaces.export.records import VERSION, Begin, End, Mark, failure_of, moment
from ccgateway.surfaces.export.streams import JobReader, Streams
from ccgateway.surfaces.rest.calls import Answer, Call
from ccgateway.traffic.scopes import in_turn

__all__ = ["Usage", "export_usage", "period_of", "usage_columns"]

#: sums of one report at the most: some 200 MB
MOST_GROUPS = 300_000
#: rows that are written at once
ROWS = 2000
#: seconds after which something is said while jobs are read
SAY_EVERY = 5.0

HOUR, DAY = 3600, 86_400
_NEEDS = frozenset({
    "state", "duration", "user", "project", "num_nodes", "num_hw_threads", "num_acc", "energy",
})  # fmt: skip
_KEYS = {"site": "site", "cluster": "cluster", "project": "project", "user": "user"}


@dataclass(slots=True)
class Usage:
    """The jobs of one group. Seconds are whole, so that sums are exact; ``energy``: kWh of the ``energy_jobs`` jobs of which that
    is known; ``normalised``: core seconds times their clusters' factors."""

    key: tuple[str, ...]
    jobs: int = 0
    node_seconds: int = 0
    core_seconds: int = 0
    acc_seconds: int = 0
    energy: float = 0.0
    energy_jobs: int = 0
    normalised: float = 0.0

    def add(self, row: JobRow, factor: float | None) -> None:
        """Counts one job. ``factor``: what a core hour of its cluster counts."""
        duration = row.duration
        cores = row.num_hw_threads * duration
        self.jobs += 1
        self.node_seconds += row.num_nodes * duration
        self.core_seconds += cores
        self.acc_seconds += row.num_acc * duration
        if row.energy:  # zero is what releases say that know nothing
            self.energy += row.energy
            self.energy_jobs += 1
        if factor is not None:
            self.normalised += cores * factor


def usage_columns(by: Sequence[str], *, with_factors: bool) -> tuple[Column, ...]:
    """The columns of a report by ``by``."""

    def made(name: str, kind: Kind, get: Callable[[Usage], object]) -> Column:
        return Column(name, kind, frozenset(), get)

    def part(place: int) -> Callable[[Usage], object]:
        return lambda one: one.key[place]

    return (
        *(made(name, Kind.TEXT, part(place)) for place, name in enumerate(("period", *by))),
        made("jobs", Kind.INTEGER, lambda one: one.jobs),
        made("nodeHours", Kind.NUMBER, lambda one: one.node_seconds / HOUR),
        made("coreHours", Kind.NUMBER, lambda one: one.core_seconds / HOUR),
        made("accHours", Kind.NUMBER, lambda one: one.acc_seconds / HOUR),
        made("energy", Kind.NUMBER, lambda one: one.energy if one.energy_jobs else None),
        made("energyJobs", Kind.INTEGER, lambda one: one.energy_jobs),
        made("normalisedHours", Kind.NUMBER, lambda one: one.normalised / HOUR if with_factors else None),
    )


def period_of(period: str, start: int) -> str:
    """The period in which a job started (epoch seconds): ``2026``, ``2026-01``, ``2026-W05``, ``2026-01-31``, or ``all``."""
    return _of_day(period, start // DAY)


@lru_cache(maxsize=4096)
def _of_day(period: str, day: int) -> str:
    if period == "all":
        return "all"
    try:
        date = datetime.fromtimestamp(day * DAY, UTC)
    except (ValueError, OverflowError, OSError):
        return "unknown"  # of a start that no job can have
    if period == "week":
        year, week, _ = date.isocalendar()
        return f"{year:04}-W{week:02}"
    return date.strftime({"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}[period])


async def export_usage(call: Call, streams: Streams, settings: ExportSettings) -> Answer:
    """The report that ``call`` asks for. Raises ``GatewayError`` as long as nothing was sent."""
    asked = UsageAsked.of(call)
    encoding = encoding_for(asked.format, usage_columns(asked.by, with_factors=bool(settings.factors)))
    call.closing.enter_context(streams.entered(call.caller.share))
    fields = _NEEDS | ALWAYS
    reader = JobReader(call.gateway, call.caller, streams, [asked.filter], int(time.time()), asked.policy, fields, asked.sites)
    export = _UsageExport(call, asked, encoding, reader, settings)
    rest = to_its_end(export.rest(), encoding, export.end, call.request_id)
    return file_answer("usage", asked.format, encoding, await export.first(), rest)


@dataclass(slots=True)
class _UsageExport:
    call: Call
    asked: UsageAsked
    encoding: Encoding
    reader: JobReader
    settings: ExportSettings
    _groups: dict[tuple[str, ...], Usage] = field(default_factory=dict)
    _of_sites: Counter[str] = field(default_factory=Counter)
    _is_over: bool = False

    async def first(self) -> bytes:
        """The first record."""
        await self._add(await self.reader.next())
        begin = Begin(
            "usage",
            VERSION,
            asked_query(self.call.query),
            [one.name for one in usage_columns(self.asked.by, with_factors=bool(self.settings.factors))],
            moment(self.reader.as_of),
            self.asked.policy.value,
            self.reader.releases(),
        )
        return self.encoding.begin(begin)

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """Once all jobs are read, the sums."""
        clock = asyncio.get_running_loop().time
        said_at = clock()
        while not self._is_over:
            traffic = self.call.state.traffic
            with traffic.sending() as sending:
                async with traffic.admitted(self.call.caller.share, sending):
                    await self._add(await self.reader.next())
            if clock() - said_at > SAY_EVERY:  # for whoever takes silence for the end
                said_at = clock()
                yield self.encoding.mark(Mark("", 0))
        groups = iter(sorted(self._groups.values(), key=attrgetter("key")))
        while rows := list(islice(groups, ROWS)):
            self.reader.streams.observer.rows_exported(self.asked.format, len(rows))
            yield await self.encoding.write(rows)

    async def _add(self, batch: JobBatch | None) -> None:
        self._is_over = batch is None or batch.is_last
        if batch is not None:
            rows = [row for row in batch.rows if not is_running(row, self.reader.as_of)]
            self._of_sites.update(map(attrgetter("site"), rows))
            await in_turn(lambda: self._sum_up(rows))

    def _sum_up(self, rows: Iterable[JobRow]) -> None:
        gets = [attrgetter(_KEYS[name]) for name in self.asked.by]
        groups, period, factor = self._groups, self.asked.period, self.settings.factor
        for row in rows:
            key = (period_of(period, row.start_time), *[get(row) for get in gets])
            group = groups.get(key)
            if group is None:
                if len(groups) >= MOST_GROUPS:
                    message = f"The report has more than {MOST_GROUPS} rows. Ask for a shorter time, or by less."
                    raise RequestError(Code.LIMIT_EXCEEDED, message)
                group = groups[key] = Usage(key)
            group.add(row, factor(row.site, row.cluster))

    def end(self, error: GatewayError | None) -> End:
        """The last record."""
        return End(
            rows=self.encoding.rows,
            sha256=self.encoding.sha256,
            complete=error is None and not self.reader.missing,
            sites=self.reader.ends(self._of_sites, error),
            error=None if error is None else failure_of(error),
        )
