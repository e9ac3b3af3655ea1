"""Rows as Parquet: row groups of bounded size, compressed with zstd, and the records in the file's metadata.

A Parquet file is read by its end, which is written last: one that was cut is none.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ccgateway.surfaces.export.columns import Column, Kind
from ccgateway.surfaces.export.records import Begin, End, Mark, written

__all__ = ["BEGIN", "END", "GROUP_ROWS", "Parquet"]

#: under which the records stand in the metadata
BEGIN, END = "ccgateway.begin", "ccgateway.end"
#: rows of a row group at the most
GROUP_ROWS = 16_384

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.FLAG: pa.bool_(),
    Kind.TAGS: pa.list_(pa.struct([("type", pa.string()), ("name", pa.string()), ("scope", pa.string())])),
    Kind.RESOURCES: pa.list_(
        pa.struct(
            [
                ("hostname", pa.string()),
                ("hwthreads", pa.list_(pa.int32())),
                ("accelerators", pa.list_(pa.string())),
                ("configuration", pa.string()),
            ]
        )
    ),
    Kind.NUMBERS: pa.map_(pa.string(), pa.float64()),
    Kind.VALUES: pa.map_(pa.string(), pa.string()),
}


class Parquet:
    """One file."""

    media_type, can_fail = "application/vnd.apache.parquet", False
    #: the file has checksums of its own
    sha256 = None

    def __init__(self, columns: Sequence[Column]) -> None:
        self._schema = pa.schema([(column.name, _TYPES[column.kind]) for column in columns])
        self._gets = [_getter(column) for column in columns]
        self._file = io.BytesIO()
        self._writer = pq.ParquetWriter(
            _Sink(self._file), self._schema, compression="zstd", write_page_checksum=True, store_schema=False
        )
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self.rows = 0

    def begin(self, record: Begin) -> bytes:
        """The head of the file."""
        self._writer.add_key_value_metadata({BEGIN: written(record).decode()})
        return self._taken()

    async def write(self, rows: Sequence[Any]) -> bytes:
        """A row group, once there are rows enough for one."""
        if not rows:
            return b""
        return await asyncio.to_thread(self._write, rows)

    def mark(self, record: Mark) -> bytes:  # noqa: ARG002 - a file that was cut cannot be gone on with
        """Nothing."""
        return b""

    async def end(self, record: End) -> bytes:
        """The last row group, and the metadata."""

        def work() -> bytes:
            self._write_group()
            self._writer.add_key_value_metadata({END: written(record).decode()})
            self._writer.close()
            return self._taken()

        return await asyncio.to_thread(work)

    def _write(self, rows: Sequence[Any]) -> bytes:
        arrays = [pa.array([get(row) for row in rows], kind) for get, kind in zip(self._gets, self._schema.types, strict=True)]
        if self._held_rows + len(rows) > GROUP_ROWS:
            self._write_group()
        self._held.append(pa.record_batch(arrays, schema=self._schema))
        self._held_rows += len(rows)
        self.rows += len(rows)
        return self._taken()

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held), row_group_size=GROUP_ROWS)
            self._held, self._held_rows = [], 0

    def _taken(self) -> bytes:
        """What was written since."""
        found = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        return found


class _Sink(io.RawIOBase):
    """A file of which what was written is taken away: it knows its length all the same."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target, self._written = target, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = self._target.write(data)
        self._written += size
        return size

    def tell(self) -> int:
        return self._written


def _getter(column: Column) -> Callable[[Any], Any]:
    get, encode = column.get, msgspec.json.Encoder().encode
    if column.kind is Kind.NUMBERS:
        return lambda row: None if (value := get(row)) is None else list(value.items())
    if column.kind is not Kind.VALUES:
        return get

    def texts(row: Any) -> list[tuple[str, str | None]] | None:
        value = get(row)
        if value is None:
            return None
        return [(key, one if isinstance(one, str) or one is None else encode(one).decode()) for key, one in value.items()]

    return texts
