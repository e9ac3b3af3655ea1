"""Metrics: ten megabytes of them, and those of a page of jobs; this gateway next to others, on one core each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.contestants import Contestant, Question, contestants, forwarder
from benchmarks.processes import NO_CACHE, GatewayProcess, ours, prepared
from benchmarks.site import metric_names
from benchmarks.table import Entry, measure

__all__ = ["JOBS", "SHAPES", "metrics_of_jobs", "new_jobs", "the_same"]

SHAPES = {
    "10 MB in 84 series of 20,000 samples": metric_names(count=7, hosts=12, samples=20_000),
    "10 MB in 1160 series of 1440 samples (a day)": metric_names(count=10, hosts=116, samples=1440),
    "10 MB in 9260 series of 180 samples (three hours)": metric_names(count=10, hosts=926, samples=180),
}
PAGE = Question(("aurora",), 100, "id site jobId cluster startTime", tuple(metric_names(count=2, hosts=4, samples=360)))
JOBS = 100_000


async def metrics_of_jobs(*, rounds: int, seconds: float) -> None:
    """Prints the tables."""
    print("\n### Metrics\n")
    with ExitStack() as stack:
        sites = [stack.enter_context(prepared(jobs=JOBS, release="1.5", cluster="aurora"))]
        us, *others = contestants()
        cold = stack.enter_context(ours(sites, cache=NO_CACHE))
        warm = stack.enter_context(ours(sites))
        served = [(one, stack.enter_context(one.serve(sites))) for one in others]
        streamed = stack.enter_context(forwarder(sites, streams=True))
        for title, names in SHAPES.items():
            ask = new_jobs(names)
            rest = _entries(served, ask)
            stream = Entry(others[-1], streamed, ask, "bare forwarder, in pieces")
            mine = [
                Entry(us, cold, ask, "ccgateway, cache off"),
                Entry(us, warm, ask, "ccgateway, cold, filling its cache"),
                Entry(us, warm, the_same(Question(("aurora",), job=1, metrics=tuple(names))), "ccgateway, cached"),
            ]
            await measure(title, [*mine, *rest, stream], rounds=rounds, seconds=seconds)
        page = the_same(PAGE)
        mine = [Entry(us, cold, page, "ccgateway, cache off"), Entry(us, warm, page, "ccgateway, cached")]
        await measure("100 jobs with 2 metrics of each", [*mine, *_entries(served, page)], rounds=rounds, seconds=seconds)


def _entries(served: Sequence[tuple[Contestant, GatewayProcess]], ask: Callable[[], Question]) -> list[Entry]:
    return [Entry(one, gateway, ask) for one, gateway in served]


def the_same(question: Question) -> Callable[[], Question]:
    """That question whenever one is asked for."""
    return lambda: question


def new_jobs(names: Sequence[str]) -> Callable[[], Question]:
    """Those metrics of another job each time, so that nobody has them yet."""
    numbers = itertools.cycle(range(2, JOBS))
    return lambda: Question(("aurora",), job=next(numbers), metrics=tuple(names))
