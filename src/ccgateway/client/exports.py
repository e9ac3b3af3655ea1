"""Whole result sets: what an export's lines say, whether all of them came, and where one that was cut goes on.

Nothing is sent here; the two clients do that. Rows are handed on up to the gateway's last mark only, so that an export that is
cut goes on with exactly the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import SEEK_END
from typing import IO, Any, TypeVar

import msgspec

from ccgateway.client.errors import GatewayError, error_of
from ccgateway.client.filters import Filters, parameters, texts
from ccgateway.client.sending import LONGEST_WAIT, pause
from ccgateway.client.values import Missing

__all__ = ["Batch", "ExportEnd", "ExportQuestion", "ExportReader", "parquet_end"]

T = TypeVar("T")

#: of the format
VERSION = 1
#: bytes of the longest line: a row with all of a job's metadata
LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True)
class ExportQuestion:
    """What is to be exported. ``kind``: ``jobs`` or ``usage``; ``parameters``: as the gateway reads them."""

    kind: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def of_jobs(
        cls,
        filters: Filters,
        *,
        columns: Sequence[str] | None,
        metrics: Sequence[str],
        partial: bool,
        running: bool,
        shard: str | None,
    ) -> ExportQuestion:
        """Jobs, one row each. Raises ``ValueError`` for what exports cannot be restricted by."""
        found = [*parameters(filters), ("policy", "PARTIAL" if partial else "STRICT")]
        found += [("columns", ",".join(texts(columns)))] if columns else []
        found += [("metrics", ",".join(texts(metrics)))] if metrics else []
        found += [("running", "true")] if running else []
        found += [("shard", shard)] if shard else []
        return cls("jobs", tuple(found))

    @classmethod
    def of_usage(cls, filters: Filters, *, by: Sequence[str], period: str, partial: bool) -> ExportQuestion:
        """Hours used, one row for each period and group."""
        found = [
            *parameters(filters),
            ("policy", "PARTIAL" if partial else "STRICT"),
            ("by", ",".join(texts(by))),
            ("period", period),
        ]
        return cls("usage", tuple(found))


class _Head(msgspec.Struct, rename="camel"):
    export: str
    version: int
    columns: list[str]
    resumed_at: int = 0


class _Mark(msgspec.Struct):
    """``resume`` is empty where only a sign of life is given."""

    resume: str | None
    rows: int


class _Site(msgspec.Struct):
    site: str
    status: str = "OK"
    code: str | None = None
    message: str | None = None
    retryable: bool = False


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    site: str | None = None
    retryable: bool = False


class _End(msgspec.Struct):
    end: bool
    rows: int
    sha256: str
    complete: bool
    sites: list[_Site] = []
    error: _Error | None = None
    resume: str | None = None
    notes: tuple[str, ...] = ()


class _ParquetEnd(msgspec.Struct):
    rows: int
    complete: bool
    sites: list[_Site] = []
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportEnd:
    """How an export ended: rows in all, whether nothing is missing, and what is, if parts are allowed; ``notes``: what else is to
    be known, such as a metric that no job has."""

    rows: int
    complete: bool
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows up to a mark, each as the line that came (with its newline). ``resume``: where the export goes on behind them;
    ``None`` at its end. ``rows``: how many came so far, in all."""

    lines: list[bytes]
    resume: str | None
    rows: int


