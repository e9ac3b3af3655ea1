"""``ccgateway jobs``: the list, once or again and again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccgateway.commands.ending import Status, ending, note, warn_of_missing
from ccgateway.commands.options import Columns, Format, Output, chosen, source, takes

if TYPE_CHECKING:
    from rich.console import Group

    from ccgateway.client import Gateway, JobList
    from ccgateway.client.filters import Filters
    from ccgateway.commands.connecting import Source

__all__ = ["jobs"]

#: what a table shows, the most telling first
USUAL = ("id", "user", "jobState", "startTime", "duration", "numNodes", "project", "jobId", "subCluster", "tags")
#: columns for which a job is read in more detail
DETAILS = {"hosts": "resources", "jobName": "meta_data"}
#: jobs of a table, if nothing is said
MOST = 50


@takes(chosen, source)
def jobs(
    *,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all. Tables have 50 if nothing is said.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many match.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing rather than a list without a site.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show the newest again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=1, max=86400, help="Seconds between two looks with --watch.")] = 5.0,
    output: Output = Format.TABLE,
    columns: Columns = None,
    chosen: Filters,
    source: Source,
) -> None:
    """List jobs of all sites, newest first. Exit 3 if a site is missing."""
    with ending():
        with source.gateway() as gateway:
            if count:
                typer.echo(gateway.count(**chosen))
                return
            names = _columns(columns, output)
            if limit is None and output in (Format.TABLE, Format.WIDE):
                limit = MOST
            wanted = _list(gateway, chosen, names, limit or None, strict=strict)
            if watch:
                _watch(gateway, wanted, names, interval)
                return
            status = _write(wanted, names, output, limit or None)
        raise typer.Exit(status)


def _columns(wanted: str | None, output: Format) -> list[str]:
    from ccgateway.client.frames import COLUMNS
    from ccgateway.commands.output import chosen_columns

    known = [*COLUMNS, "tags", *DETAILS]
    return chosen_columns(wanted, known, USUAL if output is Format.TABLE else [*COLUMNS, "tags"])


def _list(gateway: Gateway, which: Filters, columns: list[str], limit: int | None, *, strict: bool) -> JobList:
    include: Any = [detail for column, detail in DETAILS.items() if column in columns]
    return gateway.jobs(partial=not strict, include=include, limit=limit, **which)


def _write(wanted: JobList, columns: list[str], output: Format, limit: int | None) -> Status:
    from ccgateway.client.frames import row_of
    from ccgateway.commands.output import write
    from ccgateway.commands.progress_bar import counted

    written = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal written
        for job in counted(wanted, "jobs"):
            written += 1
            yield row_of(job)

    write(rows(), output, columns, name="id")
    sys.stdout.flush()
    if output is Format.TABLE and written == limit == MOST:
        note(f"note: the newest {MOST}, there may be more (--limit 0 for all)")
    return warn_of_missing(wanted.missing)


def _watch(gateway: Gateway, wanted: JobList, columns: list[str], interval: float) -> None:
    from rich.live import Live

    if not sys.stdout.isatty():
        raise ValueError("--watch needs a terminal")
    try:
        with Live(auto_refresh=False, screen=True) as live:
            while True:
                live.update(_view(gateway, wanted, columns), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        return


def _view(gateway: Gateway, wanted: JobList, columns: list[str]) -> Group:
    """What --watch shows of one look: as many jobs as there is room for, and what is missing."""
    from rich.console import Group
    from rich.text import Text

    from ccgateway.client import GatewayError
    from ccgateway.client.frames import row_of
    from ccgateway.commands.output import table
    from ccgateway.errors import clean

    size = shutil.get_terminal_size()
    lines = [Text(f"{gateway.connection.url}  {time.strftime('%H:%M:%S')}  (Ctrl-C ends)", style="dim")]
    try:
        rows = [row_of(job) for job in wanted][: max(1, size.lines - 3 - len(wanted.missing))]
    except GatewayError as error:
        return Group(*lines, Text(clean(str(error)), style="red"))
    lines += [Text(clean(f"missing: {gap}"), style="yellow") for gap in wanted.missing]
    return Group(*lines, table(rows, columns, size.columns))
