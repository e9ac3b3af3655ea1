"""Persisted queries, as Apollo Client and urql exchange them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from ccgateway.surfaces.graphql.persisted import MOST_TEXTS, PersistedQueries
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from surfaces.apps import client_of, make_app
from surfaces.fakes import FakeGateway

QUERY = "query Complete { jobs { complete } }"
DIGEST = sha256(QUERY.encode()).hexdigest()


def extensions(digest: str = DIGEST, version: object = 1) -> dict[str, Any]:
    return {"persistedQuery": {"version": version, "sha256Hash": digest}}


async def test_a_hash_is_asked_for_its_text_once(gateway: FakeGateway) -> None:
    asked = {"operationName": "Complete", "variables": {}, "extensions": extensions()}
    async with client_of(make_app(gateway)) as client:
        unknown = await client.post("/graphql", json=asked)
        assert unknown.status_code == 200
        (error,) = unknown.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
        assert (await client.post("/graphql", json={**asked, "query": QUERY})).json() == {"data": {"jobs": {"complete": True}}}
        assert (await client.post("/graphql", json=asked)).json() == {"data": {"jobs": {"complete": True}}}
        parameters = {"operationName": "Complete", "extensions": json.dumps(extensions())}
        assert (await client.get("/graphql", params=parameters)).json() == {"data": {"jobs": {"complete": True}}}


async def test_a_text_that_is_not_the_hash_s_is_refused_and_not_kept(gateway: FakeGateway) -> None:
    async with client_of(make_app(gateway)) as client:
        other = await client.post("/graphql", json={"query": "{ sites { name } }", "extensions": extensions()})
        assert (other.status_code, other.json()["errors"][0]["message"]) == (400, "provided sha does not match query")
        later = await client.post("/graphql", json={"extensions": extensions()})
        assert later.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
        for broken in (extensions(version=2), extensions("xyz"), {"persistedQuery": 1}):
            assert (await client.post("/graphql", json={"query": QUERY, "extensions": broken})).status_code == 400


def test_a_caller_pushes_out_nobody_s_texts_but_their_own() -> None:
    persisted, ask = PersistedQueries(), GraphQLRequest("", persisted=DIGEST)
    persisted.keep(DIGEST, QUERY, "alice")
    for number in range(2 * MOST_TEXTS):
        persisted.keep(f"{number:064x}", "x", "mallory")
    assert persisted.text_of(ask, "alice") == QUERY
