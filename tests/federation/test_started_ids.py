"""A job that its site has taken and does not show yet: it has an id, and stops by whatever name its scheduler has for it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.provisional import Provisionals
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.filters import JobFilter
from ccgateway.jobs.metrics import MetricsWanted
from ccgateway.jobs.model import JobKey, Tag
from ccgateway.jobs.provisional import is_provisional, provisional_id
from ccgateway.jobs.writes import EditMeta, StartJob, StopJob, TagJob, Target, WriteOutcome, WriteResult
from ccgateway.settings import LimitSettings, WriteSettings
from ccgateway.simulator import SimulatedSite
from support.upstream import Sites
from support.walking import CALLER
from support.writes import job, outcomes
from support.written import CALL, Wire, instance_of, start_command

HOUR, DAY = 3600, 86_400
DONE, UNCHANGED, PENDING = WriteOutcome.DONE, WriteOutcome.UNCHANGED, WriteOutcome.PENDING
SLURM, CONDOR = 4_711, 4711 << 32 | 8


class World:
    """Sites that commit on demand, and gateways over them that know nothing of one another, or have the same notes."""

    def __init__(self, release: str = "1.5", *jobs: dict[str, Any]) -> None:
        self.now = time.time()
        site = SimulatedSite("aurora", release, jobs or (job("aurora", 1),), clock=lambda: self.now)
        self.wire = Wire(site)

    def gateway(self, store: TtlStore | None = None, *others: Wire) -> Gateway:
        instances = [instance_of(wire, n) for n, wire in enumerate((self.wire, *others), 1)]
        writes = WriteSettings.model_validate({})
        return Gateway(Sites(instances), LimitSettings.model_validate({}), writes=writes, ttl_store=store)

    def command(self, number: int, **changes: Any) -> StartJob:
        return start_command("aurora", number, **{"start_time": int(self.now) - 60, **changes})

    def commit(self) -> None:
        self.now += 200

    def stopped(self, number: int) -> list[tuple[str, int]]:
        return [(one["jobState"], one["duration"]) for one in self.wire.site.all_jobs() if one["jobId"] == number]


async def start(gateway: Gateway, command: StartJob) -> WriteResult:
    (found,) = await gateway.writes.start_jobs([command], CALLER, CALL)
    assert found.db_id is not None and found.job == f"aurora:{found.db_id}"
    return found


async def stop(gateway: Gateway, target: Target, at: float) -> WriteResult:
    (found,) = await gateway.writes.stop_jobs([StopJob(target=target, stop_time=int(at))], CALLER, CALL)
    return found


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize("number", [SLURM, CONDOR], ids=["slurm", "condor"])
@pytest.mark.parametrize("committed", [False, True], ids=["not committed", "committed"])
async def test_every_started_job_has_an_id_and_stops_by_it(release: str, number: int, committed: bool) -> None:
    world, notes = World(release), TtlStore("note")
    command = world.command(number)
    started = await start(world.gateway(notes), command)
    assert started.outcome is (PENDING if release == "1.5" else DONE)
    assert is_provisional(started.db_id or 0) == (release == "1.5")
    if committed:
        world.commit()
    another = world.gateway(notes)  # that shares the notes, as by Redis
    stopped = await stop(another, Target(site="aurora", db_id=started.db_id), world.now)
    assert stopped.outcome is DONE, stopped
    assert world.stopped(number) == [("completed", int(world.now) - command.start_time)]
    again = await stop(another, Target(site="aurora", db_id=started.db_id), world.now)
    assert (again.outcome, again.db_id) == (UNCHANGED, stopped.db_id)


@pytest.mark.parametrize("committed", [False, True], ids=["not committed", "committed"])
async def test_a_process_that_shares_nothing_finds_the_job_by_its_id(committed: bool) -> None:
    world = World()
    started = await start(world.gateway(), world.command(SLURM))
    if committed:
        world.commit()
    stopped = await stop(world.gateway(), Target(site="aurora", db_id=started.db_id), world.now)
    assert stopped.outcome is DONE and world.stopped(SLURM)[0][0] == "completed"


async def test_a_number_too_large_for_an_id_is_found_elsewhere_once_it_shows_and_may_be_tried_again_until_then() -> None:
    world = World()
    started = await start(world.gateway(), world.command(CONDOR))
    early = await stop(world.gateway(), Target(site="aurora", db_id=started.db_id), world.now)
    assert (early.code, early.retryable) == (Code.NOT_FOUND, True) and "shows once the site has committed it" in str(
        early.message
    )
    world.commit()
    assert (await stop(world.gateway(), Target(site="aurora", db_id=started.db_id), world.now)).outcome is DONE


@pytest.mark.parametrize("number", [SLURM, CONDOR], ids=["slurm", "condor"])
async def test_the_id_leads_to_the_job_by_every_question_once_it_shows(number: int) -> None:
    world = World()
    gateway = world.gateway()
    started = await start(gateway, world.command(number))
    name, target = started.job or "", Target(site="aurora", db_id=started.db_id)
    tag = TagJob(target=target, tags=(Tag("a", "b"),))
    with pytest.raises(GatewayError) as early:
        await gateway.job(name, CALLER, fields=frozenset())
    assert (early.value.code, early.value.retryable) == (Code.NOT_FOUND, True)
    (refused,) = await gateway.writes.tag_jobs([tag], CALLER, CALL)
    assert (refused.code, refused.retryable) == (Code.NOT_FOUND, True)

    world.commit()
    for other in (gateway, world.gateway()):
        assert (await other.job(name, CALLER, fields=frozenset({"user"}))).job_id == number
        wanted = JobListQuestion(filters=(JobFilter(db_id=(name,)),))
        assert [row.job_id for row in (await other.jobs(wanted, CALLER)).rows] == [number]
        told = await other.job_metrics(
            name, MetricsWanted(("-",)), CALLER, budget=MetricsBudget(LimitSettings.model_validate({}))
        )
        assert told.pieces == []
    assert outcomes(await gateway.writes.tag_jobs([tag], CALLER, CALL)) == [("DONE", None)]
    assert outcomes(await gateway.writes.untag_jobs([tag], CALLER, CALL)) == [("DONE", None)]
    edit = EditMeta(target=target, values={"note": "x"})
    assert outcomes(await gateway.writes.edit_meta([edit], CALLER, CALL)) == [("DONE", None)]
    assert outcomes(await gateway.writes.delete_jobs([target], CALLER, CALL)) == [("DONE", None)]
    with pytest.raises(GatewayError):
        await gateway.job(name, CALLER, fields=frozenset())


async def test_a_note_that_does_not_fit_the_id_is_not_believed() -> None:
    world, notes = World(), TtlStore("note")
    started = await start(world.gateway(notes), world.command(CONDOR))
    world.commit()
    for lie in (b"", b"{}", b"\xff", b'["aurora","aurora",1001,1759995001]', b'["else","aurora",1,1]', b'["aurora",1,"x",null]'):
        await notes.set(f"started:aurora:{started.db_id}", lie, 60)
        assert (await world.gateway(notes).job(started.job or "", CALLER, fields=frozenset())).job_id == CONDOR


async def test_what_else_is_named_beside_the_id_has_to_be_so() -> None:
    world = World()
    started = await start(world.gateway(), world.command(SLURM))
    wrong = Target(site="aurora", db_id=started.db_id, job_id=SLURM + 1)
    assert (await stop(world.gateway(), wrong, world.now)).code is Code.CONFLICT
    assert world.stopped(SLURM) == [] and world.wire.site.backend.waiting


# --- a stop that names the job loosely


def earlier_run(world_now: float, **changes: Any) -> dict[str, Any]:
    return job("aurora", 2, jobId=SLURM, startTime=int(world_now) - 3 * DAY, **changes)


NAMES = [
    {"job_id": SLURM, "cluster": "aurora"},
    {"job_id": SLURM, "site": "aurora"},
    {"job_id": SLURM},
]


@pytest.mark.parametrize("name", NAMES, ids=lambda one: "+".join(one))
@pytest.mark.parametrize("alone", [True, False], ids=["one site", "two sites"])
async def test_a_stop_without_a_start_time_is_the_run_that_runs_also_before_it_is_committed(
    name: dict[str, Any], alone: bool
) -> None:
    world = World("1.5", earlier_run(time.time()))
    others = () if alone else (Wire(SimulatedSite("borealis", "1.4", [job("borealis", 1)], clock=lambda: world.now)),)
    gateway = world.gateway(None, *others)
    command = world.command(SLURM)
    assert (await start(gateway, command)).outcome is PENDING
    stopped = await stop(gateway, Target(**name), world.now)
    assert stopped.outcome is DONE and stopped.key is not None and stopped.key.start_time == command.start_time, stopped
    assert sorted(world.stopped(SLURM)) == [("completed", int(world.now) - command.start_time), ("completed", 600)]
    again = await stop(gateway, Target(**name), world.now)
    assert (again.outcome, again.db_id) == (UNCHANGED, stopped.db_id)


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize("name", NAMES, ids=lambda one: "+".join(one))
async def test_a_run_that_shows_is_stopped_whichever_of_its_number_the_site_would_take(
    release: str, name: dict[str, Any]
) -> None:
    world = World(release, earlier_run(time.time()))
    running = job(
        "aurora", 3, jobId=SLURM, startTime=int(world.now) - HOUR, jobState="running", monitoringStatus=1, user="bob", duration=0
    )
    world.wire.site.start_job(running)
    stopped = await stop(world.gateway(), Target(**name), world.now)
    assert (stopped.outcome, stopped.db_id) == (DONE, 3), stopped
    otherwise = await stop(world.gateway(), Target(**name), world.now - 5)
    assert (otherwise.outcome, otherwise.code) == (WriteOutcome.FAILED, Code.CONFLICT)
    assert otherwise.key is not None


@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("person", ["alice", "sam"])
async def test_up_to_1_3_a_loose_name_never_reaches_a_job_of_somebody_else(release: str, person: str) -> None:
    world = World(release)
    start_time = int(world.now) - HOUR
    for db_id, user in ((2, "bob"), (3, person)):
        one = job("aurora", db_id, jobId=SLURM, startTime=start_time + db_id, jobState="running", monitoringStatus=1, user=user)
        world.wire.site.start_job(one)
    gateway = Gateway(Sites([instance_of(world.wire, user=person)]), LimitSettings.model_validate({}))
    first = await stop(gateway, Target(cluster="aurora", job_id=SLURM), world.now)
    assert (first.outcome, first.db_id) == (DONE, 3), first
    second = await stop(gateway, Target(cluster="aurora", job_id=SLURM), world.now + 1)
    assert second.outcome is WriteOutcome.FAILED
    assert [one.job for one in world.wire.site.backend.changes.effects if one.what == "stop"] == [3]


async def test_jobs_of_two_clusters_that_have_one_id_are_told_apart_by_their_cluster() -> None:
    first, second = JobKey("aurora", "alpha", SLURM, 1_760_000_000), JobKey("aurora", "beta", SLURM, 1_760_000_000)
    again = JobKey("aurora", "beta", SLURM, 1_760_000_000 + (1 << 15))
    started = Provisionals(TtlStore("note"))
    db_id = provisional_id(first)
    assert db_id == provisional_id(second) == provisional_id(again)
    await started.note(first)
    assert await started.key("aurora", db_id) == first
    for key in (second, again, first):
        await started.note(key)
        with pytest.raises(SiteError, match="alpha, beta") as refused:
            await started.key("aurora", db_id)
        assert refused.value.code is Code.AMBIGUOUS_JOB
    assert await started.key("aurora", db_id, "alpha") == first
    assert await started.key("aurora", db_id, "beta") == again
    assert await started.key("aurora", db_id, "gamma") is None
    assert await started.key("borealis", db_id) is None
