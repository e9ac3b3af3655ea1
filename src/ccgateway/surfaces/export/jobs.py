"""Jobs, batch by batch, each written when the one before is on its way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from operator import attrgetter

from ccgateway.errors import GatewayError, RequestError
from ccgateway.federation.batches import JobBatch
from ccgateway.jobs.model import ALWAYS
from ccgateway.surfaces.export.columns import RUNS_BY, Column, columns_of, is_running
from ccgateway.surfaces.export.encodings import Encoding
from ccgateway.surfaces.export.files import encoding_for, file_answer, to_its_end
from ccgateway.surfaces.export.questions import JobsAsked, asked_query
from ccgateway.surfaces.export.records import VERSION, Begin, End, Mark, failure_of, moment
from ccgateway.surfaces.export.resuming import Resume
from ccgateway.surfaces.export.streams import JobReader, Streams
from ccgateway.surfaces.rest.calls import Answer, Call

__all__ = ["export_jobs"]

#: rows, and seconds, after which there is a mark
MARK_ROWS, MARK_SECONDS = 1000, 5.0


async def export_jobs(call: Call, streams: Streams) -> Answer:
    """The jobs that ``call`` asks for. Raises ``GatewayError`` as long as nothing was sent."""
    asked = JobsAsked.of(call)
    digest = asked.digest(call.caller, call.gateway.releases(asked.sites, call.caller))
    resume = Resume.decode(asked.resume, digest)
    columns = columns_of(asked.columns, asked.metrics, call.ids, as_of=resume.as_of, marks_running=asked.running)
    encoding = encoding_for(asked.format, columns)
    call.closing.enter_context(streams.entered(call.caller.share))
    reader = JobReader(
        call.gateway,
        call.caller,
        streams,
        [asked.filter],
        resume.as_of,
        asked.policy,
        frozenset().union(RUNS_BY, ALWAYS, *(column.needs for column in columns)) - {"site"},
        asked.sites,
        after=resume.cursor,
        missing=frozenset(resume.missing),
        shard=asked.shard,
        latest=resume.latest,
    )
    export = _JobsExport(call, asked, digest, columns, encoding, reader, resumed_at=resume.rows)
    rest = to_its_end(export.rest(), encoding, export.end, call.request_id)
    return file_answer("jobs", asked.format, encoding, await export.first(), rest)


@dataclass(slots=True)
class _JobsExport:
    call: Call
    asked: JobsAsked
    digest: str
    columns: tuple[Column, ...]
    encoding: Encoding
    reader: JobReader
    resumed_at: int
    _of_sites: Counter[str] = field(default_factory=Counter)
    _marked_rows: int = 0
    _marked_at: float = 0.0
    _is_over: bool = False
    #: metrics that no job had so far
    _unseen: set[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._unseen = {metric.encode() for metric in self.asked.metrics}

    async def first(self) -> bytes:
        """The first record and the first rows."""
        batch = await self.reader.next()
        self._marked_at = asyncio.get_running_loop().time()
        begin = Begin(
            "jobs",
            VERSION,
            asked_query(self.call.query),
            [column.name for column in self.columns],
            moment(self.reader.as_of),
            self.asked.policy.value,
            self.reader.releases(),
            self.resumed_at,
        )
        return self.encoding.begin(begin) + await self._written(batch)

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """The rows that follow."""
        while not self._is_over:
            traffic = self.call.state.traffic
            with traffic.sending() as sending:
                # the first batch is what the request itself was let in for
                async with traffic.admitted(self.call.caller.share, sending):
                    piece = await self._written(await self.reader.next())
                try:
                    sending.settle(len(piece))
                except RequestError:
                    yield piece  # which is counted already
                    raise
                yield piece

    async def _written(self, batch: JobBatch | None) -> bytes:
        """The rows of a batch that are to be exported, and a mark where one is due."""
        if batch is None:
            self._is_over = True
            return b""
        self._is_over = batch.is_last
        as_of = self.reader.as_of
        rows = list(batch.rows) if self.asked.running else [row for row in batch.rows if not is_running(row, as_of)]
        self._of_sites.update(map(attrgetter("site"), rows))
        self._unseen -= {name for name in self._unseen if any(b'"%b":' % name in bytes(row.statistics_json) for row in rows)}
        lines = await self.encoding.write(rows)
        self.reader.streams.observer.rows_exported(self.asked.format, len(rows))
        return lines + self._mark() if self._is_mark_due() else lines

    def _is_mark_due(self) -> bool:
        since = asyncio.get_running_loop().time() - self._marked_at
        return not self._is_over and (self.encoding.rows - self._marked_rows >= MARK_ROWS or since >= MARK_SECONDS)

    def _mark(self) -> bytes:
        self._marked_rows, self._marked_at = self.encoding.rows, asyncio.get_running_loop().time()
        return self.encoding.mark(Mark(self._token(), self.resumed_at + self.encoding.rows))

    def _token(self) -> str:
        return self.reader.resume_token(self.digest, self.resumed_at + self.encoding.rows)

    def end(self, error: GatewayError | None) -> End:
        """The last record."""
        return End(
            rows=self.encoding.rows,
            sha256=self.encoding.sha256,
            complete=error is None and not self.reader.missing,
            sites=self.reader.ends(self._of_sites, error),
            error=None if error is None else failure_of(error),
            resumed_at=self.resumed_at,
            resume=None if error is None else self._token(),
            notes=[f"metrics: none of these jobs has {name.decode()}" for name in sorted(self._unseen) if self.encoding.rows],
        )
