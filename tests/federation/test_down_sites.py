"""A site that is down slows nobody: however it fails, and however many ask, hardly anything is sent to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import jwt
import pytest

from ccgateway.errors import Code
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, Policy, ReportStatus, SiteReport
from ccgateway.settings import LimitSettings, SiteSettings
from ccgateway.site.registry import Registry
from ccgateway.telemetry import Observer
from ccgateway.telemetry.observer import CallOutcome
from support.raw_server import Handler, Heard, Then, plain_answer, raw_server, reset
from support.raw_sites import serving
from support.upstream import Job, Upstream
from support.walking import CALLER

#: of the gateway's own, at a site that is down: far fewer than the 82 questions that are asked meanwhile
LOOKS = 20
TOKEN = jwt.encode({"sub": "demo", "roles": ["admin", "api"]}, "k" * 32, algorithm="HS256")


def status(line: str) -> Handler:
    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(plain_answer(b"", status=line))
        return "keep"

    return answer


async def resets(_: Heard, writer: asyncio.StreamWriter) -> Then:
    reset(writer)
    return "close"


async def closes(_: Heard, writer: asyncio.StreamWriter) -> Then:
    return "close"


async def hangs(_: Heard, writer: asyncio.StreamWriter) -> Then:
    return "hold"


async def speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(plain_answer(b"", status="400 Bad Request"))
    writer.close()


async def speaks_something_else(_: Heard, writer: asyncio.StreamWriter) -> Then:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    return "close"


FAULTS: dict[str, tuple[Handler | str, Code]] = {
    "refuses": ("http://127.0.0.1:9", Code.UNREACHABLE),
    "unknown to DNS": ("http://nowhere.invalid", Code.UNREACHABLE),
    "speaks no TLS": ("https://", Code.UNREACHABLE),
    "resets": (resets, Code.CONNECTION_LOST),
    "closes": (closes, Code.CONNECTION_LOST),
    "503": (status("503 Busy"), Code.SITE_BUSY),
    "502": (status("502 Bad Gateway"), Code.SITE_BUSY),
    "500": (status("500 Oops"), Code.SITE_ERROR),
    "another language": (speaks_something_else, Code.BAD_ANSWER),
    "hangs": (hangs, Code.TIMEOUT),
}


class Counted(Observer):
    """How many requests each site was sent."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        self.sent[site] = self.sent.get(site, 0) + 1


@asynccontextmanager
async def gateway_beside(fault: Handler | str, counted: Counted) -> AsyncIterator[Gateway]:
    healthy = Upstream([Job(i, 1000 + i) for i in range(20)])
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(raw_server(serving(healthy)))
        if callable(fault):
            url = (await stack.enter_async_context(raw_server(fault))).url
        elif fault == "https://":
            plain = await stack.enter_async_context(await asyncio.start_server(speaks_no_tls, "127.0.0.1", 0))
            url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        else:
            url = fault
        sites = [
            SiteSettings.model_validate(
                {"name": name, "number": number, "url": url, "token": TOKEN, "timeout": 60.0 if name == "healthy" else 3.0}
            )
            for number, (name, url) in enumerate({"healthy": one.url, "faulty": url}.items(), start=1)
        ]
        gateway = Gateway(Registry(sites, counted), LimitSettings.model_validate({"patience": 6.0}))
        try:
            yield gateway
        finally:
            await gateway.aclose()


async def ask(gateway: Gateway, policy: Policy = Policy.PARTIAL) -> SiteReport:
    answer = await gateway.jobs(JobListQuestion(first=10, policy=policy, fields=frozenset({"user"})), CALLER)
    reports = {report.site: report for report in answer.reports}
    assert reports["healthy"].status is ReportStatus.OK
    assert len(answer.rows) == 10
    return reports["faulty"]


async def known_to_be_down(gateway: Gateway) -> None:
    """Asks until the faulty site is not asked any more."""
    for _ in range(600):
        if "not asked now" in ((await ask(gateway)).message or ""):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("every question reaches the site")


@pytest.mark.parametrize("fault", FAULTS)
async def test_however_a_site_fails_it_is_not_asked_by_everybody_anew(fault: str) -> None:
    handler, _ = FAULTS[fault]
    counted = Counted()
    async with gateway_beside(handler, counted) as gateway:
        await known_to_be_down(gateway)
        sent = counted.sent["faulty"]
        reports = [report for _ in range(5) for report in await asyncio.gather(*(ask(gateway) for _ in range(16)))]
        assert counted.sent["faulty"] <= sent + LOOKS
        assert {report.code for report in reports} == {Code.CIRCUIT_OPEN}
        assert all(report.message and TOKEN not in report.message for report in reports)
        clusters = await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=False)
        users = await gateway.users(CALLER, sites=None, policy=Policy.PARTIAL)
        assert clusters.items and users.items
        assert counted.sent["faulty"] <= sent + LOOKS


@pytest.mark.parametrize("fault", ["503", "500", "closes"])
async def test_a_site_that_comes_back_is_in_the_lists_again(fault: str) -> None:
    handler, _ = FAULTS[fault]
    assert callable(handler)
    well, upstream = asyncio.Event(), Upstream([Job(i, 5000 + i) for i in range(5)])

    async def changing(heard: Heard, writer: asyncio.StreamWriter) -> Then:
        return await (serving(upstream) if well.is_set() else handler)(heard, writer)

    async with gateway_beside(changing, Counted()) as gateway:
        await known_to_be_down(gateway)
        async with asyncio.timeout(30):
            well.set()
            while (report := await ask(gateway)).status is not ReportStatus.OK:
                assert report.status is ReportStatus.FAILED
                await asyncio.sleep(0.05)


async def test_a_site_that_must_answer_is_asked_again_at_once() -> None:
    well, upstream = asyncio.Event(), Upstream([Job(i, 5000 + i) for i in range(5)])

    async def changing(heard: Heard, writer: asyncio.StreamWriter) -> Then:
        return await (serving(upstream) if well.is_set() else FAULTS["503"][0])(heard, writer)  # type: ignore[operator]

    async with gateway_beside(changing, Counted()) as gateway:
        await known_to_be_down(gateway)
        well.set()
        assert (await ask(gateway, Policy.STRICT)).status is ReportStatus.OK
        assert (await ask(gateway)).status is ReportStatus.OK
