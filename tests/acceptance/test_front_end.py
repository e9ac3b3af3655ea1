"""What cc-backend's own front end asks beside jobs and statistics, over simulated sites of four releases: everybody is told what
the site tells that person's own token, or less; several sites' answers become one; nothing that a site says makes it wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acceptance.people import NOW, PEOPLE, Caller, Gate, WatchedSite, gateway_for, job
from ccgateway.simulator.messages import Request, Response
from support.documents import READING, variables_for

RELEASES = ("1.2", "1.3", "1.4", "1.5")
SPAN = 'from: "2025-10-09T08:00:00Z", to: "2025-10-09T08:05:00Z"'
DAY = "2025-10-09"


class Site(WatchedSite):
    """``lies``: in place of the answer to a question of the site's own GraphQL that it gives words to."""

    lies: Callable[[str], bytes | None] | None = None

    def answer(self, request: Request) -> Response:
        asked = request.path == "/query" and self.lies is not None
        body = self.lies(request.body.decode()) if asked and self.lies is not None else None
        return super().answer(request) if body is None else Response(200, body, (("content-type", "application/json"),))

    def query(self, person: str, document: str) -> dict[str, Any]:
        """What the site says to that person's own token."""
        headers = (("x-auth-token", self.token(person)), ("content-type", "application/json"))
        body = msgspec.json.encode({"query": document})
        answer: dict[str, Any] = json.loads(super().answer(Request("POST", "/query", "", headers, body)).body)
        return answer


def site_of(release: str, name: str = "") -> Site:
    """Jobs of several people on the same hosts, some of them running; two nodes whose states are known."""
    name = name or "c" + release.replace(".", "")
    jobs = []
    for number, owner in enumerate(("alice", "bob", "alice", "mona", "bob", "dave"), 1):
        one = job(number, owner, name) | {"shared": "multi_user", "duration": 50_000, "energy": 1.5 * number}
        one["resources"] = [{"hostname": f"cn{(number + 1) // 2:03d}"}]
        if number > 3:
            one |= {"jobState": "running", "startTime": NOW - 5000, "duration": 0, "energy": 0.0}
        jobs.append(one)
    site = Site(name, release, jobs, clock=lambda: float(NOW))
    for number, state in enumerate(("allocated", "allocated", "idle") if release == "1.5" else (), 1):
        site.backend.nodes.tell(name, "main", f"cn{number:03d}", [state], NOW - 100)
    return site


@asynccontextmanager
async def front(folder: Path, *sites: Site, **sections: Any) -> AsyncIterator[Gate]:
    async with gateway_for(*sites, way="signed", folder=folder, **sections) as gate:
        yield gate


def caller(gate: Gate, person: str) -> Caller:
    """That person, who keeps no connection: on a busy machine the other side may let go of one just then."""
    return gate.caller(person, Connection="close")


