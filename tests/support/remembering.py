"""What the tests of remembered metrics share: a site that has some, asking through a cache, and what the site was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.settings import LimitSettings
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.credentials import Credential
from support.caching import Clock, cache_of
from support.upstream import ADMIN, Job, Upstream, piece, site_of
from support.walking import CALLER, gateway_over

__all__ = ["FIVE", "METRICS", "RELEASES", "ask", "asked", "budget", "over", "shown", "site_with"]

RELEASES = ("1.2", "1.3", "1.4", "1.5")
FIVE = ("a", "b", "c", "d", "e")
#: metrics of jobs: at one scope and at several, on one host and on two that have the same samples, with gaps, without series
METRICS: dict[int, list[dict[str, Any]]] = {
    1: [piece(name) for name in FIVE],
    2: [piece("cpu_load"), piece("mem_bw", "socket"), piece("mem_bw"), piece("flops", "core", (1.5,) * 3, 30)],
    3: [],
}
BOTH = piece("mem_bw", values=(3.25, 4.5))
BOTH["metric"]["series"] *= 2
METRICS[4] = [BOTH, {"name": "bare", "scope": "node", "metric": {"unit": {"base": ""}, "series": None, "timestep": 0}}]


def site_with(release: str = "1.5", **each: Any) -> Upstream:
    upstream = Upstream([Job(i, 1000 + i, id=i, **each) for i in range(1, 41)], release=release)
    upstream.metrics = dict(METRICS)
    return upstream


def budget() -> MetricsBudget:
    return MetricsBudget(LimitSettings())  # type: ignore[call-arg]


async def ask(gateway: Gateway, names: Sequence[str] | None = None, scopes: Sequence[str] | None = None,
              job: str = "one:1") -> JobMetricsAnswer:  # fmt: skip
    return await gateway.job_metrics(job, MetricsWanted.of(names, scopes), CALLER, budget=budget())


def shown(pieces: Sequence[MetricPiece]) -> list[bytes]:
    return [msgspec.json.encode(one) for one in pieces]


def asked(upstream: Upstream) -> list[list[str]]:
    """Which metrics the site was asked for, question by question; ``["*"]`` for all of them."""
    found = []
    for request in upstream.requests:
        url = urlsplit(request.path)
        if "/metrics/" in url.path:
            found.append(sorted(parse_qs(url.query).get("metric", ["*"])))
        elif request.method == "POST" and request.body != b'["-"]':
            found.append(sorted(msgspec.json.decode(request.body or b"null") or ["*"]))
    return found


@asynccontextmanager
async def over(
    upstream: Upstream, clock: Clock | None = None, *, credential: Credential = ADMIN, **settings: Any
) -> AsyncIterator[tuple[Gateway, ResponseCache]]:
    responses = cache_of(clock, **settings)
    async with gateway_over([site_of(upstream, "one", credential=credential)], responses) as gateway:
        yield gateway, responses
