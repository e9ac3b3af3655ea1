"""Seeded runs of writes that meet faults, sent again by their callers: no write takes effect twice, and no outcome is untrue."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ccgateway.errors import Code
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import EditMeta, StopJob, TagJob, Target, WriteOutcome, WriteResult
from ccgateway.simulator import SimulatedSite
from support.walking import CALLER
from support.written import NOW, Fault, Wire, gateway_over, instance_of, look_quickly, start_command

#: 1000 and more once in a while; fewer every time
RUNS = int(os.environ.get("CCGATEWAY_WRITE_RUNS", "25"))
AT_A_TIME = 25
SENDS = 6
SITES = ("aurora", "borealis")

Send = Callable[[WriteCall], Awaitable[list[WriteResult]]]


class Run:
    """Two sites of random releases, and commands at random, each of which is sent until its outcome is settled."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.releases = [self.random.choice(("1.2", "1.3", "1.4", "1.5")) for _ in SITES]
        self.wires = {
            name: Wire(SimulatedSite(name, release, _jobs(name), clock=lambda: float(NOW)))
            for name, release in zip(SITES, self.releases, strict=True)
        }
        instances = [instance_of(wire, n) for n, wire in enumerate(self.wires.values(), 1)]
        self.gateway: Gateway = gateway_over(*instances)
        self.started = 0

    async def go(self) -> Counter[str]:
        seen: Counter[str] = Counter()
        for number in range(SENDS):
            name = self.random.choice(SITES)
            kind, effect, send = self._command(name, number)
            wire = self.wires[name]
            wire.faults = [self.random.choice([None, *Fault]) for _ in range(3)]
            before = self._effects(name, effect)
            key = f"key-{number}" if self.random.random() < 0.5 else None
            outcomes = []
            for _ in range(4):
                (result,) = await send(WriteCall("run", key))
                outcomes.append(result.outcome)
                now = self._effects(name, effect) - before
                assert now <= 1, (kind, outcomes)
                self._check(result, now, outcomes)
                if result.outcome not in (WriteOutcome.FAILED, WriteOutcome.UNKNOWN):
                    break
            wire.faults = []
            if outcomes[-1] in (WriteOutcome.DONE, WriteOutcome.PENDING):
                (last,) = await send(WriteCall("run"))
                outcomes.append(last.outcome)
                is_gone = kind == "delete" and last.code is Code.NOT_FOUND
                assert is_gone or last.outcome in (WriteOutcome.UNCHANGED, WriteOutcome.PENDING), (kind, last)
                anew = kind == "meta" and wire.site.release.name in ("1.3", "1.4")  # what such a site shows is no proof
                assert self._effects(name, effect) - before == 1 + anew
            seen.update(outcome.value for outcome in outcomes)
        await self.gateway.aclose()
        return seen

    def _effects(self, name: str, effect: str) -> int:
        return [one.what for one in self.wires[name].site.backend.changes.effects].count(effect)

    def _check(self, result: WriteResult, happened: int, outcomes: list[WriteOutcome]) -> None:
        match result.outcome:
            case WriteOutcome.DONE | WriteOutcome.PENDING | WriteOutcome.UNCHANGED:
                assert happened == 1, (result, outcomes)
            case WriteOutcome.FAILED if len(outcomes) == 1:
                assert happened == 0, result

    def _command(self, name: str, number: int) -> tuple[str, str, Send]:
        writes = self.gateway.writes
        target = Target(site=name, db_id=self.random.randint(1, 3))
        unique = f"{number}"
        release = self.wires[name].site.release.name
        kinds = ["start", "start with a tag", "tag", "stop", "delete"] + (["meta"] if release != "1.2" else [])
        match kind := self.random.choice(kinds):
            case "start" | "start with a tag":
                tags = (Tag("run", unique),) if kind != "start" else ()
                job = start_command(name, 700 + number, tags=tags)
                return kind, "start", lambda call: writes.start_jobs([job], CALLER, call)
            case "stop":
                stop = StopJob(target=Target(site=name, db_id=100 + number), stop_time=NOW - 60, state="failed")
                return kind, "stop", lambda call: writes.stop_jobs([stop], CALLER, call)
            case "delete":
                key = Target(site=name, cluster=name, job_id=1200 + number, start_time=NOW - 5000 + 200 + number)
                return kind, "delete", lambda call: writes.delete_jobs([key], CALLER, call)
            case "tag":
                command = TagJob(target=target, tags=(Tag("run", unique),))
                return kind, "tag", lambda call: writes.tag_jobs([command], CALLER, call)
            case _:
                edit = EditMeta(target=target, values={f"k{unique}": unique})
                return kind, "meta", lambda call: writes.edit_meta([edit], CALLER, call)


def _jobs(cluster: str) -> list[dict[str, Any]]:
    """Jobs to tag and edit, running ones to stop (from 100 on), and some to delete (from 200 on)."""
    running = [{**_job(cluster, 100 + i), "jobState": "running", "monitoringStatus": 1} for i in range(SENDS)]
    return [_job(cluster, i) for i in range(1, 4)] + running + [_job(cluster, 200 + i) for i in range(SENDS)]


def _job(cluster: str, db_id: int) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": cluster, "subCluster": "main",
        "numNodes": 1, "startTime": NOW - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "completed",
        "resources": [{"hostname": f"{cluster[0]}n001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 3,
    }  # fmt: skip


@pytest.mark.timeout(600 + RUNS)
async def test_no_write_takes_effect_twice_and_no_outcome_is_untrue(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)
    seen: Counter[str] = Counter()
    for first in range(0, RUNS, AT_A_TIME):
        runs = [Run(seed) for seed in range(first, min(first + AT_A_TIME, RUNS))]
        for one in await asyncio.gather(*(run.go() for run in runs)):
            seen += one
    assert set(seen) == {"DONE", "FAILED", "UNKNOWN", "UNCHANGED", "PENDING"}
    assert seen["DONE"] > RUNS
