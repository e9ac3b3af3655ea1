"""Values that nobody means, in every field that takes such: an answer or a reason, and never a fault of the gateway's own."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from acceptance.conftest import Front, gateway, site

RELEASES = {"s12": "1.2", "s13": "1.3", "s14": "1.4", "s15": "1.5"}
#: times of which one is in no year that the calendar has, as UTC
FIRST, LAST = "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"
NOW = "2025-10-09T08:00:00Z"
LISTED = "query($f: [JobFilter!]!) { jobs(filter: $f, first: 5) { items { id } count complete } }"
COUNTED = "query($f: [JobFilter!]!) { jobsStatistics(filter: $f) { totalJobs } }"

TIMES = [
    f'{{ {field}(cluster: "s{number}", from: "{start}", to: "{end}"{more}) {shown} }}'
    for field, more, shown in (
        ("nodeMetrics", ', metrics: ["cpu_load"]', "{ host }"),
        ("nodeMetricsList", ', subCluster: "main", nodeFilter: "", metrics: ["cpu_load"]', "{ count }"),
        ("clusterMetrics", ', metrics: ["cpu_load"]', "{ nodeCount }"),
    )
    for number in (13, 14, 15)
    for start, end in ((FIRST, "0001-01-02T00:00:00Z"), ("9999-12-31T00:00:00Z", LAST))
]
FILTERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "tags whose ids are long": ({"tags": ["a/b/" + "%e9" * 700_000]}, {"LIMIT_EXCEEDED"}),
    "many tags": ({"tags": [f"a/b/{'%41' * 30}{number}" for number in range(1000)]}, {"LIMIT_EXCEEDED"}),
    "a job's id that is long": ({"dbId": ["1" * 4_000_000]}, {"LIMIT_EXCEEDED"}),
    "some tags": ({"tags": [f"a/b/{number}" for number in range(500)]}, set()),
    "many jobs": ({"dbId": [f"s15:{number}" for number in range(900)]}, set()),
    "a project that no URL can name": ({"project": {"eq": "p" * 100_000}}, {"LIMIT_EXCEEDED", "ALL_SITES_FAILED"}),
    "a user that no URL can name": ({"user": {"eq": "u" * 100_000}}, {"LIMIT_EXCEEDED", "ALL_SITES_FAILED"}),
}


@pytest.fixture(params=["rest", "auto"])
async def front(request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    sites = [site(name, release, count=30) for name, release in RELEASES.items()]
    async with gateway(*sites, reads=request.param) as found:
        yield found


def codes(content: dict[str, Any]) -> set[str]:
    return {error["extensions"]["code"] for error in content.get("errors", ())}


@pytest.fixture(autouse=True)
def _no_tracebacks(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO)
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("query", TIMES)
async def test_times_beyond_the_calendar_are_its_ends(front: Front, query: str) -> None:
    assert codes(await front.ask(query)) <= {"UNSUPPORTED", "BAD_REQUEST", "ALL_SITES_FAILED"}


@pytest.mark.parametrize(("page", "size"), [(2**31 - 1, 1_000_000), (3, 2**31 - 1)])
async def test_a_page_beyond_any_list_is_empty_and_its_offset_beyond_32_bits_is_not_told(
    front: Front, page: int, size: int
) -> None:
    found = await front.ask(f"{{ jobs(page: {{page: {page}, itemsPerPage: {size}}}) {{ offset limit hasNextPage complete }} }}")
    assert found["data"]["jobs"] == {"offset": None, "limit": size, "hasNextPage": False, "complete": True}
    assert codes(found) == set()


async def test_the_second_largest_page_tells_its_offset(front: Front) -> None:
    found = await front.ask(f"{{ jobs(page: {{page: 2, itemsPerPage: {2**31 - 1}}}) {{ offset limit }} }}")
    assert found["data"]["jobs"] == {"offset": 2**31 - 1, "limit": 2**31 - 1}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("document", [LISTED, COUNTED])
async def test_filters_of_any_length_are_answered_or_refused(front: Front, name: str, document: str) -> None:
    wanted, expected = FILTERS[name]
    found = await front.ask(document, f=[wanted])
    assert codes(found) <= expected, json.dumps(found)[:500]
    assert codes(found) or found["data"]
