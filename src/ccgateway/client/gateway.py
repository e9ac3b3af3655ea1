"""The client for programs that wait for each answer."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx2
from tenacity import Retrying

from ccgateway.client import frames, reads, writes
from ccgateway.client.errors import GatewayError
from ccgateway.client.exports import Batch, ExportEnd, ExportQuestion, ExportReader
from ccgateway.client.filters import Filters, When
from ccgateway.client.plans import Answer, Plan, Request, refusal_in
from ccgateway.client.reads import GroupBy, Include, JobId, JobWalk
from ccgateway.client.sending import Connection, answer_of, failure_of, retry_after_of, retrying
from ccgateway.client.values import Figures, Job, JobStatistics, Metric, Missing, Outcome, Site, Tag
from ccgateway.client.writes import Edits, JobIds, Tags

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Export", "Gateway", "JobList"]

T = TypeVar("T")


class JobList:
    """Jobs of all sites, read as one iterates over them; each iteration reads anew.

    ``missing`` and ``cursor`` tell, of the newest iteration, what was missing of which site and where the list goes on.
    """

    def __init__(self, gateway: Gateway, options: Mapping[str, Any]) -> None:
        self._gateway, self._options = gateway, options
        self._walk = JobWalk(**options)

    def __iter__(self) -> Iterator[Job]:
        walk = self._walk = JobWalk(**self._options)
        while walk.more:
            try:
                page = self._gateway.carry_out(walk.page())
            except GatewayError as error:
                error.after = walk.cursor
                raise
            yield from page

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What is missing of which site; only ``partial=True`` lets anything be missing."""
        return self._walk.missing

    @property
    def cursor(self) -> str | None:
        """Where the list goes on, for ``jobs(after=…)``: behind the page that was read last."""
        return self._walk.cursor

    def to_pandas(self) -> pandas.DataFrame:
        """All of them as a DataFrame, columns as the gateway names them. Needs ``ccgateway[pandas]``."""
        return frames.to_pandas(list(self), self._walk.include)

    def to_arrow(self) -> pyarrow.Table:
        """All of them as a table of Arrow. Needs ``ccgateway[arrow]``."""
        return frames.to_arrow(list(self), self._walk.include)

    def to_polars(self) -> polars.DataFrame:
        """All of them as a DataFrame of Polars. Needs ``ccgateway[polars]``."""
        return frames.to_polars(list(self), self._walk.include)


class Export:
    """Rows of a whole result set, as one iterates over them; each iteration reads anew.

    An export that is cut goes on where it was. What came is checked against the sum that the gateway gives in the end: the
    iteration ends without an error only if all of it came. ``end`` tells what was missing, if ``partial=True`` let it be.
    """

    def __init__(self, gateway: Gateway, question: ExportQuestion) -> None:
        self._gateway, self.question = gateway, question
        self.reader = ExportReader(question, retries=gateway.connection.retries)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches():
            for line in batch.lines:
                yield self.reader.row(line)

    @property
    def end(self) -> ExportEnd | None:
        """How the newest iteration ended; ``None`` before that."""
        return self.reader.end

    def batches(self, *, resume: str | None = None, rows: int = 0) -> Iterator[Batch]:
        """The rows as the lines that came, some thousands at a time, each time with where the export goes on: ``resume`` and
        ``rows`` of an earlier batch go on behind it."""
        retries = self._gateway.connection.retries
        reader = self.reader = ExportReader(self.question, retries=retries, resume=resume, rows=rows)
        while reader.end is None:
            try:
                for chunk in self._gateway.streamed(reader.path, reader.parameters):
                    yield from reader.fed(chunk)
                reader.closed()
            except GatewayError as error:
                time.sleep(reader.failed(error))

    def parquet(self) -> Iterator[bytes]:
        """The bytes of a Parquet file instead of rows. Where it breaks off it has to be begun anew; ``parquet_end`` tells whether
        it is whole, and what is missing."""
        return self._gateway.streamed(f"export/{self.question.kind}", [("format", "parquet"), *self.question.parameters])


