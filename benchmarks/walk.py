"""A walk over a million jobs: whether the last page costs what the first did, and whether memory stays where it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import msgspec

from benchmarks.client import Client
from benchmarks.processes import GatewayProcess, naive, ours, simulated

__all__ = ["walk_over_a_million"]

DOCUMENT = """query ($first: Int!, $after: String) { jobs(first: $first, after: $after) {
  items { id site jobId user cluster startTime duration numNodes state } pageInfo { endCursor hasNextPage } } }"""
BY_NUMBER = """{ jobs(page: {itemsPerPage: %d, page: %d}) {
  items { id site jobId user cluster startTime duration numNodes state } hasNextPage } }"""


class _Item(msgspec.Struct, rename="camel"):
    start_time: str
    site: str
    job_id: int


class _PageInfo(msgspec.Struct, rename="camel"):
    end_cursor: str | None
    has_next_page: bool


class _Jobs(msgspec.Struct, rename="camel"):
    items: list[_Item]
    page_info: _PageInfo


class _Data(msgspec.Struct):
    jobs: _Jobs


class _Answer(msgspec.Struct):
    data: _Data


@dataclass
class _Walked:
    """Of every page: milliseconds, the gateway's processor time so far (s) and its memory (MB). ``seconds``: from first to
    last, with what the client does between two pages, while the gateway reads ahead."""

    milliseconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    cursors: list[str | None] = field(default_factory=list)
    jobs: int = 0
    seconds: float = 0.0


async def walk_over_a_million(total: int, size: int) -> None:
    """Prints the tables: the walk, and what the same pages cost the baseline, as far as it gets."""
    releases = ("1.5", "1.4", "1.3", "1.2")
    with ExitStack() as stack:
        sites = [
            stack.enter_context(simulated(jobs=total // len(releases), release=release, cluster=cluster, seed=seed))
            for seed, (release, cluster) in enumerate(zip(releases, ("aurora", "borealis", "cygnus", "draco"), strict=True), 1)
        ]
        gateway = stack.enter_context(ours(sites))
        walked = await _walk(gateway, size)
        if walked.jobs != total:
            raise SystemExit(f"{walked.jobs} jobs came, not {total}")
        _show(walked, size)
        await _first_and_last_in_turn(gateway, walked, size)
        await _baseline(stack.enter_context(naive(sites)), gateway, walked, size)


async def _walk(gateway: GatewayProcess, size: int) -> _Walked:
    walked = _Walked()
    decoder = msgspec.json.Decoder(_Answer)
    previous, after = ("", "", 0), None
    begun = time.perf_counter()
    async with Client(gateway) as client:
        while True:
            walked.cursors.append(after)
            walked.cpu_seconds.append(gateway.cpu_seconds)
            walked.megabytes.append(gateway.megabytes)
            started = time.perf_counter()
            body = await client.ask(DOCUMENT, {"first": size, "after": after})
            walked.milliseconds.append((time.perf_counter() - started) * 1000)
            jobs = decoder.decode(body).data.jobs
            for item in jobs.items:
                place = (item.start_time, item.site, item.job_id)
                if previous[0] and not (place[0] < previous[0] or (place[0] == previous[0] and place[1:] > previous[1:])):
                    raise SystemExit(f"the order is not strict: {previous}, {place}")
                previous = place
            walked.jobs += len(jobs.items)
            if not jobs.page_info.has_next_page:
                walked.seconds = time.perf_counter() - begun
                return walked
            after = jobs.page_info.end_cursor


def _show(walked: _Walked, size: int) -> None:
    times, cpu, memory = walked.milliseconds, walked.cpu_seconds, walked.megabytes
    tenth = max(1, len(times) // 10)
    print(f"\n### A walk over {walked.jobs:,} jobs at four sites (1.5 to 1.2) in {len(times)} pages of {size}\n")
    print("| part of the walk | gateway's CPU, ms/page | ms/page median | ms/page p95 | gateway's memory, MB |")
    print("|---|--:|--:|--:|--:|")
    per_page = []
    for name, share in (("first tenth", 0), ("fifth tenth", 4), ("last tenth", 9)):
        part = slice(share * tenth, (share + 1) * tenth)
        per_page.append((cpu[part][-1] - cpu[part][0]) * 1000 / max(1, len(cpu[part]) - 1))
        print(f"| {name} | {per_page[-1]:.1f} | {median(times[part]):.1f} | {_late(times[part]):.1f} | {max(memory[part]):.0f} |")
    rate, each = walked.jobs / walked.seconds, (cpu[-1] - cpu[0]) * 1e6 / walked.jobs
    print(f"\n{rate:,.0f} jobs/s from first to last, each compared with the one before by the client;")
    print(f"{each:.1f} µs of the gateway's processor time per job.")


async def _first_and_last_in_turn(gateway: GatewayProcess, walked: _Walked, size: int) -> None:
    """Whatever else the machine does meets both ends of the list alike: this is what says whether the cost is flat."""
    decoder = msgspec.json.Decoder(_Answer)
    pages, rounds = max(2, len(walked.cursors) // 40), 10
    places = {"first": walked.cursors[0], "last": walked.cursors[-pages - 1]}
    times: dict[str, list[float]] = {name: [] for name in places}
    cpu = dict.fromkeys(places, 0.0)
    async with Client(gateway) as client:
        for _ in range(rounds):
            for name, place in places.items():
                after = place
                used = gateway.cpu_seconds
                for _ in range(pages):
                    started = time.perf_counter()
                    body = await client.ask(DOCUMENT, {"first": size, "after": after})
                    times[name].append((time.perf_counter() - started) * 1000)
                    after = decoder.decode(body).data.jobs.page_info.end_cursor
                cpu[name] += gateway.cpu_seconds - used
    print(f"\nThe first {pages} pages and the last {pages}, read again in turn, {rounds} times:\n")
    print("| | first pages | last pages | last : first |\n|---|--:|--:|--:|")
    each = {name: spent * 1000 / (rounds * pages) for name, spent in cpu.items()}
    for what, one, two in (
        ("ms/page median", median(times["first"]), median(times["last"])),
        ("ms/page p95", _late(times["first"]), _late(times["last"])),
        ("gateway's CPU, ms/page", each["first"], each["last"]),
    ):
        print(f"| {what} | {one:.1f} | {two:.1f} | **{two / one:.2f}×** |")
    print(f"\nThe gateway's memory: {walked.megabytes[1]:.0f} MB after one page, {max(walked.megabytes):.0f} MB at the most.")


def _late(times: Sequence[float]) -> float:
    return sorted(times)[int(0.95 * len(times))]


async def _baseline(baseline: GatewayProcess, gateway: GatewayProcess, walked: _Walked, size: int) -> None:
    """The same pages in turn: by number from the baseline, by their cursor from the gateway."""
    print(f"\n| page of {size} | naive, ms | ccgateway, ms | ratio |\n|---|--:|--:|--:|")
    async with Client(baseline) as theirs, Client(gateway) as mine:
        for number in (1, 5, 20):
            slow, fast = [], []
            for _ in range(3):
                slow += (await theirs.load(BY_NUMBER % (size, number), requests=1)).milliseconds
                place = {"first": size, "after": walked.cursors[number - 1]}
                fast += (await mine.load(DOCUMENT, requests=3, variables=place)).milliseconds
            print(f"| {number} | {median(slow):.0f} | {median(fast):.1f} | **{median(slow) / median(fast):.0f}×** |")
