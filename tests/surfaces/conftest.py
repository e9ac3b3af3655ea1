from __future__ import annotations

from typing import Any, Protocol

import pytest

from surfaces.apps import client_of, make_app
from surfaces.fakes import FakeGateway


class Ask(Protocol):
    async def __call__(self, query: str, variables: dict[str, Any] | None = None, **limits: Any) -> dict[str, Any]: ...


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def ask(gateway: FakeGateway) -> Ask:
    """Asks the endpoint one question by POST and gives the decoded response."""

    async def question(query: str, variables: dict[str, Any] | None = None, **limits: Any) -> dict[str, Any]:
        async with client_of(make_app(gateway, **limits)) as client:
            response = await client.post("/graphql", json={"query": query, "variables": variables})
            assert response.status_code == 200, response.text
            answer: dict[str, Any] = response.json()
            return answer

    return question
