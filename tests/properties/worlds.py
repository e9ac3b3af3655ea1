"""Strategies: sites full of jobs with many ties, and filters that hit some of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, MetricStat, StringInput, TimeRange
from ccgateway.jobs.model import JobKey
from ccgateway.site.instance import Instance
from support.oracle import matches
from support.upstream import Job, Upstream, site_of

__all__ = ["Churn", "World", "filter_lists", "jobs", "worlds"]

RELEASES = ["1.2", "1.3", "1.4", "1.5"]
USERS = ["alice", "bob", "ALICE", "al_ce"]
CLUSTERS = ["alex", "fritz"]
STATES = ["running", "completed", "failed", "stopped", "suspended"]
HOSTS = ["n001", "n002", "N0010"]
NAMES = ["interactive", "lammps", "LAMMPS 100%", "größe"]
TAG_IDS = ["1", "2", "s1:3", "global/review/slow", "admin/review/%C3%84%2Fx", "x", ""]
TAGS = [("review", "slow", "global", 1), ("review", "Ä/x", "admin", 2), ("note", "slow", "alice", 3)]


def _templates() -> list[dict[str, Any]]:
    """Jobs' attributes other than their key, few enough that filters hit some and miss some."""
    pick = random.Random(7)
    return [
        {
            "user": pick.choice(USERS),
            "project": pick.choice(["p_a", "p_b", "P_A", ""]),
            "sub_cluster": pick.choice(["main", "big"]),
            "partition": pick.choice(["main", "gpu", ""]),
            "array_job_id": pick.choice([0, 0, 7]),
            "num_nodes": pick.choice([1, 2, 64]),
            "num_hw_threads": pick.choice([0, 8, 64]),
            "num_acc": pick.choice([0, 4]),
            "shared": pick.choice(["none", "single_user", "multi_user"]),
            "state": pick.choice(["running", "completed", "failed", "timeout"]),
            "duration": pick.choice([0, 1, 600]),
            "energy": pick.choice([0.0, 0.5, 2.5]),
            "tags": pick.sample(TAGS, pick.choice([0, 1, 2])),
            "hosts": pick.sample(HOSTS, pick.choice([1, 2])),
            "footprint": pick.choice([None, {}, {"load_avg": 1.5}, {"load_avg": 0.0, "mem_used_avg": 20.0}]),
            "name": pick.choice([None, *NAMES]),
        }
        for _ in range(64)
    ]


TEMPLATES = _templates()


def jobs(*, seconds: int = 12) -> st.SearchStrategy[Job]:
    """Jobs of few numbers, clusters and start seconds, so that keys and ties repeat between sites."""
    numbers = st.sampled_from([*range(1, 7), 2000, 2**40 + 1, 2**53, 2**53 + 1])
    return st.builds(
        lambda number, second, cluster, template: Job(number, 1000 + second, cluster, **template),
        numbers,
        st.integers(0, seconds),
        st.sampled_from(CLUSTERS),
        st.sampled_from(TEMPLATES),
    )


class Churn:
    """Jobs that come, end and go between requests, a bounded number of times; ``pinned`` ones stay and keep their state."""

    def __init__(self, seed: int, pinned: set[tuple[str, int, int]], events: int) -> None:
        self.random = random.Random(seed)
        self.pinned = pinned
        self.events = events

    def __call__(self, upstream: Upstream) -> None:
        for _ in range(self.random.choice([0, 1, 1, 3])):
            if self.events <= 0:
                return
            self.events -= 1
            loose = [job for key, job in upstream.jobs.items() if key not in self.pinned]
            match self.random.randrange(4):
                case 0 if loose:
                    upstream.remove(self.random.choice(loose).local_key)
                case 1 if loose:
                    self.random.choice(loose).state = "completed"
                case _:
                    second = 1000 + self.random.choice([13, 14, self.random.randrange(13)])
                    number = self.random.randrange(10**9, 2 * 10**9)
                    upstream.add(Job(number, second, self.random.choice(CLUSTERS), user=self.random.choice(USERS)))


