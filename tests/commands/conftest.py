from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from ccgateway.cli import main
from support.served import RELEASES, Served, served, site_of


class Done(NamedTuple):
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Done: ...


@pytest.fixture(scope="package")
def front() -> Iterator[Served]:
    """A gateway over four sites of four releases."""
    with served(*map(site_of, RELEASES)) as running:
        yield running


def plain(**extra: str) -> dict[str, str]:
    """The environment of somebody who has set nothing but ``extra``; no keyring is asked."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CCGATEWAY_")}
    return {**kept, "COLUMNS": "100", "TZ": "UTC", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **extra}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``ccgateway ARGUMENTS``, in a folder and a home of its own; standard output is no terminal."""

    def command(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Done:
        capsys.readouterr()
        status = 0
        with monkeypatch.context() as patch:
            for name in os.environ.keys() - plain().keys():
                patch.delenv(name)
            for name, value in plain(HOME=str(tmp_path), **(environment or {})).items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["ccgateway", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            try:
                main()
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        return Done(status, *capsys.readouterr())

    return command


@pytest.fixture
def run_apart(tmp_path: Path) -> Run:
    """The same as a process of its own, for what a process finds out once."""

    def command(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "ccgateway", *arguments],
            cwd=tmp_path, env=plain(HOME=str(tmp_path), **(environment or {})), input=stdin, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    return command


@pytest.fixture
def ask(run: Run, front: Served) -> Run:
    """The same, of the gateway."""

    def command(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Done:
        return run(*arguments, stdin=stdin, environment={"CCGATEWAY_URL": front.url, **(environment or {})})

    return command
