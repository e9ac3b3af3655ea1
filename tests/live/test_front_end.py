"""What cc-backend 1.5.4's own web front end asks, over real instances: as the instance of 1.5.4 answers it itself, and from older
releases all but what they lack.

Needs the front end's source beside the instances (``live/front_end.py``).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from live import upstream
from live.enrich import FIRST_JOB_ID, measure, start, stop, wait_for
from live.faces import Http
from live.farm import Farm, Site
from live.front_end import FRONT_END, Document, Subject, documents_in, front_end

FOLDER = front_end()
DOCUMENTS = [one for one in documents_in(FOLDER) if one.reads] if FOLDER else []
#: root fields that a release does not have
LACKING: Mapping[str, frozenset[str]] = {
    "1.4": frozenset({"nodes", "nodesWithMeta", "nodeStates", "nodeStatesTimed"}),
    "1.3": frozenset({"nodes", "nodesWithMeta", "nodeStates", "nodeStatesTimed", "nodeMetricsList"}),
    "1.2": frozenset({"nodes", "nodesWithMeta", "nodeStates", "nodeStatesTimed", "nodeMetricsList"}),
}
RUNNING = [FIRST_JOB_ID + 700 + number for number in range(4)]

pytestmark = pytest.mark.skipif(FOLDER is None, reason=f"{FRONT_END} is not set: it names the source of the front end")


@pytest.fixture(scope="module")
def now(scratch: Farm) -> Iterator[int]:
    """When jobs run at every site, and a 1.5 has metrics and states of its nodes."""
    moment = int(time.time())
    for site in scratch:
        for number in RUNNING:
            start(site, number, moment - 1200, user="alice" if number % 2 else "bob")
    for site in scratch:
        if site.is_newest:
            hosts = [f"{site.cluster[0]}n00{host}" for host in range(1, 10)]
            measure(site, hosts, moment)
            nodes = [{"hostname": host, "states": ["allocated" if place % 3 else "idle"]} for place, host in enumerate(hosts)]
            status, said = upstream.call(site, "POST", "/api/nodestate/", {"cluster": site.cluster, "nodes": nodes})
            assert status == 200, said
        wait_for(site, RUNNING)
    yield moment
    for site in scratch:
        for number in RUNNING:
            stop(site, number, moment - 1200)


@pytest.fixture
def http(scratch_url: str, now: int) -> Iterator[Http]:
    client = Http(scratch_url)
    yield client
    client.close()


def job_of(site: Site) -> dict[str, Any]:
    """An archived job of several hosts."""
    return next(row for row in upstream.listed(site) if row["numNodes"] > 1 and row["jobId"] < FIRST_JOB_ID)


def subject(site: Site, now: int, *, job: str) -> Subject:
    return Subject(site.cluster, "main", job, f"{site.cluster[0]}n001", "alice", now)


# --- 1.5.4


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_it_is_answered_as_the_instance_itself_answers(document: Document, http: Http, scratch: Farm, now: int) -> None:
    site = next(site for site in scratch if site.is_newest)
    row = job_of(site)
    theirs = upstream.query(site, document.text, subject(site, now, job=str(row["id"])).variables(document))
    ours = http.ask(document.text, subject(site, now, job=f"{site.name}:{row['id']}").variables(document))
    # whoever names no cluster asks all sites
    assert all(one["extensions"]["code"] == "UNSUPPORTED" and one["extensions"]["site"] != site.name for one in _errors(ours))
    assert any(theirs.values())
    found, expected = _read(ours["data"], site, is_own=False), _read(theirs, site, is_own=True)
    if document.name == "StatisticsDash 1":  # of running jobs alone, 1.5.4 counts what is measured just now
        assert [one["metric"] for one in found["jobsStatistics"][0]["histMetrics"]] == ["cpu_load", "mem_bw"]
        return
    tags, own = found.pop("tags", []), expected.pop("tags", [])
    assert all(tag in tags for tag in own)
    assert list(_differences(found, expected)) == []


def _errors(answer: Mapping[str, Any]) -> list[Any]:
    return list(answer.get("errors", ()))


def _read(data: Mapping[str, Any], site: Site, *, is_own: bool) -> dict[str, Any]:
    """An answer in which ids are the instance's, of lists the order does not count, and other sites' clusters are left out."""
    return {field: _plain(_of_field(field, value, site.cluster), None if is_own else site) for field, value in data.items()}


def _of_field(field: str, value: Any, cluster: str) -> Any:
    match field:
        case "clusters":
            return _of_cluster(value, "name", cluster)
        case "globalMetrics":
            return [metric | {"availability": _of_cluster(metric["availability"], "cluster", cluster)} for metric in value]
        case "footprints":
            metrics = {one["metric"]: one["data"] for one in value["metrics"]}
            columns = [*value["timeWeights"].values(), *(metrics[name] for name in sorted(metrics))]
            return sorted(zip(*columns, strict=True), key=str)
        case "clusterMetrics":  # which 1.5.4 adds up wrongly
            return [value["nodeCount"], *sorted(one["name"] for one in value["metrics"])]
        case "scopedJobStats":  # of which 1.5.4 gives all metrics, whichever are asked for
            return [one for one in value if one["name"] in ("cpu_load", "flops_any", "mem_bw")]
    return value


def _of_cluster(value: list[dict[str, Any]], key: str, cluster: str) -> list[dict[str, Any]]:
    return [one for one in value if one[key] == cluster]


def _plain(value: Any, site: Site | None, key: str = "") -> Any:
    if isinstance(value, dict):
        is_tag = value.keys() == {"id", "type", "name", "scope"}
        return {name: _plain(one, site, name) for name, one in value.items() if not is_tag or name != "id"}
    if isinstance(value, list):
        found = [_plain(one, site, key) for one in value]
        is_set = bool(found) and isinstance(found[0], dict)
        return sorted(found, key=lambda one: json.dumps(one, sort_keys=True)) if is_set else found
    if key == "id" and isinstance(value, str | int):
        if site is not None and isinstance(value, int):
            return str(value // 1000)  # an integer id of the REST faces
        return str(value).removeprefix(f"{site.name}:") if site is not None else str(value)
    if key == "footprint" and value is None:
        return []
    return None if key == "prefix" and value == "" else value


#: seconds that pass between the two; hours, of which every part is cut off
_LEEWAY = {"duration": 10, "totalWalltime": 1, "totalNodeHours": 1, "totalCoreHours": 1, "totalAccHours": 1}


def _differences(ours: Any, theirs: Any, *path: str | int) -> Iterator[tuple[Any, ...]]:
    """Where the two differ, but for the last digit and for seconds that pass: path, ours, theirs."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in ours.keys() | theirs.keys():
            yield from _differences(ours.get(key), theirs.get(key), *path, key)
    elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(one, other, *path, place)
    elif isinstance(theirs, int | float) and isinstance(ours, int | float):
        if abs(ours - theirs) > _LEEWAY.get(str(path[-1]), 0.02):
            yield path, ours, theirs
    elif ours != theirs:
        yield path, ours, theirs


# --- older releases


@pytest.mark.parametrize("release", LACKING)
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_of_an_older_release_nothing_is_missing_but_what_it_lacks(
    document: Document, release: str, http: Http, scratch: Farm, now: int
) -> None:
    site = next(site for site in scratch if site.release == release)
    row = job_of(site)
    answer = http.ask(document.text, subject(site, now, job=f"{site.name}:{row['id']}").variables(document))
    fields = {alias or name: name for alias, name in re.findall(r"(?:(\w+)\s*:\s*)?(\w+)\s*\(", document.text)}
    errors = [(one["extensions"]["code"], fields[one["path"][0]]) for one in _errors(answer) if "path" in one]
    assert len(errors) == len(_errors(answer)), answer["errors"]
    assert set(errors) == {("UNSUPPORTED", name) for name in fields.values() if name in LACKING[release]}, _errors(answer)
    for field, value in (answer["data"] or {}).items():
        assert value is not None or fields[field] in LACKING[release], field
