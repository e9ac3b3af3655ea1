"""Data on standard output: tables that fit the terminal, and formats that programs read.

What strangers wrote (names of jobs, tags, messages) moves no cursor, turns no line around, and is no formula in a spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias

from ccgateway.commands.ending import note
from ccgateway.commands.options import Format
from ccgateway.errors import clean

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Row", "chosen_columns", "csv_cell", "for_people", "sparkline", "table", "write"]

#: a row: names of columns, and their values
Row: TypeAlias = Mapping[str, Any]
#: rows that are looked at to find out how wide a table is
MEASURED = 2000
#: the least number of columns of a table, however narrow the terminal is
FEWEST = 1
#: what spreadsheets take for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def chosen_columns(wanted: str | None, known: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The columns that ``wanted`` names, else ``usual``. Raises ``ValueError`` for one that there is not."""
    if wanted is None:
        return list(usual)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if not names:
        raise ValueError("--columns names none")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no column {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def write(rows: Iterable[Row], kind: Format, columns: Sequence[str], *, name: str) -> None:
    """Writes rows as they come. ``name``: the column that stands for a row."""
    out = sys.stdout
    match kind:
        case Format.NAME:
            for row in rows:
                out.write(f"{clean(str(row[name]))}\n")
        case Format.JSONL:
            for row in rows:
                out.write(_json({column: row.get(column) for column in columns}) + "\n")
        case Format.JSON:
            opening = "["
            for row in rows:
                out.write(opening + "\n" + _json({column: row.get(column) for column in columns}))
                opening = ","
            out.write("[]\n" if opening == "[" else "\n]\n")
        case Format.CSV:
            _write_csv(rows, columns)
        case _:
            _write_table(rows, columns, is_wide=kind is Format.WIDE)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    if clean(text) == text:
        return text
    return "".join(one if clean(one) == one else json.dumps(one)[1:-1] for one in text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    raise TypeError(f"{type(value).__name__} is not written as JSON")


def _write_csv(rows: Iterable[Row], columns: Sequence[str]) -> None:
    is_seen = sys.stdout.isatty()
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for cells in chain([columns], ([csv_cell(row.get(column), is_seen=is_seen) for column in columns] for row in rows)):
        writer.writerow(cells)
        sys.stdout.write(line.getvalue())
        line.seek(0)
        line.truncate()


def csv_cell(value: object, *, is_seen: bool = False) -> object:
    """A value as CSV has it: a text that a spreadsheet would take for a formula begins with ``'``. ``is_seen``: by a terminal."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(_plain(value)) if isinstance(value, datetime) else value if isinstance(value, str) else _json(value)
    text = text.encode("utf-8", "replace").decode()  # half characters, which cannot be written
    if text.startswith(_FORMULA):
        text = "'" + text
    return clean(text) if is_seen else text


# --- tables


def for_people(column: str, value: object) -> str:
    """A value as a table shows it: times in the local zone, lengths of time in hours and minutes."""
    match value:
        case None:
            return "–"
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M")
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case int() if column in ("duration", "walltime"):
            return _length(value)
        case list() | tuple():
            return clean(", ".join(map(str, value)))
        case dict():
            return clean(json.dumps(value, ensure_ascii=False))
    return clean(str(value))


def _length(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return (f"{days}-" if days else "") + f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"


def table(rows: Sequence[Row], columns: Sequence[str], width: int | None) -> Table:
    """A table of these rows; within ``width`` characters, for which the last columns are left out first."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[for_people(column, row.get(column)) for column in columns] for row in rows]
    if width is not None:
        needed = [max([len(column), *(cell_len(row[place]) for row in cells)]) + 2 for place, column in enumerate(columns)]
        fitting = len(columns)
        while fitting > FEWEST and sum(needed[:fitting]) > width:
            fitting -= 1
        columns, cells = columns[:fitting], [row[:fitting] for row in cells]
    numbers = {column for column in columns if any(isinstance(row.get(column), int | float) for row in islice(rows, MEASURED))}
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, no_wrap=True, overflow="ellipsis", justify="right" if column in numbers else "left")
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _write_table(rows: Iterable[Row], columns: Sequence[str], *, is_wide: bool) -> None:
    from rich.console import Console

    found = list(rows)
    if not found:
        if sys.stdout.isatty():  # a script sees it by itself
            note("There is nothing to show.")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if width is not None and not is_wide:
        Console(width=width, highlight=False).print(table(found, columns, width))
        return
    # for a file, a pipe and whoever wants everything: as wide as it is
    console = Console(file=(text := io.StringIO()), width=1 << 20, highlight=False)
    console.print(table(found, columns, None))
    for line in text.getvalue().splitlines():
        sys.stdout.write(_writable(line.rstrip()) + "\n")


def _writable(text: str) -> str:
    """What the output's encoding lacks is shown as a question mark: a table is for people."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


_SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """``values`` as a line of at most ``width`` characters: the mean of as many as each stands for, a blank for a gap."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    size = max(1, -(-len(values) // width))
    pieces = ([one for one in values[at : at + size] if one is not None] for at in range(0, len(values), size))
    shade: Callable[[float], str] = lambda value: _SPARKS[min(7, int((value - low) / span * 8))]  # noqa: E731
    return "".join(shade(sum(piece) / len(piece)) if piece else " " for piece in pieces)
