"""Rows of a site's own GraphQL are those of REST: hosts, their configuration, and footprints in another form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.model import JobRow, Resource
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.queries.documents import QueriedList
from ccgateway.site.releases.query_facts import QueryFacts
from ccgateway.site.releases.v1_2 import V1_2
from ccgateway.site.releases.v1_5 import V1_5

ATTRIBUTES = frozenset({"resources", "footprint"})
JOB = {"id": 7, "jobId": 7, "cluster": "alex", "startTime": "2025-11-29T21:00:00+01:00"}


def rows(facts: QueryFacts | None, *jobs: dict[str, Any]) -> list[JobRow]:
    assert facts is not None
    items = [{**JOB, **job} for job in jobs]
    body = json.dumps({"data": {"jobs": {"count": len(items), "items": items}}}).encode()
    listed = QueriedList.of(facts, ATTRIBUTES, [], order=None, size=50)
    return listed.rows(SiteAnswer(200, "application/json", body), "one")


def host(name: str, **more: Any) -> dict[str, Any]:
    return {"hostname": name, "hwthreads": None, "accelerators": None, "configuration": "", **more}


def test_a_host_without_configuration_has_none_and_one_with_it_its_own() -> None:
    hosts = [host("a"), host("b", configuration="turbo off", hwthreads=[0, 1], accelerators=["0"]), host("c", configuration=None)]
    (row,) = rows(V1_5.query, {"resources": hosts, "footprint": []})
    assert row.resources == (Resource("a"), Resource("b", (0, 1), ("0",), "turbo off"), Resource("c"))
    assert row.start_time == 1_764_446_400


def test_footprints_have_the_keys_of_rest() -> None:
    listed = [{"name": "cpu_load", "stat": "avg", "value": 1.5}, {"name": "", "stat": "energy", "value": 0}]
    found = rows(V1_5.query, {"resources": [], "footprint": listed}, {"resources": None, "footprint": None})
    assert [row.footprint for row in found] == [{"cpu_load_avg": 1.5, "energy": 0.0}, None]
    assert [row.resources for row in found] == [(), None]


def test_a_release_without_footprints_has_none_of_them() -> None:
    (row,) = rows(V1_2.query, {"resources": [host("a")]})
    assert (row.footprint, row.resources) == (None, (Resource("a"),))


@pytest.mark.parametrize(
    "job",
    [
        {"resources": [{"hwthreads": [1]}], "footprint": []},
        {"resources": [host("a", hwthreads=["0"])], "footprint": []},
        {"resources": [host("a", hwthreads=[2**40])], "footprint": []},
        {"resources": [], "footprint": [{"name": "cpu_load", "stat": "avg", "value": "1"}]},
        {"resources": [], "footprint": {"cpu_load_avg": 1}},
    ],
)
def test_hosts_and_footprints_of_another_form_are_a_misfit(job: dict[str, Any]) -> None:
    with pytest.raises(SiteError) as refused:
        rows(V1_5.query, job)
    assert refused.value.code in (Code.WRONG_RELEASE, Code.BAD_ANSWER)
