"""Who asks, by a request's headers: the same for every face of the gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from ccgateway.app import create_app
from ccgateway.errors import Code, RequestError
from ccgateway.identity.callers import REFUSED
from ccgateway.settings import Settings
from ccgateway.surfaces.callers import token_of
from identity.authority import Authority, issuer_section, pem_of, signer
from surfaces.apps import client_of

QUERY = {"query": "{ __typename }"}


def request_with(*headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": raw})


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ((), None),
        ((("Authorization", "Bearer t"),), "t"),
        ((("Authorization", "bearer   t "),), "t"),
        ((("X-Auth-Token", "t"),), "t"),
        ((("X-Auth-Token", "t"), ("Authorization", "Bearer t")), "t"),
        ((("X-Auth-Token", ""), ("Authorization", "Bearer t")), "t"),
        ((("X-Auth-Token", "t"), ("Authorization", "Basic dXNlcjpwYXNz")), "t"),
        ((("Authorization", "Basic dXNlcjpwYXNz"),), None),
        ((("Authorization", "Bearer"),), None),
        ((("Authorization", "t"),), None),
        ((("Cookie", "token=t"), ("X-Forwarded-User", "root"), ("Remote-User", "root")), None),
    ],
)
def test_a_token_is_found_in_two_headers(headers: tuple[tuple[str, str], ...], token: str | None) -> None:
    assert token_of(request_with(*headers)) == token


@pytest.mark.parametrize(
    "headers",
    [
        (("X-Auth-Token", "secret-1"), ("Authorization", "Bearer secret-2")),
        (("X-Auth-Token", "secret-1"), ("X-Auth-Token", "secret-2")),
        (("Authorization", "Bearer secret-1"), ("Authorization", "Bearer secret-2")),
    ],
)
def test_two_tokens_that_differ_are_refused(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(RequestError) as refused:
        token_of(request_with(*headers))
    assert refused.value.code is Code.UNAUTHENTICATED and "secret" not in refused.value.message


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    public = tmp_path / "issuer.pub"
    public.write_text(pem_of(signer("EdDSA")))
    settings = Settings.model_validate({"issuers": {"robots": {**issuer_section(), "key_file": str(public)}}})
    async with client_of(create_app(settings)) as client:
        yield client


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-Auth-Token": "x", "Authorization": "Bearer y"}])
async def test_a_caller_who_is_not_known_gets_401_and_a_challenge(
    client: httpx.AsyncClient, headers: dict[str, str], accept: str
) -> None:
    answer = await client.post("/graphql", json=QUERY, headers={**headers, "Accept": accept})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "UNAUTHENTICATED", "retryable": False} and "data" not in answer.json()


@pytest.mark.parametrize("header", ["Authorization", "X-Auth-Token"])
async def test_a_caller_who_is_known_is_answered(client: httpx.AsyncClient, header: str) -> None:
    token = Authority().token(roles=["user"])
    value = f"Bearer {token}" if header == "Authorization" else token
    answer = await client.post("/graphql", json=QUERY, headers={header: value})
    assert answer.json() == {"data": {"__typename": "Query"}}
    answer = await client.get("/graphql", params=QUERY, headers={header: value, "Accept": "application/json"})
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_nobody_has_to_be_known_for_the_page_and_for_health(client: httpx.AsyncClient) -> None:
    assert (await client.get("/graphql", headers={"Accept": "text/html"})).status_code == 200
    for path in ("/health/live", "/health/ready"):
        assert (await client.get(path)).status_code == 200


async def test_the_body_of_one_who_is_not_known_is_not_looked_at(client: httpx.AsyncClient) -> None:
    said = set()
    for body in (b"{", b"[]", b"x" * (2 << 20), json.dumps({"query": "{ nonsense"}).encode()):
        answer = await client.post(
            "/graphql", content=body, headers={"Content-Type": "application/json", "Authorization": "Bearer x"}
        )
        said.add((answer.status_code, answer.text))
    assert len(said) == 1 and REFUSED in said.pop()[1]


async def test_with_tokens_any_host_name_is_served_and_without_only_its_own(client: httpx.AsyncClient) -> None:
    headers: Any = {"Host": "gateway.example.org", "Authorization": f"Bearer {Authority().token()}"}
    assert (await client.post("/graphql", json=QUERY, headers=headers)).status_code == 200
    async with client_of(create_app(Settings())) as local:
        assert (await local.post("/graphql", json=QUERY, headers=headers)).status_code == 403
