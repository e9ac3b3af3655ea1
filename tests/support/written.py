"""Simulated sites without a network, whose writes meet faults: before the site acted on them, or after."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import pytest
from pydantic import SecretStr

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, SiteError
from ccgateway.federation.audit import AuditFile
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.jobs.model import Resource
from ccgateway.jobs.writes import StartJob
from ccgateway.settings import LimitSettings, SiteSettings, WriteSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.site import sending
from ccgateway.site.credentials import Credential, OneToken
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.guard import Retrying
from ccgateway.site.instance import Instance
from support.simulated import answer_of, response_of
from support.upstream import Sites

__all__ = ["CALL", "NOW", "Fault", "Wire", "gateway_over", "instance_of", "job_at", "look_quickly", "start_command", "started"]

NOW = 1_760_000_000
CALL = WriteCall("request-1")


class Fault(Enum):
    """What becomes of a write's request: whether the site acts on it, and what comes back."""

    REFUSED = "the connection is refused"
    CUT_BEFORE = "reset before the site acted"
    CUT_AFTER = "reset after the site acted"
    LATE_BEFORE = "no answer in time, and the site never acts"
    LATE_AFTER = "no answer in time, though the site acted"
    ERROR_BEFORE = "500, and nothing happened"
    ERROR_AFTER = "500 after it took effect"
    EMPTY_BEFORE = "an empty 200, and nothing happened"
    EMPTY_AFTER = "an empty 200 after it took effect"
    PROXY_BEFORE = "504 of a proxy, and nothing happened"
    PROXY_AFTER = "504 of a proxy, though the site acted"
    BUSY = "503, and nothing happened"

    @property
    def acts(self) -> bool:
        """Whether the site acts on the request."""
        return self.name.endswith("_AFTER")

    @property
    def is_open(self) -> bool:
        """Whether the site may still be at it, for all that can be told."""
        return self.name.startswith(("LATE", "PROXY"))


class Wire:
    """Brings requests to a simulated site. ``faults``: of the next writes, in order; ``sent``: the writes that left;
    ``reads``: how often it was asked."""

    def __init__(self, site: SimulatedSite) -> None:
        self.site = site
        self.faults: list[Fault | None] = []
        self.sent: list[SiteRequest] = []
        self.reads = 0
        self.before_each: Callable[[SiteRequest], None] = lambda _: None
        self.pace: Callable[[], float] = lambda: 0.0

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        await asyncio.sleep(self.pace())
        if context.deadline.remaining <= 0:
            raise SiteError(Code.TIMEOUT, self.site.name, "The site did not answer in time.")
        self.before_each(request)
        context.stats.calls += 1
        if request.safe:
            self.reads += 1
            return self._answer(request, context)
        fault = self.faults.pop(0) if self.faults else None
        if fault is Fault.REFUSED:
            raise SiteError(Code.UNREACHABLE, self.site.name, "No connection to the site: connection refused.")
        self.sent.append(request)
        answer = self._answer(request, context) if fault is None or fault.acts else None
        if fault is None and answer is not None:
            return answer
        return self._fail(fault)

    def _fail(self, fault: Fault | None) -> SiteAnswer:
        match fault:
            case Fault.CUT_BEFORE | Fault.CUT_AFTER:
                raise SiteError(Code.CONNECTION_LOST, self.site.name, "The connection broke before the answer was complete.")
            case Fault.LATE_BEFORE | Fault.LATE_AFTER:
                raise SiteError(Code.TIMEOUT, self.site.name, "The site did not answer in time.")
            case Fault.ERROR_BEFORE | Fault.ERROR_AFTER:
                return SiteAnswer(500, "application/json", b'{"status":"Internal Server Error","error":"disk I/O error"}')
            case Fault.PROXY_BEFORE | Fault.PROXY_AFTER:
                return SiteAnswer(504, "text/html", b"<html>Gateway Time-out</html>")
            case Fault.BUSY:
                return SiteAnswer(503, "text/html", b"<html>Service Unavailable</html>")
            case _:
                return SiteAnswer(200, "", b"")

    def _answer(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        return answer_of(response_of(self.site, request, context.credential.token.get_secret_value()))


_numbers = itertools.count(1)


def look_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the gateway read back what is in doubt without long pauses."""
    monkeypatch.setattr(sending, "AFTER_CUT", (0.0, 0.001))
    monkeypatch.setattr(sending, "WHILE_OPEN", (0.0, 0.001, 0.002))


def instance_of(wire: Wire, number: int = 1, *, user: str = "demo", **settings: Any) -> Instance:
    """The site as the gateway sees it, shown the token of ``user``."""
    site = wire.site
    values = {"name": site.name, "number": number, "url": f"http://{site.name}.wire", "release": site.release.name, "timeout": 10}
    credential = Credential.from_token(SecretStr(site.token(user)))
    return Instance(
        SiteSettings.model_validate({**values, **settings}), Retrying(wire, site.name, 0), OneToken(credential)
    )  # fmt: skip


def gateway_over(
    *instances: Instance, idempotency_store: TtlStore | None = None, writes: dict[str, Any] | None = None,
    audit_file: AuditFile | None = None, **limits: Any,
) -> Gateway:  # fmt: skip
    """The gateway in front of them."""
    settings = WriteSettings.model_validate(writes or {})
    return Gateway(
        Sites(instances),
        LimitSettings.model_validate(limits),
        writes=settings,
        idempotency_store=idempotency_store,
        audit_file=audit_file,
    )


def start_command(cluster: str, number: int | None = None, **changes: Any) -> StartJob:
    """A job to start there; the simulated site's cluster has its name."""
    values: dict[str, Any] = {
        "job_id": 5000 + next(_numbers) if number is None else number,
        "user": "alice",
        "project": "p_a",
        "cluster": cluster,
        "sub_cluster": "main",
        "start_time": NOW - 600,
        "resources": (Resource(f"{cluster[0]}n001"),),
        "walltime": 3600,
    }
    return StartJob(**{**values, **changes})


def job_at(site: SimulatedSite, db_id: int) -> dict[str, Any] | None:
    """The job as it really is there."""
    return next((job for job in site.all_jobs() if job["id"] == db_id), None)


def started(site: SimulatedSite, command: StartJob) -> Sequence[dict[str, Any]]:
    """The jobs with the key of ``command``, as far as the site shows them."""
    return [job for job in site.all_jobs() if (job["jobId"], job["startTime"]) == (command.job_id, command.start_time)]
