"""The faces on a gateway that answers from memory, and a client for them that needs no socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import GatewayError
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.page_cursors import PageCursorStore
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.identity.principal import Principal
from ccgateway.jobs.metrics import JobRef, MetricsWanted
from ccgateway.jobs.model import JobKey
from ccgateway.jobs.writes import WriteOutcome, WriteResult
from ccgateway.settings import LimitSettings
from ccgateway.settings.base import Partial
from ccgateway.surfaces.export.operations import export_table
from ccgateway.surfaces.rest.routes import rest_routes
from surfaces.fakes import CALLER, FakeGateway, make_row

__all__ = ["RestGateway", "app_of", "client_of", "rest_row", "written"]

_DONE = WriteResult(outcome=WriteOutcome.DONE, site="aurora", key=JobKey("aurora", "alex", 1_000_001, 1_699_999_940), db_id=1)
TEXTS = {
    "resources_json": b'[{"hostname":"a0001"}]',
    "footprint_json": b'{"flops_any_avg":12.50}',
    "meta_data_json": b'{"jobName":"run"}',
    "energy_json": b"1.50",
    "statistics_json": b"null",
}


def rest_row(number: int = 1, site: str = "aurora", **changes: Any) -> Any:
    """A row that has the texts as well."""
    return make_row(number, site, **{name: msgspec.Raw(text) for name, text in TEXTS.items()}, **changes)


class FakeWrites:
    """Answers every command with ``results``, and remembers what it was told: use case, command, call, and what else."""

    def __init__(self) -> None:
        self.results: list[WriteResult] = []
        self.told: list[tuple[str, Any, WriteCall, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[list[WriteResult]]]:
        async def write(commands: Any, caller: Principal, call: WriteCall, **more: Any) -> list[WriteResult]:
            assert caller == CALLER
            self.told.append((name, commands, call, more))
            return self.results

        return write


class RestGateway(FakeGateway):
    """Knows two sites, and has rows with texts; ``commands`` takes what is written."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**{"rows": [rest_row(1), rest_row(2)], **values})
        self.commands = FakeWrites()
        self.page_cursors = PageCursorStore(TtlStore("note"))

    @property
    def writes(self) -> Any:
        return self.commands

    async def job_metrics(
        self, job_id: str, wanted: MetricsWanted, caller: Principal, *, budget: MetricsBudget
    ) -> JobMetricsAnswer:
        told = await super().job_metrics(job_id, wanted, caller, budget=budget)
        return replace(told, job=next((JobRef.of(row) for row in self.rows if f"{row.site}:{row.id}" == job_id), None))


def app_of(
    gateway: RestGateway,
    *,
    caller: Principal = CALLER,
    refused: GatewayError | None = None,
    origins: tuple[str, ...] = (),
    partial: Partial = "serve",
    **limits: Any,
) -> Starlette:
    """The faces; ``refused``: what callers are told instead of being known."""

    async def caller_of(_request: Request) -> Principal:
        if refused is not None:
            raise refused
        return caller

    beside = {"/export": export_table()}
    limited = LimitSettings(**limits)
    return Starlette(routes=rest_routes(gateway, caller_of, limited, origins=origins, partial=partial, beside=beside))


def client_of(gateway: RestGateway, **more: Any) -> httpx.AsyncClient:
    """A client of the faces; ``more`` as ``app_of`` takes it."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app_of(gateway, **more)), base_url="http://localhost")


async def written(
    method: str, path: str, body: Any = None, *results: WriteResult, gateway: RestGateway | None = None, key: str = ""
) -> tuple[Any, Any, RestGateway]:
    """The answer, and the order that the gateway got."""
    gateway = gateway or RestGateway()
    gateway.commands.results = list(results) or [_DONE]
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    async with client_of(gateway) as client:
        answer = await client.request(method, path, content=content, headers={"Idempotency-Key": key} if key else {})
    return answer, gateway.commands.told[-1] if gateway.commands.told else None, gateway
