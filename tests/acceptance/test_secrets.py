"""Every secret that the gateway holds, or is shown, is marked: nothing that leaves it but a request to the right site has one."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest

from acceptance.people import PEOPLE, Gate, WatchedSite, gateway_for, job, site_of
from ccgateway.identity.callers import hash_of
from ccgateway.simulator.messages import Request, Response, json_error, text_response
from support.raw_server import plain_answer, raw_server

QUERIES = (
    "{ jobs(first: 5) { items { id user project partition userData { name } } count sites { message notes } } }",
    "{ jobs(first: 5, filter: [{state: [running]}]) { items { id metrics { name } } } }",
    "{ sites { name reachable lastError { code message } } }",
    "{ users { username } }",
    "{ clusters { name partitions } }",
    '{ job(id: "aurora:1") { id } }',
    '{ jobMetrics(id: "borealis:2") { name metric { series { data } } } }',
    '{ jobMetrics(id: "cygnus:999") { name } }',
    'mutation { tagJobs(jobs: [{id: "aurora:1"}], tags: [{type: "t", name: "n"}]) { outcome message } }',
    'mutation { editJobsMeta(jobs: [{job: {id: "borealis:2"}, values: {note: "x"}}]) { outcome message } }',
    'mutation { deleteJobs(jobs: [{id: "cygnus:3"}], dryRun: true) { outcome message } }',
)
PATHS = (
    "/userapi/jobs/?items_per_page=5",
    "/api/jobs/metrics/1001",
    "/cc-backend/1.5/userapi/jobs/?items-per-page=5",
    "/cc-backend/1.5/api/jobs/2002",
    "/api/users/",
)


class Parrot(WatchedSite):
    """Now and then says back what it was shown, in every way that an error can be told."""

    saying: int = 0

    def listed(self, token: str) -> dict[str, Any]:
        """A list that is as it should be, but for the token in it."""
        shared = {"shared": "none"} if self.release.name == "1.5" else {"exclusive": 1}
        return {"jobs": [{**job(7, "alice", self.name), **shared, "project": token, "partition": token.rpartition(".")[2]}]}

    def answer(self, request: Request) -> Response:
        told = super().answer(request)
        token = request.token or ""
        self.saying += 1
        words = f"panic: header X-Auth-Token: {token} Authorization: Bearer {token} in {request.headers}"
        answers = (
            json_error(500, words), text_response(401, words), json_error(403, token), text_response(500, f"<html>{words}"),
            Response(302, headers=(("location", f"http://elsewhere.example.org/?token={token}"),)),
            Response(200, json.dumps(self.listed(token)).encode()), json_error(400, words),
        )  # fmt: skip
        return answers[self.saying // 2 % len(answers)] if self.saying % 2 else told


def parts_of(secret: str) -> Iterator[str]:
    """The secret, and of a JWT what makes it one."""
    yield secret
    if secret.count(".") == 2:
        yield from secret.split(".")[1:]


@pytest.mark.parametrize("list_for", [0, 1])
async def test_no_secret_is_in_any_answer_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, list_for: float) -> None:
    caplog.set_level(logging.DEBUG)
    aurora, borealis, cygnus = sites = [Parrot("aurora", "1.5", []), Parrot("borealis", "1.4", []), Parrot("cygnus", "1.3", [])]
    for site, release in zip(sites, ("1.5", "1.4", "1.3"), strict=True):
        site.backend = site_of(release, site.name).backend
    key, client_secret, redis_password = "ccg_" + "K" * 43, "canary-client-secret-canary", "canary-redis-password-canary"
    own = {name: aurora.mint(name, PEOPLE[name]) for name in ("alice", "bob")}
    table = tmp_path / "table.toml"
    table.write_text("".join(f'[{name}.aurora]\ntoken = "{token}"\n' for name, token in own.items()))
    table.chmod(0o600)
    secrets = {key, client_secret, redis_password, cygnus.token("demo"), borealis.keys.private_base64, *own.values()}
    exchanged = cygnus.mint("alice", ["user", "api"])
    secrets.add(exchanged)

    async def exchange(request: Any, writer: Any) -> Any:
        shown = parse_qs(request.body.decode())["subject_token"][0]
        if jwt.decode(shown, options={"verify_signature": False})["sub"] == "alice":
            writer.write(plain_answer(json.dumps({"access_token": exchanged, "expires_in": 600}).encode()))
        else:
            words = json.dumps({"error": "invalid_grant", "error_description": f"{shown} {client_secret}"}).encode()
            writer.write(plain_answer(words, status="400 Bad Request"))
        return "keep"

    texts: list[str] = []
    async with raw_server(exchange) as service:
        sections = {
            "identities": {"table": str(table)},
            "exchange": {"url": f"{service.url}/token", "client_id": "gw", "client_secret": client_secret},
            "api_keys": {"slurm": {"hash": hash_of(key), "subject": "key:slurm", "roles": ["api"]}},
            "cache": {"list_for": list_for, "redis_url": f"redis://:{redis_password}@127.0.0.1:1/0"},
            "issuers": {"robots": {"key_file": str(tmp_path / "issuer.pub"), "prefix": ""}},
        }
        each = {"same_names": True}
        async with gateway_for(*sites, way="none", folder=tmp_path, each=each, extra={
            "borealis": {"signing_key": borealis.keys.private_base64},
            "cygnus": {"token": cygnus.token("demo"), "exchange_audience": "cygnus"},
        }, **sections) as gate:  # fmt: skip
            callers = [gate.caller(name) for name in PEOPLE] + [gate.caller(None)]
            secrets |= {caller.token for caller in callers if caller.token}
            callers.append(gate.caller(None, **{"X-Auth-Token": key}))
            for token in (own["alice"], aurora.token("demo"), key[:-1] + "x"):  # a site's tokens are no tokens of the gateway
                secrets.add(token)
                callers.append(gate.caller(None, Authorization=f"Bearer {token}"))
            for _ in range(4):
                for caller in callers:
                    texts += [(await caller.post(query))[1] for query in QUERIES]
                    texts += [await caller.get(path) for path in PATHS]
            texts.append(repr(gate))
    for site in sites:
        assert site.heard
        secrets |= {request.token for request in site.heard if request.token}
    told = "\n".join(record.getMessage() + (record.exc_text or "") for record in caplog.records)
    assert "ccgateway" in {record.name.partition(".")[0] for record in caplog.records}
    assert any('"items":[{' in text.replace(" ", "") for text in texts)
    assert [text for text in texts if "GRAPHQL_VALIDATION_FAILED" in text] == []
    assert "ccgateway.audit" in {record.name for record in caplog.records}
    assert len([text for text in texts if text.startswith("200 ")]) > 10
    for secret in secrets:
        for part in parts_of(secret):
            assert part not in told, f"in a log: {part[:12]}…"
            for text in texts:
                assert part not in text, f"in an answer: {part[:12]}… {text[:200]}"
    # and each site heard tokens of its own alone
    for site in sites:
        for request in site.heard:
            assert site.keys.verify(request.token or "", site.release)


async def test_credentials_are_exchanged_side_by_side(tmp_path: Path) -> None:
    sites = [site_of("1.5", f"site{number}") for number in range(4)]
    by_name = {site.name: site for site in sites}
    all_there, waiting = asyncio.Event(), 0

    async def exchange(request: Any, writer: Any) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == len(sites):
            all_there.set()
        await all_there.wait()  # nobody is answered before all have asked
        site = by_name[parse_qs(request.body.decode())["audience"][0]]
        token = site.mint("alice", ["user", "api"])
        writer.write(plain_answer(json.dumps({"access_token": token, "expires_in": 600}).encode()))
        return "keep"

    async with raw_server(exchange) as service:
        extra = {name: {"exchange_audience": name} for name in by_name}
        async with gateway_for(
            *sites, way="none", folder=tmp_path, extra=extra, exchange={"url": f"{service.url}/token"}
        ) as gate:
            alice = gate.caller("alice")
            for query in ("{ jobs(first: 50) { items { user } complete } }", "{ clusters { name } }", "{ sites { reachable } }"):
                answer = await alice.ask(query)
                assert "errors" not in answer, answer
            assert waiting == len(sites)  # each is kept


async def test_an_exchange_service_that_hangs_takes_away_only_what_needs_it(tmp_path: Path) -> None:
    aurora, borealis = site_of("1.5", "aurora"), site_of("1.4", "borealis")

    async def exchange(_request: Any, _writer: Any) -> Any:
        return "hold"

    async with raw_server(exchange) as service:
        extra = {"aurora": {"exchange_audience": "aurora"}, "borealis": {"signing_key": borealis.keys.private_base64}}
        async with gateway_for(
            aurora, borealis, way="none", folder=tmp_path, extra=extra, exchange={"url": f"{service.url}/token"},
            limits={"patience": 0.1},
        ) as gate:  # fmt: skip
            answer = await gate.caller("alice").ask("{ jobs { items { site } complete sites { site status code retryable } } }")
    jobs = answer["data"]["jobs"]
    assert {job["site"] for job in jobs["items"]} == {"borealis"} and jobs["complete"] is False
    assert jobs["sites"][0] == {"site": "aurora", "status": "FAILED", "code": "NO_CREDENTIAL", "retryable": True}
    assert aurora.heard == []


@pytest.mark.parametrize("then", ["nobody", "bob", "alice"])
async def test_a_walk_goes_on_with_the_credentials_of_the_moment(
    tmp_path: Path, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the table says while a page waits for its next counts for the next."""
    monkeypatch.setattr("ccgateway.site.credentials.table.LOOK_EVERY", 0.0)
    site = site_of("1.5", "aurora")
    query = "query Q($after: String) { jobs(first: 3, after: $after) { items { user } pageInfo { endCursor } } }"
    async with gateway_for(site, way="table", folder=tmp_path, limits={"read_ahead": 60.0}) as gate:
        alice = gate.caller("alice")
        first = (await alice.ask(query))["data"]["jobs"]
        assert len(first["items"]) == 3
        token = site.mint(then, PEOPLE["alice"], exp=int(time.time()) + 99)
        entry = f'[alice.aurora]\nuser = "{then}"\ntoken = "{token}"' if then != "nobody" else ""
        (tmp_path / "table.toml").write_text(entry)
        site.heard.clear()
        answer = await alice.ask(query, after=first["pageInfo"]["endCursor"])
    if then == "nobody":
        assert answer["data"] is None
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"ALL_SITES_FAILED", "NO_CREDENTIAL"}
        return
    assert {job["user"] for job in answer["data"]["jobs"]["items"]} == {then}
    assert {request.token for request in site.heard} <= {token}


async def test_the_service_token_is_shown_for_the_privileged_alone(tmp_path: Path) -> None:
    site = site_of("1.5", "aurora")

    async def shown(gate: Gate, name: str) -> set[str | None]:
        site.heard.clear()
        await gate.caller(name).ask("{ jobs(first: 1) { items { id } } }")
        return {site.keys.verify(request.token or "", site.release).subject for request in site.heard}

    async with gateway_for(site, way="service", folder=tmp_path) as gate:
        assert await shown(gate, "demo") == {"demo"}
        for name in PEOPLE:
            if name != "demo":
                assert await shown(gate, name) == set()
