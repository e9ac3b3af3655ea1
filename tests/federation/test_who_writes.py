"""Who may write what, role by role, release by release: what the site itself lets the same person do, and never more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, RequestError
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
from ccgateway.settings import SiteSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.guard import Retrying
from ccgateway.site.instance import Instance
from support.walking import CALLER
from support.writes import job
from support.written import CALL, NOW, Wire, gateway_over, instance_of, start_command

#: of these, alice and bob are users, robot has the role api alone, sam is support, mona a manager, demo an administrator
PEOPLE = ("demo", "robot", "sam", "mona", "alice", "bob")
#: who writes to all jobs where the site asks for no role but api: to see them is not enough
PRIVILEGED = {"demo", "robot"}
RELEASES = ("1.2", "1.3", "1.4", "1.5")
RUNNING, ENDED = 11, 12


def make_site(release: str) -> SimulatedSite:
    jobs = [job("aurora", RUNNING, jobState="running", monitoringStatus=1, startTime=NOW - 1000), job("aurora", ENDED)]
    site = SimulatedSite("aurora", release, jobs, clock=lambda: float(NOW))
    site.add_tag(ENDED, "review", "old")
    site.backend.changes.effects.clear()
    return site


@dataclass(frozen=True)
class Write:
    """A write to one of alice's jobs: by the gateway; and, as the site is asked without it, by REST and by its own GraphQL."""

    name: str
    effect: str
    run: Callable[[Gateway, str], Awaitable[list[WriteResult]]]
    rest: Callable[[str, str], tuple[str, str, Any]] | None = None
    query: Callable[[str, int], str] | None = None
    #: what it needs to be allowed at all
    own_only: bool = True


def at(db_id: int) -> Target:
    return Target(site="aurora", db_id=db_id)


def key(db_id: int) -> dict[str, Any]:
    one = job("aurora", db_id)
    return {"jobId": one["jobId"], "cluster": "aurora", "startTime": NOW - 1000 if db_id == RUNNING else one["startTime"]}


def tag_body(release: str, name: str, scope: str) -> list[dict[str, str]]:
    return [{"type": "review", "name": name} | ({"scope": scope} if release in ("1.4", "1.5") else {})]


def start_body(user: str) -> dict[str, Any]:
    return {
        "jobId": 4711, "user": user, "project": "p_a", "cluster": "aurora", "subCluster": "main", "numNodes": 1,
        "startTime": NOW - 600, "resources": [{"hostname": "an001"}], "metaData": {},
    }  # fmt: skip


