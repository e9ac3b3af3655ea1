"""Every field of every job is the instance's own value: as REST lists it, and as the instance's own GraphQL gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pytest

from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.model import JOB_FIELDS
from live import upstream
from live.faces import CALLER, Http, gateway_over
from live.farm import Farm, Site
from live.truth import SHARED, Job, truth_of, utc

PLAIN = [
    "site", "jobId", "user", "project", "cluster", "subCluster", "duration", "walltime", "numNodes", "numHWThreads", "numAcc",
    "energy", "SMT", "shared", "partition", "arrayJobId", "monitoringStatus", "state", "metaData",
]  # fmt: skip
EVERY_FIELD = f"""
query ($after: String) {{
  jobs(first: 700, after: $after) {{
    items {{
      id startTime {" ".join(PLAIN)}
      key {{ site cluster jobId startTime }}
      tags {{ id type name scope }}
      resources {{ hostname hwthreads accelerators configuration }}
      footprint {{ name stat value }}
      concurrentJobs {{ count }}
      energyFootprint {{ value }}
      userData {{ username name email }}
    }}
    pageInfo {{ endCursor hasNextPage }}
  }}
}}
"""


@pytest.fixture
def scratch_http(scratch_url: str) -> Iterable[Http]:
    client = Http(scratch_url)
    yield client
    client.close()


@pytest.fixture(params=["seeded jobs", "jobs of every kind"])
def asked(request: pytest.FixtureRequest) -> tuple[Http, Farm]:
    """The served gateway in front of either farm, and the farm."""
    seeded = request.param == "seeded jobs"
    http: Http = request.getfixturevalue("farm_http" if seeded else "scratch_http")
    farm: Farm = request.getfixturevalue("farm" if seeded else "scratch")
    return http, farm


def _all(http: Http) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    after = None
    while True:
        page = http.data(EVERY_FIELD, {"after": after})["jobs"]
        found |= {item["id"]: item for item in page["items"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _still(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job without what goes on changing while it runs."""
    return {name: value for name, value in job.items() if name != "duration" or job["state"] != "running"}


def test_every_field_is_what_the_instance_lists(asked: tuple[Http, Farm]) -> None:
    http, farm = asked
    ours = _all(http)
    accounts = {(site.name, user["username"]): user for site in farm for user in upstream.users(site)}
    jobs = truth_of(farm)
    assert len(ours) == len(jobs)
    for job in jobs:
        expected = _as_schema(job, accounts)
        item = ours[expected["id"]]
        item["footprint"] = _sorted(item["footprint"])
        item.pop("energyFootprint")  # told by the instance's own GraphQL alone: below
        for tag in item["tags"]:
            tag.pop("id")
        assert _still(item) == _still(expected)


