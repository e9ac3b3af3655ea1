"""What is measured runs in processes of its own: simulated sites on one core (with the client), a gateway on another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from ccgateway.simulator import SimulatorProcess

__all__ = ["GatewayProcess", "naive", "ours", "pin_to_upstream", "simulated"]

#: the cores of the sites and the client, and of the gateway; one and the same where there is only one
UPSTREAM_CORE, GATEWAY_CORE = 0, (os.cpu_count() or 1) - 1

#: the end of the simulated period, so that every run has the same jobs
UNTIL = "1795000000"


def pin_to_upstream() -> None:
    """Puts this process, and what it starts from now on, on the core of the sites."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {UPSTREAM_CORE})


@contextmanager
def simulated(*, jobs: int, release: str, cluster: str, seed: int = 1, latency: float = 0.0) -> Iterator[SimulatorProcess]:
    """One site with generated jobs; its name is its cluster's."""
    arguments = {
        "--jobs": jobs, "--release": release, "--cluster": cluster, "--seed": seed, "--latency": latency, "--until": UNTIL,
    }  # fmt: skip
    with SimulatorProcess(*(str(part) for pair in arguments.items() for part in pair)) as site:
        yield site


@dataclass(frozen=True)
class GatewayProcess:
    """A served gateway."""

    url: str
    process: psutil.Process

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def megabytes(self) -> float:
        """Memory that it holds."""
        return float(self.process.memory_info().rss) / 1e6


@contextmanager
def ours(sites: Sequence[SimulatorProcess], **limits: float) -> Iterator[GatewayProcess]:
    """``ccgateway serve`` in front of ``sites``; ``limits`` go into the settings."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "ccgateway.toml"
        text, tokens = "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items()), {}
        for number, site in enumerate(sites, 1):
            name, release = site.description["name"], site.description["release"]
            text += (
                f'[sites.{name}]\nnumber = {number}\nurl = "{site.url}"\nrelease = "{release}"\ntoken_env = "TOKEN_{number}"\n'
            )
            tokens[f"TOKEN_{number}"] = site.tokens["demo"]
        config.write_text(text)
        command = ["-m", "ccgateway", "serve", "--config", str(config), "--port", "0", "--log-level", "error"]
        with _started(command, tokens, Path(folder)) as gateway:
            yield gateway


@contextmanager
def naive(sites: Sequence[SimulatorProcess]) -> Iterator[GatewayProcess]:
    """The baseline (``benchmarks.naive``) in front of ``sites``."""
    told = [{"name": site.description["name"], "url": site.url, "token": site.tokens["demo"]} for site in sites]
    with (
        TemporaryDirectory() as folder,
        _started(["-m", "benchmarks.naive"], {"NAIVE_SITES": json.dumps(told)}, Path(folder)) as it,
    ):
        yield it


@contextmanager
def _started(arguments: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[GatewayProcess]:
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment, "COLUMNS": "200"},
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {GATEWAY_CORE})
    try:
        while (found := re.search(r"http://[\d.]+:\d+", said.read_text())) is None:
            if process.poll() is not None:
                raise RuntimeError(f"{arguments} ended: {said.read_text()}")
            time.sleep(0.02)
        yield GatewayProcess(found[0], psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(timeout=20)
