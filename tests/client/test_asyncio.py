"""The client for asyncio gives what the other gives, and has the same methods."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from ccgateway.client import AsyncGateway, AsyncJobList, Gateway, Incomplete, JobList
from support.served import Between, Served, cut


def signature(method: object) -> str:
    assert callable(method)
    return str(inspect.signature(method)).replace("Async", "")


@pytest.mark.parametrize(("one", "other"), [(Gateway, AsyncGateway), (JobList, AsyncJobList)])
def test_both_clients_have_the_same_methods_with_the_same_words(one: type, other: type) -> None:
    names = {name for name in vars(one) if not name.startswith("_")}
    assert names == {name for name in vars(other) if not name.startswith("_")}
    for name in names:
        first, second = inspect.getattr_static(one, name), inspect.getattr_static(other, name)
        if not isinstance(first, property):
            assert signature(first) == signature(second), name
        assert inspect.getdoc(first) == inspect.getdoc(second), name


async def test_jobs_metrics_and_orders(front: Served, gateway: Gateway) -> None:
    async with AsyncGateway(front.url) as client:
        jobs = [job async for job in client.jobs(page_size=50)]
        assert [job.id for job in jobs] == [job.id for job in gateway.jobs()]
        assert await client.count(user="alice") == gateway.count(user="alice")
        ended = next(job for job in jobs if job.state == "completed")
        one, metrics = await asyncio.gather(client.job(ended), client.metrics(ended))
        assert one == gateway.job(ended) and metrics == gateway.metrics(ended)
        assert [one.outcome for one in await client.tag(ended, "review:later")] == ["DONE"]
        assert (await client.jobs(state="failed").to_pandas()).equals(gateway.jobs(state="failed").to_pandas())


async def test_what_is_missing_is_an_error_there_too_and_breaks_heal(front: Served, proxy: Between) -> None:
    async with AsyncGateway(proxy.url) as client:
        proxy.fates[:] = [cut(), cut(30)]
        assert len([job async for job in client.jobs()]) == 240
        with front.down("draco"):
            with pytest.raises(Incomplete):
                await client.count()
            jobs = client.jobs(partial=True)
            assert len([job async for job in jobs]) == 180 and [one.site for one in jobs.missing] == ["draco"]


async def test_a_question_can_be_cancelled(front: Served) -> None:
    front.sites["aurora"].site.faults.hang()
    try:
        async with AsyncGateway(front.url) as client:
            asked = asyncio.create_task(client.count())
            await asyncio.sleep(0.2)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
    finally:
        front.sites["aurora"].site.faults.clear()
