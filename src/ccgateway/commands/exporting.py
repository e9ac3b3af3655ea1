"""``ccgateway export`` and ``usage``: whole result sets, into a file or a pipe.

A file gets its name once all of it is there. Until then it is ``FILE.part``, and ``FILE.part.json`` beside it says what was asked
and where it goes on: the same command again reads the rest.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccgateway.commands.ending import Status, ending, note, warn_of_missing
from ccgateway.commands.options import chosen, source, takes

if TYPE_CHECKING:
    from ccgateway.client import Export, ExportEnd
    from ccgateway.client.filters import Filters
    from ccgateway.commands.connecting import Source

__all__ = ["export", "usage"]

STDOUT = Path("-")


class FileFormat(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class GroupBy(StrEnum):
    """By what hours are added up."""

    SITE = "site"
    CLUSTER = "cluster"
    PROJECT = "project"
    USER = "user"


FileArgument = Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write; - for standard output.")]
FormatOption = Annotated[
    FileFormat | None, typer.Option("--format", "-f", help="By the file's name if left out, else jsonl.", show_default=False)
]
PartialOption = Annotated[bool, typer.Option("--partial", help="Go on without sites that do not answer, and exit 3.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name, and forget a part of one.")]


@takes(chosen, source)
def export(
    file: FileArgument = STDOUT,
    *,
    format: FormatOption = None,  # noqa: A002 - the option's name
    columns: Annotated[
        str | None, typer.Option(help="Columns, with commas between them.", metavar="A,B", show_default=False)
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Average, lowest and highest value of this, too; may be repeated.")
    ] = None,
    running: Annotated[bool, typer.Option("--running", help="Jobs that still run, too.")] = False,
    shard: Annotated[str | None, typer.Option(help="One part of several, for parallel readers: 2/8.", show_default=False)] = None,
    partial: PartialOption = False,
    overwrite: OverwriteOption = False,
    chosen: Filters,
    source: Source,
) -> None:
    """Write all jobs that match, however many; the same command again goes on with an export that broke off."""
    with ending():
        with source.gateway() as gateway:
            names = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
            found = gateway.export(columns=names, metrics=metric or (), partial=partial, running=running, shard=shard, **chosen)
            asked = {
                "columns": names, "metrics": metric, "partial": partial, "running": running, "shard": shard, **chosen,
            }  # fmt: skip
            status = _written(found, file, format, asked, overwrite=overwrite, what="jobs")
        raise typer.Exit(status)


@takes(chosen, source)
def usage(
    file: FileArgument = STDOUT,
    *,
    by: Annotated[list[GroupBy] | None, typer.Option("--by", help="By what; may be repeated. All four if left out.")] = None,
    period: Annotated[str, typer.Option(help="For each month, day, ….")] = "month",
    format: FormatOption = None,  # noqa: A002
    partial: PartialOption = False,
    overwrite: OverwriteOption = False,
    chosen: Filters,
    source: Source,
) -> None:
    """Add up jobs, hours and energy by month, site, cluster, project and user: exactly, from every job."""
    with ending():
        with source.gateway() as gateway:
            groups = [one.value for one in by or GroupBy]
            found = gateway.usage(groups, period=period, partial=partial, **chosen)
            asked = {"by": groups, "period": period, "partial": partial, **chosen}
            status = _written(found, file, format, asked, overwrite=overwrite, what="rows")
        raise typer.Exit(status)


def _written(
    found: Export, file: Path, kind: FileFormat | None, asked: dict[str, object], *, overwrite: bool, what: str
) -> Status:
    from ccgateway.client import GatewayError
    from ccgateway.commands.destination import PartFile, to_stdout
    from ccgateway.commands.progress_bar import progress

    kind = kind or _by_name(file)
    try:
        with progress(what, fills_stdout=file == STDOUT) as tell:
            if file == STDOUT:
                if kind is FileFormat.PARQUET:
                    raise ValueError("a Parquet file is written into a file: name one")
                end = to_stdout(found, kind.value, tell)
            else:
                part = PartFile(file, kind.value, asked, overwrite=overwrite)
                end = part.fill_parquet(found) if kind is FileFormat.PARQUET else part.fill(found, tell)
    except GatewayError as error:
        if error.code == "INCOMPLETE":
            error.add_note("Give the command again when the site answers, or --partial for what there is without it.")
        elif error.code == "CONNECTION_LOST" and kind is FileFormat.PARQUET:
            error.add_note(
                "A Parquet file is broken off where a site fails, too: --format jsonl says why, and can go on from there."
            )
        raise
    sys.stdout.flush()
    return _told(end, file, what)


def _by_name(file: Path) -> FileFormat:
    """The format that the file's name says. Raises ``ValueError`` for one that says another."""
    suffix = file.suffix.removeprefix(".").lower()
    if not suffix or suffix == "ndjson":
        return FileFormat.JSONL
    if suffix not in set(FileFormat):
        raise ValueError(f"{file}: there is no format {suffix}; there are {', '.join(FileFormat)}, or add --format to mean one")
    return FileFormat(suffix)


def _told(end: ExportEnd, file: Path, what: str) -> Status:
    if file != STDOUT:
        note(f"{file}: {end.rows} {what}" + ("" if end.complete else ", but not all: some sites are missing"))
    elif not end.complete:
        note(f"{end.rows} {what} were written, but not all: some sites are missing")
    for one in end.notes:
        note(f"note: {one}")
    status = warn_of_missing(end.missing)
    return status if end.complete else Status.INCOMPLETE
