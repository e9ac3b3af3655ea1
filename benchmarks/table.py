"""Rounds: everybody's turn comes again and again, so that what else the machine does meets all alike; figures are medians."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.contestants import Contestant, Question
from benchmarks.load import Load, ask, load
from benchmarks.processes import GatewayProcess

__all__ = ["AT_ONCE", "Entry", "measure", "same_answers"]

#: requests at any one time while the gateway is under load; one at a time of those that cost it so many milliseconds each
AT_ONCE, SLOW = 8, 1500.0


@dataclass
class Entry:
    """One row of a table: a contestant that is served, and the question as it is put, another one each time or the same."""

    contestant: Contestant
    gateway: GatewayProcess
    question: Callable[[], Question]
    name: str = ""
    size: int = 0
    alone: list[Load] = field(default_factory=list)
    loaded: list[Load] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.name or self.contestant.name

    async def answer(self) -> list[dict[str, Any]]:
        """What it answers, in the form that all are held against."""
        question = self.question()
        content = await ask(self.gateway, self.contestant.request(question))
        self.size = len(content)
        return self.contestant.read(content, question)

    async def turn(self, seconds: float) -> None:
        """One turn: first one request at a time, then many."""
        self.gateway.forget_peak()
        self.alone.append(await self._load(seconds / 4, 1))
        self.loaded.append(await self._load(seconds, AT_ONCE) if self.alone[-1].cpu_milliseconds < SLOW else self.alone[-1])
        self.megabytes.append(self.gateway.peak_megabytes)

    async def _load(self, seconds: float, at_once: int) -> Load:
        try:
            return await load(
                self.gateway, lambda: self.contestant.request(self.question()), seconds=seconds, at_once=at_once, size=self.size
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise SystemExit(f"{self.label} failed under load: {error or type(error).__name__}") from error


async def same_answers(entries: Sequence[Entry]) -> int:
    """Raises ``SystemExit`` unless all answer the same; tells how many jobs or metrics that is."""
    first, *others = entries
    expected = await first.answer()
    for other in others:
        if (answer := await other.answer()) != expected:
            different = next((pair for pair in itertools.zip_longest(expected, answer) if pair[0] != pair[1]), None)
            raise SystemExit(f"{first.label} and {other.label} answer differently: {str(different)[:2000]}")
    return len(expected)


async def measure(
    title: str, entries: Sequence[Entry], *, rounds: int, seconds: float, against: str = "ccgateway"
) -> Mapping[str, float]:
    """Checks that all answer the same, lets them take turns, prints the table; the first entry, which the head calls ``against``,
    is held against the others.

    Gives each one's processor time, ms a request.
    """
    count = await same_answers(entries)
    for entry in entries:
        await entry.turn(seconds / 3)  # warm
        for one in (entry.alone, entry.loaded, entry.megabytes):
            one.clear()
    for _ in range(rounds):
        for entry in entries:
            await entry.turn(seconds)
    print(f"\n#### {title}\n")
    print(f"{count} items, {entries[0].size / 1000:,.0f} KB from {entries[0].label}; all answers equal.\n")
    print(f"| | CPU ms/request | : {against} | requests/s | : {against} | ms alone | peak MB |\n|---|--:|--:|--:|--:|--:|--:|")
    cpu = {entry.label: median(one.cpu_milliseconds for one in entry.loaded) for entry in entries}
    rate = {entry.label: median(one.per_second for one in entry.loaded) for entry in entries}
    ours = entries[0].label
    for entry in entries:
        name = entry.label
        alone = median(one.middle for one in entry.alone)
        ratios = (cpu[name] / cpu[ours], rate[ours] / rate[name])
        print(
            f"| {name} | {cpu[name]:.2f} | **{ratios[0]:.2f}×** | {rate[name]:.1f} | **{ratios[1]:.2f}×** | {alone:.1f} "
            f"| {max(entry.megabytes):.0f} |"
        )
    return cpu
