"""The cache of sites' answers that all sites share: who may be shown what was read, and what a write takes away.

What was read for one *audience* is never shown to another. An audience is what the credential may see (``Credential.visibility``)
together with its roles, by which sites choose what they answer; for what depends on the person as well (private tags), the
person. A credential that does not say whose it is has no audience: nothing is remembered for it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import quote

from ccgateway.cache.entries import Absent, Filled, Hit, Source, View
from ccgateway.cache.facade import Cache, TagSnapshot, open_cache
from ccgateway.cache.keys import InvalidationTag, Key
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError
from ccgateway.jobs.model import JobKey
from ccgateway.settings import CacheSettings
from ccgateway.sharing import Shared
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, CallStats

if TYPE_CHECKING:
    from ccgateway.cache.connection import RedisConnection
    from ccgateway.site.instance import Instance

__all__ = [
    "CLUSTERS",
    "JOBS",
    "USERS",
    "Fill",
    "ResponseCache",
    "audience_of",
    "entry_key",
    "person_of",
    "place_of",
    "subject_of",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: the subjects of a site that are not jobs: its lists of jobs and which job a database id is, its clusters, its users
JOBS, CLUSTERS, USERS = "jobs", "clusters", "users"
#: refusals that are about the token that was shown
_OF_THE_ASKER = frozenset({Code.SITE_UNAUTHORIZED, Code.NO_CREDENTIAL, Code.RATE_LIMITED, Code.LIMIT_EXCEEDED})

#: asks the site for what is missing, in that context
Fill: TypeAlias = Callable[[Sequence[Key], CallContext], Awaitable[Mapping[Key, Filled | Absent]]]


def subject_of(job: JobKey) -> str:
    """The subject under which what is known of a job is kept: ``cluster/jobId/startTime``."""
    return f"{job.cluster}/{job.job_id}/{job.start_time}"


def entry_key(site: Instance, subject: str, audience: str, *question: str) -> Key:
    """The key of what the site says to that question about ``subject`` to that audience. It goes by where the site is as well:
    gateways that share a Redis may call different instances by one name."""
    return Key(site.name, subject, f"{audience} at {place_of(site.settings.url)}", question)


@lru_cache(maxsize=1024)
def place_of(url: str) -> str:
    """What stands for an instance at ``url`` where gateways that may know others by its name share a Redis."""
    return blake2b(url.encode(), digest_size=12).hexdigest()


def audience_of(credential: Credential) -> str | None:
    """Who may be shown what was read with ``credential``; ``None``: nobody else."""
    if credential.roles is None or not credential.is_named or (not credential.sees_all and not credential.user):
        return None
    roles = "+".join(quote(role, safe="") for role in sorted(credential.roles))
    if credential.sees_all and credential.root == "/userapi":
        # a site may go by its own table of users: there, /userapi accepts a token whatever its word that it sees all
        return f"{credential.visibility} {roles} {quote(credential.user, safe='')}" if credential.user else None
    return f"{credential.visibility} {roles}"


def person_of(credential: Credential) -> str | None:
    """As ``audience_of``, for what sites show to one person only."""
    audience = audience_of(credential)
    return None if audience is None or not credential.user else f"{audience} {quote(credential.user, safe='')}"


def _unkept(filled: Filled | Absent) -> Filled | Absent:
    return Absent(0.0) if isinstance(filled, Absent) else Filled(filled.payload, 0.0)


class ResponseCache:
    """A cache, and the settings that say how long each kind of answer lives in it. Owns the cache.

    Who made it, and each who calls ``hold``, calls ``aclose``; the last of them closes the cache.
    """

    def __init__(self, cache: Cache, settings: CacheSettings) -> None:
        self.cache, self.settings = cache, settings
        self._cache = Shared(cache, self._close)
        self._cache.hold()

    def hold(self) -> ResponseCache:
        """The same for one more user."""
        self._cache.hold()
        return self

    @classmethod
    def of(cls, settings: CacheSettings, redis: RedisConnection | None = None) -> ResponseCache:
        """The cache that the settings describe; reaches nothing yet. Raises ``SettingsError`` for a URL that cannot be used."""
        return cls(open_cache(settings, redis), settings)

    @classmethod
    def empty(cls) -> ResponseCache:
        """One in which nothing is kept."""
        return cls.of(CacheSettings.model_validate({"memory_bytes": 0}))

    @property
    def is_used(self) -> bool:
        """Whether anything is kept: if not, the sites are asked every time."""
        return self.settings.is_on

    async def fetch(
        self, keys: Sequence[Key], fill: Fill, view: View[T], context: CallContext, *, within: float
    ) -> dict[Key, Hit[T]]:  # fmt: skip
        """What is there of the keys, and for the rest what ``fill`` says, as ``Cache.fetch``. Notes in the context's stats what
        was remembered. ``within``: seconds that the fill may take.

        On the claims of a token that the site has not proved, nothing remembered is given, and nobody else's fill is waited for.
        A fill is asked under the context of whoever began it, with a deadline of its own: it may outlive its caller.
        """
        has_failed = False

        async def limited(missing: Sequence[Key], deadline: Deadline) -> Mapping[Key, Filled | Absent]:
            nonlocal has_failed
            try:
                fills = await fill(missing, replace(context, deadline=deadline.within(within)))
            except GatewayError:
                has_failed = True
                raise
            # the site answered to this token: only then are its claims an audience
            return fills if context.is_proved else {key: _unkept(filled) for key, filled in fills.items()}

        stats, calls = context.stats, context.stats.calls
        asker = context.credential.fingerprint
        if context.is_proved:
            try:
                hits = await self.cache.fetch(keys, limited, view, deadline=context.deadline)
            except GatewayError as error:
                if has_failed or error.code not in _OF_THE_ASKER:
                    raise
                # somebody else was refused while this one waited for what that would bring
                hits = await self.cache.ask(keys, limited, view, asker=asker, deadline=context.deadline)
        else:
            hits = await self.cache.ask(keys, limited, view, asker=asker, deadline=context.deadline)
        self._note(hits, stats)
        stats.recalled += stats.calls == calls
        return hits

    async def join(self, key: Key, fill: Fill, view: View[T], context: CallContext, *, within: float) -> T:
        """What ``fill`` says of the key now, or what it says to another request of this process with the same token that asks
        meanwhile. ``within``: seconds that it may take."""

        async def limited(missing: Sequence[Key], deadline: Deadline) -> Mapping[Key, Filled | Absent]:
            return await fill(missing, replace(context, deadline=deadline.within(within)))

        asker, calls = context.credential.fingerprint, context.stats.calls
        hits = await self.cache.ask([key], limited, view, asker=asker, deadline=context.deadline)
        context.stats.recalled += context.stats.calls == calls
        return hits[key].value

    async def peek(self, keys: Sequence[Key], view: View[T], context: CallContext) -> dict[Key, Hit[T]]:
        """What is there of the keys and need not be fetched anew."""
        if not context.is_proved:
            return {}
        hits = await self.cache.peek(keys, view)
        self._note(hits, context.stats)
        return hits

    def _note(self, hits: Mapping[Key, Hit[T]], stats: CallStats) -> None:
        ages = [hit.age for hit in hits.values() if hit.source is not Source.SITE]
        if ages:
            stats.note_age(max(ages))

    async def invalidate(self, site: str, jobs: Iterable[JobKey] | None = ()) -> None:
        """After a write at ``site`` (and before anybody is told of it): nothing that was read before is answered again, in any
        process, of these jobs and of the site's lists. ``None``: of nothing that the site has. Never fails.
        """
        subjects = [] if jobs is None else [JOBS, *dict.fromkeys(subject_of(job) for job in jobs)]
        await self.cache.invalidate(site, *subjects)

    async def invalidate_users(self, site: str) -> None:
        """The same after a write that concerns nothing but the site's users."""
        await self.cache.invalidate(site, USERS)

    async def snapshot(self, sites: Iterable[str]) -> TagSnapshot | None:
        """The present moment in the lists of these sites, for ``is_current``; ``None`` while it cannot be told."""
        tags = [tag for site in sites for tag in (InvalidationTag(site), InvalidationTag(site, JOBS))]
        return await self.cache.snapshot(*tags)

    async def is_current(self, snapshot: TagSnapshot | None) -> bool:
        """Whether nothing was written since then, as far as all processes of this gateway know."""
        return snapshot is not None and await self.cache.is_current(snapshot)

    async def aclose(self) -> None:
        """Closes the cache, unless others still use it."""
        await self._cache.leave()

    async def _close(self) -> None:
        """Says at level ``info`` what it was good for."""
        if self.is_used and logger.isEnabledFor(logging.INFO):
            logger.info("cache: %s", (await self.cache.stats()).counts)
        await self.cache.aclose()
