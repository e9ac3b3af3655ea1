"""Many callers, several processes, one Redis: each site is asked once for each metric of a job."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from acceptance.conftest import site
from acceptance.processes import Process, processes
from cache.servers import Valkey
from ccgateway.simulator import SimulatedSite, serve_in_thread
from ccgateway.site.releases.probing import NO_JOBS

QUERY = """query($id: ID!, $names: [String!]) { jobMetrics(id: $id, metrics: $names, scopes: [node]) {
    name scope metric { timestep series { hostname data } } } }"""
NAMES = ["flops_any", "mem_bw", "cpu_load"]
#: callers of each process; ``CCGATEWAY_STAMPEDE=125`` makes five hundred of them
CALLERS = int(os.environ.get("CCGATEWAY_STAMPEDE", "25"))


@dataclass(frozen=True)
class Served:
    """Four processes over one site; ``jobs``: small ones that have ended, each for one test."""

    site: SimulatedSite
    processes: Sequence[Process]
    jobs: Iterator[str]

    @property
    def alive(self) -> list[Process]:
        return [one for one in self.processes if one.process.poll() is None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """To start them takes longer than all that is done with them. The site is in a thread: the callers keep this one busy."""
    folder = tmp_path_factory.mktemp("served")
    with serve_in_thread(site("aurora", "1.5", count=40)) as running, Valkey(folder / "valkey") as valkey:
        one = running["aurora"].site
        (folder / "redis.url").write_text(valkey.url)
        settings = f'redis_url_file = "{folder / "redis.url"}"\nlist_for = 60\nlock_timeout = 8.0\n'
        settings += "redis_timeout = 8.0\nredis_connect_timeout = 8.0"
        with processes(4, running, folder, settings) as found:
            for process in found:  # each finds out which release the site is
                with urllib.request.urlopen(process.url + "?query={sites{reachable}}", timeout=30) as answer:
                    assert json.load(answer)["data"]["sites"] == [{"reachable": True}]
            ended = [job for job in one.all_jobs() if job["jobState"] != "running"]
            ended.sort(key=lambda job: (job["numNodes"], job["duration"]))
            yield Served(one, found, iter([f"aurora:{job['id']}" for job in ended]))


@pytest.fixture(autouse=True)
def _quiet(served: Served) -> None:
    served.site.latency = 0.0
    served.site.forget()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        yield opened


def metric_calls(one: SimulatedSite) -> Counter[str]:
    """How often the site was asked for each metric of the job."""
    asked: Counter[str] = Counter()
    for seen in list(one.requests):
        url = urlsplit(seen.target)
        if "/metrics/" in url.path:
            asked.update(parse_qs(url.query).get("metric", ["*"]))
    return asked


async def until_asked(one: SimulatedSite, times: int = 1) -> None:
    while sum(metric_calls(one).values()) < times:  # noqa: ASYNC110 - it is another thread's doing
        await asyncio.sleep(0.005)


async def ask(session: aiohttp.ClientSession, process: Process, job: str, names: Sequence[str] | None = NAMES) -> str:
    """The answer's data; it must be without error."""
    body: dict[str, Any] = {"query": QUERY, "variables": {"id": job, "names": names}}
    async with session.post(process.url, json=body) as response:
        answer = await response.json()
    assert "errors" not in answer, answer
    return json.dumps(answer["data"])


async def come(session: aiohttp.ClientSession, found: Sequence[Process]) -> None:
    """What was asked before has come to where it waits: a process takes requests in their order."""
    for _ in range(5):
        for process in found:
            async with session.post(process.url, json={"query": "{ __typename }"}) as response:
                await response.read()


@pytest.mark.parametrize("names", [NAMES, None])
async def test_all_at_once_are_one_call_for_each_metric(
    served: Served, session: aiohttp.ClientSession, names: list[str] | None
) -> None:
    one, job = served.site, next(served.jobs)
    one.latency = 0.3
    answers = await asyncio.gather(*[ask(session, process, job, names) for process in served.alive for _ in range(CALLERS)])
    assert metric_calls(one) == dict.fromkeys(names or ["*"], 1)
    assert len(set(answers)) == 1 and len(answers) >= 3 * CALLERS


async def test_the_first_to_ask_may_leave(served: Served, session: aiohttp.ClientSession) -> None:
    one, job, found = served.site, next(served.jobs), served.alive[:2]
    one.latency = 6.0
    first = asyncio.create_task(ask(session, found[0], job))
    await until_asked(one, 3)
    others = [asyncio.create_task(ask(session, process, job)) for process in found for _ in range(10)]
    await asyncio.sleep(0)  # they are sent
    await come(session, found)
    await asyncio.sleep(2.0)  # and are known to wait, in a process that may be busy
    first.cancel()
    answers = await asyncio.gather(*others)
    assert metric_calls(one) == dict.fromkeys(NAMES, 1)
    assert len(set(answers)) == 1


async def test_however_many_open_a_list_it_is_read_once(served: Served, session: aiohttp.ClientSession) -> None:
    one, query = served.site, {"query": "{ jobs(first: 20) { items { id user } complete } }"}

    async def opened(process: Process) -> str:
        async with session.post(process.url, json=query) as response:
            return await response.text()

    one.latency = 0.3
    answers = await asyncio.gather(*[opened(process) for process in served.alive for _ in range(CALLERS)])
    # a look whether the site is well, where it was slow on a busy machine, reads no list
    assert len([seen for seen in one.requests if "/jobs/?" in seen.target and NO_JOBS not in seen.target]) == 1
    assert len(set(answers)) == 1 and '"complete":true' in answers[0]


async def test_the_death_of_the_process_that_asks_costs_one_more_call(served: Served, session: aiohttp.ClientSession) -> None:
    one, job = served.site, next(served.jobs)
    *others, holder = served.alive
    one.latency = 0.5
    first = asyncio.create_task(ask(session, holder, job))
    await until_asked(one, 3)
    waiting = [asyncio.create_task(ask(session, process, job)) for process in others for _ in range(10)]
    holder.kill()
    answers = await asyncio.gather(*waiting)
    with pytest.raises(aiohttp.ClientError):
        await first
    assert metric_calls(one) == dict.fromkeys(NAMES, 2)
    assert len(set(answers)) == 1
