"""``POST /query``: clusters, and clear errors for the rest."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from graphql import build_schema
from graphql.execution.executor import Executor

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.clusters import nodes_in
from ccgateway.simulator.executing import ListExecutor
from ccgateway.simulator.job import Tag
from ccgateway.simulator.messages import Request, Response
from ccgateway.simulator.release import RELEASES, Release
from ccgateway.simulator.resolving import QUERIES
from ccgateway.simulator.sdl import sdl
from ccgateway.simulator.writing.mutations import MUTATIONS
from simulator.sites import EVERY_RELEASE, job, site

METRIC = (
    "name unit{base prefix} scope aggregation timestep peak normal caution alert"
    " subClusters{name peak normal caution alert remove}"
)
SUB = (
    "name nodes numberOfNodes processorType socketsPerNode coresPerSocket threadsPerCore"
    " flopRateScalar{unit{base prefix} value} topology{node socket memoryDomain die core accelerators{id type model}}"
)


def _ask(there: SimulatedSite, query: str, **variables: object) -> Response:
    headers = (("x-auth-token", there.token("alice")), ("content-type", "application/json"))
    body = msgspec.json.encode({"query": query, "variables": variables})
    return there.answer(Request("POST", "/query", headers=headers, body=body))


def _json(response: Response) -> Any:
    return msgspec.json.decode(response.body)


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_clusters_in_the_form_of_the_release(release: str) -> None:
    there = site(release, job(1, partition="main"), job(2))
    old = release in {"1.2", "1.3"}
    metrics = f"metricConfig{{{METRIC}{'' if old else ' lowerIsBetter'}}}"
    inside = SUB if old else f"{SUB} footprint {metrics}"
    document = f"{{clusters{{name partitions {metrics if old else ''} subClusters{{{inside}}}}}}}"
    (cluster,) = _json(_ask(there, document))["data"]["clusters"]
    (sub,) = cluster["subClusters"]
    assert (cluster["name"], cluster["partitions"]) == ("aurora", ["", "main"])
    assert (sub["numberOfNodes"], sub["topology"]["die"], sub["flopRateScalar"]["unit"]["prefix"]) == (64, None, "G")
    configured = (cluster if old else sub)["metricConfig"]
    assert [m["name"] for m in configured] == ["cpu_load", "mem_used", "flops_any", "mem_bw", "cpu_power"]
    assert configured[0]["unit"] == {"base": "", "prefix": ""}
    assert configured[0]["subClusters"] == []


@pytest.mark.parametrize(
    ("release", "document"),
    [
        ("1.5", "{clusters{metricConfig{name}}}"),
        ("1.3", "{clusters{subClusters{footprint}}}"),
        ("1.4", "{jobs{items{shared}}}"),
    ],
)
def test_fields_of_other_releases_are_refused(release: str, document: str) -> None:
    response = _ask(site(release, job(1)), document)
    assert response.status == 422
    (error,) = _json(response)["errors"]
    assert error["message"].startswith('Cannot query field "')
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize("release", RELEASES.values(), ids=list(RELEASES))
def test_every_question_of_the_schema_is_answered(release: Release) -> None:
    schema = build_schema(sdl(release))
    assert schema.query_type and schema.mutation_type
    assert schema.query_type.fields.keys() <= QUERIES.keys()
    assert schema.mutation_type.fields.keys() <= MUTATIONS.keys()


def test_the_name_of_a_metric_value_crashes() -> None:
    answer = _json(_ask(site("1.4", job(1)), "{clusters{subClusters{flopRateSimd{name value}}}}"))
    assert answer["data"]["clusters"][0]["subClusters"][0]["flopRateSimd"] == {"name": None, "value": 400}
    assert answer["errors"][0]["message"] == "internal system error"


@pytest.mark.parametrize(("release", "limited"), [("1.4", False), ("1.5", True)])
def test_complexity_is_limited_on_1_5(release: str, *, limited: bool) -> None:
    job_fields = "id jobId user project cluster subCluster startTime duration numNodes state"
    aliases = " ".join(f"a{k}:jobs{{items{{{job_fields}}} count}}" for k in range(450))
    answer = _json(_ask(site(release, job(1)), f"{{{aliases}}}"))
    message = "operation has complexity 5850, which exceeds the limit of 5000"
    refusal = {"message": message, "extensions": {"code": "COMPLEXITY_LIMIT_EXCEEDED"}}
    assert answer.get("errors") == ([refusal] if limited else None)


def test_a_parse_error_is_a_422() -> None:
    response = _ask(site("1.5", job(1)), "{clusters{")
    assert (response.status, _json(response)["errors"][0]["extensions"]["code"]) == (422, "GRAPHQL_PARSE_FAILED")


@pytest.mark.parametrize(("compact", "count"), [("an[001-064]", 64), ("an[001-004,070],login1", 6), ("a1,b2", 2)])
def test_node_lists_are_counted(compact: str, count: int) -> None:
    assert nodes_in(compact) == count


# --- lists by steps


ROWS = [
    job(1, partition="main", resources=[{"hostname": "n1", "hwthreads": [0, 1]}, {"hostname": "n2"}]),
    job(2, metaData={"jobName": "a"}, tags=[Tag(1, "type", "name", "global")]),
    job(3, state="running", arrayJobId=2),
]
FIELDS = "id jobId user state startTime duration numNodes tags{id type name} resources{hostname hwthreads configuration} metaData"
LISTS = [
    f"{{jobs{{count items{{{FIELDS} __typename}}}}}}",
    "{jobs{items{id footprint{name stat value}}}}",
    "query($x: Boolean = false){jobs{items{a: id b: jobId ...f @include(if: $x)}}} fragment f on Job{user resources{hostname}}",
    "query($x: Boolean = true){jobs{items{...f @include(if: $x) ...f}}} fragment f on Job{user resources{hostname}}",
    "{jobs{items{id resources{hostname ...on Resource{accelerators}}}} tags{id type name}}",
    "{jobs{items{id userData{username name email}}}}",
    "{jobs{items{id concurrentJobs{listQuery count items{id jobId}}}}}",
    "{clusters{name partitions subClusters{name nodes numberOfNodes topology{node socket die accelerators{id}}}}}",
]


@pytest.mark.parametrize("document", LISTS)
@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_lists_are_what_graphql_core_makes_of_them(release: str, document: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = site(release, *ROWS)
    by_steps = _json(_ask(there, document))
    assert by_steps.get("data") or "footprint" in document  # which the old releases do not have
    monkeypatch.setattr(ListExecutor, "complete_list_value", Executor.complete_list_value)
    assert by_steps == _json(_ask(there, document))


def test_a_list_in_which_something_is_wrong_has_the_error_of_its_row() -> None:
    answer = _json(_ask(site("1.5", *ROWS), "{clusters{name subClusters{flopRateScalar{name value}}}}"))
    (error,) = answer["errors"]
    assert error["message"] == "internal system error"
    assert error["path"] == ["clusters", 0, "subClusters", 0, "flopRateScalar", "name"]
