"""Any number of jobs held in next to no memory: job *i* is a pure function of (seed, i).

:class:`GeneratedJobs` is a :class:`~ccgateway.simulator.source.JobSource`. What is heavy about a job (nodes, statistics,
owner) comes from one of a few hundred :class:`_Profile`\\ s shared by all; what is its own (ids, times, state) is computed.
Start times ascend with the index, several jobs share each, and jobs that would outlast the end of the period are running.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ccgateway.simulator.job import NULL, Job
from ccgateway.simulator.source import Selection

__all__ = ["GeneratedJobs"]

_PROFILES = 509
_MASK = (1 << 64) - 1
_ENDINGS = ("completed",) * 12 + ("failed", "timeout", "cancelled", "out_of_memory")
_METRICS = {  # name: (unit, peak, statistic kept in the footprint)
    "cpu_load": ({"base": ""}, 16, "avg"),
    "mem_used": ({"base": "B", "prefix": "G"}, 64, "max"),
    "flops_any": ({"base": "F/s", "prefix": "G"}, 500, "avg"),
    "mem_bw": ({"base": "B/s", "prefix": "G"}, 100, "avg"),
    "cpu_power": ({"base": "W"}, 300, None),
}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Profile:
    """What many generated jobs have in common."""

    user: str
    project: str
    partition: str
    num_nodes: int
    hosts: tuple[str, ...]
    resources: msgspec.Raw
    statistics: msgspec.Raw
    footprint: msgspec.Raw


class GeneratedJobs:
    """*count* jobs of one cluster which started within *span* seconds before *until*.

    Args:
        count: how many.
        cluster: its name; the nodes are called after its first letter.
        seed: other seeds give other jobs.
        until: end of the period, epoch seconds (default: now). Jobs that would last longer are running.
        span: length of the period in seconds.
        users: who owns them; the project of ``alice`` is ``p_a``.
        ties: how many jobs share a start time.
        longest: a job lasts between one minute and this many seconds.
        nodes: how many nodes the cluster has.
        first_id: database id of the first job; ids ascend with start times.
        first_job_id: the scheduler's id of the first job.
    """

    def __init__(
        self,
        count: int = 1000,
        cluster: str = "synth",
        *,
        seed: int = 1,
        until: int | None = None,
        span: int = 90 * 86400,
        users: Sequence[str] = ("alice", "bob", "carol", "dave"),
        ties: int = 3,
        longest: int = 6 * 3600,
        nodes: int = 64,
        first_id: int = 1,
        first_job_id: int = 100_000,
    ) -> None:
        self.count = count
        self.cluster = cluster
        self.seed = seed
        self.until = int(time.time()) if until is None else until
        self.span = span
        self.ties = ties
        self.longest = longest
        self.nodes = nodes
        self.first_id = first_id
        self.first_job_id = first_job_id
        self._first_start = self.until - span
        self._groups = max(1, -(-count // ties))
        self._minutes = max(1, longest // 60)
        self._salt = random.Random(f"{seed}/{cluster}").getrandbits(64) | 1
        self._profiles = _profiles(random.Random(f"{cluster}/{seed}"), cluster, tuple(users), nodes)

    def __repr__(self) -> str:
        return f"GeneratedJobs({self.count}, {self.cluster!r}, seed={self.seed}, until={self.until})"

    def __len__(self) -> int:
        return self.count

    def job(self, index: int) -> Job:
        """Job number *index*, 0 being the oldest."""
        bits = self._bits(index)
        profile = self._profiles[bits % _PROFILES]
        start = self.start(index)
        state, duration = self._fate(bits, start)
        if state == "running":
            monitoring, energy, statistics, footprint = 1, 0.0, NULL, NULL
        else:
            monitoring = 3
            energy = round(profile.num_nodes * duration * 5e-5, 2)
            statistics, footprint = profile.statistics, profile.footprint
        return Job(
            self.first_id + index,
            self.first_job_id + index,
            profile.user,
            profile.project,
            self.cluster,
            "main",
            profile.partition,
            profile.num_nodes,
            profile.num_nodes * 8,
            0,
            1,
            1,
            monitoring,
            state,
            start,
            duration,
            86400,
            energy,
            profile.hosts,
            profile.resources,
            statistics,
            footprint,
            {"jobName": f"job{index}"},
        )

    def start(self, index: int) -> int:
        return self._first_start + index // self.ties * self.span // self._groups

    def position(self, time: int) -> int:
        group = -(-(time - self._first_start) * self._groups // self.span)
        return min(max(group, 0) * self.ties, self.count)

    def index_of(self, db_id: int) -> int | None:
        index = db_id - self.first_id
        return index if 0 <= index < self.count else None

    def ids_descending(self) -> Iterator[int]:
        return iter(range(self.first_id + self.count - 1, self.first_id - 1, -1))

    def named(self, job_id: int) -> list[int]:
        index = job_id - self.first_job_id
        return [index] if 0 <= index < self.count else []

    def takes_all(self, wanted: Selection) -> bool:
        others = (wanted.project, wanted.user, wanted.states, wanted.nodes_from)
        return wanted.cluster in {None, self.cluster} and all(p is None for p in others)

    def matching(self, wanted: Selection, low: int, high: int) -> Iterator[int]:
        owners = {n for n, p in enumerate(self._profiles) if wanted.admits_owner(self.cluster, p.project, p.user, p.num_nodes)}
        if not owners:
            return
        states = wanted.states
        if states == frozenset({"running"}):
            low = max(low, self.position(self.until - self.longest))  # nobody runs longer
        for index in range(high - 1, low - 1, -1):
            bits = self._bits(index)
            if bits % _PROFILES in owners and (states is None or self._fate(bits, self.start(index))[0] in states):
                yield index

    def partitions(self, cluster: str) -> set[str]:
        return {p.partition for p in self._profiles} if self.count and cluster == self.cluster else set()

    def clusters(self) -> list[str]:
        return [self.cluster]

    def _bits(self, index: int) -> int:
        """64 well-mixed bits."""
        x = (index + 1) * self._salt & _MASK
        x = (x ^ x >> 31) * 0x9E3779B97F4A7C15 & _MASK
        return x ^ x >> 29

    def _fate(self, bits: int, start: int) -> tuple[str, int]:
        """State and stored duration."""
        duration = ((bits >> 12) % self._minutes + 1) * 60
        if start + duration > self.until:
            return "running", 0
        return _ENDINGS[bits >> 60], duration


def _profiles(rng: random.Random, cluster: str, users: Sequence[str], nodes: int) -> list[_Profile]:
    names = [f"{cluster[0]}n{n:03d}" for n in range(1, nodes + 1)]
    threads = list(range(8))
    found = []
    for _ in range(_PROFILES):
        user = rng.choice(users)
        hosts = tuple(rng.sample(names, min(nodes, rng.choice((1, 1, 1, 2, 2, 4, 8, 16)))))
        statistics = {}
        footprint = {}
        for metric, (unit, peak, kept) in _METRICS.items():
            low, middle, high = sorted(round(rng.uniform(0.2, 0.9) * peak, 2) for _ in range(3))
            statistics[metric] = {"unit": unit, "avg": middle, "min": low, "max": high}
            if kept:
                footprint[f"{metric}_{kept}"] = {"avg": middle, "max": high}[kept]
        found.append(
            _Profile(
                user=user,
                project=f"p_{user[0]}",
                partition=rng.choice(("main", "main", "main", "devel")),
                num_nodes=len(hosts),
                hosts=hosts,
                resources=msgspec.Raw(_encode([{"hostname": h, "hwthreads": threads} for h in hosts])),
                statistics=msgspec.Raw(_encode(statistics)),
                footprint=msgspec.Raw(_encode(footprint)),
            )
        )
    return found