class Gateway:
    """One gateway, in front of many ClusterCockpit instances.

    ``url``: its address. ``token``: the caller's token or API key. ``timeout``: seconds that one request may take. ``retries``:
    how often a read that failed for a passing reason is sent again. ``verify``: false, or a file of certificates, for an address
    whose certificate is not publicly known. Whatever is asked may raise ``GatewayError``.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout: float = 60.0, retries: int = 4, verify: bool | str = True
    ) -> None:
        self.connection = Connection(url, token, timeout, retries, verify)
        self._client = self.connection.opened(httpx2.Client)

    def __repr__(self) -> str:
        return f"Gateway({self.connection.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    # --- reading

    def jobs(
        self,
        *,
        partial: bool = False,
        include: Collection[Include] = (),
        limit: int | None = None,
        page_size: int = reads.PAGE,
        after: str | None = None,
        **filters: Unpack[Filters],
    ) -> JobList:
        """The jobs that match all of ``filters``, newest first, each exactly once.

        ``partial``: go on without sites that do not answer (``missing`` tells), rather than raise ``Incomplete``. ``include``:
        what else of each job. ``limit``: at most so many. ``page_size``: jobs of one request. ``after``: go on there.
        """
        options = {"include": include, "partial": partial, "limit": limit, "size": page_size, "after": after}
        return JobList(self, {"filters": filters, **options})

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many jobs match, exactly and at all sites."""
        return self.carry_out(reads.count(filters))

    def job(self, job: JobId) -> Job:
        """One job with all that its site tells of it. Raises ``NotFound``."""
        return self.carry_out(reads.job(job))

    def metrics(self, job: JobId, names: Sequence[str] | None = None, *, scopes: Sequence[str] | None = None) -> list[Metric]:
        """The metrics of one job: all of them, or those of ``names`` that there are, at ``scopes`` such as ``node``."""
        return self.carry_out(reads.metrics(job, names, scopes))

    def job_statistics(self, names: Sequence[str] | None = None, **filters: Unpack[Filters]) -> list[JobStatistics]:
        """What the metrics of each job that matches come to, oldest first; jobs that have none are left out."""
        return self.carry_out(reads.job_statistics(names, filters))

    def statistics(
        self, group_by: GroupBy | None = None, *, partial: bool = False, exact: bool = False, **filters: Unpack[Filters]
    ) -> list[Figures]:
        """Figures of the jobs that match: one value, or one for each group. ``exact``: count one by one what adding up does not
        give exactly."""
        return self.carry_out(reads.statistics(group_by, filters, partial=partial, exact=exact))

    def sites(self) -> list[Site]:
        """The sites, and whether each answers just now."""
        return self.carry_out(reads.sites())

    def tags(self, *, partial: bool = False) -> list[Tag]:
        """The tags of all sites, as far as the caller may see them. ``partial``: without those of sites that do not tell any."""
        return self.carry_out(reads.tags(partial=partial))

    def export(
        self,
        *,
        columns: Sequence[str] | None = None,
        metrics: Sequence[str] = (),
        partial: bool = False,
        running: bool = False,
        shard: str | None = None,
        **filters: Unpack[Filters],
    ) -> Export:
        """All jobs that match as rows, in minutes however many: those that have ended, and with ``running`` the others too.

        ``columns``: the gateway's names; ``metrics``: average, lowest and highest value of these, too. ``partial``: go on without
        sites that do not answer. ``shard``: one part of several, ``2/8``, for parallel readers.
        """
        return Export(
            self,
            ExportQuestion.of_jobs(filters, columns=columns, metrics=metrics, partial=partial, running=running, shard=shard),
        )

    def usage(
        self,
        by: Sequence[str] = ("site", "cluster", "project", "user"),
        *,
        period: str = "month",
        partial: bool = False,
        **filters: Unpack[Filters],
    ) -> Export:
        """Jobs, hours and energy for each ``period`` (``month``, ``day``, …) and group, exactly, as rows."""
        return Export(self, ExportQuestion.of_usage(filters, by=by, period=period, partial=partial))

    # --- writing

    def tag(self, jobs: JobIds, tags: Tags, *, idempotency_key: str | None = None) -> list[Outcome]:
        """Puts tags (``type:name``) on jobs. One outcome for each job, in their order, as for all orders; look at them."""
        return self.carry_out(writes.tag(jobs, tags, idempotency_key))

    def untag(self, jobs: JobIds, tags: Tags, *, idempotency_key: str | None = None) -> list[Outcome]:
        """Takes tags from jobs."""
        return self.carry_out(writes.untag(jobs, tags, idempotency_key))

    def edit(self, edits: Edits, *, idempotency_key: str | None = None) -> list[Outcome]:
        """Sets keys of jobs' metadata: ``{"aurora:7": {"note": "slow"}}``, or pairs of the like."""
        return self.carry_out(writes.edit(edits, idempotency_key))

    def start(self, *jobs: Mapping[str, Any], idempotency_key: str | None = None) -> list[Outcome]:
        """Records jobs that have started: objects with the attributes of the gateway's ``StartJobInput``."""
        return self.carry_out(writes.start(jobs, idempotency_key))

    def stop(
        self,
        jobs: JobIds,
        *,
        state: str = "completed",
        stop_time: When | None = None,
        idempotency_key: str | None = None,
    ) -> list[Outcome]:
        """Records that jobs have ended: now, if no time is given."""
        return self.carry_out(writes.stop(jobs, state, stop_time, idempotency_key))

    def delete(self, jobs: JobIds, *, dry_run: bool = False, idempotency_key: str | None = None) -> list[Outcome]:
        """Deletes jobs from their sites' databases. ``dry_run``: only tell what would happen.

        Given as values of ``jobs()``, they are deleted only if they are those jobs still. A delete whose answer was lost is not
        sent again by itself.
        """
        return self.carry_out(writes.delete(jobs, idempotency_key, dry_run=dry_run))

    # --- the driver

    def carry_out(self, plan: Plan[T]) -> T:
        """Sends what ``plan`` asks for, until it has come to a value."""
        try:
            request = next(plan)
            while True:
                try:
                    answer = self._answered(request)
                except GatewayError as error:
                    request = plan.throw(error)
                else:
                    request = plan.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found

    def _answered(self, request: Request) -> Answer:
        answer: Answer = Retrying(**retrying(self.connection.retries, request.resend))(self._sent, request)
        return answer

    def _sent(self, request: Request) -> Answer:
        try:
            response = self._client.post("graphql", content=request.body, headers={"Content-Type": "application/json"})
        except httpx2.HTTPError as error:
            raise failure_of(error, self.connection.url) from None
        return answer_of(request, response)

    def streamed(self, path: str, parameters: Sequence[tuple[str, str]]) -> Iterator[bytes]:
        """The body of an answer, as it comes."""
        timeout = self.connection.streaming
        try:
            with self._client.stream("GET", path, params=list(parameters), timeout=timeout) as response:
                if response.status_code != 200:
                    raise refusal_in(response.status_code, response.read(), retry_after_of(response.headers))
                yield from response.iter_bytes()
        except httpx2.HTTPError as error:
            raise failure_of(error, self.connection.url) from None