def _as_schema(job: Job, accounts: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[str, Any]:
    start = utc(job["startTime"])
    account = accounts.get((job["site"], job["user"]))
    footprint = None
    if job["footprint"] is not None:
        pairs = ((key.rsplit("_", 1), value) for key, value in job["footprint"].items())
        footprint = _sorted({"name": name, "stat": stat, "value": value} for (name, stat), value in pairs)
    return {
        **{name: job[name] for name in PLAIN},
        "id": f"{job['site']}:{job['dbId']}",
        "startTime": start,
        "key": {"site": job["site"], "cluster": job["cluster"], "jobId": job["jobId"], "startTime": start},
        "tags": job["tags"],
        "resources": job["resources"],
        "footprint": footprint,
        "concurrentJobs": None,
        "userData": account and {name: account[name] for name in ("username", "name", "email")},
    }


def _sorted(values: Iterable[Any] | None) -> list[Any] | None:
    return None if values is None else sorted(values, key=lambda value: (value["name"], value["stat"]))


OWN = (
    "id jobId user project cluster subCluster startTime duration walltime numNodes numHWThreads numAcc SMT partition arrayJobId "
    "monitoringStatus state metaData resources { hostname hwthreads accelerators configuration } tags { type name %s } %s"
)


def _own_document(site: Site) -> str:
    later = "energy footprint { name stat value } energyFootprint { value }" if site.version >= (1, 4) else ""
    fields = OWN % ("scope" if site.version >= (1, 4) else "", f"{'shared' if site.is_newest else 'exclusive'} {later}")
    return f"{{ jobs(page: {{itemsPerPage: -1, page: 1}}) {{ items {{ {fields} }} }} }}"


def test_every_field_is_what_the_instances_own_graphql_gives(asked: tuple[Http, Farm]) -> None:
    http, farm = asked
    ours = _all(http)
    for site in farm:
        own = upstream.query(site, _own_document(site))["jobs"]["items"]
        assert len(own) == sum(item["site"] == site.name for item in ours.values())
        for theirs in own:
            item = ours[f"{site.name}:{theirs['id']}"]
            expected = _translated(theirs)
            shown = {**item, "footprint": _sorted(item["footprint"]), "tags": [_tag(tag) for tag in item["tags"]]}
            assert _still({name: shown[name] for name in expected}) == _still(expected)


def _translated(theirs: Mapping[str, Any]) -> dict[str, Any]:
    job = {name: value for name, value in theirs.items() if name not in ("id", "exclusive")}
    if "exclusive" in theirs:
        job["shared"] = SHARED[theirs["exclusive"]]
    job["startTime"] = utc(int(datetime.fromisoformat(theirs["startTime"]).timestamp()))
    job["tags"] = [_tag(tag) for tag in theirs["tags"]]
    # no configuration is an empty text there, and nothing at all in REST
    job["resources"] = [{**host, "configuration": host["configuration"] or None} for host in theirs["resources"]]
    if "footprint" in theirs:  # an empty list stands for none there; which it is, REST tells
        job["footprint"] = _sorted(theirs["footprint"]) or None
    return job


def _tag(tag: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": tag["type"], "name": tag["name"], "scope": tag.get("scope", "global")}


async def test_rows_hold_the_same_values_as_the_list(farm: Farm, farm_jobs: list[Job]) -> None:
    by_place = {(job["site"], job["dbId"]): job for job in farm_jobs}
    names = {"num_hw_threads": "numHWThreads", "smt": "SMT", "id": "dbId"}
    async with gateway_over(farm.settings()) as gateway:
        answer = await gateway.jobs(JobListQuestion(first=5000, fields=frozenset(JOB_FIELDS)), CALLER)
    assert len(answer.rows) == min(5000, len(farm_jobs))
    for row in answer.rows:
        job = by_place[row.site, row.id]
        for attribute in JOB_FIELDS.keys() - {"resources", "tags"}:
            head, *rest = attribute.split("_")
            name = names.get(attribute) or head + "".join(part.capitalize() for part in rest)
            assert getattr(row, attribute) == job[name], f"{row.key} {attribute}"
        assert [host.hostname for host in row.resources] == [host["hostname"] for host in job["resources"]]
        threads = [None if host.hwthreads is None else list(host.hwthreads) for host in row.resources]
        assert threads == [host["hwthreads"] for host in job["resources"]]
        assert [tag.name for tag in row.tags or ()] == [tag["name"] for tag in job["tags"]]


def test_tags_of_the_same_scope_type_and_name_are_one_tag_over_all_sites_that_filters_know(
    asked: tuple[Http, Farm],
) -> None:
    http, farm = asked
    ours = _all(http)
    jobs = truth_of(farm)
    tags = {tag["id"]: _tag(tag) for item in ours.values() for tag in item["tags"]}
    for tag_id, tag in tags.items():
        document = "query ($filter: [JobFilter!]) { jobs(filter: $filter, first: 1000) { items { id } } }"
        found = http.data(document, {"filter": [{"tags": [tag_id]}]})["jobs"]["items"]
        assert {item["id"] for item in found} == {f"{job['site']}:{job['dbId']}" for job in jobs if tag in job["tags"]}
    assert len({(tag["type"], tag["name"], tag["scope"]) for tag in tags.values()}) == len(tags)
