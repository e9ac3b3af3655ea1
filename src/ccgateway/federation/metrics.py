"""The metrics of one job, or the same metrics of many: every site asked side by side, every job an outcome of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError, SiteError, clean, forget_frames
from ccgateway.federation.provisional import Provisionals
from ccgateway.federation.questions import JobMetricsAnswer, SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.metrics import NEEDED, JobRef, MetricPiece, MetricsWanted
from ccgateway.jobs.model import parse_job_id
from ccgateway.jobs.provisional import is_provisional
from ccgateway.settings import LimitSettings
from ccgateway.site.base import MetricsFound, Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.registry import Registry
from ccgateway.site.sampling import check_samples
from ccgateway.telemetry.requests import note_sites
from ccgateway.traffic.scopes import hold

__all__ = ["JobMetrics", "MetricsBudget", "Outcome"]

Outcome: TypeAlias = JobMetricsAnswer | GatewayError

#: metrics of jobs that are looked up at once among what is remembered: they may be large; and how many "all" may be
LOOKED_UP, SOME_NAMES = 40, range(20)
#: failures that the site's other jobs would meet as well
_OF_THE_SITE = frozenset({Code.UNREACHABLE, Code.NO_CREDENTIAL, Code.TIMEOUT, Code.CIRCUIT_OPEN})


class MetricsBudget:
    """Until when, and how many bytes of samples, the fields of one request may take together. Made when the request begins."""

    def __init__(self, limits: LimitSettings) -> None:
        self.deadline = Deadline.of_request(limits.request_timeout)
        self._most, self._taken = limits.metrics_bytes, 0
        self._sites: set[str] = set()
        self.is_shared = False

    def expect(self, site: str) -> None:
        """Metrics of that site are about to be asked for."""
        self._sites.add(site)

    def take(self, site: str, pieces: Sequence[MetricPiece]) -> None:
        """Counts ``pieces``; raises ``LIMIT_EXCEEDED`` if they are too many, and ``BAD_ANSWER`` for samples that would spoil what
        comes from other sites."""
        size = sum(piece.size for piece in pieces)
        self._taken += size
        hold(size)
        if self.is_spent:
            raise self.error()
        if self.is_shared or len(self._sites) > 1:
            check_samples((series for piece in pieces for series in piece.metric.series or ()), site)

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may come."""
        return self._taken > self._most

    def error(self) -> RequestError:
        """What those who come too late get."""
        message = (
            f"These metrics have more than {self._most} bytes, the most for one answer. Ask for fewer jobs, metrics or scopes."
        )
        return RequestError(Code.LIMIT_EXCEEDED, message)


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """The use cases."""

    registry: Registry
    provisionals: Provisionals

    async def one(self, job_id: str, wanted: MetricsWanted, caller: Principal, budget: MetricsBudget) -> JobMetricsAnswer:
        """The metrics of the job with that ``"site:dbid"``. Raises ``RequestError`` or its site's ``SiteError``."""
        site, db_id = parse_job_id(job_id)
        instance = self.registry.one(site)
        budget.expect(site)
        until = budget.deadline.within(instance.settings.timeout)
        job = JobRef(site, db_id)
        if is_provisional(db_id):
            job = JobRef.of(await self.provisionals.row(instance, await instance.context(caller, until), db_id, NEEDED))
        answer = await self._read(instance, job, wanted, caller, until)
        budget.take(site, answer.pieces)
        return answer

    async def many(
        self, jobs: Sequence[JobRef], wanted: MetricsWanted, caller: Principal, budget: MetricsBudget
    ) -> list[Outcome]:
        """One outcome for each job, in their order: what one of them comes to touches no other, unless its site is gone."""
        places: dict[str, deque[int]] = {}
        for place, job in enumerate(jobs):
            places.setdefault(job.site, deque()).append(place)
            budget.expect(job.site)
        outcomes: dict[int, Outcome] = {}

        def settle(place: int, answer: JobMetricsAnswer) -> None:
            try:
                budget.take(jobs[place].site, answer.pieces)
                outcomes[place] = answer
            except GatewayError as error:
                forget_frames(error)
                outcomes[place] = error

        async def of_site(instance: Site, waiting: deque[int], until: Deadline) -> None:
            step = max(1, LOOKED_UP // len(wanted.names or SOME_NAMES))
            for chunk in [list(waiting)[start : start + step] for start in range(0, len(waiting), step)]:
                known = await self._known(instance, [jobs[place] for place in chunk], wanted, caller, until)
                for place in [place for place in chunk if jobs[place] in known]:
                    waiting.remove(place)
                    settle(place, known[jobs[place]])
                if not known or budget.is_spent:
                    break
            async with asyncio.TaskGroup() as group:
                for _ in range(min(instance.settings.concurrency, len(waiting))):
                    group.create_task(work_off(instance, waiting, until), name=f"metrics from {instance.name}")

        async def work_off(instance: Site, waiting: deque[int], until: Deadline) -> None:
            while waiting:
                place = waiting.popleft()
                try:
                    if budget.is_spent:
                        raise budget.error()
                    settle(place, await self._read(instance, jobs[place], wanted, caller, until))
                except GatewayError as error:
                    forget_frames(error)
                    outcomes[place] = error
                    if error.code in _OF_THE_SITE:
                        outcomes.update(dict.fromkeys(waiting, error))
                        waiting.clear()

        async with asyncio.TaskGroup() as group:
            for site, waiting in places.items():
                try:
                    instance = self.registry.one(site)
                except RequestError as error:
                    outcomes.update(dict.fromkeys(waiting, error))
                    continue
                until = budget.deadline.within(instance.settings.timeout)
                group.create_task(of_site(instance, waiting, until), name=f"metrics from {site}")
        return [outcomes[place] for place in range(len(jobs))]

    async def _read(
        self, instance: Site, job: JobRef, wanted: MetricsWanted, caller: Principal, deadline: Deadline
    ) -> JobMetricsAnswer:
        loop = asyncio.get_running_loop()
        started = loop.time()
        context = await instance.context(caller, deadline)
        try:
            async with deadline.limit():
                found = await instance.metrics(context, job, wanted)
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, instance.name, "The site did not answer in time.") from None
        note_sites([(instance.name, None)])
        return _answer(instance, context, wanted, found, round(loop.time() - started, 6))

    async def _known(
        self, instance: Site, jobs: Sequence[JobRef], wanted: MetricsWanted, caller: Principal, deadline: Deadline
    ) -> dict[JobRef, JobMetricsAnswer]:
        """What need not be asked for; what goes wrong here goes wrong for each job, and is told there."""
        try:
            context = await instance.context(caller, deadline)
            async with deadline.limit():
                known = await instance.known_metrics(context, jobs, wanted)
        except (SiteError, TimeoutError):
            return {}
        return {job: _answer(instance, context, wanted, found, 0.0) for job, found in known.items()}


def _answer(instance: Site, context: CallContext, wanted: MetricsWanted, found: MetricsFound, seconds: float) -> JobMetricsAnswer:
    report = SiteReport(instance.name, instance.number)
    report.elapsed, report.calls, report.returned = seconds, context.stats.calls, len(found.pieces)
    report.cache_age = context.stats.age
    report.notes = [clean(note) for note in (*found.notes, *_notes(wanted, found.pieces))]
    return JobMetricsAnswer(found.pieces, report, found.job, found.forms)


def _notes(wanted: MetricsWanted, pieces: Sequence[MetricPiece]) -> list[str]:
    """What was delivered otherwise than asked for. The same words for every job of a site, so that they can be told once."""
    notes = []
    scopes = sorted({piece.scope for piece in pieces}.difference(wanted.scopes or ()))
    if wanted.scopes and scopes:
        notes.append(f"scopes: {', '.join(scopes)} came unasked, as the site gives a metric at the scopes that it keeps.")
    if wanted.names and (missing := [name for name in wanted.names if all(piece.name != name for piece in pieces)]):
        notes.append(f"metrics: there is no {', '.join(missing)[:200]}.")
    return notes
