"""Mixed questions for a long time, while sites hang, die and come back: whether memory and open files stay as they are.

The cache is small, so that it is full before the first figure counts.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import psutil

from benchmarks.processes import UNTIL, GatewayProcess, Site, ours

__all__ = ["a_long_time"]

SITES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}
JOBS = 2000
CACHE = {"memory_bytes": 32 << 20}
#: callers, and seconds between two faults, each of which lasts for as long as a site may take and more
CALLERS, EVERY, LASTS = 6, 20.0, 6.0
ROWS = "items { id site jobId user cluster startTime duration state tags { name } metaData } complete"


@dataclass
class _Simulator:
    """One site in a process of its own, which can be hung and killed, and comes back at its address."""

    name: str
    number: int
    folder: Path
    port: int
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        options = {
            "--release": SITES[self.name], "--port": self.port, "--jobs": JOBS, "--cluster": self.name, "--seed": self.number,
            "--until": UNTIL, "--token-file": self._token,
        }  # fmt: skip
        self._token.unlink(missing_ok=True)
        command = [sys.executable, "-m", "ccgateway.simulator", *(str(part) for pair in options.items() for part in pair)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    @property
    def _token(self) -> Path:
        return self.folder / f"{self.name}.jwt"

    def site(self) -> Site:
        until = time.monotonic() + 30
        while not self._token.exists():
            if time.monotonic() > until:
                raise RuntimeError(f"site {self.name} does not start")
            time.sleep(0.05)
        return Site(self.name, SITES[self.name], f"http://127.0.0.1:{self.port}", self._token.read_text().strip())

    async def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(LASTS)
        finally:
            self.process.send_signal(signal.SIGCONT)

    async def die(self) -> None:
        self.process.kill()
        self.process.wait()
        try:
            await asyncio.sleep(LASTS)
        finally:
            self.start()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


async def a_long_time(*, minutes: float) -> None:
    """Prints a row for each tenth of the time, and how the second half compares."""
    print(f"\n### {minutes:g} minutes of mixed questions of {CALLERS} callers, a site hanging or dying every {EVERY:g} s\n")
    with TemporaryDirectory() as folder, ExitStack() as stack:
        simulators = [stack.enter_context(_simulated(name, number, Path(folder))) for number, name in enumerate(SITES, 1)]
        gateway = stack.enter_context(ours([one.site() for one in simulators], cache=CACHE))
        print("| minute | MB | open files | answers | not complete | refused or failed |\n|---|--:|--:|--:|--:|--:|")
        seen: Counter[str] = Counter()
        samples: list[tuple[float, int]] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(minutes * 60), asyncio.TaskGroup() as group:
                group.create_task(_trouble(simulators))
                for number in range(CALLERS):
                    group.create_task(_ask(gateway, number, seen))
                group.create_task(_watch(gateway, minutes, seen, samples))
        half = len(samples) // 2
        early, late = samples[half : half + half // 2], samples[half + half // 2 :]
        memory = [sum(one for one, _ in part) / len(part) for part in (early, late)]
        files = [max(one for _, one in part) for part in (early, late)]
        grown = (memory[1] / memory[0] - 1) * 100
        print(f"\nIn the third and the last quarter: {memory[0]:.0f} and {memory[1]:.0f} MB ({grown:+.1f} %), at most ", end="")
        print(f"{files[0]} and {files[1]} open files.", flush=True)


@contextmanager
def _simulated(name: str, number: int, folder: Path) -> Iterator[_Simulator]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = _Simulator(name, number, folder, port)
    one.start()
    try:
        yield one
    finally:
        one.end()


async def _trouble(simulators: list[_Simulator]) -> None:
    for turn in itertools.count():
        await asyncio.sleep(EVERY - LASTS)
        one = simulators[turn % len(simulators)]
        await (one.hang() if turn % 2 else one.die())


async def _watch(gateway: GatewayProcess, minutes: float, seen: Counter[str], samples: list[tuple[float, int]]) -> None:
    each, begun, rows = minutes * 60 / 100, time.monotonic(), 0
    while True:
        await asyncio.sleep(each)
        samples.append((gateway.megabytes, psutil.Process(gateway.process.pid).num_fds()))
        if len(samples) // 10 > rows:
            rows = len(samples) // 10
            memory, files = samples[-1]
            minute = (time.monotonic() - begun) / 60
            print(
                f"| {minute:.1f} | {memory:.0f} | {files} | {seen['answers']} | {seen['parts']} | {seen['failures']} |",
                flush=True,
            )


async def _ask(gateway: GatewayProcess, number: int, seen: Counter[str]) -> None:
    """One caller: reads lists to their end, metrics of what it finds, counts, statistics; by GraphQL and by REST."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
        for turn in itertools.count(number):
            user = f"user{turn % 17:02}"
            documents = (
                f"{{ jobs(first: 200) {{ {ROWS} }} }}",
                f'{{ jobs(first: 500, filter: [{{user: {{contains: "{turn % 10}"}}}}]) {{ {ROWS} count }} }}',
                f'{{ jobs(first: 50, filter: [{{user: {{eq: "{user}"}}}}]) {{ {ROWS} }} }}',
                "{ jobsStatistics(groupBy: PROJECT) { id totalJobs totalCoreHours } }",
            )
            found = await _post(gateway, session, documents[turn % len(documents)], seen)
            for job in found[turn % 40 : turn % 40 + 2]:
                metrics = f'{{ jobMetrics(id: "{job}") {{ name metric {{ series {{ data }} }} }} }}'
                await _post(gateway, session, metrics, seen)
            await _get(gateway, session, f"/api/jobs/?items-per-page=100&page={turn % 9 + 1}", seen)


async def _post(gateway: GatewayProcess, session: aiohttp.ClientSession, document: str, seen: Counter[str]) -> list[str]:
    """The ids of the jobs in the answer."""
    async with session.post(f"{gateway.url}/graphql", json={"query": document}) as answer:
        content = json.loads(await answer.read())
    jobs = (content.get("data") or {}).get("jobs") or {}
    seen["answers"] += 1
    seen["failures"] += "errors" in content
    seen["parts"] += jobs.get("complete") is False
    return [item["id"] for item in jobs.get("items", [])]


async def _get(gateway: GatewayProcess, session: aiohttp.ClientSession, path: str, seen: Counter[str]) -> None:
    async with session.get(f"{gateway.url}{path}") as answer:
        await answer.read()
    seen["answers"] += 1
    seen["failures"] += answer.status != 200
    seen["parts"] += answer.headers.get("X-CCGateway-Complete") == "false"
