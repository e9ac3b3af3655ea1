"""How fast the gateway reads real instances, next to the instances read directly. Prints, judges nothing.

``PYTHONPATH=tests python -m live.measure [ROUNDS]``, with ``CCGATEWAY_LIVE_FARM`` naming a ``farm.json``.

All ways of reading take turns within each round, so that what else the machine does meets them alike; ratios are of medians.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import aiohttp

from ccgateway.federation.questions import JobListQuestion
from live.faces import CALLER, gateway_over, served
from live.farm import FARM, Farm, Site

FIRST = 50
WALKED_BY = (100, 500)
FIELDS = frozenset({"user", "state", "num_nodes", "duration"})
DOCUMENT = """query ($first: Int, $after: String) { jobs(first: $first, after: $after) {
  items { id site jobId cluster startTime user state numNodes duration } pageInfo { endCursor hasNextPage } } }"""

Way = Callable[[], Awaitable[int]]


async def directly(client: aiohttp.ClientSession, site: Site, size: int, *, to_the_end: bool) -> int:
    """Reads an instance as a script would: pages by number; returns the number of jobs."""
    jobs, page = 0, 1
    while True:
        url = f"{site.url}/api/jobs/?items-per-page={size}&page={page}"
        async with client.get(url, headers={"X-Auth-Token": site.tokens["demo"], "Accept-Encoding": "identity"}) as answer:
            body = await answer.read()
        found = body.count(b'"jobId"')
        jobs += found
        if not to_the_end or found < size:
            return jobs
        page += 1


async def side_by_side(client: aiohttp.ClientSession, farm: Farm, size: int, *, to_the_end: bool) -> int:
    """All instances at once, without anything in between: what no gateway on this machine can beat."""
    return sum(await asyncio.gather(*(directly(client, site, size, to_the_end=to_the_end) for site in farm)))


async def through(client: aiohttp.ClientSession, url: str, size: int, *, to_the_end: bool) -> int:
    """Through the served gateway."""
    jobs, after = 0, None
    while True:
        question = {"query": DOCUMENT, "variables": {"first": size, "after": after}}
        async with client.post(url + "/graphql", json=question) as answer:
            found = (await answer.json())["data"]["jobs"]
        jobs += len(found["items"])
        if not to_the_end or not found["pageInfo"]["hasNextPage"]:
            return jobs
        after = found["pageInfo"]["endCursor"]


async def rounds(ways: Mapping[str, Way], count: int) -> dict[str, float]:
    """Median milliseconds of every way, each taken once per round in turn."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(count + 2):
        for name, way in ways.items():
            started = time.perf_counter()
            await way()
            if number >= 2:  # the first ones open connections and find releases
                times[name].append((time.perf_counter() - started) * 1000)
    return {name: median(values) for name, values in times.items()}


def show(title: str, times: Mapping[str, float], farm: Farm, goal: float) -> None:
    """One table: milliseconds, and as multiples of the slowest instance asked directly."""
    slowest = max(times[site.name] for site in farm)
    bound = next(value for name, value in times.items() if name.startswith("side by side"))
    print(f"\n{title}")
    print(f"{'':44}{'ms':>9}{'× slowest':>12}{'× bound':>10}")
    for name, value in times.items():
        print(f"{name:44}{value:9.1f}{value / slowest:12.2f}{value / bound:10.2f}")
    print(f"goal: the gateway at most {goal} × the slowest instance; 'bound' is all instances side by side without a gateway")


async def main(count: int) -> None:
    """Everything."""
    farm = Farm.named_by(FARM)
    if farm is None:
        raise SystemExit(f"{FARM} is not set: it names the farm.json of real instances (tests/live/README.md)")
    print(f"{os.cpu_count()} cores for {len(farm)} instances, the gateway and this client; load {os.getloadavg()[0]:.1f}")
    with TemporaryDirectory() as folder, served(farm.settings(), Path(folder)) as url:
        async with aiohttp.ClientSession() as client, gateway_over(farm.settings()) as gateway:

            async def library(size: int) -> int:
                answer = await gateway.jobs(JobListQuestion(first=size, fields=FIELDS), CALLER)
                return len(answer.rows)

            async def library_walk(size: int) -> int:
                jobs, after = 0, None
                while True:
                    answer = await gateway.jobs(JobListQuestion(first=size, after=after, fields=FIELDS), CALLER)
                    jobs += len(answer.rows)
                    if not answer.has_next_page:
                        return jobs
                    after = answer.end_cursor

            few = FIRST // len(farm) + 3
            first: dict[str, Way] = {site.name: partial(directly, client, site, FIRST, to_the_end=False) for site in farm}
            first[f"side by side, {FIRST} of each"] = partial(side_by_side, client, farm, FIRST, to_the_end=False)
            first[f"side by side, {few} of each"] = partial(side_by_side, client, farm, few, to_the_end=False)
            first["the gateway as a library"] = partial(library, FIRST)
            first["the gateway over HTTP"] = partial(through, client, url, FIRST, to_the_end=False)
            show(f"The first page of {FIRST}", await rounds(first, count * 5), farm, 1.3)
            for size in WALKED_BY:
                walks: dict[str, Way] = {site.name: partial(directly, client, site, size, to_the_end=True) for site in farm}
                walks["side by side"] = partial(side_by_side, client, farm, size, to_the_end=True)
                walks["the gateway as a library"] = partial(library_walk, size)
                walks["the gateway over HTTP"] = partial(through, client, url, size, to_the_end=True)
                jobs = await through(client, url, size, to_the_end=True)
                show(f"All {jobs} jobs in pages of {size}", await rounds(walks, count), farm, 1.1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
