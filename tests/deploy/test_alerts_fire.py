"""Faults of a real gateway and its sites, and which alerts a real Prometheus then fires, all times in the rules being short."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from deploy.tools import DEPLOY, tool
from operations.desk import Desk
from operations.test_commands import ask, started
from operations.test_workers import url_in, workers_of
from support.loopback import free_port
from support.running import JOBS

#: seconds that an alert may take, on a machine that does something else as well
PATIENCE = 90.0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[str]:
    """The address of a Prometheus that scrapes that port every three seconds and has our alerts, on the last seconds."""
    rules = re.sub(r"for: \d+m", "for: 0s", (DEPLOY / "prometheus" / "alerts.yml").read_text())
    (folder / "alerts.yml").write_text(re.sub(r"\[\d+m\]", "[12s]", rules))
    (folder / "prometheus.yml").write_text(
        # a worker that is silent delays an answer by two seconds
        "global: {scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"
        f"scrape_configs: [{{job_name: ccgateway, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n"
    )
    port = free_port()
    command = [
        tool("prometheus", "prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def firing(prometheus_url: str) -> set[str]:
    try:
        with urllib.request.urlopen(f"{prometheus_url}/api/v1/alerts", timeout=20) as answer:
            alerts = json.load(answer)["data"]["alerts"]
    except OSError:
        return {"nothing yet"}
    return {alert["labels"]["alertname"].removeprefix("CCGateway") for alert in alerts if alert["state"] == "firing"}


def until_firing(prometheus_url: str, wanted: set[str], url: str | None = None) -> None:
    """Waits until exactly these fire; asks the gateway at ``url`` meanwhile, as callers would."""
    deadline, seen = time.monotonic() + PATIENCE, set[str]()
    while time.monotonic() < deadline:
        if url is not None:
            with suppress(OSError):
                ask(url, JOBS)
        seen = firing(prometheus_url)
        if seen == wanted:
            return
        time.sleep(0.3)
    raise AssertionError(f"firing: {sorted(seen)}, wanted: {sorted(wanted)}")


def test_faults_fire_their_alerts_and_their_end_ends_them(desk: Desk, site: Address, tmp_path: Path) -> None:
    metrics, redis = free_port(), free_port()
    (desk.folder / "redis").write_text(f"redis://127.0.0.1:{redis}")
    (desk.folder / "redis").chmod(0o600)
    desk.text = '[cache]\nredis_url_file = "redis"\n'
    desk.add(
        "aurora",
        site.url,
        site.site.mint("demo", ["admin", "api"], exp=int(time.time()) + 3 * 86400),
        "timeout = 1.0\nretries = 0",
    )
    options = ("--port", "0", "--workers", "2", "--metrics-port", str(metrics))
    with prometheus(tmp_path, metrics) as watching:
        until_firing(watching, {"Down"})
        with started("serve", *options, folder=desk.folder, until="serves") as (process, written):
            url = url_in(written)
            always = {"RedisDown", "SiteTokenExpires"}
            until_firing(watching, always, url)
            site.site.latency = 60
            until_firing(watching, {*always, "SiteDown", "RequestsFailing"}, url)
            site.site.latency = 0
            until_firing(watching, always, url)
            hung = workers_of(process)[0]
            os.kill(hung.pid, signal.SIGSTOP)
            try:
                until_firing(watching, {*always, "WorkersSilent"})
            finally:
                with suppress(ProcessLookupError):  # it has been replaced
                    os.kill(hung.pid, signal.SIGCONT)
            until_firing(watching, always)
        until_firing(watching, {"Down"})
