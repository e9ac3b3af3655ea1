"""The access log, the formats of lines, and what callers may call their requests."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest

from acceptance.recorded import serving
from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.telemetry import configure_logging
from ccgateway.telemetry.access_log import LOGGER
from ccgateway.telemetry.requests import TraceContext, request_id_in
from support.raw_server import raw_server
from support.raw_sites import serving as healthy
from support.upstream import Job, Upstream

TOKEN = "not-a-jwt"
JWT = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJkZW1vIiwicm9sZXMiOlsiYXBpIl19.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JOBS = "{ jobs(first: 2) { items { id } complete } }"


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    """Records of the access log."""
    found: list[logging.LogRecord] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler, log = Kept(), logging.getLogger(LOGGER)
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = record.ccgateway_fields  # type: ignore[attr-defined]
    return found


async def test_a_request_is_one_line_with_who_asked_and_what_it_took(lines: list[logging.LogRecord]) -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))
    async with serve(site) as running:
        sites = {
            "aurora": {"number": 1, "url": running["aurora"].url, "token": site.token("demo")},
            "gone": {"number": 2, "url": "http://127.0.0.1:9", "token": site.token("demo")},
        }
        settings = Settings.model_validate({"log": {"access": True}, "sites": sites})
        async with serving(settings) as client:
            answer = await client.post("/graphql", json={"query": JOBS}, headers={"X-Request-ID": "my-1", "traceparent": TRACE})
            refused = await client.get("/api/jobs/?state=nonsense")
            await client.get("/health/live")
    assert answer.headers["x-request-id"] == "my-1" and refused.headers["x-request-id"] != "my-1"
    trace = TraceContext.of(answer.headers["traceparent"])
    assert trace is not None and trace.trace_id == TRACE.split("-")[1] and trace.parent_id != TRACE.split("-")[2]
    one, other = map(fields_of, lines)
    assert one | {"ms": 0, "own_ms": 0, "cost": 0} == {
        "message": "request", "request": "my-1", "client": "127.0.0.1", "caller": "local", "surface": "graphql",
        "kind": "jobs", "outcome": "incomplete",
        "ms": 0, "own_ms": 0, "status": 200, "cost": 0, "trace": TRACE.split("-")[1],
        "sites": {"aurora": "OK", "gone": "UNREACHABLE"},
    }  # fmt: skip
    assert isinstance(one["ms"], float) and isinstance(one["own_ms"], float) and 0 < one["own_ms"] <= one["ms"]
    assert (other["surface"], other["outcome"], other["status"]) == ("rest", "refused", refused.status_code)
    assert all(record.levelno == logging.INFO and "\n" not in record.getMessage() for record in lines)


async def test_a_site_is_told_under_which_id_and_trace_it_is_asked_and_nothing_else_of_the_caller() -> None:
    async with raw_server(healthy(Upstream([Job(1, 1000)]))) as site:
        sites = {"aurora": {"number": 1, "url": site.url, "token": TOKEN, "release": "1.5"}}
        async with serving(Settings.model_validate({"sites": sites})) as client:
            headers = {"X-Request-ID": "my-1", "traceparent": TRACE, "tracestate": "vendor=x", "Cookie": "a=b", "baggage": "c=d"}
            await client.post("/graphql", json={"query": JOBS}, headers=headers)
    assert site.heard and {one.header("X-Request-ID") for one in site.heard} == {"my-1"}
    traces = {one.header("traceparent") or "" for one in site.heard}
    assert all(one.split("-")[1] == TRACE.split("-")[1] and one.split("-")[2] != TRACE.split("-")[2] for one in traces)
    assert not any(one.header(name) for one in site.heard for name in ("tracestate", "Cookie", "baggage"))


@pytest.mark.parametrize(
    "value", ["", "a b", "x" * 65, "a\x1b[31m", "a\r\nb", "ä", "-a", '"', JWT, "aaaaaaaaa.bbbbbbbbb.ccccccccc", "a;b", "a,b"]
)  # fmt: skip
def test_what_may_be_no_id_is_not_taken_over(value: str) -> None:
    assert request_id_in(value) is None


@pytest.mark.parametrize("value", ["a", "018f3e2c-77d0-7c3a-9d3e-0a1b2c3d4e5f", "F00:1a2b_x=.y+z@host", "x" * 64])
def test_usual_ids_are_taken_over(value: str) -> None:
    assert request_id_in(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "", TRACE + "-more", TRACE.upper(), TRACE.replace("00-", "ff-"), TRACE[:-1], "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + TRACE[52:], TRACE + "\n", " " + TRACE,
    ],
)  # fmt: skip
def test_what_is_no_trace_is_not_taken_over(value: str) -> None:
    assert TraceContext.of(value) is None


async def test_whoever_asks_without_one_gets_an_id_of_our_own() -> None:
    app = create_app(Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        ids = [
            (await client.get("/graphql", headers={"X-Request-ID": sent})).headers["x-request-id"] for sent in ("a b", JWT, "")
        ]
        ids.append((await client.get("/nowhere")).headers["x-request-id"])
    assert len(set(ids)) == 4 and all(len(one) == 12 for one in ids)


# --- lines


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Reads what has been written to stderr by what ``configure_logging`` sets up."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)


def test_a_json_line_is_one_object_that_holds_no_token(written: Callable[[], str]) -> None:
    configure_logging("info", "json")
    try:
        int(f"Bearer {JWT}")
    except ValueError:
        logging.getLogger("ccgateway.test").exception("failed with %s\nand\x1b[31m", JWT)
    fields = {"site": f"a {JWT}", "time": "never", "deep": {"x": JWT}}
    logging.getLogger("ccgateway.test").info("as it is", extra={"ccgateway_fields": fields})
    text = written()
    first, second = map(json.loads, text.splitlines())
    assert (first["level"], first["logger"], second["message"]) == ("ERROR", "ccgateway.test", "as it is")
    assert "Traceback" in first["traceback"] and second["time"] != "never" and second["time"].endswith("Z")
    assert not any(part in text for part in JWT.split("."))
    assert "\x1b" not in first["message"]


async def test_no_token_and_nothing_that_was_asked_is_in_the_access_log(written: Callable[[], str]) -> None:
    configure_logging("info")
    settings = Settings.model_validate(
        {"log": {"access": True}, "sites": {"gone": {"number": 1, "url": "http://127.0.0.1:9", "token": JWT}}}
    )
    app = create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        headers = {"Authorization": f"Bearer {JWT}", "X-Request-ID": JWT, "User-Agent": JWT}
        await client.post("/graphql", json={"query": JOBS, "variables": {"x": "of-the-caller"}}, headers=headers)
        await client.get(f"/api/jobs/?user=of-the-caller&token={JWT}", headers=headers)
    text = "".join(line for line in written().splitlines(keepends=True) if " httpx: " not in line)  # that is the client here
    assert text.count("ccgateway.access: request=") == 2
    assert "of-the-caller" not in text and not any(part in text for part in JWT.split("."))


async def test_a_caller_that_leaves_is_told_as_such(lines: list[logging.LogRecord]) -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))
    site.latency = 5.0
    async with serve(site) as running:
        sites = {"aurora": {"number": 1, "url": running["aurora"].url, "token": site.token("demo")}}
        async with serving(Settings.model_validate({"log": {"access": True}, "sites": sites})) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.post("/graphql", json={"query": JOBS}, timeout=0.5)
            async with asyncio.timeout(60):
                while not lines:  # noqa: ASYNC110 - the server makes it true
                    await asyncio.sleep(0.05)
    assert fields_of(lines[0])["outcome"] == "cancelled"
