"""Where an export goes: a file that has its name only once it is whole, or standard output."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from ccgateway.commands.ending import note
from ccgateway.commands.output import csv_cell

if TYPE_CHECKING:
    from ccgateway.client import Batch, Export, ExportEnd

__all__ = ["PartFile", "Tell", "to_stdout"]

#: is told how many rows there are by now
Tell: TypeAlias = Callable[[int], None]


def to_stdout(found: Export, kind: str, tell: Tell) -> ExportEnd:
    """Writes an export to standard output, as ``jsonl`` or ``csv``."""
    out, is_first = sys.stdout.buffer, True
    for batch in found.batches():
        out.write(_encoded(found, batch, kind, with_head=is_first))
        is_first = False
        tell(batch.rows)
    out.flush()
    return _end_of(found)


def _end_of(found: Export) -> ExportEnd:
    if found.end is None:
        raise AssertionError("batches go on until there is an end")
    return found.end


def _encoded(found: Export, batch: Batch, kind: str, *, with_head: bool) -> bytes:
    if kind != "csv":
        return b"".join(batch.lines)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = found.reader.columns
    if with_head:
        writer.writerow(columns)
    for line in batch.lines:
        row = found.reader.row(line)
        writer.writerow([csv_cell(row.get(column)) for column in columns])
    return text.getvalue().encode()


@dataclass(frozen=True, slots=True)
class _Note:
    """How far an export is: what was asked for, where it goes on, rows and bytes so far."""

    parameters: tuple[tuple[str, str], ...] = ()
    resume: str | None = None
    rows: int = 0
    size: int = 0


class PartFile:
    """``FILE.part`` on its way to be ``FILE``, and ``FILE.part.json``, which tells what was asked, how much of it is certain, and
    where the export goes on. ``asked``: what makes two exports the same."""

    def __init__(self, file: Path, kind: str, asked: Mapping[str, object], *, overwrite: bool) -> None:
        if file.is_symlink():  # what it leads to is replaced, and the link stays
            file = file.resolve()
        if file.exists() and not file.is_file():
            raise ValueError(f"{file} is no ordinary file: give another name, or - for standard output")
        self.file, self._kind, self._asked = file, kind, {"format": kind, **asked}
        self._part, self._notes = file.with_name(file.name + ".part"), file.with_name(file.name + ".part.json")
        if file.exists() and not overwrite:
            raise ValueError(f"{file} is there already: give another name, or --overwrite")
        if overwrite:
            self._part.unlink(missing_ok=True)
            self._notes.unlink(missing_ok=True)

    def fill(self, found: Export, tell: Tell) -> ExportEnd:
        """Writes the export, or the rest of it, and gives the file its name."""
        earlier = self._earlier()
        if earlier.resume is not None:  # as it was meant then: seven days ago is another time by now
            found.question = replace(found.question, parameters=earlier.parameters)
        with self._opened(earlier.size) as part:
            for batch in found.batches(resume=earlier.resume, rows=earlier.rows):
                part.write(_encoded(found, batch, self._kind, with_head=part.tell() == 0))
                if batch.resume is not None:
                    part.flush()
                    self._remember(_Note(found.question.parameters, batch.resume, batch.rows, part.tell()))
                tell(batch.rows)
            part.flush()
            os.fsync(part.fileno())
        self._part.replace(self.file)
        self._notes.unlink(missing_ok=True)
        return _end_of(found)

    def fill_parquet(self, found: Export) -> ExportEnd:
        """Writes the export as a Parquet file, whose end tells whether it is whole, and gives the file its name."""
        from ccgateway.client import parquet_end

        with self._opened(0) as part:
            for chunk in found.parquet():
                part.write(chunk)
            part.flush()
            end = parquet_end(part)
            os.fsync(part.fileno())
        self._part.replace(self.file)
        return end

    @contextmanager
    def _opened(self, size: int) -> Iterator[IO[bytes]]:
        """The part, cut to what of it is certain; what is left of it is said if it does not become whole."""
        with self._part.open("r+b" if size else "w+b") as part:
            part.seek(size)
            part.truncate()
            try:
                yield part
            except BaseException:
                # a disk that is full must not hide what went wrong
                with suppress(OSError):
                    self._tell_of_part()
                raise

    def _tell_of_part(self) -> None:
        if self._notes.exists():
            note(f"What came so far is in {self._part}: the same command again goes on there.")
        elif not self._part.stat().st_size:
            self._part.unlink()
        else:
            note(f"{self._part} is only a part, from which nothing goes on: the same command again begins anew.")

    def _remember(self, one: _Note) -> None:
        """At any moment there is either the note before or this one, and the part is no shorter than it says."""
        text = json.dumps({"asked": self._asked, **asdict(one)})
        fresh = self._notes.with_name(self._notes.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self._notes)

    def _earlier(self) -> _Note:
        """Where an earlier run was. ``ValueError`` if it was of something else."""
        try:
            said = json.loads(self._notes.read_text(encoding="utf-8"))
            asked = said.pop("asked")
            found = _Note(**{**said, "parameters": tuple((str(name), str(value)) for name, value in said["parameters"])})
        except FileNotFoundError:
            return _Note()
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{self._notes} cannot be read: --overwrite begins anew") from None
        if asked != json.loads(json.dumps(self._asked)):
            raise ValueError(f"{self._part} is a part of another export: finish that, or --overwrite begins anew")
        if not self._part.exists():  # it has its name, and what came after was cut: a note of nothing
            return _Note()
        if self._part.stat().st_size < found.size:
            raise ValueError(f"{self._part} is shorter than it was: --overwrite begins anew")
        note(f"{self.file}: goes on behind {found.rows} rows in {self._part}")
        return found
