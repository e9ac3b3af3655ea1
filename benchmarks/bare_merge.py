"""``python -m benchmarks.bare_merge SITES``: the federated list read to its end, batch by batch, and nothing done with it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import uvloop

from benchmarks.processes import GATEWAY_CORE
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, Policy
from ccgateway.identity.callers import Callers
from ccgateway.settings import Settings
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.registry import Registry

#: what an export reads by default
FIELDS = frozenset({
    "sub_cluster", "partition", "project", "user", "state", "duration", "walltime", "num_nodes", "num_hw_threads", "num_acc",
    "shared", "smt", "array_job_id", "monitoring_status", "energy",
})  # fmt: skip


async def read(sites: list[dict[str, Any]]) -> None:
    """Prints how many jobs there were, the seconds that it took, and those of processor time."""
    sections = {one["name"]: {"number": number, "url": one["url"], "token": one["token"]} for number, one in enumerate(sites, 1)}
    settings = Settings.model_validate({"sites": sections})
    gateway = Gateway(Registry(settings.sites.values(), keyring=Keyring(settings)), settings.limits)
    caller = Callers(settings).everybody
    if caller is None:
        raise SystemExit("nobody may ask without a token")
    question = JobListQuestion(fields=FIELDS, policy=Policy.STRICT)
    batches = gateway.job_batches(question, caller, size=2000)
    jobs, begun, cpu = 0, time.perf_counter(), time.process_time()
    while (batch := await batches.next()) is not None:
        jobs += len(batch.rows)
    print(json.dumps({"jobs": jobs, "seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}))
    await gateway.aclose()


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {GATEWAY_CORE})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read(json.loads(sys.argv[1])))
