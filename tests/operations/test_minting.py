"""``ccgateway token`` and ``ccgateway key``: what they write lets its holder in, and stands nowhere else."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import jwt
import pytest

from ccgateway.identity.callers import Callers
from ccgateway.identity.principal import Principal
from ccgateway.settings import Settings
from ccgateway.simulator.tokens import Keys
from identity.authority import pem_of, private_pem, signer
from operations.conftest import Run


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "robots.pem"
    path.write_text(private_pem(signer("EdDSA")))
    return str(path)


def callers(tmp_path: Path, **issuer: Any) -> Callers:
    public = tmp_path / "robots.pub"
    public.write_text(pem_of(signer("EdDSA")))
    return Callers(Settings.model_validate({"issuers": {"robots": {"key_file": str(public), **issuer}}}))


async def test_a_minted_token_lets_a_robot_in(run: Run, key_file: str, tmp_path: Path) -> None:
    made = run("token", "--key-file", key_file, "--subject", "slurm", "--roles", "api", "--for", "30d")
    assert (made.status, made.stderr) == (0, "")
    token = made.stdout.strip()
    found = await callers(tmp_path).principal(token)
    assert found == Principal("slurm", frozenset({"api"}), issuer="robots")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 30 * 86_400 + 30


async def test_it_says_for_whom_and_by_whom_where_that_is_asked(run: Run, key_file: str, tmp_path: Path) -> None:
    made = run("token", "--key-file", key_file, "--subject", "a", "--issuer", "robots", "--audience", "ccgateway")
    found = await callers(tmp_path, issuer="robots", audience="ccgateway").principal(made.stdout.strip())
    assert found == Principal("a", frozenset({"user"}), issuer="robots")


async def test_a_sites_own_key_can_sign_too(run: Run, tmp_path: Path) -> None:
    site, path = Keys(), tmp_path / "site.key"
    path.write_text(site.private_base64)
    made = run("token", "--key-file", str(path), "--subject", "alice", "--roles", "user, api")
    assert jwt.decode(made.stdout.strip(), options={"verify_signature": False})["roles"] == ["user", "api"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--for", "soon"), "--for"),
        (("--for", "0d"), "--for"),
        (("--for", "-5m"), "--for"),
        (("--subject", "a b"), "--subject"),
        (("--key-file", "nowhere.pem"), "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(run: Run, key_file: str, arguments: tuple[str, ...], said: str) -> None:
    made = run("token", "--key-file", key_file, "--subject", "slurm", *arguments)
    assert (made.status, made.stdout) == (2, "") and said in made.stderr and "→" in made.stderr


def test_what_is_no_key_is_refused_and_not_shown(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("canary-key-canary")
    made = run("token", "--key-file", str(path), "--subject", "slurm")
    assert made.status == 2 and "canary-key" not in made.stdout + made.stderr


async def test_a_new_api_key_lets_its_holder_in_by_the_section_that_is_written_with_it(run: Run) -> None:
    made = run("key", "--subject", "robot:slurm", "--roles", "api", "--name", "slurm")
    key = made.stdout.strip()
    assert made.status == 0 and key not in made.stderr
    found = await Callers(Settings(**tomllib.loads(made.stderr))).principal(key)
    assert found == Principal("robot:slurm", frozenset({"api"}), issuer="api_keys.slurm")
    assert run("key", "--subject", "x").stdout != made.stdout


def test_the_section_can_be_appended_to_any_settings_as_it_is(run: Run) -> None:
    made = run("key", "--subject", "robot:slurm", "--roles", "api", "--name", "slurm")
    for before in ("", "[server]\nport = 1", "[sites.a]\nnumber = 1\n\n# the end"):
        assert tomllib.loads(before + made.stderr)["api_keys"]["slurm"]["subject"] == "robot:slurm"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "a.b"), "--name"),
        (("--name", "my robot"), "--name"),
        (("--subject", 'x"\nroles = ["admin"]'), "--subject"),
        (("--roles", "root"), "--roles"),
        (("--roles", ""), "--roles"),
    ],
)
def test_what_the_settings_would_not_take_is_refused_before_there_is_a_key(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    made = run("key", "--subject", "x", *arguments)
    assert made.status == 2 and said in made.stderr and "ccg_" not in made.stdout
