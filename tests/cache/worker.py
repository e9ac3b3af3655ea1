"""One process of several that share a Redis: reads a ``Task`` from its standard input, asks on ``go``, prints what came."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ccgateway.cache.entries import RAW, Absent, Filled, Hit
from ccgateway.cache.facade import open_cache
from ccgateway.cache.keys import Key
from ccgateway.deadline import Deadline
from ccgateway.settings import CacheSettings


class Task(msgspec.Struct, kw_only=True):
    """``callers`` ask for all ``metrics`` of a job, ``rounds`` times; fills take ``takes`` seconds and are noted in ``calls``.
    The process ends ``stays`` seconds after the last caller has."""

    settings: dict[str, str | float]
    calls: str
    metrics: tuple[str, ...] = ("flops",)
    callers: int = 1
    rounds: int = 1
    pause: float = 0.0
    takes: float = 0.05
    leave_after: float | None = None  # the first caller does
    stays: float = 0.0


class Outcome(msgspec.Struct, kw_only=True):
    """``answers``: payload and source of each answer with how often; ``slowest``: seconds of the slowest round; ``ended``: fills
    that were given up before the process ended."""

    answers: dict[str, int] = {}
    errors: list[str] = []
    slowest: float = 0.0
    waits_elsewhere: int = 0
    ended: int = 0


async def work(task: Task) -> Outcome:
    cache = open_cache(CacheSettings.model_validate(task.settings))
    outcome = Outcome()
    keys = [Key("aurora", "c/1/17", "all", (metric, "node")) for metric in task.metrics]

    async def fill(missing: Sequence[Key], deadline: Deadline) -> Mapping[Key, Filled | Absent]:
        with Path(task.calls).open("a") as calls:  # noqa: ASYNC230
            calls.write("".join(f"{os.getpid()} {key.question[0]}\n" for key in missing))
        try:
            await asyncio.sleep(task.takes)
        except asyncio.CancelledError:
            outcome.ended += 1
            raise
        return {key: Filled(f'"{key.question[0]}"'.encode() * 50, 600) for key in missing}

    async def call() -> None:
        for _ in range(task.rounds):
            begun = time.monotonic()
            try:
                hits: dict[Key, Hit[bytes]] = await cache.fetch(keys, fill, RAW, deadline=Deadline.after(20))
            except Exception as error:  # noqa: BLE001 - the test wants to know of each
                outcome.errors.append(repr(error))
            else:
                for key, hit in hits.items():
                    assert hit.value == f'"{key.question[0]}"'.encode() * 50
                    outcome.answers[hit.source] = outcome.answers.get(hit.source, 0) + 1
            outcome.slowest = max(outcome.slowest, time.monotonic() - begun)
            await asyncio.sleep(task.pause)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(call())
        for _ in range(task.callers - 1):
            group.create_task(call())
        if task.leave_after is not None:
            await asyncio.sleep(task.leave_after)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
    await asyncio.sleep(task.stays)
    outcome.waits_elsewhere = (await cache.stats()).counts.waits_elsewhere
    await cache.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return outcome


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.readline(), type=Task)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(msgspec.json.encode(asyncio.run(work(given))).decode() + "\n")
