"""The client as a library: documented, typed, and without the server."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ccgateway
from ccgateway import client

SCRIPT = """
from datetime import datetime

from ccgateway.client import AsyncGateway, Gateway, Incomplete, Job, Metric, Outcome


def report(url: str, token: str) -> list[Outcome]:
    with Gateway(url, token=token) as gateway:
        try:
            hours: float = sum(job.duration * job.num_nodes / 3600 for job in gateway.jobs(user="alice", since="30d"))
        except Incomplete as error:
            raise SystemExit(f"missing: {[gap.site for gap in error.missing]}") from error
        newest: Job = next(iter(gateway.jobs(nodes="4..", state=["completed", "failed"])))
        began: datetime = newest.start_time
        metrics: list[Metric] = gateway.metrics(newest, ["mem_bw"])
        samples: list[float] = [value for series in metrics[0].series for value in series.data if value is not None]
        print(hours, began, max(samples), gateway.statistics("user")[0].total_jobs)
        return gateway.tag(newest, "review:slow")


async def count(url: str) -> int:
    async with AsyncGateway(url) as gateway:
        return await gateway.count(project="p_a")
"""
WRONG = """
from ccgateway.client import Gateway

gateway = Gateway("https://gateway")
for job in gateway.jobs(usr="alice"):
    print(job.jobid)
"""


def test_the_type_checker_is_content_with_a_users_script_and_not_with_a_wrong_one(tmp_path: Path) -> None:
    """As somebody has it who has installed the package."""
    (tmp_path / "report.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    options = ["--strict", "--follow-imports=silent", "--config-file", "", "--cache-dir", str(tmp_path / "cache")]
    environment = {"MYPYPATH": str(Path(ccgateway.__file__).parents[1]), "PATH": ""}
    command = [sys.executable, "-m", "mypy", *options, "report.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.endswith("(checked 2 source files)\n") and "report.py" not in done.stdout, done.stdout + done.stderr
    assert 'Unexpected keyword argument "usr"' in done.stdout and 'no attribute "jobid"' in done.stdout
    assert (Path(ccgateway.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("name", client.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(client, name)
    assert inspect.getdoc(value)
    bare = [
        f"{name}.{key}"
        for key, member in vars(value).items()
        if not key.startswith("_")
        and (callable(member) or isinstance(member, property))
        and not (inspect.getdoc(member) or "").strip()
    ]
    assert bare == []


def test_the_client_imports_nothing_of_the_server() -> None:
    script = "import sys, ccgateway.client; print(*sorted(name for name in sys.modules if name.startswith('ccgateway.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert all(name.startswith("ccgateway.client") for name in done.stdout.split())
