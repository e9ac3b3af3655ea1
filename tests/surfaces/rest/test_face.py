"""Paths, methods, callers, failures: what holds for every request, in the manners of each face."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ccgateway.errors import CODES, Code, FederationError, GatewayError, RequestError, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.surfaces.rest.access import may_use_api, may_use_userapi
from surfaces.rest.asking import RestGateway, client_of

RELEASED = "/cc-backend/1.5"
ANONYMOUS = RequestError(Code.UNAUTHENTICATED, "no user for secured check")


@pytest.mark.parametrize("path", ["/api/jobs/", "/api/jobs", "/userapi/jobs/", "/api/clusters", "/api/users/"])
async def test_the_how_to_pages_paths_work_with_and_without_a_slash(path: str) -> None:
    async with client_of(RestGateway()) as client:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/1001/", "/api/nothing", "/userapi/users/"])
async def test_cc_backends_paths_are_exact(path: str) -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.get(RELEASED + path)
    assert answer.status_code == 404
    assert answer.content == b'{"error":"the requested endpoint does not exist","status":"Resource not found"}\n'


async def test_an_unknown_path_of_the_how_to_face_says_where_to_look() -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.get("/api/nothing")
    assert answer.status_code == 404 and answer.json()["code"] == "NOT_FOUND" and "/api/docs" in answer.json()["error"]


async def test_head_is_get_without_a_body_and_options_tells_the_methods() -> None:
    async with client_of(RestGateway()) as client:
        whole, head = await client.get("/api/jobs/"), await client.head("/api/jobs/")
        options = await client.options("/api/jobs/1001")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    assert (options.status_code, options.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
async def test_cc_backends_face_knows_no_other_methods(method: str) -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.request(method, f"{RELEASED}/api/jobs/")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "GET", b"")
    assert "content-type" not in answer.headers


async def test_a_wrong_method_of_the_how_to_face_says_what_is_known() -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.delete("/api/jobs/")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.json()["error"] == "This endpoint knows GET, HEAD, OPTIONS only."


async def test_who_is_not_let_in_is_told_so_in_each_faces_words() -> None:
    async with client_of(RestGateway(), refused=ANONYMOUS) as client:
        here, there = await client.get("/api/jobs/"), await client.get(f"{RELEASED}/api/jobs/")
        hidden, open_ = await client.get(f"{RELEASED}/userapi/nothing"), await client.get(f"{RELEASED}/api/nothing")
    assert here.status_code == 401 and here.json()["code"] == "UNAUTHENTICATED"
    assert there.status_code == 401
    assert there.content == b'{"error":"no user for secured check","status":"Unauthorized"}\n'
    assert (hidden.status_code, open_.status_code) == (401, 404)


@pytest.mark.parametrize("code", [Code.TIMEOUT, Code.UNREACHABLE, Code.SCAN_BUDGET, Code.UNKNOWN_SITE, Code.LIMIT_EXCEEDED])
async def test_a_failure_has_the_status_of_its_code(code: Code) -> None:
    gateway = RestGateway(fault=SiteError(code, "aurora", "no <answer>"))
    async with client_of(gateway) as client:
        here, there = await client.get("/api/jobs/"), await client.get(f"{RELEASED}/api/jobs/")
    assert here.status_code == there.status_code == CODES[code].http
    told = here.json()
    assert (told["error"], told["code"], told["site"]) == ("no <answer>", code, "aurora")
    assert told["retryable"] is CODES[code].retryable
    assert set(there.json()) == {"status", "error"} and rb"no \u003canswer\u003e" in there.content


async def test_a_failure_of_all_sites_names_each() -> None:
    causes = [SiteError(Code.TIMEOUT, "aurora", "late"), SiteError(Code.UNREACHABLE, "borealis", "gone")]
    gateway = RestGateway(fault=FederationError(Code.ALL_SITES_FAILED, "No site answered.", causes))
    async with client_of(gateway) as client:
        here, there = await client.get("/api/jobs/"), await client.get(f"{RELEASED}/api/jobs/")
    assert [(one["site"], one["code"]) for one in here.json()["causes"]] == [("aurora", "TIMEOUT"), ("borealis", "UNREACHABLE")]
    assert there.json()["error"] == "No site answered. aurora: late borealis: gone"


async def test_what_nobody_foresaw_is_logged_and_told_by_its_request_id(caplog: pytest.LogCaptureFixture) -> None:
    gateway = RestGateway(fault=ZeroDivisionError("inside"))
    with caplog.at_level(logging.ERROR):
        async with client_of(gateway) as client:
            answer = await client.get("/api/jobs/")
    assert answer.status_code == 500 and "inside" not in answer.text
    assert answer.json()["error"].rsplit(" ", 1)[1] in caplog.text and "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("base", ["", RELEASED])
async def test_a_body_that_is_too_large_is_refused(base: str) -> None:
    async with client_of(RestGateway(), body_bytes=1024) as client:
        answer = await client.post(f"{base}/api/jobs/1001", content=b" " * 1025)
    assert answer.status_code == 413 and answer.headers["connection"] == "close"


# --- pages of other origins


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"Origin": "http://[localhost]"},
        {"Origin": "//[v1.x]@localhost"},
        {"Origin": ""},
    ],
)
@pytest.mark.parametrize("base", ["", RELEASED])
async def test_pages_of_other_origins_change_nothing(base: str, headers: dict[str, str]) -> None:
    gateway = RestGateway()
    async with client_of(gateway) as client:
        answer = await client.post(f"{base}/api/jobs/1001", json=["cpu_load"], headers=headers)
    assert answer.status_code == 403 and gateway.questions == []


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}])
async def test_own_pages_and_programs_may(headers: dict[str, str]) -> None:
    async with client_of(RestGateway()) as client:
        assert (await client.post("/api/jobs/1001", json=["cpu_load"], headers=headers)).status_code == 200


async def test_pages_of_origins_that_are_named_may_ask_and_read() -> None:
    origin = {"Origin": "https://portal.example.org"}
    ask = {**origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "X-Auth-Token"}
    async with client_of(RestGateway(), origins=("https://portal.example.org",)) as client:
        preflight = await client.options("/api/jobs/tag_job/1001", headers=ask)
        answer = await client.get("/api/jobs/", headers=origin)
        written = await client.post("/api/jobs/1001", json=[], headers={**origin, "Sec-Fetch-Site": "cross-site"})
        other = await client.get("/api/jobs/", headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 200 and "PATCH" in preflight.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-origin"] == "https://portal.example.org"
    assert "X-CCGateway-Complete" in answer.headers["access-control-expose-headers"]
    assert written.status_code == 200
    assert "access-control-allow-origin" not in other.headers


async def test_without_origins_nothing_is_said_about_them() -> None:
    async with client_of(RestGateway()) as client:
        answer = await client.get("/api/jobs/", headers={"Origin": "https://portal.example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_caller_who_goes_away_ends_the_work() -> None:
    gateway = RestGateway(hang=True)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not sent:
            sent.append(None)
            return {"type": "http.request", "body": b"", "more_body": False}
        await gateway.hanging.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with client_of(gateway) as client:
        app = client._transport.app  # type: ignore[attr-defined]
        scope = {
            "type": "http", "method": "GET", "path": "/api/jobs/", "raw_path": b"/api/jobs/", "query_string": b"", "headers": [],
            "http_version": "1.1", "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        await app(scope, receive, send)
    assert gateway.cancelled.is_set() and sent[1]["status"] == 499


def test_every_gateway_error_has_a_status_that_the_documents_know() -> None:
    from ccgateway.surfaces.rest.endpoints import FAILURES

    of_graphql = {Code.PERSISTED_QUERY_NOT_FOUND}
    assert {row.http for code, row in CODES.items() if code not in of_graphql} <= {*FAILURES}
    assert isinstance(ANONYMOUS, GatewayError)


# --- who may use which root


@pytest.mark.parametrize(
    ("roles", "api", "userapi"),
    [
        ({"admin", "api"}, True, True),
        ({"admin"}, True, True),
        ({"api"}, True, True),
        ({"support", "api"}, False, True),
        ({"manager", "api"}, False, True),
        ({"user", "api"}, False, True),
        ({"user"}, False, True),
        (set(), False, False),
    ],
)
def test_administrators_and_machines_have_everything_and_others_their_own(roles: set[Any], api: bool, userapi: bool) -> None:
    caller = Principal("somebody", frozenset(roles))
    assert (may_use_api(caller), may_use_userapi(caller)) == (api, userapi)


async def test_who_has_another_root_is_told_so_in_each_faces_words() -> None:
    user = Principal("alice", frozenset({"user", "api"}))
    async with client_of(RestGateway(), caller=user) as client:
        here, there = await client.get("/api/clusters/"), await client.get(f"{RELEASED}/api/clusters/")
    assert here.status_code == 403 and here.json()["code"] == "FORBIDDEN" and "/userapi" in here.json()["error"]
    assert there.status_code == 401 and there.content == b'{"error":"unauthorized","status":"Unauthorized"}\n'
    assert there.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("base", ["/api", RELEASED + "/api"])
@pytest.mark.parametrize(
    ("of_job", "setting"),
    [
        (b'"resources":[' + b"{}," * 100_000 + b"{}]", "limits.body_texts"),
        (b'"metaData":{' + b'"k":"v",' * 60_000 + b'"k":"v"}', "limits.body_texts"),
        (b'"resources":[{"hwthreads":[' + b"1," * 1_000_000 + b"1]}]", "limits.body_values"),
    ],
    ids=["objects", "texts", "numbers"],
)
async def test_what_a_body_holds_is_bounded_before_it_is_decoded(base: str, of_job: bytes, setting: str) -> None:
    body = b'{"jobId":1,"user":"alice","cluster":"alex","startTime":1700000000,' + of_job + b"}"
    async with client_of(RestGateway()) as client:
        answer = await client.post(f"{base}/jobs/start_job/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and setting in answer.json()["error"]
