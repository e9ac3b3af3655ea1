"""Keys, entries as bytes, Redis URLs, settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.cache.codec import Codec
from ccgateway.cache.entries import Entry
from ccgateway.cache.keys import EVERYTHING, InvalidationTag, Key
from ccgateway.cache.memory import MemoryStore
from ccgateway.cache.store import versions_of
from ccgateway.cache.urls import Target, parse_url
from ccgateway.errors import SettingsError
from ccgateway.settings import CacheSettings

TEXT = st.text(max_size=8) | st.sampled_from(["/", "a/b", "{x}", "#", "é", "*", "a" * 400])
NAMED = TEXT.filter(bool)
KEYS = st.builds(Key, NAMED, NAMED, NAMED, st.lists(TEXT, max_size=3).map(tuple))
STAMP = (b"e", b"s", b"j")
KEY = Key("aurora", "job/1", "all")


@given(KEYS, KEYS)
def test_two_keys_have_one_name_only_if_they_are_the_same(one: Key, other: Key) -> None:
    assert (one.text == other.text) == (one == other)
    assert not set(one.text) & set("{}*:[]?\\ ")


def test_a_key_has_all_it_needs() -> None:
    for site, subject, visibility in (("", "s", "v"), ("a", "", "v"), ("a", "s", "")):
        with pytest.raises(ValueError, match="needs"):
            Key(site, subject, visibility)
    with pytest.raises(ValueError, match="belongs"):
        InvalidationTag("", "job")


@given(st.binary(max_size=2000), st.floats(0, 2e9), st.booleans())
def test_an_entry_comes_back_from_its_bytes(payload: bytes, at: float, absent: bool) -> None:
    async def there_and_back() -> Entry | None:
        codec = Codec()
        blob = await codec.pack(KEY, entry)
        header = codec.header(KEY, blob)
        assert header is not None
        codec.close()
        return await codec.unpack(blob, header)

    entry = Entry(payload, at, 10, 5, absent, STAMP)
    assert asyncio.run(there_and_back()) == entry


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_none(junk: bytes) -> None:
    async def read() -> None:
        codec = Codec()
        header = codec.header(KEY, junk)
        if header is not None:
            await codec.unpack(junk, header)
        codec.close()

    asyncio.run(read())


def test_an_entry_from_the_future_is_not_believed() -> None:
    entry = Entry(b"", 100, 10, 5, absent=False, versions=STAMP)
    assert [entry.is_fresh(now) for now in (98, 99.5, 109, 110)] == [False, True, True, False]
    assert [entry.is_alive(now) for now in (98, 114, 115)] == [False, True, False]
    assert entry.age(99) == 0


async def test_too_many_tokens_outdate_rather_than_confuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccgateway.cache.memory.MOST_TOKENS", 20)
    store = MemoryStore(1 << 20)
    for number in range(100):
        key = Key(f"site{number % 30}", f"job{number}", "all")
        versions = versions_of(key, await store.versions(key.tags))
        if versions is not None:
            await store.put({key: Entry(str(number).encode(), 2e9, 1, 1, absent=False, versions=versions)}, None)
    assert len(store._tokens) <= 23
    assert EVERYTHING in store._tokens


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://[::1]:7/3", "redis://[::1]:7/3"),
        ("rediss://eve:p%40ss@r.example.org:6380/2", "rediss://eve:***@r.example.org:6380/2"),
        ("redis://:secret@h", "redis://:***@h:6379/0"),
        ("redis+sentinel://a,b:1/main", "redis+sentinel://a:26379,b:1/main/0"),
        ("rediss+sentinel://u:p@a/main/4?sentinel_user=s&sentinel_password=q", "rediss+sentinel://u:***@a:26379/main/4"),
        ("redis+cluster://u:p@a,b:7001", "redis+cluster://u:***@a:6379,b:7001"),
        (" rediss+cluster://a/ \n", "rediss+cluster://a:6379"),
    ],
)
def test_a_url_means(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown


def test_credentials_are_read_but_not_shown() -> None:
    target = parse_url("redis+sentinel://eve:p%40ss%3A%2F@h/main?sentinel_user=s&sentinel_password=q%26")
    assert (target.user, target.password, target.sentinel_user, target.sentinel_password) == ("eve", "p@ss:/", "s", "q&")
    assert "p@ss" not in repr(target) + str(target)
    assert "q&" not in repr(target) + str(target)
    assert isinstance(target, Target)


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "http://h", "redis://", "redis://a,b", "redis://h:0", "redis://h:99999", "redis://h/x", "redis://h/1/2",
        "redis://canary@h", "redis://h?timeout=1", "redis+sentinel://h", "redis+cluster://h/1", "redis+other://h", "redis://:canary@",
        "redis://u:canary@h/x", "redis://u:canary@h name",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_url(url)
    assert refused.value.key == "cache.redis_url"
    assert "canary" not in refused.value.message
    assert refused.value.__cause__ is None


def test_the_url_is_given_or_comes_from_a_file(tmp_path: Path) -> None:
    from_file = CacheSettings.model_validate({"redis_url_file": tmp_path / "url", "lock_timeout": 2})
    with pytest.raises(SettingsError, match="redis_url_file"):
        from_file.read_redis_url()
    (tmp_path / "url").write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        from_file.read_redis_url()
    (tmp_path / "url").write_text("redis://file\n")
    assert (from_file.lock_timeout, str(from_file.read_redis_url())) == (2, "**********")

    url = CacheSettings.model_validate({"redis_url": "redis://given", "redis_url_file": tmp_path / "url"}).read_redis_url()
    assert url is not None and url.get_secret_value() == "redis://given"


def test_no_redis_by_default() -> None:
    assert CacheSettings.model_validate({}).read_redis_url() is None


async def test_what_is_dead_makes_room_before_what_is_used_least() -> None:
    now = 1000.0
    store = MemoryStore(4000, clock=lambda: now)
    tokens = await store.versions([EVERYTHING, InvalidationTag("aurora"), InvalidationTag("aurora", "jobs")])

    def entry(life: float) -> Entry:
        return Entry(b"x" * 1000, now, life, 0.0, absent=False, versions=tuple(tokens.values()))  # type: ignore[arg-type]

    lasting = Key("aurora", "jobs", "all", ("lasting",))
    store.keep(lasting, entry(10_000))
    for number in range(5000):
        store.keep(Key("aurora", "jobs", "all", (f"page {number}",)), entry(1))
        now += 1
    assert store.peek(lasting) is not None
    assert store.stats_now().evictions == 0
    assert len(store._deaths) < 100


async def test_entries_that_are_replaced_leave_no_trace() -> None:
    store = MemoryStore(10_000, clock=lambda: 1000.0)
    for _ in range(5000):
        store.keep(Key("aurora", "jobs", "all"), Entry(b"", 1000.0, 60.0, 0.0, absent=False, versions=(b"", b"", b"")))
    assert (store.stats_now().entries, len(store._deaths) < 1100) == (1, True)