class ExportReader:
    """Reads one export, over as many connections as it takes.

    ``columns``: as soon as the first line is there; ``end``: once the export has ended. ``resume`` and ``rows``: an earlier
    export to go on with.
    """

    def __init__(self, question: ExportQuestion, *, retries: int, resume: str | None = None, rows: int = 0) -> None:
        self._question, self._retries, self._resume = question, retries, resume
        self._failures = 0
        self._rows = rows
        self.columns: list[str] = []
        self.end: ExportEnd | None = None
        self._begin()

    def _begin(self) -> None:
        self._rest, self._held = b"", list[bytes]()
        self._sum, self._answered = hashlib.sha256(), 0

    @property
    def path(self) -> str:
        """Where it is asked for."""
        return f"export/{self._question.kind}"

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """With what it is asked for next."""
        found = [("format", "jsonl"), *self._question.parameters]
        return found if self._resume is None else [*found, ("resume", self._resume)]

    def fed(self, chunk: bytes) -> Iterator[Batch]:
        """Takes a piece of the answer, and gives the rows that are certain now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise error_of("BAD_ANSWER", f"The export has a line of more than {LONGEST_LINE} bytes.")
        for line in lines:
            if self.end is not None:
                raise error_of("BAD_ANSWER", "The export goes on behind its end.")
            if line.startswith((b'{"export":', b'{"resume":', b'{"end":')):
                yield from self._record(line)
            elif line:
                self._held.append(line + b"\n")

    def _record(self, line: bytes) -> Iterator[Batch]:
        if line.startswith(b'{"export"'):
            head = _record(line, _Head)
            if head.version != VERSION or head.resumed_at != self._rows:
                message = f"The export is of version {head.version} and goes on behind {head.resumed_at} rows, not {self._rows}."
                raise error_of("BAD_ANSWER", message)
            self.columns = head.columns
        elif line.startswith(b'{"end"'):
            end = _record(line, _End)
            held = self._certain()
            self._check(end)
            if end.error is None:
                self.end = ExportEnd(self._rows + len(held), end.complete, _missing(end.sites), end.notes)
                yield self._given(held, None)
            elif end.resume:
                yield self._given(held, end.resume)
            if end.error is not None:
                said, gaps = end.error, _missing(end.sites)
                raise error_of(said.code, said.message, site=said.site, retryable=said.retryable, missing=gaps)
        elif resume := _record(line, _Mark).resume:
            yield self._given(self._certain(), resume)

    def _certain(self) -> list[bytes]:
        held, self._held = self._held, []
        for row in held:
            self._sum.update(row)
        self._answered += len(held)
        return held

    def _given(self, held: list[bytes], resume: str | None) -> Batch:
        if held:
            self._failures = 0
        self._resume = resume
        self._rows += len(held)
        return Batch(held, resume, self._rows)

    def _check(self, end: _End) -> None:
        """Refuses what does not fit what came."""
        if end.rows != self._answered or end.sha256 != self._sum.hexdigest():
            message = f"The export says that it has {end.rows} rows, but {self._answered} came, or they were changed on the way."
            raise error_of("CONNECTION_LOST", message, retryable=True)

    def closed(self) -> None:
        """The answer is over. Raises ``CONNECTION_LOST`` if its end was not among it."""
        if self.end is None:
            raise error_of("CONNECTION_LOST", "The export broke off before its end.", retryable=True)

    def failed(self, error: GatewayError) -> float:
        """Seconds to wait before the rest is asked for. Raises ``error``, with where the export goes on, if that is no use."""
        self._failures += 1
        self._begin()
        if not error.retryable or self._failures > self._retries or (error.retry_after or 0) > LONGEST_WAIT:
            error.after = self._resume
            raise error
        return pause(self._failures, error.retry_after)

    def row(self, line: bytes) -> dict[str, Any]:
        """One row, decoded. ``BAD_ANSWER`` if it is none."""
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise error_of("BAD_ANSWER", f"The export has a line that is no row: {error}") from None


def parquet_end(file: IO[bytes]) -> ExportEnd:
    """How an export ended that is a Parquet file, by its metadata. ``CONNECTION_LOST`` if the file is not whole."""
    size = file.seek(0, SEEK_END)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > size - 12:
        raise error_of("CONNECTION_LOST", "The Parquet file broke off before its end.", retryable=True)
    file.seek(size - 8 - length)
    _, key, rest = file.read(length).rpartition(b"ccgateway.end")
    start = rest.find(b'{"end":')
    if not key or start < 0:
        raise error_of("BAD_ANSWER", "The Parquet file does not say how the export ended.")
    found, _ = json.JSONDecoder().raw_decode(rest[start:].decode("utf-8", "replace"))
    end = msgspec.convert(found, _ParquetEnd)
    return ExportEnd(end.rows, end.complete, _missing(end.sites), end.notes)


def _record(line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise error_of("BAD_ANSWER", f"The export has a record that does not fit this client: {error}") from None


def _missing(sites: Sequence[_Site]) -> tuple[Missing, ...]:
    return tuple(
        Missing(site=one.site, code=one.code or "INTERNAL", message=one.message or "", retryable=one.retryable)
        for one in sites
        if one.status not in ("OK", "SKIPPED")
    )
