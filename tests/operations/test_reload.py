"""New settings without a restart: taken over whole or not at all, and no request is lost by it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.desk import Desk, environment
from operations.test_commands import ask, end, started
from operations.test_workers import ALONE, url_in, workers_of
from support.running import JOBS, eventually, get, loaded

NAMES = "{ sites { name } }"
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture
def sites() -> Iterator[dict[str, Address]]:
    made = [SimulatedSite(name, "1.5", GeneratedJobs(40, name)) for name in ("aurora", "borealis")]
    with serve_in_thread(*made) as running:
        yield dict(running)


@pytest.fixture
def desk(desk: Desk, sites: dict[str, Address], tmp_path: Path) -> Desk:
    desk.text = f'{ALONE}[server]\ncontrol_socket = "control"\n'
    desk.add("aurora", sites["aurora"].url, sites["aurora"].site.token("demo"))
    return desk


def reload(desk: Desk) -> tuple[int, str]:
    command = ["-m", "ccgateway", "reload"]
    done = subprocess.run(
        [sys.executable, *command], cwd=desk.folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def names(url: str) -> set[str]:
    return {site["name"] for site in ask(url, NAMES)["data"]["sites"]}


def everywhere(url: str, wanted: set[str]) -> bool:
    """Whether each of many connections, which are spread over the workers, is told of these sites."""
    return all(names(url) == wanted for _ in range(12))


@WORKERS
def test_sites_are_added_and_removed_by_every_process(workers: str, desk: Desk, sites: dict[str, Address]) -> None:
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        url, before = url_in(written), desk.text
        assert everywhere(url, {"aurora"})
        desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
        assert reload(desk) == (0, "reloaded\n")
        assert everywhere(url, {"aurora", "borealis"})
        desk.file.write_text(before)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: everywhere(url, {"aurora"}))
        assert end(process, signal.SIGTERM)[0] == 0


@WORKERS
def test_no_request_is_lost_by_a_hang_up_five_times_a_second(workers: str, desk: Desk, sites: dict[str, Address]) -> None:
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        both = [desk.text]
        desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
        both.append(desk.text)
        with loaded(url_in(written), 8) as load:
            until, number = time.monotonic() + 10, 0
            while time.monotonic() < until:
                desk.file.with_suffix(".new").write_text(both[number % 2])
                desk.file.with_suffix(".new").rename(desk.file)
                process.send_signal(signal.SIGHUP)
                number += 1
                time.sleep(0.2)
        assert load.failures == [] and load.answered > 100
        status, rest = end(process, signal.SIGTERM)
        assert status == 0 and rest.count("settings were reloaded") > 5, rest
        assert "ERROR" not in rest and "Traceback" not in rest, rest


@WORKERS
def test_a_bad_file_is_refused_with_its_reason_and_what_was_goes_on(workers: str, desk: Desk) -> None:
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        url, good = url_in(written), desk.text
        desk.file.write_text(good + "[limit]\n")
        status, said = reload(desk)
        assert status == 1 and "✗ limit: is not a setting" in said
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        desk.file.write_text(f'{good}[sites.new]\nnumber = 9\nurl = "http://127.0.0.1:1"\ntoken_file = "none.jwt"\n')
        time.sleep(1)
        status, said = reload(desk)
        assert status == 1 and "✗ sites.new.token_file: " in said and "cannot be read" in said
        assert everywhere(url, {"aurora"}) and ask(url, JOBS)["data"]["jobs"]["complete"]
        status, rest = end(process, signal.SIGTERM)
        assert status == 0 and "settings were not reloaded, and those from before go on: limit: is not a setting" in rest


@WORKERS
@pytest.mark.parametrize("odd", ["x = " + "[" * 20_000, "x = " + "9" * 5000, '[cache]\nredis_url_file = "\\u0000"'])
def test_after_an_odd_file_of_whatever_kind_the_next_good_one_is_taken_over(
    workers: str, odd: str, desk: Desk, sites: dict[str, Address]
) -> None:
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        url, good = url_in(written), desk.text
        desk.file.write_text(f"{good}\n{odd}\n")
        status, said = reload(desk)
        assert status != 0 and "Traceback" not in said
        process.send_signal(signal.SIGHUP)
        time.sleep(1.0)
        desk.text = good
        desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: everywhere(url, {"aurora", "borealis"}))
        assert end(process, signal.SIGTERM)[0] == 0


def test_what_changes_with_a_restart_only_is_said(desk: Desk) -> None:
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written):
        desk.file.write_text(desk.text.replace("[server]\n", "[server]\nworkers = 2\n"))
        assert reload(desk) == (0, "reloaded\nserver.workers changes with a restart only\n")
        assert ask(url_in(written), JOBS)["data"]["jobs"]["complete"]


def test_a_request_that_is_under_way_ends_with_what_it_began_with(desk: Desk, sites: dict[str, Address]) -> None:
    sites["aurora"].site.latency = 2.0
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written), ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, url_in(written), JOBS)
        eventually(lambda: bool(sites["aurora"].site.requests))
        desk.text = f'{ALONE}[server]\ncontrol_socket = "control"\n'
        desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
        assert reload(desk)[0] == 0
        found = waiting.result(timeout=20)["data"]["jobs"]
        assert found["complete"] and all(job["id"].startswith("aurora:") for job in found["items"])
        assert names(url_in(written)) == {"borealis"}


@WORKERS
def test_a_token_is_read_again_when_its_file_changes(workers: str, desk: Desk, sites: dict[str, Address]) -> None:
    (desk.folder / "aurora.jwt").write_text("expired")
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        url = url_in(written)
        assert ask(url, JOBS)["errors"][0]["extensions"]["code"] != "NO_CREDENTIAL"
        (desk.folder / "aurora.jwt").write_text(sites["aurora"].site.token("demo"))
        eventually(lambda: all("errors" not in ask(url, JOBS) for _ in range(8)))
        (desk.folder / "aurora.jwt").unlink()
        time.sleep(4)
        assert all("errors" not in ask(url, JOBS) for _ in range(8)), "what was read before goes on"
        status, rest = end(process, signal.SIGTERM)
        assert status == 0 and "aurora.jwt changed and was read anew" in rest
        assert "aurora.jwt changed, but what was read before goes on: sites.aurora.token_file" in rest


def test_a_site_without_its_token_is_left_out_loudly_and_the_others_are_served(desk: Desk, sites: dict[str, Address]) -> None:
    desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
    path = desk.folder / "aurora.jwt"
    token = path.read_text()
    path.unlink()
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written):
        assert "site aurora: it is not asked (NO_CREDENTIAL): sites.aurora.token_file: " in written
        url = url_in(written)
        found = ask(url, "{ jobs(first: 2) { items { id } complete sites { site code } } }")["data"]["jobs"]
        assert not found["complete"] and {one["site"]: one["code"] for one in found["sites"]} == {
            "aurora": "NO_CREDENTIAL",
            "borealis": None,
        }
        status, _, body = get(url, "/health/ready")
        assert status == 200 and json.loads(body)["degraded"][0]["part"] == "site aurora"
        path.write_text(token)
        path.chmod(0o600)
        eventually(lambda: bool(ask(url, JOBS)["data"]["jobs"]["complete"]))
        assert json.loads(get(url, "/health/ready")[2]) == {"status": "ready"}
        assert token not in written + end(process, signal.SIGTERM)[1]


def test_what_was_kept_of_a_site_is_not_given_for_another_of_its_name(desk: Desk, sites: dict[str, Address]) -> None:
    desk.text = '[server]\ncontrol_socket = "control"\n[cache]\nlist_for = 60\nclusters_for = 600\n'
    desk.add("aurora", sites["aurora"].url, sites["aurora"].site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written):
        url = url_in(written)
        jobs = "{ jobs(first: 1) { items { cluster } } }"
        before, listed = ask(url, "{ clusters { name } }"), ask(url, jobs)
        assert reload(desk)[0] == 0
        asked = len(sites["aurora"].site.requests)
        assert ask(url, "{ clusters { name } }") == before and len(sites["aurora"].site.requests) == asked, "still kept"
        desk.file.write_text(desk.text.replace(sites["aurora"].url, sites["borealis"].url))
        (desk.folder / "aurora.jwt").write_text(sites["borealis"].site.token("demo"))
        assert reload(desk)[0] == 0
        after = ask(url, "{ clusters { name } }")
        assert after["data"]["clusters"] == [{"name": "borealis"}] and ask(url, jobs) != listed


def test_nobody_answers_where_no_gateway_runs(desk: Desk) -> None:
    status, said = reload(desk)
    assert status == 2 and "no gateway answers at" in said


def test_workers_that_are_replaced_begin_with_the_settings_that_hold(desk: Desk, sites: dict[str, Address]) -> None:
    with started("serve", "--port", "0", "--workers", "2", folder=desk.folder, until="serves") as (process, written):
        desk.add("borealis", sites["borealis"].url, sites["borealis"].site.token("demo"))
        assert reload(desk)[0] == 0
        for worker in workers_of(process):
            worker.kill()
        eventually(lambda: len(workers_of(process)) == 2)
        assert everywhere(url_in(written), {"aurora", "borealis"})


def test_the_control_socket_takes_nothing_but_its_word(desk: Desk) -> None:
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written):
        path = desk.folder / "control"
        assert path.stat().st_mode & 0o077 == 0
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(path))
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.recv(100) == b""
        assert reload(desk)[0] == 0 and ask(url_in(written), JOBS)["data"]["jobs"]["complete"]
