"""Certificates, which are taken over as they were checked, and what comes before a request and is not counted."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccgateway.app import create_app
from ccgateway.errors import SettingsError
from ccgateway.operations.generations import Generations
from ccgateway.settings import Settings
from ccgateway.settings.tls import KeyPair
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from ccgateway.traffic import fair_loop
from ccgateway.traffic.fair_loop import FairLoop
from operations.desk import Desk
from operations.test_commands import end, started
from operations.test_reload import WORKERS, reload
from operations.test_workers import ALONE
from support.loopback import self_signed
from support.running import eventually


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(20, "aurora"))) as running:
        yield running["aurora"]


@pytest.fixture
def desk(desk: Desk, site: Address) -> Desk:
    self_signed(desk.folder)
    desk.text = f'{ALONE}[server]\ncontrol_socket = "control"\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'
    desk.add("aurora", site.url, site.site.token("demo"))
    return desk


def renew(desk: Desk, *, between: float) -> None:
    """Another certificate in the place of the one before, and then its key, as tools that renew them do."""
    fresh = desk.folder / "fresh"
    fresh.mkdir(exist_ok=True)
    self_signed(fresh)

    (fresh / "cert.pem").replace(desk.folder / "cert.pem")
    time.sleep(between)
    (fresh / "key.pem").replace(desk.folder / "key.pem")


def shown_at(port: int) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True) or b""


@WORKERS
def test_a_certificate_that_changes_while_settings_are_read_is_taken_over_whole_or_not_at_all(workers: str, desk: Desk) -> None:
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        port = int(re.findall(r"https://[^/ ]*:([0-9]+)", written)[0])
        for _ in range(40):
            process.send_signal(signal.SIGHUP)
            renew(desk, between=0.02)
            process.send_signal(signal.SIGHUP)
            assert all(shown_at(port) for _ in range(4))
        eventually(lambda: reload(desk) == (0, "reloaded\n"))
        expected = ssl.PEM_cert_to_DER_cert((desk.folder / "cert.pem").read_text())
        assert {shown_at(port) for _ in range(20)} == {expected}
        assert end(process, signal.SIGTERM)[0] == 0


def shown_by(context: ssl.SSLContext) -> bytes:
    """The certificate that ``context`` shows."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking, answering = client.wrap_bio(back, there), context.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return asking.getpeercert(binary_form=True) or b""


async def test_what_is_taken_over_is_what_was_checked_whatever_the_files_are_by_then(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    settings = Settings.model_validate({"server": {"tls_cert": certificate, "tls_key": key}})
    tls = settings.server.tls_context()
    assert tls is not None
    generations = Generations(create_app(settings), tls)
    self_signed(tmp_path)
    await generations.prepare(settings)
    checked = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    (tmp_path / "other").mkdir()
    self_signed(tmp_path / "other")[0].replace(certificate)
    await generations.commit()
    assert shown_by(tls) == checked
    with pytest.raises(SettingsError, match="not a certificate and its key"):
        await generations.prepare(settings)
    assert shown_by(tls) == checked
    await generations.discard()


def test_a_key_of_another_certificate_is_refused_wherever_it_is_named(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = self_signed(tmp_path / "other")
    for one in (key, other):
        one.chmod(0o600)
    for section in ("server.tls_", "grpc."):
        pair = KeyPair.read((f"{section}cert", certificate), (f"{section}key", key))
        assert "PRIVATE" not in repr(pair)
        with pytest.raises(SettingsError, match="not a certificate and its key") as refused:
            KeyPair.read((f"{section}cert", certificate), (f"{section}key", other))
        assert refused.value.key == f"{section}key"
        half = tmp_path / "half.pem"
        half.write_bytes(certificate.read_bytes()[:300])
        with pytest.raises(SettingsError):
            KeyPair.read((f"{section}cert", half), (f"{section}key", key))


def test_whoever_connects_has_not_long_to_begin_with_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr(fair_loop, "HANDSHAKE_WITHIN", 0.3)

    async def ends() -> bytes:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(10):
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()
                server.close()

    with asyncio.Runner(loop_factory=FairLoop) as runner:
        assert runner.run(ends()) == b""


@contextlib.contextmanager
def open_files(most: int) -> Iterator[None]:
    """This process, and what it starts, may have so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 4096, reason="this system lets nobody open that many files")
def test_those_who_do_not_begin_with_tls_keep_nobody_out(desk: Desk) -> None:
    with contextlib.ExitStack() as stack:
        with open_files(1024):
            process, written = stack.enter_context(started("serve", "--port", "0", folder=desk.folder, until="serves"))
        stack.enter_context(open_files(4096))
        port = int(re.findall(r"https://[^/ ]*:([0-9]+)", written)[0])
        for _ in range(1200):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        for _ in range(3):
            assert shown_at(port)
        assert end(process, signal.SIGTERM)[0] == 0
