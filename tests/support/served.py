"""A served gateway in a thread, in front of simulated sites, and what may stand between it and its clients."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx
import uvicorn

from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.simulator.serve import Address
from support.answering import Handler, answering

__all__ = ["UNTIL", "Between", "Served", "between", "cut", "passed", "served", "site_of", "status"]

#: the same for all sites, so that it is known whose job is the newest
UNTIL = int(time.time())
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}


def site_of(name: str, *, jobs: int = 60) -> SimulatedSite:
    """A site of the release that the letter stands for, with jobs of the last four days."""
    return SimulatedSite(name, RELEASES[name], GeneratedJobs(jobs, name, seed=len(name), until=UNTIL, span=4 * 86400), commit=0.5)


@dataclass(frozen=True)
class Served:
    """Where the gateway is, and its sites."""

    url: str
    sites: dict[str, Address]
    loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> None:
        """Does something in the loop of the sites, such as ``sites["aurora"].stop()``."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @contextmanager
    def down(self, name: str) -> Iterator[None]:
        """Meanwhile, that site does not answer."""
        self.run(self.sites[name].stop())
        try:
            yield
        finally:
            self.up(name)

    def up(self, name: str) -> None:
        """That site answers again, and the gateway knows that it does."""
        self.run(self.sites[name].start())
        # whoever asks for one site only has it asked, whatever is known of it
        document, until = "{ jobs(first: 1) { complete } tags { id } }", time.monotonic() + 20
        while time.monotonic() < until:
            answer = httpx.post(f"{self.url}/graphql", json={"query": document}).json()
            if name not in [one.get("extensions", {}).get("site") for one in answer.get("errors", ())]:
                return
            time.sleep(0.1)


@contextmanager
def served(
    *sites: SimulatedSite, protocol: type[asyncio.Protocol] | Literal["auto"] = "auto", **sections: Any
) -> Iterator[Served]:
    """A gateway over ``sites``; ``protocol``: who speaks HTTP there; ``sections`` of its settings."""
    found: list[Served] = []
    ready, done, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def work() -> None:
        async with serve(*sites) as addresses:
            settings = Settings.model_validate(
                {
                    "sites": {
                        name: {
                            "number": number,
                            "url": one.url,
                            "token": one.site.token("demo"),
                            "connect_timeout": 30,
                            "timeout": 60,
                        }
                        for number, (name, one) in enumerate(addresses.items(), start=1)
                    },
                    "cache": {"list_for": 0},
                    "limits": {"request_timeout": 120.0, "patience": 0},
                    **sections,
                }
            )
            config = uvicorn.Config(create_app(settings), port=0, http=protocol, log_config=None, timeout_graceful_shutdown=2)
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            found.append(Served(f"http://127.0.0.1:{port}", addresses, loop))
            ready.set()
            await done.wait()
            server.should_exit = True
            await running

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    try:
        assert ready.wait(60)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


#: what becomes of one request: it gets the handler, the answer's status, headers and body, and writes what the client is to see
Fate: TypeAlias = Callable[[BaseHTTPRequestHandler, int, list[tuple[str, str]], bytes], None]


def passed(handler: BaseHTTPRequestHandler, code: int, headers: list[tuple[str, str]], body: bytes) -> None:
    """The answer as it is."""
    handler.send_response_only(code)
    for name, value in headers:
        if name.lower() not in ("transfer-encoding", "content-length", "connection"):
            handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@dataclass(frozen=True)
class Cut:
    """So many bytes of the answer's body, and then the connection breaks."""

    after: int

    def __call__(self, handler: BaseHTTPRequestHandler, code: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if self.after:
            handler.send_response_only(code)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body) + 1))
            handler.end_headers()
            handler.wfile.write(body)
            handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(2)


def cut(after: int = 0) -> Fate:
    """The like."""
    return Cut(after)


def status(code: int, body: bytes = b"<html>busy</html>", **headers: str) -> Fate:
    """Another answer, of a proxy for one."""

    def fate(handler: BaseHTTPRequestHandler, *_: object) -> None:
        passed(handler, code, [(name.replace("_", "-"), value) for name, value in headers.items()], body)

    return fate


@dataclass
class Between:
    """What stands between. ``fates``: of the next requests, one after the other; then all is passed on. ``requests``: method,
    path and body of each, as they came; ``reached``: how many were passed on."""

    url: str = ""
    fates: list[Fate] = field(default_factory=list)
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    reached: int = 0


@contextmanager
def between(target: str) -> Iterator[Between]:
    """Something between a client and the server at ``target``."""
    found = Between()
    host = urlsplit(target).netloc

    class Passing(Handler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            found.requests.append((self.command, self.path, body))
            found.headers.append(dict(self.headers.items()))
            fate = found.fates.pop(0) if found.fates else passed
            connection = http.client.HTTPConnection(host, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
                connection.request(self.command, self.path, body, {**headers, "Host": host})
                answer = connection.getresponse()
                found.reached += 1
                # no more is asked for than is passed on
                body = answer.read(fate.after) if isinstance(fate, Cut) else answer.read()
                fate(self, answer.status, answer.getheaders(), body)
            finally:
                connection.close()

        do_GET = do_POST = _handle

    with answering(Passing) as found.url:
        yield found
