"""The commands as an operator meets them: exit status, what they write, and how they end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from ccgateway import __version__
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.conftest import Run
from operations.desk import Desk, environment


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@contextmanager
def started(*arguments: str, folder: Path, until: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command that goes on running, and what it wrote up to a line that matches ``until``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ccgateway", *arguments],
        cwd=folder, env=environment(**variables), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        written = ""
        assert process.stdout is not None
        for line in process.stdout:
            written += line
            if re.search(until, line):
                break
        else:
            raise AssertionError(f"ended with {process.wait()}:\n{written}")
        yield process, written
    finally:
        process.kill()
        process.communicate()


def ask(url: str, query: str) -> Any:
    request = urllib.request.Request(url, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Exit status after a signal, and what the process wrote after it."""
    process.send_signal(number)
    rest, _ = process.communicate(timeout=120)
    return process.returncode, rest


# --- check


def test_check_of_a_good_file_exits_0_with_a_table(site: Address, desk: Desk, run: Run) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    done = run("check")
    assert done.status == 0, done.stdout + done.stderr
    assert re.search(r"✓ +aurora \(1\) +\d+ ms +1\.5 +demo \[admin, api\], \d+ days left +all jobs +6 +aurora", done.stdout)
    assert "ccgateway.toml is good: 1 site." in done.stdout


def test_check_of_a_bad_token_exits_1_and_shows_no_token(site: Address, desk: Desk, run: Run) -> None:
    token = site.site.mint("demo", ["admin", "api"], exp=1_700_000_000)
    desk.add("aurora", site.url, token)
    done = run("check")
    assert done.status == 1
    assert "✗ sites.aurora.token_file: the token expired on 2023-11-14 22:13 UTC" in done.stdout
    assert "→ Issue a new one on the site (cc-backend -jwt USER)" in done.stdout
    assert token not in done.stdout + done.stderr and done.stderr == ""


def test_check_in_json_says_the_same(site: Address, desk: Desk, run: Run) -> None:
    desk.add("aurora", site.url, site.site.token("alice"), 'release = "1.2"')
    done = run("check", "--json", "--config", str(desk.file))
    found = json.loads(done.stdout)
    assert (done.status, found["good"]) == (1, False)
    assert found["findings"] == [
        {
            "level": "problem",
            "key": "sites.aurora.release",
            "problem": "the settings say 1.2, but cc-backend 1.5 answers",
            "remedy": 'Set release = "1.5" (or "auto").',
        }
    ]
    (one,) = found["sites"]
    assert one["release"] == {"configured": "1.2", "found": "1.5"}
    assert (one["token"]["subject"], one["token"]["roles"], one["token"]["accepted"]) == ("alice", ["user", "api"], True)


