"""Metrics by gRPC are those of GraphQL, value by value: of one job, and of many in their order."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ccgateway.v1.jobs_service_pb2 import GetJobMetricsRequest, StreamJobMetricsRequest
from ccgateway.v1.metrics_pb2 import JobMetric, MetricSelection
from support.faces import Faces
from surfaces.grpc.listing import LIST, RELEASES

pytestmark = pytest.mark.asyncio(loop_scope="module")

METRICS = """query M($id: ID!, $metrics: [String!], $scopes: [MetricScope!], $resolution: Int) {
  jobMetrics(id: $id, metrics: $metrics, scopes: $scopes, resolution: $resolution) { name scope
    metric { unit { base prefix } timestep series { hostname id statistics { avg min max } data }
    statisticsSeries { mean median min max } } } }"""


def numbers(samples: Any) -> list[float | None]:
    return [None if math.isnan(one) else one for one in samples]


def metric_of(one: JobMetric) -> dict[str, Any]:
    over_all = one.statistics_series
    return {
        "name": one.name,
        "scope": one.scope,
        "metric": {
            "unit": {"base": one.unit.base, "prefix": one.unit.prefix} if one.HasField("unit") else None,
            "timestep": one.timestep_seconds,
            "series": [
                {
                    "hostname": each.hostname,
                    "id": each.id if each.HasField("id") else None,
                    "statistics": {key: getattr(each.statistics, key) for key in ("avg", "min", "max")}
                    if each.HasField("statistics")
                    else None,
                    "data": numbers(each.samples),
                }
                for each in one.series
            ],
            "statisticsSeries": {key: numbers(getattr(over_all, key)) for key in ("mean", "median", "min", "max")}
            if one.HasField("statistics_series")
            else None,
        },
    }


def normal(pieces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for piece in pieces:
        if piece["metric"]["unit"] is not None:
            piece["metric"]["unit"]["prefix"] = piece["metric"]["unit"]["prefix"] or ""
    return pieces


SELECTIONS: dict[str, tuple[MetricSelection, dict[str, Any]]] = {
    "all": (MetricSelection(), {}),
    "some": (MetricSelection(metrics=["flops_any", "cpu_load"]), {"metrics": ["flops_any", "cpu_load"]}),
    "scopes": (
        MetricSelection(metrics=["cpu_load", "mem_bw"], scopes=["core", "node"]),
        {"metrics": ["cpu_load", "mem_bw"], "scopes": ["core", "node"]},
    ),
    "none there": (MetricSelection(metrics=["nonsense"]), {"metrics": ["nonsense"]}),
    "all samples": (MetricSelection(resolution_seconds=0), {"resolution": 0}),
    "coarser": (MetricSelection(resolution_seconds=240), {"resolution": 240}),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("where", RELEASES)
async def test_metrics_are_the_same_value_by_value(both: Faces, name: str, where: str) -> None:
    selection, arguments = SELECTIONS[name]
    for number in (7, 50):
        ident = f"{where}:{number}"
        wanted = normal((await both.data(METRICS, id=ident, **arguments))["jobMetrics"])
        found = await both.jobs.GetJobMetrics(GetJobMetricsRequest(id=ident, selection=selection))
        assert [metric_of(one) for one in found.metrics] == wanted
        assert found.site_report.site == where and (name == "none there" or found.metrics)


async def test_all_samples_are_another_wish_than_none(both: Faces) -> None:
    thinned_out = {"cluster": {"eq": "borealis"}, "state": ["completed"], "duration": {"from": 8000, "to": 900_000}}
    ident = (await both.data(LIST, filter=[thinned_out], first=1))["jobs"]["items"][0]["id"]
    steps = []
    for selection in (MetricSelection(), MetricSelection(resolution_seconds=0), MetricSelection(resolution_seconds=120)):
        found = await both.jobs.GetJobMetrics(GetJobMetricsRequest(id=ident, selection=selection))
        steps.append({one.timestep_seconds for one in found.metrics})
    assert steps == [{600}, {60}, {120}]


async def test_metrics_of_many_jobs_come_in_their_order(both: Faces) -> None:
    ids = [f"{name}:{number}" for number in (7, 8, 50) for name in RELEASES]
    wanted = {ident: normal((await both.data(METRICS, id=ident))["jobMetrics"]) for ident in ids}
    asked = [*ids, "aurora:999999", "nowhere:1", "x"]
    messages = [one async for one in both.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=asked))]
    assert [one.id for one in messages if one.job_done] == asked
    found: dict[str, list[Any]] = {}
    for one in messages:
        found.setdefault(one.id, []).extend(map(metric_of, one.metrics))
    assert {ident: found[ident] for ident in ids} == wanted
    errors = {one.id: one.error.code for one in messages if one.HasField("error")}
    assert errors == {"aurora:999999": "NOT_FOUND", "nowhere:1": "UNKNOWN_SITE", "x": "BAD_REQUEST"}


async def test_metrics_of_many_jobs_come_under_the_ids_that_were_asked_for(both: Faces) -> None:
    asked = ["7001", "aurora:7", "7999", "7001"]
    messages = [one async for one in both.jobs.StreamJobMetrics(StreamJobMetricsRequest(ids=asked))]
    assert [one.id for one in messages if one.job_done] == asked
    assert [one.id for one in messages if one.HasField("error")] == ["7999"]
    numbered, named = ([metric_of(m) for one in messages if one.id == ident for m in one.metrics] for ident in asked[:2])
    assert numbered == named * 2 != []
