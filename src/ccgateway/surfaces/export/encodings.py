"""Rows as JSON lines and as CSV."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Protocol

import msgspec

from ccgateway.surfaces.export.columns import Column, Kind, values_of
from ccgateway.surfaces.export.records import Begin, End, Mark, written
from ccgateway.traffic.scopes import in_turn

__all__ = ["Csv", "Encoding", "JsonLines"]


class Encoding(Protocol):
    """Writes one export. ``rows`` so far; ``sha256`` of their lines, ``None`` where there are no lines; ``can_fail``: whether an
    end that is an error can be told in what is written."""

    media_type: str
    can_fail: bool
    rows: int

    @property
    def sha256(self) -> str | None:
        """In hexadecimal digits."""
        ...

    def begin(self, record: Begin) -> bytes:
        """What comes first."""
        ...

    async def write(self, rows: Sequence[Any]) -> bytes:
        """What is ready to go out once ``rows`` are written, too."""
        ...

    def mark(self, record: Mark) -> bytes:
        """Where the export can be taken up again."""
        ...

    async def end(self, record: End) -> bytes:
        """What is left, and what comes last."""
        ...


class JsonLines:
    """One JSON object on each line: records and rows."""

    media_type, can_fail = "application/x-ndjson", True

    def __init__(self, columns: Sequence[Column]) -> None:
        fields = [(f"c{place}", Any) for place in range(len(columns))]
        rename = {f"c{place}": column.name for place, column in enumerate(columns)}
        self._make: Callable[..., Any] = msgspec.defstruct("Line", fields, rename=rename, gc=False)
        self._values = values_of(columns)
        self._encoder = msgspec.json.Encoder()
        self._sum = hashlib.sha256()
        self.rows = 0

    @property
    def sha256(self) -> str | None:
        """Of the lines of rows."""
        return self._sum.hexdigest()

    def begin(self, record: Begin) -> bytes:
        """The first line."""
        return written(record) + b"\n"

    async def write(self, rows: Sequence[Any]) -> bytes:
        """A line for each."""
        make, values, encode = self._make, self._values, self._encoder.encode_lines
        lines = await in_turn(lambda: encode([make(*values(row)) for row in rows]))
        self._sum.update(lines)
        self.rows += len(rows)
        return lines

    def mark(self, record: Mark) -> bytes:
        """A line."""
        return written(record) + b"\n"

    async def end(self, record: End) -> bytes:
        """The last line."""
        return written(record) + b"\n"


#: characters of a text up to which its cell is remembered
SHORT = 64
#: what a spreadsheet takes for a formula (some take the wide signs for the plain ones), also where semicolons or tabs
#: divide cells for it; and what begins a comment
_HARMFUL = re.compile(r"^[=+\-@\t\r\n#\uff1d\uff0b\uff0d\uff20]|(?<=[;\t])[=+\-@\uff1d\uff0b\uff0d\uff20]|(?<=[\r\n])#")
#: what a cell is quoted for: readers that know comments look for them in the middle of lines, too
_QUOTED = re.compile(r'[",\r\n#\']|^\s|\s$')


class Csv:
    """A header, the rows, and as the last line a comment: ``# `` and the end record.

    Lines end with a line feed. Texts that a spreadsheet would take for a formula have a ``'`` before them, and so has a ``#``
    that begins a line of a text: a line that begins with ``#`` is the end, and nothing else. Nested values are JSON, unknown ones
    empty.
    """

    media_type, can_fail = "text/csv; charset=utf-8", True

    def __init__(self, columns: Sequence[Column]) -> None:
        self._header = [_text_cell(column.name) for column in columns]
        self._gets = [_cell(column) for column in columns]
        self._sum = hashlib.sha256()
        self.rows = 0

    @property
    def sha256(self) -> str | None:
        """Of the lines of rows, without the header."""
        return self._sum.hexdigest()

    def begin(self, record: Begin) -> bytes:  # noqa: ARG002 - a table begins with its header
        """The header."""
        return _lines([self._header])

    async def write(self, rows: Sequence[Any]) -> bytes:
        """A line for each, or several where a text has line ends."""
        gets = self._gets
        lines = await in_turn(lambda: _lines([get(row) for get in gets] for row in rows))
        self._sum.update(lines)
        self.rows += len(rows)
        return lines

    def mark(self, record: Mark) -> bytes:  # noqa: ARG002
        """Nothing: rows follow one another."""
        return b""

    async def end(self, record: End) -> bytes:
        """The comment."""
        return b"# " + written(record) + b"\n"


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    # an empty line would be none
    return "".join([(",".join(row) or '""') + "\n" for row in rows]).encode("utf-8", "replace")


def _text_cell(value: str | None) -> str:
    return "" if value is None else _short_cell(value) if len(value) <= SHORT else _cell_of(value)


def _cell_of(value: str) -> str:
    if _HARMFUL.search(value):
        value = _HARMFUL.sub(lambda found: "'" + found[0], value)
    return '"' + value.replace('"', '""') + '"' if _QUOTED.search(value) else value


# users, clusters and the like come again and again
_short_cell = lru_cache(maxsize=8192)(_cell_of)


def _cell(column: Column) -> Callable[[Any], str]:
    get, encode = column.get, msgspec.json.Encoder().encode
    if column.kind is Kind.TEXT:
        return lambda row: _text_cell(get(row))
    if column.kind is Kind.INTEGER:
        return lambda row: str(get(row))
    if column.kind is Kind.NUMBER:
        return lambda row: repr(value) if (value := get(row)) is not None and isfinite(value) else ""

    def as_json(row: Any) -> str:
        value = get(row)
        text = "" if value is None else encode(value).decode()
        return "" if text == "null" else text if column.kind is Kind.FLAG else _text_cell(text)

    return as_json
