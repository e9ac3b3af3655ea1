"""One simulated site: a backend, its keys, and the ASGI application in front of them.

:class:`SimulatedSite` is what tests and the demo hold in their hands. What it saw is in :attr:`~SimulatedSite.requests` and
the counters; what it really holds, in :attr:`~SimulatedSite.truth`; how it misbehaves is told to
:attr:`~SimulatedSite.faults`; how slow it is, to ``latency``, ``per_job_cost`` and ``per_query_cost``
(seconds).
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from zlib import compressobj

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ccgateway.simulator.asgi import Receive, Scope, Send, read_request, send_response
from ccgateway.simulator.backend import DEFAULT_USERS, Backend
from ccgateway.simulator.faults import Faults
from ccgateway.simulator.generated import GeneratedJobs
from ccgateway.simulator.messages import Request, Response
from ccgateway.simulator.misbehaviour import Exchange
from ccgateway.simulator.release import RELEASES
from ccgateway.simulator.routes import Router
from ccgateway.simulator.tokens import Keys, subject_of
from ccgateway.simulator.truth import Truth
from ccgateway.simulator.wire import Traffic

__all__ = ["Seen", "SimulatedSite"]

_LOG = 10_000
_GZIP = 31  # window bits: with gzip header and trailer


class Seen(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str  #: path and query
    headers: tuple[str, ...]  #: names, in lower case
    subject: str | None  #: whom the token claims to be of, unverified


class SimulatedSite:
    """A cc-backend that never was.

    Args:
        name: what the caller calls it.
        release: ``1.2``, ``1.3``, ``1.4``, ``1.5`` or ``howto``.
        jobs: dicts as any release lists them, or generated ones.
        clusters: configurations as ``GET /api/clusters/`` of that release shows them (default: synthetic, one per
            cluster name among the jobs).
        zone: the server's time zone.
        clock: what time it is there; running jobs' durations depend on it. Tokens are held against the real time
            (``site.keys.clock``).
        users: the user table, name to roles; each can have a :meth:`token`.
        private: its signing key (default: a new one).
        commit: seconds between two runs of the worker that makes started jobs visible (release 1.5 has one; 0: at once).
        archiving: seconds until a job that was stopped is archived.
        latency: seconds before every answer.
        per_job_cost: seconds for every job in an answer of REST, whose lists read an archive entry for each (a real instance
            takes some 0.00035).
        per_query_cost: the same for every job in an answer of ``POST /query``, which reads rows only.
        resampling: seconds between the samples of metrics where no others are asked for (0: as they were measured). Releases
            from 1.4 on thin out long series of ended jobs; an instance set up anew thins out to 600 (1.4) or 240 (1.5).
    """

    def __init__(
        self,
        name: str,
        release: str,
        jobs: Sequence[Mapping[str, Any]] | GeneratedJobs,
        clusters: Sequence[dict[str, Any]] | None = None,
        *,
        zone: str = "UTC",
        clock: Callable[[], float] = time.time,
        users: Mapping[str, Sequence[str]] = DEFAULT_USERS,
        private: Ed25519PrivateKey | None = None,
        commit: float = 120.0,
        archiving: float = 1.0,
        latency: float = 0.0,
        per_job_cost: float = 0.0,
        per_query_cost: float = 0.0,
        resampling: int = 0,
    ) -> None:
        self.name = name
        self.release = RELEASES[release]
        self.backend = Backend(
            self.release,
            jobs,
            clusters=clusters,
            users=users,
            zone=zone,
            clock=clock,
            commit=commit,
            archiving=archiving,
            resampling=resampling,
        )
        self.keys = Keys(private)
        self.faults = Faults()
        self.traffic = Traffic()
        self.requests: deque[Seen] = deque(maxlen=_LOG)
        self.latency = latency
        self.per_job_cost = per_job_cost
        self.per_query_cost = per_query_cost
        self.unplug: Callable[[], Coroutine[Any, Any, None]] | None = None  #: stops what serves the site on the network
        self._leaving: asyncio.Future[None] | None = None
        self._router = Router(self.release)

    def __repr__(self) -> str:
        return f"SimulatedSite({self.name!r}, {self.release.name!r}, {len(self.backend.jobs)} jobs)"

    # -- who may ask

    def token(self, user: str) -> str:
        """A token of one of the site's users."""
        roles = next((u.roles for u in self.backend.users if u.name == user), None)
        if roles is None:
            raise KeyError(f"{self.name} has no user {user}")
        return self.mint(user, roles)

    def mint(self, sub: str | None, roles: Sequence[str], **claims: Any) -> str:
        """A token of anybody; a claim given as None is left out."""
        return self.keys.mint(sub, roles, **claims)

    @property
    def users(self) -> tuple[str, ...]:
        return tuple(u.name for u in self.backend.users)

    # -- what is there

    @property
    def cluster_names(self) -> list[str]:
        return self.backend.cluster_names

    def all_jobs(self) -> Iterator[dict[str, Any]]:
        """Every job as a plain 1.5-shaped dict (database id, metadata and all tags included), newest first."""
        return self.backend.all_jobs()

    def start_job(self, job: Mapping[str, Any]) -> int:
        """A job appears; answers its database id."""
        return self.backend.start_job(job)

    def stop_job(self, db_id: int, state: str = "completed", stop_time: int | None = None) -> None:
        """A job ends (now) and is archived at once."""
        self.backend.stop_job(db_id, state, stop_time)

    def delete_job(self, db_id: int) -> None:
        """A job vanishes."""
        self.backend.delete_job(db_id)

    def add_tag(self, db_id: int, type: str, name: str, scope: str = "global") -> int:  # noqa: A002  the field's own name
        """A job gets a tag; answers the tag's id."""
        return self.backend.add_tag(db_id, type, name, scope)

    def break_archive(self, db_id: int) -> None:
        """From now on every list page that holds this (ended) job answers 500; the job by id still answers."""
        self.backend.break_archive(db_id)

    def break_metrics(self, db_id: int) -> None:
        """From now on this job's metrics cannot be loaded: empty 200 by id, an error object from jobs/metrics."""
        self.backend.break_metrics(db_id)

    # -- what is true

    @property
    def truth(self) -> Truth:
        """What the site really holds, to hold what clients were told against."""
        return Truth(self.backend)

    # -- what it saw

    @property
    def open_connections(self) -> int:
        """TCP connections open right now (served by :func:`~ccgateway.simulator.serve`)."""
        return self.traffic.open

    @property
    def max_concurrent(self) -> int:
        """The most requests ever in progress at once."""
        return self.traffic.max_active

    def forget(self) -> None:
        """Empty the request log and start counting anew."""
        self.requests.clear()
        self.traffic.restart()

    # -- answering

    @property
    def app(self) -> Callable[[Scope, Receive, Send], Any]:
        """The ASGI application."""
        return self._serve

    def answer(self, request: Request) -> Response:
        """What a healthy, fast site says."""
        return self._router.answer(self.backend, self.keys, request)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the simulator speaks HTTP, not {scope['type']}")
        with self.traffic.request():
            request = await read_request(scope, receive)
            names = tuple(name for name, _ in request.headers)
            self.requests.append(Seen(request.method, request.target, names, subject_of(request.token)))
            rule = self.faults.due(request)
            if rule is None:
                await send_response(send, request, _compressed(request, await self._acted(request)))
                return
            response = await self._acted(request) if rule.lets_act() else Response(200)
            exchange = Exchange(request, response, receive, send, lambda: self.answer(request), self._vanish)
            response = _compressed(request, rule.fault.altered(exchange))
            await rule.fault.strike(dataclasses.replace(exchange, response=response))
            rule.struck.set()

    async def _acted(self, request: Request) -> Response:
        """The answer, after the time it takes."""
        response = self.answer(request)
        for_each = self.per_query_cost if request.path.rstrip("/").endswith("/query") else self.per_job_cost
        cost = self.latency + for_each * response.jobs
        if cost:
            await asyncio.sleep(cost)
        return response

    async def _vanish(self) -> None:
        """Go off the network, once the request at hand is done with."""
        if self.unplug is None:
            raise RuntimeError("this fault needs real sockets: run the site with ccgateway.simulator.serve()")
        self._leaving = asyncio.ensure_future(self.unplug())


def _compressed(request: Request, response: Response) -> Response:
    if not response.body or "gzip" not in (request.header("accept-encoding") or ""):
        return response
    packer = compressobj(1, wbits=_GZIP)
    body = packer.compress(response.body) + packer.flush()
    headers = (*response.headers, ("content-encoding", "gzip"), ("vary", "Accept-Encoding"))
    return Response(response.status, body, headers, response.jobs)
