"""Values and claims under names: the last value counts, one of many claims is granted, in all processes that share a Redis.

Entries that are lost are entries that never were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest

from cache.servers import Valkey
from ccgateway.cache.facade import open_redis
from ccgateway.cache.ttl_store import ClaimResult, TtlStore, new_holder
from ccgateway.settings import CacheSettings

ONE, TWO = sha256(b"one").digest(), sha256(b"two").digest()
Opened = Callable[..., TtlStore]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        def open_one(url: str | None = None, **settings: object) -> TtlStore:
            given = {"redis_url": url, "redis_timeout": 10.0, "redis_connect_timeout": 10.0, **settings}
            redis = open_redis(CacheSettings.model_validate(given))
            if redis is not None:
                stack.push_async_callback(redis.aclose)
            return TtlStore("once", redis)

        yield open_one


@pytest.fixture(params=["within a process", "among processes"])
def pair(request: pytest.FixtureRequest, opened: Opened) -> tuple[TtlStore, TtlStore]:
    """The store as two callers have it."""
    if request.param == "within a process":
        store = opened()
        return store, store
    valkey: Valkey = request.getfixturevalue("valkey")
    return opened(valkey.url), opened(valkey.url)


async def test_the_last_value_counts_whoever_wrote_it(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    await first.set("n", b"one", 60)
    assert await second.get("n") == b"one"
    await second.set("n", b"two", 60)
    assert await first.get("n") == b"two"
    assert await first.get("other") is None


async def test_others_than_those_who_share_a_prefix_see_nothing(valkey: Valkey, opened: Opened) -> None:
    await opened(valkey.url).set("n", b"one", 60)
    assert await opened(valkey.url, redis_prefix="another").get("n") is None


async def test_what_a_full_redis_does_not_take_counts_in_its_own_process(own_valkey: Valkey, opened: Opened) -> None:
    store, others = opened(own_valkey.url), opened(own_valkey.url)
    await store.set("n", b"one", 60)
    own_valkey.ask("CONFIG", "SET", "maxmemory", 1)
    await store.set("n", b"two", 60)
    assert (await store.get("n"), await others.get("n")) == (b"two", b"one")
    own_valkey.ask("CONFIG", "SET", "maxmemory", 0)
    await store.set("n", b"three", 60)
    assert await others.get("n") == b"three"


async def test_a_process_goes_by_its_own_store_while_redis_is_away(own_valkey: Valkey, opened: Opened) -> None:
    store = opened(own_valkey.url)
    await store.set("n", b"one", 60)
    own_valkey.stop()
    assert await store.get("n") == b"one"
    await store.set("n", b"two", 60)
    assert await store.get("n") == b"two"


async def test_values_are_bounded_in_bytes_and_time() -> None:
    now = [0.0]
    store = TtlStore("note", clock=lambda: now[0], most_bytes=500)
    await store.set("a", b"1", 10)
    await store.set("b", b"2", 10)
    assert await store.get("a") == b"1"  # used last, so the other one goes
    await store.set("c", b"3", 20)
    assert [await store.get(name) for name in "abc"] == [b"1", None, b"3"]
    now[0] = 10
    assert [await store.get(name) for name in "ac"] == [None, b"3"]
    await store.set("c", b"3" * 500, 20)
    assert await store.get("c") is None, "one that is too long is not kept, and its predecessor does not count any more"


async def test_one_of_two_has_to_do_it_and_the_other_is_told(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    mine, theirs = new_holder(), new_holder()
    assert (await first.claim("n", ONE, mine)).is_granted
    assert await second.claim("n", ONE, theirs) == ClaimResult(holder=mine)
    await first.complete("n", ONE, mine, b"result", 60)
    assert await second.claim("n", ONE, theirs) == ClaimResult(result=b"result")
    assert await first.claim("n", ONE, mine) == ClaimResult(result=b"result")


async def test_another_request_under_the_same_name_is_told_apart(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    mine = new_holder()
    await first.claim("n", ONE, mine)
    assert not (await second.claim("n", TWO, new_holder())).fits
    await first.complete("n", ONE, mine, b"result", 60)
    assert not (await second.claim("n", TWO, new_holder())).fits
    assert (await second.claim("other", TWO, new_holder())).is_granted


async def test_what_is_given_back_is_anybodys(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    mine = new_holder()
    await first.claim("n", ONE, mine)
    await first.release("n", ONE, mine)
    assert (await second.claim("n", TWO, new_holder())).is_granted


async def test_who_lost_the_name_records_nothing(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    mine, theirs = new_holder(), new_holder()
    await first.claim("n", ONE, mine)
    await first.release("n", ONE, mine)
    await second.claim("n", ONE, theirs)
    await first.complete("n", ONE, mine, b"mine", 60)
    await first.release("n", ONE, mine)
    await second.complete("n", ONE, theirs, b"theirs", 60)
    assert (await first.claim("n", ONE, mine)).result == b"theirs"


async def test_an_entry_ends_with_its_time() -> None:
    now = [0.0]
    store = TtlStore("once", clock=lambda: now[0])
    mine = new_holder()
    await store.claim("n", ONE, mine)
    now[0] = 11.0
    assert (await store.claim("n", ONE, new_holder())).holder == mine, "a holder lives as long as its process"
    await store.complete("n", ONE, mine, b"result", 100)
    now[0] = 110.0
    assert (await store.claim("n", ONE, mine)).result == b"result"
    now[0] = 112.0
    assert (await store.claim("n", ONE, mine)).is_granted


async def test_redis_forgets_an_entry_with_its_time(opened: Opened, valkey: Valkey) -> None:
    store = opened(valkey.url)
    mine = new_holder()
    await store.claim("n", ONE, mine)
    assert 0 < int(valkey.ask("PTTL", "ccgateway:2:once:n")) <= 3_000
    await store.complete("n", ONE, mine, b"result", 86_400)
    assert 80_000_000 < int(valkey.ask("PTTL", "ccgateway:2:once:n")) <= 86_400_000


async def test_without_redis_a_process_knows_what_it_did_itself(opened: Opened, own_valkey: Valkey) -> None:
    store = opened(own_valkey.url)
    mine = new_holder()
    await store.claim("before", ONE, mine)
    own_valkey.stop()
    await store.complete("before", ONE, mine, b"result", 60)
    assert (await store.claim("before", ONE, new_holder())).result == b"result"
    assert (await store.claim("after", ONE, mine)).is_granted
    assert (await store.claim("after", ONE, new_holder())).holder == mine


async def test_results_are_bounded_in_bytes_and_the_oldest_goes_first() -> None:
    store = TtlStore("once", most_bytes=2000)
    for number in range(10):
        mine = new_holder()
        await store.claim(str(number), ONE, mine)
        await store.complete(str(number), ONE, mine, b"x" * 200, 60)
    assert (await store.claim("9", ONE, new_holder())).result is not None
    assert (await store.claim("0", ONE, new_holder())).is_granted


async def test_a_claim_is_no_value_and_a_value_no_claim(pair: tuple[TtlStore, TtlStore]) -> None:
    first, second = pair
    await first.set("value", b"text", 60)
    assert (await second.claim("value", ONE, new_holder())).is_granted
    await first.claim("claim", ONE, new_holder())
    assert await second.get("claim") is None
