"""Redis behind Sentinels, and as a cluster: real ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from cache.asking import Site, ask, key, settled
from cache.servers import Sentinel, Valkey, cluster
from ccgateway.cache.entries import Source
from ccgateway.cache.facade import Cache

Opened = Callable[..., Cache]


async def test_behind_a_sentinel_that_moves_to_the_replica(opened: Opened, tmp_path: Path) -> None:
    with Valkey(tmp_path / "a") as first, Valkey(tmp_path / "b") as second:
        second.ask("REPLICAOF", "127.0.0.1", first.port)
        with Sentinel(tmp_path / "s", first) as sentinel:
            url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/0"
            one, other = (opened(url, redis_retry_after=0.3) for _ in range(2))
            site = Site()
            await ask(one, site)
            await settled(one)
            assert (await ask(other, site))[key()].source is Source.REDIS
            while not sentinel.ask("SENTINEL", "REPLICAS", "main"):
                time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs
            first.stop()
            for _ in range(800):
                assert (await ask(one, site))[key()].value.startswith(b'"1')
                stats = (await one.stats()).redis
                if stats is not None and stats.state == "up" and second.ask("ROLE")[0] == b"master":
                    break
                await asyncio.sleep(0.05)
            await ask(one, site)
            await settled(one)
            assert second.ask("KEYS", "*:e:*")
            assert (await ask(one, site))[key()].source is Source.MEMORY


async def test_a_cluster(opened: Opened, tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:2])
        one, other = opened(url), opened(url)
        site = Site()
        keys = [key(metric, job=f"c/{number * 37}/17") for number in range(20) for metric in ("flops", "mem")]
        await ask(one, site, *keys)
        await settled(one)
        hits = await ask(other, site, *keys)
        assert {hit.source for hit in hits.values()} == {Source.REDIS}
        assert [len(node.ask("KEYS", "*:e:*")) > 0 for node in nodes] == [True] * 3
        site.version = 2
        await other.invalidate("aurora", "c/37/17")
        hits = await ask(one, site, *keys)
        changed = {one.subject for one, hit in hits.items() if hit.value.startswith(b'"2')}
        assert changed == {"c/37/17"}
        await settled(one)
        assert await one.clear(site="aurora") == 40
        assert (await other.stats()).redis.state == "up"  # type: ignore[union-attr]
        nodes[0].stop()
        for _ in range(2):
            assert len(await ask(one, site, *keys)) == 40