#: by name: a question that site and gateway are asked in the same words ($c: the cluster)
QUESTIONS: Mapping[str, str] = {
    "globalMetrics": "{ globalMetrics { name scope footprint unit { base prefix } availability { cluster subClusters } } }",
    "user": '{ user(username: "alice") { username name email } }',
    "another user": '{ user(username: "bob") { username name email } }',
    "no user": '{ user(username: "nobody") { username } }',
    "allocatedNodes": '{ allocatedNodes(cluster: "$c") { name count } }',
    "nodeMetrics": f'{{ nodeMetrics(cluster: "$c", nodes: ["cn001", "cn002"], '
    f'metrics: ["cpu_load", "mem_bw"], scopes: [node], {SPAN}) '
    "{ host subCluster metrics { name scope metric { timestep unit { base prefix } series { hostname id data statistics "
    "{ min avg max } } } } } }",
    "nodes": '{ nodes(filter: {cluster: {eq: "$c"}}) { count items { hostname cluster schedulerState healthState } } }',
    "nodesWithMeta": '{ nodesWithMeta(filter: {cluster: {eq: "$c"}}) { count items { hostname metaData healthData } } }',
    "nodeStates": '{ nodeStates(filter: [{cluster: {eq: "$c"}}]) { state count } }',
    "nodeStatesTimed": '{ nodeStatesTimed(filter: [{cluster: {eq: "$c"}, timeStart: 0}], type: "node") { state counts times } }',
    "concurrentJobs": "{ job(id: $1) { concurrentJobs { count listQuery items { jobId } } } }",
    "another's concurrentJobs": "{ job(id: $2) { concurrentJobs { count items { jobId } } } }",
    "userData": "{ job(id: $1) { userData { username name email } } }",
    "energyFootprint": "{ job(id: $1) { energyFootprint { hardware metric value } } }",
}
#: what no release before has
FIRST = {
    "globalMetrics": "1.4", "nodes": "1.5", "nodesWithMeta": "1.5", "nodeStates": "1.5", "nodeStatesTimed": "1.5",
    "energyFootprint": "1.4",
}  # fmt: skip
#: where sites tell everybody everything, and the gateway does not
GUARDED = frozenset({"allocatedNodes"})
STAFF = frozenset({"demo", "sam", "robot"})


def worded(question: str, cluster: str, site_number: int = 0) -> str:
    """The question for the site itself, or (with its number) for the gateway, whose ids have that at their end."""
    text = question.replace("$c", cluster)
    for number in (1, 2):
        text = text.replace(f"${number}", str(number * 1000 + site_number if site_number else number))
    return text


def value_in(answer: Mapping[str, Any]) -> Any:
    """The one root field's value; of a list the order does not count."""
    data = answer.get("data")
    value = next(iter(data.values())) if data else None
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


def is_told(value: Any) -> bool:
    return bool(value) and any(value.values()) if isinstance(value, dict) else bool(value)


