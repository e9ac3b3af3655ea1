"""Gateways in processes of their own, under load, with signals: what an operator and a service manager do to them."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["JOBS", "Load", "UnixConnection", "eventually", "get", "loaded", "query"]

JOBS = "{ jobs(first: 2) { items { id } complete } }"


class UnixConnection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def get(url: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def query(connection: http.client.HTTPConnection, text: str = JOBS) -> dict[str, object]:
    """The data of one GraphQL query. Raises for whatever else comes."""
    connection.request("POST", "/graphql", json.dumps({"query": text}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise AssertionError(f"{answer.status}: {body[:300]!r}")
    data: dict[str, object] = json.loads(body)["data"]
    return data


@dataclass
class Load:
    """What clients with kept connections have seen."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def loaded(url: str, clients: int) -> Iterator[Load]:
    """So many clients that ask without a pause, each on a connection that it keeps as long as the server lets it."""
    load, ended, lock = Load(), threading.Event(), threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        while not ended.is_set():
            try:
                complete = query(connection)["jobs"]["complete"]  # type: ignore[index]
                problem = None if complete else "incomplete"
            except (OSError, http.client.HTTPException, AssertionError, KeyError, TypeError) as error:
                problem = repr(error)
                connection.close()
            with lock:
                load.answered += problem is None
                if problem is not None:
                    load.failures.append(problem)
        connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def eventually(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Returns once it is so. Fails after so many seconds."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
