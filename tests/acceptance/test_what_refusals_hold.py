"""A request that comes to nothing lets go at once of the megabytes that were read for it: no collector is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc.aio
import httpx
import pytest
from starlette.types import ASGIApp, Message

from acceptance.hostile import TOKEN
from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.v1 import jobs_service_pb2_grpc
from ccgateway.v1.jobs_service_pb2 import GetJobMetricsRequest, StreamJobMetricsRequest
from support.memory import LARGE, held
from support.raw_server import Handler, Heard, Then, raw_server
from support.raw_sites import serving
from support.upstream import Job, Upstream

NAMES = ("cpu_load", "flops_any")
SERIES, SAMPLES = 100, 5_000
WANTED = {"metrics": list(NAMES), "scopes": ["node"]}
FIELDS = "name metric { series { hostname data } }"
ALONE = f'jobMetrics(id: "aurora:1", metrics: {json.dumps(NAMES)}, scopes: [node]) {{ {FIELDS} }}'
IN_LIST = f"{{ jobs(first: 5) {{ items {{ jobId metrics(metrics: {json.dumps(NAMES)}, scopes: [node]) {{ {FIELDS} }} }} }} }}"
QUERY = "metric=cpu_load&metric=flops_any&scope=node"
#: requests that each leave as much as was read for them, if they leave any
TIMES = 5


@dataclass(frozen=True)
class Asking:
    """One gateway by all its faces."""

    app: ASGIApp
    http: httpx.AsyncClient
    jobs: Any

    async def send(self, path: str, body: bytes) -> bytes:
        """The answer to a body that nobody else holds: httpx keeps what it has sent."""
        said: list[bytes] = []
        messages = iter([{"type": "http.request", "body": body}])

        async def receive() -> Message:
            for message in messages:
                return message
            await asyncio.Event().wait()  # for nobody who leaves
            return {}

        async def send(message: Message) -> None:
            said.append(message.get("body", b""))

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": headers, "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await self.app(scope, receive, send)
        return b"".join(said)

    async def graphql(self, query: str) -> str:
        return (await self.http.post("/graphql", json={"query": query})).text

    async def get(self, path: str) -> str:
        return (await self.http.get(path)).text

    async def post(self, path: str) -> str:
        return (await self.http.post(path, json=NAMES)).text

    async def one(self) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.jobs.GetJobMetrics(GetJobMetricsRequest(id="aurora:1", selection=WANTED))
        return str(failed.value.details())

    async def stream(self) -> str:
        asked = StreamJobMetricsRequest(ids=["aurora:1"], selection=WANTED)
        try:
            messages = [message async for message in self.jobs.StreamJobMetrics(asked)]
        except grpc.aio.AioRpcError as error:
            return str(error.details())
        return str(messages[-1].error)


FACES: dict[str, Callable[[Asking], Awaitable[str]]] = {
    "GraphQL": lambda ask: ask.graphql(f"{{ {ALONE} }}"),
    "GraphQL, twice in one": lambda ask: ask.graphql(f"{{ a: {ALONE} b: {ALONE} }}"),
    "GraphQL, of a list": lambda ask: ask.graphql(IN_LIST),
    "/api": lambda ask: ask.get(f"/api/jobs/metrics/1001?{QUERY}"),
    "1.5": lambda ask: ask.get(f"/cc-backend/1.5/api/jobs/metrics/1001?{QUERY}"),
    "1.5, by POST": lambda ask: ask.post("/cc-backend/1.5/api/jobs/1001"),
    "gRPC": Asking.one,
    "gRPC, a stream": Asking.stream,
}
#: limits, and how many bytes are missing from the end of what the site sends
REASONS: dict[str, tuple[dict[str, Any], int, str]] = {
    "more than one answer may have": ({"metrics_bytes": LARGE // 2}, 0, "metrics_bytes|more than"),
    "more than one caller may hold": ({"inflight_bytes": LARGE}, 0, "inflight_bytes|memory"),
    "no JSON": ({}, 1, "JSON|answer"),
}


def metrics() -> list[dict[str, Any]]:
    data = [1234.25] * SAMPLES
    series = [{"hostname": f"n{number}", "statistics": {"avg": 1, "min": 1, "max": 2}, "data": data} for number in range(SERIES)]
    metric = {"unit": {"base": "F/s"}, "timestep": 60, "series": series}
    return [{"name": name, "scope": "node", "metric": metric} for name in NAMES]


def cut(whole: Handler, missing: int) -> Handler:
    """Leaves out the last bytes of what is large."""

    async def answer(heard: Heard, writer: asyncio.StreamWriter) -> Then:
        if not missing or ("metrics" not in heard.target and heard.method != "POST"):
            return await whole(heard, writer)
        body = BODY[:-missing]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        return "keep"

    return answer


BODY = json.dumps({"data": {"jobMetrics": metrics()}}).encode()


@asynccontextmanager
async def asking(limits: dict[str, Any], missing: int, cache: dict[str, Any]) -> AsyncIterator[Asking]:
    upstream = Upstream([Job(7, 1_700_000_000, num_nodes=SERIES, hosts=[f"n{number}" for number in range(SERIES)])])
    upstream.metrics[1] = metrics()
    async with raw_server(cut(serving(upstream), missing)) as server:
        one = {"number": 1, "url": server.url, "token": TOKEN, "release": "1.5", "reads": "rest", "timeout": 100}
        settings = Settings.model_validate(
            {
                "sites": {"aurora": one},
                "cache": cache,
                "limits": {"request_timeout": 100, "patience": 0, **limits},
                "grpc": {"port": 0},
            }
        )
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            assert app.grpc is not None
            options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
            transport = httpx.ASGITransport(app)
            async with (
                httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=100) as http,
                grpc.aio.insecure_channel(f"127.0.0.1:{app.grpc.port}", options=options) as channel,
            ):
                yield Asking(app, http, jobs_service_pb2_grpc.JobsServiceStub(channel))


@pytest.mark.parametrize("cache", [{"memory_bytes": 0}, {"memory_bytes": 1 << 20}], ids=["no cache", "a small one"])
@pytest.mark.parametrize("reason", REASONS)
async def test_what_was_read_for_a_request_that_came_to_nothing_is_let_go_of(reason: str, cache: dict[str, Any]) -> None:
    limits, missing, words = REASONS[reason]
    assert len(BODY) > LARGE
    async with asking(limits, missing, cache) as ask:
        for name, face in FACES.items():
            said = await face(ask)
            assert any(word in said for word in words.split("|")), (name, said[:300])
            with held() as now:
                for _ in range(TIMES):
                    await face(ask)
                    await asyncio.sleep(0)
                assert now() < 3 * len(BODY), name  # the last one may still be on its way, and what was made of it


LONG = "x" * (6 << 20)
BY_PROJECT = "query($a: String!) { jobs(filter: [{project: {eq: $a}}]) { items { id } } }"
BODIES: dict[str, tuple[str, Any]] = {
    "a variable that is not there": ("/graphql", {"query": BY_PROJECT, "variables": {"b": LONG}}),
    "a variable of another type": (
        "/graphql",
        {"query": "query($a: Int!) { jobs(first: $a) { complete } }", "variables": {"a": LONG}},
    ),
    "a variable that no site can be asked for": ("/graphql", {"query": BY_PROJECT, "variables": {"a": LONG}}),
    "a long query": ("/graphql", {"query": f"{{ jobs {{ complete }} }} # {LONG}"}),
    "a tag": ("/cc-backend/1.5/api/jobs/tag_job/9999", [{"type": "t", "name": LONG}]),
    "a job": ("/cc-backend/1.5/api/jobs/start_job/", {"jobId": 1, "cluster": LONG}),
    "no JSON": ("/api/jobs/start_job/", LONG),
}


async def test_a_large_body_that_comes_to_nothing_is_let_go_of() -> None:
    async with asking({}, 0, {"memory_bytes": 0}) as ask:
        for name, (path, content) in BODIES.items():
            body = json.dumps(content).encode()
            assert b"rror" in await ask.send(path, body), name
            with held() as now:
                for _ in range(TIMES):
                    await ask.send(path, json.dumps(content).encode())
                    await asyncio.sleep(0)
                assert now() < 3 * len(body), name
