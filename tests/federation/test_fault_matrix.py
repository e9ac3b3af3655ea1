"""Every way for a site to fail, times every question, over real sockets: the others' answer comes, the report says what happened,
and nothing is left open."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import jwt
import psutil
import pytest

from ccgateway.errors import Code, FederationError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, Policy, ReportStatus, SiteReport
from ccgateway.settings import LimitSettings, SiteSettings
from ccgateway.site.registry import Registry
from support.raw_server import Handler, Heard, Then, plain_answer, raw_server, reset
from support.raw_sites import serving
from support.upstream import Job, Upstream
from support.walking import CALLER

SECONDS = 0.4  # for sites that hang
PLENTY = 10.0  # for sites that fail at once, tries anew included, on any machine
TOKEN = jwt.encode({"sub": "demo", "roles": ["admin", "api"]}, "k" * 32, algorithm="HS256")


def sending(*pieces: bytes, then: Then = "close") -> Handler:
    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        for piece in pieces:
            writer.write(piece)
        return then

    return answer


async def resetting(_: Heard, writer: asyncio.StreamWriter) -> Then:
    reset(writer)
    return "close"


async def two_gigabytes(heard: Heard, writer: asyncio.StreamWriter) -> Then:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(2**31 // 2**16):
        if writer.is_closing():
            break
        writer.write(b" " * 2**16)
        await writer.drain()
    return "close"


BOMB = gzip.compress(b"[" * 2**24)
HTML = plain_answer(b"<html>Welcome to nginx</html>", headers="Content-Type: text/html\r\n")

FAULTS: dict[str, tuple[Handler, set[Code]]] = {
    "hangs before headers": (sending(then="hold"), {Code.TIMEOUT}),
    "hangs within the body": (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", then="hold"), {Code.TIMEOUT}),
    "closes": (sending(), {Code.CONNECTION_LOST}),
    "resets": (resetting, {Code.CONNECTION_LOST}),
    "truncates": (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), {Code.CONNECTION_LOST}),
    "truncated JSON": (sending(plain_answer(b'{"jobs":[{"id":')), {Code.BAD_ANSWER, Code.WRONG_RELEASE}),
    "empty 200": (sending(plain_answer(b"", headers="")), {Code.BAD_ANSWER}),
    "HTML": (sending(HTML), {Code.BAD_ANSWER}),
    "another language": (sending(b"SSH-2.0-OpenSSH_9.6\r\n", then="hold"), {Code.BAD_ANSWER}),
    "error in 200": (sending(plain_answer(b'{"data":null,"error":{"message":"x"}}')), {Code.SITE_ERROR, Code.WRONG_RELEASE}),
    "401": (sending(plain_answer(b'{"error":"token expired"}', status="401 Unauthorized")), {Code.SITE_UNAUTHORIZED}),
    "404": (sending(plain_answer(b"404 page not found", status="404 Not Found")), {Code.WRONG_RELEASE}),
    "429": (sending(plain_answer(b"", status="429 Slow", headers="Retry-After: 60\r\n")), {Code.SITE_BUSY}),
    "500": (sending(plain_answer(b"", status="500 Oops")), {Code.SITE_ERROR}),
    "503": (sending(plain_answer(b"", status="503 Busy")), {Code.SITE_BUSY}),
    "redirects": (sending(plain_answer(b"", status="302 Found", headers="Location: http://x/\r\n")), {Code.BAD_ANSWER}),
    "2 GB": (two_gigabytes, {Code.ANSWER_TOO_LARGE}),
    "a bomb": (sending(plain_answer(BOMB, headers="Content-Encoding: gzip\r\n")), {Code.ANSWER_TOO_LARGE}),
}  # fmt: skip


@asynccontextmanager
async def gateway_with(urls: dict[str, str], seconds: float = PLENTY) -> AsyncIterator[Gateway]:
    sites = [
        SiteSettings.model_validate(
            {"name": name, "number": i, "url": url, "release": "1.5", "token": TOKEN, "answer_bytes": 2**20}
            | ({} if name == "healthy" else {"timeout": seconds})
        )
        for i, (name, url) in enumerate(urls.items(), start=1)
    ]
    gateway = Gateway(Registry(sites), LimitSettings.model_validate({"patience": 0}))
    try:
        yield gateway
    finally:
        await gateway.aclose()


Answered = tuple[list[Any], dict[str, SiteReport]]


def named(reports: list[SiteReport]) -> dict[str, SiteReport]:
    return {report.site: report for report in reports}


async def jobs(gateway: Gateway, policy: Policy) -> Answered:
    answer = await gateway.jobs(JobListQuestion(first=10, policy=policy, fields=frozenset({"user"})), CALLER)
    return answer.rows, named(answer.reports)


async def clusters(gateway: Gateway, policy: Policy) -> Answered:
    answer = await gateway.clusters(CALLER, sites=None, policy=policy, with_partitions=True)
    return answer.items, named(answer.reports)


async def users(gateway: Gateway, policy: Policy) -> Answered:
    answer = await gateway.users(CALLER, sites=None, policy=policy)
    return answer.items, named(answer.reports)


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("question", [jobs, clusters, users])
async def test_one_site_fails_and_the_others_answer_comes(
    fault: str, question: Callable[[Gateway, Policy], Awaitable[Answered]]
) -> None:
    handler, codes = FAULTS[fault]
    seconds = SECONDS if codes == {Code.TIMEOUT} else PLENTY
    loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
    memory = psutil.Process().memory_info().rss
    async with raw_server(serving(Upstream([Job(i, 1000 + i) for i in range(20)]))) as healthy, raw_server(handler) as faulty:
        tasks = asyncio.all_tasks()
        async with gateway_with({"healthy": healthy.url, "faulty": faulty.url}, seconds) as gateway:
            started = loop.time()
            items, reports = await question(gateway, Policy.PARTIAL)
            assert loop.time() - started < seconds + 2.5
            assert items
            assert reports["healthy"].status is ReportStatus.OK
            assert reports["faulty"].status is ReportStatus.FAILED
            assert reports["faulty"].code in codes, reports["faulty"]
            assert reports["faulty"].message
            assert TOKEN not in str(reports)
            with pytest.raises(FederationError) as refused:
                await question(gateway, Policy.STRICT)
            assert refused.value.code is Code.INCOMPLETE
            assert {cause.code for cause in refused.value.causes} <= codes
        await asyncio.gather(healthy.until_closed(), faulty.until_closed())
        assert asyncio.all_tasks() <= tasks
    assert asyncio.all_tasks() == before
    assert psutil.Process().memory_info().rss - memory < 100 * 2**20


async def test_a_site_that_is_not_there_is_unreachable_then_not_asked_and_the_others_answer_comes() -> None:
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(raw_server(serving(Upstream([Job(1, 1000)]))))
        gateway = await stack.enter_async_context(gateway_with({"healthy": healthy.url, "gone": "http://127.0.0.1:9"}))
        for question, code in ((jobs, Code.UNREACHABLE), (clusters, Code.CIRCUIT_OPEN), (users, Code.CIRCUIT_OPEN)):
            items, reports = await question(gateway, Policy.PARTIAL)
            assert items
            assert reports["gone"].code is code


async def test_every_site_failing_in_a_way_of_its_own_is_one_error_with_every_cause() -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(raw_server(FAULTS[fault][0])) for fault in ("500", "HTML", "closes")]
        urls = dict(zip(("one", "two", "three"), (server.url for server in servers), strict=True))
        gateway = await stack.enter_async_context(gateway_with(urls))
        with pytest.raises(FederationError) as failed:
            await jobs(gateway, Policy.PARTIAL)
    assert failed.value.code is Code.ALL_SITES_FAILED
    codes = {cause.site: cause.code for cause in failed.value.causes}
    assert codes == {"one": Code.SITE_ERROR, "two": Code.BAD_ANSWER, "three": Code.CONNECTION_LOST}


async def test_a_caller_who_goes_away_leaves_no_connection_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(raw_server(FAULTS["hangs before headers"][0]))
        two = await stack.enter_async_context(raw_server(FAULTS["hangs within the body"][0]))
        gateway = await stack.enter_async_context(gateway_with({"one": one.url, "two": two.url}))
        task = asyncio.create_task(jobs(gateway, Policy.PARTIAL))
        await asyncio.sleep(0.1)
        assert one.open_now == two.open_now == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.gather(one.until_closed(), two.until_closed())
    assert asyncio.all_tasks() == before
