"""The work of a request grows with what it sends and no faster: variables, parameters, bodies and headers are multiplied.

The whole gateway is asked, over sites in memory. Calls are counted, not time, so that a busy machine changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from ccgateway.federation.gateway import Gateway
from ccgateway.identity.principal import Principal
from ccgateway.settings import LimitSettings
from ccgateway.settings.export import ExportSettings
from ccgateway.site.exchange import SiteAnswer
from ccgateway.surfaces.compression import CompressionMiddleware
from ccgateway.surfaces.export.routes import export_routes
from ccgateway.surfaces.export.streams import Streams
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.rest.routes import rest_routes
from ccgateway.traffic.admission import Traffic
from support.calls import counted_calls
from support.upstream import Job, Sites, Upstream, site_of

SMALL, LARGE = 60, 480
CALLER = Principal("root", frozenset({"admin"}))
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
START = 1_700_000_000
LIMITS = LimitSettings.model_validate({})


def application() -> Any:
    sites = [Upstream(Job(number, START + number, cluster=name) for number in range(1, 20)) for name in ("alex", "fritz")]
    for site in sites:  # what it costs them to write is not what is measured
        site.fails = lambda asked: None if asked.safe else SiteAnswer(404, "text/plain", b"404 page not found\n")
    gateway = Gateway(Sites([site_of(sites[0], "a", 1), site_of(sites[1], "b", 2)]), LIMITS)

    async def caller(_request: Request) -> Principal:
        return CALLER

    export = ExportSettings.model_validate({})
    routes = [
        *graphql_routes(gateway, caller, LIMITS, graphiql=False),
        *rest_routes(gateway, caller, LIMITS),
        export_routes(gateway, caller, LIMITS, Streams(export), export, partial="serve", origins=(), traffic=Traffic(LIMITS)),
    ]
    return CompressionMiddleware(Starlette(routes=routes), compresses=True)


def request(method: str, path: str, body: Any = None, **headers: str) -> httpx.Request:
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Request(
        method, f"http://localhost{path}", content=content, headers={"Content-Type": "application/json", **named}
    )


def jobs(**filters: Any) -> httpx.Request:
    document = "query ($filter: [JobFilter!]) { jobs(filter: $filter) { items { id } complete } }"
    return request("POST", "/graphql", {"query": document, "variables": {"filter": [filters]}})


def variables(document: str, **values: Any) -> httpx.Request:
    return request("POST", "/graphql", {"query": document, "variables": values})


def with_headers(path: str, headers: list[tuple[str, str]]) -> httpx.Request:
    return httpx.Request("GET", f"http://localhost{path}", headers=headers)


def parts(parts: list[bytes]) -> httpx.Request:
    body = b"".join(b"--x\r\n" + part for part in parts) + b"--x--\r\n"
    return request("POST", "/api/user/alice", body, Content_Type="multipart/form-data; boundary=x")


def start(**changes: Any) -> dict[str, Any]:
    return {
        "jobId": 7_000_000, "user": "alice", "project": "p", "cluster": "alex", "subCluster": "main", "startTime": START,
        "numNodes": 1, "walltime": 60, "resources": [{"hostname": "a1"}], **changes,
    }  # fmt: skip


OF_SITES = "query ($sites: [String!]) { jobs(sites: $sites) { count } }"

DIMENSIONS: dict[str, Callable[[int], httpx.Request]] = {
    # GraphQL
    "names that a user may have": lambda n: jobs(user={"in": [f"u{i}" for i in range(n)]}),
    "ids": lambda n: jobs(dbId=[f"a:{i}" for i in range(1, n + 1)]),
    "tags": lambda n: jobs(tags=[f"a:{i}" for i in range(1, n + 1)]),
    "states": lambda n: jobs(state=["completed"] * n),
    "statistics": lambda n: jobs(metricStats=[{"metricName": f"m{i}", "range": {"from": 0.0, "to": 1.0}} for i in range(n)]),
    "characters of a pattern": lambda n: jobs(jobName={"contains": "%_a" * (n // 3)}),
    "filters": lambda n: variables(
        "query ($filter: [JobFilter!]) { jobs(filter: $filter) { count } }",
        filter=[{"user": {"eq": f"u{i}"}, "cluster": {"eq": "alex"}} for i in range(n)],
    ),
    "sites": lambda n: variables(OF_SITES, sites=[f"s{i}" for i in range(n)]),
    "metrics": lambda n: variables(
        'query ($names: [String!]) { jobMetrics(id: "a:1", metrics: $names) { name } }', names=[f"m{i}" for i in range(n)]
    ),
    "variables that nothing uses": lambda n: variables("{ __typename }", **{f"v{i}": 1 for i in range(n)}),
    "keys of a value": lambda n: variables(
        "query ($filter: [JobFilter!]) { jobs(filter: $filter) { count } }", filter=[{f"f{i}": 1 for i in range(n)}]
    ),
    "lists in lists": lambda n: variables(OF_SITES, sites=nested(n)),
    "characters of an id": lambda n: variables("query ($id: ID!) { job(id: $id) { id } }", id="9" * n),
    "characters of a cursor": lambda n: variables("query ($after: String) { jobs(after: $after) { count } }", after="ab" * n),
    "jobs to start": lambda n: variables(
        "mutation ($jobs: [StartJobInput!]!) { startJobs(jobs: $jobs) { outcome } }",
        jobs=[start(jobId=7_000_000 + i, startTime="2023-11-14T22:13:20Z") for i in range(n)],
    ),
    "metrics of statistics": lambda n: variables(
        "query ($names: [String!]) { jobsStatistics(metrics: $names) { totalJobs histMetrics { metric } } }",
        names=[f"m{i}" for i in range(n)],
    ),
    "nodes": lambda n: variables(
        'query ($names: [String!]) { nodeMetrics(cluster: "alex", nodes: $names, from: "2023-11-14T22:13:20Z", '
        'to: "2023-11-14T23:13:20Z") { host } }',
        names=[f"h{i}" for i in range(n)],
    ),
    "tags to put on": lambda n: variables(
        'mutation ($tags: [ID!]!) { addTagsToJob(job: "a:1", tagIds: $tags) { id } }', tags=[f"a:{i}" for i in range(n)]
    ),
    "extensions": lambda n: request(
        "POST", "/graphql", {"query": "{ __typename }", "extensions": {f"x{i}": 1 for i in range(n)}}
    ),
    # REST
    "parameters": lambda n: request("GET", "/api/jobs/?" + "&".join(f"p{i}=1" for i in range(n))),
    "the same parameter": lambda n: request("GET", "/api/jobs/?" + "&".join("state=running" for _ in range(n))),
    "metrics by parameters": lambda n: request("GET", "/api/jobs/metrics/1001?" + "&".join(f"metric=m{i}" for i in range(n))),
    "metrics in a body": lambda n: request("POST", "/cc-backend/1.5/api/jobs/1001", [f"m{i}" for i in range(n)]),
    "tags in a body": lambda n: request(
        "POST", "/api/jobs/tag_job/1001", [{"type": "t", "name": f"n{i}", "scope": "global"} for i in range(n)]
    ),
    "hosts in a body": lambda n: request(
        "POST", "/api/jobs/start_job/", start(resources=[{"hostname": f"h{i}", "hwthreads": [0, 1]} for i in range(n)])
    ),
    "threads in a body": lambda n: request(
        "POST", "/cc-backend/1.5/api/jobs/start_job/", start(resources=[{"hostname": "h", "hwthreads": list(range(n))}])
    ),
    "metadata in a body": lambda n: request("POST", "/api/jobs/start_job/", start(metaData={f"k{i}": "v" for i in range(n)})),
    "the same key in a body": lambda n: request(
        "POST", "/cc-backend/1.5/api/jobs/stop_job/", b"{" + b'"jobId":1,' * n + b'"cluster":"alex"}'
    ),
    "forms": lambda n: request(
        "POST", "/api/user/alice", "&".join(f"f{i}=1" for i in range(n)).encode(), Content_Type=FORM
    ),
    "parts of a form": lambda n: parts([b'Content-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % i for i in range(n)]),
    "headers of a part": lambda n: parts([b"A: b\r\n" * n + b'Content-Disposition: form-data; name="f"\r\n\r\n1\r\n']),
    "nodes in a body": lambda n: request(
        "POST", "/api/nodestate/", {"cluster": "alex", "nodes": [{"Hostname": f"h{i}", "states": ["idle"]} for i in range(n)]}
    ),
    "segments of a path": lambda n: request("GET", "/api/jobs" + "/x" * n),
    # exports
    "columns": lambda n: request("GET", "/export/jobs?columns=" + ",".join(["user"] * n)),
    "metrics to export": lambda n: request("GET", "/export/jobs?metrics=" + ",".join(f"m{i % 50}" for i in range(n))),
    "states to export": lambda n: request("GET", "/export/jobs?" + "&".join(["state=completed"] * n)),
    "sites to export": lambda n: request("GET", "/export/jobs?" + "&".join(f"site=s{i}" for i in range(n))),
    "characters of a token": lambda n: request("GET", "/export/jobs?resume=" + "ab" * n),
    "groups of a report": lambda n: request("GET", "/export/usage?by=" + ",".join(["user", "project"] * (n // 2))),
    # headers
    "headers": lambda n: with_headers("/api/jobs/", [(f"x{i}", "1") for i in range(n)]),
    "headers of one name": lambda n: with_headers("/api/jobs/1001", [("if-none-match", '"t"')] * n),
    "headers of one name, for an export": lambda n: with_headers("/export/jobs", [("x", "1")] * n),
    "encodings": lambda n: request("GET", "/api/jobs/", Accept_Encoding=", ".join(f"e{i};q=0.5" for i in range(n))),
    "types": lambda n: request("GET", "/graphql?query={__typename}", Accept=", ".join(f"a/b{i};q=0.5" for i in range(n))),
    "entity tags": lambda n: request("GET", "/api/jobs/1001", If_None_Match=", ".join(f'"t{i}"' for i in range(n))),
    "origins": lambda n: request("GET", "/api/jobs/", Origin="http://" + "a." * n + "example.org"),
}  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = "a"
    for _ in range(depth):
        value = [value]
    return value


def calls_of(one: httpx.Request) -> int:
    """Calls of functions until the request is answered."""

    async def asked() -> int:
        app = application()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            with counted_calls() as calls:
                answer = await client.send(one)
        assert "internal" not in answer.text
        return calls.count

    return asyncio.run(asked())


@pytest.mark.parametrize("name", DIMENSIONS)
def test_the_work_of_a_request_grows_in_proportion_to_it(name: str) -> None:
    calls_of(DIMENSIONS[name](2))  # what is made at first use is not counted
    small, large = calls_of(DIMENSIONS[name](SMALL)), calls_of(DIMENSIONS[name](LARGE))
    assert large < LARGE / SMALL * 1.5 * small  # 64 times as much if each were compared with each other
