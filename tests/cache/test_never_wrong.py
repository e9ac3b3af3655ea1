"""Whatever happens in whatever order: no answer is from before a write, of another visibility, or older than it may be.

Two caches share a Redis as two processes would. A write changes what the site answers and invalidations through one of them.
Meanwhile time passes, fetches are slow, tokens are evicted, everything is wiped, and Redis refuses writes for a while, so that
invalidations are not delivered.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from cache.servers import Valkey
from ccgateway.cache import connection
from ccgateway.cache.entries import RAW, Absent, Filled, Hit, Source
from ccgateway.cache.facade import Cache, open_cache
from ccgateway.cache.keys import Key
from ccgateway.deadline import Deadline
from ccgateway.settings import CacheSettings

FRESH, STALE = 10.0, 5.0
SUBJECTS = st.sampled_from(["c/1/17", "c/2/18", "jobs"])
SITES = st.sampled_from(["aurora", "borealis"])
KEYS = st.builds(Key, SITES, SUBJECTS, st.sampled_from(["all", "user:eve"]), st.sampled_from(["flops", "mem"]))
CACHES = st.integers(0, 1)


class Answer(msgspec.Struct, frozen=True):
    """What the site says: to whom, in which state of things, and when."""

    key: str
    version: int
    at: float


class Machine(RuleBasedStateMachine):
    """The world and, beside it, the least that each cache has to know of it."""

    valkey: ClassVar[Valkey | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_000_000.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.versions: dict[tuple[str, str], int] = defaultdict(int)
        #: per cache: the version from before which nothing may come any more
        self.floors: tuple[dict[tuple[str, str], int], ...] = (defaultdict(int), defaultdict(int))
        self.asking: list[asyncio.Task[None]] = []
        url = None
        if self.valkey is not None:
            self.valkey.ask("CONFIG", "SET", "min-replicas-to-write", 0)
            self.valkey.ask("FLUSHALL")
            url = self.valkey.url
        given = CacheSettings.model_validate(
            {"redis_url": url, "memory_bytes": 4000, "redis_retry_after": 0.02, "lock_timeout": 0.2}
        )
        self.caches: list[Cache] = []
        for _ in range(2 if url else 1):
            self.caches.append(self.loop.run_until_complete(self.opened(given)))

    async def opened(self, given: CacheSettings) -> Cache:
        return open_cache(given, clock=lambda: self.now)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def cache(self, which: int) -> tuple[Cache, dict[tuple[str, str], int]]:
        return self.caches[which % len(self.caches)], self.floors[which % len(self.caches)]

    async def fill(self, keys: Sequence[Key], deadline: Deadline) -> Mapping[Key, Filled | Absent]:
        answers = {key: Answer(key.text, self.versions[key.site, key.subject], self.now) for key in keys}
        await self.gate.wait()
        return {key: Filled(msgspec.json.encode(answer), FRESH, STALE) for key, answer in answers.items()}

    async def ask(self, which: int, keys: Sequence[Key]) -> None:
        cache, floors = self.cache(which)
        least = {key: floors[key.site, key.subject] for key in keys}
        begun = self.now
        hits: dict[Key, Hit[bytes]] = await cache.fetch(keys, self.fill, RAW, deadline=Deadline.after(8))
        assert hits.keys() == set(keys)
        for key, hit in hits.items():
            answer = msgspec.json.decode(hit.value, type=Answer)
            assert answer.key == key.text
            assert answer.version >= least[key], (key, answer, hit)
            if hit.source is not Source.SITE:
                assert answer.at > begun - FRESH - STALE
                assert hit.stale or answer.at > begun - FRESH
            # no younger than it is; older it may seem, by the time in which the fill was about to begin
            assert begun - answer.at - 0.01 <= hit.age

    # --- what happens

    @rule(which=CACHES, keys=st.lists(KEYS, min_size=1, max_size=3, unique=True))
    def somebody_asks(self, which: int, keys: list[Key]) -> None:
        asking = self.loop.create_task(self.ask(which, keys))
        if self.gate.is_set():
            self.run(asking)
        else:
            self.asking.append(asking)
            self.run(asyncio.sleep(0.003))

    @rule()
    def the_site_becomes_slow(self) -> None:
        self.gate.clear()

    @rule()
    def the_site_answers(self) -> None:
        self.gate.set()
        for asking in self.asking:
            self.run(asking)
        self.asking.clear()

    @rule(seconds=st.sampled_from([0.5, 4.0, 9.9, 11.0, 16.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=CACHES, site=SITES, subject=SUBJECTS, whole_site=st.booleans())
    def something_is_written(self, which: int, site: str, subject: str, *, whole_site: bool) -> None:
        cache, floors = self.cache(which)
        changed = [one for one in list(self.versions) if one[0] == site] if whole_site else [(site, subject)]
        for one in changed:
            self.versions[one] += 1
        self.run(cache.invalidate(site) if whole_site else cache.invalidate(site, subject))
        for one in changed:
            floors[one] = self.versions[one]
        redis = self.run(cache.stats()).redis
        if redis is None or not redis.undelivered:
            for one in changed:
                for others in self.floors:
                    others[one] = self.versions[one]

    @rule(which=CACHES)
    def somebody_clears(self, which: int) -> None:
        self.run(self.cache(which)[0].clear())

    @rule(which=CACHES, key=KEYS)
    def somebody_gives_up(self, which: int, key: Key) -> None:
        cache, _ = self.cache(which)

        async def asked() -> None:
            task = asyncio.create_task(cache.fetch([key], self.fill, RAW, deadline=Deadline.after(8)))
            await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.run(asked())

    @rule()
    def redis_is_wiped(self) -> None:
        if self.valkey is not None:
            self.by_force("FLUSHALL")

    @rule(number=st.integers(0, 30))
    def something_is_evicted(self, number: int) -> None:
        if self.valkey is not None and (names := sorted(self.valkey.ask("KEYS", "*"))):
            self.by_force("DEL", names[number % len(names)])

    def by_force(self, *command: str | bytes) -> None:
        """Also while nobody else may write."""
        assert self.valkey is not None
        allowed = self.valkey.ask("CONFIG", "GET", "min-replicas-to-write")[b"min-replicas-to-write"]
        self.valkey.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        self.valkey.ask(*command)
        self.valkey.ask("CONFIG", "SET", "min-replicas-to-write", allowed)

    @rule()
    def redis_refuses_writes(self) -> None:
        if self.valkey is not None:
            self.valkey.ask("CONFIG", "SET", "min-replicas-to-write", 1)

    @rule()
    def redis_is_well_again(self) -> None:
        self.run(self.healed())

    async def healed(self) -> None:
        if self.valkey is None:
            return
        self.valkey.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        until = time.monotonic() + 5
        for cache in self.caches:
            while (redis := (await cache.stats()).redis) is not None and redis.state != "up":
                assert time.monotonic() < until
                await asyncio.sleep(0.005)
        for one in self.versions:
            known = max(floors[one] for floors in self.floors)
            for floors in self.floors:
                floors[one] = known

    def teardown(self) -> None:
        self.the_site_answers()
        self.run(self.healed())
        for cache in self.caches:
            self.run(cache.aclose())
        assert asyncio.all_tasks(self.loop) == set()
        self.loop.close()


@pytest.fixture(params=["memory", "redis"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Machine]]:
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.005)
    if request.param == "memory":
        yield Machine
        return
    with Valkey(tmp_path) as server:
        yield type("SharedMachine", (Machine,), {"valkey": server})


def test_no_answer_is_ever_wrong(machine: type[Machine]) -> None:
    thorough = settings.default.max_examples if settings.default else 100
    thorough //= 1 if machine.valkey is None else 2
    run_state_machine_as_test(machine, settings=settings(max_examples=thorough * 2 // 3, stateful_step_count=40))
