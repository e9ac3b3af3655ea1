"""``ccgateway cache``, and what ``ccgateway check`` says about Redis: a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cache.servers import Valkey
from ccgateway.app import create_app
from ccgateway.cache.entries import RAW, Filled
from ccgateway.cache.facade import open_cache
from ccgateway.cache.keys import Key
from ccgateway.deadline import Deadline
from ccgateway.errors import SettingsError
from ccgateway.settings import CacheSettings, Settings, load_settings
from ccgateway.simulator import Address, GeneratedJobs, SimulatedSite, serve_in_thread
from operations.conftest import Run
from operations.desk import Desk
from support.loopback import free_port

CANARY = "canary-of-redis"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    with Valkey(tmp_path / "valkey") as server:
        yield server


@pytest.fixture
def site() -> Iterator[Address]:
    with serve_in_thread(SimulatedSite("aurora", "1.5", GeneratedJobs(40, "aurora"))) as running:
        yield running["aurora"]


@pytest.fixture
def shared(desk: Desk, site: Address, valkey: Valkey) -> Desk:
    """Settings with a site and a Redis."""
    return with_redis(desk, site, valkey.url)


def with_redis(desk: Desk, site: Address, url: str) -> Desk:
    path = desk.folder / "redis.url"
    path.write_text(url + "\n")
    path.chmod(0o600)
    desk.add("aurora", site.url, site.site.token("demo"))
    desk.file.write_text(desk.file.read_text() + '\n[cache]\nredis_url_file = "redis.url"\n')
    return desk


def remember(url: str, *keys: Key) -> None:
    """Puts something under each key, as a gateway would."""

    async def run() -> None:
        cache = open_cache(CacheSettings.model_validate({"redis_url": url}))

        async def fill(missing: Any, deadline: Deadline) -> dict[Key, Filled]:
            return dict.fromkeys(missing, Filled(b"1", 600))

        await cache.fetch(keys, fill, RAW, deadline=Deadline.after(5))
        await cache.aclose()

    asyncio.run(run())


def kept(valkey: Valkey) -> int:
    return len(valkey.ask("KEYS", "*:e:*"))


# --- stats


def test_stats_say_how_redis_stands(shared: Desk, run: Run, valkey: Valkey) -> None:
    done = run("cache", "stats")
    assert done.status == 0, done.stderr
    assert f"127.0.0.1:{valkey.port}" in done.stdout and "answers" in done.stdout and "no limit" in done.stdout
    told = json.loads(run("cache", "stats", "--json").stdout)
    assert told["state"] == "up" and told["usedBytes"] > 0 and told["names"] == 0


def test_stats_of_a_redis_that_is_down_exit_1(shared: Desk, run: Run, valkey: Valkey) -> None:
    valkey.stop()
    done = run("cache", "stats")
    assert done.status == 1
    assert "not usable" in done.stdout


@pytest.mark.parametrize("command", ["stats", "clear"])
def test_without_redis_there_is_nothing_to_reach(desk: Desk, site: Address, run: Run, command: str) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    done = run("cache", command)
    assert done.status == 2
    assert "cache.redis_url_file" in done.stderr and "Restart" in done.stderr


# --- clear


def test_clear_forgets_a_job_a_site_or_everything(shared: Desk, run: Run, valkey: Valkey, site: Address) -> None:
    job = next(iter(site.site.all_jobs()))
    subject = f"{job['cluster']}/{job['jobId']}/{job['startTime']}"
    everything = [
        Key("aurora", subject, "all", ("a",)), Key("aurora", subject, "all", ("b",)), Key("aurora", "aurora/1/1", "all", ("a",)),
        Key("aurora", "users", "all"), Key("borealis", "jobs", "all"),
    ]  # fmt: skip
    for arguments, expected, left in (
        (("--job", f"aurora:{job['id']}"), 2, 3),
        (("--site", "aurora", "--job", subject), 2, 3),
        (("--site", "aurora"), 4, 1),
        (("--site", "borealis"), 1, 4),  # not configured, or not any more
        ((), 5, 0),
    ):
        remember(valkey.url, *everything)
        assert kept(valkey) == 5
        done = run("cache", "clear", *arguments)
        assert (done.status, done.stdout) == (0, f"{expected} {'entry' if expected == 1 else 'entries'} forgotten\n"), done.stderr
        assert kept(valkey) == left


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--job", "aurora:99999"), "has no job 99999"),
        (("--job", "nowhere:1"), "no site"),
        (("--job", "1"), "not a job id"),
        (("--site", "aurora", "--job", "alex/1"), "neither a job's id"),
        (("--site", "borealis", "--job", "aurora:1"), "not one of site borealis"),
        (("--site", "aurroa"), "no site 'aurroa', and nothing of it is remembered. Sites: aurora."),
    ],
)
def test_clear_of_what_cannot_be_found_exits_1(shared: Desk, run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run("cache", "clear", *arguments)
    assert done.status == 1
    assert words in done.stderr


def test_clear_is_not_said_to_be_done_while_redis_is_down(shared: Desk, run: Run, valkey: Valkey) -> None:
    valkey.stop()
    done = run("cache", "clear")
    assert (done.status, done.stdout) == (1, "")
    assert "still there" in done.stderr


# --- check


def test_check_says_that_redis_answers(shared: Desk, run: Run, valkey: Valkey) -> None:
    done = run("check")
    assert done.status == 0, done.stdout
    assert f"Redis answers: redis://127.0.0.1:{valkey.port}" in done.stdout
    assert json.loads(run("check", "--json").stdout)["redis"]["state"] == "up"
    assert valkey.ask("KEYS", "*:e:*") == []


def test_check_says_that_redis_does_not_answer(desk: Desk, site: Address, run: Run) -> None:
    with_redis(desk, site, f"redis://:{CANARY}@127.0.0.1:{free_port()}")
    done = run("check")
    assert done.status == 1
    assert "cache.redis_url_file" in done.stdout and "is not usable" in done.stdout and "1 problem" in done.stdout
    assert CANARY not in done.stdout + done.stderr


def test_check_says_that_redis_wants_a_password(desk: Desk, site: Address, run: Run, tmp_path: Path) -> None:
    with Valkey(tmp_path / "locked", "--requirepass", CANARY) as locked:
        with_redis(desk, site, locked.url)
        assert run("check").status == 1
        (desk.folder / "redis.url").write_text(f"redis://:{CANARY}@127.0.0.1:{locked.port}")
        done = run("check")
    assert done.status == 0, done.stdout
    assert "Redis answers: redis://:***@" in done.stdout and CANARY not in done.stdout


def test_check_says_that_redis_is_full(desk: Desk, site: Address, run: Run, tmp_path: Path) -> None:
    with Valkey(tmp_path / "full", "--maxmemory", "1", "--maxmemory-policy", "noeviction") as full:
        with_redis(desk, site, full.url)
        done = run("check")
    assert done.status == 1
    assert "keeps nothing" in done.stdout and "allkeys-lru" in done.stdout


def test_check_warns_of_what_will_be_full_one_day(desk: Desk, site: Address, run: Run, tmp_path: Path) -> None:
    with Valkey(tmp_path / "bounded", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction") as bounded:
        with_redis(desk, site, bounded.url)
        done = run("check")
    assert done.status == 0
    assert "noeviction" in done.stdout


def test_check_refuses_a_url_that_others_can_read(desk: Desk, site: Address, run: Run) -> None:
    with_redis(desk, site, "redis://127.0.0.1:1")
    (desk.folder / "redis.url").chmod(0o644)
    done = run("check")
    assert done.status == 1
    assert "read by everybody" in done.stdout and "chmod 600" in done.stdout


def test_check_refuses_what_is_no_url_without_showing_it(desk: Desk, site: Address, run: Run) -> None:
    with_redis(desk, site, f"rediss://{CANARY}")
    (desk.folder / "redis.url").write_text(f"http://{CANARY}")
    done = run("check")
    assert done.status == 1
    assert "cache.redis_url" in done.stdout and CANARY not in done.stdout + done.stderr


# --- settings


def test_the_url_does_not_go_into_the_file(desk: Desk, site: Address, run: Run) -> None:
    desk.add("aurora", site.url, site.site.token("demo"))
    desk.file.write_text(desk.file.read_text() + f'\n[cache]\nredis_url = "redis://:{CANARY}@127.0.0.1"\n')
    done = run("check")
    assert done.status == 2
    assert "CCGATEWAY_CACHE__REDIS_URL" in done.stderr and CANARY not in done.stderr


def test_the_url_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CCGATEWAY_CACHE__REDIS_URL", f"redis://:{CANARY}@127.0.0.1")
    monkeypatch.setenv("CCGATEWAY_CACHE__LIST_FOR", "2")
    settings = load_settings(None)
    url = settings.cache.read_redis_url()
    assert url is not None and url.get_secret_value().endswith("@127.0.0.1")
    assert settings.cache.list_for == 2
    assert CANARY not in repr(settings) + str(settings)
    (tmp_path / "ccgateway.toml").write_text('[cache]\nredis_url_file = "redis.url"\nredis_ca_file = "ca.pem"\n')
    cache = load_settings(tmp_path / "ccgateway.toml").cache
    assert (cache.redis_url_file, cache.redis_ca_file) == (tmp_path / "redis.url", tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("list_for", 61), ("list_for", -1), ("memory_bytes", -1), ("redis_prefix", "A b"), ("ended_for", 10**7),
        ("redis_connections", 0), ("lock_timeout", 0), ("nonsense", 1),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_with_its_key(key: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "ccgateway.toml").write_text(f"[cache]\n{key} = {json.dumps(value)}\n")
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path / "ccgateway.toml")
    assert refused.value.key == f"cache.{key}"


@pytest.mark.parametrize(
    ("settings", "workers", "take_writes", "is_refused"),
    [
        ({}, 1, True, False), ({}, 4, False, True), ({"memory_bytes": 0}, 4, False, False), ({"memory_bytes": 0}, 4, True, True),
        ({"redis_url": "redis://h"}, 4, True, False), ({"redis_url_file": "url"}, 2, True, False),
    ],
)  # fmt: skip
def test_several_workers_need_a_redis_to_tell_one_another_of_writes(
    settings: dict[str, Any], workers: int, take_writes: bool, is_refused: bool
) -> None:
    cache = CacheSettings.model_validate(settings)
    if not is_refused:
        cache.check_workers(workers, take_writes=take_writes)
        return
    with pytest.raises(SettingsError, match="4 workers") as refused:
        cache.check_workers(workers, take_writes=take_writes)
    assert refused.value.key == "cache.redis_url_file"


def test_an_application_is_not_made_with_a_url_that_cannot_be_used() -> None:
    settings = Settings(cache=CacheSettings.model_validate({"redis_url": f"http://{CANARY}"}))
    with pytest.raises(SettingsError) as refused:
        create_app(settings)
    assert refused.value.key == "cache.redis_url" and CANARY not in str(refused.value)
