"""The policies around one site: what is tried again, how many run at once, and that each exchange is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.guard import ConcurrencyLimit, Observed, Retrying
from ccgateway.telemetry import Observer
from ccgateway.telemetry.observer import CallOutcome
from support.scripted import OK, Scripted, context_for

READ = SiteRequest("GET", "/api/jobs/?x=secret-value")
WRITE = SiteRequest("POST", "/api/jobs/start_job/", b"{}", safe=False)


def busy(status: int, after: float | None = None) -> SiteAnswer:
    return SiteAnswer(status, "text/plain", b"", retry_after=after)


def lost(code: Code = Code.CONNECTION_LOST) -> SiteError:
    return SiteError(code, "here", "lost")


# --- trying again


@pytest.mark.parametrize("outcome", [busy(429), busy(502), busy(503), busy(504), lost(), lost(Code.UNREACHABLE)])
async def test_a_safe_read_is_tried_again_and_may_succeed(outcome: SiteAnswer | SiteError) -> None:
    site = Scripted(outcome, outcome, OK)
    assert await Retrying(site, "here", 2).exchange(READ, context_for()) is OK
    assert len(site.requests) == 3


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_it_is_tried_as_often_as_the_settings_say(retries: int) -> None:
    site = Scripted(lost())
    with pytest.raises(SiteError) as failed:
        await Retrying(site, "here", retries).exchange(READ, context_for())
    assert failed.value.code is Code.CONNECTION_LOST
    assert len(site.requests) == retries + 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_site_that_stays_busy_is_reported_as_busy(status: int) -> None:
    with pytest.raises(SiteError) as failed:
        await Retrying(Scripted(busy(status)), "here", 1).exchange(READ, context_for())
    assert failed.value.code is Code.SITE_BUSY
    assert failed.value.retryable
    assert str(status) in failed.value.message


@pytest.mark.parametrize(
    "outcome",
    [
        *(SiteAnswer(status, "", b"") for status in (200, 301, 400, 401, 403, 404, 422, 500, 501)),
        *(lost(code) for code in (Code.TIMEOUT, Code.BAD_ANSWER, Code.ANSWER_TOO_LARGE)),
    ],
    ids=lambda outcome: str(getattr(outcome, "status", getattr(outcome, "code", None))),
)
async def test_nothing_else_is_tried_again(outcome: SiteAnswer | SiteError) -> None:
    site = Scripted(outcome)
    try:
        assert await Retrying(site, "here", 3).exchange(READ, context_for()) is outcome
    except SiteError as error:
        assert error is outcome
    assert len(site.requests) == 1


@pytest.mark.parametrize("outcome", [busy(503), lost(), lost(Code.UNREACHABLE)])
async def test_a_write_is_never_sent_again(outcome: SiteAnswer | SiteError) -> None:
    site = Scripted(outcome)
    try:
        assert await Retrying(site, "here", 3).exchange(WRITE, context_for()) is outcome  # whoever sent it has to judge
    except SiteError as error:
        assert error is outcome
    assert len(site.requests) == 1


async def test_a_site_is_given_the_time_it_asks_for() -> None:
    site = Scripted(busy(503, 0.3), OK)
    await Retrying(site, "here", 1).exchange(READ, context_for())
    assert site.at[1] - site.at[0] >= 0.3


@pytest.mark.parametrize("after", [10.0, 1e9, float("inf")])
async def test_a_site_that_asks_for_more_time_than_there_is_is_not_waited_for(after: float) -> None:
    site = Scripted(busy(503, after), OK)
    started = asyncio.get_running_loop().time()
    with pytest.raises(SiteError) as failed:
        await Retrying(site, "here", 3).exchange(READ, context_for(1.0))
    assert failed.value.code is Code.SITE_BUSY
    assert len(site.requests) == 1
    assert asyncio.get_running_loop().time() - started < 0.9


async def test_trying_again_never_passes_the_deadline() -> None:
    site = Scripted(lost())
    started = asyncio.get_running_loop().time()
    with pytest.raises(SiteError):
        await Retrying(site, "here", 10_000).exchange(READ, context_for(0.3))
    assert asyncio.get_running_loop().time() - started < 2.0


async def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError):
        await Retrying(Scripted(ZeroDivisionError()), "here", 3).exchange(READ, context_for())


# --- how many at once


async def test_no_more_run_at_once_than_there_are_places() -> None:
    site = Scripted(0.01)
    limited = ConcurrencyLimit(site, "here", 3)
    await asyncio.gather(*(limited.exchange(READ, context_for()) for _ in range(20)))
    assert (site.most, len(site.requests)) == (3, 20)


async def test_waiting_for_a_place_counts_against_the_deadline() -> None:
    site = Scripted(5.0)
    limited = ConcurrencyLimit(site, "here", 1)
    first = asyncio.create_task(limited.exchange(READ, context_for()))
    await asyncio.sleep(0.01)
    with pytest.raises(SiteError) as failed:
        await limited.exchange(READ, context_for(0.05))
    assert failed.value.code is Code.TIMEOUT
    assert "busy with this gateway's other requests" in failed.value.message
    assert len(site.requests) == 1
    first.cancel()


@pytest.mark.parametrize("how", ["cancelled while waiting", "cancelled while running", "failed"])
async def test_a_place_is_free_again_however_a_request_ended(how: str) -> None:
    site = Scripted(*([ZeroDivisionError()] * 4 if how == "failed" else [5.0] * 4), OK)
    limited = ConcurrencyLimit(site, "here", 2)
    tasks = [asyncio.create_task(limited.exchange(READ, context_for())) for _ in range(4)]
    await asyncio.sleep(0.01)
    for task in tasks[2:] if how == "cancelled while waiting" else tasks[:2]:
        task.cancel()
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    site.outcomes = [0.01]
    site.most = 0
    await asyncio.wait_for(asyncio.gather(*(limited.exchange(READ, context_for()) for _ in range(6))), 2.0)
    assert site.most == 2


# --- telling


class Told(Observer):
    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[tuple[str, str]] = []

    def call_began(self, site: str) -> None:
        self.began.append(site)

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        assert seconds >= 0
        self.ended.append((site, outcome))


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (OK, "ok"),
        (busy(404), "refused"),
        (busy(500), "failed"),
        (busy(503), "busy"),
        (lost(), "lost"),
        (ZeroDivisionError(), "cancelled"),
    ],
)
async def test_every_exchange_is_told_and_logged_without_its_query(
    outcome: SiteAnswer | Exception, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    with contextlib.suppress(SiteError, ZeroDivisionError), caplog.at_level(logging.DEBUG, "ccgateway.sites"):
        await Observed(Scripted(outcome), "here", told).exchange(READ, context_for())
    assert (told.began, told.ended) == (["here"], [("here", word)])
    [record] = caplog.records
    assert record.levelname == "DEBUG" and record.getMessage().startswith(f"here GET /api/jobs/ -> {word} in ")


async def test_an_exchange_that_was_cancelled_is_told_too() -> None:
    told = Told()
    task = asyncio.create_task(Observed(Scripted(5.0), "here", told).exchange(READ, context_for()))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (told.began, told.ended) == (["here"], [("here", "cancelled")])
