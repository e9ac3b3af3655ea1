"""gRPC as the operator has it: off, on, shared by workers, with TLS, and where others can reach it."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from ccgateway.errors import SettingsError
from ccgateway.settings import Settings
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from ccgateway.v1 import jobs_service_pb2, jobs_service_pb2_grpc
from operations.conftest import Run, Start
from operations.desk import Desk, one_problem, one_warning
from operations.test_commands import GOOD, end, started
from operations.test_workers import ALONE, workers_of
from support.faces import faces_over
from support.loopback import self_signed

ASKED = jobs_service_pb2.ListJobsRequest(limit=5)


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


def jobs_at(address: str) -> int:
    """How many jobs come, over a connection of its own."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = jobs_service_pb2_grpc.JobsServiceStub(channel)
        return sum(len(batch.jobs) for batch in stub.ListJobs(ASKED, timeout=120, wait_for_ready=True))


def test_workers_share_a_port_for_grpc_and_end_together_with_0(site: Address, desk: Desk) -> None:
    desk.text = ALONE
    desk.add("aurora", site.url, site.site.token("demo"))
    arguments = ("serve", "--port", "0", "--grpc-port", "0", "--workers", "2")
    with started(*arguments, folder=desk.folder, until="serves") as (process, written):
        found = re.search(r"/graphql and by gRPC at (127\.0\.0\.1:(\d+))$", written.strip())
        assert found is not None, written
        workers = workers_of(process)
        listening = [{c.laddr.port for c in one.net_connections() if c.status == psutil.CONN_LISTEN} for one in workers]
        assert all(int(found[2]) in ports for ports in listening) and len(workers) == 2
        assert [jobs_at(found[1]) for _ in range(8)] == [5] * 8
        assert end(process, signal.SIGINT) == (0, "")


def test_one_process_serves_it_beside_http_and_another_gateway_does_not_get_its_port(site: Address, desk: Desk, run: Run) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", "--grpc-port", "0", folder=desk.folder, until="serves") as (process, written):
        found = re.search(r"gRPC at 127\.0\.0\.1:(\d+)", written)
        assert found is not None and jobs_at(f"127.0.0.1:{found[1]}") == 5
        done = run("serve", "--port", "0", "--grpc-port", found[1])
        assert done.status == 2 and f"✗ grpc.port: {found[1]} is in use on 127.0.0.1" in done.stderr
        assert end(process, signal.SIGTERM) == (0, "")


def test_it_is_off_unless_it_has_a_port(site: Address, desk: Desk) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written):
        assert "gRPC" not in written
        assert len([c for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]) == 1


def test_a_port_that_somebody_else_has_is_told(desk: Desk, run: Run) -> None:
    desk.file.write_text(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", "0", "--grpc-port", str(port))
    assert done.status == 2 and f"✗ grpc.port: {port} is in use on 127.0.0.1" in done.stderr and "  → " in done.stderr


def test_an_address_that_others_reach_needs_callers_with_tokens() -> None:
    sites = {"aurora": {"number": 1, "url": "http://127.0.0.1:1"}}
    open_to_all = {"host": "0.0.0.0", "port": 0}
    with pytest.raises(SettingsError) as refused:
        Settings.model_validate({"sites": sites, "grpc": open_to_all}).check_exposure()
    assert refused.value.key == "grpc.host"
    for harmless in (
        {"grpc": {"host": "0.0.0.0"}},  # off
        {"grpc": {"host": "127.0.0.1", "port": 0}},
        {"grpc": open_to_all, "server": {"serve_unauthenticated": True}},
        {"grpc": open_to_all, "api_keys": {"robot": {"hash": "sha256:" + "0" * 64, "subject": "robot", "roles": ["user"]}}},
    ):
        Settings.model_validate({"sites": sites, **harmless}).check_exposure()


async def test_check_says_how_to_call_it(start: Start, desk: Desk, run: Run) -> None:
    address = await start("1.5")
    desk.text = "[grpc]\nport = 9090\n"
    desk.add("aurora", address.url, address.site.token("demo"))
    told = "\n".join((await desk.check()).grpc)
    assert "grpcurl -plaintext -d" in told and "127.0.0.1:9090 ccgateway.v1.JobsService/ListJobs" in told
    assert 'grpc.insecure_channel("127.0.0.1:9090")' in told
    compile(told.partition("\n")[2], "lines", "exec")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('cert_file = "site.pem"', "grpc.key_file"),
        ('key_file = "site.key"', "grpc.cert_file"),
    ],
)
def test_a_certificate_and_its_key_come_together(text: str, key: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(f"[grpc]\nport = 0\n{text}\n{GOOD}")
    done = run("check")
    assert done.status == 2 and f"✗ {key}: is missing" in done.stderr


async def test_check_tells_of_files_that_cannot_be_used_and_of_plain_text(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    certificate, key = self_signed(desk.folder)
    desk.text = f'[grpc]\nport = 0\ncert_file = "{certificate.name}"\nkey_file = "{key.name}"\n'
    desk.add("aurora", address.url, address.site.token("demo"))
    key.chmod(0o644)
    found = one_problem(await desk.check())
    assert (found.key, "can be read by everybody" in found.problem) == ("grpc.key_file", True)
    key.chmod(0o600)
    assert (await desk.check()).is_good
    certificate.write_text("nothing")
    assert one_problem(await desk.check()).key == "grpc.cert_file"
    certificate.unlink()
    assert one_problem(await desk.check()).key == "grpc.cert_file"
    desk.text = '[server]\nserve_unauthenticated = true\n[grpc]\nport = 0\nhost = "0.0.0.0"\n'
    desk.add("aurora", address.url, address.site.token("demo"))
    assert one_warning(await desk.check()).key == "grpc.cert_file"


async def test_with_a_certificate_it_speaks_tls_and_nothing_else(start: Start, tmp_path: Path) -> None:
    address = await start("1.5")
    certificate, key = self_signed(tmp_path)
    key.chmod(0o600)
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    async with faces_over({"aurora": address}, grpc=tls) as both:
        port = both.address.rpartition(":")[2]
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            stub = jobs_service_pb2_grpc.JobsServiceStub(channel)
            assert [len(one.jobs) async for one in stub.ListJobs(ASKED)] == [5]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await both.walk(limit=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        async with grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials()) as channel:
            with pytest.raises(grpc.aio.AioRpcError):  # an authority that it does not know
                await jobs_service_pb2_grpc.JobsServiceStub(channel).GetJob(jobs_service_pb2.GetJobRequest(id="aurora:1"))
