"""How a user's command ends: with a status that scripts can go by, and with one line that says why."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, TextIO

import typer

from ccgateway.errors import clean, without_tokens

if TYPE_CHECKING:
    from ccgateway.client import GatewayError, Missing

__all__ = ["Status", "ending", "note", "status_of", "warn_of_missing"]

LONGEST_LINE = 1000


class Status(IntEnum):
    """What a command ended with."""

    GOOD = 0
    FAILED = 1
    WRONG_USE = 2
    INCOMPLETE = 3
    NOT_ALLOWED = 4
    INTERRUPTED = 130
    NO_READER = 141


def note(text: str) -> None:
    """One line for people, beside the data."""
    try:
        typer.echo(without_tokens(text, limit=LONGEST_LINE), err=True)
    except BrokenPipeError:  # nobody reads notes: data and status are what counts
        _to_nowhere(sys.stderr)


def _to_nowhere(stream: TextIO) -> None:
    """What is still to be written goes nowhere: else Python complains once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def warn_of_missing(missing: Iterable[Missing]) -> Status:
    """Says what is missing, a line for each site; the status to end with."""
    gaps = list(missing)
    for gap in gaps:
        note(f"missing: {gap}")
    return Status.INCOMPLETE if gaps else Status.GOOD


def status_of(error: GatewayError) -> Status:
    """The status that an error of the gateway's comes to."""
    from ccgateway.client import NotAllowed

    if error.code == "INCOMPLETE":
        return Status.INCOMPLETE
    if error.code == "BAD_REQUEST":
        return Status.WRONG_USE
    return Status.NOT_ALLOWED if isinstance(error, NotAllowed) else Status.FAILED


@contextmanager
def ending() -> Iterator[None]:
    """Around a command: whatever goes wrong is one line and a status, never a traceback."""
    from ccgateway.client import GatewayError

    try:
        yield
        sys.stdout.flush()
    except GatewayError as error:
        note(f"ccgateway: {error}")
        for hint in getattr(error, "__notes__", ()):
            note(hint)
        if error.code == "UNAUTHENTICATED":
            note("Give a token: --token-file, CCGATEWAY_TOKEN, a profile's token_file, or the keyring.")
        if error.outcomes:
            good = sum(one.is_good for one in error.outcomes)
            note(f"{good} orders before that were carried out.")
        raise typer.Exit(status_of(error)) from None
    except UnicodeEncodeError as error:
        note(f"ccgateway: the output's encoding, {error.encoding}, lacks a character that is to be written.")
        note("Set PYTHONIOENCODING=utf-8.")
        raise typer.Exit(Status.FAILED) from None
    except ValueError as error:
        note(f"ccgateway: {error}")
        raise typer.Exit(Status.WRONG_USE) from None
    except ImportError as error:  # of what an extra or a proxy of the environment needs
        note(f"ccgateway: {error}")
        raise typer.Exit(Status.FAILED) from None
    except KeyboardInterrupt:
        note("ccgateway: interrupted")
        raise typer.Exit(Status.INTERRUPTED) from None
    except BrokenPipeError:
        _to_nowhere(sys.stdout)
        note("ccgateway: whoever read the output has gone")
        raise typer.Exit(Status.NO_READER) from None
    except OSError as error:
        place = f" {clean(str(error.filename))}:" if error.filename else ""
        hint = " Free some space and try again." if error.errno == errno.ENOSPC else ""
        if error.filename is None:  # standard output, of which no more can be written
            _to_nowhere(sys.stdout)
        note(f"ccgateway:{place} {error.strerror or error}.{hint}")
        raise typer.Exit(Status.FAILED) from None
