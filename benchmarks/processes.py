"""What is measured runs in processes of its own: simulated sites on one core (with the client), a gateway on another."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from ccgateway.simulator import SimulatorProcess

__all__ = [
    "NO_CACHE",
    "UNTIL", "GatewayProcess", "Site", "naive", "ours", "pin_to_upstream", "prepared", "python", "simulated", "started", "told",
]  # fmt: skip

#: the cores of the sites and the client, and of the gateway; one and the same where there is only one
UPSTREAM_CORE, GATEWAY_CORE = 0, (os.cpu_count() or 1) - 1

#: settings of a gateway that remembers nothing
NO_CACHE = {"memory_bytes": 0}

#: the end of the simulated period, so that every run has the same jobs
UNTIL = "1795000000"


def pin_to_upstream() -> None:
    """Puts this process, and what it starts from now on, on the core of the sites."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {UPSTREAM_CORE})


@dataclass(frozen=True)
class Site:
    """A site that runs; its cluster has its name."""

    name: str
    release: str
    url: str
    token: str


@contextmanager
def simulated(*, jobs: int, release: str, cluster: str, seed: int = 1, latency: float = 0.0) -> Iterator[Site]:
    """One site with generated jobs."""
    with SimulatorProcess(*_options(jobs, release, cluster, seed, latency)) as site:
        yield Site(cluster, release, site.url, site.tokens["demo"])


@contextmanager
def prepared(*, jobs: int, release: str, cluster: str, seed: int = 1, latency: float = 0.0) -> Iterator[Site]:
    """One site that keeps its answers (``benchmarks.site``); ``latency``: seconds before every answer with metrics."""
    command = [sys.executable, "-m", "benchmarks.site", *_options(jobs, release, cluster, seed, latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Site(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()  # which ends it


def _options(jobs: int, release: str, cluster: str, seed: int, latency: float) -> list[str]:
    options = {
        "--jobs": jobs, "--release": release, "--cluster": cluster, "--seed": seed, "--latency": latency, "--until": UNTIL,
    }  # fmt: skip
    return [str(part) for pair in options.items() for part in pair]


@dataclass(frozen=True)
class GatewayProcess:
    """A served gateway, of one process or several. ``grpc``: where it is called by gRPC, if it is."""

    url: str
    process: psutil.Process
    grpc: str = ""

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = [one.cpu_times() for one in self._tree()]
        return float(sum(one.user + one.system for one in times))

    @property
    def megabytes(self) -> float:
        """Memory that it holds."""
        return sum(one.memory_info().rss for one in self._tree()) / 1e6

    @property
    def peak_megabytes(self) -> float:
        """The most memory that it held since ``forget_peak``; 0 where the system does not say."""
        return sum(_peak(one.pid) for one in self._tree()) / 1e6

    def forget_peak(self) -> None:
        """Lets ``peak_megabytes`` begin anew."""
        for one in self._tree():
            with suppress(OSError):
                Path(f"/proc/{one.pid}/clear_refs").write_text("5")

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def _peak(pid: int) -> int:
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


@contextmanager
def ours(
    sites: Sequence[Site],
    *,
    limits: Mapping[str, float] | None = None,
    cache: Mapping[str, str | int] | None = None,
    keys: Mapping[str, str] | None = None,
    grpc: bool = False,
    reads: str = "auto",
) -> Iterator[GatewayProcess]:
    """``ccgateway serve`` in front of ``sites``; ``limits`` and ``cache`` go into the settings; ``keys``: an administrator's API
    key for each name; ``grpc``: whether it is served, too; ``reads``: how all sites are read."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "ccgateway.toml"
        text, environment = "[limits]\n" + "".join(f"{name} = {value}\n" for name, value in (limits or {}).items()), {}
        for number, site in enumerate(sites, 1):
            text += (
                f'[sites.{site.name}]\nnumber = {number}\nurl = "{site.url}"\nrelease = "{site.release}"\n'
                f'token_env = "TOKEN_{number}"\nreads = "{reads}"\n'
            )
            environment[f"TOKEN_{number}"] = site.token
        for name, key in (keys or {}).items():
            digest = sha256(key.encode()).hexdigest()
            text += f'[api_keys.{name}]\nhash = "sha256:{digest}"\nsubject = "{name}"\nroles = ["admin", "api"]\n'
        environment |= {f"CCGATEWAY_CACHE__{key.upper()}": str(value) for key, value in (cache or {}).items()}
        config.write_text(text)
        arguments = ["serve", "--config", str(config), "--port", "0", "--log-level", "error"]
        arguments += ["--grpc-port", "0"] if grpc else []
        with python("ccgateway", environment, Path(folder), *arguments) as gateway:
            yield gateway


@contextmanager
def naive(sites: Sequence[Site]) -> Iterator[GatewayProcess]:
    """The baseline (``benchmarks.naive``) in front of ``sites``."""
    with TemporaryDirectory() as folder, python("benchmarks.naive", {"NAIVE_SITES": told(sites)}, Path(folder)) as it:
        yield it


def told(sites: Sequence[Site]) -> str:
    """``sites`` as those are told that take them as JSON."""
    return json.dumps([{"name": site.name, "url": site.url, "token": site.token} for site in sites])


@contextmanager
def python(module: str, environment: Mapping[str, str], folder: Path, *arguments: str) -> Iterator[GatewayProcess]:
    """``python -m module`` with these arguments, as ``started``."""
    with started([sys.executable, "-m", module, *arguments], environment, folder) as it:
        yield it


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, *, url: str | None = None
) -> Iterator[GatewayProcess]:
    """A process on the gateway's core, once it serves: under ``url``, or under the first URL that it says."""
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment, "COLUMNS": "200"}, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {GATEWAY_CORE})
    try:
        while (found := _first_url(said) if url is None else url if _listens(url) else None) is None:
            if process.poll() is not None:
                raise RuntimeError(f"{command} ended: {said.read_text()}")
            time.sleep(0.02)
        by_grpc = re.search(r"by gRPC at ([\d.]+:\d+)", said.read_text())
        yield GatewayProcess(found, psutil.Process(process.pid), by_grpc[1] if by_grpc else "")
    finally:
        process.terminate()
        process.wait(timeout=20)


def _first_url(said: Path) -> str | None:
    found = re.search(r"http://[\d.]+:\d+", said.read_text())
    return found[0] if found else None


def _listens(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False
