"""The client for programs that wait for each answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import httpx2
from tenacity import Retrying

from ccgateway.client import frames, reads, writes
from ccgateway.client.errors import GatewayError
from ccgateway.client.exchange import Answer, Plan, Request
from ccgateway.client.filters import Filters, When
from ccgateway.client.reads import GroupBy, Include, JobId, JobWalk
from ccgateway.client.sending import Connection, answer_of, failure_of, retrying
from ccgateway.client.values import Figures, Job, JobStatistics, Metric, Missing, Outcome, Site, Tag
from ccgateway.client.writes import Edits, JobIds, Tags

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Gateway", "JobList"]

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
        return frames.to_pandas(list(self))

    def to_arrow(self) -> pyarrow.Table:
        """All of them as a table of Arrow. Needs ``ccgateway[arrow]``."""
        return frames.to_arrow(list(self))

    def to_polars(self) -> polars.DataFrame:
        """All of them as a DataFrame of Polars. Needs ``ccgateway[polars]``."""
        return frames.to_polars(list(self))


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
        self._client = httpx2.Client(**self.connection.options)

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

    def tags(self) -> list[Tag]:
        """The tags of all sites, as far as the caller may see them."""
        return self.carry_out(reads.tags())

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
