from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from surfaces.fakes import CALLER, FakeGateway

from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from starlette.applications import Starlette

Ask = Callable[..., Awaitable[dict[str, Any]]]


def make_app(gateway: FakeGateway, *, graphiql: bool = True, **limits: Any) -> Starlette:
    return Starlette(routes=[*graphql_routes(gateway, lambda _: CALLER, LimitSettings(**limits), graphiql=graphiql)])


def client_of(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def ask(gateway: FakeGateway) -> Ask:
    """Asks the gateway's endpoint one question by POST and gives the decoded response."""

    async def question(query: str, variables: dict[str, Any] | None = None, **limits: Any) -> dict[str, Any]:
        async with client_of(make_app(gateway, **limits)) as client:
            response = await client.post("/graphql", json={"query": query, "variables": variables})
            assert response.status_code == 200, response.text
            answer: dict[str, Any] = response.json()
            return answer

    return question
