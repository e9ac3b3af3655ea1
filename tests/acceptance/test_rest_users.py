"""Users by REST on real sockets: who may what, which site gets them, and that no password goes anywhere else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from acceptance.people import PEOPLE, Gate, WatchedSite, gateway_for, site_of
from acceptance.recorded import serving
from acceptance.sending import BASES, sent, states, told_again
from acceptance.test_rest_sites import RELEASED, RELEASES, front, make_site, settings_of
from cache.servers import Valkey
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.messages import Request, Response, text_response

PASSWORD = "canary/pass word-ü-canary"
EVE = {"username": "eve", "password": PASSWORD, "role": "user", "name": "Eve", "email": "eve@example.org"}


def users(site: SimulatedSite) -> set[str]:
    return {one.name for one in site.truth.users}


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
