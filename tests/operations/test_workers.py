"""``serve --workers``: one port, several processes, which come and go together, and one that dies is replaced."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import psutil
import pytest

from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from identity.authority import pem_of, signer
from operations.conftest import Run
from operations.desk import Desk, environment
from operations.test_commands import GOOD, ask, end, started

JOBS = "{ jobs(first: 2) { items { id } complete } }"


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


ALONE = "[cache]\nmemory_bytes = 0\n[writes]\nenabled = false\n"


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """Nothing is kept and nothing written, so that several workers need no Redis."""
    desk.text = ALONE
    return desk


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The workers, without what multiprocessing itself starts."""
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """What the process writes up to a line with ``wanted``."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if wanted in line:
            return read
    raise AssertionError(f"it ended: {read}")


def url_in(written: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/graphql", written)
    assert found is not None, written
    return found[0]


def test_workers_share_a_port_and_end_together_with_0_when_interrupted(site: Address, desk: Desk) -> None:
    token = site.site.token("demo")
    desk.add("aurora", site.url, token)
    with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, written):
        workers, url = workers_of(process), url_in(written)
        assert (len(workers), len(written.splitlines())) == (2, 1)
        listening = [{c.laddr.port for c in worker.net_connections() if c.status == psutil.CONN_LISTEN} for worker in workers]
        assert listening == [{int(url.rsplit(":", 1)[1].split("/")[0])}] * 2
        assert not any(token in f"{worker.cmdline()} {worker.environ()}" for worker in workers)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(url, JOBS), range(40)))
        assert all(answer["data"]["jobs"]["complete"] for answer in answers)
        assert end(process, signal.SIGINT) == (0, "")
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []


def test_a_worker_that_dies_is_replaced_and_reported_and_all_end_with_0_when_terminated(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, written):
        lost = workers_of(process)[0]
        lost.kill()
        assert process.stdout is not None
        told = process.stdout.readline()
        assert re.search(rf"WARNING .*worker {lost.pid} ended unexpectedly \(exit status -9\) and was replaced", told)
        assert ask(url_in(written), JOBS)["data"]["jobs"]["complete"]
        found = workers_of(process)
        assert len(found) == 2 and lost.pid not in {one.pid for one in found}
        assert end(process, signal.SIGTERM) == (0, "")
        _, alive = psutil.wait_procs(found, timeout=60)
        assert alive == []


def test_where_no_worker_can_start_the_others_serve_all_until_a_reload_mends_it(site: Address, desk: Desk) -> None:
    key = desk.folder / "issuer.pem"
    key.write_text(pem_of(signer("EdDSA")))
    desk.text += (
        f'[issuers.portal]\nissuer = "https://portal.example"\naudience = "gw"\nalgorithms = ["EdDSA"]\nkey_file = "{key}"\n'
    )
    desk.text += '[server]\ncontrol_socket = "control"\n'
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, written):
        kept = key.rename(desk.folder / "away.pem")
        lost = workers_of(process)[0]
        lost.kill()
        said = read_until(process, "no worker could take the place")
        assert "issuers.portal.key_file" in said and "cannot be read" in said and "Traceback" not in said
        health = url_in(written).replace("/graphql", "/health/live")
        for _ in range(30):
            with urllib.request.urlopen(health, timeout=10) as answer:
                assert answer.status == 200
        kept.rename(key)
        process.send_signal(signal.SIGHUP)
        read_until(process, "serves where none could start")
        found = workers_of(process)
        assert len(found) == 2
        port = urlsplit(health).port
        with contextlib.ExitStack() as held:  # connections that are kept show who has them
            for _ in range(30):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                held.callback(connection.close)
                connection.request("GET", "/health/live")
                assert connection.getresponse().read()
            shares = [sum(c.laddr.port == port for c in one.net_connections() if c.raddr) for one in found]
        assert all(shares), shares
        assert end(process, signal.SIGTERM)[0] == 0


def test_one_that_is_told_to_end_answers_what_it_has_and_another_takes_its_place_at_once(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    site.site.latency = 3.0
    arguments = ("serve", "--port", "0", "--workers", "2")
    with started(*arguments, folder=desk.folder, until="serves") as (process, written), ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, url_in(written), JOBS) for _ in range(8)]
        while len(site.site.requests) < 2:
            os.sched_yield()
        leaving = workers_of(process)[0]
        leaving.terminate()
        assert f"worker {leaving.pid} was told to end and was replaced" in read_until(process, "was replaced")
        late = [pool.submit(ask, url_in(written), "{ __typename }") for _ in range(12)]
        assert all(one.result(timeout=60)["data"]["jobs"]["complete"] for one in asked)
        assert all(one.result(timeout=60)["data"] for one in late)
        assert end(process, signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_while_they_start_ends_them_without_a_word(number: int, site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    command = [sys.executable, "-m", "ccgateway", "serve", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(
        command, cwd=desk.folder, env=environment(), text=True, start_new_session=True, stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        while len(workers_of(process)) < 2:
            assert process.poll() is None
        os.killpg(process.pid, number)
        written, _ = process.communicate(timeout=60)
        assert (process.returncode, written) == (0, "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_where_the_end_of_children_is_ignored_all_end_as_ever(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # which is handed on to what starts here
    try:
        with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, written):
            signal.signal(signal.SIGCHLD, before)
            assert ask(url_in(written), JOBS)["data"]["jobs"]["complete"]
            assert end(process, signal.SIGTERM)[0] == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_workers_do_not_outlive_a_supervisor_that_was_killed(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, _):
        workers = workers_of(process)
        process.kill()
        gone, alive = psutil.wait_procs(workers, timeout=60)
        assert (len(gone), alive) == (2, [])


def test_what_is_under_way_when_it_ends_is_answered(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    site.site.latency = 1.0
    arguments = ("serve", "--port", "0", "--workers", "2")
    with started(*arguments, folder=desk.folder, until="serves") as (process, written), ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, url_in(written), JOBS)
        while not site.site.requests:
            os.sched_yield()
        status, rest = end(process, signal.SIGTERM)
        assert (status, "Traceback" in rest) == (0, False)
        assert waiting.result(timeout=60)["data"]["jobs"]["complete"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "✗ sites: no site is configured"), (GOOD + 'token_file = "none.jwt"\n', "none.jwt cannot be read")],
)
def test_what_is_wrong_is_said_once_and_no_worker_starts(text: str, said: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(text)
    done = run("serve", "--port", "0", "--workers", "4")
    assert done.status == 2
    assert done.stderr.count("✗") == 1 and said in done.stderr


def test_a_port_in_use_is_named_once(desk: Desk, run: Run) -> None:
    desk.file.write_text(ALONE + GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]), "--workers", "2")
    assert done.status == 2 and done.stderr.count("is in use on 127.0.0.1") == 1


@pytest.mark.parametrize("number", ["0", "-1", "65", "many"])
def test_other_numbers_of_workers_are_refused(number: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(GOOD)
    assert run("serve", "--port", "0", "--workers", number).status == 2


def test_workers_that_cannot_tell_one_another_of_writes_are_refused(desk: Desk, run: Run) -> None:
    desk.file.write_text(GOOD)
    done = run("serve", "--port", "0", "--workers", "2")
    assert done.status == 2 and "no Redis is configured" in done.stderr
