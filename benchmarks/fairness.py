"""One greedy script beside one interactive user: what the user's small lists take, alone and beside it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from benchmarks.client import Client
from benchmarks.greedy import AT_ONCE, QUESTIONS
from benchmarks.processes import NO_CACHE, GatewayProcess, ours, prepared

__all__ = ["SMALL", "one_greedy_script"]

KEYS = {"user": "ccg_" + "u" * 43, "greedy": "ccg_" + "g" * 43}
SMALL = "{ jobs(first: 16) { items { id site jobId user cluster startTime duration numNodes state } complete } }"
PAUSE = 0.05


async def one_greedy_script(*, seconds: float) -> None:
    """Prints the table. Elsewhere all are machines of their own: here the script gives way to the sites, and both to the user."""
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=5000, release=release, cluster=name, seed=seed))
            for seed, (name, release) in enumerate({"aurora": "1.5", "borealis": "1.4"}.items(), 1)
        ]
        for child in psutil.Process().children(recursive=True):
            child.nice(5)
        print(
            f"\n### One script with {AT_ONCE} questions at a time beside a user who asks for 16 jobs every {PAUSE * 1000:g} ms\n"
        )
        print("| the script asks for | user's p50 ms | p99 ms | p99 beside / alone | refused |\n|---|--:|--:|--:|--:|")
        # by REST, which a simulated site answers at once whatever is asked
        gateway = stack.enter_context(ours(sites, cache=NO_CACHE, keys=KEYS, reads="rest"))
        async with Client(gateway, KEYS["user"]) as user:
            if not json.loads(await user.ask(SMALL))["data"]["jobs"]["complete"]:
                raise RuntimeError("a site is missing")
            alone = await user.again_and_again(SMALL, seconds=seconds, pause=PAUSE)
            _row("nothing", alone, alone, 0)
            for number, title in enumerate(QUESTIONS):
                with _script(gateway, number) as script:
                    await asyncio.sleep(2.0)
                    beside = await user.again_and_again(SMALL, seconds=seconds, pause=PAUSE)
                    refused, _ = await asyncio.to_thread(script.communicate)
                _row(title, beside, alone, int(refused))
                await asyncio.sleep(1.0)


@contextmanager
def _script(gateway: GatewayProcess, number: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.greedy", gateway.url, KEYS["greedy"], str(number)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        try:
            yield script
        finally:
            script.kill()


def _row(title: str, took: list[float], alone: list[float], refused: int) -> None:
    middle, last = took[len(took) // 2], took[int(len(took) * 0.99)]
    ratio = last / alone[int(len(alone) * 0.99)]
    print(f"| {title} | {middle:.1f} | {last:.1f} | {ratio:.2f} | {refused} |", flush=True)
