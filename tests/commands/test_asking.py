"""The users' commands over four sites: data on standard output, notes beside them, and a status that scripts can go by."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands.conftest import Run, plain
from support.served import Served


def test_a_list_is_a_table_of_the_newest_jobs(ask: Run) -> None:
    done = ask("jobs", "--limit", "5")
    head, *rows = done.stdout.splitlines()
    assert done.status == 0 and done.stderr == ""
    assert head.split() == [
        "id",
        "user",
        "jobState",
        "startTime",
        "duration",
        "numNodes",
        "project",
        "jobId",
        "subCluster",
        "tags",
    ]
    assert len(rows) == 5 and rows[0].startswith("aurora:") and not any(row.endswith(" ") for row in rows)


def test_every_format_holds_the_same_jobs(ask: Run) -> None:
    filters = ("jobs", "--user", "alice,bob", "--user", "carol", "--nodes", "2..", "--state", "completed", "--since", "30d")
    names = ask(*filters, "-o", "name").stdout.split()
    listed = json.loads(ask(*filters, "-o", "json").stdout)
    lines = [json.loads(line) for line in ask(*filters, "-o", "jsonl").stdout.splitlines()]
    cells = list(csv.DictReader(io.StringIO(ask(*filters, "-o", "csv").stdout)))
    wide = ask(*filters, "-o", "wide", "--limit", "0").stdout.splitlines()
    assert [row["id"] for row in listed] == [row["id"] for row in cells] == names and lines == listed and len(names) > 20
    assert len(wide) == len(names) + 1 and "monitoringStatus" in wide[0]
    assert {row["user"] for row in listed} == {"alice", "bob", "carol"}
    assert all(row["numNodes"] >= 2 and row["jobState"] == "completed" for row in listed)
    assert ask("jobs", "--count", *filters[1:]).stdout == f"{len(names)}\n"


def test_columns_are_chosen_and_those_that_cost_more_are_read_for_it(ask: Run) -> None:
    done = ask("jobs", "-n", "3", "-o", "csv", "--columns", "id,jobName,hosts")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == ["id", "jobName", "hosts"] and rows[0]["jobName"].startswith("job") and json.loads(rows[0]["hosts"])
    wrong = ask("jobs", "--columns", "id,nmae")
    assert wrong.status == 2 and "there is no column nmae; there are site, id, jobId" in wrong.stderr


def test_an_output_that_is_closed_or_lacks_characters_is_no_traceback(front: Served, tmp_path: Path) -> None:
    def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = plain(CCGATEWAY_URL=front.url, HOME=str(tmp_path), **environment)
        return subprocess.run(command, shell=True, env=kept, capture_output=True, text=True, timeout=60, check=False)

    asked = f"{sys.executable} -m ccgateway"
    closed = shell(f"{asked} jobs -n 2 >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert shell(f"{asked} jobs --user '' 2>&-").returncode == 0
    drawn = shell(f"{asked} metrics aurora:20", PYTHONIOENCODING="ascii")
    assert drawn.returncode == 0 and "cpu_load" in drawn.stdout and "?" in drawn.stdout
    front.sites["aurora"].site.add_tag(20, "of", "ünï")
    lacking = shell(f"{asked} jobs --tag of:ünï -o csv", PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert lacking.returncode == 1 and "encoding, ascii, lacks a character" in lacking.stderr, lacking.stderr


def test_nothing_found_is_nothing_written(ask: Run) -> None:
    assert ask("jobs", "--user", "nobody") == (0, "", "")
    assert ask("jobs", "--user", "nobody", "-o", "json") == (0, "[]\n", "")


def test_one_job_its_metrics_and_figures(ask: Run) -> None:
    (id_,) = ask("jobs", "-n", "1", "--state", "completed", "--site", "borealis", "-o", "name").stdout.split()
    shown = ask("job", id_)
    assert shown.status == 0 and f"id               {id_}" in shown.stdout and "metaData" in shown.stdout
    drawn = ask("metrics", id_, "mem_bw", "nothing", "--scope", "node")
    assert set("▁▂▃▄▅▆▇█") & set(drawn.stdout) and drawn.stderr == "note: the site has no nothing of this job\n"
    (series, *_) = json.loads(ask("metrics", id_, "mem_bw", "--scope", "node", "-o", "json").stdout)
    assert series["metric"] == "mem_bw" and series["unit"] == "GB/s" and len(series["data"]) > 5
    figures = ask("stats", "--by", "user", "-o", "csv", "--columns", "group,jobs")
    counts = {row["group"]: int(row["jobs"]) for row in csv.DictReader(io.StringIO(figures.stdout))}
    assert sum(counts.values()) == 240 and counts["alice"] == int(ask("jobs", "--count", "-u", "alice").stdout)


def test_jobs_are_tagged_out_of_a_pipe(ask: Run) -> None:
    names = ask("jobs", "--user", "carol", "--nodes", "4..", "-o", "name").stdout
    done = ask("tag", "size:large-job", "-", stdin=names, environment={})
    assert done.status == 0 and done.stdout.count("DONE") == len(names.split()) > 3
    assert ask("jobs", "--tag", "size:large-job", "-o", "name").stdout == names
    again = ask("tag", "size:large-job", *names.split()[:1], "aurora:999999", "-o", "json")
    assert again.status == 1
    assert [(row["outcome"], row["code"]) for row in json.loads(again.stdout)] == [("UNCHANGED", None), ("FAILED", "NOT_FOUND")]
    assert ask("tag", "--remove", "size:large-job", "-", stdin=names).status == 0
    assert ask("jobs", "--tag", "size:large-job", "--count").stdout == "0\n"


# --- a site that is down


def test_a_site_that_is_down_is_a_note_and_status_3(ask: Run, front: Served) -> None:
    with front.down("cygnus"):
        done = ask("jobs", "-o", "name")
        assert done.status == 3 and len(done.stdout.split()) == 180
        assert done.stderr.startswith("missing: cygnus: UNREACHABLE (No connection to the site") and done.stderr.count("\n") == 1
        strict = ask("jobs", "--strict", "-o", "name")
        assert (strict.status, strict.stdout) == (3, "") and "cygnus" in strict.stderr
        figures = ask("stats", "-o", "json")
        assert figures.status == 3 and json.loads(figures.stdout)[0]["jobs"] == 180 and "missing: cygnus" in figures.stderr
        sites = ask("sites", "-o", "json")
        assert sites.status == 3 and [one["site"] for one in json.loads(sites.stdout) if not one["reachable"]] == ["cygnus"]
        assert ask("jobs", "--site", "aurora", "-n", "1").status == 0
    assert ask("sites").status == 0


# --- wrong use


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("jobs", "--nodes", "many"), "'many' is no range, such as 4, 4.., ..16 or 4..16"),
        (("jobs", "--duration", "1y.."), "such as 30m, 1h.., ..2d or 30m..2h"),
        (("jobs", "--since", "yesterday"), "'yesterday' is no time: give 7d"),
        (("jobs", "--tag", "review"), "write type:name"),
        (("jobs", "--usr", "alice"), "No such option: --usr"),
        (("jobs", "--watch"), "--watch needs a terminal"),
        (("job", "7; drop"), "is no job's id"),
        (("tag", "review:x"), "Missing argument"),
        (("jobs", "--state", "asleep"), "asleep"),
        (("jobs", "--url", "ftp://x"), "has the form https://"),
        (("jobs", "--profile", "home"), "there is no profile home"),
        (("jobs", "--token-file", "none.jwt"), "none.jwt"),
    ],
)
def test_wrong_use_is_said_in_words(ask: Run, arguments: tuple[str, ...], said: str) -> None:
    done = ask(*arguments)
    assert done.stdout == "" and said in " ".join(done.stderr.split()), done
    assert done.status == (1 if "none.jwt" in said else 2)


def test_where_the_gateway_is_has_to_be_said(run: Run) -> None:
    done = run("jobs")
    assert done.status == 2 and "where is the gateway? Say --url, set CCGATEWAY_URL, or write url into" in done.stderr
    nobody = run("jobs", "--url", "http://127.0.0.1:1")
    assert nobody.status == 1 and "No connection to the gateway at http://127.0.0.1:1" in nobody.stderr


SCRIPT = """
import sys
sys.argv = ["ccgateway", *{arguments}]
from ccgateway.cli import main
try:
    main()
