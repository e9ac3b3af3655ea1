"""A write is seen by the next read, in every process that shares the cache; and a key that was used in one is used in all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cache.servers import Valkey
from ccgateway.cache.facade import open_redis
from ccgateway.cache.ttl_store import TtlStore
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import EditMeta, StopJob, TagJob, Target, WriteOutcome
from ccgateway.settings import CacheSettings, LimitSettings
from ccgateway.simulator import SimulatedSite
from ccgateway.site.caching.responses import ResponseCache
from support.upstream import Sites
from support.walking import CALLER
from support.written import CALL, NOW, Wire, instance_of, start_command

FIELDS = frozenset({"state", "tags", "meta_data"})


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def job(db_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main",
        "numNodes": 1, "startTime": NOW - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "running",
        "resources": [{"hostname": "an001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 1,
    } | changes  # fmt: skip


@pytest.fixture
async def pair(valkey: Valkey) -> AsyncIterator[tuple[Gateway, Gateway, Wire]]:
    """The gateway as two processes have it, in front of one site, with all that can be remembered remembered for long."""
    valkey.ask("FLUSHALL")
    wire = Wire(SimulatedSite("aurora", "1.4", [job(db_id) for db_id in range(1, 6)], clock=lambda: float(NOW)))
    settings = CacheSettings.model_validate(
        {"redis_url": valkey.url, "list_for": 60, "redis_timeout": 10, "redis_connect_timeout": 10}
    )
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            limits = LimitSettings.model_validate({"read_ahead": 60})
            redis = open_redis(settings)
            store = TtlStore("once", redis)
            gateway = Gateway(Sites([instance_of(wire)], ResponseCache.of(settings, redis)), limits, idempotency_store=store)
            stack.push_async_callback(gateway.aclose)
            made.append(gateway)
        yield made[0], made[1], wire


async def listed(gateway: Gateway, **more: Any) -> dict[int, Any]:
    answer = await gateway.jobs(JobListQuestion(first=10, fields=FIELDS, **more), CALLER)
    return {row.id: row for row in answer.rows}


async def test_the_next_read_shows_it_in_every_process(pair: tuple[Gateway, Gateway, Wire]) -> None:
    one, two, wire = pair
    target = Target(site="aurora", db_id=1)
    await listed(two)
    asked = wire.reads
    assert (await listed(two))[1].state == "running"  # from what is remembered
    assert wire.reads == asked

    await one.writes.tag_jobs([TagJob(target=target, tags=(Tag("a", "b"),))], CALLER, CALL)
    assert [[tag.name for tag in (await listed(each))[1].tags or ()] for each in (one, two)] == [["b"], ["b"]]
    await two.writes.edit_meta([EditMeta(target=target, values={"note": "n"})], CALLER, CALL)
    assert [(await listed(each))[1].meta_data["note"] for each in (one, two)] == ["n", "n"]
    await one.writes.stop_jobs([StopJob(target=target, stop_time=NOW, state="failed")], CALLER, CALL)
    assert [(await listed(each))[1].state for each in (one, two)] == ["failed", "failed"]
    assert [(await each.job("aurora:1", CALLER, fields=FIELDS)).state for each in (one, two)] == ["failed", "failed"]
    (started,) = await one.writes.start_jobs([start_command("aurora")], CALLER, CALL)
    assert [started.db_id in await listed(each) for each in (one, two)] == [True, True]
    await two.writes.delete_jobs([target], CALLER, CALL)
    assert [1 in await listed(each) for each in (one, two)] == [False, False]


async def test_pages_that_were_read_ahead_elsewhere_are_not_given(pair: tuple[Gateway, Gateway, Wire]) -> None:
    one, two, _ = pair
    page = await two.jobs(JobListQuestion(first=2, fields=FIELDS), CALLER)
    last = page.rows[-1].id
    await one.writes.tag_jobs([TagJob(target=Target(site="aurora", db_id=last - 1), tags=(Tag("a", "b"),))], CALLER, CALL)
    rest = await two.jobs(JobListQuestion(first=2, fields=FIELDS, after=page.end_cursor), CALLER)
    assert [tag.name for tag in rest.rows[0].tags or ()] == ["b"]


async def test_a_key_is_used_in_all_processes(pair: tuple[Gateway, Gateway, Wire]) -> None:
    one, two, wire = pair
    command, call = start_command("aurora"), WriteCall("r", "k")
    first = await one.writes.start_jobs([command], CALLER, call)
    again = await two.writes.start_jobs([command], CALLER, call)
    assert first == again
    assert first[0].outcome is WriteOutcome.DONE
    assert len(wire.sent) == 1
