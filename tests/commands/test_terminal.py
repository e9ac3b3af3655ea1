"""The commands in a real terminal: what fits it, what moves, and what strangers' texts do there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from ccgateway.client import Gateway
from commands.conftest import plain
from support.exporter import exporter
from support.served import Served, served, site_of
from support.terminal import plain_text, terminal

COMMAND = [sys.executable, "-m", "ccgateway"]
#: what strangers call their jobs
NAMES = ["\x1b[2J\x1b]0;owned\x07", "模拟计算任务模拟计算任务模拟计算任务", "two\nlines", "\u202egnirts", "[bold red]x"]


@pytest.fixture(scope="module")
def front() -> Iterator[Served]:
    with served(site_of("aurora", jobs=40)) as running:
        with Gateway(running.url) as gateway:
            ids = [job.id for job in gateway.jobs(state="completed", limit=len(NAMES))]
        jobs = running.sites["aurora"].site.backend.jobs
        for id_, name in zip(ids, NAMES, strict=True):
            job = jobs.get(int(id_.partition(":")[2]))
            assert job is not None
            jobs.remove(job.id)
            jobs.add(msgspec.structs.replace(job, meta_data={"jobName": name}))
        yield running


def shown(front: Served, folder: Path, *arguments: str, columns: int = 80, **environment: str) -> tuple[int, str]:
    with terminal([*COMMAND, *arguments], plain(CCGATEWAY_URL=front.url, **environment), folder, columns=columns) as one:
        return one.end(), one.text


@pytest.mark.parametrize("columns", [24, 50, 80, 200])
def test_a_table_fits_the_terminal(front: Served, tmp_path: Path, columns: int) -> None:
    status, text = shown(front, tmp_path, "jobs", "--columns", "id,user,jobName,hosts,project", columns=columns)
    lines = plain_text(text).splitlines()
    assert status == 0 and len(lines) == 41 and lines[0].startswith("id")
    assert max(map(cell_len, lines)) <= columns
    assert columns < 200 or "project" in lines[0]


def test_what_strangers_wrote_moves_nothing(front: Served, tmp_path: Path) -> None:
    for arguments in (
        ("jobs", "--columns", "id,jobName"),
        ("jobs", "-o", "json", "--columns", "id,jobName"),
        ("jobs", "-o", "csv", "--columns", "jobName"),
    ):
        _, text = shown(front, tmp_path, *arguments, "-n", "40", columns=150)
        assert "\x1b[2J" not in text and "\x1b]0" not in text and "\u202e" not in text


def test_headers_are_bold_and_nothing_has_a_colour_for_whom_wants_none(front: Served, tmp_path: Path) -> None:
    _, text = shown(front, tmp_path, "jobs", "-n", "3")
    assert "\x1b[1m" in text
    _, text = shown(front, tmp_path, "jobs", "--help", NO_COLOR="1")
    assert "Asking" in text or "jobs" in text
    assert not re.search(r"\x1b\[[0-9;]*(?:3[0-7]|38;|9[0-7])[0-9;]*m", text)


def test_a_metric_is_drawn_within_the_terminal(front: Served, tmp_path: Path) -> None:
    with Gateway(front.url) as gateway:
        id_ = next(iter(gateway.jobs(state="completed", limit=1))).id
    status, text = shown(front, tmp_path, "metrics", id_, "mem_bw", "--scope", "node", columns=70)
    lines = plain_text(text).splitlines()
    assert status == 0 and set("▁▂▃▄▅▆▇█") & set(text) and max(map(cell_len, lines)) <= 70


def test_watching_shows_what_is_new_and_ends_with_ctrl_c(front: Served, tmp_path: Path) -> None:
    arguments = [*COMMAND, "jobs", "--watch", "--interval", "1", "--columns", "id,jobId,jobState"]
    with terminal(arguments, plain(CCGATEWAY_URL=front.url), tmp_path, columns=90, lines=12) as one:
        first = plain_text(one.until("(Ctrl-C ends)"))
        one.until("aurora:")
        assert "777001" not in first
        job = next(iter(front.sites["aurora"].site.all_jobs()))
        with Gateway(front.url) as gateway:
            newest = next(iter(gateway.jobs(limit=1)))
            (outcome,) = gateway.start(
                {
                    "site": "aurora", "jobId": 777001, "cluster": newest.cluster, "user": "alice", "project": "p_a",
                    "subCluster": newest.sub_cluster, "partition": newest.partition, "numNodes": 1, "numHWThreads": 8,
                    "startTime": "0s", "walltime": 3600, "resources": [{"hostname": job["resources"][0]["hostname"]}],
                }
            )  # fmt: skip
        assert outcome.is_good, outcome
        one.until("777001")
        with front.down("aurora"):
            one.until("aurora: UNREACHABLE")
        one.press_ctrl_c()
        assert one.end() == 0
        assert one.text.count("\x1b[?1049h") == one.text.count("\x1b[?1049l") == 1  # the screen is as it was
        assert "Traceback" not in one.text


def test_long_work_is_counted_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    with exporter(400) as source:
        environment = plain(CCGATEWAY_URL=source.url)
        source.pause = 0.3
        with terminal([*COMMAND, "export", "jobs.jsonl"], environment, tmp_path, columns=90) as one:
            assert one.end() == 0
            assert re.search(r"\d+ jobs", plain_text(one.text)) and "━" in one.text
            assert plain_text(one.text).splitlines()[-1].strip().endswith("jobs.jsonl: 400 jobs")
        with (
            (tmp_path / "out").open("wb") as out,
            terminal([*COMMAND, "export"], environment, tmp_path, stdout=out.fileno()) as one,
        ):
            assert one.end() == 0 and "jobs" in plain_text(one.text)
        assert (tmp_path / "out").read_bytes().count(b"\n") == 400
        with terminal([*COMMAND, "export"], environment, tmp_path, columns=90) as one:
            assert one.end() == 0 and "━" not in one.text  # the data themselves fill it
        done = subprocess.run([*COMMAND, "export", "x.jsonl"], env=environment, cwd=tmp_path, capture_output=True, check=True)
        assert done.stderr == b"x.jsonl: 400 jobs\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell_is_a_script_of_it(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "ccgateway"
    script.write_text(f"#!{sys.executable}\nfrom ccgateway.cli import main\nmain()\n")
    script.chmod(0o755)
    environment = plain(_CCGATEWAY_COMPLETE=f"source_{shell}")
    text = subprocess.run([str(script)], env=environment, capture_output=True, text=True, check=False).stdout
    assert "ccgateway" in text and "_CCGATEWAY_COMPLETE" in text
    if shell == "bash":
        lines = [
            text,
            "COMP_WORDS=(ccgateway exp)",
            "COMP_CWORD=1",
            "_ccgateway_completion ccgateway exp ccgateway",
            'echo "${COMPREPLY[@]}"',
        ]
        path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(
            ["bash"], input="\n".join(lines), env={**plain(), **path}, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "export", done
