"""``ccgateway export``: a file is whole or it is named as a part, whatever happens on the way."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from commands.conftest import Run, plain
from support.exporter import FAILED, MISSING, Exporter, exporter


@pytest.fixture
def source() -> Iterator[Exporter]:
    with exporter(205) as standing:
        yield standing


def rows_in(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_holds_all_rows_and_nothing_else_is_left(run: Run, source: Exporter, tmp_path: Path) -> None:
    source.cuts = [3000, 900]
    done = run("export", "jobs.jsonl", "--since", "7d", "--url", source.url)
    assert (done.status, done.stderr) == (0, "jobs.jsonl: 205 jobs\n")
    assert rows_in(tmp_path / "jobs.jsonl") == source.rows and not list(tmp_path.glob("*.part*"))
    assert run("export", "jobs.jsonl", "--url", source.url).status == 2
    assert run("export", "jobs.jsonl", "--overwrite", "--url", source.url).status == 0


def test_csv_has_a_header_and_no_formulas(run: Run, source: Exporter, tmp_path: Path) -> None:
    assert run("export", "jobs.csv", "--url", source.url).status == 0
    rows = list(csv.DictReader((tmp_path / "jobs.csv").open(newline="")))
    assert len(rows) == 205 and [row["jobName"] for row in rows[:4]] == ["plain", "'=HYPERLINK(1)", "two\nlines", 'ü,"']
    assert rows[5]["jobName"] == "'-1"


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.csv"])
def test_what_broke_off_is_a_part_and_the_same_command_goes_on_with_exactly_the_rest(
    run: Run, source: Exporter, tmp_path: Path, name: str
) -> None:
    assert run("export", f"whole-{name}", "--url", source.url).status == 0
    source.asked.clear()
    source.cuts = [6000, *[50] * 4]
    broken = run("export", name, "--since", "7d", "--url", source.url)
    assert broken.status == 1 and f"What came so far is in {name}.part: the same command again goes on there." in broken.stderr
    assert not (tmp_path / name).exists() and (tmp_path / f"{name}.part").exists()
    began = source.asked[0]["startTime[from]"]
    other = run("export", name, "--since", "8d", "--url", source.url)
    assert other.status == 2 and "is a part of another export" in other.stderr
    time.sleep(1.1)  # seven days ago is another second by now
    source.cuts = []
    rest = run("export", name, "--since", "7d", "--url", source.url)
    assert rest.status == 0 and f"{name}: goes on behind" in rest.stderr
    assert source.asked[-1]["resume"] != "token-0" and source.asked[-1]["startTime[from]"] == began
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("name", ["jobs.csv.gz", "jobs.json", "jobs.txt", "jobs.xlsx"])
def test_a_name_that_says_another_format_is_refused_unless_one_is_meant(
    run: Run, source: Exporter, tmp_path: Path, name: str
) -> None:
    refused = run("export", name, "--url", source.url)
    assert refused.status == 2 and "there are jsonl, csv, parquet" in refused.stderr and not source.asked
    assert run("export", name, "--format", "jsonl", "--url", source.url).status == 0
    assert rows_in(tmp_path / name) == source.rows


def test_what_is_no_ordinary_file_is_not_replaced_and_what_a_link_leads_to_is(run: Run, source: Exporter, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused = run("export", "pipe", "--overwrite", "--url", source.url)
    assert refused.status == 2 and "is no ordinary file" in refused.stderr and (tmp_path / "pipe").is_fifo()
    (tmp_path / "folder").mkdir()
    assert run("export", "folder", "--overwrite", "--url", source.url).status == 2
    (tmp_path / "latest.jsonl").symlink_to("folder/jobs.jsonl")
    for _ in range(2):
        assert run("export", "latest.jsonl", "--overwrite", "--url", source.url).status == 0
        assert (tmp_path / "latest.jsonl").is_symlink() and rows_in(tmp_path / "folder" / "jobs.jsonl") == source.rows


@pytest.mark.parametrize(("zone", "first"), [("UTC", "2024-06-01T00:00"), ("Asia/Tokyo", "2024-05-31T15:00")])
def test_times_are_by_the_clock_that_tables_go_by_and_days_are_whole(
    run_apart: Run, source: Exporter, zone: str, first: str
) -> None:
    day = ("--since", "2024-06-01", "--until", "2024-06-01")
    begins = int(datetime.fromisoformat(f"{first}:00+00:00").timestamp())
    assert run_apart("export", "jobs.jsonl", *day, "--url", source.url, environment={"TZ": zone}).status == 0
    asked = source.asked[-1]
    assert [asked["startTime[from]"], asked["startTime[to]"]] == [str(begins), str(begins + 86399)]


def test_an_export_without_a_site_is_status_3(run: Run, source: Exporter, tmp_path: Path) -> None:
    source.missing, source.error = [MISSING], FAILED
    strict = run("export", "jobs.jsonl", "--url", source.url)
    assert strict.status == 3 and "draco: UNREACHABLE" in strict.stderr and not (tmp_path / "jobs.jsonl").exists()
    source.error = None
    partial = run("export", "jobs.jsonl", "--overwrite", "--partial", "--url", source.url)
    assert partial.status == 3 and "but not all" in partial.stderr and "missing: draco" in partial.stderr
    assert len(rows_in(tmp_path / "jobs.jsonl")) == 205


def test_a_disk_that_is_full_and_a_reader_that_has_gone_are_one_line(source: Exporter) -> None:
    command = [sys.executable, "-m", "ccgateway", "export", "--url", source.url]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=plain(), text=True, check=False)
    assert done.returncode == 1 and done.stderr == "ccgateway: No space left on device. Free some space and try again.\n"
    piped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain(), text=True)
    assert piped.stdout is not None and piped.stderr is not None
    piped.stdout.close()
    assert piped.wait(60) == 141 and piped.stderr.read() == "ccgateway: whoever read the output has gone\n"
    piped.stderr.close()
    both = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=plain())
    assert both.stdout is not None
    both.stdout.close()  # as of `2>&1 | head`
    assert both.wait(60) == 141


def test_ctrl_c_is_one_line_and_the_part_is_named(source: Exporter, tmp_path: Path) -> None:
    source.cuts = [6000, *[50] * 100]
    command = [sys.executable, "-m", "ccgateway", "export", "jobs.jsonl", "--url", source.url]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=plain(), text=True)
    while not (tmp_path / "jobs.jsonl.part.json").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert said.splitlines() == [
        "What came so far is in jobs.jsonl.part: the same command again goes on there.", "ccgateway: interrupted",
    ]  # fmt: skip
