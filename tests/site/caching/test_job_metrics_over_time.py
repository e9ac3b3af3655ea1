"""Remembered metrics are no other job's, and from no other time than they may be: how they age, ids used again, writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.jobs.model import JobKey
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.caching import Clock, settled, until
from support.remembering import FIVE, ask, asked, over, shown, site_with
from support.upstream import Job, Upstream, piece

# --- how long


async def test_an_archived_job_is_known_for_a_day_and_no_longer() -> None:
    upstream, clock = site_with(), Clock()
    async with over(upstream, clock) as (gateway, responses):
        for after, calls in ((0, 1), (86_399, 1), (2, 2)):
            clock.now += after
            await ask(gateway, ["a"])
            await settled(responses)
            assert len(asked(upstream)) == calls


@pytest.mark.parametrize("phase", [{"state": "running"}, {"state": "completed", "monitoring_status": 1}])
async def test_what_may_still_change_is_never_served_past_its_limit(phase: dict[str, Any]) -> None:
    upstream, clock = site_with(**phase), Clock()
    async with over(upstream, clock, running_for=20, stale_for=10, refreshes=0) as (gateway, responses):
        for after, calls in ((0, 1), (19, 1), (10, 1), (2, 2)):
            clock.now += after
            await ask(gateway, ["a"])
            await settled(responses)
            assert len(asked(upstream)) == calls, clock.now


async def test_what_is_stale_is_served_while_it_is_fetched_anew() -> None:
    upstream, clock = site_with(state="running"), Clock()
    async with over(upstream, clock, running_for=20, stale_for=10) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        clock.now += 25
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        old = await ask(gateway, ["a"])
        await settled(responses)
        new = await ask(gateway, ["a"])
    assert b"7.0" not in shown(old.pieces)[0]
    assert b"7.0" in shown(new.pieces)[0]


async def test_no_longer_than_one_sampling_interval() -> None:
    upstream, clock = site_with(state="running"), Clock()
    upstream.metrics[1] = [piece("a", timestep=60), piece("b", timestep=5)]
    async with over(upstream, clock, running_for=20, stale_for=0) as (gateway, responses):
        await ask(gateway, ["a", "b"])
        await settled(responses)
        clock.now += 6
        await ask(gateway, ["a", "b"])
    assert asked(upstream) == [["a", "b"], ["b"]]


async def test_what_was_read_while_it_ran_is_not_shown_once_it_is_known_to_have_ended() -> None:
    upstream, clock = site_with(state="running"), Clock()
    async with over(upstream, clock, list_for=1) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.jobs["alex", 1, 1001].state = "completed"
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        clock.now += 1.1
        answer = await ask(gateway, ["a"])
    assert b"7.0" in shown(answer.pieces)[0]


@pytest.mark.parametrize(
    "failure",
    [
        SiteAnswer(200, "application/json", b""),
        SiteAnswer(200, "application/json", b'{"data":null,"error":{"message":"kaputt"}}'),
        SiteAnswer(200, "application/json", b'{"data":{"jobMetrics":[{"name":"a","scope":"node","metric":{"ser'),
        SiteAnswer(200, "text/html", b"<html>"),
        SiteAnswer(500, "", b""),
        SiteAnswer(503, "text/plain", b"busy"),
        SiteError(Code.CONNECTION_LOST, "one", "gone"),
    ],
    ids=str,
)
async def test_a_failure_is_not_remembered(failure: SiteAnswer | SiteError) -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        upstream.fails = lambda request: failure if "/metrics/" in request.path else None
        with pytest.raises(GatewayError):
            await ask(gateway, ["a"])
        await settled(responses)
        upstream.fails = lambda _: None
        assert [one.name for one in (await ask(gateway, ["a"])).pieces] == ["a"]


# --- which job


async def test_an_id_that_was_used_again_is_noticed_within_a_second() -> None:
    upstream, clock = site_with(), Clock()
    async with over(upstream, clock, list_for=1) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.remove(("alex", 1, 1001))
        upstream.add(Job(900, 5000, id=1))
        upstream.metrics[1] = [piece("a", values=(7.0,))]
        clock.now += 1.1
        assert b"7.0" in shown((await ask(gateway, ["a"])).pieces)[0]


async def test_a_job_that_came_back_under_another_id_is_read_anew() -> None:
    upstream = site_with()
    async with over(upstream, list_for=0) as (gateway, responses):
        await ask(gateway, ["a"])
        await settled(responses)
        upstream.remove(("alex", 1, 1001))
        upstream.add(Job(1, 1001, id=77))
        upstream.metrics[77] = [piece("a", values=(7.0,))]
        assert b"7.0" in shown((await ask(gateway, ["a"], job="one:77")).pieces)[0]


async def test_a_job_that_is_not_there_is_not_found_and_looked_for_once() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, _):
        outcomes = await asyncio.gather(*[ask(gateway, job="one:99") for _ in range(10)], return_exceptions=True)
    assert {one.code for one in outcomes if isinstance(one, SiteError)} == {Code.NOT_FOUND}
    assert len(upstream.requests) == 1


async def test_a_job_that_cannot_be_looked_up_may_have_metrics_all_the_same() -> None:
    upstream = site_with()
    upstream.fails = lambda request: SiteAnswer(500, "", b"") if request.path.endswith("/jobs/1") else None
    async with over(upstream) as (gateway, responses):
        for _ in range(2):
            assert len((await ask(gateway, FIVE)).pieces) == 5
            await settled(responses)
    assert len(asked(upstream)) == 2


# --- nothing from before a write


async def test_after_a_write_everything_of_the_job_is_read_anew() -> None:
    upstream = site_with()
    async with over(upstream) as (gateway, responses):
        for job in ("one:1", "one:2"):
            await ask(gateway, job=job)
        await settled(responses)
        await gateway.invalidate("one", [JobKey("one", "alex", 1, 1001)])
        for job in ("one:1", "one:2"):
            await ask(gateway, job=job)
        assert len(asked(upstream)) == 3
        await gateway.invalidate("one", None)
        await ask(gateway, job="one:2")
        assert len(asked(upstream)) == 4


async def test_what_was_being_read_during_a_write_is_not_kept() -> None:
    upstream = site_with()
    gate = asyncio.Event()

    class Slow(Upstream):
        async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
            answer = await super().exchange(request, context)
            if "/metrics/" in request.path and not gate.is_set():
                self.metrics[1] = [piece("a", values=(7.0,))]
                await gate.wait()
            return answer

    slow = Slow(upstream.jobs.values())
    slow.metrics = upstream.metrics
    async with over(slow) as (gateway, _):
        early = asyncio.create_task(ask(gateway, ["a"]))
        await until(lambda: asked(slow))
        await gateway.invalidate("one", [JobKey("one", "alex", 1, 1001)])
        late = asyncio.create_task(ask(gateway, ["a"]))
        await until(lambda: len(asked(slow)) == 2)
        gate.set()
        assert b"7.0" not in shown((await early).pieces)[0]
        assert b"7.0" in shown((await late).pieces)[0]
        assert b"7.0" in shown((await ask(gateway, ["a"])).pieces)[0]