ADMIN = Principal("tester", frozenset({"admin"}))
NODES = NodeStates(cluster="aurora", nodes=(NodeState(hostname="an001", states=["idle"]),))
WRITES = [
    Write(
        "start for alice", "start", lambda g, _: g.writes.start_jobs([start_command("aurora", 4711)], CALLER, CALL),
        lambda _, __: ("POST", "jobs/start_job/", start_body("alice")),
    ),
    Write(
        "stop", "stop", lambda g, _: g.writes.stop_jobs([StopJob(target=at(RUNNING), stop_time=NOW)], CALLER, CALL),
        lambda _, __: ("POST", "jobs/stop_job/", {**key(RUNNING), "jobState": "completed", "stopTime": NOW}),
    ),
    Write(
        "tag for all", "tag",
        lambda g, _: g.writes.tag_jobs([TagJob(target=at(ENDED), tags=(Tag("review", "new"),))], CALLER, CALL),
        lambda release, _: ("POST", f"jobs/tag_job/{ENDED}", tag_body(release, "new", "global")),
        lambda _, tag_id: f'addTagsToJob(job: "{ENDED}", tagIds: ["{tag_id}"]) {{ id }}',
    ),
    Write(
        "untag", "untag",
        lambda g, _: g.writes.untag_jobs([TagJob(target=at(ENDED), tags=(Tag("review", "old"),))], CALLER, CALL),
        lambda release, _: ("DELETE", f"jobs/tag_job/{ENDED}", tag_body(release, "old", "global")),
        lambda _, __: f'removeTagsFromJob(job: "{ENDED}", tagIds: ["1"]) {{ id }}',
    ),
    Write(
        "edit", "meta", lambda g, _: g.writes.edit_meta([EditMeta(target=at(ENDED), values={"a": "b"})], CALLER, CALL),
        lambda _, __: ("PATCH", f"jobs/edit_meta/{ENDED}", {"key": "a", "value": "b"}),
    ),
    Write(
        "delete", "delete", lambda g, _: g.writes.delete_jobs([at(ENDED)], CALLER, CALL),
        lambda _, __: ("DELETE", "jobs/delete_job/", key(ENDED)),
    ),
    Write(
        "delete before", "delete", lambda g, _: g.writes.delete_jobs_before(DeleteBefore(before=NOW), CALLER, CALL),
        lambda _, __: ("DELETE", f"jobs/delete_job_before/{NOW}", None), own_only=False,
    ),
    Write(
        "remove a tag", "drop tag", lambda g, _: g.writes.remove_tags(RemoveTags(tags=(Tag("review", "old"),)), CALLER, CALL),
        lambda _, __: ("DELETE", "tags/", [{"type": "review", "name": "old", "scope": "global"}]),
        lambda _, __: 'removeTagFromList(tagIds: ["1"])', own_only=False,
    ),
    Write(
        "make an admin", "user",
        lambda g, who: g.writes.change_user(ChangeUser(user=who, change="add-role", value="support"), CALLER, CALL),
        lambda release, who: ("POST", f"user/{who}{'' if release == '1.5' else '?add-role=support'}", {"add-role": "support"}),
        own_only=False,
    ),
    Write(
        "create a user", "user",
        lambda g, _: g.writes.create_user(CreateUser(user="eve", password="x", role="admin"), ADMIN, CALL),
        lambda _, __: ("POST", "users/?username=eve&password=x&role=admin", None), own_only=False,
    ),
    Write(
        "delete a user", "user", lambda g, who: g.writes.delete_user(DeleteUser(user=who), ADMIN, CALL),
        lambda _, who: ("DELETE", f"users/?username={who}", None), own_only=False,
    ),
    Write(
        "tell of nodes", "nodes", lambda g, _: g.writes.update_nodes(NODES, CALLER, CALL),
        lambda _, __: ("POST", "nodestate/", {"cluster": "aurora", "nodes": [{"hostname": "an001", "states": ["idle"]}]}),
        own_only=False,
    ),
]  # fmt: skip


def acts(site: SimulatedSite, effect: str) -> bool:
    return any(one.what == effect for one in site.backend.changes.effects)


def lets(release: str, write: Write, person: str) -> bool:
    """Whether the site does it when that person asks it directly."""
    if write.rest is not None:
        site = make_site(release)
        method, path, body = write.rest(release, person)
        headers = (("x-auth-token", site.token(person)), ("content-type", "application/json"))
        path, _, query = path.partition("?")
        site.answer(Request(method, f"/api/{path}", query, headers, b"" if body is None else json.dumps(body).encode()))
        if acts(site, write.effect):
            return True
    if write.query is not None:
        site = make_site(release)
        tag_id = site.add_tag(RUNNING, "review", "new")
        site.backend.changes.effects.clear()
        headers = (("x-auth-token", site.token(person)), ("content-type", "application/json"))
        body = {"query": f"mutation {{ {write.query(release, tag_id)} }}"}
        site.answer(Request("POST", "/query", "", headers, json.dumps(body).encode()))
        return acts(site, write.effect)
    return False


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("write", WRITES, ids=lambda one: one.name)
@pytest.mark.parametrize("person", PEOPLE)
async def test_the_gateway_lets_everybody_do_what_the_site_lets_them_and_no_more(release: str, write: Write, person: str) -> None:
    site = make_site(release)
    gateway = gateway_over(instance_of(Wire(site), user=person))
    results = await write.run(gateway, person)
    await gateway.aclose()
    allowed = lets(release, write, person)
    if release in ("1.2", "1.3") and person not in PRIVILEGED:
        allowed = allowed and person == "alice" and write.own_only  # where the site isolates nobody, the gateway does
    if (release, person) == ("1.4", "sam"):
        allowed = False  # 1.4 lets support read by its web pages only, and the gateway looks before it writes
    assert acts(site, write.effect) is allowed, results
    effective = {WriteOutcome.DONE, WriteOutcome.PENDING}
    assert all((one.outcome in effective) is allowed for one in results), results


