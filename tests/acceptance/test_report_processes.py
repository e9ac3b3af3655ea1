"""Reports whose processes are killed, stopped, cut off and out of room: a clear word each time, and never a wrong file."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from acceptance.conftest import site
from acceptance.exports import read_lines
from acceptance.processes import processes
from acceptance.test_reports import body
from ccgateway.client import Gateway
from ccgateway.simulator import serve
from ccgateway.simulator.serve import Address
from commands.conftest import plain
from support.served import RELEASES, Served, served, site_of

JOBS = 1600
COMMAND = [sys.executable, "-m", "ccgateway"]
AGAIN = "What came so far is in {name}.part: the same command again goes on there."


@pytest.fixture(scope="module")
def front() -> Iterator[Served]:
    with served(*(site_of(name, jobs=JOBS) for name in RELEASES)) as running:
        yield running


@pytest.fixture
def slow(front: Served) -> Iterator[None]:
    """Sites take their time, so that there is a middle to stop in."""
    for one in front.sites.values():
        one.site.latency = 0.15
    yield
    for one in front.sites.values():
        one.site.latency = 0


@pytest.fixture(scope="module")
def lines(front: Served) -> bytes:
    found = read_lines(body(front, "jobs"))
    assert found.end is not None and found.end["complete"]
    return b"".join(found.lines)


def begun(front: Served, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = plain(CCGATEWAY_URL=front.url, HOME=str(folder))
    return subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, said = process.communicate(timeout=120)
    assert "Traceback" not in said, said
    return process.returncode, out, said


def size_of(path: Path) -> int:
    """Bytes of a file that may get another name at any moment; -1 where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def wait_for(path: Path, size: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and size_of(path) < size:
        time.sleep(0.01)


@pytest.mark.usefixtures("slow")
def test_a_command_that_is_killed_ten_times_goes_on_with_exactly_the_rest(front: Served, lines: bytes, tmp_path: Path) -> None:
    chance, killed = random.Random(2), 0
    file, part = tmp_path / "jobs.jsonl", tmp_path / "jobs.jsonl.part"
    while killed < 10:
        process = begun(front, tmp_path, "export", "jobs.jsonl")
        have = max(0, size_of(part))
        wait_for(part, chance.randrange(have, max(have + 2, len(lines))), process)
        if process.poll() is None:
            process.kill()
            killed += 1
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        if file.exists():  # that one was quicker
            assert file.read_bytes() == lines
            file.unlink()
    status, _, said = ended(begun(front, tmp_path, "export", "jobs.jsonl"))
    assert status == 0, said
    assert file.read_bytes() == lines and not list(tmp_path.glob("*.part*"))


@pytest.mark.usefixtures("slow")
def test_a_note_whose_part_has_become_the_file_does_not_hold_up_the_next_export(
    front: Served, lines: bytes, tmp_path: Path
) -> None:
    """As one leaves it that is killed between the two last steps, and whose file has been taken away since."""
    notes = tmp_path / "jobs.jsonl.part.json"
    process = begun(front, tmp_path, "export", "jobs.jsonl")
    wait_for(notes, 1, process)
    kept = notes.read_text(encoding="utf-8")
    assert ended(process)[0] == 0
    notes.write_text(kept, encoding="utf-8")
    (tmp_path / "jobs.jsonl").unlink()
    status, _, said = ended(begun(front, tmp_path, "export", "jobs.jsonl"))
    assert status == 0 and "goes on" not in said, said
    assert (tmp_path / "jobs.jsonl").read_bytes() == lines and not notes.exists()


@pytest.mark.usefixtures("slow")
def test_ctrl_c_names_the_part_and_the_same_command_goes_on(front: Served, lines: bytes, tmp_path: Path) -> None:
    process = begun(front, tmp_path, "export", "jobs.jsonl")
    wait_for(tmp_path / "jobs.jsonl.part.json", 1, process)
    process.send_signal(signal.SIGINT)
    status, _, said = ended(process)
    assert status == 130 and said.splitlines() == [AGAIN.format(name="jobs.jsonl"), "ccgateway: interrupted"]
    assert not (tmp_path / "jobs.jsonl").exists()
    assert ended(begun(front, tmp_path, "export", "jobs.jsonl"))[0] == 0
    assert (tmp_path / "jobs.jsonl").read_bytes() == lines


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.csv", "jobs.parquet"])
def test_a_disk_without_room_is_one_line_and_the_part_is_named(front: Served, tmp_path: Path, name: str) -> None:
    room = 300_000 if name != "jobs.parquet" else 20_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [*COMMAND, "export", name]
    environment = plain(CCGATEWAY_URL=front.url, HOME=str(tmp_path))
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "File too large" in done.stderr and f"{name}.part" in done.stderr
    assert not (tmp_path / name).exists()
    assert ended(begun(front, tmp_path, "export", name))[0] == 0 and (tmp_path / name).exists()
    assert not list(tmp_path.glob("*.part*"))


def test_a_pipe_whose_reader_has_enough_is_no_trouble(front: Served, tmp_path: Path) -> None:
    script = f'"{sys.executable}" -m ccgateway export | head -n 3; echo "${{PIPESTATUS[0]}}"'
    environment = plain(CCGATEWAY_URL=front.url, HOME=str(tmp_path))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    *rows, status = done.stdout.splitlines()
    assert [len(json.loads(row)) for row in rows] == [19] * 3 and status == "141"
    assert done.stderr == "ccgateway: whoever read the output has gone\n"


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.csv", "jobs.parquet"])
def test_a_site_that_goes_down_on_the_way_is_status_3_and_the_rest_comes_when_it_is_back(
    front: Served, tmp_path: Path, name: str
) -> None:
    cygnus, part = front.sites["cygnus"].site, tmp_path / f"{name}.part"
    # what is certain of an export is noted beside its part; a Parquet file has no notes
    begins = part if name == "jobs.parquet" else tmp_path / f"{name}.part.json"
    for _ in range(5):
        process = begun(front, tmp_path, "export", name)
        while process.poll() is None and not begins.exists():
            time.sleep(0.01)
        try:
            cygnus.faults.status(403)
            status, _, said = ended(process)
        finally:
            cygnus.faults.clear()
        if status != 0:
            break
        (tmp_path / name).unlink()  # that one was quicker
    assert not (tmp_path / name).exists()
    if name == "jobs.parquet":  # which cannot say why
        assert status in (1, 3) and ("--format jsonl says why" in said or "--partial" in said), said
    else:
        assert status == 3 and "cygnus" in said and "Give the command again when the site answers, or --partial" in said, said
        assert AGAIN.format(name=name) in said
    assert ended(begun(front, tmp_path, "export", name))[0] == 0
    assert ended(begun(front, tmp_path, "export", f"whole-{name}"))[0] == 0
    if name != "jobs.parquet":
        assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    if name == "jobs.csv":
        rows = list(csv.DictReader((tmp_path / name).open(newline="")))
        assert {row["site"] for row in rows} == set(RELEASES)


async def test_a_gateway_that_is_killed_and_started_again_ten_times_costs_its_reader_nothing(tmp_path: Path) -> None:
    async with serve(site("aurora", "1.5", count=4000), site("borealis", "1.2", count=4000)) as running:
        await asyncio.to_thread(read_through_kills, running, tmp_path)


def read_through_kills(running: dict[str, Address], folder: Path) -> None:
    chance, kills = random.Random(4), 0
    with processes(1, running, folder, "list_for = 0") as (first,), ExitStack() as stack:
        address = first.url.removesuffix("/graphql")
        tokens = {f"TOKEN_{number}": one.site.token("demo") for number, one in enumerate(running.values(), 1)}
        command = [*COMMAND, "serve", "--config", str(folder / "ccgateway.toml"), "--port", address.rpartition(":")[2]]
        gateway = stack.enter_context(Gateway(address, retries=30))
        current = first.process
        whole = [line for batch in gateway.export().batches() for line in batch.lines]
        while kills < 10:
            lines = []
            for batch in gateway.export().batches():
                lines += batch.lines
                if kills < 10 and chance.random() < 0.9:
                    current.kill()
                    current.wait()
                    kills += 1
                    current = subprocess.Popen(command, env=plain(**tokens), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                    stack.callback(current.wait)
                    stack.callback(current.kill)
            assert lines == whole
