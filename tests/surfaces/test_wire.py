"""GraphQL over HTTP: methods, bodies, media types, statuses, headers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from ccgateway.errors import Code, GatewayError
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.endpoint import graphql_routes
from ccgateway.surfaces.graphql.wire import LARGE, Answer
from surfaces.apps import client_of, make_app
from surfaces.fakes import FakeGateway, make_piece
from surfaces.servers import serving

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
QUERY = "{ jobs { complete } }"
ANSWER = {"data": {"jobs": {"complete": True}}}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app(gateway)) as client:
        yield client


def kind_of(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


def code_of(response: httpx.Response) -> str:
    code: str = response.json()["errors"][0]["extensions"]["code"]
    return code


class TestPost:
    async def test_an_answer_is_json_not_cached_and_not_sniffed(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/graphql", json={"query": QUERY})
        assert (response.status_code, response.json()) == (200, ANSWER)
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in response.headers if name.startswith("access-control")]

    async def test_operation_name_and_variables_choose(self, client: httpx.AsyncClient, gateway: FakeGateway) -> None:
        query = "query A { sites { name } } query B($n: Int!) { jobs(first: $n) { complete } }"
        response = await client.post(
            "/graphql", json={"query": query, "operationName": "B", "variables": {"n": 3}, "extensions": {}}
        )
        assert response.json() == ANSWER
        assert gateway.questions[0].first == 3

    async def test_nulls_are_as_good_as_nothing(self, client: httpx.AsyncClient) -> None:
        body = {"query": QUERY, "operationName": None, "variables": None, "extensions": None}
        assert (await client.post("/graphql", json=body)).json() == ANSWER

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql", "",
         "application/jsonp", "application/json; charset=latin-1"],
    )  # fmt: skip
    async def test_other_bodies_than_json_are_refused(self, client: httpx.AsyncClient, gateway: FakeGateway, kind: str) -> None:
        response = await client.post("/graphql", content=json.dumps({"query": QUERY}), headers={"content-type": kind})
        assert (response.status_code, code_of(response)) == (415, "BAD_REQUEST")
        assert gateway.questions == []

    async def test_a_body_without_content_type_is_refused(self, client: httpx.AsyncClient) -> None:
        request = client.build_request("POST", "/graphql", content=json.dumps({"query": QUERY}))
        assert "content-type" not in request.headers
        assert (await client.send(request)).status_code == 415

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
    async def test_utf8_may_be_said(self, client: httpx.AsyncClient, kind: str) -> None:
        response = await client.post("/graphql", content=json.dumps({"query": QUERY}), headers={"content-type": kind})
        assert response.json() == ANSWER

    async def test_packed_bodies_are_refused(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/graphql", json={"query": QUERY}, headers={"content-encoding": "gzip"})
        assert response.status_code == 415

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"\xff", "not JSON"),
            (b'{"query": "\xff"}', "not JSON"),
            (b'{"query": "{a}", "variables": {"a": "\xff"}}', "not JSON"),
            (b"[" * 100_000, ""),
            (b'[{"query": "{ jobs { complete } }"}]', "one by one"),
            (b"[]", "one by one"),
            (b'"text"', "not a GraphQL request"),
            (b"{}", "no query"),
            (b'{"query": ""}', "no query"),
            (b'{"query": null}', "no query"),
            (b'{"query": 5}', "query"),
            (b'{"query": "{a}", "variables": []}', "variables"),
            (b'{"query": "{a}", "operationName": 5}', "operationName"),
        ],
    )
    async def test_what_is_no_request_is_400_and_says_why(self, client: httpx.AsyncClient, body: bytes, words: str) -> None:
        response = await client.post("/graphql", content=body, headers={"content-type": JSON})
        assert (response.status_code, code_of(response)) == (400, "BAD_REQUEST")
        assert words in response.json()["errors"][0]["message"]


class TestBodySize:
    @staticmethod
    def body(size: int) -> bytes:
        text = json.dumps({"query": QUERY}).encode()
        return text + b" " * (size - len(text))

    async def test_just_below_passes_and_just_above_is_413(self, gateway: FakeGateway) -> None:
        async with client_of(make_app(gateway, body_bytes=2048)) as client:
            response = await client.post("/graphql", content=self.body(2048), headers={"content-type": JSON})
            assert response.json() == ANSWER
            response = await client.post("/graphql", content=self.body(2049), headers={"content-type": JSON})
            assert (response.status_code, code_of(response)) == (413, "BODY_TOO_LARGE")
            assert response.headers["connection"] == "close"

    async def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(self, gateway: FakeGateway) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(1000):
                sent += 1024
                yield b" " * 1024

        async with client_of(make_app(gateway, body_bytes=2048)) as client:
            response = await client.post("/graphql", content=endless(), headers={"content-type": JSON})
        assert response.status_code == 413
        assert sent < 10_000

    async def test_a_body_that_does_not_come_is_408(self, gateway: FakeGateway) -> None:
        async def stuck() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(3600)

        async with client_of(make_app(gateway, request_timeout=0.05)) as client:
            response = await client.post("/graphql", content=stuck(), headers={"content-type": JSON})
        assert (response.status_code, code_of(response)) == (408, "BAD_REQUEST")
        assert response.headers["connection"] == "close"


class TestGet:
    async def test_a_query_in_the_address(self, client: httpx.AsyncClient, gateway: FakeGateway) -> None:
        query = "query A { sites { name } } query B($n: Int!) { jobs(first: $n) { complete } }"
        response = await client.get("/graphql", params={"query": query, "operationName": "B", "variables": '{"n": 3}'})
        assert (response.status_code, response.json()) == (200, ANSWER)
        assert gateway.questions[0].first == 3
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        "parameters", ["", "?query=", "?query={a}&variables=[1]", "?query={a}&variables={", "?query={a}&query={b}"]
    )
    async def test_what_is_no_request_is_400(self, client: httpx.AsyncClient, parameters: str) -> None:
        response = await client.get(f"/graphql{parameters}")
        assert (response.status_code, code_of(response)) == (400, "BAD_REQUEST")

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    async def test_other_methods_are_405(self, client: httpx.AsyncClient, gateway: FakeGateway, method: str) -> None:
        response = await client.request(method, "/graphql", params={"query": QUERY})
        assert response.status_code == 405
        assert set(response.headers["allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "POST"}
        assert gateway.questions == []

    async def test_head_is_get_without_its_body(self, client: httpx.AsyncClient) -> None:
        for headers in ({}, {"accept": "text/html"}, {"accept": "image/png"}):
            asked = await client.get("/graphql", params={"query": QUERY}, headers=headers)
            response = await client.head("/graphql", params={"query": QUERY}, headers=headers)
            assert (response.status_code, response.headers["content-type"]) == (asked.status_code, asked.headers["content-type"])
        changes = {"query": 'mutation { removeTagFromList(tagIds: ["aurora:1"]) }'}
        assert (await client.head("/graphql", params=changes)).status_code == 405

    @pytest.mark.parametrize(
        ("accepted", "given"),
        [
            ("application/json;q=0, */*", "application/graphql-response+json"),
            ("application/graphql-response+json;q=0, */*", "application/json"),
            ("application/*, application/json;q=0", "application/graphql-response+json"),
            ("application/json;q=0, application/graphql-response+json;q=0, */*", None),
        ],
    )
    async def test_what_is_ruled_out_is_not_given(self, client: httpx.AsyncClient, accepted: str, given: str | None) -> None:
        response = await client.post("/graphql", json={"query": QUERY}, headers={"accept": accepted})
        if given is None:
            assert response.status_code == 406
        else:
            assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, given)


class TestOrigins:
    """Browsers say where the page comes from that asks; programs say nothing."""

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    async def test_a_page_of_another_origin_cannot_ask_by_address(
        self, client: httpx.AsyncClient, gateway: FakeGateway, site: str
    ) -> None:
        response = await client.get("/graphql", params={"query": QUERY}, headers={"sec-fetch-site": site})
        assert (response.status_code, code_of(response)) == (403, "FORBIDDEN")
        assert gateway.questions == []

    async def test_nor_by_post(self, client: httpx.AsyncClient, gateway: FakeGateway) -> None:
        response = await client.post("/graphql", json={"query": QUERY}, headers={"sec-fetch-site": "cross-site"})
        assert (response.status_code, code_of(response)) == (403, "FORBIDDEN")
        assert gateway.questions == []

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    async def test_the_own_page_and_the_address_bar_can(self, client: httpx.AsyncClient, site: str) -> None:
        headers = {"sec-fetch-site": site}
        assert (await client.get("/graphql", params={"query": QUERY}, headers=headers)).json() == ANSWER
        assert (await client.post("/graphql", json={"query": QUERY}, headers=headers)).json() == ANSWER

    async def test_a_link_from_elsewhere_leads_to_the_page(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/graphql", headers={"accept": BROWSER, "sec-fetch-site": "cross-site"})
        assert (response.status_code, kind_of(response)) == (200, "text/html")


class TestOriginsThatAreNamed:
    """Pages of origins that the settings name may ask, and see the answer."""

    OURS, THEIRS = {"origin": "https://portal.example.org"}, {"origin": "https://evil.example"}

    @pytest.fixture
    def client(self, gateway: FakeGateway) -> httpx.AsyncClient:
        return client_of(make_app(gateway, origins=(self.OURS["origin"],)))

    @pytest.mark.parametrize("path", ["/graphql", "/query", "/cc-backend/1.5/query"])
    async def test_a_browser_is_told_who_may_send_what(self, client: httpx.AsyncClient, path: str) -> None:
        wanted = {"access-control-request-method": "POST", "access-control-request-headers": "content-type, authorization"}
        may, may_not = [await client.options(path, headers=one | wanted) for one in (self.OURS, self.THEIRS)]
        assert may.status_code == 200 and may.headers["access-control-allow-origin"] == self.OURS["origin"]
        assert "access-control-allow-credentials" not in may.headers
        assert may_not.status_code == 400 and "access-control-allow-origin" not in may_not.headers

    async def test_they_ask_by_post_and_by_address(self, client: httpx.AsyncClient) -> None:
        headers = self.OURS | {"sec-fetch-site": "cross-site"}
        posted = await client.post("/graphql", json={"query": QUERY}, headers=headers)
        got = await client.get("/graphql", params={"query": QUERY}, headers=headers)
        for answer in (posted, got):
            assert answer.json() == ANSWER and answer.headers["access-control-allow-origin"] == self.OURS["origin"]

    async def test_others_cannot(self, client: httpx.AsyncClient, gateway: FakeGateway) -> None:
        headers = self.THEIRS | {"sec-fetch-site": "cross-site"}
        posted = await client.post("/graphql", json={"query": QUERY}, headers=headers)
        got = await client.get("/graphql", params={"query": QUERY}, headers=headers)
        for answer in (posted, got):
            assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers
        assert gateway.questions == []

    async def test_nobody_is_told_anything_where_none_is_named(self, gateway: FakeGateway) -> None:
        async with client_of(make_app(gateway)) as client:
            asked = await client.options("/graphql", headers=self.OURS | {"access-control-request-method": "POST"})
            answer = await client.post("/graphql", json={"query": QUERY}, headers=self.OURS)
        assert asked.status_code == 405 and "access-control-allow-origin" not in answer.headers

    async def test_an_empty_name_of_an_operation_is_none(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/graphql", json={"query": QUERY, "operationName": ""})).json() == ANSWER


class TestNegotiation:
    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            (None, JSON), ("*/*", JSON), ("application/*", JSON), (JSON, JSON), (GRAPHQL_JSON, GRAPHQL_JSON),
            (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON), (f"{JSON}, {GRAPHQL_JSON}", GRAPHQL_JSON),
            (f"{GRAPHQL_JSON};q=0.5, {JSON}", JSON),
            (f"{GRAPHQL_JSON}; charset=utf-8, {JSON}; charset=utf-8;q=0.9", GRAPHQL_JSON),
            ("application/json, multipart/mixed", JSON), ("APPLICATION/JSON", JSON), (f"text/html, {JSON};q=0.1", JSON),
            (f"{GRAPHQL_JSON};q=0, */*", JSON),
        ],
    )  # fmt: skip
    async def test_the_answer_comes_in_the_type_asked_for(self, client: httpx.AsyncClient, accept: str | None, kind: str) -> None:
        client.headers.pop("accept")
        response = await client.post("/graphql", json={"query": QUERY}, headers={} if accept is None else {"accept": accept})
        assert (response.status_code, kind_of(response)) == (200, kind)
        assert response.json() == ANSWER

    @pytest.mark.parametrize("accept", ["text/plain", "text/html", f"{JSON};q=0", "image/*"])
    async def test_nothing_to_choose_from_is_406(self, client: httpx.AsyncClient, accept: str) -> None:
        response = await client.post("/graphql", json={"query": QUERY}, headers={"accept": accept})
        assert (response.status_code, kind_of(response), code_of(response)) == (406, JSON, "BAD_REQUEST")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
            ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
            ({"query": "query($n: Int!) { jobs(first: $n) { complete } }"}, "BAD_REQUEST"),
            ({"query": QUERY, "operationName": "X"}, "BAD_REQUEST"),
            ({"query": "{ jobs { " + "complete " * 60 + "} }"}, "LIMIT_EXCEEDED"),
        ],
    )
    async def test_what_is_not_executed_is_400_only_in_the_newer_type(
        self, client: httpx.AsyncClient, body: dict[str, Any], code: str
    ) -> None:
        for kind, status in ((GRAPHQL_JSON, 400), (JSON, 200)):
            response = await client.post("/graphql", json=body, headers={"accept": kind})
            assert (response.status_code, kind_of(response), code_of(response)) == (status, kind, code)
            assert "data" not in response.json()

    @pytest.mark.parametrize("kind", [JSON, GRAPHQL_JSON])
    async def test_what_was_executed_is_200_whatever_came_of_it(
        self, client: httpx.AsyncClient, gateway: FakeGateway, kind: str
    ) -> None:
        gateway.fault = GatewayError(Code.ALL_SITES_FAILED, "no site answered")
        response = await client.post("/graphql", json={"query": QUERY}, headers={"accept": kind})
        assert (response.status_code, response.json()["data"]) == (200, None)


class TestAnswer:
    @pytest.mark.parametrize("samples", [10, LARGE, LARGE * 2])
    async def test_room_made_at_once_changes_no_byte(self, samples: int) -> None:
        text = b"[" + b"1.00," * samples + b"1.00]"
        content = {"data": {"x": msgspec.Raw(text)}}
        plain, roomy = Answer(content, JSON), Answer(content, JSON, size=len(text))
        assert bytes(roomy.body) == plain.body == b'{"data":{"x":' + text + b"}}"
        assert roomy.headers == plain.headers

    async def test_a_large_answer_arrives(self, gateway: FakeGateway) -> None:
        text = b'{"series":[{"hostname":"a","data":[' + b"1.00," * LARGE + b"1.00]}]}"
        gateway.pieces["aurora:1"] = [make_piece(text=text)]
        query = '{ jobMetrics(id: "aurora:1") { metric { series { data } } } }'
        async with serving(make_app(gateway)) as url, httpx.AsyncClient() as client:
            response = await client.post(f"{url}/graphql", json={"query": query})
        (series,) = response.json()["data"]["jobMetrics"][0]["metric"]["series"]
        assert series["data"] == [1.0] * (LARGE + 1)


class TestPage:
    async def test_browsers_get_the_page_with_a_strict_policy(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/graphql", headers={"accept": BROWSER})
        assert (response.status_code, kind_of(response)) == (200, "text/html")
        policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert "http" not in response.headers["content-security-policy"]
        assert "http" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"

    async def test_its_files_are_all_there_and_kept_long(self, client: httpx.AsyncClient) -> None:
        page = (await client.get("/graphql", headers={"accept": BROWSER})).text
        addresses = [part.split('"')[0] for part in page.replace('src="', 'href="').split('href="')[1:]]
        assert len(addresses) >= 6
        for address in addresses:
            response = await client.get(f"/{address}")
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
            assert response.headers["x-content-type-options"] == "nosniff"
            assert kind_of(response) in ("text/javascript", "text/css", "image/svg+xml")

    @pytest.mark.parametrize("name", ["nope.js", "index.html", "..%2fgraphiql.py", "%2e%2e/graphiql.py", "../graphiql.py"])
    async def test_other_files_are_not_served(self, client: httpx.AsyncClient, name: str) -> None:
        assert (await client.get(f"/graphql/static/{name}")).status_code == 404

    async def test_a_program_that_names_json_gets_json(self, client: httpx.AsyncClient) -> None:
        response = await client.get("/graphql", params={"query": QUERY}, headers={"accept": "application/json, text/html"})
        assert response.json() == ANSWER

    async def test_without_the_page_browsers_get_json(self, gateway: FakeGateway) -> None:
        async with client_of(make_app(gateway, graphiql=False)) as client:
            response = await client.get("/graphql", params={"query": QUERY}, headers={"accept": BROWSER})
            assert response.json() == ANSWER
            assert (await client.get("/graphql/static/page.js")).status_code == 404


class TestCaller:
    @staticmethod
    def app(fault: Exception) -> Starlette:
        def nobody(_request: Any) -> Any:
            raise fault

        return Starlette(routes=[*graphql_routes(FakeGateway(), nobody, LimitSettings(), graphiql=False)])  # type: ignore[call-arg]

    async def test_a_caller_who_is_not_let_in_gets_the_status_of_the_code(self) -> None:
        async with client_of(self.app(GatewayError(Code.UNAUTHENTICATED, "Who are you?"))) as client:
            response = await client.post("/graphql", json={"query": QUERY})
        assert (response.status_code, code_of(response)) == (401, "UNAUTHENTICATED")

    async def test_what_nobody_foresaw_outside_of_fields_is_500_logged_and_not_shown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            async with client_of(self.app(RuntimeError("secret"))) as client:
                response = await client.post("/graphql", json={"query": QUERY})
        assert (response.status_code, code_of(response)) == (500, "INTERNAL")
        assert "secret" not in response.text
        assert "secret" in caplog.text
