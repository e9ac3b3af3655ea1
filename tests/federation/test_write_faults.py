"""Each write times each fault at each release: the outcome is the truth at the site, nothing is sent twice, and the next read
shows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    DeleteBefore,
    EditMeta,
    RemoveTags,
    StopJob,
    TagJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from ccgateway.simulator import SimulatedSite
from ccgateway.site.exchange import SiteRequest
from support.walking import CALLER
from support.written import CALL, NOW, Fault, Wire, gateway_over, instance_of, job_at, look_quickly, order_for, started

RELEASES = ("1.2", "1.3", "1.4", "1.5", "howto")
SLOW = Tag("review", "slow")
RUNNING, ENDED, OLD = 11, 12, 13
ORDER = order_for("aurora", 4711)
TAGGED = order_for("aurora", 4712, tags=(SLOW,))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


def job(db_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main",
        "numNodes": 1, "startTime": NOW - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "completed",
        "resources": [{"hostname": "an001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 3,
    } | changes  # fmt: skip


def make_site(release: str) -> SimulatedSite:
    site = SimulatedSite(
        "aurora",
        release,
        [
            job(RUNNING, jobState="running", monitoringStatus=1, startTime=NOW - 1000),
            job(ENDED),
            job(OLD, startTime=NOW - 900_000),
        ],
        clock=lambda: float(NOW),
    )
    site.add_tag(ENDED, "review", "old")
    return site


@dataclass(frozen=True)
class Write:
    """A write, and how it really is at the site: whether it took effect, and how often that happened."""

    name: str
    run: Callable[[Gateway], Awaitable[list[WriteResult]]]
    is_so: Callable[[SimulatedSite], bool]
    effect: str
    releases: tuple[str, ...] = RELEASES
    shows_late: bool = False


def target(db_id: int) -> Target:
    return Target(site="aurora", db_id=db_id)


def names(site: SimulatedSite, db_id: int) -> set[str]:
    return {tag["name"] for tag in (job_at(site, db_id) or {}).get("tags") or ()}


def stopped(site: SimulatedSite) -> bool:
    return bool((job_at(site, RUNNING) or {})["jobState"] == "failed")


def noted(site: SimulatedSite) -> bool:
    return bool(((job_at(site, ENDED) or {})["metaData"] or {}).get("note") == "seen")


STOP = StopJob(target=target(RUNNING), stop_time=NOW - 100, state="failed")
WRITES = [
    Write(
        "start", lambda g: g.writes.start_jobs([ORDER], CALLER, CALL), lambda s: bool(started(s, ORDER)), "start", shows_late=True
    ),
    Write("start with a tag", lambda g: g.writes.start_jobs([TAGGED], CALLER, CALL), lambda s: bool(started(s, TAGGED)), "start"),
    Write("stop", lambda g: g.writes.stop_jobs([STOP], CALLER, CALL), stopped, "stop"),
    Write(
        "tag", lambda g: g.writes.tag_jobs([TagJob(target=target(ENDED), tags=(SLOW,))], CALLER, CALL),
        lambda s: "slow" in names(s, ENDED), "tag",
    ),
    Write(
        "untag", lambda g: g.writes.untag_jobs([TagJob(target=target(ENDED), tags=(Tag("review", "old"),))], CALLER, CALL),
        lambda s: "old" not in names(s, ENDED), "untag", ("1.4", "1.5", "howto"),
    ),
    Write(
        "edit meta", lambda g: g.writes.edit_meta([EditMeta(target=target(ENDED), values={"note": "seen"})], CALLER, CALL),
        noted, "meta", ("1.3", "1.4", "1.5", "howto"),
    ),
    Write("delete", lambda g: g.writes.delete_jobs([target(ENDED)], CALLER, CALL), lambda s: job_at(s, ENDED) is None, "delete"),
    Write(
        "delete before", lambda g: g.writes.delete_jobs_before(DeleteBefore(before=NOW - 800_000), CALLER, CALL),
        lambda s: job_at(s, OLD) is None, "delete",
    ),
]  # fmt: skip


def expected(write: Write, fault: Fault, release: str) -> set[WriteOutcome]:
    if write.shows_late and release == "1.5" and fault not in (Fault.REFUSED,):
        return {WriteOutcome.UNKNOWN}  # whether the site has taken it cannot be seen
    if fault.acts:
        return {WriteOutcome.DONE}
    return {WriteOutcome.UNKNOWN} if fault.is_open else {WriteOutcome.FAILED}


CASES = [
    pytest.param(release, write, fault, id=f"{release}-{write.name}-{fault.name}")
    for write in WRITES
    for release in write.releases
    for fault in Fault
]


@pytest.mark.parametrize(("release", "write", "fault"), CASES)
async def test_the_outcome_is_the_truth(release: str, write: Write, fault: Fault) -> None:
    site = make_site(release)
    wire = Wire(site)
    wire.faults = [fault]
    gateway = gateway_over(instance_of(wire))
    site.backend.changes.effects.clear()
    (result,) = await write.run(gateway)
    happened = [effect.what for effect in site.backend.changes.effects].count(write.effect)
    assert happened == (1 if fault.acts else 0)
    assert len(wire.sent) == (0 if fault is Fault.REFUSED else 1)
    assert {result.outcome} == expected(write, fault, release), result
    if not (write.shows_late and release == "1.5"):
        assert write.is_so(site) is fault.acts
    if result.outcome is not WriteOutcome.DONE:
        assert result.code is not None
        assert result.message
    await gateway.aclose()


@pytest.mark.parametrize(("release", "write"), [(one, write) for write in WRITES for one in write.releases])
async def test_sent_again_after_a_lost_answer_it_changes_nothing_more(release: str, write: Write) -> None:
    site = make_site(release)
    wire = Wire(site)
    wire.faults = [Fault.LATE_AFTER]
    gateway = gateway_over(instance_of(wire))
    site.backend.changes.effects.clear()
    await write.run(gateway)
    (again,) = await write.run(gateway)
    assert [effect.what for effect in site.backend.changes.effects].count(write.effect) == 1
    if write.name == "delete":
        assert (again.outcome, again.code) == (WriteOutcome.FAILED, Code.NOT_FOUND)
    elif write.shows_late and release == "1.5":
        assert again.outcome is WriteOutcome.PENDING
    else:
        assert again.outcome is WriteOutcome.UNCHANGED
    await gateway.aclose()


async def test_what_takes_effect_after_the_time_out_is_not_called_failed() -> None:
    site = make_site("1.5")
    wire = Wire(site)
    wire.faults = [Fault.LATE_BEFORE]
    gateway = gateway_over(instance_of(wire))
    (result,) = await gateway.writes.delete_jobs([target(ENDED)], CALLER, CALL)
    site.delete_job(ENDED)  # the site was still at it
    assert (result.outcome, result.code, result.retryable) == (WriteOutcome.UNKNOWN, Code.TIMEOUT, True)
    assert "may still" in (result.message or "")
    await gateway.aclose()


async def test_what_takes_effect_while_it_is_read_back_is_done() -> None:
    site = make_site("1.5")
    wire = Wire(site)
    wire.faults = [Fault.LATE_BEFORE]
    gateway = gateway_over(instance_of(wire))
    looks = 0

    def at_the_third_look(request: SiteRequest) -> None:
        nonlocal looks
        looks += bool(wire.sent)
        if looks == 3:
            site.delete_job(ENDED)

    wire.before_each = at_the_third_look
    (result,) = await gateway.writes.delete_jobs([target(ENDED)], CALLER, CALL)
    assert result.outcome is WriteOutcome.DONE
    await gateway.aclose()


async def test_a_site_that_cannot_be_read_back_leaves_it_unknown() -> None:
    site = make_site("1.4")
    wire = Wire(site)
    wire.faults = [Fault.CUT_AFTER]
    gateway = gateway_over(instance_of(wire))

    def go_down(request: SiteRequest) -> None:
        if wire.sent:
            raise SiteError(Code.UNREACHABLE, "aurora", "No connection to the site: connection refused.")

    wire.before_each = go_down
    (result,) = await gateway.writes.delete_jobs([target(ENDED)], CALLER, CALL)
    assert (result.outcome, result.code) == (WriteOutcome.UNKNOWN, Code.CONNECTION_LOST)
    assert "cannot be asked now" in (result.message or "")
    await gateway.aclose()


async def test_tags_are_removed_altogether_or_it_is_said() -> None:
    for release, outcome in (("1.3", WriteOutcome.FAILED), ("howto", WriteOutcome.DONE)):
        site = make_site(release)
        gateway = gateway_over(instance_of(Wire(site)))
        order = RemoveTags(tags=(Tag("review", "old"),))
        (result,) = await gateway.writes.remove_tags(order, CALLER, CALL)
        assert result.outcome is outcome, result
        assert (names(site, ENDED) == set()) is (outcome is WriteOutcome.DONE)
        await gateway.aclose()
