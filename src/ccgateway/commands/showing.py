"""``ccgateway job``, ``metrics``, ``stats`` and ``sites``: one thing at a time, looked at closely."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccgateway.commands.ending import Status, ending, note, warn_of_missing
from ccgateway.commands.options import Columns, Format, Output, chosen, source, takes

if TYPE_CHECKING:
    from ccgateway.client import Figures, Job, Metric
    from ccgateway.client.filters import Filters
    from ccgateway.commands.connecting import Source

__all__ = ["job", "metrics", "sites", "stats"]

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id, site:number, as the list has it.")]


class GroupBy(StrEnum):
    """By what jobs are grouped."""

    USER = "user"
    PROJECT = "project"
    CLUSTER = "cluster"
    SUBCLUSTER = "subcluster"
    SITE = "site"


@takes(source)
def job(id: JobArgument, *, output: Output = Format.TABLE, source: Source) -> None:  # noqa: A002 - the argument's name
    """Show all there is to know of one job."""
    with ending(), source.gateway() as gateway:
        from ccgateway.commands.output import for_people, write

        facts = _facts(gateway.job(id))
        if output in (Format.TABLE, Format.WIDE):
            for name, value in facts.items():
                sys.stdout.write(f"{name:16} {for_people(name, value)}\n")
        else:
            write([facts], output, list(facts), name="id")


def _facts(one: Job) -> dict[str, Any]:
    from ccgateway.client.frames import row_of

    return {**row_of(one), "metaData": one.meta_data}


_SERIES = ("metric", "scope", "unit", "hostname", "id", "min", "avg", "max", "timestep", "data")


@takes(source)
def metrics(
    id: JobArgument,  # noqa: A002
    names: Annotated[list[str] | None, typer.Argument(metavar="[METRIC]...", help="Only these metrics.")] = None,
    *,
    scope: Annotated[list[str] | None, typer.Option(help="At this scope, such as node; may be repeated.")] = None,
    output: Output = Format.TABLE,
    columns: Columns = None,
    source: Source,
) -> None:
    """Show what was measured during a job: a line for each series, drawn small."""
    with ending(), source.gateway() as gateway:
        from ccgateway.commands.output import chosen_columns, write

        found = gateway.metrics(id, names or None, scopes=scope or None)
        if absent := sorted(set(names or ()) - {one.name for one in found}):
            note(f"note: the site has no {', '.join(absent)} of this job")
        is_table = output in (Format.TABLE, Format.WIDE)
        usual = ["metric", "hostname", "avg", "data", "min", "max", "unit", "scope", "id"] if output is Format.TABLE else _SERIES
        shown = chosen_columns(columns, _SERIES, usual)
        write(_series(found, drawn=is_table), output, shown, name="metric")


def _series(found: list[Metric], *, drawn: bool) -> Iterator[dict[str, Any]]:
    from ccgateway.commands.output import sparkline

    room = max(10, shutil.get_terminal_size().columns // 3)
    for metric in found:
        for one in metric.series:
            said = one.statistics
            yield {
                "metric": metric.name, "scope": metric.scope, "unit": str(metric.unit), "hostname": one.hostname, "id": one.id,
                "min": said and said.min, "avg": said and said.avg, "max": said and said.max, "timestep": metric.timestep,
                "data": sparkline(one.data, room) if drawn else one.data,
            }  # fmt: skip


_FIGURES = {
    "group": "id", "jobs": "total_jobs", "running": "running_jobs", "nodeHours": "total_node_hours",
    "coreHours": "total_core_hours",
    "accHours": "total_acc_hours", "hours": "total_walltime", "users": "total_users", "short": "short_jobs",
    "nodes": "total_nodes", "cores": "total_cores", "accs": "total_accs",
}  # fmt: skip


@takes(chosen, source)
def stats(
    *,
    by: Annotated[GroupBy | None, typer.Option("--by", help="By what to group; everything together if left out.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Count one by one what adding up does not give exactly.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Write nothing rather than figures without a site.")] = False,
    output: Output = Format.TABLE,
    columns: Columns = None,
    chosen: Filters,
    source: Source,
) -> None:
    """Add up jobs: how many, and the hours they used. Exit 3 if a site is missing."""
    with ending():
        with source.gateway() as gateway:
            from ccgateway.commands.output import chosen_columns, write

            found = gateway.statistics(None if by is None else by.value, partial=not strict, exact=exact, **chosen)
            rows = [{name: getattr(one, key) for name, key in _FIGURES.items()} for one in found]
            usual = [name for name in _FIGURES if by is not None or name != "group"]
            write(rows, output, chosen_columns(columns, list(_FIGURES), usual), name="group")
            _tell_of_bounds(found)
            sys.stdout.flush()
            gaps = {report.site: gap for one in found for report in one.sites if (gap := report.missing) is not None}
            status = warn_of_missing(gaps.values())
        raise typer.Exit(status)


def _tell_of_bounds(found: list[Figures]) -> None:
    """Says which figures are not exact: once for each, not for each group."""
    names = {figure: figure for figure in ("totalUsers", "shortJobs", "runningJobs")}
    for figure in sorted({one.figure for each in found for one in each.exactness if one.quality != "EXACT"}):
        least = next(one for each in found for one in each.exactness if one.figure == figure and one.quality != "EXACT")
        note(f"note: {names.get(figure, figure)} is {least.quality.lower()}: {least.reason or 'sites cannot tell'}")


_SITES = {
    "site": "name", "number": "number", "release": "release", "reachable": "reachable", "since": "since", "elapsed": "elapsed",
    "required": "required", "capabilities": "capabilities",
}  # fmt: skip


@takes(source)
def sites(*, output: Output = Format.TABLE, columns: Columns = None, source: Source) -> None:
    """Show the sites, and whether each answers just now. Exit 3 if one does not."""
    with ending():
        with source.gateway() as gateway:
            from ccgateway.commands.output import chosen_columns, write

            found = gateway.sites()
            known = [*_SITES, "lastError"]
            rows = [
                {**{name: getattr(one, key) for name, key in _SITES.items()}, "lastError": one.last_error and one.last_error.code}
                for one in found
            ]
            usual = ["site", "number", "release", "reachable", "since", "elapsed", "lastError"]
            shown = chosen_columns(columns, known, usual if output is Format.TABLE else known)
            write(rows, output, shown, name="site")
            status = Status.GOOD if all(one.reachable for one in found) else Status.INCOMPLETE
        raise typer.Exit(status)
