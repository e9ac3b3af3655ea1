"""``python -m benchmarks [PART …] [--quick]``: Markdown. The parts are those of ``ALL``; without any, all of them."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import uvloop

from benchmarks.calls import calls_of_requests
from benchmarks.crowd import crowds
from benchmarks.down import sites_that_are_down
from benchmarks.export import exports_and_the_bare_merge
from benchmarks.fairness import one_greedy_script
from benchmarks.grpc import grpc_and_others
from benchmarks.lists import lists_of_jobs
from benchmarks.metrics import metrics_of_jobs
from benchmarks.overload import overload
from benchmarks.processes import pin_to_upstream
from benchmarks.rest import rest_and_graphql
from benchmarks.slow_site import one_slow_site
from benchmarks.soak import a_long_time
from benchmarks.stampede import stampede
from benchmarks.walk import walk_over_a_million

ALL = (
    "lists", "metrics", "rest", "grpc", "stampede", "slow", "down", "fair", "crowd", "calls", "walk", "export", "portal",
    "soak", "overload",
)  # fmt: skip


async def main(chosen: list[str], *, quick: bool) -> None:
    """Runs what was chosen, one after the other."""
    pin_to_upstream()
    machine = f"{os.cpu_count()} cores ({_processor()})"
    print(f"{machine}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start.")
    if "lists" in chosen:
        await lists_of_jobs(rounds=2 if quick else 5, seconds=0.5 if quick else 1.0)
    if "metrics" in chosen:
        await metrics_of_jobs(rounds=1 if quick else 3, seconds=1.0 if quick else 2.0)
    if "rest" in chosen:
        await rest_and_graphql(rounds=2 if quick else 5, seconds=1.0 if quick else 2.0)
    if "grpc" in chosen:
        await grpc_and_others(jobs=100_000 if quick else 1_000_000, rounds=2 if quick else 5, requests=50 if quick else 200)
    if "stampede" in chosen:
        await stampede()
    if "slow" in chosen:
        await one_slow_site(rounds=2 if quick else 5)
    if "down" in chosen:
        await sites_that_are_down(requests=200 if quick else 600)
    if "fair" in chosen:
        await one_greedy_script(seconds=10.0 if quick else 30.0)
    if "crowd" in chosen:
        await crowds(seconds=10.0 if quick else 30.0)
    if "overload" in chosen:
        await overload(seconds=15.0 if quick else 60.0)
    if "calls" in chosen:
        await calls_of_requests()
    if "walk" in chosen:
        await walk_over_a_million(total=100_000 if quick else 1_000_000, size=1000)
    if "export" in chosen:
        await exports_and_the_bare_merge(total=100_000 if quick else 1_000_000)
    if "soak" in chosen:
        await a_long_time(minutes=2.0 if quick else 30.0)
    if "portal" in chosen:
        sys.path.append("tests")  # whose browser it is
        from benchmarks.portal import pages_in_a_browser  # needs Playwright, which the others do without

        await pages_in_a_browser()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", choices=[*ALL, []], default=[], metavar="|".join(ALL))
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 100,000 jobs instead of a million")
    given = parser.parse_args()
    uvloop.run(main(given.what or list(ALL), quick=given.quick))
