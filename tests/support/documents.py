"""Documents in our own words that use every field and argument of cc-backend 1.5.4's schema, but for what is statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["READING", "variables_for"]

_UNIT = "unit { base prefix }"
_METRIC = (
    f"metric {{ {_UNIT} timestep series {{ hostname id statistics {{ avg min max }} data }} "
    "statisticsSeries { mean median min max } }"
)
_CONFIG = f"name {_UNIT} scope aggregation timestep peak normal caution alert lowerIsBetter"
_VALUE = f"{{ {_UNIT} value }}"
_JOB = """id jobId user project cluster subCluster startTime duration walltime numNodes numHWThreads numAcc energy SMT shared
  partition arrayJobId monitoringStatus state tags { id type name scope }
  resources { hostname hwthreads accelerators configuration } concurrentJobs { listQuery items { id jobId } count }
  footprint { name stat value } energyFootprint { hardware metric value } metaData userData { username name email }"""
_NODE = """id hostname cluster subCluster jobsRunning cpusAllocated memoryAllocated gpusAllocated schedulerState healthState
  metaData healthData"""
_NODES = "query($f: [NodeFilter!], $o: OrderByInput) { %s(filter: $f, order: $o) { count items { " + _NODE + " } } }"
_MEASURED = f"host nodeState metricHealth subCluster metrics {{ name scope {_METRIC} }}"
_SPAN = "$c: String!, $m: [String!], $from: Time!, $to: Time!"

#: by root field
READING: Mapping[str, str] = {
    "clusters": "{ clusters { name partitions subClusters { name nodes numberOfNodes processorType socketsPerNode coresPerSocket "
    f"threadsPerCore flopRateScalar {_VALUE} flopRateSimd {_VALUE} memoryBandwidth {_VALUE} topology {{ node socket memoryDomain "
    f"die core accelerators {{ id type model }} }} metricConfig {{ {_CONFIG} subClusters {{ name peak normal caution alert "
    "remove } } footprint } } }",
    "tags": "{ tags { id type name scope } }",
    "globalMetrics": f"{{ globalMetrics {{ name {_UNIT} scope footprint availability {{ cluster subClusters }} }} }}",
    "user": "query($u: String!) { user(username: $u) { username name email } }",
    "allocatedNodes": "query($c: String!) { allocatedNodes(cluster: $c) { name count } }",
    "node": f"query($n: ID!) {{ node(id: $n) {{ {_NODE} }} }}",
    "nodes": _NODES % "nodes",
    "nodesWithMeta": _NODES % "nodesWithMeta",
    "nodeStates": "query($f: [NodeFilter!]) { nodeStates(filter: $f) { state count } }",
    "nodeStatesTimed": "query($f: [NodeFilter!], $t: String!) { nodeStatesTimed(filter: $f, type: $t) { state counts times } }",
    "job": f"query($i: ID!) {{ job(id: $i) {{ {_JOB} }} }}",
    "jobMetrics": "query($i: ID!, $m: [String!], $s: [MetricScope!], $r: Int) "
    f"{{ jobMetrics(id: $i, metrics: $m, scopes: $s, resolution: $r) {{ name scope {_METRIC} }} }}",
    "jobStats": "query($i: ID!, $m: [String!]) { jobStats(id: $i, metrics: $m) { name data { avg min max } } }",
    "scopedJobStats": "query($i: ID!, $m: [String!], $s: [MetricScope!]) { scopedJobStats(id: $i, metrics: $m, scopes: $s) "
    "{ name scope stats { hostname id data { avg min max } } } }",
    "jobs": "query($jf: [JobFilter!], $p: PageRequest, $o: OrderByInput) { jobs(filter: $jf, page: $p, order: $o) "
    f"{{ items {{ {_JOB} }} offset limit count hasNextPage }} }}",
    "nodeMetrics": f"query({_SPAN}, $n: [String!], $s: [MetricScope!]) {{ nodeMetrics(cluster: $c, nodes: $n, scopes: $s, "
    f"metrics: $m, from: $from, to: $to) {{ {_MEASURED} }} }}",
    "nodeMetricsList": f"query({_SPAN}, $sc: String!, $st: String!, $nf: String!, $s: [MetricScope!], $p: PageRequest, $r: Int) "
    "{ nodeMetricsList(cluster: $c, subCluster: $sc, stateFilter: $st, nodeFilter: $nf, scopes: $s, metrics: $m, from: $from, "
    f"to: $to, page: $p, resolution: $r) {{ items {{ {_MEASURED} }} offset limit count totalNodes hasNextPage }} }}",
    "clusterMetrics": f"query({_SPAN}) {{ clusterMetrics(cluster: $c, metrics: $m, from: $from, to: $to) "
    f"{{ nodeCount metrics {{ name {_UNIT} timestep data }} }} }}",
}
_TEXTS = {"eq": None, "neq": "x", "contains": None, "startsWith": None, "endsWith": None, "in": None}
_ALL = {"from": 0, "to": 0}


def variables_for(field: str, *, cluster: str, job: str, node: str, day: str) -> dict[str, Any]:
    """The values of the document's variables: a cluster, a job's id, a node's, and a day (``2025-10-09``)."""
    texts = {"hostname": _TEXTS, "cluster": _TEXTS | {"eq": cluster, "neq": None}, "subCluster": _TEXTS}
    values: dict[str, Any] = {
        "u": "alice", "c": cluster, "n": ["cn001"] if field == "nodeMetrics" else node, "t": "node", "i": job,
        "m": ["cpu_load", "mem_bw"], "s": ["node"], "r": 0, "from": f"{day}T08:00:00Z", "to": f"{day}T08:10:00.000Z", "sc": "",
        "st": "all", "nf": "cn", "p": {"itemsPerPage": 5, "page": 1},
        "o": {"field": "startTime", "type": "col", "order": "DESC"},
        "f": [texts | {"schedulerState": None, "healthState": None, "timeStart": 1}],
        "jf": [
            {
                "tags": None, "dbId": None, "jobId": _TEXTS, "arrayJobId": None, "user": _TEXTS, "project": _TEXTS,
                "jobName": _TEXTS, "cluster": texts["cluster"], "subCluster": _TEXTS, "partition": _TEXTS, "duration": _ALL,
                "energy": _ALL, "numNodes": _ALL, "numAccelerators": _ALL, "numHWThreads": _ALL,
                "startTime": {"range": "last30d", "from": None, "to": None}, "state": ["running", "completed"],
                "metricStats": [], "shared": None, "schedule": "", "node": _TEXTS,
            }
        ],
    }  # fmt: skip
    used = READING[field]
    return {name: value for name, value in values.items() if f"${name}:" in used}
