"""Nothing is served from memory on claims that the site has not accepted for that very token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from acceptance.people import Caller, Gate, WatchedSite, gateway_for, site_of

RELEASES = ("1.2", "1.3", "1.4", "1.5", "howto")
STRANGER = Ed25519PrivateKey.generate()
LIFE = 3600


def _signed(key: Ed25519PrivateKey, sub: str, roles: list[str], expires: float) -> str:
    now = int(time.time())
    return jwt.encode({"sub": sub, "roles": roles, "iat": now - 2 * LIFE, "exp": int(expires)}, key, algorithm="EdDSA")


FORGED: dict[str, Callable[[WatchedSite], str]] = {
    "self-signed bob": lambda _: _signed(STRANGER, "bob", ["user", "api"], time.time() + LIFE),
    "self-signed admin": lambda _: _signed(STRANGER, "demo", ["admin", "api"], time.time() + LIFE),
    "self-signed robot": lambda _: _signed(STRANGER, "robot", ["api"], time.time() + LIFE),
    "unsigned bob": lambda _: jwt.encode({"sub": "bob", "roles": ["user", "api"], "exp": int(time.time()) + LIFE}, "", "none"),
    "expired bob": lambda site: site.mint("bob", ["user", "api"], exp=1_700_000_000),
    "expired admin": lambda site: site.mint("demo", ["admin", "api"], exp=1_700_000_000),
}
NAMES = {kind: f"forger{number}" for number, kind in enumerate(FORGED)}

LIST = "query L($s: [String!]) { jobs(first: 5, sites: $s) { items { id user jobId project } sites { code returned } } }"
QUESTIONS = {
    "list": LIST,
    "count": "query C($s: [String!]) { jobs(first: 1, sites: $s) { count items { user } } }",
    "job": 'query J($id: ID!) { job(id: $id) { user jobId metrics(metrics: ["cpu_load"]) { name } } }',
    "metrics": "query M($id: ID!) { jobMetrics(id: $id) { name scope } }",
    "clusters": "query K($s: [String!]) { clusters(sites: $s) { name } }",
    "users": "query U($s: [String!]) { users(sites: $s) { username } }",
    "tags": "query T($s: [String!]) { tags(sites: $s) { name } }",
}
PATHS = (
    "/userapi/jobs/?site={s}", "/userapi/jobs/{n}", "/userapi/jobs/metrics/{n}?metric=cpu_load", "/api/jobs/?site={s}",
    "/api/clusters/?site={s}", "/api/users/?site={s}", "/cc-backend/1.5/userapi/jobs/?site={s}",
    "/cc-backend/1.5/userapi/jobs/{n}", "/cc-backend/1.5/api/jobs/?site={s}", "/cc-backend/1.5/api/clusters/?site={s}",
)  # fmt: skip


@pytest_asyncio.fixture(params=RELEASES)
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Gate, WatchedSite]]:
    """A site behind a gateway whose table holds people's own tokens, and forged ones."""
    site = site_of(request.param)
    cache = {"list_for": 60, "clusters_for": 60, "ended_for": 60, "running_for": 60}
    async with gateway_for(site, way="table", folder=tmp_path, each={"same_names": False}, cache=cache) as gate:
        with (tmp_path / "table.toml").open("a") as table:
            for kind, make in FORGED.items():
                table.write(f'\n[{NAMES[kind]}.{site.name}]\ntoken = "{make(site)}"\n')
        await asyncio.sleep(1.1)  # the table is looked at once a second
        yield gate, site


def forger(gate: Gate, kind: str) -> Caller:
    roles = ["admin", "api"] if "admin" in kind else ["api"] if "robot" in kind else ["user", "api"]
    return gate.caller(NAMES[kind], roles)


async def everything(caller: Caller, site: WatchedSite) -> list[str]:
    """All that a caller is told, to every question and by every face."""
    (number, *_) = [job["id"] for job in site.all_jobs() if job["user"] == "bob"]
    variables = {"s": [site.name], "id": f"{site.name}:{number}"}
    told = [(await caller.post(query, **variables))[1] for query in QUESTIONS.values()]
    return told + [await caller.get(path.format(s=site.name, n=number * 1000 + 1)) for path in PATHS]


def shows(told: list[str]) -> list[str]:
    """What of that is a site's own."""
    words = ('"user":"', '"bob"', "p_bob", '"jobId":1', '"job_id"', "cpu_load", '"username"', '"scope":"', '"subClusters"')
    return [text for text in told if any(word in text.replace(" ", "") for word in words)]


async def test_a_forged_token_is_told_nothing_that_others_were_told_before(front: tuple[Gate, WatchedSite]) -> None:
    gate, site = front
    for name in ("bob", "demo", "robot"):
        assert shows(await everything(gate.caller(name), site))
    for kind in FORGED:
        assert shows(await everything(forger(gate, kind), site)) == [], kind


async def test_a_forged_token_neither_joins_nor_spoils_what_others_wait_for(front: tuple[Gate, WatchedSite]) -> None:
    gate, site = front
    bob, intruder = gate.caller("bob"), forger(gate, "self-signed bob")
    for _ in range(4):
        answers = await asyncio.gather(*(one.ask(LIST, s=[site.name]) for one in (intruder, bob, bob, intruder, bob, bob)))
        for number, answer in enumerate(answers):
            items: list[Any] = ((answer["data"] or {}).get("jobs") or {}).get("items") or []
            assert bool(items) is (number not in (0, 3)), answer
            assert {item["user"] for item in items} <= {"bob"}


async def test_a_token_that_is_taken_back_is_told_nothing_more(tmp_path: Path) -> None:
    site = site_of("1.5")
    async with gateway_for(site, way="table", folder=tmp_path, cache={"list_for": 0, "clusters_for": 60}) as gate:
        bob = gate.caller("bob")
        clusters, jobs = QUESTIONS["clusters"], LIST
        assert shows([(await bob.post(jobs, s=[site.name]))[1]])
        assert '"name"' in (await bob.post(clusters, s=[site.name]))[1]
        site.keys.private = Ed25519PrivateKey.generate()
        site.keys._public = site.keys.private.public_key()
        site.keys._verified.clear()
        assert not shows([(await bob.post(jobs, s=[site.name]))[1]])
        assert '"name"' not in (await bob.post(clusters, s=[site.name]))[1]