except SystemExit:
    pass
print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded(front: Served, *arguments: str) -> set[str]:
    """The modules that a command has imported by its end."""
    command = [sys.executable, "-c", SCRIPT.replace("{arguments}", repr(list(arguments)))]
    done = subprocess.run(command, env=plain(CCGATEWAY_URL=front.url), capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_a_command_starts_without_the_server_and_help_without_the_client(front: Served) -> None:
    rooms = ("app", "settings", "federation", "surfaces", "site", "identity", "cache", "transport", "simulator")
    server = {*(f"ccgateway.{room}" for room in rooms), "starlette", "grpc", "strawberry"}
    assert not loaded(front, "jobs", "-n", "1") & server
    assert not loaded(front, "jobs", "--help") & {*server, "httpx2", "asyncio", "ccgateway.client"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "ccgateway"
    script.write_text("from ccgateway.cli import main\nmain()\n")
    typed = {"COMP_WORDS": "ccgateway jo", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "ccgateway jo"}
    environment = plain(_CCGATEWAY_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **typed)
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert "jobs" in done.stdout and "serve" not in done.stdout


def test_proxies_of_the_environment_are_for_other_machines_and_an_odd_one_is_named(front: Served, run: Run) -> None:
    there = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "all_proxy": ""}
    assert run("jobs", "--count", "--url", front.url, environment=there).status == 0
    odd = run("jobs", "--count", "--url", "http://gateway.example.org", environment={"http_proxy": "foo:bar"})
    assert odd.status == 2 and "a proxy of the environment" in odd.stderr and "Traceback" not in odd.stderr
