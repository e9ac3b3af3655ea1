"""What ``check`` says of identities: issuers, the table, signing keys, the exchange service."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ccgateway.identity.ed25519 import mint
from ccgateway.operations.rendering import as_json
from ccgateway.simulator.messages import json_error
from ccgateway.simulator.tokens import Keys
from identity.authority import Authority, pem_of, signer
from operations.conftest import Start
from operations.desk import Desk, one_problem, one_warning
from support.raw_server import plain_answer, raw_server

RELEASES = ["1.2", "1.3", "1.4", "1.5", "howto"]
ISSUER = '[issuers.robots]\nkey_file = "robots.pub"\n'


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk where callers can say who they are."""
    (desk.folder / "robots.pub").write_text(pem_of(signer("EdDSA")))
    desk.text = ISSUER
    return desk


def put(desk: Desk, name: str, text: str, mode: int = 0o600) -> None:
    path = desk.folder / name
    path.write_text(text)
    path.chmod(mode)


def answering(body: bytes) -> Callable[..., Any]:
    async def answer(_request: Any, writer: Any) -> Any:
        writer.write(body)
        return "keep"

    return answer


# --- signing keys


@pytest.mark.parametrize("release", RELEASES)
async def test_a_signing_key_is_good_if_the_site_accepts_what_it_signs(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    put(desk, "aurora.key", address.site.keys.private_base64)
    desk.add("aurora", address.url, None, 'signing_key_file = "aurora.key"\nsame_names = true')
    result = await desk.check()
    assert list(result) == []
    (site,) = result.sites
    assert (site.release, site.reachable, site.accepted, site.ways) == (release, True, True, ["signed"])
    assert {seen.subject for seen in address.site.requests} == {"ccgateway-check"}
    told = json.loads(as_json(result))["sites"][0]
    assert (told["ways"], told["token"]) == (["signed"], None)


@pytest.mark.parametrize("release", RELEASES)
async def test_another_sites_signing_key_is_named_as_such(release: str, start: Start, desk: Desk) -> None:
    address = await start(release)
    put(desk, "aurora.key", Keys().private_base64)
    desk.add("aurora", address.url, address.site.token("demo"), 'signing_key_file = "aurora.key"\nsame_names = true')
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.signing_key_file" and "does not accept tokens signed with it" in problem.problem


async def test_what_is_no_key_is_named_as_such_and_not_shown(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    put(desk, "aurora.key", "canary-key-canary")
    desk.add("aurora", address.url, address.site.token("demo"), 'signing_key_file = "aurora.key"\nsame_names = true')
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.signing_key_file" and "canary" not in problem.problem + problem.remedy


@pytest.mark.parametrize(("mode", "words"), [(0o644, "everybody"), (0o620, "altered")])
async def test_a_signing_key_that_is_open_to_others_is_a_problem(start: Start, desk: Desk, mode: int, words: str) -> None:
    address = await start("1.5")
    put(desk, "aurora.key", address.site.keys.private_base64, mode)
    desk.add("aurora", address.url, address.site.token("demo"), 'signing_key_file = "aurora.key"\nsame_names = true')
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.signing_key_file" and words in problem.problem


async def test_a_signing_key_that_nobody_has_a_name_for_is_a_warning(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    put(desk, "aurora.key", address.site.keys.private_base64)
    desk.add("aurora", address.url, None, 'signing_key_file = "aurora.key"')
    warning = one_warning(await desk.check())
    assert warning.key == "sites.aurora.signing_key_file" and "nobody has a name" in warning.problem


async def test_a_site_that_looks_its_users_up_has_accepted_the_signature(
    start: Start, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await start("1.5")
    monkeypatch.setattr(address.site, "answer", lambda _request: json_error(401, "unknown user"))
    put(desk, "aurora.key", address.site.keys.private_base64)
    desk.add("aurora", address.url, None, 'signing_key_file = "aurora.key"\nsame_names = true')
    result = await desk.check()
    assert result.is_good and result.sites[0].accepted


async def test_a_site_that_is_down_is_told_about_once(desk: Desk) -> None:
    put(desk, "aurora.key", Keys().private_base64)
    desk.add("aurora", "http://127.0.0.1:9", None, 'signing_key_file = "aurora.key"\nsame_names = true')
    assert "refuses the connection" in one_problem(await desk.check()).problem


async def test_roles_that_would_give_more_are_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    put(desk, "aurora.key", address.site.keys.private_base64)
    extra = 'signing_key_file = "aurora.key"\nsame_names = true\nroles = {user = "admin"}'
    desk.add("aurora", address.url, address.site.token("demo"), extra)
    assert one_problem(await desk.check()).key == "sites.aurora.roles"


# --- the table


async def test_a_table_is_good_and_its_tokens_show_what_answers(start: Start, desk: Desk) -> None:
    address = await start("1.4")
    put(desk, "people.toml", f'[alice.aurora]\ntoken = "{address.site.token("alice")}"\n')
    desk.text += '[identities]\ntable = "people.toml"\n'
    desk.add("aurora", address.url, None)
    result = await desk.check()
    assert list(result) == []
    (site,) = result.sites
    assert (site.release, site.sees, site.ways) == ("1.4", "jobs of alice", ["own"])


@pytest.mark.parametrize(("mode", "words"), [(0o604, "everybody"), (0o622, "altered")])
async def test_a_table_that_is_open_to_others_is_a_problem(start: Start, desk: Desk, mode: int, words: str) -> None:
    address = await start("1.5")
    put(desk, "people.toml", "", mode)
    desk.text += '[identities]\ntable = "people.toml"\n'
    desk.add("aurora", address.url, address.site.token("demo"))
    problem = one_problem(await desk.check())
    assert problem.key == "identities.table" and words in problem.problem


async def test_worn_tokens_and_unknown_sites_in_the_table_are_warnings(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    worn = address.site.mint("alice", ["user", "api"], exp=1_700_000_000)
    put(desk, "people.toml", f'[alice.aurora]\ntoken = "{worn}"\n[bob.nowhere]\nuser = "bob"\n')
    desk.text += '[identities]\ntable = "people.toml"\n'
    desk.add("aurora", address.url, address.site.token("demo"))
    result = await desk.check()
    assert result.is_good
    said = {finding.problem for finding in result}
    assert said == {"it names sites that are not configured: nowhere", "tokens for aurora are expired or no JWT: those of alice"}


@pytest.mark.parametrize("service", ["demo", None], ids=["with a service token", "without"])
async def test_people_whose_tokens_in_the_table_are_refused_are_named(start: Start, desk: Desk, service: str | None) -> None:
    address = await start("1.5")
    forged = mint(Ed25519PrivateKey.generate(), "bob", ["user", "api"], now=time.time(), lifetime=600).get_secret_value()
    rows = {"mallory": forged, "alice": address.site.token("alice"), "zoe": forged}
    put(desk, "people.toml", "".join(f'[{name}.aurora]\ntoken = "{token}"\n' for name, token in rows.items()))
    desk.text += '[identities]\ntable = "people.toml"\n'
    desk.add("aurora", address.url, address.site.token(service) if service is not None else None)
    result = await desk.check()
    (finding,) = [finding for finding in result if finding.key == "identities.table"]
    assert finding.problem == "site aurora refuses the tokens of mallory, zoe"
    assert forged not in as_json(result)


# --- issuers and the exchange service


async def test_an_issuers_address_is_good_if_its_keys_can_be_read(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    async with raw_server(answering(plain_answer(Authority().jwks()))) as server:
        desk.text = f'[issuers.sso]\njwks_url = "{server.url}/certs"\nissuer = "i"\naudience = "a"\n'
        desk.add("aurora", address.url, address.site.token("demo"))
        assert list(await desk.check()) == []


@pytest.mark.parametrize("body", [plain_answer(b"{}"), plain_answer(b"", status="404 Not Found")])
async def test_an_issuers_address_without_keys_is_a_problem(body: bytes, start: Start, desk: Desk) -> None:
    address = await start("1.5")
    async with raw_server(answering(body)) as server:
        desk.text = f'[issuers.sso]\njwks_url = "{server.url}/certs"\nissuer = "i"\naudience = "a"\n'
        desk.add("aurora", address.url, address.site.token("demo"))
        problem = one_problem(await desk.check())
    assert problem.key == "issuers.sso.jwks_url" and "its keys cannot be read" in problem.problem


async def test_an_issuers_key_that_is_none_is_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    (desk.folder / "robots.pub").write_text("no key")
    desk.add("aurora", address.url, address.site.token("demo"))
    assert one_problem(await desk.check()).key == "issuers.robots.key_file"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (plain_answer(b'{"error":"invalid_grant"}', status="400 Bad Request"), None),
        (plain_answer(b'{"error":"invalid_client"}', status="401 Unauthorized"), "client_id"),
        (plain_answer(b"hello"), "no exchange service"),
    ],
)
async def test_the_exchange_service_is_proved_to_be_one(body: bytes, words: str | None, start: Start, desk: Desk) -> None:
    address = await start("1.5")
    async with raw_server(answering(body)) as server:
        desk.text += f'[exchange]\nurl = "{server.url}/token"\n'
        desk.add("aurora", address.url, None, 'exchange_audience = "aurora"')
        result = await desk.check()
    assert result.sites[0].ways == ["exchanged"] and result.sites[0].reachable
    if words is None:
        assert list(result) == []
    else:
        problem = one_problem(result)
        assert problem.key == "exchange.url" and words in problem.problem


async def test_an_exchange_service_without_tokens_to_exchange_is_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    async with raw_server(answering(plain_answer(b'{"error":"invalid_grant"}', status="400 Bad Request"))) as server:
        desk.text = f'[exchange]\nurl = "{server.url}/token"\n'
        desk.add("aurora", address.url, address.site.token("demo"))
        assert "no token that could be exchanged" in one_problem(await desk.check()).problem


async def test_a_file_that_is_not_there_is_a_problem_of_its_key(start: Start, desk: Desk, tmp_path: Path) -> None:
    address = await start("1.5")
    desk.text += '[identities]\ntable = "nowhere.toml"\n'
    desk.add("aurora", address.url, address.site.token("demo"), 'signing_key_file = "nowhere.key"')
    result = await desk.check()
    assert sorted(finding.key for finding in result) == ["identities.table", "sites.aurora.signing_key_file"]


# --- API keys


def key_of(name: str, subject: str, roles: str, extra: str = "") -> str:
    digest = f"sha256:{sha256(name.encode()).hexdigest()}"
    return f'[api_keys.{name}]\nhash = "{digest}"\nsubject = "{subject}"\nroles = ["{roles}"]\n{extra}\n'


@pytest.mark.parametrize(
    ("subject", "roles", "naming", "is_good"),
    [
        ("robot:slurm", "api", "same_names = true", False), ("robot:slurm", "api", 'name_pattern = "robot:(.+)"', True),
        ("slurm", "api", "same_names = true", True), ("alice", "user", 'name_pattern = "robot:(.+)"', False),
    ],
)  # fmt: skip
async def test_a_key_that_gets_no_signed_token_at_a_site_is_told_of(
    subject: str, roles: str, naming: str, is_good: bool, start: Start, desk: Desk
) -> None:  # fmt: skip
    address = await start("1.5")
    put(desk, "aurora.key", address.site.keys.private_base64)
    desk.text = key_of("adapter", subject, roles)
    desk.add("aurora", address.url, None, f'signing_key_file = "aurora.key"\n{naming}')
    result = await desk.check()
    if is_good:
        assert list(result) == []
    else:
        warning = one_warning(result)
        assert warning.key == "api_keys.adapter" and f"{subject!r}" in warning.problem and "aurora" in warning.problem


async def test_a_key_for_other_roles_than_a_service_token_is_for_is_told_of_and_one_for_another_site_is_not(
    start: Start, desk: Desk
) -> None:
    first, second = await start("1.5"), await start("1.4")
    desk.text = key_of("all", "reports", "admin") + key_of("some", "alice", "user")
    desk.add("aurora", first.url, first.site.token("demo"))
    put(desk, "borealis.key", second.site.keys.private_base64)
    desk.add("borealis", second.url, None, 'signing_key_file = "borealis.key"\nsame_names = true')
    told = [one.problem for one in await desk.check() if one.key.startswith("api_keys")]
    assert told == ["'alice' with the roles user gets no token at aurora"]
    desk.file.write_text(desk.text.replace('subject = "alice"\n', 'subject = "alice"\nsite = "borealis"\n'))
    assert not [one for one in await desk.check() if one.key.startswith("api_keys")]
