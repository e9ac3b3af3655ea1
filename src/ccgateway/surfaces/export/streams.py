"""How many exports run at a time, how they end when the gateway stops, and the jobs that they are made of, batch by batch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from ccgateway.errors import Code, FederationError, GatewayError, RequestError
from ccgateway.federation.batches import JobBatch, JobBatches
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, Policy, SiteReport
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import JobFilter
from ccgateway.settings.export import ExportSettings
from ccgateway.surfaces.export.records import SiteEnd, SiteRelease, failure_of, site_end
from ccgateway.surfaces.export.resuming import VERSION, Resume, until
from ccgateway.surfaces.export.shards import Shard, ShardBatches
from ccgateway.telemetry import Observer
from ccgateway.traffic.scopes import RequestScope, current_scope

__all__ = ["JobReader", "Streams"]

#: jobs that are read at once
BATCH = 2000
#: seconds after which a caller that was refused for too many exports may try again
RETRY_AFTER = 2.0

STOPPING = "The gateway is stopping. The export goes on at another one, or in a moment, with its last token (resume)."


class Streams:
    """All exports of this process, by ``settings``; ``observer`` is told of their rows."""

    def __init__(self, settings: ExportSettings, observer: Observer | None = None) -> None:
        self._settings, self.observer = settings, observer or Observer()
        self._running: Counter[Hashable] = Counter()
        self._limits: set[asyncio.Timeout] = set()
        self._ends_at: float | None = None

    @property
    def running(self) -> int:
        """Exports that are under way."""
        return self._running.total()

    @contextmanager
    def entered(self, share: Hashable) -> Iterator[None]:
        """For the length of one export of the caller with that share. Raises ``RATE_LIMITED`` and ``STOPPING``."""
        self._refuse_stopping()
        for running, most, whose, key in (
            (self.running, self._settings.streams, "", "streams"),
            (self._running[share], self._settings.streams_per_caller, " of this caller", "streams_per_caller"),
        ):
            if running >= most:
                message = f"More than {most} exports{whose} at a time (export.{key}). Read those that are open."
                raise RequestError(Code.RATE_LIMITED, message, retry_after=RETRY_AFTER)
        self._running[share] += 1
        try:
            yield
        finally:
            self._running[share] -= 1
            if not self._running[share]:
                del self._running[share]

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """For the length of one question to the sites. Raises ``STOPPING`` once the gateway stops."""
        self._refuse_stopping()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits.add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise GatewayError(Code.STOPPING, STOPPING) from None
        finally:
            self._limits.discard(limit)

    def stop(self, seconds: float) -> None:
        """No export is begun any more; those under way end with what they go on with, within about half of so many seconds."""
        self._ends_at = asyncio.get_running_loop().time() + seconds / 2
        for limit in self._limits:
            limit.reschedule(self._ends_at)

    def _refuse_stopping(self) -> None:
        if self._ends_at is not None:
            raise GatewayError(Code.STOPPING, STOPPING)


@dataclass(slots=True)
class JobReader:
    """The jobs that match all of ``filters``, as ``caller`` sees them, and had started at ``as_of`` (epoch seconds), from
    ``after`` on.

    ``missing``: sites of which something was missing before. ``shard``: one slice of them; ``latest``: where that is to go on,
    together with ``after``. ``size``: jobs of a batch.
    """

    gateway: Gateway
    caller: Principal
    streams: Streams
    filters: Sequence[JobFilter]
    as_of: int
    policy: Policy
    fields: frozenset[str]
    sites: Sequence[str] | None = None
    after: str | None = None
    missing: frozenset[str] = frozenset()
    shard: Shard | None = None
    latest: int | None = None
    size: int = BATCH
    _batches: JobBatches | ShardBatches = field(init=False)

    def __post_init__(self) -> None:
        question = JobListQuestion(
            filters=until(self.filters, self.as_of),
            after=self.after,
            sites=self.sites,
            policy=self.policy,
            fields=self.fields,
            waits_for_all=True,
        )
        if self.shard is None:
            self._batches = self.gateway.job_batches(question, self.caller, size=self.size)
        else:
            latest = self.as_of if self.latest is None else self.latest
            self._batches = ShardBatches(self.gateway, question, self.caller, self.size, self.shard, latest)

    async def next(self) -> JobBatch | None:
        """The next batch, ``None`` after the last; as a large question among those of all callers."""
        scope = current_scope()
        if isinstance(scope, RequestScope):
            scope.become_bulk()
        async with self.streams.reading():
            batch = await self._batches.next()
        if isinstance(scope, RequestScope) and scope.account.refusal is not None:
            raise scope.account.refusal
        if isinstance(self._batches, ShardBatches):
            self.latest = self._batches.latest
        if batch is not None:
            self.after = batch.resume
            self.missing |= set(batch.missing)
        return batch

    def resume_token(self, digest: str, rows: int) -> str:
        """Where an export of the question with that ``digest`` goes on, of which there are ``rows`` rows by now."""
        return Resume(VERSION, digest, self.as_of, rows, self.after, tuple(sorted(self.missing)), self.latest).encode()

    def releases(self) -> list[SiteRelease]:
        """The sites asked, each with its release as far as that is known by now."""
        return [SiteRelease(*pair) for pair in self.gateway.releases(self.sites, self.caller).items()]

    @property
    def reports(self) -> Sequence[SiteReport]:
        """What each site contributed so far."""
        return self._batches.reports

    def ends(self, rows: Counter[str], error: GatewayError | None) -> list[SiteEnd]:
        """What each site came to, ``rows`` of it in this answer; and what it came to that ``error`` names as its cause."""
        ends = {report.site: site_end(report, rows[report.site]) for report in self._batches.reports}
        for cause in error.causes if isinstance(error, FederationError) else ():
            said = failure_of(cause)
            ends[cause.site] = SiteEnd(cause.site, "FAILED", rows[cause.site], said.code, said.message, said.retryable)
        for site in self.missing:
            if site not in ends or ends[site].status in ("OK", "SKIPPED"):
                message = "Something of it is missing in what was given before the export was taken up again."
                ends[site] = SiteEnd(site, "PARTIAL", rows[site], Code.INCOMPLETE.value, message)
        return list(ends.values())
