"""Whole result sets of four sites, in each format, beside the bare merge: jobs per second, and whether memory stays flat."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

import aiohttp

from benchmarks.processes import GatewayProcess, Site, ours, simulated, told

__all__ = ["exports_and_the_bare_merge"]

RELEASES = ("1.5", "1.4", "1.3", "1.2")
CLUSTERS = ("aurora", "borealis", "cygnus", "draco")
WAYS = ("jobs?format=jsonl", "jobs?format=csv", "jobs?format=parquet", "usage?format=jsonl")
#: seconds between two looks at the gateway's memory
EVERY = 0.25


@dataclass(frozen=True)
class _Run:
    """``jobs`` in so many ``seconds``, ``cpu`` seconds of them the gateway's; its memory, MB, in the first tenth and at most."""

    jobs: int
    seconds: float
    cpu: float
    early: float
    most: float
    megabytes: float


async def exports_and_the_bare_merge(*, total: int) -> None:
    """Prints the table. The bare merge reads the same jobs in a process of its own, and does nothing with them."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(simulated(jobs=total // len(RELEASES), release=release, cluster=cluster, seed=seed))
            for seed, (release, cluster) in enumerate(zip(RELEASES, CLUSTERS, strict=True), 1)
        ]
        gateway = stack.enter_context(ours(sites))
        print(f"\n### Exports of {total:,} jobs at four sites (1.5 to 1.2)\n")
        print("| | jobs/s | : bare merge | CPU, µs/job | memory after a tenth, MB | at most, MB | body, MB |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        bare, cpu = await _bare(sites)
        print(f"| the bare merge | {bare:,.0f} | **1.00×** | {cpu:.1f} | | | |", flush=True)
        for way in WAYS:
            run = await _exported(gateway, way)
            rate = run.jobs / run.seconds
            print(
                f"| `/export/{way}` | {rate:,.0f} | **{rate / bare:.2f}×** | {run.cpu * 1e6 / run.jobs:.1f} | {run.early:.0f} | "
                f"{run.most:.0f} | {run.megabytes:.0f} |",
                flush=True,
            )


async def _exported(gateway: GatewayProcess, way: str) -> _Run:
    memory: list[float] = []
    tail, size = b"", 0

    async def watch() -> None:
        while True:
            memory.append(gateway.megabytes)
            await asyncio.sleep(EVERY)

    watching = asyncio.create_task(watch())
    begun, cpu = time.perf_counter(), gateway.cpu_seconds
    headers = {"Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{gateway.url}/export/{way}", headers=headers, timeout=aiohttp.ClientTimeout(3600)) as answer,
    ):
        answer.raise_for_status()
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            tail = (tail + chunk)[-64_000:]
    seconds, spent = time.perf_counter() - begun, gateway.cpu_seconds - cpu
    watching.cancel()
    start = tail.rindex(b'{"end":true')
    end, _ = json.JSONDecoder().raw_decode(tail[start:].decode("utf-8", "replace"))
    if not end["complete"]:
        raise SystemExit(f"{way}: not complete: {end}")
    jobs = sum(site["rows"] for site in end["sites"])
    early = memory[: max(1, len(memory) // 10)]
    return _Run(jobs, seconds, spent, max(early), max(memory), size / 1e6)


async def _bare(sites: list[Site]) -> tuple[float, float]:
    """Jobs per second, and microseconds of processor time for each."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare_merge", told(sites), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    found = json.loads(out)
    return found["jobs"] / found["seconds"], found["cpu"] * 1e6 / found["jobs"]
