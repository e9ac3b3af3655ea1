"""nginx, haproxy and Apache as shipped, in front of a real gateway, and of an upstream that tells what arrives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import httpx
import pytest

import ccgateway
from ccgateway.operations.minting import new_api_key, section_for
from ccgateway.simulator import SimulatorProcess
from ccgateway.v1.jobs_service_pb2 import ListJobsRequest
from ccgateway.v1.jobs_service_pb2_grpc import JobsServiceStub
from deploy.proxies import PREFIX, PROXIES, Proxy, Upstream, in_front_of
from support.loopback import free_port


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A gateway in a process of its own, with gRPC, in front of one simulated site."""
    folder = tmp_path_factory.mktemp("gateway")
    key, grpc_port = new_api_key(), free_port()
    with SimulatorProcess("--release", "1.5", "--jobs", "3000", "--cluster", "aurora") as site, ExitStack() as stack:
        (folder / "aurora.jwt").write_text(site.tokens["demo"])
        (folder / "ccgateway.toml").write_text(
            f'[grpc]\nport = {grpc_port}\n[sites.aurora]\nnumber = 1\nurl = "{site.url}"\ntoken_file = "aurora.jwt"\n'
            f"timeout = 30\n{section_for(key, 'robot', 'robot', ['admin'])}"
        )
        command = [sys.executable, "-m", "ccgateway", "serve", "--config", str(folder / "ccgateway.toml"), "--port", "0"]
        environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(Path(ccgateway.__file__).parents[1])}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/graphql", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield Upstream(int(found[1]), grpc_port, key)
                return
        raise AssertionError(said)


class Echo(BaseHTTPRequestHandler):
    """Tells what arrived; ``/stream`` sends its second piece only after somebody has received the first one."""

    protocol_version = "HTTP/1.1"
    received = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"6\r\nfirst\n\r\n")
            assert self.received.wait(20)
            self.wfile.write(b"7\r\nsecond\n\r\n0\r\n\r\n")
            return
        headers = {name.lower(): ", ".join(self.headers.get_all(name, ())) for name in self.headers}
        body = json.dumps({"path": self.path, "headers": headers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """Says nothing of connections that a proxy ends after a look whether somebody listens."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def echo() -> Iterator[Upstream]:
    with Quiet(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Upstream(server.server_port, server.server_port)
        server.shutdown()


@pytest.fixture(scope="module", params=PROXIES)
def before_gateway(
    request: pytest.FixtureRequest, gateway: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with in_front_of(gateway, request.param, tmp_path_factory.mktemp(request.param)) as proxy:
        yield proxy


@pytest.fixture(scope="module", params=PROXIES)
def before_echo(request: pytest.FixtureRequest, echo: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with in_front_of(echo, request.param, tmp_path_factory.mktemp(request.param)) as proxy:
        yield proxy


def test_graphql_answers_as_without_the_proxy(before_gateway: Proxy, gateway: Upstream) -> None:
    body = {"query": "{ jobs(first: 5) { items { id user } complete } }"}
    direct = httpx.post(f"{gateway.url}/graphql", json=body, headers={"X-Auth-Token": gateway.key})
    with before_gateway.client(gateway.key) as client:
        found = client.post(f"{PREFIX}/graphql", json=body)
    assert found.status_code == 200 and found.content == direct.content
    assert len(found.json()["data"]["jobs"]["items"]) == 5
    assert "max-age" in found.headers["Strict-Transport-Security"]


def test_a_caller_without_a_token_is_refused_behind_the_proxy_too(before_gateway: Proxy) -> None:
    with before_gateway.client() as client:
        assert client.get(f"{PREFIX}/api/jobs/").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/jobs/?state=completed&items_per_page=3000",
        "/cc-backend/1.5/api/jobs/?state=completed&items-per-page=2&page=2",
        "/api/clusters/",
    ],
)
def test_rest_answers_the_same_bytes_also_large_ones(before_gateway: Proxy, gateway: Upstream, path: str) -> None:
    direct = httpx.get(f"{gateway.url}{path}", headers={"X-Auth-Token": gateway.key}, timeout=30)
    with before_gateway.client(gateway.key) as client:
        found = client.get(f"{PREFIX}{path}")
    assert direct.status_code == 200 and found.content == direct.content
    assert "3000" not in path or len(found.content) > 1_000_000


def test_bodies_up_to_the_gateways_bound_are_let_through_and_larger_ones_refused(
    before_gateway: Proxy, gateway: Upstream
) -> None:
    with before_gateway.client(gateway.key) as client:
        fits = client.post(f"{PREFIX}/graphql", json={"query": "{ __typename }", "variables": {"x": "y" * (7 << 20)}})
        is_too_large = client.post(f"{PREFIX}/graphql", json={"query": "{ __typename }", "variables": {"x": "y" * (9 << 20)}})
    assert (fits.status_code, is_too_large.status_code) == (200, 413)


def test_only_the_prefix_is_the_gateways(before_gateway: Proxy) -> None:
    with before_gateway.client() as client:
        assert client.get("/health/live").status_code == 404
        assert client.get("/ccgatewayx/health/live").status_code == 404
        bare = client.get(PREFIX)
    assert bare.status_code == 301 and httpx.URL(bare.headers["Location"]).path == f"{PREFIX}/"


def test_a_list_streams_by_grpc(before_gateway: Proxy, gateway: Upstream) -> None:
    if before_gateway.name == "apache":
        pytest.skip("Apache does not speak gRPC: callers reach the gateway's own port")
    credentials = grpc.ssl_channel_credentials(before_gateway.certificate.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{before_gateway.port}", credentials) as channel:
        stub, request = JobsServiceStub(channel), ListJobsRequest()
        answers = list(stub.ListJobs(request, metadata=[("x-auth-token", gateway.key)], timeout=30, wait_for_ready=True))
        assert len(answers) > 1 and sum(len(answer.jobs) for answer in answers) == 3000
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.ListJobs(request, timeout=30))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", ["/a%2Fb/c", "/a%20b?x=%2F&y[from]=1&z=%5B", "/a//double", "/%C3%A4", "/b%2e"])
def test_a_path_reaches_the_gateway_as_the_caller_wrote_it(before_echo: Proxy, path: str) -> None:
    with before_echo.client() as client:
        raw = client.build_request("GET", "/")
        raw.url = raw.url.copy_with(raw_path=f"{PREFIX}{path}".encode())
        found = client.send(raw)
    assert found.json()["path"] == path


def test_what_a_caller_claims_of_itself_does_not_arrive(before_echo: Proxy) -> None:
    claimed = {
        "X-Forwarded-For": "192.0.2.66",
        "X-Forwarded-Proto": "gopher",
        "Forwarded": "for=192.0.2.66",
        "X-Request-ID": "192.0.2.66",
        "Authorization": "Bearer kept",
    }
    with before_echo.client() as client:
        headers = client.get(f"{PREFIX}/x", headers=claimed).json()["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert headers["host"] == f"localhost:{before_echo.port}" and headers["authorization"] == "Bearer kept"
    assert "192.0.2.66" not in json.dumps(headers) and len(headers["x-request-id"]) >= 16


def test_an_answer_is_handed_on_piece_by_piece(before_echo: Proxy) -> None:
    """The second piece is sent only once the first one was received here."""
    Echo.received.clear()
    with before_echo.client() as client, client.stream("GET", f"{PREFIX}/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        Echo.received.set()
        assert list(lines) == ["second"]
