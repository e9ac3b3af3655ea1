"""Times that no job can have are refused with a word about what was probably meant."""

from __future__ import annotations

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.model import Resource
from ccgateway.jobs.times import check_before, check_started, check_stopped
from ccgateway.jobs.writes import DeleteBefore, StartJob, StopJob, Target

NOW = 1_760_000_000


def started(start: int, walltime: int | None = None) -> StartJob:
    return StartJob(job_id=1, user="a", cluster="c", start_time=start, resources=(Resource("n"),), walltime=walltime)


def stopped(stop: int, start: int | None = None) -> StopJob:
    return StopJob(target=Target(site="s", cluster="c", job_id=1, start_time=start), stop_time=stop)


@pytest.mark.parametrize("start", [1, 123_456_789, NOW - 1, NOW, NOW + 86_000])
@pytest.mark.parametrize("walltime", [None, 0, 86_400, 0xFFFFFFFF * 60])
def test_what_a_job_can_have_is_taken(start: int, walltime: int | None) -> None:
    check_started(started(start, walltime), NOW)


@pytest.mark.parametrize("wrong", [0, -1, -(2**40), NOW + 86_401, NOW * 1000, NOW * 10**6, NOW * 10**9, 2**63 - 1])
def test_other_times_are_refused_and_milliseconds_are_named(wrong: int) -> None:
    with pytest.raises(RequestError, match="startTime") as start:
        check_started(started(wrong), NOW)
    with pytest.raises(RequestError, match="stopTime") as stop:
        check_stopped(stopped(wrong), NOW)
    for refused in (start.value, stop.value):
        assert refused.code is Code.BAD_REQUEST
        assert ("milliseconds" in refused.message) == (wrong >= NOW * 1000)


@pytest.mark.parametrize("walltime", [-1, 10**12, 2**50])
def test_a_walltime_that_nobody_asks_for_is_refused(walltime: int) -> None:
    with pytest.raises(RequestError, match="walltime"):
        check_started(started(NOW, walltime), NOW)


def test_no_job_ends_before_it_began() -> None:
    check_stopped(stopped(NOW, NOW), NOW)
    with pytest.raises(RequestError, match="cannot have ended"):
        check_stopped(stopped(NOW - 1, NOW), NOW)
    with pytest.raises(RequestError, match="milliseconds"):
        check_stopped(stopped(NOW, NOW * 1000), NOW)
    with pytest.raises(RequestError, match="cannot run for"):
        check_stopped(stopped(2**31 + NOW, NOW), 2**31 + NOW)


def test_a_delete_of_everything_by_mistake_is_refused() -> None:
    check_before(DeleteBefore(before=NOW), NOW)
    with pytest.raises(RequestError, match="milliseconds"):
        check_before(DeleteBefore(before=NOW * 1000), NOW)
