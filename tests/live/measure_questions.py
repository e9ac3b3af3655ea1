"""How fast the gateway answers what instances can answer themselves, next to their own ``/query``. Prints, judges nothing.

``PYTHONPATH=tests python -m live.measure_questions [ROUNDS]``, with ``CCGATEWAY_LIVE_FARM`` naming a ``farm.json``.

The gateway keeps lists for a millisecond, so that every question reaches the instances. All ways of asking take turns within each
round, so that what else the machine does meets them alike; figures are medians. CPU is that of the instances' processes
(``pid`` in ``farm.json``), per question.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from live.faces import served
from live.farm import FARM, Farm, Site
from live.measure import directly, through

FIRST = 50
AT_ONCE = 8
ITEMS = "id jobId cluster startTime user state numNodes duration"
TICKS = os.sysconf("SC_CLK_TCK")

Way = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Question:
    """One question in the words of the instances and of the gateway: ``filters`` and ``order`` are the same in both."""

    title: str
    filters: Mapping[str, Any]
    order: str | None = None
    counts: bool = False

    def of_gateway(self) -> dict[str, Any]:
        order = f', order: {{field: "{self.order}", order: DESC}}' if self.order else ""
        wanted = "count" if self.counts else f"items {{ {ITEMS} }}"
        first = 1 if self.counts else FIRST
        document = f"query ($filter: [JobFilter!]) {{ jobs(filter: $filter, first: {first}{order}) {{ {wanted} complete }} }}"
        return {"query": document, "variables": {"filter": [self.filters]}}

    def of(self, site: Site) -> dict[str, Any]:
        kind = ', type: "col"' if self.order and site.version >= (1, 4) else ""
        order = f', order: {{field: "{self.order}", order: DESC{kind}}}' if self.order else ""
        wanted = "count" if self.counts else f"items {{ {ITEMS} }}"
        page = f", page: {{page: 1, itemsPerPage: {1 if self.counts else FIRST}}}"
        document = f"query ($filter: [JobFilter!]) {{ jobs(filter: $filter{page}{order}) {{ {wanted} }} }}"
        return {"query": document, "variables": {"filter": [self.filters]}}


RARE = {"user": {"eq": "nobody-has-this"}}
QUESTIONS = [
    Question("first page of a filter that matches nobody", RARE),
    Question("first page of one user's long jobs", {"user": {"eq": "alice"}, "duration": {"from": 500, "to": 100_000}}),
    Question("count of everything", {}, counts=True),
    Question("count of one user", {"user": {"eq": "alice"}}, counts=True),
    Question("longest first", {}, order="duration"),
    Question("job name", {"jobName": {"contains": "job1999"}}),
]


async def _ask(client: aiohttp.ClientSession, url: str, question: Mapping[str, Any], token: str | None) -> Any:
    headers = {} if token is None else {"X-Auth-Token": token}
    async with client.post(url, json=question, headers=headers) as answer:
        found = await answer.json()
    if found.get("errors"):
        raise RuntimeError(f"{url}: {found['errors']}")
    if found["data"]["jobs"].get("complete") is False:
        raise RuntimeError(f"{url}: a site is missing")
    return found["data"]["jobs"]


def _processor_seconds(farm: Farm) -> float:
    total = 0.0
    for site in farm:
        if site.pid is not None:
            fields = Path(f"/proc/{site.pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


async def _rounds(farm: Farm, ways: Mapping[str, Way], count: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds, and milliseconds of the instances' processors for each time, of every way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    work = dict.fromkeys(ways, 0.0)
    for number in range(count + 2):
        for name, way in ways.items():
            spent, begun = _processor_seconds(farm), time.perf_counter()
            await way()
            if number >= 2:  # the first ones open connections and find releases
                times[name].append((time.perf_counter() - begun) * 1000)
                work[name] += (_processor_seconds(farm) - spent) * 1000
    return {name: (median(values), work[name] / count) for name, values in times.items()}


def _show(title: str, found: Mapping[str, tuple[float, float]], farm: Farm) -> None:
    slowest = max(found[site.name][0] for site in farm)
    work = sum(found[site.name][1] for site in farm)
    print(f"\n{title}\n{'':30}{'ms':>9}{'× slowest':>12}{'instances CPU ms':>18}{'× their own':>13}")
    for name, (took, spent) in found.items():
        print(f"{name:30}{took:9.1f}{took / slowest:12.2f}{spent:18.1f}{spent / work if work else 0:13.2f}", flush=True)


async def main(count: int) -> None:
    """Everything."""
    farm = Farm.named_by(FARM)
    if farm is None:
        raise SystemExit(f"{FARM} is not set: it names the farm.json of real instances (tests/live/README.md)")
    print(f"{os.cpu_count()} cores for {len(farm)} instances, the gateway and this client; load {os.getloadavg()[0]:.1f}")
    with TemporaryDirectory() as folder, served(farm.settings(), Path(folder), cache="list_for = 0.001") as url:
        async with aiohttp.ClientSession() as client:
            for question in QUESTIONS:
                ways: dict[str, Way] = {
                    site.name: partial(_ask, client, site.url + "/query", question.of(site), site.tokens["demo"]) for site in farm
                }
                ways["the gateway"] = partial(_ask, client, url + "/graphql", question.of_gateway(), None)
                if question.counts:

                    async def several(asked: Mapping[str, Any] = question.of_gateway()) -> None:
                        await asyncio.gather(*(_ask(client, url + "/graphql", asked, None) for _ in range(AT_ONCE)))

                    ways[f"the gateway, {AT_ONCE} at once"] = several
                _show(question.title, await _rounds(farm, ways, count), farm)
            walks: dict[str, Way] = {site.name: partial(directly, client, site, 500, to_the_end=True) for site in farm}
            walks["the gateway"] = partial(through, client, url, 500, to_the_end=True)
            _show("whole walk by 500, instances through REST", await _rounds(farm, walks, max(count // 10, 1)), farm)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
