"""Figures of jobs counted once more, from the jobs as they were made, and simulated sites over any split of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from ccgateway.jobs.statistics.figures import Figure, GroupBy
from ccgateway.simulator import SimulatedSite
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.written import NOW, Wire

__all__ = ["FIGURES", "Answering", "counted", "lasted", "made", "rows", "wire_over"]

FIGURES = frozenset(Figure)
_KEYS = {GroupBy.USER: "user", GroupBy.PROJECT: "project", GroupBy.CLUSTER: "cluster", GroupBy.SUBCLUSTER: "subCluster"}


class Answering(Wire):
    """Brings requests to a simulated site. ``instead``: what is answered to those that go to its own GraphQL."""

    instead: SiteAnswer | None = None
    queries: int = 0

    def _answer(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        if request.path == "/query":
            self.queries += 1
            if self.instead is not None:
                return self.instead
        return super()._answer(request, context)


def wire_over(name: str, release: str, jobs: Sequence[Mapping[str, Any]], **options: Any) -> Answering:
    """A simulated site with these jobs."""
    return Answering(SimulatedSite(name, release, jobs, **({"clock": lambda: float(NOW)} | options)))


def made(db_id: int, **changes: Any) -> dict[str, Any]:
    """One job."""
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main",
        "partition": "", "numNodes": 1, "numHwthreads": 8, "numAcc": 0, "startTime": NOW - 400_000 + db_id, "duration": 600,
        "walltime": 3600, "jobState": "completed", "monitoringStatus": 3, "shared": "none", "energy": 0.0,
        "resources": [{"hostname": "an001"}], "metaData": {"jobName": "x"}, "footprint": {"flops_any_avg": 120.0},
        "statistics": {"flops_any": {"unit": {"base": "F/s", "prefix": "G"}, "avg": 120.0, "min": 1.0, "max": 200.0}},
    } | changes  # fmt: skip


@st.composite
def rows(draw: st.DrawFn, most: int = 25) -> list[dict[str, Any]]:
    """Jobs in few groups, of all lengths, some of which run."""
    found = []
    for n in range(1, draw(st.integers(0, most)) + 1):
        value = draw(st.sampled_from([None, 0.5, 49.0, 51.3, 120.0, 499.0, 501.0]))
        changes: dict[str, Any] = {
            "user": draw(st.sampled_from(["alice", "bob", "carol"])),
            "project": draw(st.sampled_from(["p_a", "p_b"])),
            "cluster": draw(st.sampled_from(["aurora", "borealis"])),
            "subCluster": draw(st.sampled_from(["main", "big"])),
            "numNodes": draw(st.integers(1, 5)),
            "numHwthreads": draw(st.sampled_from([0, 8, 128])),
            "numAcc": draw(st.sampled_from([0, 0, 4])),
            "duration": draw(st.sampled_from([0, 1, 299, 300, 3599, 3600, 7261, 86_399, 86_400, 172_799, 172_800, 400_000])),
            "footprint": None if value is None else {"flops_any_avg": value, "mem_used_max": 3.0},
        }
        if value is not None:
            changes["statistics"] = {
                "flops_any": {"unit": {"base": "F/s", "prefix": "G"}, "avg": value, "min": 0.0, "max": value}
            }
        else:
            changes["statistics"] = None
        if draw(st.integers(0, 5)) == 0:
            changes |= {"jobState": "running", "startTime": NOW - draw(st.sampled_from([5, 299, 4000, 300_000])) - n}
            changes |= {"duration": 0, "monitoringStatus": 1, "statistics": None, "footprint": None}
        found.append(made(n, **changes))
    return found


def lasted(job: Mapping[str, Any]) -> int:
    """Seconds so far."""
    return NOW - job["startTime"] if job["jobState"] == "running" else job["duration"]  # type: ignore[no-any-return]


def counted(jobs: Sequence[tuple[str, Mapping[str, Any]]], group: GroupBy | None) -> dict[str, dict[Figure, int]]:
    """Every figure by group, of (site, job)."""
    groups: dict[str, Counter[Figure]] = defaultdict(Counter)
    users: dict[str, set[str]] = defaultdict(set)
    sums_of = {Figure.NODES: "numNodes", Figure.CORES: "numHwthreads", Figure.ACCS: "numAcc"}
    weights = dict(zip((Figure.NODE_HOURS, Figure.CORE_HOURS, Figure.ACC_HOURS), sums_of.values(), strict=True))
    seconds: dict[Figure, str | None] = {Figure.WALLTIME: None, **weights}
    for site, job in jobs:
        key = "" if group is None else site if group is GroupBy.SITE else job[_KEYS[group]]
        sums = groups[key]
        sums[Figure.JOBS] += 1
        sums[Figure.RUNNING] += job["jobState"] == "running"
        sums[Figure.SHORT] += lasted(job) < 300
        for figure, weight in seconds.items():
            sums[figure] += lasted(job) * (job[weight] if weight else 1)
        for figure, name in sums_of.items():
            sums[figure] += job[name]
        users[key].add(job["user"])
    found = {}
    for key, sums in groups.items():
        found[key] = {figure: sums[figure] // 3600 if figure in seconds else sums[figure] for figure in Figure}
        found[key][Figure.USERS] = len(users[key])
    return found
