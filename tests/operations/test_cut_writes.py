"""Writes in real processes that end: what is under way is told as it is, and nobody waits for the dead."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cache.servers import Valkey
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.desk import Desk
from operations.test_commands import started

TAG = 'mutation {{ tagJobs(jobs: [{}], tags: [{{type: "review", name: "cut"}}]) {{ outcome code }} }}'


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.4", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


def write(url: str, *numbers: int, key: str | None = None) -> list[dict[str, Any]]:
    document = TAG.format(", ".join(f'{{id: "aurora:{number}"}}' for number in numbers))
    headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    request = urllib.request.Request(url, json.dumps({"query": document}).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["tagJobs"]
    return found


def until_sent(site: Address) -> None:
    until = time.monotonic() + 20
    while not any("/tag_job/" in seen.target for seen in site.site.requests):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_write_that_is_cut_by_the_end_of_the_process_is_unknown_in_its_answer(
    site: Address, desk: Desk, tmp_path: Path
) -> None:
    desk.text = '[server]\ngrace = 1\n[writes]\naudit_file = "audit.log"\n[limits]\nrequest_timeout = 8.0\n'
    desk.add("aurora", site.url, site.site.token("demo"), "timeout = 60\nconcurrency = 1")
    site.site.faults.hang(path="/tag_job/")
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written), ThreadPoolExecutor() as pool:
        waiting = pool.submit(write, written.split()[-1], 1, 2)
        until_sent(site)
        process.send_signal(signal.SIGTERM)
        results = waiting.result(timeout=40)  # before the write itself ends, which would be a time-out
        rest, _ = process.communicate(timeout=40)
        assert process.returncode == 0 and "Traceback" not in rest, rest
    assert results == [{"outcome": "UNKNOWN", "code": "STOPPING"}, {"outcome": "FAILED", "code": "STOPPING"}]
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert "UNKNOWN" in {line["outcome"] for line in lines if line.get("id") == 1}


def test_a_killed_process_costs_who_sends_again_three_seconds_and_none_of_its_time(
    site: Address, desk: Desk, tmp_path: Path
) -> None:
    with Valkey(tmp_path / "valkey") as valkey:
        desk.text = '[cache]\nredis_url_file = "redis"\n[limits]\nrequest_timeout = 5.0\n'
        (tmp_path / "redis").write_text(valkey.url)
        (tmp_path / "redis").chmod(0o600)
        desk.add("aurora", site.url, site.site.token("demo"), "timeout = 30")
        site.site.faults.hang(path="/tag_job/")
        with (
            started("serve", "--port", "0", folder=desk.folder, until="serves") as (dying, first),
            started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, second),
            ThreadPoolExecutor() as pool,
        ):
            lost = pool.submit(write, first.split()[-1], 1, key="k")
            until_sent(site)
            time.sleep(1.2)  # the holder has given a sign of life
            dying.kill()
            dying.wait()
            assert lost.exception(timeout=20) is not None
            site.site.faults.clear()
            site.site.faults.slow(4.0, path="/tag_job/", times=1)
            begun = time.monotonic()
            assert write(second.split()[-1], 1, key="k") == [{"outcome": "DONE", "code": None}]
            took = time.monotonic() - begun
            assert took < 4.0 + 3.0 + 5.0  # of which its own request may take five: the wait for the dead is not among them
            assert write(second.split()[-1], 1, key="k") == [{"outcome": "DONE", "code": None}]
