"""Users and states of nodes by REST on real sockets: which site gets them, from whom, and that no password goes anywhere else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from acceptance.people import PEOPLE, Caller, Gate, WatchedSite, gateway_for, job, site_of
from acceptance.recorded import serving
from acceptance.test_rest_sites import RELEASED, RELEASES, front, make_site, settings_of
from cache.servers import Valkey
from ccgateway.identity.callers import hash_of
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.faults import WriteFault
from ccgateway.simulator.messages import Request, Response, text_response

BASES = pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
PASSWORD = "canary/pass word-ü-canary"
EVE = {"username": "eve", "password": PASSWORD, "role": "user", "name": "Eve", "email": "eve@example.org"}


def states(cluster: str, *hosts: str) -> dict[str, Any]:
    nodes = [
        {
            "hostname": host, "states": ["allocated"], "cpusAllocated": 64, "memoryAllocated": 1 << 40, "gpusAllocated": 0,
            "jobsRunning": 2,
        }
        for host in hosts
    ]  # fmt: skip
    return {"cluster": cluster, "nodes": nodes}


def heard(site: SimulatedSite) -> list[Any]:
    """What the site was told of nodes."""
    return [msgspec.json.decode(one.detail) for one in site.backend.changes.effects if one.what == "nodes"]


def times_heard(site: SimulatedSite) -> int:
    return [one.what for one in site.backend.changes.effects].count("nodes")


def users(site: SimulatedSite) -> set[str]:
    return {one.name for one in site.truth.users}


def told_again(status: int, code: str, answer: httpx.Response, base: str) -> bool:
    return answer.status_code == status and (base != "/api" or answer.json()["code"] == code)


async def sent(
    caller: Caller, method: str, path: str, body: Any = None, *, form: Mapping[str, str] | None = None
) -> tuple[int, str]:
    headers = {**({"X-Auth-Token": caller.token} if caller.token else {}), **caller.headers}
    url = caller.url.removesuffix("/graphql") + path
    async with caller.session.request(method, url, json=body, data=form, headers=headers) as answer:
        return answer.status, await answer.text()


# --- states of nodes


@BASES
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_states_of_nodes_go_to_the_site_that_has_the_cluster(base: str, method: str) -> None:
    aurora, borealis = make_site("aurora"), make_site("borealis")
    body = states("aurora", "an001", "an002")
    async with front(aurora, borealis) as (client, _):
        answer = await client.request(method, f"{base}/nodestate/", json=body)
        none = await client.request(method, f"{base}/nodestate/?site=aurora", json=states("aurora"))
    assert (answer.status_code, answer.content) == (none.status_code, none.content) == (200, b"")
    assert heard(aurora) == [body, states("aurora")] and heard(borealis) == []


@BASES
@pytest.mark.parametrize("name", ["borealis", "cygnus", "draco"])
async def test_a_release_that_takes_no_states_of_nodes_is_named(base: str, name: str) -> None:
    async with front(make_site("aurora"), make_site(name)) as (client, _):
        answer = await client.post(f"{base}/nodestate/", json=states(name, "n001"))
    assert told_again(501, "UNSUPPORTED", answer, base)
    assert f"Release {RELEASES[name]}, which site {name} runs, cannot take states of nodes" in answer.json()["error"]


@BASES
async def test_a_cluster_that_no_site_or_several_have_is_refused_as_for_a_started_job(base: str) -> None:
    twins = [SimulatedSite(name, "1.5", [job(1, "alice", "twin")]) for name in ("aurora", "borealis")]
    node = {"hostname": "n1"}
    started_job = {"jobId": 7, "user": "u", "project": "p", "startTime": 1_760_000_000, "numNodes": 1, "resources": [node]}
    async with front(*twins) as (client, _):
        for cluster in ("twin", "nowhere"):
            started = await client.post(f"{base}/jobs/start_job/", json=started_job | {"cluster": cluster})
            answer = await client.post(f"{base}/nodestate/", json=states(cluster, "n1"))
            assert (answer.status_code, answer.json()) == (started.status_code, started.json())
            assert answer.status_code in (400, 404, 409) and not any(heard(one) for one in twins)
        here = await client.post(f"{base}/nodestate/?site=borealis", json=states("twin", "n1"))
        unknown = await client.post(f"{base}/nodestate/?site=nowhere", json=states("twin", "n1"))
    assert here.status_code == 200 and [len(heard(one)) for one in twins] == [0, 1]
    assert told_again(404, "UNKNOWN_SITE", unknown, base)


@BASES
async def test_a_key_for_one_site_need_not_name_it(base: str, tmp_path: Path) -> None:
    twins = [WatchedSite(name, "1.5", [job(1, "alice", "twin")]) for name in ("aurora", "borealis")]
    key = "ccg_" + "K" * 43
    keys = {"slurm": {"hash": hash_of(key), "subject": "key:slurm", "roles": ["api"], "site": "borealis"}}
    table = tmp_path / "table.toml"
    table.write_text("".join(f'["key:slurm".{one.name}]\ntoken = "{one.token("robot")}"\n' for one in twins))
    table.chmod(0o600)
    async with gateway_for(
        *twins, way="none", folder=tmp_path, api_keys=keys, identities={"table": str(table)},
        issuers={"robots": {"key_file": str(tmp_path / "issuer.pub"), "prefix": ""}},
    ) as gate:  # fmt: skip
        slurm = gate.caller(None, **{"X-Auth-Token": key})
        answer = await sent(slurm, "POST", f"{base}/nodestate/", states("twin", "n1"))
        elsewhere = await sent(slurm, "POST", f"{base}/nodestate/?site=aurora", states("twin", "n1"))
    assert answer == (200, "") and [len(heard(one)) for one in twins] == [0, 1]
    assert elsewhere[0] == 403 and not any(one.path.endswith("/nodestate/") for one in twins[0].heard)


NODE = {"hostname": "an001", "states": ["idle"]}
BODIES: Sequence[tuple[str, Any]] = [
    ("no nodes", {"cluster": "aurora", "nodes": []}),
    ("nodes null", {"cluster": "aurora", "nodes": None}),
    ("nodes absent", {"cluster": "aurora"}),
    ("states null", {"cluster": "aurora", "nodes": [{"hostname": "an001", "states": None}]}),
    ("a state null", {"cluster": "aurora", "nodes": [{**NODE, "states": [None]}]}),
    ("other case", {"CLUSTER": "aurora", "Nodes": [{"HostName": "an001", "STATES": ["down"]}]}),
    ("half a character", b'{"cluster":"aurora","nodes":[{"hostname":"an\\ud800"}]}'),
    ("more behind it", b'{"cluster":"aurora","nodes":[]} xx'),
    ("largest", {"cluster": "aurora", "nodes": [{**NODE, "memoryAllocated": (1 << 63) - 1, "jobsRunning": -1}]}),
    ("too large a number", {"cluster": "aurora", "nodes": [{**NODE, "memoryAllocated": 1 << 63}]}),
    ("unknown member", {"cluster": "aurora", "nodes": [], "site": "aurora"}),
    ("unknown member of a node", {"cluster": "aurora", "nodes": [{**NODE, "foo": 1}]}),
    ("cluster a number", {"cluster": 5, "nodes": [NODE]}),
    ("nodes an object", {"cluster": "aurora", "nodes": {}}),
    ("a node a number", {"cluster": "aurora", "nodes": [5]}),
    ("states a text", {"cluster": "aurora", "nodes": [{**NODE, "states": "idle"}]}),
    ("a state a number", {"cluster": "aurora", "nodes": [{**NODE, "states": [5]}]}),
    ("a number as text", {"cluster": "aurora", "nodes": [{**NODE, "cpusAllocated": "5"}]}),
    ("half a CPU", {"cluster": "aurora", "nodes": [{**NODE, "cpusAllocated": 1.5}]}),
    ("a list", []),
    ("nothing", b""),
    ("not JSON", b"xx"),
    ("cut", b'{"cluster":'),
]


@BASES
async def test_bodies_are_read_as_1_5_reads_them(base: str) -> None:
    site = make_site("aurora")
    async with front(site) as (client, _):
        for name, body in BODIES:
            content = body if isinstance(body, bytes) else msgspec.json.encode(body)
            headers = (("x-auth-token", site.token("demo")),)
            direct = site.answer(Request("POST", "/api/nodestate/", "", headers, content))
            before = times_heard(site)
            answer = await client.post(f"{base}/nodestate/", content=content)
            assert (answer.status_code, times_heard(site) - before) == (direct.status, direct.status == 200), (name, answer.text)
            if base != "/api" and direct.status != 200:
                assert answer.json() == msgspec.json.decode(direct.body), name
            if base == "/api" and direct.status != 200:
                assert answer.json()["code"] == "BAD_REQUEST" and "Go " not in answer.text, name


@BASES
async def test_what_names_no_cluster_is_refused_as_the_site_would_drop_it(base: str) -> None:
    site = make_site("aurora")
    async with front(site) as (client, _):
        for body in ({"nodes": [NODE]}, {"cluster": "", "nodes": [NODE]}, {"cluster": None}, {}, None):
            answer = await client.post(f"{base}/nodestate/", content=msgspec.json.encode(body))
            assert answer.status_code == 400 and "cluster" in answer.json()["error"]
    assert heard(site) == []


@BASES
async def test_thousands_of_nodes_are_taken_and_no_more_than_the_limit_of_a_body(base: str) -> None:
    site = make_site("aurora")
    body = states("aurora", *(f"an{number}" for number in range(2500)))
    async with front(site) as (client, _):
        answer = await client.post(f"{base}/nodestate/", json=body)
        odd = await client.post(f"{base}/nodestate/", content=msgspec.json.encode(body).replace(b'"states"', b'"States"'))
    assert answer.status_code == 200 and heard(site) == [body]
    assert odd.status_code == 400 and "2000 nodes" in odd.json()["error"]
    async with front(site, limits={"body_bytes": 2048}) as (client, _):
        large = await client.post(f"{base}/nodestate/", json=body)
    assert told_again(413, "BODY_TOO_LARGE", large, base) and "limits.body_bytes" in large.json()["error"]


@BASES
async def test_a_site_that_is_down_got_nothing_and_of_one_that_hangs_nobody_knows(base: str) -> None:
    site = make_site("aurora")
    async with serve(site) as running:
        settings = settings_of([site], running)
        sections = {"aurora": settings.sites["aurora"].model_copy(update={"timeout": 2.0, "release": "1.5"})}
        async with serving(settings.model_copy(update={"sites": sections})) as client:
            rule = site.faults.write(WriteFault.TIMEOUT_AFTER)
            hung = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            site.faults.clear()
            lost = site.faults.write(WriteFault.RESET_AFTER)
            cut = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            site.faults.clear()
            await running["aurora"].stop()
            down = await client.post(f"{base}/nodestate/", json=states("aurora", "an001"), timeout=30)
            await running["aurora"].start()
    assert (rule.hits, lost.hits, len(heard(site))) == (1, 1, 2)  # each sent once
    for answer in (hung, cut):
        assert "not known whether this took effect" in answer.json()["error"] and answer.status_code == 504
        assert base != "/api" or answer.json()["outcome"] == "UNKNOWN"
    assert told_again(502, "UNREACHABLE", down, base) and "not known" not in down.json()["error"]


@asynccontextmanager
async def everybody(tmp_path: Path, release: str, **sections: Any) -> AsyncIterator[tuple[Gate, WatchedSite]]:
    site = site_of(release)
    async with gateway_for(site, way="table", folder=tmp_path, extra={site.name: {"release": release}}, **sections) as gate:
        yield gate, site


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
async def test_who_may_what_at_every_release_and_face(release: str, tmp_path: Path) -> None:
    async with everybody(tmp_path, release) as (gate, site):
        for base in ("/api", f"{RELEASED}/api", "/userapi", f"{RELEASED}/userapi"):
            for name in PEOPLE:
                caller = gate.caller(name)
                eve = {"username": f"eve-{name}-{len(base)}", "password": PASSWORD, "role": "user"}
                site.heard.clear()
                nodes, _ = await sent(caller, "POST", f"{base}/nodestate/", states(site.name, "an001"))
                shown = {one.token for one in site.heard if one.path.endswith("/nodestate/")}
                created, _ = await sent(caller, "POST", f"{base}/users/", form=eve)
                assert (eve["username"] in users(site)) is (created == 200)
                deleted, _ = await sent(caller, "DELETE", f"{base}/users/?username={eve['username']}")
                assert eve["username"] not in users(site)
                opens = base.endswith("/api") and name in ("demo", "robot")
                admin = base.endswith("/api") and name == "demo"
                refused = (401, 403, 404, 405)
                assert nodes in ((200,) if opens and release == "1.5" else (501,) if opens else refused), (base, name)
                assert shown == ({site.token(name)} if nodes == 200 else set()) or len(shown) == (nodes == 200)
                for status in (created, deleted):
                    assert status in ((200,) if admin and release < "1.4" else (501,) if admin else refused), (base, name)
                if not admin:
                    assert not any(one.path == "/api/users/" and one.method != "GET" for one in site.heard)
        whose = [site.keys.verify(one.token or "", site.release).subject for one in site.heard]
        assert set(whose) <= {*PEOPLE}


# --- users


@BASES
@pytest.mark.parametrize("name", ["cygnus", "draco"])
async def test_users_come_and_go_by_every_form(base: str, name: str) -> None:
    site, other = make_site(name), make_site("aurora")
    path = f"{base}/users/?site={name}"
    form = EVE | {"site": "aurora"}  # a field of the form names no site
    async with front(site, other, cache={}) as (client, _):
        before = {one["username"] for one in (await client.get(path)).json()}
        made = await client.post(path, data=form)
        eve = next(one for one in site.truth.users if one.name == "eve")
        listed = {one["username"]: one for one in (await client.get(path)).json()}
        again = await client.put(path, data=form)
        parts = await client.put(path, files={key: (None, value) for key, value in (EVE | {"username": "eva"}).items()})
        gone = await client.delete(f"{path}&username=eve")
        by_form = await client.request("DELETE", path, data={"username": "eva"})
        never = await client.request("DELETE", path, files={"username": (None, "eva")})
        after = {one["username"] for one in (await client.get(path)).json()}
    assert (made.status_code, parts.status_code, gone.status_code, by_form.status_code, never.status_code) == (200,) * 5
    assert (eve.roles, eve.projects, eve.full_name, eve.email) == (("user",), ("",), "Eve", "eve@example.org")
    assert listed["eve"]["email"] == "eve@example.org" and "eve" not in before  # though the list is remembered for minutes
    assert after == before and users(other) == users(make_site("aurora"))
    if base == "/api":
        assert made.json() == {"msg": "User eve successfully created!", "sites": {name: [{"outcome": "DONE"}]}}
        assert again.json()["code"] == "CONFLICT" and again.status_code == 409
        assert never.json()["sites"][name][0]["outcome"] == "UNCHANGED"
    else:
        assert (made.text, made.headers["content-type"]) == ("User eve successfully created!\n", "text/plain; charset=utf-8")
        assert again.status_code == 422 and "UNIQUE constraint failed: user.username" in again.json()["error"]
        assert gone.content == by_form.content == never.content == b""


@BASES
async def test_users_need_their_site_where_there_are_several_and_a_release_that_can(base: str) -> None:
    sites = [make_site(name) for name in RELEASES]
    async with front(*sites) as (client, _):
        unnamed = [await client.post(f"{base}/users/", data=EVE), await client.delete(f"{base}/users/?username=bob")]
        late = [
            await client.request(method, f"{base}/users/?site={name}&username=bob", data=EVE if method != "DELETE" else None)
            for name in ("aurora", "borealis")
            for method in ("POST", "PUT", "DELETE")
        ]
        everywhere = await client.post(f"{base}/users/?site=*", data=EVE)
        both = await client.post(f"{base}/users/?site=cygnus&site=draco", data=EVE | {"username": "eva"})
    for answer in unnamed:
        assert told_again(400, "BAD_REQUEST", answer, base) and "Name the sites" in answer.json()["error"]
    for answer in late:
        assert told_again(501, "UNSUPPORTED", answer, base) and "cannot " in answer.json()["error"]
    assert everywhere.status_code == 207 and both.status_code == 200
    made = [name for name, site in zip(RELEASES, sites, strict=True) if {"eve", "eva"} <= users(site)]
    assert made == ["cygnus", "draco"] and all("bob" in users(site) for site in sites)
    outcomes = everywhere.json()["sites"]
    told = {name: of if isinstance(of, str) else of[0]["outcome"] for name, of in outcomes.items()}
    assert told == {"aurora": "FAILED", "borealis": "FAILED", "cygnus": "DONE", "draco": "DONE"}


@BASES
async def test_what_is_no_user_reaches_no_site(base: str) -> None:
    site = make_site("cygnus")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"data": {**EVE, "username": ""}}, "username"),
        ({"data": {"username": "eve", "role": "user"}}, "password"),
        ({"data": {**EVE, "password": "x" * 73}}, "72 bytes"),
        ({"data": {**EVE, "project": "p"}}, "only managers"),
        ({"data": {**EVE, "role": "manager"}}, "needs a project"),
        ({"json": EVE}, "username"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, "multipart"),
        ({"content": nested(1500), "headers": {"Content-Type": "multipart/form-data; boundary=b0"}}, ""),
        ({"data": EVE, "params": {"password": "x"}}, "query"),
        ({"data": {**EVE, "name": "x" * 70_000}}, "65536 bytes"),
    ]
    async with front(site) as (client, _):
        before = users(site)
        for more, words in wrong:
            answer = await client.post(f"{base}/users/", **more)
            assert answer.status_code in (400, 413) and words in answer.json()["error"], (more, answer.text)
        unnamed = await client.delete(f"{base}/users/")
    assert unnamed.status_code == 400 and users(site) == before
    assert not any(one.method != "GET" for one in site.requests)


def nested(depth: int) -> bytes:
    """Parts within parts."""
    return b"".join(
        b"--b%d\r\nContent-Type: multipart/x; boundary=b%d\r\n\r\n" % (number, number + 1) for number in range(depth)
    )[: 64 << 10]


@BASES
async def test_nothing_is_written_where_the_settings_let_nothing_be(base: str) -> None:
    site = make_site("cygnus")
    async with serve(site) as running:
        closed = settings_of([site], running)
        sections = {"cygnus": closed.sites["cygnus"].model_copy(update={"read_only": True})}
        async with serving(closed.model_copy(update={"sites": sections})) as client:
            answers = [
                await client.post(f"{base}/users/", data=EVE),
                await client.delete(f"{base}/users/?username=bob"),
                await client.post(f"{base}/nodestate/", json=states("cygnus", "cn001")),
            ]
    assert all(told_again(403, "READ_ONLY", one, base) for one in answers)
    assert not any(one.method != "GET" for one in site.requests)


async def test_states_of_nodes_take_nothing_from_memory_and_users_only_users() -> None:
    site, newest = make_site("cygnus"), make_site("aurora")
    async with front(site, newest, cache={"list_for": 60}) as (client, _):

        async def calls(path: str) -> int:
            before = len(site.requests) + len(newest.requests)
            assert (await client.get(path)).status_code == 200
            return len(site.requests) + len(newest.requests) - before

        paths = ("/api/jobs/?items_per_page=5", "/api/clusters/", "/api/users/?site=cygnus")
        for path in paths:
            await calls(path)
        assert [await calls(path) for path in paths] == [0, 0, 0]
        await client.post("/api/nodestate/", json=states("aurora", "an001"))
        assert [await calls(path) for path in paths] == [0, 0, 0]
        await client.post("/api/users/?site=cygnus", data=EVE)
        assert [await calls(path) for path in paths] == [0, 0, 1]
        await client.delete("/api/users/?site=cygnus&username=eve")
        assert [await calls(path) for path in paths] == [0, 0, 1]


class Echo(WatchedSite):
    """Says back what it was sent, in every way that an error can be told."""

    saying: int = 0

    def answer(self, request: Request) -> Response:
        if request.method == "GET" or "/users/" not in request.path:
            return super().answer(request)
        self.heard.append(request)
        self.saying += 1
        words = f"INSERT failed: {request.body.decode()} {PASSWORD}"
        answers = (
            text_response(422, words), text_response(500, words), text_response(401, words), text_response(200, words),
            Response(302, headers=(("location", f"http://elsewhere.example.org/?{request.body.decode()}"),)),
        )  # fmt: skip
        return answers[self.saying % len(answers)]


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.mark.parametrize("kind", [WatchedSite, Echo])
async def test_a_password_goes_to_its_site_and_nowhere_else(
    kind: type[WatchedSite], tmp_path: Path, caplog: pytest.LogCaptureFixture, valkey: Valkey
) -> None:
    caplog.set_level(logging.DEBUG)
    valkey.ask("FLUSHALL")
    made = site_of("1.3", "cygnus")
    site = kind("cygnus", "1.3", [])
    site.backend = made.backend
    audit = tmp_path / "audit.log"
    texts: list[str] = []
    async with gateway_for(
        site, way="table", folder=tmp_path, writes={"audit_file": str(audit)}, cache={"redis_url": valkey.url}
    ) as gate:
        for base in ("/api", f"{RELEASED}/api"):
            for number in range(6):
                form = {**EVE, "username": f"eve{len(base)}{number}"}
                caller = gate.caller("demo", **{"Idempotency-Key": f"key{len(base)}{number}"})
                twice = [await sent(caller, "POST", f"{base}/users/", form=form) for _ in range(2)]
                other = await sent(caller, "POST", f"{base}/users/", form={**form, "password": "another"})
                named = await sent(gate.caller("demo"), "POST", f"{base}/users/?password={PASSWORD}", form=form)
                texts += map(str, (*twice, other, named))
                if kind is WatchedSite:
                    assert twice[0] == twice[1] and (twice[0][0], other[0], named[0]) == (200, 409, 400), twice
        stored = b"".join(_dump(valkey))
    assert any(PASSWORD.encode("utf-8")[:6] in one.body for one in site.heard)
    assert len(audit.read_text().splitlines()) >= 12 and stored
    told = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    for name, text in {"a log": told, "the audit file": audit.read_text(), "an answer": "\n".join(texts)}.items():
        assert "canary" not in text, name
    assert b"canary" not in stored


def _dump(valkey: Valkey) -> list[bytes]:
    keys = valkey.ask("KEYS", "*")
    found: list[bytes] = []
    for key in keys:
        found += [key, valkey.ask("DUMP", key) or b""]
    return found
