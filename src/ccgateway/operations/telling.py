"""``/metrics`` on a port of its own, in a thread of its own: told whatever else the process is busy with.

With several workers the supervisor tells, for all of them. It asks each over a socket in a folder that is nobody else's, keeps
what a worker said last, and goes on with the counts of one that has ended: Prometheus sees one gateway whose counters only grow.
"""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EADDRINUSE
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, wait
from pathlib import Path
from typing import cast

import msgspec
from prometheus_client import start_http_server

from ccgateway.errors import SettingsError
from ccgateway.settings import MetricsSettings
from ccgateway.telemetry.samples import Sample, Samples, added, lasting, read_samples, registry_of, written_samples

__all__ = ["Meeting", "answer_from", "gathered", "told"]

log = logging.getLogger(__name__)

#: seconds that a worker gets to answer, and until another may come where one could not
PATIENCE, AGAIN = 2.0, 0.1
_ASK = b"samples"


class Meeting(msgspec.Struct, frozen=True):
    """Where workers meet their supervisor, and the secret by which each knows the other."""

    address: str
    key: bytes

    def __repr__(self) -> str:
        return f"Meeting({self.address!r})"


@contextmanager
def told(settings: MetricsSettings, tell: Callable[[], Samples]) -> Iterator[str | None]:
    """Tells what ``tell`` gives, as long as the block runs; gives the address (``None`` where the settings want no metrics).
    Raises ``SettingsError`` where the port cannot be had."""
    if settings.port is None:
        yield None
        return
    host = settings.host.strip("[]")
    try:
        server, thread = start_http_server(settings.port, host, registry_of(tell))
    except OSError as error:
        if error.errno == EADDRINUSE:
            remedy = "Stop what listens there, or choose another port (0 picks a free one)."
            raise SettingsError("metrics.port", f"{settings.port} is in use on {host}", remedy) from None
        problem = f"cannot listen on {host}, port {settings.port} ({error.strerror})"
        raise SettingsError("metrics.host", problem, "Choose an address of this machine and a port you may use.") from None
    try:
        yield f"http://[{host}]:{server.server_port}/metrics" if ":" in host else f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Worker:
    """``last``: what it said last; ``is_asked``: an answer is still to come."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.last: Samples = []
        self.is_asked = False

    def ask(self) -> None:
        """Raises ``OSError`` when it has ended."""
        if not self.is_asked:
            self.connection.send_bytes(_ASK)
            self.is_asked = True

    def hear(self) -> None:
        """Takes the answer that has come. Raises ``EOFError`` or ``OSError`` when it has ended."""
        self.last = read_samples(self.connection.recv_bytes())
        self.is_asked = False


class Gathering:
    """The supervisor's side. ``meeting``: handed to the workers, which then come by themselves, new ones too. ``expected``: how
    many there should be."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._folder = tempfile.TemporaryDirectory(prefix="ccgateway-")
        self.meeting = Meeting(str(Path(self._folder.name) / "metrics"), secrets.token_bytes(32))
        self._listener = Listener(self.meeting.address, "AF_UNIX", backlog=64, authkey=self.meeting.key)
        self._workers: list[_Worker] = []
        self._ended: Samples = []
        self._lock = threading.Lock()
        self._is_closed = False
        threading.Thread(target=self._receive, name="workers with metrics", daemon=True).start()

    def _receive(self) -> None:
        while not self._is_closed:
            try:
                worker = _Worker(self._listener.accept())
            except (OSError, EOFError, AuthenticationError):  # a worker that ended while it came is none
                time.sleep(AGAIN)  # where there are no files left, it fails at once
                continue
            with self._lock:
                self._workers.append(worker)

    def samples(self) -> Samples:
        """Everything, of all workers."""
        with self._lock:  # whoever else asks wants the same
            for worker in list(self._workers):
                self._try(worker, worker.ask)
            until = time.monotonic() + PATIENCE
            while asked := {one.connection: one for one in self._workers if one.is_asked}:
                heard = wait(list(asked), max(0.0, until - time.monotonic()))
                for connection in heard:
                    worker = asked[cast("Connection", connection)]
                    self._try(worker, worker.hear)
                if not heard:
                    break
            silent = sum(worker.is_asked for worker in self._workers)
            answering = len(self._workers) - silent
            states = [
                Sample("ccgateway_workers", ("answering",), answering),
                # one that cannot start is not heard either
                Sample("ccgateway_workers", ("silent",), max(silent, self._expected - answering)),
            ]
            return added([self._ended, states, *(worker.last for worker in self._workers)])

    def _try(self, worker: _Worker, work: Callable[[], None]) -> None:
        """If it has ended, its counts stay."""
        try:
            work()
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            if isinstance(error, msgspec.MsgspecError):
                log.warning("a worker tells its metrics in a way that is not understood, and is asked no more: %s", error)
            self._workers.remove(worker)
            worker.connection.close()
            self._ended = added([self._ended, lasting(worker.last)])

    def close(self) -> None:
        """Lets go of everything."""
        self._is_closed = True
        self._listener.close()
        for worker in self._workers:
            worker.connection.close()
        self._folder.cleanup()


@contextmanager
def gathered(settings: MetricsSettings, workers: int) -> Iterator[Meeting | None]:
    """Tells what all ``workers``, which come to the meeting, have to tell, as long as the block runs; as ``told``."""
    if settings.port is None:
        yield None
        return
    try:
        gathering = Gathering(workers)
    except OSError as error:
        log.warning("metrics: the workers' cannot be gathered, and are told nowhere: no folder for temporary files (%s)", error)
        yield None
        return
    try:
        with told(settings, gathering.samples):
            yield gathering.meeting
    finally:
        gathering.close()


def answer_from(tell: Callable[[], Samples], meeting: Meeting) -> None:
    """The worker's side: from now on, in a thread of its own, tells the supervisor whenever it asks."""

    def answer() -> None:
        # once the supervisor has ended, so will this process
        with suppress(OSError, EOFError), Client(meeting.address, "AF_UNIX", authkey=meeting.key) as connection:
            while connection.recv_bytes() == _ASK:
                connection.send_bytes(written_samples(tell()))

    threading.Thread(target=answer, name="metrics", daemon=True).start()
