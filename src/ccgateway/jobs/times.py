"""Times that no job can have, refused before they reach a site: every release takes them, and then breaks its own lists."""

from __future__ import annotations

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.writes import DeleteBefore, StartJob, StopJob

__all__ = ["check_before", "check_started", "check_stopped"]

#: seconds that a time may lie ahead: clocks and zones that are set wrongly are no reason to lose a job
AHEAD = 86_400
#: from here on a number is taken to be milliseconds
MILLISECONDS = 10**11
#: seconds of run time that a release can store, and of run time asked for that are no mistake (what Slurm says for "unlimited"
#: is less)
LONGEST, LONGEST_ASKED = 2**31 - 1, 10**12


def check_started(command: StartJob, now: float) -> None:
    """``BAD_REQUEST`` for a start that cannot be; ``now`` in epoch seconds."""
    _check("startTime", command.start_time, now)
    if command.walltime is not None and not 0 <= command.walltime < LONGEST_ASKED:
        raise _bad(f"walltime: {command.walltime} seconds cannot be asked for.")


def check_stopped(command: StopJob, now: float) -> None:
    """``BAD_REQUEST`` for an end that cannot be, as far as the command itself tells."""
    _check("stopTime", command.stop_time, now)
    start = command.target.start_time
    if start is None:
        return
    if start > command.stop_time:
        hint = " Is startTime in milliseconds?" if start >= MILLISECONDS else ""
        raise _bad(f"stopTime: a job that started at {start} cannot have ended at {command.stop_time}.{hint}")
    if command.stop_time - start > LONGEST:
        raise _bad(f"stopTime: a job cannot run for {command.stop_time - start} seconds.")


def check_before(command: DeleteBefore, now: float) -> None:
    """``BAD_REQUEST`` for a time before which every job lies: more likely a mistake than a wish."""
    if command.before > now + AHEAD:
        raise _bad(f"before: {_ahead(command.before)} It would delete every job: name a time that has been.")


def _check(name: str, seconds: int, now: float) -> None:
    if seconds <= 0:
        raise _bad(f"{name}: {seconds} is no epoch second at which a job can have started or ended.")
    if seconds > now + AHEAD:
        raise _bad(f"{name}: {_ahead(seconds)}")


def _ahead(seconds: int) -> str:
    hint = " Is it in milliseconds? Epoch seconds are needed." if seconds >= MILLISECONDS else ""
    return f"{seconds} lies more than a day ahead.{hint}"


def _bad(message: str) -> RequestError:
    return RequestError(Code.BAD_REQUEST, message)