@pytest.mark.parametrize("release", RELEASES)
async def test_nobody_starts_a_job_for_somebody_else_but_who_may(release: str) -> None:
    async def start(person: str) -> bool:
        site = make_site(release)
        gateway = gateway_over(instance_of(Wire(site), user=person))
        await gateway.writes.start_jobs([start_command("aurora", 4711, user="carol")], CALLER, CALL)
        return acts(site, "start")

    done = dict(zip(PEOPLE, await asyncio.gather(*map(start, PEOPLE)), strict=True))
    assert {person for person, did in done.items() if did} == {"demo", "robot"}


TO_ACCOUNTS = [one for one in WRITES if one.effect == "user"]
#: tags cannot be removed altogether at these releases, nor told of nodes
TO_JOBS = [one for one in WRITES if one not in TO_ACCOUNTS and one.name not in ("remove a tag", "tell of nodes")]
#: what tokens with these roles may write where the site asks for no role but api: every job, their own, or none
TABLE = [
    ({"admin"}, "all"),
    ({"admin", "api"}, "all"),
    ({"admin", "support", "manager", "user", "api"}, "all"),
    ({"api"}, "all"),
    ({"support"}, "own"),
    ({"support", "api"}, "own"),
    ({"support", "manager", "api"}, "own"),
    ({"manager", "api"}, "own"),
    ({"user", "api"}, "own"),
    ({"user"}, "own"),
    ({"ADMIN", "user", "api"}, "own"),
    (set(), "none"),
    ({"Admin", "API"}, "none"),
    ({"pilot", "api"}, "none"),
]


def trusting(wire: Wire, person: str, roles: set[str]) -> Instance:
    """A site that lets that person do everything, whatever the roles."""
    credential = Credential.with_roles(SecretStr(wire.site.token("demo")), person, roles)
    settings = {"name": "aurora", "number": 1, "url": "http://wire", "release": wire.site.release.name}
    return Instance(SiteSettings.model_validate(settings), Retrying(wire, "aurora", 0), OneToken(credential))


@pytest.mark.parametrize(("roles", "writes"), TABLE, ids=lambda one: one if isinstance(one, str) else "+".join(sorted(one)))
@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("write", TO_JOBS, ids=lambda one: one.name)
async def test_up_to_1_3_the_roles_table_of_the_gateway_decides_every_write(
    release: str, write: Write, roles: set[str], writes: str
) -> None:
    if write.name == "edit" and release == "1.2":
        pytest.skip("1.2 cannot edit metadata")
    for person in ("alice", "bob"):  # the owner, and somebody else
        site = make_site(release)
        wire = Wire(site)
        results = await write.run(gateway_over(trusting(wire, person, roles)), "alice")
        may = writes == "all" or (writes == "own" and person == "alice" and write.own_only)
        assert acts(site, write.effect) is may, results
        assert not wire.sent or may


@pytest.mark.parametrize(("roles", "writes"), TABLE, ids=lambda one: one if isinstance(one, str) else "+".join(sorted(one)))
@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("write", TO_ACCOUNTS, ids=lambda one: one.name)
async def test_up_to_1_3_users_are_changed_by_administrators_alone(
    release: str, write: Write, roles: set[str], writes: str
) -> None:
    site = make_site(release)
    wire = Wire(site)
    results = await write.run(gateway_over(trusting(wire, "bob", roles)), "alice")
    may = "admin" in roles
    assert acts(site, "user") is may, (results, writes)
    assert may or ({one.code for one in results} <= {Code.FORBIDDEN, Code.NO_CREDENTIAL} and not wire.sent)


@pytest.mark.parametrize("roles", [set(), {"api"}, {"user", "api"}, {"manager", "api"}, {"support", "api"}, {"Admin"}])
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("write", TO_ACCOUNTS[1:], ids=lambda one: one.name)
async def test_who_is_no_administrator_here_makes_none_there(release: str, write: Write, roles: set[str]) -> None:
    site = make_site(release)
    gateway, caller = gateway_over(instance_of(Wire(site), user="demo")), Principal("mallory", frozenset(roles))  # type: ignore[arg-type]
    commands = {"create a user": (gateway.writes.create_user, CreateUser(user="eve", role="api"))}
    run, command = commands.get(write.name, (gateway.writes.delete_user, DeleteUser(user="bob")))
    with pytest.raises(RequestError) as refused:
        await run(command, caller, CALL)  # type: ignore[arg-type]
    assert refused.value.code is Code.FORBIDDEN and not acts(site, "user")
