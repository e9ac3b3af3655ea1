"""A cursor holds across sites that are added, taken away, or down for a while."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, FederationError, SiteError
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.model import JobKey
from properties.worlds import World, worlds
from support.upstream import Sites, Upstream
from support.walking import CALLER, gateway_over, order_of, walk

sizes = st.sampled_from([1, 3, 7])


@given(world=worlds(), size=sizes, seed=st.integers(0, 1000), read_ahead=st.sampled_from([0.0, 2.0]))
def test_sites_come_and_go_without_losing_or_doubling_a_job(world: World, size: int, seed: int, read_ahead: float) -> None:
    """Jobs of the sites that stay all come; of one that is added, those that stand after the cursor."""
    pick = random.Random(seed)
    sites = Sites(world.instances)
    always = {one.name for one in world.instances if pick.random() < 0.6}

    def between(_: int) -> None:
        sites.replace(one for one in world.instances if one.name in always or pick.random() < 0.5)

    async def run() -> list[JobKey]:
        async with gateway_over(sites, read_ahead=read_ahead) as gateway:
            walked = await walk(gateway, JobListQuestion(first=size), at_most=world.total() + 2, between=between)
            return walked.keys

    between(0)
    keys = asyncio.run(run())
    assert keys == sorted(set(keys), key=order_of)
    assert {key for key in world.expected([]) if key.site in always} <= set(keys)
    assert set(keys) <= world.expected([])


@given(world=worlds(most_sites=3), size=sizes)
def test_a_site_that_is_added_midway_gives_what_stands_after_the_cursor(world: World, size: int) -> None:
    sites = Sites(world.instances[1:])
    ends: list[JobKey | None] = []

    async def run() -> list[JobKey]:
        async with gateway_over(sites, read_ahead=0) as gateway:
            first = await gateway.jobs(JobListQuestion(first=size), CALLER)
            ends.append(first.rows[-1].key if first.rows else None)
            sites.replace(world.instances)
            if first.end_cursor is None:
                return [row.key for row in first.rows]
            rest = await walk(gateway, JobListQuestion(first=size, after=first.end_cursor), at_most=world.total() + 2)
            return [row.key for row in first.rows] + rest.keys

    keys = asyncio.run(run())
    late = world.instances[0].name if world.instances else ""
    if ends[0] is not None:
        wanted = [key for key in world.expected([]) if key.site != late or order_of(key) > order_of(ends[0])]
        assert keys == sorted(wanted, key=order_of)


@given(world=worlds(), size=sizes, seed=st.integers(0, 1000), read_ahead=st.sampled_from([0.0, 2.0]))
def test_a_site_that_is_down_for_a_while_costs_the_others_nothing(world: World, size: int, seed: int, read_ahead: float) -> None:
    pick = random.Random(seed)
    flaky = [name for name in world.upstreams if pick.random() < 0.5]

    def failing(upstream: Upstream, name: str) -> None:
        upstream.fails = lambda _: SiteError(Code.UNREACHABLE, name, "down") if pick.random() < 0.4 else None

    for name in flaky:
        failing(world.upstreams[name], name)

    async def run() -> tuple[list[JobKey], bool]:
        keys: list[JobKey] = []
        whole, after = True, None
        async with gateway_over(world.instances, read_ahead=read_ahead) as gateway:
            for _ in range(3 * world.total() + 100):
                try:
                    answer = await gateway.jobs(JobListQuestion(first=size, after=after), CALLER)
                except FederationError as error:
                    assert error.code is Code.ALL_SITES_FAILED
                    assert len(flaky) == len(world.upstreams)
                    continue
                failed = {report.site for report in answer.reports if not report.is_complete}
                assert failed <= set(flaky)
                assert answer.complete == (not failed)
                whole = whole and answer.complete
                keys += [row.key for row in answer.rows]
                if not answer.has_next_page:
                    return keys, whole
                after = answer.end_cursor
        raise AssertionError("no end")

    keys, whole = asyncio.run(run())
    assert keys == sorted(set(keys), key=order_of)
    assert {key for key in world.expected([]) if key.site not in flaky} <= set(keys)
    if whole:
        assert set(keys) == world.expected([])
