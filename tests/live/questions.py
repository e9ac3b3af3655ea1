"""The filters that the walks are made with, as GraphQL variables; what they take in is found in the jobs that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from live.truth import Job, utc

__all__ = ["FILTERS", "FIT_FOR_1_5", "filters_named"]

Filters = Sequence[Mapping[str, Any]]

FILTERS: dict[str, Filters] = {
    "none": [],
    "an empty one": [{}],
    "operators that are null": [{"user": {"eq": None}, "startTime": {}, "numNodes": {"from": 0, "to": 0}}],
    "user eq": [{"user": {"eq": "alice"}}],
    "user neq": [{"user": {"neq": "alice"}}],
    "user contains, other case": [{"user": {"contains": "AR"}}],
    "user starts with": [{"user": {"startsWith": "d"}}],
    "user ends with": [{"user": {"endsWith": "e"}}],
    "user with a wildcard": [{"user": {"startsWith": "_a"}}],
    "user in": [{"user": {"in": ["bob", "carol", "nobody"]}}],
    "user in nothing": [{"user": {"in": []}}],
    "user eq before in": [{"user": {"eq": "alice", "in": ["bob"]}}],
    "project eq": [{"project": {"eq": "p_b"}}],
    "project contains": [{"project": {"contains": "_c"}}],
    "sub-cluster eq": [{"subCluster": {"eq": "main"}}],
    "sub-cluster neq": [{"subCluster": {"neq": "main"}}],
    "partition eq": [{"partition": {"eq": "main"}}],
    "partition ends with": [{"partition": {"endsWith": "VEL"}}],
    "job number eq, with zeros before it": [{"jobId": {"eq": "0100003"}}],
    "job number in": [{"jobId": {"in": ["100001", "100002", "100030"]}}],
    "job number neq": [{"jobId": {"neq": "100001"}}],
    "job number contains": [{"jobId": {"contains": "0002"}}],
    "job number ends with": [{"jobId": {"endsWith": "7"}}],
    "job name eq": [{"jobName": {"eq": "job12"}}],
    "job name neq": [{"jobName": {"neq": "job12"}}],
    "job name contains": [{"jobName": {"contains": "OB5"}}],
    "job name in": [{"jobName": {"in": ["job3", "job33"]}}],
    "nodes from and to": [{"numNodes": {"from": 2, "to": 4}}],
    "nodes from": [{"numNodes": {"from": 4}}],
    "nodes to": [{"numNodes": {"to": 1}}],
    "nodes below 0": [{"numNodes": {"from": -1, "to": 2}}],
    "hardware threads": [{"numHWThreads": {"from": 16, "to": 32}}],
    "accelerators": [{"numAccelerators": {"from": 1}}],
    "duration": [{"duration": {"from": 600, "to": 7200}}],
    "duration to": [{"duration": {"to": 900}}],
    "energy": [{"energy": {"from": 0.05, "to": 1.5}}],
    "a footprint value": [{"metricStats": [{"metricName": "flops_any_avg", "range": {"from": 250, "to": 280}}]}],
    "two footprint values": [
        {
            "metricStats": [
                {"metricName": "cpu_load_avg", "range": {"from": 8.5}},
                {"metricName": "mem_bw_avg", "range": {"to": 55}},
            ]
        }
    ],
    "a footprint value that nobody has": [{"metricStats": [{"metricName": "flops_any", "range": {"from": 1}}]}],
    "one state": [{"state": ["failed"]}],
    "several states": [{"state": ["failed", "timeout"]}],
    "states that some releases do not know": [{"state": ["stopped", "node_fail", "timeout"]}],
    "a state that only old releases know": [{"state": ["stopped"]}],
    "no state": [{"state": []}],
    "node neq": [{"node": {"neq": "nowhere"}}],
    "node contains": [{"node": {"contains": "N01"}}],
    "node starts with": [{"node": {"startsWith": "an0"}}],
    "node ends with": [{"node": {"endsWith": "n064"}}],
    "node in": [{"node": {"in": ["an001", "bn002", "cn003", "dn004"]}}],
    "shared with nobody": [{"shared": "none"}],
    "shared with others": [{"shared": "multi_user"}],
    "interactive": [{"schedule": "interactive"}],
    "batch": [{"schedule": "batch"}],
    "no array": [{"arrayJobId": 0}],
    "an array": [{"arrayJobId": 4242}],
    "several fields": [{"user": {"in": ["alice", "bob"]}, "numNodes": {"from": 2}, "state": ["completed"]}],
    "several filters": [{"project": {"eq": "p_a"}}, {"node": {"contains": "0"}}, {"duration": {"from": 300}}],
    "filters that exclude each other": [{"user": {"eq": "alice"}}, {"user": {"eq": "bob"}}],
}

#: filters that 1.5.4's own GraphQL ignores, breaks or refuses, so that it is no judge of them
UNFIT_FOR_1_5 = frozenset(
    {"job name in", "node starts with", "node in", "states that some releases do not know", "a state that only old releases know"}
)
FIT_FOR_1_5 = [name for name in FILTERS if name not in UNFIT_FOR_1_5]


def filters_named(name: str, jobs: Sequence[Job]) -> Filters:
    """The filter of that name: a fixed one, or one made of the jobs that are there."""
    return FILTERS[name] if name in FILTERS else FROM_JOBS[name](jobs)


def _middle(jobs: Sequence[Job]) -> list[Job]:
    ordered = sorted(jobs, key=lambda job: job["startTime"])
    return ordered[len(ordered) // 3 : len(ordered) // 2]


def _between(jobs: Sequence[Job]) -> Filters:
    some = _middle(jobs)
    return [{"startTime": {"from": utc(some[0]["startTime"]), "to": utc(some[-1]["startTime"])}}]


def _since(jobs: Sequence[Job]) -> Filters:
    return [{"startTime": {"from": utc(_middle(jobs)[-1]["startTime"])}}, {"numNodes": {"from": 2}}]


def _one_cluster(jobs: Sequence[Job]) -> Filters:
    return [{"cluster": {"eq": jobs[0]["cluster"]}}]


def _two_clusters(jobs: Sequence[Job]) -> Filters:
    return [{"cluster": {"in": [jobs[0]["cluster"], jobs[-1]["cluster"]]}, "user": {"neq": "dave"}}]


def _node(jobs: Sequence[Job]) -> Filters:
    return [{"node": {"eq": jobs[0]["resources"][0]["hostname"]}}]


def _by_id(jobs: Sequence[Job]) -> Filters:
    return [{"dbId": [f"{job['site']}:{job['dbId']}" for job in jobs[:: max(1, len(jobs) // 11)]]}]


def _by_tag(jobs: Sequence[Job]) -> Filters:
    tagged = [job for job in jobs if job["tagIds"]]
    return [{"tags": [f"{job['site']}:{job['tagIds'][0]}" for job in tagged[:3]] + ["999999"]}]


FROM_JOBS = {
    "start time from and to": _between,
    "start time from, and nodes": _since,
    "one cluster": _one_cluster,
    "two clusters, but one user": _two_clusters,
    "node eq": _node,
    "database ids": _by_id,
    "tag numbers": _by_tag,
}