@dataclass
class World:
    """Sites, the instances that ask them, and which jobs were there from the start and stay."""

    upstreams: dict[str, Upstream]
    instances: list[Instance]
    pinned: dict[str, list[Job]] = field(default_factory=dict)

    def expected(self, filters: list[JobFilter], *, only: Callable[[Job], bool] = lambda _: True) -> set[JobKey]:
        """What must be in a walk: the pinned jobs that match, by the oracle."""
        return {
            job.key_at(name)
            for name, found in self.pinned.items()
            for job in found
            if only(job) and matches(job, filters, name, release=self.upstreams[name].release)
        }

    def total(self) -> int:
        return sum(len(upstream.jobs) for upstream in self.upstreams.values())


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    most_sites: int = 5,
    churn: bool = False,
    seconds: int | None = None,
    stable_ties: bool = False,
    reads: Sequence[str] = ("rest", "auto"),
) -> World:
    upstreams: dict[str, Upstream] = {}
    instances: list[Instance] = []
    pinned: dict[str, list[Job]] = {}
    span = draw(st.sampled_from([0, 1, 12, 500])) if seconds is None else seconds
    for number in range(1, draw(st.integers(0, most_sites)) + 1):
        name = draw(st.sampled_from([f"s{number}", f"z{9 - number}"]))
        found = draw(st.lists(jobs(seconds=span), max_size=16, unique_by=lambda job: job.local_key))
        for i, job in enumerate(found):
            job.id = number * 100_000 + i  # distinct instances number their jobs apart
        stay = found if not churn else [job for i, job in enumerate(found) if i % 3]
        before = Churn(draw(st.integers(0, 2**32)), {job.local_key for job in stay}, draw(st.integers(0, 40))) if churn else None
        upstream = Upstream(found, release=draw(st.sampled_from(RELEASES)), before_each=before, stable_ties=stable_ties)
        upstreams[name] = upstream
        pinned[name] = stay
        instances.append(site_of(upstream, name, number, reads=draw(st.sampled_from(reads))))
    return World(upstreams, instances, pinned)


def _texts(*words: str) -> st.SearchStrategy[StringInput]:
    some = st.sampled_from([*words, "", "a", "%", "_", "AL", "1"])
    return st.one_of(
        st.builds(StringInput, eq=some),
        st.builds(StringInput, neq=some),
        st.builds(StringInput, starts_with=some),
        st.builds(StringInput, ends_with=some),
        st.builds(StringInput, contains=some),
        st.builds(StringInput, in_=st.lists(some, max_size=3).map(tuple)),
        st.just(StringInput()),
        st.builds(StringInput, eq=some, in_=st.just(("bob",))),
    )


_bounds = st.sampled_from([None, 0, 1, 2, 600, -1])
_int_ranges = st.builds(IntRange, _bounds, _bounds)
_fractions = st.sampled_from([None, 0.0, 0.5, 2.5, 20.0, -0.5])
_float_ranges = st.builds(FloatRange, _fractions, _fractions)
_times = st.sampled_from([None, 0, 1000, 1003, 1006, -7, 10**12])

_fields: dict[str, st.SearchStrategy[object]] = {
    "tags": st.lists(st.sampled_from(TAG_IDS), max_size=2).map(tuple),
    "db_id": st.lists(st.sampled_from(["100000", "100001", "s1:100002", "s2:200000", "nonsense"]), max_size=3).map(tuple),
    "job_id": _texts("1", "0003", "1000", "x", str(2**40)),
    "array_job_id": st.sampled_from([0, 7]),
    "user": _texts(*USERS),
    "project": _texts("p_a", "p_b", "P_A"),
    "job_name": _texts(*NAMES),
    "cluster": _texts(*CLUSTERS, "nowhere"),
    "sub_cluster": _texts("main", "big"),
    "partition": _texts("main", "gpu"),
    "duration": _int_ranges,
    "energy": _float_ranges,
    "num_nodes": _int_ranges,
    "num_accelerators": _int_ranges,
    "num_hw_threads": _int_ranges,
    "start_time": st.builds(TimeRange, _times, _times),
    "state": st.lists(st.sampled_from(STATES), max_size=3).map(tuple),
    "metric_stats": st.lists(
        st.builds(MetricStat, st.sampled_from(["load_avg", "mem_used_avg", "load", "x'y"]), _float_ranges), max_size=2
    ).map(tuple),
    "shared": st.sampled_from(["none", "single_user", "multi_user"]),
    "schedule": st.sampled_from(["interactive", "batch", ""]),
    "node": _texts(*HOSTS),
}  # fmt: skip


@st.composite
def _filters(draw: st.DrawFn) -> JobFilter:
    names = draw(st.lists(st.sampled_from(sorted(_fields)), max_size=2, unique=True))
    values = {name: draw(_fields[name]) for name in names}
    return JobFilter(**values)  # type: ignore[arg-type]


def filter_lists() -> st.SearchStrategy[list[JobFilter]]:
    """Lists of filters, mostly with one or two fields set."""
    return st.lists(_filters(), min_size=1, max_size=2)
