"""``/metrics`` of real processes, read as Prometheus reads it, and by a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccgateway.operations.control import control_path
from ccgateway.operations.telling import Gathering, gathered
from ccgateway.settings import MetricsSettings, Settings
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from ccgateway.telemetry.catalogue import METRICS, Kind
from operations.conftest import Run
from operations.desk import Desk
from operations.test_commands import GOOD, ask, end, started
from operations.test_workers import url_in, workers_of
from support.loopback import free_port
from support.running import eventually

JOBS = "{ jobs(first: 2) { items { id } complete } }"
ALONE = "[cache]\nmemory_bytes = 0\n[writes]\nenabled = false\n"
PROMETHEUS = shutil.which("prometheus")


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@pytest.fixture
def desk(desk: Desk) -> Desk:
    desk.text = ALONE
    return desk


def scraped(port: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by its name and the values of its labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(port: int) -> float:
    found = scraped(port)
    return sum(value for (name, _), value in found.items() if name == "ccgateway_requests_total")


def test_one_process_tells_what_it_does_and_no_secret(site: Address, desk: Desk) -> None:
    token = site.site.token("demo")
    desk.add("aurora", site.url, token)
    port = free_port()
    with started("serve", "--port", "0", "--metrics-port", str(port), folder=desk.folder, until="serves") as (process, written):
        url = url_in(written)
        for _ in range(3):
            assert ask(url, JOBS)["data"]["jobs"]["complete"]
        ask(url, "{ nonsense }")
        found = scraped(port)
        assert found["ccgateway_requests_total", ("jobs", "ok", "graphql")] == 3
        assert found["ccgateway_requests_total", ("none", "refused", "graphql")] == 1
        assert found["ccgateway_refusals_total", ("GRAPHQL_VALIDATION_FAILED", "graphql")] == 1
        assert found["ccgateway_site_calls_total", ("ok", "aurora")] >= 3
        assert found["ccgateway_site_up", ("aurora",)] == 1
        assert found["ccgateway_site_release_info", ("1.5", "aurora")] == 1
        own, whole = (
            found[f"ccgateway_request_{what}_seconds_sum", labels]
            for what, labels in (("overhead", ("graphql",)), ("duration", ("jobs", "graphql")))
        )
        assert 0 < own < whole + found["ccgateway_request_duration_seconds_sum", ("none", "graphql")]
        names = {metric.name for metric in METRICS}
        suffixes = re.compile(r"_(bucket|sum|count)$")
        assert {name for name, _ in found} - names == {
            name for name, _ in found if suffixes.search(name) and suffixes.sub("", name) in names
        }
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
        assert not any(part in text for part in (token, *token.split(".")))
        assert end(process, signal.SIGTERM) == (0, "")
    with pytest.raises(OSError):
        scraped(port)


def test_workers_are_told_together_and_one_that_dies_takes_no_count_with_it(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    port = free_port()
    arguments = ("serve", "--port", "0", "--workers", "2", "--metrics-port", str(port))
    with started(*arguments, folder=desk.folder, until="serves") as (process, written):
        url = url_in(written)
        for _ in range(20):
            ask(url, JOBS)
        assert asked(port) == 20
        assert scraped(port)["ccgateway_workers", ("answering",)] == 2
        workers_of(process)[0].kill()
        assert process.stdout is not None and "was replaced" in process.stdout.readline()
        for _ in range(5):
            ask(url, JOBS)
        for _ in range(100):
            if scraped(port)["ccgateway_workers", ("answering",)] == 2:
                break
            time.sleep(0.1)
        found = scraped(port)
        assert found["ccgateway_workers", ("answering",)] == 2 and asked(port) == 25
        assert found["ccgateway_requests_in_flight", ()] == 0
        assert end(process, signal.SIGTERM)[0] == 0


def test_a_worker_that_hangs_is_told_with_what_it_said_before(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    port = free_port()
    arguments = ("serve", "--port", "0", "--workers", "2", "--metrics-port", str(port))
    with started(*arguments, folder=desk.folder, until="serves") as (process, written):
        for _ in range(20):
            ask(url_in(written), JOBS)
        assert asked(port) == 20
        hung = workers_of(process)[0]
        os.kill(hung.pid, signal.SIGSTOP)
        try:
            eventually(lambda: hung.status() == psutil.STATUS_STOPPED)
            found = scraped(port)
            assert (found["ccgateway_workers", ("answering",)], found["ccgateway_workers", ("silent",)]) == (1, 1)
            assert asked(port) == 20
        finally:
            os.kill(hung.pid, signal.SIGCONT)


def test_a_port_in_use_is_named(desk: Desk, run: Run) -> None:
    desk.file.write_text(ALONE + GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for workers in ("1", "2"):
            done = run("serve", "--port", "0", "--metrics-port", str(port), "--workers", workers)
            assert done.status == 2 and f"metrics.port: {port} is in use on 127.0.0.1" in " ".join(done.stderr.split())


@pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus here (Debian: apt-get install prometheus)")
def test_a_real_prometheus_reads_all_of_it(site: Address, desk: Desk, tmp_path: Path) -> None:
    assert PROMETHEUS is not None
    desk.add("aurora", site.url, site.site.token("demo"))
    port, own = free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: { scrape_interval: 1s }\n"
        f"scrape_configs: [{{ job_name: ccgateway, static_configs: [{{ targets: ['127.0.0.1:{port}'] }}] }}]\n"
    )
    places = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{own}"]
    command = [PROMETHEUS, *places]
    with started("serve", "--port", "0", "--metrics-port", str(port), folder=desk.folder, until="serves") as (_, written):
        ask(url_in(written), JOBS)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                found = _eventually(own, "ccgateway_requests_total")
                assert found == [({"kind": "jobs", "outcome": "ok", "surface": "graphql"}, "1")]
                assert _eventually(own, "up") == [({}, "1")]
                quantile = "histogram_quantile(0.9, ccgateway_request_duration_seconds_bucket)"
                assert float(_eventually(own, quantile)[0][1]) > 0
                told = {metric for (metric,) in _names(own)}
                counters = {metric.name for metric in METRICS if metric.kind is not Kind.HISTOGRAM}
                assert {name for name in told if name.startswith("ccgateway_") and "_seconds_" not in name + "_"} <= {
                    *counters, "ccgateway_query_cost_bucket", "ccgateway_query_cost_sum", "ccgateway_query_cost_count",
                }  # fmt: skip
            finally:
                process.kill()


def _asked(port: int, path: str) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def _eventually(port: int, query: str) -> list[tuple[dict[str, str], str]]:
    """What Prometheus has of it, once it has something."""
    for _ in range(300):
        try:
            data = _asked(port, f"/api/v1/query?query={urllib.parse.quote(query)}")["data"]
        except OSError:
            data = {"result": []}
        assert isinstance(data, dict)
        if data["result"]:
            own = ("__name__", "instance", "job")
            return [({k: v for k, v in one["metric"].items() if k not in own}, one["value"][1]) for one in data["result"]]
        time.sleep(0.1)
    raise AssertionError(f"nothing of {query}")


def _names(port: int) -> list[tuple[str]]:
    data = _asked(port, "/api/v1/label/__name__/values")["data"]
    assert isinstance(data, list)
    return [(str(name),) for name in data]


def test_where_no_file_can_be_written_workers_go_on_without_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with gathered(MetricsSettings.model_validate({"port": 0}), 2) as meeting:
        assert meeting is None
    assert control_path(Settings(), None).parent == Path("/tmp")  # which is then found not to be there, and said


def test_a_worker_that_never_comes_is_silent() -> None:
    gathering = Gathering(2)
    try:
        states = {one.labels: one.value for one in gathering.samples() if one.metric == "ccgateway_workers"}
    finally:
        gathering.close()
    assert states == {("answering",): 0, ("silent",): 2}
