"""``jobs`` of ``POST /query``: each release's filters, paging and orders, with what it ignores and gets wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request
from simulator.sites import NOW, job, running, site

ALL = ("1.2", "1.3", "1.4", "1.5")
OLD, FROM_1_4 = ("1.2", "1.3"), ("1.4", "1.5")


def jobs(there: SimulatedSite, what: str = "items{id} count", *, user: str = "demo", **arguments: Any) -> Any:
    """The whole answer to ``jobs`` with these arguments, as text of GraphQL's."""
    given = ",".join(f"{name}:{value}" for name, value in arguments.items())
    body = msgspec.json.encode({"query": f"{{jobs{f'({given})' if given else ''}{{{what}}}}}"})
    headers = (("x-auth-token", there.token(user)), ("content-type", "application/json"))
    return msgspec.json.decode(there.answer(Request("POST", "/query", headers=headers, body=body)).body)


def ids(there: SimulatedSite, **arguments: Any) -> set[int]:
    return {row["id"] for row in jobs(there, **arguments)["data"]["jobs"]["items"]}


TABLE: list[tuple[str, tuple[str, ...], set[int]]] = [
    ('{user:{eq:"bob"}}', ALL, {2}),
    ('{user:{startsWith:"AL"}}', ALL, {1, 3}),
    ('{user:{eq:"bob",in:["alice"]}}', ALL, {2}),
    ('{user:{in:[]}}', ALL, set()),
    ("{numNodes:{from:2,to:0}}", ("1.2", "1.3", "1.4"), set()),
    ("{numNodes:{from:2,to:0}}", ("1.5",), {3}),
    ("{numNodes:{from:-1,to:1}}", ("1.2", "1.3", "1.4"), {1, 2}),
    ("{numNodes:{from:-1,to:1}}", ("1.5",), {1, 2, 3}),
    ('{jobName:{eq:"job1"}}', ("1.3", "1.4", "1.5"), {1}),
    ('{jobName:{eq:"job1"}}', ("1.2",), set()),
    ('{jobName:{contains:"\\"jobName\\":\\"job1\\""}}', ("1.2",), {1}),
    ('{jobName:{in:["job1"]}}', ("1.3", "1.4", "1.5"), {1, 2, 3}),
    ('{node:{eq:"an001"}}', FROM_1_4, {1, 2}),
    ('{node:{eq:"an001"}}', OLD, set()),
    ('{node:{contains:"\\"hostname\\":\\"an001\\""}}', OLD, {1, 2}),
    ('{node:{in:["an001"]}}', FROM_1_4, {1, 2, 3}),
    ("{duration:{from:1,to:100000}}", OLD, {1, 2, 3}),
    ("{duration:{from:1,to:100000}}", FROM_1_4, {1, 2}),
    ("{exclusive:2}", OLD, {1, 2, 3}),
    ("{exclusive:2}", ("1.4",), set()),
    ('{jobId:{eq:"01001"}}', ALL, {1}),
    ("{startTime:{from:\"2025-10-09T08:36:40Z\"}}", ALL, {3}),
    ('{metricStats:[{metricName:"load_avg",range:{from:2,to:9}}]}', FROM_1_4, {2}),
    ('{metricStats:[{metricName:"load",range:{from:2,to:9}}]}', FROM_1_4, set()),
]  # fmt: skip


def _site(release: str) -> SimulatedSite:
    return site(
        release,
        job(1, user="alice", footprint={"load_avg": 1.0}),
        job(2, user="bob", footprint={"load_avg": 2.5}),
        running(3, user="alice", numNodes=4, resources=[{"hostname": "an002"}]),
    )


@pytest.mark.parametrize(("given", "releases", "found"), TABLE)
def test_what_each_release_finds(given: str, releases: tuple[str, ...], found: set[int]) -> None:
    for release in releases:
        assert ids(_site(release), filter=given) == found, release


@pytest.mark.parametrize("release", ALL)
def test_a_job_with_two_of_the_tags_comes_twice_up_to_1_3(release: str) -> None:
    tags = [{"id": 1, "type": "t", "name": "a"}, {"id": 2, "type": "t", "name": "b"}]
    answer = jobs(site(release, job(1, tags=tags), job(2)), filter="{tags:[1,2]}")["data"]["jobs"]
    assert (answer["count"], len(answer["items"])) == ((2, 2) if release in OLD else (1, 1))


@pytest.mark.parametrize(
    ("release", "arguments", "words"),
    [
        ("1.4", {"filter": '{node:{startsWith:"a"}}'}, "syntax error"),
        ("1.5", {"filter": '{shared:"no\'ne"}'}, "syntax error"),
        ("1.5", {"filter": "{state:[stopped]}"}, "stopped is not a valid JobState"),
        ("1.4", {"filter": "{state:[suspended]}"}, "suspended is not a valid JobState"),
        ("1.5", {"page": "{itemsPerPage:0,page:1}"}, "invalid items-per-page value: 0"),
        ("1.5", {"order": '{field:"user",type:"col"}'}, "no such column"),
        ("1.3", {"order": '{field:"hpcUser"}'}, "no such column"),
        ("1.5", {"order": '{field:"start time",type:"col"}'}, "MAIN > Panic"),
        ("1.5", {"filter": "[{tags:[1]},{tags:[2]}]"}, "syntax error"),
        ("1.3", {"filter": "[{tags:[1]},{tags:[2]}]"}, "ambiguous column"),
        ("1.5", {"filter": '{startTime:{from:"yesterday"}}'}, "time should be RFC3339Nano"),
    ],
)
def test_a_failure_takes_all_the_data(release: str, arguments: dict[str, str], words: str) -> None:
    answer = jobs(_site(release), **arguments)
    assert answer["data"] is None
    assert words in answer["errors"][0]["message"]


@pytest.mark.parametrize("release", ALL)
def test_pages_below_1(release: str) -> None:
    strict = release == "1.5"
    assert ids(_site(release), page="{itemsPerPage:2,page:0}", order=_by("startTime", release)) == ({3, 2} if strict else set())
    assert ids(_site(release), page="{itemsPerPage:-1,page:9}") == {1, 2, 3}


def _by(field: str, release: str, direction: str = "DESC", kind: str = "col") -> str:
    return f'{{field:"{field}"{f",type:{chr(34)}{kind}{chr(34)}" if release in FROM_1_4 else ""},order:{direction}}}'


@pytest.mark.parametrize("release", FROM_1_4)
def test_jobs_without_the_footprint_come_first_where_the_least_does(release: str) -> None:
    found = jobs(_site(release), order=_by("load_avg", release, "ASC", "foot"))["data"]["jobs"]["items"]
    assert [row["id"] for row in found] == [3, 1, 2]


@pytest.mark.parametrize("release", ALL)
def test_whom_it_shows_what(release: str) -> None:
    assert ids(_site(release), user="bob") == ({1, 2, 3} if release in OLD else {2})
    assert ids(_site(release), user="robot") == {1, 2, 3}


@pytest.mark.parametrize("release", ALL)
def test_numbers_of_64_bits_and_times_of_the_site(release: str) -> None:
    there = site(release, job(1, jobId=2**40 + 1, startTime=NOW), zone="Europe/Berlin")
    answer = jobs(there, "items{jobId startTime}", filter=f'{{jobId:{{eq:"{2**40 + 1}"}}}}')
    assert answer["data"]["jobs"]["items"] == [{"jobId": 2**40 + 1, "startTime": "2025-10-09T10:53:20+02:00"}]
