"""Options that several commands have, each said once: where the gateway is, which jobs, and how to write them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccgateway.commands.connecting import Source

if TYPE_CHECKING:
    from ccgateway.client.filters import Filters

__all__ = ["Columns", "Format", "Output", "chosen", "source", "takes"]


class Format(StrEnum):
    """How data are written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    NAME = "name"


Output = Annotated[
    Format, typer.Option("--output", "-o", help="table fits the terminal, wide has every column; name writes ids alone.")
]
Columns = Annotated[
    str | None, typer.Option("--columns", help="Columns, with commas between them.", show_default=False, metavar="A,B")
]

_PLACE, _JOBS = "Where the gateway is", "Which jobs"


def _place(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_PLACE, show_default=False, **more)


def _which(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=_JOBS, show_default=False, **more)


def source(
    *,
    url: Annotated[str | None, _place("--url", help="Its address; else CCGATEWAY_URL, else the profile's.")] = None,
    profile: Annotated[
        str | None, _place("--profile", help="A section of the file of profiles; else CCGATEWAY_PROFILE, else default.")
    ] = None,
    token_file: Annotated[
        Path | None, _place("--token-file", help="File with your token; else CCGATEWAY_TOKEN, the profile's, the keyring's.")
    ] = None,
    timeout: Annotated[
        float, _place("--timeout", min=0.1, max=3600, help="Seconds that one request may take: 60 if not said.")
    ] = 60.0,
) -> Source:
    """Where the gateway is, and who asks."""
    return Source(url, profile, token_file, timeout)


def chosen(
    *,
    user: Annotated[
        list[str] | None, _which("--user", "-u", help="Of this user; several with commas, or the option again, as most.")
    ] = None,
    project: Annotated[list[str] | None, _which("--project", "-p", help="Of this project.")] = None,
    cluster: Annotated[list[str] | None, _which("--cluster", help="Of this cluster.")] = None,
    site: Annotated[list[str] | None, _which("--site", "-s", help="At this site.")] = None,
    state: Annotated[list[str] | None, _which("--state", help="In this state: running, completed, failed, ….")] = None,
    since: Annotated[
        str | None, _which("--since", help="Started then or later: 7d (ago), 2024-06-01 or 2024-06-01T12:00 by your own clock.")
    ] = None,
    until: Annotated[str | None, _which("--until", help="Started then or earlier, likewise; a day is meant as a whole.")] = None,
    nodes: Annotated[str | None, _which("--nodes", help="Number of nodes: 4, 4.., ..16 or 4..16.")] = None,
    duration: Annotated[str | None, _which("--duration", help="Run time: 1h.., 30m..2h.")] = None,
    name: Annotated[str | None, _which("--name", help="With exactly this name.")] = None,
    tag: Annotated[str | None, _which("--tag", help="With this tag: type:name.")] = None,
    node: Annotated[list[str] | None, _which("--node", help="On this host.")] = None,
    job_id: Annotated[list[str] | None, _which("--job-id", help="With this number of the scheduler's.")] = None,
) -> Filters:
    """Which jobs."""
    given: dict[str, Any] = {
        "user": _each(user), "project": _each(project), "cluster": _each(cluster), "site": _each(site), "state": _each(state),
        "since": _by_own_clock(since), "until": _by_own_clock(until, ends=True),
        "nodes": nodes, "duration": duration, "name": name, "tag": tag, "node": _each(node), "job_id": _each(job_id),
    }  # fmt: skip
    found: Any = {key: value for key, value in given.items() if value not in (None, [])}
    return found  # type: ignore[no-any-return]


def _each(values: list[str] | None) -> list[str]:
    """The names in all values of an option, none of which can have a comma. An empty one stays, and fits no job."""
    return [part.strip() for value in values or () for part in value.split(",")]


def _by_own_clock(text: str | None, *, ends: bool = False) -> str | None:
    """A time without a zone is by the clock that tables go by, too; ``ends``: a day means its last second. Other texts stay."""
    try:
        moment = datetime.fromisoformat(text or "")
        if moment.tzinfo is not None:
            return text
        is_day = len(text or "") <= len("2024-06-01")
        return (moment + timedelta(days=1, seconds=-1) if ends and is_day else moment).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):
        return text


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    # what groups make is imported for the type checker only: these commands are to start soon
    return inspect.signature(function, eval_str=True, locals={"Filters": Any, "Source": Any})


def takes(*groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of ``groups``. Each group makes one argument of them, of the group's own name."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = _signature(command)
        options = {group.__name__: _signature(group).parameters for group in groups}

        @functools.wraps(command)
        def run(**given: Any) -> None:
            for group in groups:
                given[group.__name__] = group(**{name: given.pop(name) for name in options[group.__name__]})
            command(**given)

        parameters = [one for name, one in own.parameters.items() if name not in options]
        parameters += [one for several in options.values() for one in several.values()]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
