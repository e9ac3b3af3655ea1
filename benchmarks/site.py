"""A simulated site that costs as little as it can, so that what is measured is who asks it.

``python -m benchmarks.site`` is ``python -m ccgateway.simulator`` with three differences: an answer once given is kept and given
again as bytes; the clock stands still, so that jobs that run do not grow older between two who ask; and metrics come in whatever
amount their name says: ``s1440h116_0`` has 1440 samples on each of 116 hosts, whatever job is asked for. ``GET /counts`` tells
how often each other address was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import uvloop

from ccgateway.simulator.asgi import Receive, Scope, Send, read_request, send_response
from ccgateway.simulator.generated import GeneratedJobs
from ccgateway.simulator.messages import JSON, Request, Response
from ccgateway.simulator.metrics import JobMetric, Series, Statistics
from ccgateway.simulator.scopes import Shown
from ccgateway.simulator.serve import serve
from ccgateway.simulator.site import SimulatedSite

__all__ = ["PreparedSite", "metric_names"]

_METRICS = re.compile(r"/(?:user)?api/jobs/metrics/\d+")
_NAME = re.compile(r"s(\d+)h(\d+)_(\d+)")
_encode = msgspec.json.Encoder().encode


def metric_names(*, count: int, hosts: int, samples: int) -> list[str]:
    """Names of ``count`` metrics of that size."""
    return [f"s{samples}h{hosts}_{number}" for number in range(count)]


class PreparedSite(SimulatedSite):
    """Keeps its answers; makes metrics up by their names."""

    def __init__(self, name: str, release: str, jobs: GeneratedJobs, *, latency: float) -> None:
        super().__init__(name, release, jobs, clock=lambda: jobs.until)
        self._metrics_latency = latency
        self._kept: dict[tuple[str, str, bytes, str | None], Response] = {}
        self._counts: Counter[str] = Counter()

    @property
    def app(self) -> Callable[[Scope, Receive, Send], Any]:
        """As any site's; the counts come without delay."""
        return self._serve_or_tell

    async def _serve_or_tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/counts":
            await self._serve(scope, receive, send)
            return
        request = await read_request(scope, receive)
        await send_response(send, request, Response(200, _encode(self._counts), (("content-type", JSON),)))

    def answer(self, request: Request) -> Response:
        """As any site's, from what is kept."""
        self._counts[request.target] += 1
        is_metrics = _METRICS.fullmatch(request.path) is not None
        self.latency = self._metrics_latency if is_metrics else 0.0
        names = request.values("metric") if is_metrics else []
        is_made_up = bool(names) and all(map(_NAME.fullmatch, names))
        asked = f"metrics?{request.query}" if is_made_up else request.target
        key = (request.method, asked, request.body, request.token)
        if key not in self._kept:
            answer = super().answer(request)
            if is_made_up and answer.status == 200:
                content = _encode({"data": {"jobMetrics": list(map(_made, names))}, "error": None})
                answer = Response(200, content, answer.headers, answer.jobs)
            self._kept[key] = answer
        return self._kept[key]


def _made(name: str) -> Shown:
    size = _NAME.fullmatch(name)
    assert size is not None
    samples, hosts = int(size[1]), int(size[2])
    texts = _texts(name)
    series = [_series(f"node{host:04d}", texts, 31 * host, samples) for host in range(hosts)]
    return Shown(name, "node", JobMetric({"base": "B/s", "prefix": "G"}, 60, series))


def _texts(name: str) -> list[str]:
    rng = random.Random(name)
    return [f"{rng.uniform(10, 99):.2f}" for _ in range(50_000)]


def _series(host: str, texts: Sequence[str], start: int, samples: int) -> Series:
    summary = Statistics(*(msgspec.Raw(number) for number in (b"10.00", b"54.50", b"99.00")))
    place = start % (len(texts) - samples)
    return Series(host, summary, msgspec.Raw(f"[{','.join(texts[place : place + samples])}]".encode()))


async def _serve(given: argparse.Namespace) -> None:
    # four jobs a second: pages of 16, 100 and 500 end where a second does, so that all who cut them cut them alike
    jobs = GeneratedJobs(given.jobs, given.cluster, seed=given.seed, until=given.until, ties=4)
    site = PreparedSite(given.cluster, given.release, jobs, latency=given.latency)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)  # whoever started it has ended
    async with serve(site) as running:
        told = {"name": site.name, "release": given.release, "url": running[site.name].url, "token": site.token("demo")}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Serves until standard input is closed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site")
    parser.add_argument("--release", default="1.5")
    parser.add_argument("--cluster", default="aurora")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before every answer with metrics")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
