"""REST next to GraphQL: the same jobs and metrics asked for by both faces of REST and by a document that asks for as much."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from benchmarks.contestants import Contestant, Question, Row, picked
from benchmarks.load import get
from benchmarks.metrics import JOBS, SHAPES, new_jobs, the_same
from benchmarks.processes import NO_CACHE, GatewayProcess, ours, prepared
from benchmarks.table import Entry, measure

__all__ = ["rest_and_graphql"]

NUMBERS = {"aurora": 1, "borealis": 2}
PLAIN = (
    "id", "site", "jobId", "user", "project", "cluster", "subCluster", "partition", "startTime", "duration", "walltime",
    "numNodes", "numAcc", "arrayJobId", "shared", "monitoringStatus", "energy",
)  # fmt: skip
#: what REST tells of every job of a list; it adds ``statistics``, which no list of GraphQL has
EVERYTHING = f"""{" ".join(PLAIN)} state numHWThreads SMT tags {{ type name scope }} footprint {{ name stat value }}
 resources {{ hostname hwthreads accelerators configuration }}"""
#: what 1.5.4 leaves out where it is zero or empty
LEFT_OUT = {"partition": "", "walltime": 0, "numAcc": 0, "arrayJobId": 0, "monitoringStatus": 0}


class _GraphQL(Contestant):
    def read(self, answer: bytes, question: Question) -> list[Row]:
        rows = super().read(answer, question)
        return rows if question.job is not None else [_comparable(row) for row in rows]


def _comparable(row: Row) -> Row:
    job = {name: row[name] for name in PLAIN} | {"state": row["state"], "hwthreads": row["numHWThreads"], "smt": row["SMT"]}
    job["startTime"] = int(datetime.fromisoformat(row["startTime"]).timestamp())
    job["tags"] = row["tags"]
    job["footprint"] = {f"{one['name']}_{one['stat']}": one["value"] for one in row["footprint"] or ()}
    job["resources"] = [{key: value for key, value in host.items() if value is not None} for host in row["resources"]]
    return job


class _Rest(Contestant):
    """One of the faces: its base, and how it writes ``items_per_page``."""

    def __init__(self, base: str, size: str) -> None:
        super().__init__(f"REST, {base}", ours)
        self._base, self._size = base, size

    def request(self, question: Question) -> bytes:
        if question.job is None:
            return get(f"{self._base}/jobs/?{urlencode({'site': question.sites, self._size: question.size}, doseq=True)}")
        number = question.job * 1000 + NUMBERS[question.sites[0]]
        return get(f"{self._base}/jobs/metrics/{number}?{urlencode({'metric': question.metrics, 'scope': 'node'}, doseq=True)}")

    def read(self, answer: bytes, question: Question) -> list[Row]:
        told = json.loads(answer)
        if question.job is None:
            return [_job(row) for row in told["jobs"]]
        if "metrics" in told:  # flat
            return [picked({"name": one["name"], "scope": one["scope"], "metric": one}) for one in told["metrics"]]
        return [picked(one) for one in told["data"]["jobMetrics"]]


def _job(row: Row) -> Row:
    names = {number: name for name, number in NUMBERS.items()}
    number, site = divmod(row["id"], 1000)
    job: dict[str, Any] = {**LEFT_OUT, **row, "id": f"{names[site]}:{number}", "site": names[site]}
    return {
        **{name: job[name] for name in PLAIN},
        "state": row["jobState"],
        "hwthreads": row["numHwthreads"],
        "smt": row.get("smt", 0),
        "tags": [{key: tag[key] for key in ("type", "name", "scope")} for tag in row.get("tags", ())],
        "footprint": row["footprint"] or {},
        "resources": row["resources"],
    }


FACES = (_Rest("/api", "items_per_page"), _Rest("/cc-backend/1.5/api", "items-per-page"))


async def rest_and_graphql(*, rounds: int, seconds: float) -> None:
    """Prints the tables."""
    print("\n### REST next to GraphQL\n")
    page = the_same(Question(("aurora", "borealis"), 500, EVERYTHING))
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=JOBS, release="1.5", cluster="aurora")),
            stack.enter_context(prepared(jobs=500, release="1.4", cluster="borealis", seed=2)),
        ]
        bare, usual = stack.enter_context(ours(sites, cache=NO_CACHE)), stack.enter_context(ours(sites))

        async def compare(title: str, gateway: GatewayProcess, question: Callable[[], Question]) -> None:
            entries = [Entry(one, gateway, question) for one in (_GraphQL("GraphQL", ours), *FACES)]
            await measure(title, entries, rounds=rounds, seconds=seconds, against="GraphQL")

        await compare("the newest 500 jobs of 2 sites, all that REST tells of them, cache off", bare, page)
        await compare("the same, cache as by default", usual, page)
        for title, names in SHAPES.items():
            await compare(f"{title}, cache off", bare, new_jobs(names))
            await compare("the same, cached", usual, the_same(Question(("aurora",), job=1, metrics=tuple(names))))
