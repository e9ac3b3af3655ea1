"""Short notes: the last one counts, in all processes that share a Redis; lost ones are harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from cache.servers import Valkey
from ccgateway.cache.notes import LocalNotes, Notes, open_notes
from ccgateway.settings import CacheSettings

Opened = Callable[..., Notes]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        def open_one(url: str | None = None, **settings: object) -> Notes:
            notes = open_notes(CacheSettings.model_validate({"redis_url": url, **settings}))
            stack.push_async_callback(notes.aclose)
            return notes

        yield open_one


@pytest.fixture(params=["within a process", "among processes"])
def pair(request: pytest.FixtureRequest, opened: Opened) -> tuple[Notes, Notes]:
    """The notes as two callers have them."""
    if request.param == "within a process":
        notes = opened()
        return notes, notes
    valkey: Valkey = request.getfixturevalue("valkey")
    return opened(valkey.url), opened(valkey.url)


async def test_the_last_note_counts_whoever_wrote_it(pair: tuple[Notes, Notes]) -> None:
    first, second = pair
    await first.write("n", b"one", 60)
    assert await second.read("n") == b"one"
    await second.write("n", b"two", 60)
    assert await first.read("n") == b"two"
    assert await first.read("other") is None


async def test_others_than_those_who_share_a_prefix_see_nothing(valkey: Valkey, opened: Opened) -> None:
    await opened(valkey.url).write("n", b"one", 60)
    assert await opened(valkey.url, redis_prefix="another").read("n") is None


async def test_what_a_full_redis_does_not_take_counts_in_its_own_process(own_valkey: Valkey, opened: Opened) -> None:
    notes, others = opened(own_valkey.url), opened(own_valkey.url)
    await notes.write("n", b"one", 60)
    own_valkey.ask("CONFIG", "SET", "maxmemory", 1)
    await notes.write("n", b"two", 60)
    assert (await notes.read("n"), await others.read("n")) == (b"two", b"one")
    own_valkey.ask("CONFIG", "SET", "maxmemory", 0)
    await notes.write("n", b"three", 60)
    assert await others.read("n") == b"three"


async def test_a_process_goes_by_its_own_notes_while_redis_is_away(own_valkey: Valkey, opened: Opened) -> None:
    notes = opened(own_valkey.url)
    await notes.write("n", b"one", 60)
    own_valkey.stop()
    assert await notes.read("n") == b"one"
    await notes.write("n", b"two", 60)
    assert await notes.read("n") == b"two"


async def test_notes_are_bounded_in_number_and_time() -> None:
    now = [0.0]
    notes = LocalNotes(lambda: now[0], most=2)
    await notes.write("a", b"1", 10)
    await notes.write("b", b"2", 10)
    assert await notes.read("a") == b"1"  # used last, so the other one goes
    await notes.write("c", b"3", 20)
    assert [await notes.read(name) for name in "abc"] == [b"1", None, b"3"]
    now[0] = 10
    assert [await notes.read(name) for name in "ac"] == [None, b"3"]
