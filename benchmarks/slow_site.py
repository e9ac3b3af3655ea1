"""One of three sites answers 5 s late: what that does to the others' part of the answer."""

from __future__ import annotations

import json
from contextlib import ExitStack

from benchmarks.client import Client
from benchmarks.processes import GatewayProcess, naive, ours, simulated

__all__ = ["one_slow_site"]

LATE = 5.0
FIELDS = "id site jobId user cluster startTime duration numNodes state"
PARTIAL = f"{{ jobs(first: 50) {{ items {{ {FIELDS} }} complete sites {{ site status code elapsed }} }} }}"
HEALTHY = f'{{ jobs(first: 50, sites: ["aurora", "borealis"]) {{ items {{ {FIELDS} }} complete sites {{ site status }} }} }}'
NAIVE = f"{{ jobs(page: {{itemsPerPage: 50, page: 1}}) {{ items {{ {FIELDS} }} }} }}"


async def one_slow_site(rounds: int) -> None:
    """Prints the table."""
    with ExitStack() as stack:
        aurora = stack.enter_context(simulated(jobs=5000, release="1.5", cluster="aurora"))
        borealis = stack.enter_context(simulated(jobs=5000, release="1.4", cluster="borealis", seed=2))
        quick = stack.enter_context(simulated(jobs=5000, release="1.3", cluster="cygnus", seed=3))
        slow = stack.enter_context(simulated(jobs=5000, release="1.3", cluster="cygnus", seed=3, latency=LATE))
        print(f"\n### One of three sites {LATE:g} s late, pages of 50\n")
        print("| | ms median | ms p95 | jobs of the quick sites |\n|---|--:|--:|--:|")
        gateway = stack.enter_context(ours([aurora, borealis, quick]))
        await _show("all three quick", gateway, PARTIAL, requests=20 * rounds)
        gateway = stack.enter_context(ours([aurora, borealis, slow]))
        await _show("one late, only the quick ones asked", gateway, HEALTHY, requests=20 * rounds)
        for patience in (0.25, 1.0, None):
            limits = None if patience is None else {"patience": patience}
            label = "as by default (3 s)" if patience is None else f"{patience:g} s"
            gateway = stack.enter_context(ours([aurora, borealis, slow], limits=limits))
            await _show(f"one late, PARTIAL, patience {label}", gateway, PARTIAL, requests=max(2, rounds))
        await _show("naive, one late", stack.enter_context(naive([aurora, borealis, slow])), NAIVE, requests=2)


async def _show(name: str, gateway: GatewayProcess, document: str, *, requests: int) -> None:
    async with Client(gateway) as client:
        first = json.loads(await client.ask(document))["data"]["jobs"]
        load = await client.load(document, requests=requests)
    quick = sum(item["site"] in ("aurora", "borealis") for item in first["items"])
    print(f"| {name} | {load.percentile(0.5):.1f} | {load.percentile(0.95):.1f} | {quick} |")
