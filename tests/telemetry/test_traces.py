"""Traces as a collector gets them, from real requests; and that nothing of the library is there where they are off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from acceptance.recorded import serving
from ccgateway.errors import SettingsError
from ccgateway.settings import Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.telemetry import tracing

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JOBS = "{ jobs(first: 2) { items { id } complete } }"


@contextmanager
def collector() -> Iterator[tuple[str, list[Span], list[bytes]]]:
    """Where traces can be sent, the spans that came, and the bodies they came in."""
    spans: list[Span] = []
    bodies: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            bodies.append(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans, bodies
    server.shutdown()
    server.server_close()


async def test_a_request_is_a_span_with_one_for_each_call_to_a_site_below_it() -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))
    token = site.token("demo")
    with collector() as (endpoint, spans, bodies):
        async with serve(site) as running:
            sites = {
                "aurora": {"number": 1, "url": running["aurora"].url, "token": token},
                "gone": {"number": 2, "url": "http://127.0.0.1:9", "token": token},
            }
            settings = Settings.model_validate({"traces": {"endpoint": endpoint}, "sites": sites})
            async with serving(settings) as client:
                query = {"query": JOBS, "variables": {"x": "of-the-caller"}}
                answer = await client.post("/graphql", json=query, headers={"traceparent": TRACE, "X-Request-ID": "my-1"})
        (request,) = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
        calls = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
        told = {one.key: one.value for one in request.attributes}
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE.split("-")[1], TRACE.split("-")[2])
        assert (request.name, told["ccgateway.request_id"].string_value) == ("graphql jobs", "my-1")
        assert told["ccgateway.outcome"].string_value == "incomplete"
        assert answer.headers["traceparent"].split("-")[2] == request.span_id.hex()
        assert {span.parent_span_id for span in calls} == {request.span_id}
        assert {one.value.string_value for span in calls for one in span.attributes if one.key == "ccgateway.site"} == set(sites)
        assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in spans)
        assert not any(secret.encode() in body for body in bodies for secret in (token, *token.split("."), "of-the-caller"))


async def test_a_request_that_waits_for_anothers_fetch_is_linked_to_it() -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))
    with collector() as (endpoint, spans, _):
        async with serve(site) as running:
            sites = {"aurora": {"number": 1, "url": running["aurora"].url, "token": site.token("demo")}}
            async with serving(Settings.model_validate({"traces": {"endpoint": endpoint}, "sites": sites})) as client:
                await client.post("/graphql", json={"query": JOBS})  # the site has proved the token by then
                site.latency = 1.0
                query = {"query": "{ jobs(first: 3) { items { id user } } }"}
                first = asyncio.create_task(client.post("/graphql", json=query))
                await asyncio.sleep(0.3)
                await asyncio.gather(first, client.post("/graphql", json=query))
        requests = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_SERVER}
        (joined,) = [span for span in requests.values() if span.links]
        assert {link.span_id for link in joined.links} <= requests.keys() - {joined.span_id}


async def test_a_collector_that_is_not_there_takes_nothing_from_anybody() -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))
    async with serve(site) as running:
        sites = {"aurora": {"number": 1, "url": running["aurora"].url, "token": site.token("demo")}}
        settings = {"traces": {"endpoint": "http://127.0.0.1:9/v1/traces"}, "sites": sites}
        async with asyncio.timeout(60), serving(Settings.model_validate(settings)) as client:
            answer = await client.post("/graphql", json={"query": JOBS})
    assert answer.json()["data"]["jobs"]["complete"]


def test_nothing_of_the_library_is_imported_where_traces_are_off() -> None:
    program = (
        "import sys; from ccgateway.app import create_app; from ccgateway.settings import Settings; create_app(Settings());"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_is_not_installed_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ccgateway.telemetry.traces", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    with pytest.raises(SettingsError, match=r"traces.endpoint: OpenTelemetry is not installed .*ccgateway\[otel\]"):
        tracing.open_tracer("http://localhost:4318/v1/traces", 1.0)


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://x/y", "http://user:secret@x/y", "http://x/y?token=z"])
def test_a_place_for_traces_that_is_none_or_holds_a_secret_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"traces\.endpoint") as refused:
        Settings.model_validate({"traces": {"endpoint": endpoint}})
    assert "secret" not in str(refused.value)
