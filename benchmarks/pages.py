"""Pages of 500 jobs merged from two sites: this gateway next to the naive baseline, the same answers byte for byte in meaning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median

from benchmarks.client import Client, Load
from benchmarks.processes import naive, ours, simulated

__all__ = ["pages_of_500"]

SIZE = 500
ARGUMENTS = f"page: {{itemsPerPage: {SIZE}, page: %d}}"
SHORT = "id site jobId user cluster startTime duration numNodes state"
LONG = (
    f"{SHORT} project subCluster partition walltime shared energy resources {{ hostname hwthreads }} tags {{ type name scope }}"
)


def _document(fields: str, page: int = 1) -> str:
    return f"{{ jobs({ARGUMENTS % page}) {{ items {{ {fields} }} hasNextPage }} }}"


async def pages_of_500(rounds: int) -> None:
    """Prints the table."""
    with (
        simulated(jobs=20_000, release="1.5", cluster="aurora") as aurora,
        simulated(jobs=20_000, release="1.4", cluster="borealis", seed=2) as borealis,
        ours([aurora, borealis]) as gateway,
        naive([aurora, borealis]) as baseline,
    ):
        async with Client(gateway) as mine, Client(baseline) as theirs:
            for fields in (SHORT, LONG):
                for page in (1, 2, 3):
                    await _check_equal(mine, theirs, _document(fields, page))
            print(f"\n### Pages of {SIZE} jobs from two sites (1.5 and 1.4)\n")
            print("| fields | at once | | ms median | ms p95 | requests/s | CPU ms/request |\n|---|--:|---|--:|--:|--:|--:|")
            for name, fields in (("9 plain ones", SHORT), ("15 plain ones, hosts, tags", LONG)):
                for at_once in (1, 8):
                    await _compare(name, _document(fields), mine, theirs, at_once=at_once, rounds=rounds)


async def _check_equal(mine: Client, theirs: Client, document: str) -> None:
    for _ in range(5):  # running jobs grow older from one second to the next: then the two are asked again
        one, two = json.loads(await mine.ask(document)), json.loads(await theirs.ask(document))
        if one == two and len(one["data"]["jobs"]["items"]) == SIZE:
            break
    else:
        raise SystemExit(f"the answers differ, so there is nothing to compare: {document}")


async def _compare(name: str, document: str, mine: Client, theirs: Client, *, at_once: int, rounds: int) -> None:
    loads: dict[str, list[Load]] = {"ccgateway": [], "naive": []}
    for _ in range(rounds):
        loads["ccgateway"].append(await mine.load(document, requests=20 * at_once, at_once=at_once))
        loads["naive"].append(await theirs.load(document, requests=3 * at_once, at_once=at_once))
    rows = {label: _row(found) for label, found in loads.items()}
    for label, (middle, late, per_second, cpu) in rows.items():
        print(f"| {name} | {at_once} | {label} | {middle:.1f} | {late:.1f} | {per_second:.1f} | {cpu:.1f} |")
    fast, slow = rows["ccgateway"], rows["naive"]
    ratios = [slow[0] / fast[0], slow[1] / fast[1], fast[2] / slow[2], slow[3] / fast[3]]
    print(f"| {name} | {at_once} | **ratio** | " + " | ".join(f"**{ratio:.1f}×**" for ratio in ratios) + " |")


def _row(loads: Sequence[Load]) -> tuple[float, float, float, float]:
    return (
        median(load.percentile(0.5) for load in loads),
        median(load.percentile(0.95) for load in loads),
        median(load.per_second for load in loads),
        median(load.cpu_milliseconds for load in loads),
    )
