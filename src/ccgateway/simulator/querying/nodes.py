"""Nodes: how many are in use, their states (1.5), what is measured on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ccgateway.simulator.call import Call, FieldError
from ccgateway.simulator.clusters import Metric
from ccgateway.simulator.messages import GoError, parse_int
from ccgateway.simulator.nodes import StoredNode, nodes_of, places_of, sampled
from ccgateway.simulator.writing.refusing import NO_ROWS

__all__ = ["NODE_QUERIES"]

_PANIC = "MAIN > Panic caused by: "
_NO_ROLES = "user has no or unknown roles"


def allocated_nodes(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Distinct hosts with a running job, by sub-cluster: of everybody, for everybody."""
    hosts: dict[str, set[str]] = {}
    for job in call.backend.jobs:
        if job.running and job.cluster == arguments["cluster"]:
            hosts.setdefault(job.sub_cluster, set()).update(job.hosts)
    return [{"name": name, "count": len(some)} for name, some in hosts.items()]


def node(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One node by its number; nobody's role is looked at."""
    try:
        found = call.backend.nodes.by_id(parse_int(str(arguments["id"])))
    except GoError as bad:
        raise FieldError(str(bad)) from bad
    if found is None:
        raise FieldError(NO_ROWS)
    return _node(found)


def nodes(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The latest state of each."""
    found = [_node(one) for one in _matching(call, arguments)]
    return {"items": found, "count": len(found)}


def node_states(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """States of the scheduler, then of the monitoring."""
    found = _matching(call, arguments)
    return [
        {"state": state, "count": count}
        for states in ([one.state for one in found], [one.health for one in found])
        for state, count in sorted({state: states.count(state) for state in states}.items())
    ]


def node_states_timed(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How many nodes were told to be in each state, for each time at which any was."""
    kind = arguments["type"]
    if kind not in ("node", "health"):
        raise FieldError("unknown Node State Query Type")
    since = max((one.get("timeStart") or 0 for one in arguments.get("filter") or ()), default=0)
    counts: dict[str, dict[int, int]] = {}
    for one in _matching(call, arguments):
        for at, state, health in one.history:
            if at > since:
                of_state = counts.setdefault(state if kind == "node" else health, {})
                of_state[at] = of_state.get(at, 0) + 1
    return [
        {"state": state, "times": sorted(times), "counts": [times[at] for at in sorted(times)]} for state, times in counts.items()
    ]


def node_metrics(call: Call, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every node that has data; up to 1.4 also hosts that are no nodes of the cluster."""
    cluster = _cluster(call, arguments)
    known = dict(nodes_of(cluster))
    named = arguments.get("nodes")
    hosts: Iterable[str] = known if named is None else named
    if call.release.chi:
        hosts = [host for host in hosts if host in known]
    metrics = _metrics(call, arguments)
    span = _span(arguments, strict=call.release.chi)
    return [_measured(call, host, known.get(host, ""), metrics, span) for host in hosts] if metrics else []


def node_metrics_list(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A page of them."""
    cluster = _cluster(call, arguments)
    page, part = arguments.get("page"), arguments["subCluster"]
    if part and all(one["name"] != part for one in cluster["subClusters"]):
        name = cluster["name"]
        raise FieldError(f"subcluster '{part}' not found for cluster '{name}', or cluster '{name}' not configured")
    if page is None:
        raise FieldError(f"{_PANIC}runtime error: invalid memory address or nil pointer dereference")
    wanted, state = arguments["nodeFilter"], arguments.get("stateFilter", "all")
    stored = [one for one in call.backend.nodes if one.cluster == cluster["name"] and part in ("", one.sub_cluster)]
    if stored and state != "notindb":
        found = [(one.hostname, one.sub_cluster) for one in stored if state in ("all", one.state)]
    else:
        names = {one.hostname for one in stored}
        found = [one for one in nodes_of(cluster, part) if one[0] not in names]
    found = sorted(one for one in found if wanted in one[0])
    size, number = page["itemsPerPage"], page["page"]
    start, from_table = (number - 1) * size, bool(stored) and state != "notindb"
    if call.release.chi and number < 1:
        raise FieldError("could not retrieve node list required for resolving NodeMetricsList")
    if (start > len(found) and not from_table) or start < 0:
        raise FieldError(f"{_PANIC}runtime error: slice bounds out of range [{start}:{len(found)}]")
    metrics = _metrics(call, arguments)
    span = _span(arguments, strict=False)
    items = [_measured(call, host, sub, metrics, span) for host, sub in found[start : start + size]]
    if not call.release.chi and not metrics:
        items = []
    return {"items": items, "totalNodes": len(found), "hasNextPage": start + size < len(found)}


def cluster_metrics(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The sum over nodes, without the first one, in tera, with two decimals."""
    found = node_metrics(call, arguments)
    sums: list[dict[str, Any]] = []
    for place, metric in enumerate(_metrics(call, arguments)):
        rows = [one["metrics"][place]["metric"]["series"][0]["data"] for one in found[1:]]
        data = [round(sum(column) / 1e3, 2) for column in zip(*rows, strict=True)]
        unit = {**metric.unit, "prefix": "T"}
        sums.append({"name": metric.name, "unit": unit, "timestep": metric.timestep, "data": data})
    return {"nodeCount": len(found), "metrics": sums}


NODE_QUERIES: dict[str, Callable[[Call, Mapping[str, Any]], object]] = {
    "allocatedNodes": allocated_nodes,
    "node": node,
    "nodes": nodes,
    "nodesWithMeta": nodes,
    "nodeStates": node_states,
    "nodeStatesTimed": node_states_timed,
    "nodeMetrics": node_metrics,
    "nodeMetricsList": node_metrics_list,
    "clusterMetrics": cluster_metrics,
}


def _node(one: StoredNode) -> dict[str, Any]:
    return {
        "hostname": one.hostname, "cluster": one.cluster, "subCluster": one.sub_cluster, "jobsRunning": 0, "cpusAllocated": 0,
        "memoryAllocated": 0, "gpusAllocated": 0, "schedulerState": one.state, "healthState": one.health, "metaData": {},
        "healthData": {},
    }  # fmt: skip


def _matching(call: Call, arguments: Mapping[str, Any]) -> list[StoredNode]:
    if not call.who.has("admin", "support"):
        raise FieldError(_NO_ROLES)
    filters = arguments.get("filter") or ()
    return [one for one in call.backend.nodes if all(_fits(one, wanted) for wanted in filters)]


def _fits(one: StoredNode, wanted: Mapping[str, Any]) -> bool:
    texts = {"hostname": one.hostname, "cluster": one.cluster, "subCluster": one.sub_cluster}
    words = {"schedulerState": one.state, "healthState": one.health}
    return all(_text_fits(texts[name], wanted[name]) for name in texts if wanted.get(name)) and all(
        words[name] == wanted[name] for name in words if wanted.get(name) is not None
    )


def _text_fits(text: str, wanted: Mapping[str, Any]) -> bool:
    tests: dict[str, Callable[[Any], bool]] = {
        "eq": text.__eq__, "neq": text.__ne__, "startsWith": text.startswith, "endsWith": text.endswith,
        "contains": text.__contains__, "in": lambda some: text in some,
    }  # fmt: skip
    return next((test(wanted[name]) for name, test in tests.items() if wanted.get(name) is not None), True)


def _cluster(call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    if not call.release.row_visibility and not call.who.has("admin"):
        raise FieldError("you need to be an administrator for this query")
    if not call.who.has("admin", "support"):
        raise FieldError("you need to be administrator or support staff for this query")
    found = call.backend.cluster(arguments["cluster"])
    if found is not None:
        return found
    if call.release.chi:
        raise FieldError(f"{_PANIC}runtime error: invalid memory address or nil pointer dereference")
    raise FieldError(f"METRICDATA/METRICDATA > no metric data repository configured for '{arguments['cluster']}'")


def _metrics(call: Call, arguments: Mapping[str, Any]) -> list[Metric]:
    names = arguments.get("metrics")
    return [one for one in call.backend.hardware(arguments["cluster"]).metrics if names is None or one.name in names]


def _span(arguments: Mapping[str, Any], *, strict: bool) -> tuple[int, int]:
    first, last = (_seconds(arguments[name]) for name in ("from", "to"))
    if strict and first >= last:
        raise FieldError("nodeMetrics: from has to be before to")
    return first, last


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(re.sub(r"Z$", "+00:00", text)).timestamp())


def _measured(call: Call, host: str, part: str, metrics: Sequence[Metric], span: tuple[int, int]) -> dict[str, Any]:
    backend = call.backend
    cluster = next((str(c["name"]) for c in backend.clusters if host in dict(nodes_of(c))), "")
    stored = backend.nodes.find(cluster, host)
    return {
        "host": host,
        "subCluster": part,
        "nodeState": stored.state if stored else "",
        "metricHealth": stored.health if stored else "",
        "metrics": [{"name": one.name, "scope": "node", "metric": _metric(call, one, cluster, host, span)} for one in metrics],
    }


def _metric(call: Call, metric: Metric, cluster: str, host: str, span: tuple[int, int]) -> dict[str, Any]:
    series = []
    for place in places_of(metric, call.backend.hardware(cluster)):
        data = sampled(metric, f"{cluster}/{host}/{place}", *span)
        statistics = {"avg": round(sum(data) / len(data), 2), "min": min(data), "max": max(data)} if data else None
        series.append({"hostname": host, "id": place, "statistics": statistics, "data": data})
    return {"unit": metric.unit, "timestep": metric.timestep, "series": series, "statisticsSeries": None}