GOOD = '[sites.aurora]\nnumber = 1\nurl = "http://127.0.0.1:1"\n'
BAD_FILES = {
    "a missing key": ('[sites.aurora]\nurl = "http://h"\n', "sites.aurora.number: is missing", "Add it"),
    "an unknown key": (GOOD + 'relase = "1.5"\n', "sites.aurora.relase: is not a setting", "correct its spelling"),
    "an unknown section": (GOOD + "[limit]\n", "limit: is not a setting", "correct its spelling"),
    "a secret in the file": (
        GOOD + 'token = "abc"\n',
        "sites.aurora.token: a secret stands in",
        "CCGATEWAY_SITES__AURORA__TOKEN",
    ),
    "a number twice": (GOOD + GOOD.replace("aurora", "two"), "sites.two.number: 1 is already the number", "number of its own"),
    "a bad name": (GOOD.replace("aurora", "Aurora"), "sites.Aurora: is not a site name", "lower-case letters"),
    "a bad URL": (GOOD.replace("http:", "ftp:"), "sites.aurora.url: needs the form http(s)://", "Correct the value"),
    "a bad value": ('[server]\nport = "many"\n', "server.port: ", "Correct the value"),
    "bad TOML": ("[sites.aurora\n", "is not valid TOML", "Correct that line"),
}


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(("text", "said", "remedy"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_exits_2_with_key_problem_and_remedy(
    command: str, text: str, said: str, remedy: str, desk: Desk, run: Run
) -> None:
    desk.file.write_text(text)
    done = run(command)
    assert (done.status, done.stdout) == (2, "")
    assert said in done.stderr and "  → " in done.stderr and remedy in done.stderr


def test_a_file_that_is_not_there_exits_2(run: Run) -> None:
    done = run("check", "--config", "elsewhere.toml")
    assert done.status == 2
    assert "✗ elsewhere.toml: there is no such file" in done.stderr and "Traceback" not in done.stderr


# --- serve


def test_serve_says_where_it_listens_answers_and_ends_with_0_when_interrupted(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written):
        where = re.fullmatch(rf"ccgateway {__version__} serves 1 site at (http://127\.0\.0\.1:\d+/graphql)\n", written)
        assert where is not None, written
        answer = ask(where[1], "{ jobs(first: 2) { items { id } complete } }")
        assert answer["data"]["jobs"]["complete"] and len(answer["data"]["jobs"]["items"]) == 2
        with urllib.request.urlopen(where[1].replace("/graphql", "/health/live"), timeout=10) as health:
            assert "server" not in {name.lower() for name in health.headers}, "it names itself to nobody"
        assert end(process, signal.SIGINT) == (0, "")


def test_serve_starts_while_every_site_is_down_and_ends_with_0_when_terminated(site: Address, desk: Desk) -> None:
    desk.add("aurora", "http://127.0.0.1:1", site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves 1 site") as (process, _):
        assert end(process, signal.SIGTERM) == (0, "")


def test_serve_ends_with_0_and_an_answer_for_who_still_waits(site: Address, desk: Desk) -> None:
    desk.text = "[server]\ngrace = 5\n"
    desk.add("aurora", site.url, site.site.token("demo"), "timeout = 60")
    site.site.faults.hang()
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written), ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, written.split()[-1], "{ jobs(first: 1) { items { id } } }")
        while not site.site.requests:
            time.sleep(0.02)
        status, rest = end(process, signal.SIGTERM)
        assert status == 0 and "Traceback" not in rest
        with pytest.raises(urllib.error.HTTPError) as refused:
            waiting.result(timeout=60)
        body = json.load(refused.value)
    assert refused.value.code == 503
    assert body["errors"][0]["message"] == "The gateway is stopping." and body["errors"][0]["extensions"]["retryable"]


def test_serve_listens_on_the_other_loopback_too(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", "--host", "::1", folder=desk.folder, until="serves") as (_, written):
        assert re.search(r"http://\[::1\]:\d+/graphql", written)
        assert ask(written.split()[-1], "{ sites { name } }") == {"data": {"sites": [{"name": "aurora"}]}}


def test_serve_refuses_a_head_without_end(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written):
        port = int(written.rsplit(":", 1)[1].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
            sent = 0
            try:
                while sent < 64 << 20:
                    sent += connection.send(b"a" * 65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert sent < 16 << 20
        assert psutil.Process(process.pid).memory_info().rss < 300 << 20


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", [], "✗ sites: no site is configured"),
        (GOOD, ["--host", "0.0.0.0"], "✗ server.host: 0.0.0.0 can be reached from other machines"),
        (GOOD + '[server]\nhost = "::"\n', [], "✗ server.host: :: can be reached from other machines"),
        (GOOD, ["--host", "nowhere.invalid"], "✗ server.host: nowhere.invalid can be reached"),
        (GOOD + "[server]\nserve_unauthenticated = true\n", ["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (GOOD + 'token_file = "none.jwt"\n', [], "none.jwt cannot be read"),
    ],
)
def test_serve_refuses_what_cannot_be_served(text: str, arguments: list[str], said: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(text)
    done = run("serve", "--port", "0", *arguments)
    assert done.status == 2
    assert said in done.stderr and "→ " in done.stderr and "Traceback" not in done.stderr


def test_serve_names_a_port_in_use(desk: Desk, run: Run) -> None:
    desk.file.write_text(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port))
    assert done.status == 2 and f"✗ server.port: {port} is in use on 127.0.0.1" in done.stderr


# --- demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A demo beside settings of a gateway, that was told to take a port that is taken: what it wrote, and that port."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "ccgateway.toml").write_text("[sites.aurora\n")
    settings = {"CCGATEWAY_SERVER__HOST": "0.0.0.0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("demo", "--port", str(port), folder=folder, until="Ctrl-C stops", **settings) as (process, written):
            yield written, port
            assert end(process, signal.SIGTERM) == (0, "")


def graphql_in(written: str) -> str:
    """Where the demo says it answers."""
    url = re.search(r"http://127\.0\.0\.1:\d+/graphql", written)
    assert url is not None, written
    return url[0]


def test_the_demo_takes_another_port_and_says_so(demo: tuple[str, int]) -> None:
    written, port = demo
    assert f"{port} is in use on 127.0.0.1: the demo takes another port." in written
    assert f"http://127.0.0.1:{port}/graphql" not in written


def test_the_demo_heeds_no_settings_of_the_gateway_and_answers_from_five_sites(demo: tuple[str, int]) -> None:
    query = "{ jobs(first: 50) { items { id site } complete } sites { name release reachable } }"
    answer = ask(graphql_in(demo[0]), query)["data"]
    assert answer["jobs"]["complete"] and len(answer["jobs"]["items"]) == 50
    assert [site["release"] for site in answer["sites"]] == ["1.5", "1.4", "1.3", "1.2", "howto"]
    assert all(site["reachable"] for site in answer["sites"])


def test_what_the_demo_prints_works(demo: tuple[str, int]) -> None:
    written, _ = demo
    curl = re.search(r"-d '(\{.*\})'", written)
    pasted = re.search(r"  query Jobs.*?\n  \}\n", written, re.DOTALL)
    assert curl and pasted
    for query in (json.loads(curl[1])["query"], pasted[0]):
        answer = ask(graphql_in(written), query)
        assert "errors" not in answer and answer["data"]["jobs"]["items"]


def test_the_demo_shows_a_partial_answer_when_a_site_is_down_and_leaves_no_process_when_interrupted(tmp_path: Path) -> None:
    with started("demo", "--port", "0", "--down", "cygnus", folder=tmp_path, until="Ctrl-C stops") as (process, written):
        assert re.search(r"3 cygnus .* down", written)
        answer = ask(graphql_in(written), "{ jobs(first: 5) { items { id } complete sites { site status code } } }")
        failed = [site for site in answer["data"]["jobs"]["sites"] if site["status"] != "OK"]
        assert failed == [{"site": "cygnus", "status": "FAILED", "code": "UNREACHABLE"}]
        assert not answer["data"]["jobs"]["complete"] and len(answer["data"]["jobs"]["items"]) == 5
        children = psutil.Process(process.pid).children(recursive=True)
        assert end(process, signal.SIGINT) == (0, "")
        assert not [child for child in children if child.is_running()]


def test_the_demo_names_its_sites_when_asked_for_another(run: Run) -> None:
    done = run("demo", "--down", "mars")
    assert done.status == 2 and "aurora, borealis, cygnus, draco, eridanus" in done.stderr


# --- the others


def test_version_is_the_packages(run: Run) -> None:
    assert run("version").stdout == run("--version").stdout == f"ccgateway {__version__}\n"


def test_schema_writes_once_and_then_finds_no_drift(run: Run) -> None:
    assert "ccgateway.graphql: written" in run("schema", "out").stdout
    assert "ccgateway.graphql: up to date" in run("schema", "out").stdout
    assert run("schema", "--check", "out").status == 0


def test_schema_check_exits_1_and_shows_the_difference(tmp_path: Path, run: Run) -> None:
    run("schema", "out")
    file = tmp_path / "out" / "schema" / "ccgateway.graphql"
    file.write_text(file.read_text().replace("type Query", "type Quarry"))
    done = run("schema", "--check", "out")
    assert done.status == 1
    assert "-type Quarry" in done.stdout and "+type Query" in done.stdout
    assert "type Quarry" in file.read_text()
