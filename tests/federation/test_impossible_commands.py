"""Commands with times that no job can have reach no site, in a list of commands each for itself."""

from __future__ import annotations

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.writes import DeleteBefore, StopJob, Target
from support.walking import CALLER
from support.writes import job, outcomes, wire
from support.written import CALL, NOW, gateway_over, instance_of, start_command

RELEASES = pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])


@RELEASES
async def test_a_start_in_milliseconds_is_refused_and_the_others_are_carried_out(release: str) -> None:
    aurora = wire("aurora", release)
    commands = [start_command("aurora", 41, start_time=(NOW - 60) * 1000), start_command("aurora", 42)]
    found = await gateway_over(instance_of(aurora)).writes.start_jobs(commands, CALLER, CALL)
    assert outcomes(found)[0] == ("FAILED", Code.BAD_REQUEST) and "milliseconds" in (found[0].message or "")
    assert found[1].outcome in ("DONE", "PENDING") and len(aurora.sent) == 1


@RELEASES
async def test_a_stop_in_milliseconds_is_refused(release: str) -> None:
    running = job("aurora", 1, jobState="running", monitoringStatus=1)
    aurora = wire("aurora", release, running)
    target = Target(site="aurora", db_id=1)
    commands = [StopJob(target=target, stop_time=NOW * 1000), StopJob(target=target, stop_time=-1)]
    found = await gateway_over(instance_of(aurora)).writes.stop_jobs(commands, CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.BAD_REQUEST)] * 2 and aurora.sent == []


async def test_a_time_in_milliseconds_deletes_nothing() -> None:
    aurora = wire()
    with pytest.raises(RequestError, match="milliseconds"):
        await gateway_over(instance_of(aurora)).writes.delete_jobs_before(DeleteBefore(before=NOW * 1000), CALLER, CALL)
    assert aurora.sent == []
