"""The REST faces against what real instances answer themselves: the same request, sent to the instance and to the gateway.

Every recorded request of 1.5.4 that reads, or that is refused, goes to the real 1.5.4 and to a gateway over that one site. Bodies
must be the same bytes, but for ids, the order of jobs of one second, and that of metrics and of their series, which is random
there. Over all releases, both faces must give every job of every instance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from acceptance.recorded import FACE, is_of_gateway
from contract.exchanges import Exchange, exchanges
from live.faces import served
from live.farm import Farm, Site
from live.truth import Job

#: of the recorded requests, those by users that the farm has, and under the root that they may use; no writes but refused ones
USERS = ("demo", "robot", "alice", "bob")
SAME = ("Content-Type", "Allow")

_ID_IN_PATH = re.compile(r"(/(?:jobs|metrics|tag_job|edit_meta|delete_job)/)(\d+)(?=$|\?)")
_ID_OF_JOB = re.compile(rb'"id":(\d+)(?=,"startTime")')
_ID_IN_WORDS = re.compile(rb"(db id |\(id |dbid: )(\d+)")

LEFT_OUT = {
    "alice's metrics as robot under /api": "the gateway knows another way to what its token may see",
    "alice's metrics as robot under /userapi": "the gateway knows another way to what its token may see",
    "clusters, unknown": "the instance sends its content type twice",
    "delete by id": "it would be deleted",
    "delete by id, again": "it would be deleted",
}


@dataclass(frozen=True, slots=True)
class Got:
    """One answer."""

    status: int
    headers: dict[str, str | None]
    body: bytes


def asked(url: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Got:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    got = Got(answer.status, {name: answer.getheader(name) for name in SAME}, answer.read())
    connection.close()
    return got


def is_comparable(one: Exchange) -> bool:
    if one.who not in USERS or not is_of_gateway(one) or one.case in LEFT_OUT:
        return False
    if one.path.startswith("/api/") and one.who in ("alice", "bob"):
        return False
    return not one.writes or one.answer["status"] in (400, 404, 405)


ASKED = [one for one in exchanges("v1.5.4") if is_comparable(one)]


@pytest.fixture(scope="module")
def newest(farm: Farm) -> Site:
    return next(site for site in farm if site.is_newest)


@pytest.fixture(scope="module")
def fronts(newest: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A gateway for every user, over the newest instance alone."""
    folder = tmp_path_factory.mktemp
    with (
        served([newest.settings("demo")], folder("demo")) as demo,
        served([newest.settings("robot")], folder("robot")) as robot,
        served([newest.settings("alice")], folder("alice")) as alice,
        served([newest.settings("bob")], folder("bob")) as bob,
    ):
        yield {"demo": demo, "robot": robot, "alice": alice, "bob": bob}


def as_gateway(body: bytes, number: int) -> bytes:
    body = _ID_OF_JOB.sub(lambda found: b'"id":%d' % (int(found[1]) * 1000 + number), body)
    return _ID_IN_WORDS.sub(lambda found: found[1] + b"%d" % (int(found[2]) * 1000 + number), body)


def ordered(body: bytes) -> Any:
    """The body as text, but where order is random: there as sorted pieces of text."""
    try:
        found = json.loads(body)
    except json.JSONDecodeError:
        return body
    if isinstance(found, dict) and isinstance(found.get("jobs"), list):
        # a page may cut a second, of whose jobs there are more than it shows
        starts = [one["startTime"] for one in found["jobs"]]
        whole = {start for start in starts if start not in (starts[0], starts[-1])}
        jobs = [one for one in found["jobs"] if one["startTime"] in whole]
        return starts, sorted(map(json.dumps, jobs)), found["items"], found["page"]
    if isinstance(found, dict) and (found.get("Data") or found.get("data")):
        return _sorted(found)
    return body


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted((_sorted(one) for one in value), key=json.dumps)
    return value


@pytest.mark.parametrize("exchange", ASKED, ids=lambda one: one.id)
def test_the_gateway_answers_as_the_instance_does(exchange: Exchange, newest: Site, fronts: dict[str, str]) -> None:
    headers = dict(exchange.headers)
    direct = asked(
        newest.url, exchange.method, exchange.path, exchange.body, headers | {"X-Auth-Token": newest.tokens[exchange.who]}
    )
    path = FACE + _ID_IN_PATH.sub(lambda found: f"{found[1]}{int(found[2]) * 1000 + newest.number}", exchange.path)
    given = asked(fronts[exchange.who], exchange.method, path, exchange.body, headers)
    assert (given.status, given.headers) == (direct.status, direct.headers)
    assert ordered(given.body) == ordered(as_gateway(direct.body, newest.number))


@pytest.mark.parametrize("base", ["/api", FACE + "/api"])
def test_the_list_over_all_releases_has_every_job(base: str, farm_url: str, farm: Farm, farm_jobs: list[Job]) -> None:
    numbers = {site.name: site.number for site in farm}
    found: dict[int, Any] = {}
    page = 1
    while True:
        got = asked(farm_url, "GET", f"{base}/jobs/?items-per-page=333&page={page}&with-metadata=true", None, {})
        assert got.status == 200
        jobs = json.loads(got.body)["jobs"]
        assert not found.keys() & {one["id"] for one in jobs}
        found |= {one["id"]: one for one in jobs}
        page += 1
        if len(jobs) < 333:
            break
    expected = {job["dbId"] * 1000 + numbers[job["site"]]: job for job in farm_jobs}
    assert found.keys() == expected.keys()
    for number, job in expected.items():
        told = found[number]
        same = ("jobId", "cluster", "user", "project", "startTime", "duration", "numNodes", "shared", "metaData", "footprint")
        assert {name: told[name] for name in same} == {name: job[name] for name in same}
        assert told["jobState"] == job["state"] and told.get("walltime", 0) == job["walltime"]


@pytest.mark.parametrize("base", ["/api", FACE + "/api"])
def test_single_jobs_and_their_metrics_have_one_shape_at_every_release(
    base: str, farm_url: str, farm: Farm, farm_jobs: list[Job]
) -> None:
    shapes = set()
    for site in farm:
        job = next(one for one in farm_jobs if one["site"] == site.name and one["numNodes"] > 1)
        number = job["dbId"] * 1000 + site.number
        whole = json.loads(asked(farm_url, "GET", f"{base}/jobs/{number}?all-metrics=true", None, {}).body)
        assert whole["Meta"]["jobId"] == job["jobId"] and whole["Meta"]["metaData"] == job["metaData"]
        assert whole["Data"]["cpu_load"]["node"]["series"]
        metrics = json.loads(asked(farm_url, "GET", f"{base}/jobs/metrics/{number}?metric=cpu_load&scope=node", None, {}).body)
        (told,) = metrics["metrics"] if "metrics" in metrics else metrics["data"]["jobMetrics"]
        assert told["name"] == "cpu_load"
        shapes.add((*whole, *whole["Meta"], *told))
    assert (
        len({frozenset(shape) - {"tags", "partition", "arrayJobId", "smt", "numAcc", "statisticsSeries"} for shape in shapes})
        == 1
    )
