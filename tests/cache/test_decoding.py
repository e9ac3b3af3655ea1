"""What entries are decoded to is held with them, once, and within the bytes that the memory may have."""

from __future__ import annotations

import json
from typing import Any

from cache.asking import Site, key, settled
from ccgateway.cache.entries import RAW, Entry, View
from ccgateway.cache.facade import open_cache
from ccgateway.cache.keys import Key
from ccgateway.cache.memory import MemoryStore
from ccgateway.deadline import Deadline
from ccgateway.settings import CacheSettings


def counting(decoded: list[Key], size: int, name: str = "") -> View[Any]:
    def decode(key: Key, entry: Entry) -> tuple[Any, int]:
        decoded.append(key)
        return json.loads(entry.payload), size

    return View(decode, name)


def entry(now: float = 1000.0) -> Entry:
    return Entry(b"x" * 1000, now, 60.0, 0.0, absent=False, versions=(b"", b"", b""))


async def test_an_entry_is_decoded_once_for_each_view_of_it() -> None:
    cache, site, decoded = open_cache(CacheSettings.model_validate({})), Site(), list[Key]()
    one, other = counting(decoded, 5000, "one"), counting(decoded, 7000, "other")
    for view in (one, one, other, one, other):
        await cache.fetch([key()], site.fill, view, deadline=Deadline.after(5))
        await settled(cache)
    memory = (await cache.stats()).memory
    assert (len(decoded), len(site.calls)) == (2, 1)
    assert memory is not None and memory.bytes > 12_000
    await cache.aclose()


async def test_what_cannot_be_decoded_is_fetched_anew() -> None:
    cache, site = open_cache(CacheSettings.model_validate({})), Site()
    site.payload = lambda key: b'"1' if len(site.calls) < 2 else b'"1"'  # type: ignore[method-assign]
    await cache.fetch([key()], site.fill, RAW, deadline=Deadline.after(5))
    await settled(cache)
    found = await cache.fetch([key()], site.fill, counting([], 0), deadline=Deadline.after(5))
    assert (found[key()].value, len(site.calls)) == ("1", 2)
    await cache.aclose()


def test_decoded_values_push_out_what_is_used_least() -> None:
    store = MemoryStore(10_000, clock=lambda: 1000.0)
    entries = {key(name): entry() for name in "abc"}
    for name, one in entries.items():
        store.keep(name, one)
    before = store.stats_now().bytes
    entries[key("c")].values[None] = "value", 6000
    store.reweigh(key("c"), entries[key("c")])
    assert [store.peek(key(name)) is not None for name in "abc"] == [False, True, True]
    assert store.stats_now().bytes == before * 2 / 3 + 6000
    store.drop(key("c"))
    assert store.stats_now().bytes == before / 3


def test_a_value_without_room_is_not_held_and_its_payload_is() -> None:
    store, one = MemoryStore(10_000, clock=lambda: 1000.0), entry()
    store.keep(key(), one)
    one.values[None] = "value", 20_000
    store.reweigh(key(), one)
    assert (store.peek(key()), one.values) == (one, {})
    assert store.stats_now().bytes < 2000


def test_what_was_replaced_counts_no_more_whatever_is_decoded_of_it() -> None:
    store, old = MemoryStore(10_000, clock=lambda: 1000.0), entry()
    store.keep(key(), old)
    store.keep(key(), entry())
    before = store.stats_now().bytes
    old.values[None] = "value", 3000
    store.reweigh(key(), old)
    assert store.stats_now().bytes == before
