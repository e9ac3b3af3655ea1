"""Who asks: tokens come from files, the environment and the keyring, go to their own gateway, and are never shown."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccgateway.operations.minting import new_api_key
from commands.conftest import Run
from support.served import Between, Served, between, served, site_of

KEY, READER = new_api_key(), new_api_key()


PROFILES = '[default]\nurl = "{url}"\ntoken_file = "token"\n[other]\nurl = "http://127.0.0.1:1"\n'
RING = """
from keyring.backend import KeyringBackend


class Ring(KeyringBackend):
    priority = 1

    def get_password(self, service, name):
        return {key!r} if (service, name) == ("ccgateway", {url!r}) else None

    def set_password(self, *_):
        raise NotImplementedError
"""

#: as keyring does it for a user without HOME who stands in no passwd
HOMELESS = """
from keyring.backend import KeyringBackend


class Ring(KeyringBackend):
    priority = 1

    def get_password(self, service, name):
        raise RuntimeError("Could not determine home directory.")

    def set_password(self, *_):
        raise NotImplementedError
"""


def section(key: str, subject: str, role: str) -> dict[str, object]:
    return {"hash": "sha256:" + hashlib.sha256(key.encode()).hexdigest(), "subject": subject, "roles": [role]}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    """A gateway that wants to know who asks."""
    keys = {"admin": section(KEY, "robot", "admin"), "reader": section(READER, "reader", "user")}
    with served(site_of("aurora"), api_keys=keys) as running:
        yield running


@pytest.fixture
def seen(guarded: Served) -> Iterator[Between]:
    with between(guarded.url) as standing:
        yield standing


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_without_a_token_nobody_is_let_in_and_told_how(run: Run, guarded: Served) -> None:
    done = run("jobs", "--url", guarded.url)
    assert done.status == 4 and "UNAUTHENTICATED" in done.stderr and "--token-file, CCGATEWAY_TOKEN" in done.stderr
    wrong = run("jobs", "--url", guarded.url, environment={"CCGATEWAY_TOKEN": "ccg_" + "x" * 43})
    assert wrong.status == 4 and "x" * 43 not in wrong.stdout + wrong.stderr


def test_a_token_comes_from_a_file_the_environment_or_a_profile(run: Run, guarded: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "token", KEY + "\n")
    url = guarded.url
    by_file = run("jobs", "--count", "--url", url, "--token-file", str(file))
    by_environment = run("jobs", "--count", environment={"CCGATEWAY_URL": url, "CCGATEWAY_TOKEN": KEY})
    profiles = write(
        tmp_path / "profiles.toml", f'[default]\nurl = "{url}"\ntoken_file = "token"\n[other]\nurl = "http://127.0.0.1:1"\n'
    )
    by_profile = run("jobs", "--count", environment={"CCGATEWAY_PROFILES": str(profiles)})
    assert by_file == by_environment == by_profile == (0, "60\n", "")
    assert run("jobs", "--profile", "other", environment={"CCGATEWAY_PROFILES": str(profiles), "CCGATEWAY_URL": url}).status == 1


def test_the_token_of_a_profile_goes_to_no_other_address(run: Run, seen: Between, guarded: Served, tmp_path: Path) -> None:
    write(tmp_path / "token", KEY)
    profiles = write(tmp_path / "profiles.toml", f'[default]\nurl = "{guarded.url}"\ntoken_file = "token"\n')
    done = run("jobs", "--url", seen.url, environment={"CCGATEWAY_PROFILES": str(profiles)})
    assert done.status == 4 and all("authorization" not in {name.lower() for name in headers} for headers in seen.headers)


def test_a_token_comes_from_the_keyring(run_apart: Run, guarded: Served, tmp_path: Path) -> None:
    write(tmp_path / "ring.py", RING.format(key=KEY, url=guarded.url))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ring = {"PYTHON_KEYRING_BACKEND": "ring.Ring", "PYTHONPATH": path, "CCGATEWAY_URL": guarded.url}
    assert run_apart("jobs", "--count", environment=ring) == (0, "60\n", "")


def test_somebody_without_a_home_has_no_keyring(run_apart: Run, guarded: Served, tmp_path: Path) -> None:
    write(tmp_path / "ring.py", HOMELESS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ring = {"PYTHON_KEYRING_BACKEND": "ring.Ring", "PYTHONPATH": path, "CCGATEWAY_URL": guarded.url}
    done = run_apart("jobs", "--count", environment=ring)
    assert done.status == 4 and "Give a token" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("backend", ["no.such.Ring", "keyring.core.Nothing", "text"])
def test_a_keyring_that_cannot_be_used_is_said(backend: str, run_apart: Run, guarded: Served) -> None:
    done = run_apart("jobs", "--count", environment={"PYTHON_KEYRING_BACKEND": backend, "CCGATEWAY_URL": guarded.url})
    assert done.status == 2 and "the keyring that is configured cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("abc", 0o644, "can be read by others: chmod 600"),
        ("", 0o600, "holds no token"),
        ("two tokens", 0o600, "holds no token, or more"),
    ],
)
def test_a_file_that_is_no_safe_token_is_refused(run: Run, tmp_path: Path, text: str, mode: int, said: str) -> None:
    file = write(tmp_path / "token", text, mode)
    done = run("jobs", "--url", "http://127.0.0.1:1", "--token-file", str(file))
    assert done.status == 2 and said in done.stderr


def test_what_a_token_does_not_allow_is_status_4(run: Run, guarded: Served) -> None:
    (id_,) = run(
        "jobs", "-n", "1", "-o", "name", environment={"CCGATEWAY_URL": guarded.url, "CCGATEWAY_TOKEN": KEY}
    ).stdout.split()
    done = run("tag", "review:x", id_, environment={"CCGATEWAY_URL": guarded.url, "CCGATEWAY_TOKEN": READER})
    assert done.status == 4, done


def test_no_token_is_written_whatever_is_asked(run: Run, guarded: Served, tmp_path: Path) -> None:
    for url in (guarded.url, "http://127.0.0.1:1", "http://example.invalid"):
        for arguments in (("jobs",), ("sites",), ("job", "aurora:0"), ("jobs", "--nodes", "x"), ("tag", "a:b", "aurora:0")):
            done = run(*arguments, "--timeout", "5", environment={"CCGATEWAY_URL": url, "CCGATEWAY_TOKEN": KEY})
            assert KEY not in done.stdout + done.stderr
    assert (
        "without encryption"
        in run("sites", environment={"CCGATEWAY_URL": "http://example.invalid", "CCGATEWAY_TOKEN": KEY}).stderr
    )
    assert "--token " not in run("jobs", "--help").stdout
