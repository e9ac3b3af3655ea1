"""``job``, ``jobByKey``, ``clusters``, ``users`` and ``sites``: what the instances say themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from live import upstream
from live.faces import Http
from live.farm import Farm, Site
from live.truth import Job, truth_of, utc

FIELDS = "id site jobId cluster startTime user state shared partition numNodes duration energy metaData tags { type name scope }"
JOB = f"query ($id: ID!) {{ job(id: $id) {{ {FIELDS} }} }}"
BY_KEY = f"""query ($cluster: String!, $jobId: Int64!, $startTime: Time, $site: String) {{
  jobByKey(cluster: $cluster, jobId: $jobId, startTime: $startTime, site: $site) {{ {FIELDS} }} }}"""


def _shown(job: Job) -> dict[str, Any]:
    plain = "site jobId cluster user state shared partition numNodes duration energy metaData tags"
    return {"id": f"{job['site']}:{job['dbId']}", "startTime": utc(job["startTime"])} | {
        name: job[name] for name in plain.split()
    }


@pytest.fixture
def varied(scratch_url: str, scratch: Farm) -> Iterator[tuple[Http, list[Job]]]:
    client = Http(scratch_url)
    yield client, [job for job in truth_of(scratch) if job["state"] != "running"]
    client.close()


def test_a_job_by_its_id_is_the_one_in_the_list(farm_http: Http, farm_jobs: list[Job]) -> None:
    for job in farm_jobs[::53]:
        assert farm_http.data(JOB, {"id": f"{job['site']}:{job['dbId']}"})["job"] == _shown(job)


def test_so_is_a_job_with_tags_sharing_and_odd_names(varied: tuple[Http, list[Job]]) -> None:
    http, jobs = varied
    for job in [job for job in jobs if job["jobId"] >= 9_000_000]:
        assert http.data(JOB, {"id": f"{job['site']}:{job['dbId']}"})["job"] == _shown(job)


def test_a_job_that_is_not_there_is_not_found_at_any_release(farm: Farm, farm_http: Http) -> None:
    for site in farm:
        answer = farm_http.ask(JOB, {"id": f"{site.name}:999999"})
        assert answer["data"] == {"job": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]


def test_a_job_by_its_key_is_found_with_and_without_its_start_and_site(farm_http: Http, farm_jobs: list[Job]) -> None:
    for job in farm_jobs[::211]:
        key = {"cluster": job["cluster"], "jobId": job["jobId"]}
        full = {**key, "startTime": utc(job["startTime"]), "site": job["site"]}
        for variables in (key, {**key, "startTime": full["startTime"]}, {**key, "site": job["site"]}, full):
            assert farm_http.data(BY_KEY, variables)["jobByKey"] == _shown(job)


def test_a_key_that_no_job_has_is_not_found(farm_http: Http, farm_jobs: list[Job]) -> None:
    job = farm_jobs[0]
    for other in ({"jobId": 7}, {"startTime": utc(job["startTime"] + 1)}, {"cluster": "nowhere"}):
        answer = farm_http.ask(BY_KEY, {"cluster": job["cluster"], "jobId": job["jobId"], **other})
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]


METRIC = "name unit { base prefix } scope aggregation timestep peak normal caution alert"
CLUSTERS = f"""{{ clusters {{
  site name partitions
  metricConfig {{ {METRIC} lowerIsBetter subClusters {{ name peak normal caution alert remove }} }}
  subClusters {{
    name nodes numberOfNodes processorType socketsPerNode coresPerSocket threadsPerCore
    flopRateScalar {{ unit {{ base prefix }} value }} flopRateSimd {{ unit {{ base prefix }} value }}
    memoryBandwidth {{ unit {{ base prefix }} value }}
    topology {{ node socket memoryDomain die core }}
    metricConfig {{ {METRIC} }} footprint
  }}
}} }}"""


def test_clusters_are_those_of_each_instances_own_graphql(farm: Farm, farm_http: Http) -> None:
    ours = {(one["site"], one["name"]): one for one in farm_http.data(CLUSTERS)["clusters"]}
    expected = {(site.name, one["name"]): one for site in farm for one in upstream.query(site, _own_clusters(site))["clusters"]}
    assert ours.keys() == expected.keys()
    for key, theirs in expected.items():
        assert _like(ours[key], theirs) == _plain(theirs)


def test_clusters_are_those_of_each_instances_rest(farm: Farm, farm_http: Http) -> None:
    ours = {(one["site"], one["name"]): one for one in farm_http.data(CLUSTERS)["clusters"]}
    for site in [site for site in farm if site.version >= (1, 3)]:
        for theirs in upstream.clusters(site):
            mine = ours[site.name, theirs["name"]]
            assert [part["nodes"] for part in mine["subClusters"]] == [part["nodes"] for part in theirs["subClusters"]]
            for metric, other in zip(mine["metricConfig"], theirs["metricConfig"], strict=True):
                names = [name for name in metric if name not in ("unit", "subClusters", "lowerIsBetter")]
                assert {name: metric[name] for name in names} == {name: other[name] for name in names}
                assert metric["unit"]["base"] == other["unit"]["base"]
                assert metric["lowerIsBetter"] == other.get("lowerIsBetter")


def _own_clusters(site: Site) -> str:
    document = CLUSTERS.replace("site name partitions", "name partitions")
    if site.version >= (1, 4):
        on_cluster = document[document.index("metricConfig") : document.index("subClusters {\n")]
        return document.replace(on_cluster, "")
    return document.replace("lowerIsBetter", "").replace(f"metricConfig {{ {METRIC} }} footprint", "")


def _like(mine: Any, theirs: Any) -> Any:
    """Of ``mine`` the parts that ``theirs`` has too."""
    if isinstance(theirs, Mapping):
        return {name: _like(mine[name], value) for name, value in theirs.items()} if mine is not None else None
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], Mapping):
        by_name = {one["name"]: one for one in mine}
        return [_like(by_name[one["name"]], one) for one in sorted(theirs, key=lambda one: one["name"])]
    return sorted(mine) if isinstance(theirs, list) and theirs and isinstance(theirs[0], str) else _blank(mine)


def _plain(theirs: Any) -> Any:
    if isinstance(theirs, Mapping):
        return {name: _plain(value) for name, value in theirs.items()}
    if isinstance(theirs, list) and theirs and isinstance(theirs[0], Mapping):
        return [_plain(one) for one in sorted(theirs, key=lambda one: one["name"])]
    return sorted(theirs) if isinstance(theirs, list) and theirs and isinstance(theirs[0], str) else _blank(theirs)


def _blank(value: Any) -> Any:
    """Releases write a prefix that is not there as null or as an empty text."""
    return None if value == "" else value


def test_number_of_nodes_is_what_the_instance_counts(farm: Farm, farm_http: Http) -> None:
    ours = farm_http.data("{ clusters { site subClusters { name numberOfNodes } } }")["clusters"]
    for site in farm:
        theirs = upstream.query(site, "{ clusters { subClusters { name numberOfNodes } } }")["clusters"]
        assert [one["subClusters"] for one in ours if one["site"] == site.name] == [one["subClusters"] for one in theirs]


def test_users_are_each_instances_user_table(farm: Farm, farm_http: Http) -> None:
    found = farm_http.data("{ users { site username name email roles projects } }")["users"]
    expected = [
        {"site": site.name, "roles": user["roles"] or [], "projects": user["projects"] or []}
        | {name: user[name] for name in ("username", "name", "email")}
        for site in farm
        for user in upstream.users(site)
    ]
    assert sorted(found, key=repr) == sorted(({name: one[name] for name in found[0]} for one in expected), key=repr)


def test_the_release_of_every_instance_is_found_out(farm: Farm, farm_http: Http) -> None:
    found = farm_http.data("{ sites { name number release configuredRelease reachable lastError { code } sameAs } }")["sites"]
    assert found == [
        {
            "name": site.name, "number": site.number, "release": site.release, "configuredRelease": "auto", "reachable": True,
            "lastError": None, "sameAs": None,
        }
        for site in farm
    ]  # fmt: skip
