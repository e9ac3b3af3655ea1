"""gRPC next to GraphQL and REST of the same gateway: a walk, a small question, and 10 MB of metrics beside a bare server."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio

from benchmarks.client import Client
from benchmarks.load import ask, get
from benchmarks.metrics import JOBS, SHAPES
from benchmarks.processes import NO_CACHE, GatewayProcess, ours, prepared, python, simulated
from ccgateway.v1 import jobs_service_pb2, jobs_service_pb2_grpc

__all__ = ["grpc_and_others"]

FIELDS = "id site jobId user cluster startTime duration numNodes state"
MASK = {"paths": ["user", "duration_seconds", "num_nodes", "state"]}
DOCUMENT = f"""query ($first: Int!, $after: String) {{ jobs(first: $first, after: $after) {{
  items {{ {FIELDS} }} pageInfo {{ endCursor hasNextPage }} }} }}"""
SMALL = f"{{ jobs(first: 16) {{ items {{ {FIELDS} }} complete }} }}"
ONE = f'{{ job(id: "aurora:1") {{ {FIELDS} }} }}'
METRICS = """{ jobMetrics(id: "aurora:1", metrics: NAMES, scopes: [node]) { name scope metric { unit { base } timestep
  series { hostname id statistics { avg min max } data } } } }"""
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True)
class _Way:
    """One way to ask: ``ask`` asks once."""

    name: str
    gateway: GatewayProcess
    ask: Callable[[], Awaitable[object]]


async def grpc_and_others(*, jobs: int, rounds: int, requests: int) -> None:
    """Prints the tables. ``jobs``: of the walk."""
    print("\n### gRPC next to GraphQL and REST\n")
    await _walks(jobs)
    await _small(rounds, requests)
    await _metrics(rounds, max(2, requests // 10))


# --- a walk


async def _walks(total: int) -> None:
    with ExitStack() as stack:
        sites = [
            stack.enter_context(simulated(jobs=total // 2, release=release, cluster=cluster, seed=seed))
            for seed, (release, cluster) in enumerate((("1.5", "aurora"), ("1.4", "borealis")), 1)
        ]
        gateway = stack.enter_context(ours(sites, grpc=True))
        print(f"#### a walk over {total:,} jobs of 2 sites\n")
        print("| | messages or pages of 500 | jobs/s | gateway's CPU, µs/job | : GraphQL |\n|---|--:|--:|--:|--:|")
        base: float | None = None
        for name, walk in (("GraphQL", _graphql_walk), ("REST, /api", _rest_walk), ("gRPC", _grpc_walk)):
            cpu, begun = gateway.cpu_seconds, time.perf_counter()
            messages, found = await walk(gateway)
            took, used = time.perf_counter() - begun, gateway.cpu_seconds - cpu
            if found != total:
                raise SystemExit(f"{name}: {found} jobs came, not {total}")
            each = used * 1e6 / total
            base = base or each
            print(f"| {name} | {messages} | {total / took:,.0f} | {each:.2f} | **{each / base:.2f}×** |")


async def _graphql_walk(gateway: GatewayProcess) -> tuple[int, int]:
    after, pages, found = None, 0, 0
    async with Client(gateway) as client:
        while True:
            page = json.loads(await client.ask(DOCUMENT, {"first": 500, "after": after}))["data"]["jobs"]
            pages, found, after = pages + 1, found + len(page["items"]), page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return pages, found


async def _rest_walk(gateway: GatewayProcess) -> tuple[int, int]:
    pages, found = 0, 0
    while True:
        jobs = json.loads(await ask(gateway, get(f"/api/jobs/?items_per_page=500&page={pages + 1}")))["jobs"]
        pages, found = pages + 1, found + len(jobs)
        if len(jobs) < 500:
            return pages, found


async def _grpc_walk(gateway: GatewayProcess) -> tuple[int, int]:
    async with grpc.aio.insecure_channel(gateway.grpc, options=OPTIONS) as channel:
        stub: Any = jobs_service_pb2_grpc.JobsServiceStub(channel)
        messages = [len(one.jobs) async for one in stub.ListJobs(jobs_service_pb2.ListJobsRequest(read_mask=MASK))]
    return len(messages), sum(messages)


# --- small questions, and large ones


async def _small(rounds: int, requests: int) -> None:
    with ExitStack() as stack:
        sites = [stack.enter_context(prepared(jobs=500, release="1.5", cluster="aurora"))]
        gateway = stack.enter_context(ours(sites, grpc=True))
        channel = await _channel(gateway)
        stub: Any = jobs_service_pb2_grpc.JobsServiceStub(channel)
        mask = jobs_service_pb2.GetJobRequest(id="aurora:1", read_mask=MASK)
        sixteen = jobs_service_pb2.ListJobsRequest(limit=16, read_mask=MASK)

        async def streamed() -> None:
            async for _ in stub.ListJobs(sixteen):
                pass

        async with Client(gateway) as client:
            await _compare(
                "16 jobs of a site, cache as by default",
                [_Way("GraphQL", gateway, lambda: client.ask(SMALL)), _Way("gRPC, ListJobs", gateway, streamed)],
                rounds, requests,
            )  # fmt: skip
            await _compare(
                "one job, cache as by default",
                [_Way("GraphQL", gateway, lambda: client.ask(ONE)), _Way("gRPC, GetJob", gateway, lambda: stub.GetJob(mask))],
                rounds, requests,
            )  # fmt: skip
        await channel.close()


async def _metrics(rounds: int, requests: int) -> None:
    with ExitStack() as stack:
        sites = [stack.enter_context(prepared(jobs=JOBS, release="1.5", cluster="aurora"))]
        gateways = {
            "cache off": stack.enter_context(ours(sites, cache=NO_CACHE, grpc=True)),
            "cached": stack.enter_context(ours(sites, grpc=True)),
        }
        for title, names in SHAPES.items():
            selection = {"metrics": list(names), "scopes": ["node"]}
            request = jobs_service_pb2.GetJobMetricsRequest(id="aurora:1", selection=selection)
            document = METRICS.replace("NAMES", json.dumps(list(names)))
            rest = get("/api/jobs/metrics/1001?" + "&".join(f"metric={name}" for name in names) + "&scope=node")
            for state, gateway in gateways.items():
                channel = await _channel(gateway)
                stub: Any = jobs_service_pb2_grpc.JobsServiceStub(channel)
                answer = await stub.GetJobMetrics(request)
                with bare(answer.SerializeToString()) as server:
                    other = await _channel(server)
                    raw: Any = other.unary_unary("/bare/Get")
                    # the client does not read what comes: it is on the core of the sites
                    mine: Any = channel.unary_unary(
                        "/ccgateway.v1.JobsService/GetJobMetrics",
                        request_serializer=jobs_service_pb2.GetJobMetricsRequest.SerializeToString,
                    )
                    async with Client(gateway) as client:
                        await _compare(
                            f"{title}, {state}: {answer.ByteSize() / 1e6:.1f} MB by gRPC",
                            [
                                _Way("bare grpc.aio server", server, lambda raw=raw: raw(b"")),  # type: ignore[misc]
                                _Way("GraphQL", gateway, lambda client=client, text=document: client.ask(text)),  # type: ignore[misc]
                                _Way("REST, /api", gateway, lambda gateway=gateway, rest=rest: ask(gateway, rest)),  # type: ignore[misc]
                                _Way("gRPC", gateway, lambda mine=mine, request=request: mine(request)),  # type: ignore[misc]
                            ],
                            rounds, requests,
                        )  # fmt: skip
                    await other.close()
                await channel.close()


async def _compare(title: str, ways: list[_Way], rounds: int, requests: int) -> None:
    """In turns, the least of the rounds; the first is what the others are compared with."""
    cpu: dict[str, list[float]] = {way.name: [] for way in ways}
    took: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        await way.ask()
    for _ in range(rounds):
        for way in ways:
            used = way.gateway.cpu_seconds
            for _ in range(requests):
                begun = time.perf_counter()
                await way.ask()
                took[way.name].append((time.perf_counter() - begun) * 1000)
            cpu[way.name].append((way.gateway.cpu_seconds - used) * 1000 / requests)
    print(f"\n#### {title}\n\n| | CPU ms/request | : {ways[0].name} | ms median |\n|---|--:|--:|--:|")
    base = min(cpu[ways[0].name])
    for way in ways:
        least = min(cpu[way.name])
        print(f"| {way.name} | {least:.2f} | **{least / base if base else 0:.2f}×** | {median(took[way.name]):.1f} |")


async def _channel(gateway: GatewayProcess) -> grpc.aio.Channel:
    channel = grpc.aio.insecure_channel(gateway.grpc, options=OPTIONS)
    await channel.channel_ready()
    return channel


@contextmanager
def bare(answer: bytes) -> Iterator[GatewayProcess]:
    """A grpc.aio server that gives ``answer`` to whoever asks."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        path.write_bytes(answer)
        with python("benchmarks.bare_grpc", {"BARE_ANSWER": str(path)}, Path(folder)) as server:
            yield server