@pytest.mark.parametrize("release", RELEASES)
async def test_nobody_is_told_more_than_the_persons_own_token_is(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    async with front(tmp_path, site) as gate:
        for person in [name for name in PEOPLE if name in site.users]:
            for name, question in QUESTIONS.items():
                own = value_in(site.query(person, worded(question, site.name)))
                told = await caller(gate, person).ask(worded(question, site.name, 1))
                shown = value_in(told)
                assert "INTERNAL" not in str(told), (person, name, told)
                if name == "globalMetrics" and release < FIRST[name]:
                    assert [one["name"] for one in shown] == ["cpu_load", "cpu_power", "flops_any", "mem_bw", "mem_used"]
                elif is_told(shown):
                    assert shown == own, (person, name)
                    assert person in STAFF or name not in GUARDED, (person, name)
                    assert person in STAFF or release >= "1.4" or "concurrentJobs" not in name, (person, name)
                elif (person, release) == ("sam", "1.4") and "SITE_UNAUTHORIZED" in str(told):
                    pass  # REST of 1.4 lets no such token in, and nobody gets by /query what REST refuses
                elif is_told(own) and person in STAFF and release >= FIRST.get(name, "1.2"):
                    pytest.fail(f"{person} is not told {name}: {told}")


@pytest.mark.parametrize("release", RELEASES)
async def test_a_release_that_lacks_a_question_says_so_for_its_part_alone(release: str, tmp_path: Path) -> None:
    sites = [site_of(release, "one"), site_of("1.5", "two")]
    async with front(tmp_path, *sites) as gate:
        for name in ("nodes", "nodesWithMeta", "nodeStates", "nodeStatesTimed"):
            question = QUESTIONS[name].replace('cluster: {eq: "$c"}', 'hostname: {eq: "cn001"}')
            told = await caller(gate, "demo").ask(question)
            codes = [(one["extensions"]["code"], one["extensions"].get("site")) for one in told.get("errors", ())]
            assert codes == ([] if release == "1.5" else [("UNSUPPORTED", "one")]), (name, told)
            assert is_told(value_in(told)), (name, told)
            strict = await caller(gate, "demo").ask(question.replace(") {", ", policy: STRICT) {", 1))
            assert (strict["data"] is None) is (release != "1.5"), (name, strict)


async def test_a_cluster_that_is_named_keeps_other_sites_out_of_it(tmp_path: Path) -> None:
    sites = [site_of(release) for release in RELEASES]
    async with front(tmp_path, *sites) as gate:
        for site in sites:
            site.heard.clear()
        told = await caller(gate, "demo").ask(worded(QUESTIONS["nodes"], "c15"))
        assert "errors" not in told and told["data"]["nodes"]["count"] == 3
        assert not any(request.path == "/query" and b"nodes:" in request.body for site in sites[:3] for request in site.heard)


async def test_states_are_added_over_sites_and_times_only_where_they_are_the_same(tmp_path: Path) -> None:
    sites = [site_of("1.5", "one"), site_of("1.5", "two")]
    sites[1].backend.nodes.tell("two", "main", "cn009", ["down"], NOW - 50)
    async with front(tmp_path, *sites) as gate:
        states = value_in(await caller(gate, "demo").ask("{ nodeStates { state count } }"))
        assert {one["state"]: one["count"] for one in states} == {"allocated": 4, "idle": 2, "down": 1, "full": 7}
        document = '{ nodeStatesTimed(type: "%s", filter: [{timeStart: 1}]) { state counts times sites } }'
        timed = (await caller(gate, "demo").ask(document % "node"))["data"]["nodeStatesTimed"]
        assert timed == [
            {"state": "allocated", "counts": [4], "times": [NOW - 100], "sites": ["one", "two"]},
            {"state": "idle", "counts": [2], "times": [NOW - 100], "sites": ["one", "two"]},
            {"state": "down", "counts": [1], "times": [NOW - 50], "sites": ["two"]},
        ]
        health = (await caller(gate, "demo").ask(document % "health"))["data"]["nodeStatesTimed"]
        assert [(one["counts"], one["sites"]) for one in health] == [([3], ["one"]), ([3, 1], ["two"])]


async def test_metrics_of_all_clusters_come_once_and_say_who_has_them(tmp_path: Path) -> None:
    async with front(tmp_path, *[site_of(release) for release in RELEASES]) as gate:
        document = "{ globalMetrics { name footprint availability { site cluster subClusters } } }"
        told = await caller(gate, "alice").ask(document)
        assert "errors" not in told
        found = {one["name"]: one for one in told["data"]["globalMetrics"]}
        assert list(found) == ["cpu_load", "cpu_power", "flops_any", "mem_bw", "mem_used"]
        for one in found.values():
            assert [(part["site"], part["subClusters"]) for part in one["availability"]] == [
                (name, ["main"]) for name in ("c12", "c13", "c14", "c15")
            ]


@pytest.mark.parametrize("release", RELEASES)
async def test_a_clusters_metrics_are_the_sum_over_its_nodes(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    async with front(tmp_path, site) as gate:
        ask = caller(gate, "demo").ask
        measured = f'(cluster: "{site.name}", metrics: ["cpu_load", "mem_bw"], {SPAN})'
        nodes = (await ask(f"{{ nodeMetrics{measured} {{ host metrics {{ name metric {{ series {{ data }} }} }} }} }}"))["data"]
        told = (await ask(f"{{ clusterMetrics{measured} {{ nodeCount metrics {{ name unit {{ prefix }} timestep data }} }} }}"))[
            "data"
        ]
    assert told["clusterMetrics"]["nodeCount"] == len(nodes["nodeMetrics"]) == 64
    for place, name in enumerate(("cpu_load", "mem_bw")):
        rows = [series["data"] for node in nodes["nodeMetrics"] for series in node["metrics"][place]["metric"]["series"]]
        (found,) = [one for one in told["clusterMetrics"]["metrics"] if one["name"] == name]
        assert found["data"] == pytest.approx([sum(column) for column in zip(*rows, strict=True)], abs=0.01)
        assert (found["timestep"], found["unit"]["prefix"]) == (60, "G" if name == "mem_bw" else "")


@pytest.mark.parametrize("release", ["1.4", "1.5"])
async def test_nodes_come_page_by_page_whatever_the_release_makes_of_pages(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    listed = 3 if release == "1.5" else 64
    document = (
        f'query($p: PageRequest) {{ nodeMetricsList(cluster: "{site.name}", subCluster: "", nodeFilter: "", stateFilter: "all", '
        f'scopes: [node], metrics: ["cpu_load"], {SPAN}, page: $p, resolution: 0) {{ totalNodes hasNextPage count items '
        "{ host nodeState metricHealth subCluster metrics { name metric { series { data } } } } } }"
    )
    async with front(tmp_path, site) as gate:
        ask = caller(gate, "demo").ask
        hosts: list[str] = []
        for number in range(1, 40):
            page = (await ask(document, p={"itemsPerPage": 2, "page": number}))["data"]["nodeMetricsList"]
            hosts += [one["host"] for one in page["items"]]
            assert page["totalNodes"] == listed
            if not page["hasNextPage"]:
                break
        assert hosts == [f"cn{number:03d}" if site.name[0] == "c" else "" for number in range(1, listed + 1)]
        beyond = await ask(document, p={"itemsPerPage": 50, "page": 9})
        assert "errors" not in beyond and beyond["data"]["nodeMetricsList"]["items"] == []
        whole = await ask(document)
        assert len(whole["data"]["nodeMetricsList"]["items"]) == min(10, listed)
        for wrong in ({"itemsPerPage": -1, "page": 1}, {"itemsPerPage": 0, "page": 1}, {"itemsPerPage": 5, "page": 0}):
            refused = await ask(document, p=wrong)
            assert refused["errors"][0]["extensions"]["code"] == "BAD_REQUEST", refused
        for old, new in (('subCluster: ""', 'subCluster: "x"'), ("08:05", "08:00")):
            refused = await ask(document.replace(old, new))
            assert refused["errors"][0]["extensions"]["code"] == "BAD_REQUEST", refused
        of_state = await ask(document.replace('stateFilter: "all"', 'stateFilter: "idle"'))
        if release == "1.5":
            assert [one["host"] for one in of_state["data"]["nodeMetricsList"]["items"]] == ["cn003"]
        else:
            assert of_state["errors"][0]["extensions"]["code"] == "UNSUPPORTED"


@pytest.mark.parametrize("release", RELEASES)
async def test_a_cluster_that_a_site_does_not_have_never_reaches_it(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    async with front(tmp_path, site) as gate:
        for question in ("allocatedNodes", "nodeMetrics"):
            told = await caller(gate, "demo").ask(worded(QUESTIONS[question], "nowhere"))
            assert told["errors"][0]["extensions"]["code"] == "UNKNOWN_CLUSTER", told
        assert not any(b"nowhere" in request.body for request in site.heard)


async def test_what_is_empty_asks_for_nothing_but_scopes_which_are_the_sites_then(tmp_path: Path) -> None:
    site = site_of("1.4")
    async with front(tmp_path, site) as gate:
        for nothing in ("metrics: []", "nodes: []"):
            told = await caller(gate, "demo").ask(f'{{ nodeMetrics(cluster: "c14", {nothing}, {SPAN}) {{ host }} }}')
            assert told["data"] == {"nodeMetrics": []}
        both = []
        for scopes in ("", "scopes: [],"):
            text = f'{{ nodeMetrics(cluster: "c14", {scopes} {SPAN}) {{ host metrics {{ name scope }} }} }}'
            nodes = (await caller(gate, "demo").ask(text))["data"]["nodeMetrics"]
            both.append(sorted((one["host"], metric["name"], metric["scope"]) for one in nodes for metric in one["metrics"]))
        assert both[0] and both[0] == both[1]


@pytest.mark.parametrize("id", ["c15:1", "1001", "c15:c15:cn001"])
async def test_a_node_is_shown_to_those_alone_who_may_list_nodes(id: str, tmp_path: Path) -> None:  # noqa: A002
    async with front(tmp_path, site_of("1.5")) as gate:
        for person in PEOPLE:
            told = await caller(gate, person).ask("query($i: ID!) { node(id: $i) { id hostname schedulerState } }", i=id)
            if person in ("demo", "sam"):
                assert told["data"]["node"] == {"id": "c15:c15:cn001", "hostname": "cn001", "schedulerState": "allocated"}
            else:
                assert told["data"]["node"] is None, person
                assert told["errors"][0]["extensions"]["code"] == "SITE_UNAUTHORIZED", told
        missing = await caller(gate, "demo").ask('{ a: node(id: 77001) { hostname } b: node(id: "c15:c15:cn077") { hostname } }')
        assert {one["extensions"]["code"] for one in missing["errors"]} == {"NOT_FOUND"}


async def test_details_of_many_jobs_cost_one_request(tmp_path: Path) -> None:
    site = site_of("1.5")
    async with front(tmp_path, site) as gate:
        site.heard.clear()
        told = await caller(gate, "demo").ask(
            "{ jobs { items { jobId userData { name } concurrentJobs { count } energyFootprint { value } } } }"
        )
        assert "errors" not in told
        assert len(told["data"]["jobs"]["items"]) == 6
        assert sum(request.path == "/query" for request in site.heard) == 3
        site.heard.clear()
        await caller(gate, "demo").ask("{ jobs { items { jobId } } }")
        assert not any(request.path == "/query" for request in site.heard)


async def test_settings_of_a_front_end_are_the_callers_own_and_bounded(tmp_path: Path) -> None:
    set_it = "mutation($n: String!, $v: String!) { updateConfiguration(name: $n, value: $v) }"
    site = site_of("1.5")
    async with front(tmp_path, site) as gate:
        alice, bob = caller(gate, "alice"), caller(gate, "bob")
        for name, value in (("a", "1"), ("b", '["x"]'), ("a", "2")):
            assert await alice.ask(set_it, n=name, v=value) == {"data": {"updateConfiguration": None}}
        assert (await alice.ask("{ configuration { name value } }"))["data"]["configuration"] == [
            {"name": "a", "value": "2"},
            {"name": "b", "value": '["x"]'},
        ]
        assert (await bob.ask("{ configuration { name value } }"))["data"]["configuration"] == []
        await bob.ask("mutation { " + " ".join(f'm{i}: updateConfiguration(name: "{i}", value: "{i}")' for i in range(20)) + " }")
        assert len((await bob.ask("{ configuration { name } }"))["data"]["configuration"]) == 20
        for name, value, code in (
            ("c", "x" * 50_000, "LIMIT_EXCEEDED"),
            ("", "x", "BAD_REQUEST"),
            ("n" * 300, "x", "BAD_REQUEST"),
        ):
            refused = await alice.ask(set_it, n=name, v=value)
            assert refused["errors"][0]["extensions"]["code"] == code
        assert not any(b"updateConfiguration" in request.body for request in site.heard)


SQL = "SELECT node.hostname, node.secret FROM node WHERE node.cluster = 'x'"
LIES: Mapping[str, bytes] = {
    "a web page": b"<html><body>busy</body></html>",
    "nothing": b"",
    "no object": b"[]",
    "no data": b'{"data":null}',
    "a word": b'{"data":"x"}',
    "nulls": b'{"data":{"nodes":null,"nodeStates":null,"nodeMetrics":null,"j0":null,"n0":null,"allocatedNodes":null,'
    b'"globalMetrics":null,"nodeStatesTimed":null}}',
    "nulls in lists": b'{"data":{"nodes":{"items":[null]},"nodeStates":[null],"nodeMetrics":[null],"allocatedNodes":[null],'
    b'"globalMetrics":[null],"nodeStatesTimed":[null],"j0":{"jobId":null},"n0":{"username":null}}}',
    "errors with SQL": json.dumps({"errors": [{"message": SQL, "path": ["j0"]}], "data": None}).encode(),
    "errors beside data": json.dumps(
        {"errors": [{"message": SQL}], "data": {"nodeStates": [{"state": "idle", "count": 9}]}}
    ).encode(),
    "many errors": json.dumps({"errors": [{"message": "x" * 20}] * 50_000, "data": None}).encode(),
    "another's": b'{"data":{"n0":{"username":"eve","name":"Eve","email":"e@x"},"j0":{"jobId":7,"cluster":"x",'
    b'"concurrentJobs":{"items":[{"id":"9","jobId":9}]},"energyFootprint":[{"hardware":"CPU","metric":"m","value":9}]}}}',
    "counts that do not fit": b'{"data":{"nodeStatesTimed":[{"state":"idle","counts":[1,2],"times":[5]}]}}',
    "numbers that are none": b'{"data":{"nodeStates":[{"state":"idle","count":1e400}],"allocatedNodes":'
    b'[{"name":"a","count":"x"}]}}',
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_broken_answer_is_never_a_wrong_one(lie: str, tmp_path: Path) -> None:
    site, other = site_of("1.5"), site_of("1.4")

    def lies(question: str) -> bytes | None:
        return None if "{clusters{" in question else LIES[lie]

    async with front(tmp_path, site, other) as gate:
        for name, question in QUESTIONS.items():
            site.lies = None
            before = await caller(gate, "demo").ask(worded(question, site.name, 1))
            site.lies = lies
            told = await caller(gate, "demo").ask(worded(question, site.name, 1))
            assert "INTERNAL" not in str(told) and "SELECT" not in str(told) and "secret" not in str(told), (name, told)
            assert "eve" not in str(told), (name, told)
            shown = value_in(told)
            assert told.get("errors") or not is_told(shown) or shown == value_in(before), (name, told)
            if is_told(shown) and name != "globalMetrics":
                assert shown == value_in(before), (name, told)


@pytest.mark.parametrize("release", RELEASES)
async def test_a_document_of_every_field_and_argument_is_answered(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    lacking = {name for name, first in FIRST.items() if first > release and name not in ("globalMetrics", "energyFootprint")}
    lacking |= {"node"} if release < "1.5" else set()
    lacking |= {"nodeMetricsList"} if release < "1.4" else set()
    async with front(tmp_path, site, site_of("1.5", "other")) as gate:
        for name, document in READING.items():
            variables = variables_for(name, cluster=site.name, job="1001", node="1001", day=DAY)
            told = await caller(gate, "demo").ask(document, **variables)
            codes = {one["extensions"]["code"] for one in told.get("errors", ())}
            assert codes == ({"UNSUPPORTED"} if name in lacking else set()), (name, told)
            assert name in lacking or told["data"][name] is not None, (name, told)


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4"])
async def test_what_one_release_lacks_leaves_the_rest_of_a_document_standing(release: str, tmp_path: Path) -> None:
    site = site_of(release)
    async with front(tmp_path, site) as gate:
        allocated = f'allocatedNodes(cluster: "{site.name}") {{ count }}'
        both = f"{{ {allocated} {worded(QUESTIONS['nodes'], site.name)[1:-1]} }}"
        told = await caller(gate, "demo").ask(both)
        own = site.query("demo", f"{{ {allocated} }}")["data"]["allocatedNodes"]
        assert own and told["data"] == {"allocatedNodes": own, "nodes": {"count": 0, "items": []}}, told
        assert [one["extensions"]["code"] for one in told["errors"]] == ["UNSUPPORTED"]
