"""The newcomer's path of ``docs/operate/install.md``: its commands, as they stand there, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ccgateway
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.desk import environment
from operations.test_commands import ask, started
from operations.test_workers import url_in
from support.running import JOBS

PAGE = (Path(__file__).parents[2] / "docs" / "operate" / "install.md").read_text()


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


def commands(kind: str) -> list[str]:
    return re.findall(rf"```sh {kind}\n(.*?)```", PAGE, re.DOTALL)


def shell(text: str, folder: Path) -> str:
    """What a shell writes, whose ``ccgateway`` is this one. Fails if a command does."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "ccgateway").write_text(f'#!/bin/sh\nexec {sys.executable} -m ccgateway "$@"\n')
    (bin_folder / "ccgateway").chmod(0o755)
    path = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(Path(ccgateway.__file__).parents[1])}
    done = subprocess.run(
        ["sh", "-e", "-c", text],
        cwd=folder,
        env={**environment(), **path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_newcomer_gets_from_an_empty_folder_to_an_answer_and_another_site(site: Address, tmp_path: Path) -> None:
    (tmp_path / "token-of-aurora").write_text(site.site.token("demo"))
    write, check = commands("install")
    shell(write.replace("http://127.0.0.1:8081", site.url), tmp_path)
    assert "ccgateway.toml is good: 1 site." in shell(check, tmp_path)
    with started("serve", folder=tmp_path, until="serves") as (_, written):
        assert ask(url_in(written), JOBS)["data"]["jobs"]["complete"]
        with (tmp_path / "ccgateway.toml").open("a") as file:
            file.write(f'[sites.second]\nnumber = 2\nurl = "{site.url}"\nsame_as = "aurora"\ntoken_file = "secrets/aurora.jwt"\n')
        (change,) = commands("install-running")
        assert shell(change, tmp_path).endswith("reloaded\n")
        assert len(ask(url_in(written), "{ sites { name } }")["data"]["sites"]) == 2
