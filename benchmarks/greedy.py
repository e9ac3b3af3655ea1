"""The greedy script of ``benchmarks.fairness``, a process of its own: `python -m benchmarks.greedy URL KEY N` asks the N-th of
``QUESTIONS`` without end, ``AT_ONCE`` at a time, until its input ends, and says how often it was refused."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from benchmarks.client import Client

__all__ = ["AT_ONCE", "QUESTIONS"]

AT_ONCE = 50
IDS = "query($ids: [ID!]) { jobs(filter: [{dbId: $ids}], first: 1000) { items { id } complete } }"
PAGE = "query($first: Int!) { jobs(first: $first) { items { id user cluster startTime duration resources { hostname } } } }"
QUESTIONS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "scans of everything": ('{ jobs(filter: [{user: {eq: "nobody-has-this"}}], first: 10) { items { id } complete } }', None),
    "989 bare ids each": (IDS, {"ids": [str(number) for number in range(1, 990)]}),
    "pages of 500 jobs": (PAGE, {"first": 500}),
    "pages of 2000 jobs": (PAGE, {"first": 2000}),
}


async def _ask_until_ended(url: str, key: str, question: tuple[str, dict[str, Any] | None]) -> int:
    refused = 0

    async def ask_on_and_on(client: Client) -> None:
        nonlocal refused
        while True:
            if b"RATE_LIMITED" in await client.ask(*question):
                refused += 1
                await asyncio.sleep(0.5)

    async with Client(url, key) as client:
        tasks = [asyncio.create_task(ask_on_and_on(client)) for _ in range(AT_ONCE)]
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return refused


if __name__ == "__main__":
    os.nice(19)  # on another machine, it would take neither the user's processor nor the sites'
    print(asyncio.run(_ask_until_ended(sys.argv[1], sys.argv[2], list(QUESTIONS.values())[int(sys.argv[3])])))
