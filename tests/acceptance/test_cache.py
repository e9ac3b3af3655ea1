"""Whatever becomes of Redis under load: every answer comes, every answer is right, and afterwards it is used again."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from acceptance.conftest import Front, gateway_over, site
from cache.servers import Lag, Valkey, lagging
from ccgateway.simulator import SimulatedSite, serve
from ccgateway.simulator.serve import Address

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

METRIC = "name scope metric { unit { base prefix } timestep series { hostname id statistics { avg min max } data } }"
ONE = f"query($id: ID!) {{ jobMetrics(id: $id) {{ {METRIC} }} }}"
SOME = f"""query($first: Int) {{ jobs(first: $first, filter: [{{state: [completed]}}]) {{
    items {{ id user metrics(metrics: ["flops_any", "mem_bw"], scopes: [node]) {{ {METRIC} }} }} complete }} }}"""
OTHERS = "{ clusters { name site } users { username site } }"
#: quick to give up and quick to try again, so that the test need not take long
REDIS: dict[str, Any] = {"redis_timeout": 0.2, "redis_retry_after": 0.3, "lock_timeout": 1.0}
CALLERS = 6


@dataclass
class Load:
    """Callers who go on asking. ``wrong``: answers that differ from what the sites say; ``given``: how many answers came."""

    front: Front
    questions: Mapping[str, tuple[str, dict[str, Any]]]
    truth: Mapping[str, str]
    given: int = 0
    wrong: list[str] = field(default_factory=list)

    async def run(self, ends: asyncio.Event) -> None:
        while not ends.is_set():
            for name, (query, variables) in self.questions.items():
                try:
                    answer = await self.front.ask(query, **variables)
                except Exception as error:  # noqa: BLE001 - the test tells
                    self.wrong.append(f"{name}: {error!r}")
                    continue
                self.given += 1
                if told(answer) != self.truth[name]:
                    self.wrong.append(f"{name}: {told(answer)[:300]}")

    async def more(self, count: int) -> None:
        """Waits until so many more answers have come."""
        until = self.given + count
        while self.given < until and not self.wrong:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def told(answer: dict[str, Any]) -> str:
    return json.dumps([answer.get("errors"), answer["data"]], sort_keys=True)


def questions(one: SimulatedSite) -> dict[str, tuple[str, dict[str, Any]]]:
    jobs = [job for job in one.all_jobs() if job["jobState"] != "running"][:5]
    return {
        **{f"job {job['id']}": (ONE, {"id": f"{one.name}:{job['id']}"}) for job in jobs},
        "list": (SOME, {"first": 4}),
        "others": (OTHERS, {}),
    }


@asynccontextmanager
async def loaded(running: Mapping[str, Address], url: str) -> AsyncIterator[Load]:
    """A gateway with that Redis, under load. When it is left, every answer must have been right."""
    asked = questions(running["aurora"].site)
    async with gateway_over(running, cache={"memory_bytes": 0}) as plain:
        truth = {name: told(await plain.ask(query, **variables)) for name, (query, variables) in asked.items()}
    assert all(text.startswith("[null") for text in truth.values()), truth
    async with gateway_over(running, cache={**REDIS, "redis_url": url}) as front:
        load, ends = Load(front, asked, truth), asyncio.Event()
        callers = [asyncio.create_task(load.run(ends)) for _ in range(CALLERS)]
        try:
            yield load
        finally:
            ends.set()
            await asyncio.gather(*callers)
        assert load.wrong == []


async def is_used(running: Mapping[str, Address], valkey: Valkey, load: Load) -> None:
    """Redis is used again: another gateway, with nothing in its memory, needs no site for what was asked of the first."""
    one = running["aurora"].site

    def metric_calls() -> int:
        return sum("/metrics/" in seen.target for seen in one.requests)

    until = asyncio.get_running_loop().time() + 120
    while asyncio.get_running_loop().time() < until:
        async with gateway_over(running, cache={"redis_timeout": 10, "redis_url": valkey.url}) as other:
            before = metric_calls()
            for query, variables in load.questions.values():
                await other.ask(query, **variables)
            if metric_calls() == before:
                return
        await load.more(10)
    raise AssertionError(f"Redis is not used again: {valkey.ask('DBSIZE')} names")


@pytest.fixture
async def running() -> AsyncIterator[Mapping[str, Address]]:
    async with serve(site("aurora", "1.5", count=60), site("borealis", "1.3", count=60)) as sites:
        yield sites


@pytest.fixture
def valkey(tmp_path: Path) -> Valkey:
    return Valkey(tmp_path / "valkey")


def full(valkey: Valkey) -> None:
    valkey.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    valkey.ask("CONFIG", "SET", "maxmemory", 1)


def roomy(valkey: Valkey) -> None:
    valkey.ask("CONFIG", "SET", "maxmemory", 0)


FAULTS: dict[str, tuple[Callable[[Valkey], object], Callable[[Valkey], object]]] = {
    "killed": (Valkey.stop, Valkey.start),
    "paused": (Valkey.pause, Valkey.go_on),
    "full": (full, roomy),
    "wiped": (lambda valkey: valkey.ask("FLUSHALL"), lambda valkey: valkey.ask("FLUSHALL")),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_redis_costs_no_answer_and_makes_none_wrong(
    running: Mapping[str, Address], valkey: Valkey, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "ccgateway.cache")
    breaks, mends = FAULTS[fault]
    with valkey:
        async with loaded(running, valkey.url) as load:
            await load.more(60)
            for _ in range(2):
                breaks(valkey)
                await load.more(100)
                mends(valkey)
                await load.more(60)
            await is_used(running, valkey, load)


async def test_redis_may_be_absent_at_start_up(running: Mapping[str, Address], valkey: Valkey) -> None:
    try:
        async with loaded(running, valkey.url) as load:
            await load.more(100)
            valkey.start()
            await is_used(running, valkey, load)
    finally:
        valkey.stop()


async def test_redis_may_be_slow(running: Mapping[str, Address], valkey: Valkey) -> None:
    def slower(lag: Lag, seconds: float) -> None:
        lag.seconds = seconds

    with valkey:
        async with lagging(valkey.port) as lag, loaded(running, f"redis://127.0.0.1:{lag.port}") as load:
            for seconds in (0.0, 0.05, 1.0, 0.15, 0.0):
                slower(lag, seconds)
                await load.more(60)
            await is_used(running, valkey, load)


async def test_nothing_secret_is_in_redis_nor_in_the_log(
    running: Mapping[str, Address], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer of both sites, every name and value in Redis, and all that is said about it."""
    password = "canary-of-redis"
    tokens = [one.site.token("demo") for one in running.values()]
    caplog.set_level(logging.DEBUG)
    with Valkey(tmp_path / "locked", "--requirepass", password) as locked:
        url = f"redis://:{password}@127.0.0.1:{locked.port}/0"
        async with gateway_over(running, cache={**REDIS, "redis_url": url}) as front:
            for query, variables in questions(running["aurora"].site).values():
                assert "errors" not in await front.ask(query, **variables)
        with redis.Redis(port=locked.port, password=password) as client:
            held = b"".join([name + client.get(name) + unpacked(client.get(name)) for name in client.scan_iter()])
        assert held.count(b"aurora") > 20
        locked.stop()
        async with gateway_over(running, cache={**REDIS, "redis_url": url}) as front:
            await front.ask(OTHERS)
    said = caplog.text.encode()
    assert b"not usable" in said
    for secret in (password, *tokens, *(part for token in tokens for part in token.split(".")[1:])):
        assert secret.encode() not in held
        assert secret.encode() not in said


def unpacked(blob: bytes) -> bytes:
    """The payload of an entry; nothing for what is none."""
    body = blob[2 + int.from_bytes(blob[:2], "big") :]
    try:
        return zstd.decompress(body)
    except zstd.ZstdError:
        return body
