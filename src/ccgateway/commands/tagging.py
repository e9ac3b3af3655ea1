"""``ccgateway tag``: puts a tag on jobs, or takes it from them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccgateway.commands.ending import Status, ending, note
from ccgateway.commands.options import Format, Output, source, takes

if TYPE_CHECKING:
    from ccgateway.client import Outcome
    from ccgateway.commands.connecting import Source

__all__ = ["tag"]

_NOT_ALLOWED = frozenset({"FORBIDDEN", "NO_CREDENTIAL", "READ_ONLY", "SITE_UNAUTHORIZED", "UNAUTHENTICATED"})


@takes(source)
def tag(
    tag: Annotated[str, typer.Argument(metavar="TYPE:NAME", help="The tag; TYPE:NAME@SCOPE for another scope than global.")],
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs, or - to read them from standard input.")],
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag from them.")] = False,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="To give the very same order again.", show_default=False)
    ] = None,
    output: Output = Format.TABLE,
    source: Source,
) -> None:
    """Tag jobs, each with an outcome of its own. Exit 1 if one could not be tagged, 4 if none may be."""
    with ending():
        ids = _ids(jobs)
        with source.gateway() as gateway:
            from ccgateway.commands.output import write
            from ccgateway.commands.progress_bar import counted

            write_tags = gateway.untag if remove else gateway.tag
            outcomes = list(counted(write_tags(ids, tag, idempotency_key=key), "jobs"))
            rows = [_row(id_, one) for id_, one in zip(ids, outcomes, strict=True)]
            columns = ["job", "outcome", "code", "message"]
            write(rows, output, columns, name="job")
        raise typer.Exit(_status(outcomes))


def _ids(jobs: list[str]) -> list[str]:
    from ccgateway.client.reads import id_of

    given = [line.strip() for line in sys.stdin] if jobs == ["-"] else jobs
    ids = [id_of(text) for text in given if text]
    if not ids:
        note("note: no job was named, so there is nothing to do")
    return ids


def _row(id_: str, one: Outcome) -> dict[str, Any]:
    return {"job": id_, "outcome": one.outcome, "code": one.code, "message": one.message}


def _status(outcomes: list[Outcome]) -> Status:
    bad = [one for one in outcomes if not one.is_good]
    if not bad:
        return Status.GOOD
    return Status.NOT_ALLOWED if len(bad) == len(outcomes) and all(one.code in _NOT_ALLOWED for one in bad) else Status.FAILED
