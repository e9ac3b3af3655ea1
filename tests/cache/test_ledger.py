"""What has to happen once: among processes that share a Redis, and without one; lost entries are entries that never were."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest

from cache.servers import Valkey
from ccgateway.cache.ledger import Ledger, LocalLedger, Page, new_holder, open_ledger
from ccgateway.settings import CacheSettings

ONE, TWO = sha256(b"one").digest(), sha256(b"two").digest()
Opened = Callable[..., Ledger]


@pytest.fixture
async def ledgers() -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        def open_one(url: str | None = None, **settings: object) -> Ledger:
            ledger = open_ledger(CacheSettings.model_validate({"redis_url": url, **settings}))
            stack.push_async_callback(ledger.aclose)
            return ledger

        yield open_one


@pytest.fixture(params=["within a process", "among processes"])
def pair(request: pytest.FixtureRequest, ledgers: Opened) -> tuple[Ledger, Ledger]:
    """The ledger as two callers have it."""
    if request.param == "within a process":
        ledger = ledgers()
        return ledger, ledger
    valkey: Valkey = request.getfixturevalue("valkey")
    return ledgers(valkey.url), ledgers(valkey.url)


async def test_one_of_two_has_to_do_it_and_the_other_is_told(pair: tuple[Ledger, Ledger]) -> None:
    first, second = pair
    mine, theirs = new_holder(), new_holder()
    assert (await first.claim("n", ONE, mine)).is_mine
    assert await second.claim("n", ONE, theirs) == Page(holder=mine)
    await first.close("n", ONE, mine, b"result", 60)
    assert await second.claim("n", ONE, theirs) == Page(result=b"result")
    assert await first.claim("n", ONE, mine) == Page(result=b"result")


async def test_another_request_under_the_same_name_is_told_apart(pair: tuple[Ledger, Ledger]) -> None:
    first, second = pair
    mine = new_holder()
    await first.claim("n", ONE, mine)
    assert not (await second.claim("n", TWO, new_holder())).fits
    await first.close("n", ONE, mine, b"result", 60)
    assert not (await second.claim("n", TWO, new_holder())).fits
    assert (await second.claim("other", TWO, new_holder())).is_mine


async def test_what_is_given_back_is_anybodys(pair: tuple[Ledger, Ledger]) -> None:
    first, second = pair
    mine = new_holder()
    await first.claim("n", ONE, mine)
    await first.drop("n", ONE, mine)
    assert (await second.claim("n", TWO, new_holder())).is_mine


async def test_who_lost_the_name_records_nothing(pair: tuple[Ledger, Ledger]) -> None:
    first, second = pair
    mine, theirs = new_holder(), new_holder()
    await first.claim("n", ONE, mine)
    await first.drop("n", ONE, mine)
    await second.claim("n", ONE, theirs)
    await first.close("n", ONE, mine, b"mine", 60)
    await first.drop("n", ONE, mine)
    await second.close("n", ONE, theirs, b"theirs", 60)
    assert (await first.claim("n", ONE, mine)).result == b"theirs"


async def test_an_entry_ends_with_its_time() -> None:
    now = [0.0]
    ledger = LocalLedger(lambda: now[0])
    mine = new_holder()
    await ledger.claim("n", ONE, mine)
    now[0] = 11.0
    assert (await ledger.claim("n", ONE, new_holder())).holder == mine, "a holder lives as long as its process"
    await ledger.close("n", ONE, mine, b"result", 100)
    now[0] = 110.0
    assert (await ledger.claim("n", ONE, mine)).result == b"result"
    now[0] = 112.0
    assert (await ledger.claim("n", ONE, mine)).is_mine


async def test_redis_forgets_an_entry_with_its_time(ledgers: Opened, valkey: Valkey) -> None:
    ledger = ledgers(valkey.url)
    mine = new_holder()
    await ledger.claim("n", ONE, mine)
    assert 0 < int(valkey.ask("PTTL", "ccgateway:2:once:n")) <= 3_000
    await ledger.close("n", ONE, mine, b"result", 86_400)
    assert 80_000_000 < int(valkey.ask("PTTL", "ccgateway:2:once:n")) <= 86_400_000


async def test_without_redis_a_process_knows_what_it_did_itself(ledgers: Opened, own_valkey: Valkey) -> None:
    ledger = ledgers(own_valkey.url)
    mine = new_holder()
    await ledger.claim("before", ONE, mine)
    own_valkey.stop()
    await ledger.close("before", ONE, mine, b"result", 60)
    assert (await ledger.claim("before", ONE, new_holder())).result == b"result"
    assert (await ledger.claim("after", ONE, mine)).is_mine
    assert (await ledger.claim("after", ONE, new_holder())).holder == mine


async def test_results_are_bounded_in_bytes_and_the_oldest_goes_first() -> None:
    ledger = LocalLedger(most=1000)
    for number in range(10):
        mine = new_holder()
        await ledger.claim(str(number), ONE, mine)
        await ledger.close(str(number), ONE, mine, b"x" * 200, 60)
    assert (await ledger.claim("9", ONE, new_holder())).result is not None
    assert (await ledger.claim("0", ONE, new_holder())).is_mine
