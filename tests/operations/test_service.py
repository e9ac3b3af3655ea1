"""As a service: what a manager hands over and is told, a Unix socket, TLS of one's own, and proxies in front."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.conftest import Run
from operations.desk import Desk, environment
from operations.test_commands import ask, end, started
from operations.test_reload import reload
from operations.test_workers import ALONE, url_in
from support.loopback import self_signed
from support.running import JOBS, UnixConnection, eventually, get, query

#: a manager that hands over descriptors from 3 on: the command's own number is known only once it runs
HAND_OVER = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@pytest.fixture
def desk(desk: Desk, site: Address) -> Desk:
    desk.text = f'{ALONE}[server]\ncontrol_socket = "control"\n'
    desk.add("aurora", site.url, site.site.token("demo"))
    return desk


@contextmanager
def managed(desk: Desk, *given: socket.socket | str, **extra: str) -> Iterator[subprocess.Popen[bytes]]:
    """The gateway as a service manager would start it, which listens for it. ``given``: where it listens, and arguments."""
    listeners = [one for one in given if isinstance(one, socket.socket)]
    arguments = [one for one in given if isinstance(one, str)]

    def hand_over() -> None:
        held = [os.dup(listener.fileno()) for listener in listeners]  # none of them is overwritten before its turn
        held = [os.dup2(number, 50 + place) for place, number in enumerate(held)]
        for place, number in enumerate(held):
            os.dup2(number, 3 + place, inheritable=True)

    command = [sys.executable, "-c", HAND_OVER, "-m", "ccgateway", "serve", *arguments]
    process = subprocess.Popen(
        command, cwd=desk.folder, env=environment(LISTEN_FDS=str(len(listeners)), **extra), preexec_fn=hand_over, close_fds=False,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Manager:
    """The end of a service manager: what it is told."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)
        self.seen: list[str] = []

    def until(self, line: str) -> str:
        """The message that has a line like that."""
        while True:
            message = self.socket.recv(4096).decode()
            self.seen.append(message)
            if re.search(line, message, re.MULTILINE):
                return message


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_manager_hands_over_its_socket_and_is_told_what_happens(workers: str, desk: Desk) -> None:
    manager = Manager(desk.folder / "notify")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())
        extra = {"NOTIFY_SOCKET": str(desk.folder / "notify"), "WATCHDOG_USEC": "400000"}
        with managed(desk, listener, "--workers", workers, **extra) as process:
            manager.until("^READY=1$")
            assert ask(f"{url}/graphql", JOBS)["data"]["jobs"]["complete"]
            before = time.monotonic_ns() // 1000
            process.send_signal(signal.SIGHUP)
            found = re.search(r"^MONOTONIC_USEC=(\d+)$", manager.until("^RELOADING=1$"), re.MULTILINE)
            assert found is not None and before <= int(found[1]) <= time.monotonic_ns() // 1000
            manager.until("^READY=1$")
            assert [manager.until("^WATCHDOG=1$") for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            manager.until("^STOPPING=1$")
            assert process.wait(timeout=20) == 0


def test_what_waited_before_the_start_is_answered_after_it(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=30)
        kept.connect()
        with managed(desk, listener):
            assert query(kept)["jobs"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_several_sockets_that_are_handed_over_are_answered_at_all_of_them(workers: str, desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ends = [listener.getsockname() for listener in (first, second)] * 2
        kept = [http.client.HTTPConnection(host, port, timeout=30) for host, port in ends]
        with managed(desk, first, second, "--workers", workers):
            assert all(query(one)["jobs"] for one in kept)


def test_a_socket_that_others_can_reach_is_refused_where_nobody_says_who_they_are(desk: Desk) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener, managed(desk, listener) as process:
        assert process.wait(timeout=30) == 2


def test_so_is_one_among_others_that_only_this_machine_can_reach(desk: Desk) -> None:
    with (
        socket.socket(socket.AF_UNIX) as path,
        socket.create_server(("127.0.0.1", 0)) as local,
        socket.create_server(("0.0.0.0", 0)) as exposed,
    ):
        path.bind(str(desk.folder / "given"))
        path.listen()
        for given in ([path, exposed], [local, exposed, path], [exposed, local]):
            with managed(desk, *given, "--workers", "2") as process:
                assert process.wait(timeout=30) == 2


def test_variables_meant_for_another_process_are_not_taken(desk: Desk) -> None:
    command = [sys.executable, "-m", "ccgateway", "serve", "--port", "0"]
    extra = environment(LISTEN_FDS="1", LISTEN_PID="1")
    with subprocess.Popen(command, cwd=desk.folder, env=extra, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "serves 1 site" in process.stderr.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_unix_socket_is_answered_at_and_goes_away_with_the_gateway(workers: str, desk: Desk) -> None:
    desk.file.write_text(desk.text.replace("[server]\n", '[server]\nunix_socket = "gateway.sock"\n'))
    path = desk.folder / "gateway.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with started("serve", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        assert "unix:gateway.sock:/graphql" in written and path.stat().st_mode & 0o777 == 0o660
        connection = UnixConnection(str(path))
        assert query(connection)["jobs"]
        connection.close()
        assert end(process, signal.SIGTERM)[0] == 0
    assert not path.exists()


def test_a_unix_socket_in_use_is_named(desk: Desk, run: Run) -> None:
    desk.file.write_text(desk.text.replace("[server]\n", '[server]\nunix_socket = "gateway.sock"\n'))
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(desk.folder / "gateway.sock"))
        taken.listen()
        done = run("serve")
    assert done.status == 2 and "✗ server.unix_socket: " in done.stderr and "is in use" in done.stderr


def name_shown(address: str) -> str:
    host, port = address.split(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), timeout=20) as plain, context.wrap_socket(plain) as secure:
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    return str(shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tls_of_its_own_is_spoken_and_a_new_certificate_is_shown_without_a_restart(workers: str, desk: Desk) -> None:
    self_signed(desk.folder, "first")
    desk.text = desk.text.replace("[server]\n", '[server]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n')
    desk.file.write_text(desk.text)
    with started("serve", "--port", "0", "--workers", workers, folder=desk.folder, until="serves") as (process, written):
        (address,) = re.findall(r"https://(127\.0\.0\.1:\d+)/graphql", written)
        context = ssl.create_default_context(cafile=str(desk.folder / "cert.pem"))
        connection = http.client.HTTPSConnection(address, timeout=20, context=context)
        assert query(connection)["jobs"]
        self_signed(desk.folder, "second")
        assert reload(desk)[0] == 0
        assert {name_shown(address) for _ in range(10)} == {"second"}
        assert query(connection)["jobs"], "a connection that is open stays"
        self_signed(desk.folder, "third")
        eventually(lambda: {name_shown(address) for _ in range(6)} == {"third"})
        (desk.folder / "key.pem").write_text("-----BEGIN NOTHING-----")
        status, said = reload(desk)
        assert status == 1 and "are not a certificate and its key" in said
        assert name_shown(address) == "third"
        assert end(process, signal.SIGTERM)[0] == 0


def test_a_key_that_others_can_read_is_refused(desk: Desk, run: Run) -> None:
    self_signed(desk.folder, "one")
    (desk.folder / "key.pem").chmod(0o644)
    desk.file.write_text(desk.text.replace("[server]\n", '[server]\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'))
    done = run("serve", "--port", "0")
    assert done.status == 2 and "✗ server.tls_key: " in done.stderr and "can be read by everybody" in done.stderr


@pytest.mark.parametrize(
    ("trusted", "seen"), [('["127.0.0.0/8"]', "192.0.2.7"), ('["192.0.2.0/24"]', "127.0.0.1"), ("[]", "127.0.0.1")]
)
def test_only_trusted_proxies_are_believed_who_the_caller_is(trusted: str, seen: str, desk: Desk) -> None:
    desk.file.write_text(desk.text.replace("[server]\n", f"[server]\ntrusted_proxies = {trusted}\n"))
    with started("serve", "--port", "0", "--access-log", "--log-level", "info", folder=desk.folder, until="serves") as (
        process,
        written,
    ):
        connection = http.client.HTTPConnection(urlsplit(url_in(written)).netloc, timeout=20)
        connection.request("GET", "/api/jobs/", headers={"X-Forwarded-For": "10.0.0.1, 192.0.2.7", "X-Forwarded-Proto": "https"})
        assert connection.getresponse().status == 200
        logged = end(process, signal.SIGTERM)[1]
        assert f" client={seen} " in logged


def test_the_proxy_at_a_unix_socket_is_believed_by_its_name(desk: Desk) -> None:
    lines = '[server]\nunix_socket = "gateway.sock"\ntrusted_proxies = ["unix"]\n'
    desk.file.write_text(desk.text.replace("[server]\n", lines))
    with started("serve", "--access-log", "--log-level", "info", folder=desk.folder, until="serves") as (process, _):
        connection = UnixConnection(str(desk.folder / "gateway.sock"))
        connection.request("GET", "/api/jobs/", headers={"X-Forwarded-For": "192.0.2.7"})
        assert connection.getresponse().status == 200
        connection.close()
        assert " client=192.0.2.7 " in end(process, signal.SIGTERM)[1]


@pytest.mark.parametrize("before", ["", "/gateway"])
def test_under_a_path_it_answers_whether_or_not_the_proxy_takes_it_away(before: str, desk: Desk) -> None:
    desk.file.write_text(desk.text.replace("[server]\n", '[server]\nroot_path = "/gateway"\n'))
    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (_, written):
        url = url_in(written)
        assert get(url, f"{before}/health/ready")[0] == 200
        assert ask(url.replace("/graphql", f"{before}/graphql"), JOBS)["data"]["jobs"]["complete"]
        status, _, body = get(url, f"{before}/api/jobs/?items-per-page=1")
        assert status == 200 and len(json.loads(body)["jobs"]) == 1
        assert get(url, f"{before}/cc-backend/1.5/api/clusters/")[0] == 200
        at_it = http.client.HTTPConnection(url.split("/")[2])
        for path in ("/gateway", "/gateway/"):
            at_it.request("GET", path)
            found = at_it.getresponse()
            found.read()
            assert (found.status, found.headers["location"]) == (307, "/gateway/sites")
        at_it.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('trusted_proxies = ["proxy.example.org"]', "neither an address, a network"),
        ('root_path = "gateway/"', "needs the form /path"),
        ('tls_cert = "cert.pem"', "server.tls_key: is missing"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(line: str, said: str, desk: Desk, run: Run) -> None:
    desk.file.write_text(desk.text.replace("[server]\n", f"[server]\n{line}\n"))
    done = run("serve", "--port", "0")
    assert done.status == 2 and said in done.stderr


def test_who_does_not_listen_to_what_it_says_keeps_it_from_nothing(desk: Desk) -> None:
    """Its standard error is a pipe that nobody reads any more."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "ccgateway", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=desk.folder, env=environment(), stderr=writer)
    os.close(writer)

    def answers() -> bool:
        assert process.poll() is None
        try:
            return get(f"http://127.0.0.1:{port}", "/health/live")[0] == 200
        except OSError:
            return False

    try:
        eventually(answers)
    finally:
        process.terminate()
        process.wait(20)
