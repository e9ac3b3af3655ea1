"""More requests than a gateway can work on: what it still answers, how soon, and whether it says how it is."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import aiohttp

from benchmarks.arrivals import CONNECTIONS, DOCUMENT
from benchmarks.client import Client
from benchmarks.processes import NO_CACHE, GatewayProcess, ours, prepared

__all__ = ["overload"]


async def overload(*, seconds: float, times: Sequence[float] = (0.1, 0.5, 0.8, 4.0)) -> None:
    """Prints the table. The load is a process of its own, on the core of the sites; the gateway has the other one. What comes at
    random, a tenth of what can be worked on, is what the p99 of more of it is to be compared with."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=500, release=release, cluster=name, seed=seed))
            for seed, (name, release) in enumerate({"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3"}.items(), 1)
        ]
        gateway = stack.enter_context(ours(sites, cache=NO_CACHE))
        async with Client(gateway) as client:
            await client.load(DOCUMENT, requests=200, at_once=8)
            one = await client.load(DOCUMENT, requests=500)
            capacity = (await client.load(DOCUMENT, requests=2000, at_once=16)).per_second
        unloaded = one.percentile(0.99)
        print(f"\n### More than one process can work on: lists of 50 of three sites, no cache, {CONNECTIONS} connections\n")
        print(f"One at a time: p50 {one.percentile(0.5):.1f} ms, p99 {unloaded:.1f} ms.", end=" ")
        print(f"Sixteen at a time: {capacity:.0f} lists/s.\n")
        print("| arrivals / capacity | sent/s | answered/s | of capacity | p50 ms | p99 ms | p99 : one at a time ", end="")
        print("| turned away | not sent | health p99, max ms | peak MB |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        for factor in times:
            gateway.forget_peak()
            await _row(gateway, factor, capacity, unloaded, seconds)
            await asyncio.sleep(3.0)


async def _row(gateway: GatewayProcess, factor: float, capacity: float, unloaded: float, seconds: float) -> None:
    command = [sys.executable, "-m", "benchmarks.arrivals", gateway.url, str(factor * capacity), str(seconds)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    health = asyncio.create_task(_health(gateway.url, seconds))
    output, _ = await process.communicate()
    found = json.loads(output)
    took, ended, elapsed = found["took"], found["ended"], found["elapsed"]
    pulse = await health
    sent = sum(ended.values()) - ended.get("not sent", 0)
    away = ended.get("503", 0) + ended.get("429", 0)
    last = took[int(0.99 * len(took))]
    print(
        f"| {factor:g} | {sent / elapsed:.0f} | {len(took) / elapsed:.0f} | {len(took) / elapsed / capacity:.2f} "
        f"| {took[len(took) // 2]:.1f} | {last:.1f} | {last / unloaded:.1f} | {away} | {ended.get('not sent', 0)} "
        f"| {pulse[int(0.99 * len(pulse))]:.1f}, {pulse[-1]:.1f} | {gateway.peak_megabytes:.0f} |",
        flush=True,
    )
    others = {status: count for status, count in ended.items() if status not in ("200", "429", "503", "not sent")}
    if others or found["late"] > 1.0:
        print(f"\n(others: {others}; the load itself was up to {found['late']:.1f} s late)\n")


async def _health(url: str, seconds: float) -> list[float]:
    """Milliseconds of each question whether it is ready, each by a connection of its own."""
    took, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        async with aiohttp.ClientSession() as session, session.get(f"{url}/health/ready") as answer:
            if answer.status != 200:
                raise RuntimeError(f"the gateway says that it is not ready: {answer.status}")
        took.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.1)
    return sorted(took)
