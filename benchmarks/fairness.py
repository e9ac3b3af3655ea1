"""One greedy script beside one interactive user: what the user's small lists take, alone and beside it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.client import Client
from benchmarks.processes import NO_CACHE, ours, prepared

__all__ = ["one_greedy_script"]

KEYS = {"user": "ccg_" + "u" * 43, "greedy": "ccg_" + "g" * 43}
SMALL = "{ jobs(first: 16) { items { id site jobId user cluster startTime duration numNodes state } complete } }"
AT_ONCE, PAUSE = 50, 0.05
IDS = "query($ids: [ID!]) { jobs(filter: [{dbId: $ids}], first: 1000) { items { id } complete } }"
PAGE = "query($first: Int!) { jobs(first: $first) { items { id user cluster startTime duration resources { hostname } } } }"
GREEDY: dict[str, tuple[str, dict[str, Any] | None]] = {
    "scans of everything": ('{ jobs(filter: [{user: {eq: "nobody-has-this"}}], first: 10) { items { id } complete } }', None),
    "989 bare ids each": (IDS, {"ids": [str(number) for number in range(1, 990)]}),
    "pages of 500 jobs": (PAGE, {"first": 500}),
    "pages of 2000 jobs": (PAGE, {"first": 2000}),
}


async def one_greedy_script(*, seconds: float) -> None:
    """Prints the table."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=5000, release=release, cluster=name, seed=seed))
            for seed, (name, release) in enumerate({"aurora": "1.5", "borealis": "1.4"}.items(), 1)
        ]
        print(
            f"\n### One script with {AT_ONCE} questions at a time beside a user who asks for 16 jobs every {PAUSE * 1000:g} ms\n"
        )
        print("| the script asks for | user's p50 ms | p99 ms | p99 beside / alone | refused |\n|---|--:|--:|--:|--:|")
        gateway = stack.enter_context(ours(sites, cache=NO_CACHE, keys=KEYS))
        async with Client(gateway, KEYS["user"]) as user, Client(gateway, KEYS["greedy"]) as script:
            if not json.loads(await user.ask(SMALL))["data"]["jobs"]["complete"]:
                raise RuntimeError("a site is missing")
            alone = await _small(user, seconds)
            _row("nothing", alone, alone, 0)
            for title, (document, variables) in GREEDY.items():
                refused, ended = [0], asyncio.Event()
                tasks = [asyncio.create_task(_on_and_on(script, document, variables, refused, ended)) for _ in range(AT_ONCE)]
                await asyncio.sleep(1.0)
                beside = await _small(user, seconds)
                ended.set()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                _row(title, beside, alone, refused[0])
                await asyncio.sleep(1.0)


async def _small(user: Client, seconds: float) -> list[float]:
    took, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        content = await user.ask(SMALL)
        took.append((time.perf_counter() - begun) * 1000)
        if b'"complete":true' not in content:
            raise RuntimeError(f"the user's answer: {content[:300]!r}")
        await asyncio.sleep(PAUSE)
    return sorted(took)


async def _on_and_on(
    script: Client, document: str, variables: dict[str, Any] | None, refused: list[int], ended: asyncio.Event
) -> None:
    while not ended.is_set():
        content = await script.ask(document, variables)
        if b"RATE_LIMITED" in content:
            refused[0] += 1
            await asyncio.sleep(0.5)


def _row(title: str, took: list[float], alone: list[float], refused: int) -> None:
    middle, last = took[len(took) // 2], took[int(len(took) * 0.99)]
    ratio = last / alone[int(len(alone) * 0.99)]
    print(f"| {title} | {middle:.1f} | {last:.1f} | {ratio:.2f} | {refused} |", flush=True)
