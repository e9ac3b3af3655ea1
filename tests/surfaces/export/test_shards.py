"""Slices of an export: of the time, so that all of them together ask the sites for little more than one reader does."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion, Policy
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange
from ccgateway.jobs.model import ALWAYS, JobKey
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.surfaces.export.shards import PIECE, Shard, ShardBatches
from support.simulated import Simulated
from support.walking import CALLER, gateway_over, order_of

NOW = 1_760_000_000
FIELDS = ALWAYS | {"user", "duration"}


def sites(count: int, *, span: int = 20 * 86400) -> list[Simulated]:
    releases = {"aurora": "1.5", "borealis": "1.4", "draco": "1.2"}
    return [
        Simulated(
            SimulatedSite(name, release, GeneratedJobs(count, name, seed=len(name), until=NOW, span=span), clock=lambda: NOW)
        )
        for name, release in releases.items()
    ]


def asked(wanted: JobFilter, policy: Policy = Policy.STRICT) -> JobListQuestion:
    return JobListQuestion(filters=(wanted,), policy=policy, fields=FIELDS, waits_for_all=True)


def window(**more: StringInput) -> JobFilter:
    return JobFilter(start_time=TimeRange(None, NOW), **more)  # type: ignore[arg-type]


async def read(gateway: Gateway, wanted: JobFilter, shard: Shard | None) -> tuple[list[JobKey], Counter[str]]:
    """The keys, and what the sites were asked for: jobs and calls."""
    batches = (
        gateway.job_batches(asked(wanted), CALLER, size=2000)
        if shard is None
        else ShardBatches(gateway, asked(wanted), CALLER, 2000, shard, NOW)
    )
    keys = []
    while (batch := await batches.next()) is not None:
        keys += [row.key for row in batch.rows]
        if batch.is_last:
            break
    cost = Counter(jobs=sum(one.scanned for one in batches.reports), calls=sum(one.calls for one in batches.reports))
    return keys, cost


@given(st.integers(-(1 << 33), 1 << 33), st.integers(1, 1024))
def test_every_second_is_in_exactly_one_slice_and_its_newest_piece_is_found(second: int, of: int) -> None:
    shards = [Shard(number, of) for number in range(1, of + 1)]
    (own,) = [one for one in shards if one.has(second)]
    first, last = own.newest(second)
    assert first <= second <= last == first + PIECE - 1 and own.has(first) and own.has(last)
    for one in shards[:3]:
        first, last = one.newest(second)
        assert first <= second and one.has(first) and one.has(last)
        assert not any(one.has(between) for between in range(last + 1, second + 1, PIECE))


@pytest.mark.parametrize("of", [2, 8, 100])
def test_slices_of_a_quarter_are_alike_and_each_has_every_hour_of_the_day(of: int) -> None:
    pieces = range(NOW - 90 * 86400, NOW, PIECE)
    for number in range(1, of + 1):
        own = [piece for piece in pieces if Shard(number, of).has(piece)]
        assert abs(len(own) - len(pieces) / of) <= 1
        assert of > 8 or {piece % 86400 // 7200 for piece in own} == set(range(12))


async def test_eight_slices_together_ask_the_sites_for_the_jobs_once() -> None:
    async with gateway_over([one.instance(number) for number, one in enumerate(sites(3000), 1)]) as gateway:
        whole, once = await read(gateway, window(), None)
        parts = [await read(gateway, window(), Shard(number, 8)) for number in range(1, 9)]
    assert len(whole) == len(set(whole)) == 9000
    assert sorted((key for keys, _ in parts for key in keys), key=order_of) == whole
    assert all(keys == sorted(keys, key=order_of) for keys, _ in parts)
    together = sum((cost for _, cost in parts), Counter[str]())
    assert together["jobs"] <= 1.25 * once["jobs"], (once, together)
    assert max(cost["jobs"] for _, cost in parts) < once["jobs"] / 5


@pytest.mark.parametrize(
    "wanted",
    [
        window(user=StringInput(eq="alice")),
        window(job_name=StringInput(contains="7")),
        JobFilter(start_time=TimeRange(NOW - 14 * 86400, NOW - 9 * 86400)),
        JobFilter(start_time=TimeRange(NOW - 3000, NOW)),
        JobFilter(start_time=TimeRange(NOW + 1, NOW)),
        window(user=StringInput(eq="nobody")),
    ],
)
@pytest.mark.parametrize("of", [3, 10])
async def test_slices_of_any_question_are_disjoint_and_complete(wanted: JobFilter, of: int) -> None:
    async with gateway_over([one.instance(number) for number, one in enumerate(sites(200), 1)]) as gateway:
        whole, _ = await read(gateway, wanted, None)
        parts = [await read(gateway, wanted, Shard(number, of)) for number in range(1, of + 1)]
    assert sorted((key for keys, _ in parts for key in keys), key=order_of) == whole


async def test_years_without_jobs_cost_one_question_and_not_thousands() -> None:
    (site,) = sites(30, span=20 * 365 * 86400)[:1]
    async with gateway_over([site.instance()]) as gateway:
        keys = [key for number in (1, 2, 3) for key in (await read(gateway, window(), Shard(number, 3)))[0]]
    assert len(keys) == 30 and len(site.requests) < 400


async def test_jobs_that_come_and_go_meanwhile_are_doubled_in_no_slice_and_cost_no_other_its_place() -> None:
    several, chance, gone = sites(1000), random.Random(3), set[JobKey]()
    before = {
        JobKey(one.site.name, job["cluster"], job["jobId"], job["startTime"]) for one in several for job in one.site.all_jobs()
    }
    number = 900_000

    def churn() -> None:
        nonlocal number
        for one in several:
            number += 1
            jobs = one.site.backend.jobs
            some = jobs.get(chance.randrange(1, 1000))
            if some is not None:
                start = some.start_time + chance.randrange(-PIECE, PIECE)
                jobs.add(msgspec.structs.replace(some, id=number, job_id=number, start_time=start))
                jobs.remove(some.id)
                gone.add(JobKey(one.site.name, some.cluster, some.job_id, some.start_time))

    for one in several:
        one.before_each = churn
    async with gateway_over([one.instance(number) for number, one in enumerate(several, 1)]) as gateway:
        parts = [(await read(gateway, window(), Shard(shard, 8)))[0] for shard in range(1, 9)]
    keys = [key for part in parts for key in part]
    assert len(keys) == len(set(keys)) and set(keys) >= before - gone and len(gone) > 50


async def test_a_slice_goes_on_wherever_its_reader_was() -> None:
    async with gateway_over([one.instance(number) for number, one in enumerate(sites(300), 1)]) as gateway:
        shard, wanted = Shard(2, 3), window()
        whole, _ = await read(gateway, wanted, shard)
        keys: list[JobKey] = []
        after: str | None = None
        latest = NOW
        for _ in range(1000):  # each batch is read by another reader
            batches = ShardBatches(gateway, replace(asked(wanted), after=after), CALLER, 5, shard, latest)
            batch = await batches.next()
            if batch is None or batch.is_last:
                break
            keys += [row.key for row in batch.rows]
            after, latest = batch.resume, batches.latest
    assert keys == whole


async def test_a_site_that_fails_is_an_error_or_in_the_report_of_the_slice() -> None:
    several = sites(500)

    def fail() -> None:
        raise SiteError(Code.SITE_ERROR, "borealis", "it is broken")

    several[1].before_each = fail
    async with gateway_over([one.instance(number, retries=0) for number, one in enumerate(several, 1)]) as gateway:
        with pytest.raises(GatewayError, match="borealis"):
            await read(gateway, window(), Shard(1, 2))
        batches = ShardBatches(gateway, asked(window(), Policy.PARTIAL), CALLER, 2000, Shard(1, 2), NOW)
        missing: set[str] = set()
        while (batch := await batches.next()) is not None and not batch.is_last:
            missing.update(batch.missing)
        assert missing == {"borealis"}
        assert {one.site: one.status.value for one in batches.reports}["borealis"] == "FAILED"
