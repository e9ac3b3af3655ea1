"""The cache seen from outside the gateway: whether its Redis is good, how it stands, and what is to go from it.

What a process keeps in its own memory cannot be seen from here; it says what that was good for when it ends (log level ``info``).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from ccgateway.cache.counts import RedisStats
from ccgateway.cache.facade import Cache, open_cache
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError, SettingsError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import JobKey, parse_job_id
from ccgateway.operations.findings import Finding, Level
from ccgateway.settings import CacheSettings, Settings
from ccgateway.site.caching.responses import subject_of
from ccgateway.site.registry import Registry

__all__ = ["RedisDownError", "clear", "judge", "stats"]

#: seconds that finding one job may take
PATIENCE = 10.0
_KEY = re.compile(r"(.+)/(\d{1,18})/(-?\d{1,12})")


class RedisDownError(Exception):
    """Redis did not do what it was asked to; the message says why."""


@asynccontextmanager
async def _shared(settings: CacheSettings) -> AsyncIterator[Cache]:
    """What all processes share, and nothing of this process. Raises ``SettingsError`` if they share nothing."""
    if not settings.has_redis:
        raise SettingsError(
            "cache.redis_url_file",
            "no Redis is configured, and what a gateway keeps in its own memory cannot be reached from outside",
            "Restart the gateway: then nothing of it is left.",
        )
    cache = open_cache(settings.model_copy(update={"memory_bytes": 0}))
    try:
        yield cache
    finally:
        await cache.aclose()


async def _redis(cache: Cache) -> RedisStats:
    redis = (await cache.stats()).redis
    assert redis is not None  # noqa: S101 - _shared has seen to it
    return redis


async def stats(settings: CacheSettings) -> RedisStats:
    """How the Redis stands."""
    async with _shared(settings) as cache:
        return await _redis(cache)


async def clear(settings: Settings, *, site: str | None, job: str | None) -> int:
    """Forgets what is remembered of a job (``site:number``, or with ``site`` its key ``cluster/jobId/startTime``), of a site, or
    everything, in all processes. How many entries Redis had of it.

    Raises ``RequestError`` for a job that cannot be found and for a site of which there is neither a section nor an entry,
    ``SiteError`` if the job's site does not answer, ``RedisDownError``.
    """
    name, subject = (site, None) if job is None else await _subject(settings, site, job)
    async with _shared(settings.cache) as cache:
        found = await cache.clear(site=name, subject=subject)
        redis = await _redis(cache)
    if redis.state != "up" or redis.undelivered:
        raise RedisDownError(f"Redis ({redis.target}) is not usable: {redis.reason}. What is remembered is still there.")
    if not found and site is not None and site not in settings.sites:  # of one that has gone there may be something
        known = ", ".join(settings.sites) or "none are configured"
        raise RequestError(Code.UNKNOWN_SITE, f"There is no site {site[:60]!r}, and nothing of it is remembered. Sites: {known}.")
    return found


async def _subject(settings: Settings, site: str | None, job: str) -> tuple[str, str]:
    if site is not None and (key := _KEY.fullmatch(job)):
        return site, subject_of(JobKey(site, key[1], int(key[2]), int(key[3])))
    try:
        name, db_id = parse_job_id(job)
    except RequestError:
        if site is None:
            raise
        message = f"{job[:80]!r} is neither a job's id, site:number, nor its key, cluster/jobId/startTime."
        raise RequestError(Code.BAD_REQUEST, message) from None
    if site not in (None, name):
        raise RequestError(Code.BAD_REQUEST, f"The job {job} is not one of site {site}.")
    registry = Registry(settings.sites.values())
    try:
        instance, deadline = registry.one(name), Deadline.after(PATIENCE)
        row = await instance.job(await instance.context(Principal("ccgateway cache"), deadline), db_id, frozenset())
    finally:
        await registry.aclose()
    if row is None:
        message = f"Site {name} has no job {db_id} (any more), or does not show it: name it by its key, with --site {name}."
        raise RequestError(Code.NOT_FOUND, message)
    return name, subject_of(row.key)


async def judge(settings: CacheSettings) -> tuple[RedisStats | None, list[Finding]]:
    """What is wrong with the Redis that the settings name, if they name one: whether it takes what is put, and keeps it."""
    if not settings.has_redis:
        return None, []
    key = "cache.redis_url" if settings.redis_url is not None else "cache.redis_url_file"
    findings: list[Finding] = []
    try:
        async with _shared(settings) as cache:
            works = await cache.try_out()
            redis = await _redis(cache)
    except SettingsError as error:
        return None, [Finding.of(error)]
    if redis.state != "up":
        problem, remedy = f"Redis ({redis.target}) is not usable: {redis.reason}", "Start it, or correct the URL."
        findings.append(Finding(Level.PROBLEM, key, problem, f"{remedy} Until then the gateway goes on without it, more slowly."))
    elif not works:
        reason = "it is full" if redis.writes_refused else "what was put there is not found again"
        remedy = "Give it more memory, or let it forget what is used least (maxmemory-policy allkeys-lru)."
        findings.append(Finding(Level.PROBLEM, key, f"Redis ({redis.target}) keeps nothing: {reason}", remedy))
    elif redis.max_bytes and redis.policy == "noeviction":
        problem = f"Redis ({redis.target}) will take nothing more once it is full (noeviction)"
        findings.append(Finding(Level.WARNING, key, problem, "Set its maxmemory-policy to allkeys-lru."))
    if redis.target.startswith("redis") and not redis.target.startswith("rediss") and not _is_local(redis.target):
        problem = "what is remembered, users' names and addresses among it, crosses the network unencrypted"
        findings.append(Finding(Level.WARNING, key, problem, "Use rediss:// if Redis offers TLS."))
    return redis, findings


def _is_local(target: str) -> bool:
    hosts = [
        re.sub(r":\d+$", "", host).strip("[]") for host in target.partition("://")[2].split("@")[-1].split("/")[0].split(",")
    ]
    return all(host == "localhost" or _is_loopback(host) for host in hosts)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
