"""Each write times each fault at each release: the outcome is the truth at the site, nothing is sent twice, and the next read
shows it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    ChangeUser,
    CreateUser,
    DeleteBefore,
    DeleteUser,
    EditMeta,
    NodeState,
    NodeStates,
    RemoveTags,
    StopJob,
    TagJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.backend import User
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.walking import CALLER
from support.writes import job
from support.written import CALL, NOW, Fault, Wire, gateway_over, instance_of, job_at, look_quickly, start_command, started

RELEASES = ("1.2", "1.3", "1.4", "1.5", "howto")
SLOW = Tag("review", "slow")
RUNNING, ENDED, OLD = 11, 12, 13
START = start_command("aurora", 4711)
TAGGED = start_command("aurora", 4712, tags=(SLOW,))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


def make_site(release: str) -> SimulatedSite:
    site = SimulatedSite(
        "aurora",
        release,
        [
            job("aurora", RUNNING, jobState="running", monitoringStatus=1, startTime=NOW - 1000),
            job("aurora", ENDED),
            job("aurora", OLD, startTime=NOW - 900_000),
        ],
        clock=lambda: float(NOW),
    )
    site.add_tag(ENDED, "review", "old")
    users = site.backend.users
    users[:] = [replace(one, projects=("p1",)) if one.name == "mona" else one for one in users]
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
    shows: bool = True


def target(db_id: int) -> Target:
    return Target(site="aurora", db_id=db_id)


def names(site: SimulatedSite, db_id: int) -> set[str]:
    return {tag["name"] for tag in (job_at(site, db_id) or {}).get("tags") or ()}


def stopped(site: SimulatedSite) -> bool:
    return bool((job_at(site, RUNNING) or {})["jobState"] == "failed")


def noted(site: SimulatedSite) -> bool:
    return bool(((job_at(site, ENDED) or {})["metaData"] or {}).get("note") == "seen")


def account(site: SimulatedSite, name: str) -> User:
    return next(one for one in site.truth.users if one.name == name)


SUPPORT = ChangeUser(user="bob", change="add-role", value="support")
ADMIN = Principal("tester", frozenset({"admin"}))
EVE = CreateUser(user="eve", password="secret-of-eve", role="user")
NODES = NodeStates(cluster="aurora", nodes=(NodeState(hostname="an001", states=["idle"]),))
LEAVE = ChangeUser(user="mona", change="remove-project", value="p1")
STOP = StopJob(target=target(RUNNING), stop_time=NOW - 100, state="failed")
WRITES = [
    Write(
        "start", lambda g: g.writes.start_jobs([START], CALLER, CALL), lambda s: bool(started(s, START)), "start", shows_late=True
    ),
    Write("start with a tag", lambda g: g.writes.start_jobs([TAGGED], CALLER, CALL), lambda s: bool(started(s, TAGGED)), "start"),
    Write("stop", lambda g: g.writes.stop_jobs([STOP], CALLER, CALL), stopped, "stop"),
    Write(
        "tag", lambda g: g.writes.tag_jobs([TagJob(target=target(ENDED), tags=(SLOW,))], CALLER, CALL),
        lambda s: "slow" in names(s, ENDED), "tag",
    ),
    Write(
        "untag by the site's GraphQL",
        lambda g: g.writes.untag_jobs([TagJob(target=target(ENDED), tags=(Tag("review", "old"),))], CALLER, CALL),
        lambda s: "old" not in names(s, ENDED), "untag", ("1.2", "1.3"),
    ),
    Write(
        "remove a tag", lambda g: g.writes.remove_tags(RemoveTags(tags=(Tag("review", "old"),)), CALLER, CALL),
        lambda s: "old" not in names(s, ENDED), "drop tag", ("1.4", "1.5"),
    ),
    Write(
        "create a tag", lambda g: g.writes.create_tag(Tag("new", "one"), None, CALLER, CALL),
        lambda s: "one" in {tag.name for tag in s.backend.tags}, "create tag", ("1.2", "1.3", "1.4", "1.5"),
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
    Write(
        "give a role", lambda g: g.writes.change_user(SUPPORT, CALLER, CALL), lambda s: "support" in account(s, "bob").roles,
        "user", ("1.2", "1.3", "1.5"),
    ),
    Write(
        "take a project", lambda g: g.writes.change_user(LEAVE, CALLER, CALL), lambda s: "p1" not in account(s, "mona").projects,
        "user", ("1.2", "1.3", "1.5"),
    ),
    Write(
        "create a user", lambda g: g.writes.create_user(EVE, ADMIN, CALL),
        lambda s: "eve" in {one.name for one in s.truth.users}, "user", ("1.2", "1.3"),
    ),
    Write(
        "delete a user", lambda g: g.writes.delete_user(DeleteUser(user="bob"), ADMIN, CALL),
        lambda s: "bob" not in {one.name for one in s.truth.users}, "user", ("1.2", "1.3"),
    ),
    Write(
        "tell of nodes", lambda g: g.writes.update_nodes(NODES, CALLER, CALL),
        lambda s: any(one.what == "nodes" for one in s.backend.changes.effects), "nodes", ("1.5",), shows=False,
    ),
]  # fmt: skip


def expected(write: Write, fault: Fault, release: str) -> set[WriteOutcome]:
    if write.shows_late and release == "1.5" and fault not in (Fault.REFUSED,):
        return {WriteOutcome.UNKNOWN}  # whether the site has taken it cannot be seen
    if not write.shows and fault is not Fault.REFUSED:  # an answer with nothing in it is what success looks like
        return {WriteOutcome.DONE} if fault.name.startswith("EMPTY") else {WriteOutcome.UNKNOWN}
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
    same_again = write.name == "edit meta" and release in ("1.3", "1.4")  # what such a site shows is no proof: written anew
    same_again = same_again or not write.shows
    assert [effect.what for effect in site.backend.changes.effects].count(write.effect) == 1 + same_again
    if not write.shows:
        assert again.outcome is WriteOutcome.DONE
    elif write.name == "create a user":
        assert (again.outcome, again.code) == (WriteOutcome.FAILED, Code.CONFLICT)
    elif write.name == "delete":
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


@pytest.mark.parametrize("release", ["1.4", "1.5"])
@pytest.mark.parametrize("fault", [None, *Fault])
async def test_a_users_own_tag_goes_by_the_sites_graphql_and_its_outcome_is_the_truth(release: str, fault: Fault | None) -> None:
    site = make_site(release)
    wire = Wire(site)
    gateway = gateway_over(instance_of(wire, user="alice"))
    command = TagJob(target=target(ENDED), tags=(Tag("mine", "own", "alice"),))
    wire.faults = [None, fault]  # the tag is created, and then put on the job
    (put,) = await gateway.writes.tag_jobs([command], CALLER, CALL)
    acts = fault is None or fault.acts
    assert ("own" in names(site, ENDED)) is acts
    truth = WriteOutcome.DONE if acts else WriteOutcome.UNKNOWN if fault and fault.is_open else WriteOutcome.FAILED
    assert put.outcome is truth, put
    wire.faults = []
    (again,) = await gateway.writes.tag_jobs([command], CALLER, CALL)
    assert again.outcome is (WriteOutcome.UNCHANGED if acts else WriteOutcome.DONE)
    wire.faults = [fault]
    (taken,) = await gateway.writes.untag_jobs([command], CALLER, CALL)
    assert ("own" not in names(site, ENDED)) is acts
    assert taken.outcome is truth
    await gateway.aclose()


class OldMeta(Wire):
    """A site of a release up to 1.4 that shows a job the metadata of a deleted one, until it is edited."""

    def __init__(self, site: SimulatedSite, old: dict[str, str]) -> None:
        super().__init__(site)
        self.old: dict[str, str] | None = old

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        answer = await super().exchange(request, context)
        if self.sent:
            self.old = None
        if self.old is None or request.method != "GET":
            return answer
        body = json.loads(answer.body)
        for row in [body["Meta"]] if "Meta" in body else body["jobs"]:
            row["metaData"] = self.old
        return SiteAnswer(answer.status, answer.media_type, json.dumps(body).encode())


@pytest.mark.parametrize("release", ["1.3", "1.4"])
async def test_metadata_of_a_deleted_job_is_not_taken_for_this_ones(release: str) -> None:
    command = EditMeta(target=target(ENDED), values={"note": "seen", "other": "too"})
    site = make_site(release)
    gateway = gateway_over(instance_of(OldMeta(site, {"note": "seen", "other": "too"})))
    (found,) = await gateway.writes.edit_meta([command], CALLER, CALL)
    assert found.outcome is WriteOutcome.DONE
    assert (job_at(site, ENDED) or {})["metaData"] == {"jobName": "x", "note": "seen", "other": "too"}
    (again,) = await gateway.writes.edit_meta([command], CALLER, CALL)
    assert again.outcome is WriteOutcome.UNCHANGED

    site = make_site(release)
    wire = OldMeta(site, {"note": "seen", "other": "too"})
    wire.faults = [Fault.CUT_BEFORE]
    gateway = gateway_over(instance_of(wire))
    (lost,) = await gateway.writes.edit_meta([command], CALLER, CALL)
    assert lost.outcome is WriteOutcome.UNKNOWN


async def test_a_user_writes_no_tags_but_own_ones() -> None:
    site = make_site("1.5")
    wire = Wire(site)
    gateway = gateway_over(instance_of(wire, user="alice"))
    for scope in ("global", "admin", "bob"):
        command = TagJob(target=target(ENDED), tags=(Tag("x", f"y-{scope}", scope),))
        (found,) = await gateway.writes.tag_jobs([command], CALLER, CALL)
        assert (found.outcome, found.code) == (WriteOutcome.FAILED, Code.SITE_UNAUTHORIZED)
    old = TagJob(target=target(ENDED), tags=(Tag("review", "old"),))
    (kept,) = await gateway.writes.untag_jobs([old], CALLER, CALL)
    assert (kept.outcome, kept.code) == (WriteOutcome.FAILED, Code.SITE_UNAUTHORIZED)
    assert names(site, ENDED) == {"old"}
    closed = gateway_over(instance_of(wire, user="alice", tags_by_query=False))
    (found,) = await closed.writes.tag_jobs([TagJob(target=target(ENDED), tags=(Tag("a", "b", "alice"),))], CALLER, CALL)
    assert (found.outcome, found.code) == (WriteOutcome.FAILED, Code.UNSUPPORTED)


async def test_a_token_with_the_role_api_alone_writes_tags_that_it_is_never_shown() -> None:
    site = make_site("1.5")
    wire = Wire(site)
    gateway = gateway_over(instance_of(wire, user="robot"))
    command = TagJob(target=target(ENDED), tags=(Tag("ops", "watch", "admin"), SLOW))
    outcomes = [(await gateway.writes.tag_jobs([command], CALLER, CALL))[0].outcome for _ in range(2)]
    assert outcomes == [WriteOutcome.DONE, WriteOutcome.UNCHANGED]
    assert names(site, ENDED) == {"old", "slow", "watch"}
    wire.faults = [Fault.ERROR_AFTER]
    unseen = TagJob(target=target(ENDED), tags=(Tag("ops", "watch", "admin"),))
    (taken,) = await gateway.writes.untag_jobs([unseen], CALLER, CALL)
    assert taken.outcome is WriteOutcome.UNKNOWN  # it took effect, but nobody can show that
    await gateway.aclose()


async def test_tags_are_removed_altogether_or_it_is_said() -> None:
    for release, outcome in (("1.3", WriteOutcome.FAILED), ("howto", WriteOutcome.DONE)):
        site = make_site(release)
        gateway = gateway_over(instance_of(Wire(site)))
        command = RemoveTags(tags=(Tag("review", "old"),))
        (result,) = await gateway.writes.remove_tags(command, CALLER, CALL)
        assert result.outcome is outcome, result
        assert (names(site, ENDED) == set()) is (outcome is WriteOutcome.DONE)
        await gateway.aclose()
