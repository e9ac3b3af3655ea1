"""What ``ccgateway check`` finds in the settings themselves, and what it says when it is left running."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.conftest import Run, Start
from operations.desk import Desk, environment, one_problem, one_warning
from operations.test_commands import end, started
from operations.test_workers import url_in


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@pytest.fixture
def free(desk: Desk) -> Desk:
    """A desk whose gateway has a port that nobody has."""
    desk.text = "[server]\nport = 0\n"
    return desk


async def good(desk: Desk, start: Start, extra: str = "", roles: list[str] | None = None) -> Address:
    site = await start("1.5")
    desk.add("aurora", site.url, site.site.mint("demo", roles or ["admin", "api"]), extra)
    return site


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CCGATEWAY_SERVR__PORT", "CCGATEWAY_SERVER__PORT"),
        ("CCGATEWAY_SERVER_PORT", "CCGATEWAY_SERVER__PORT"),
        ("CCGATEWAY_LIMIT__PATIENCE", "CCGATEWAY_LIMITS__PATIENCE"),
    ],
)
async def test_a_variable_that_nobody_reads(
    variable: str, meant: str, free: Desk, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await good(free, start)
    monkeypatch.setenv(variable, "secret-value")
    found = one_problem(await free.check())
    assert found.key == variable and meant in found.remedy
    assert "secret-value" not in f"{found}"


async def test_variables_that_the_file_names_are_read(free: Desk, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await start("1.5")
    free.add("aurora", site.url, None, 'token_env = "CCGATEWAY_AURORA"')
    monkeypatch.setenv("CCGATEWAY_AURORA", site.site.token("demo"))
    assert list(await free.check()) == []


async def test_variables_of_users_commands_and_of_kubernetes_are_somebody_elses(
    free: Desk, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await good(free, start)
    for name in ("CCGATEWAY_URL", "CCGATEWAY_TOKEN", "CCGATEWAY_PROFILE", "CCGATEWAY_SERVICE_HOST", "CCGATEWAY_PORT_8080_TCP"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert list(await free.check()) == []


@pytest.mark.parametrize(("key", "meant"), [("[limit]\npatience = 1", "limits"), ("[server]\nprt = 1", "port")])
def test_a_misspelt_name_in_the_file_is_refused_with_the_one_that_is_meant(key: str, meant: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(f"{key}\n")
    done = run("check")
    assert done.status == 2 and f"({meant}?)" in done.stderr


async def test_two_places_for_one_token(free: Desk, start: Start) -> None:
    await good(free, start, 'token_env = "ELSEWHERE"')
    found = one_warning(await free.check())
    assert (found.key, found.problem) == ("sites.aurora.token_env", "token_file counts; token_env beside it is not looked at")


@pytest.mark.parametrize(
    ("section", "extra", "key"),
    [
        ("[limits]\nrequest_timeout = 5.0\n[server]\nport = 0\n", "", "sites.aurora.timeout"),
        ("[limits]\npatience = 40\n[server]\nport = 0\n", "", "limits.patience"),
        ("[server]\nport = 0\ngrace = 3\n", "", "server.grace"),
        ("[server]\nport = 0\n", "timeout = 3.0", "sites.aurora.connect_timeout"),
        ("[cache]\nfill_timeout = 5\n[server]\nport = 0\n", "", "sites.aurora.timeout"),
    ],
)
async def test_times_that_contradict_one_another(section: str, extra: str, key: str, desk: Desk, start: Start) -> None:
    desk.text = section
    await good(desk, start, extra)
    assert one_warning(await desk.check()).key == key


async def test_a_cluster_that_the_site_does_not_have(free: Desk, start: Start) -> None:
    await good(free, start, 'clusters = ["aurora", "arora"]')
    found = one_problem(await free.check())
    assert found.key == "sites.aurora.clusters" and "no cluster arora," in found.problem and "It has aurora" in found.remedy


async def test_a_token_of_an_ordinary_user(free: Desk, start: Start) -> None:
    site = await start("1.5")
    free.add("aurora", site.url, site.site.mint("alice", ["user", "api"]))
    found = one_warning(await free.check())
    assert found.key == "sites.aurora.token_file" and "token of an ordinary user, alice" in found.problem


async def test_a_token_of_somebody_whom_the_site_does_not_know(free: Desk, start: Start) -> None:
    site = await start("1.5")
    free.add("aurora", site.url, site.site.mint("gone", ["admin", "api"]))
    warnings = [found for found in await free.check() if "gone" in found.problem]
    assert [found.key for found in warnings] == ["sites.aurora.token_file"]


async def test_a_port_that_somebody_else_has(desk: Desk, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        desk.text = f"[server]\nport = {taken.getsockname()[1]}\n"
        await good(desk, start)
        found = one_problem(await desk.check())
    assert found.key == "server.port" and "is in use" in found.problem


async def test_a_port_for_grpc_that_somebody_else_has(desk: Desk, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        desk.text = f"[server]\nport = 0\n[grpc]\nport = {taken.getsockname()[1]}\n"
        await good(desk, start)
        assert one_problem(await desk.check()).key == "grpc.port"


def test_the_port_of_the_gateway_that_runs_is_no_finding(site: Address, desk: Desk, run: Run) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written):
        port = url_in(written).split(":")[2].split("/")[0]
        desk.file.write_text(f"[server]\nport = {port}\n{desk.text}")
        assert run("check").status == 0


async def test_an_audit_file_that_cannot_be_written(desk: Desk, start: Start) -> None:
    desk.text = '[server]\nport = 0\n[writes]\naudit_file = "nowhere/audit.log"\n'
    await good(desk, start)
    assert one_problem(await desk.check()).key == "writes.audit_file"


def test_a_watch_tells_what_changes_once_and_ends_as_the_last_check_says(site: Address, desk: Desk) -> None:
    desk.text = "[server]\nport = 0\n"
    desk.add("aurora", site.url, site.site.token("demo"))
    token = (desk.folder / "aurora.jwt").read_text()
    command = [sys.executable, "-m", "ccgateway", "check", "--watch", "--every", "1", "--json"]
    with subprocess.Popen(command, cwd=desk.folder, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["good"] is True
            (desk.folder / "aurora.jwt").write_text("no token")
            problem, verdict = (json.loads(process.stdout.readline()) for _ in range(2))
            assert (problem["what"], problem["key"], verdict["good"]) == ("problem", "sites.aurora.token_file", False)
            time.sleep(2.5)
            desk.file.write_text(desk.text + "[limit]\n")
            second, first = (json.loads(process.stdout.readline()) for _ in range(2))
            assert (second["what"], second["key"]) == ("problem", "limit") and first["what"] == "solved"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 1
        finally:
            process.kill()
    assert token not in json.dumps([problem, second, first])


def test_a_watch_of_good_settings_ends_with_0(site: Address, desk: Desk) -> None:
    desk.text = "[server]\nport = 0\n"
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("check", "--watch", folder=desk.folder, until="all is good") as (process, _):
        assert end(process, signal.SIGINT) == (0, "")


def test_a_gateway_says_at_its_start_which_tokens_expire_and_which_sites_are_one(site: Address, desk: Desk) -> None:
    soon = int(time.time()) + 3 * 86400
    desk.add("aurora", site.url, site.site.mint("demo", ["admin", "api"], exp=soon))
    desk.add("twin", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, _):
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        assert re.search(r"WARNING ccgateway.outlook: sites.aurora.token_file: the token expires on ", said)
        assert "sites.twin.url: this is the same instance as site aurora" in said
