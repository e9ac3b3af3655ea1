"""What a face has made of remembered metrics is remembered with them: as long as they are, and within the same bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ccgateway.cache.counts import MemoryStats
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import JobMetricsAnswer
from ccgateway.jobs.metrics import MetricsWanted
from ccgateway.jobs.model import JobKey
from ccgateway.settings import LimitSettings
from ccgateway.site.caching.responses import ResponseCache
from support.caching import cache_of, settled
from support.upstream import ADMIN, Job, Upstream, piece, site_of
from support.walking import CALLER, gateway_over

#: the same twice: equal pieces of different metrics are two
METRICS = [piece("cpu_load"), piece("mem_bw"), piece("mem_bw", "socket")]


@asynccontextmanager
async def remembering(**settings: Any) -> AsyncIterator[tuple[Gateway, ResponseCache]]:
    upstream = Upstream([Job(i, 1000 + i, id=i) for i in (1, 2)], release="1.5")
    upstream.metrics = {1: METRICS, 2: METRICS}
    responses = cache_of(**settings)
    async with gateway_over([site_of(upstream, "one", credential=ADMIN)], responses) as gateway:
        yield gateway, responses


async def ask(gateway: Gateway, job: str = "one:1", names: Sequence[str] | None = None) -> JobMetricsAnswer:
    budget = MetricsBudget(LimitSettings())  # type: ignore[call-arg]
    return await gateway.job_metrics(job, MetricsWanted.of(names, None), CALLER, budget=budget)


async def memory(responses: ResponseCache) -> MemoryStats:
    await settled(responses)
    stats = (await responses.cache.stats()).memory
    assert stats is not None
    return stats


def forms(answer: JobMetricsAnswer) -> list[object]:
    assert answer.forms is not None
    return [answer.forms.get(one) for one in answer.pieces]


def keep(answer: JobMetricsAnswer, size: int = 1000) -> list[str]:
    assert answer.forms is not None
    made = [f"{answer.report.site} {one.name} {one.scope}" for one in answer.pieces]
    for one, form in zip(answer.pieces, made, strict=True):
        answer.forms.keep(one, form, size)
    return made


async def test_each_piece_has_its_own_form_and_other_jobs_have_none() -> None:
    async with remembering() as (gateway, _):
        first = await ask(gateway)
        assert forms(first) == [None] * 3
        made = keep(first)
        assert forms(await ask(gateway)) == made
        assert forms(await ask(gateway, names=["mem_bw"])) == made[1:]
        assert forms(await ask(gateway, "one:2")) == [None] * 3


async def test_they_count_as_what_is_remembered_does_and_go_with_it() -> None:
    async with remembering(memory_bytes=40_000) as (gateway, responses):
        answer = await ask(gateway)
        before = (await memory(responses)).bytes
        keep(answer, 5000)
        assert (await memory(responses)).bytes == before + 3 * 5000
        keep(await ask(gateway, "one:2"), 11_000)
        stats = await memory(responses)
        assert stats.bytes <= 40_000
        assert stats.evictions
        assert None in forms(await ask(gateway))


async def test_a_form_for_which_there_is_no_room_at_all_is_not_kept() -> None:
    async with remembering(memory_bytes=40_000) as (gateway, responses):
        answer = await ask(gateway)
        before = await memory(responses)
        keep(answer, 50_000)
        stats = await memory(responses)
        assert stats.entries == before.entries  # what was read is still remembered
        assert stats.bytes <= before.bytes
        assert forms(await ask(gateway)) == [None] * 3


async def test_after_a_write_there_is_none() -> None:
    async with remembering() as (gateway, _):
        keep(await ask(gateway))
        await gateway.invalidate("one", [JobKey("one", "alex", 1, 1001)])
        assert forms(await ask(gateway)) == [None] * 3


@pytest.mark.parametrize("size", [10, 50_000])
async def test_what_is_no_longer_remembered_takes_none(size: int) -> None:
    async with remembering(memory_bytes=40_000) as (gateway, responses):
        answer = await ask(gateway)
        await gateway.invalidate("one", None)
        await ask(gateway)
        before = (await memory(responses)).bytes
        keep(answer, size)
        assert (await memory(responses)).bytes == before


async def test_without_a_cache_there_are_none_to_be_kept() -> None:
    async with remembering(memory_bytes=0) as (gateway, _):
        answer = await ask(gateway)
        assert answer.forms is None or forms(answer) == [None] * 3
        if answer.forms is not None:
            keep(answer)
        again = await ask(gateway)
        assert again.forms is None or forms(again) == [None] * 3
