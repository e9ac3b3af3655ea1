"""All configured sites, each with its layers put together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal
from ccgateway.identity.sealing import Seal
from ccgateway.settings import SiteSettings
from ccgateway.sharing import Shared
from ccgateway.site.base import Site
from ccgateway.site.caching.layer import CachingSite
from ccgateway.site.caching.responses import ResponseCache, place_of
from ccgateway.site.client import SiteClient
from ccgateway.site.credentials import Credential, Credentials, OneToken
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.facts import SiteFacts
from ccgateway.site.guard import ConcurrencyLimit, Guarding, Observed, Retrying, Watching
from ccgateway.site.hints import OutageHints
from ccgateway.site.instance import Instance
from ccgateway.site.outages import FailureMemory
from ccgateway.site.samples import Told, site_samples
from ccgateway.telemetry import Observer
from ccgateway.telemetry.samples import Sample

__all__ = ["Registry"]


@dataclass(frozen=True, slots=True)
class _Connection:
    """What one site is asked through, and what is known of it."""

    client: SiteClient
    memory: FailureMemory
    instance: Instance

    @classmethod
    def to(cls, settings: SiteSettings, observer: Observer, credentials: Credentials, hints: TtlStore | None) -> _Connection:
        name, facts = settings.name, SiteFacts()
        client = SiteClient(settings, facts=facts)
        observed = Observed(client, name, observer)
        own_hints = OutageHints(hints, name) if hints is not None else None
        memory = FailureMemory(observed, name, settings.timeout, hints=own_hints, observer=observer)
        limited = ConcurrencyLimit(Watching(observed, memory), name, settings.concurrency, observer=observer)
        exchange = Retrying(Guarding(limited, memory), name, settings.retries)
        instance = Instance(settings, exchange, credentials)
        # the one knows what the other asks, and what it has been coming to
        instance.health.facts, memory.health, instance.failure_known = facts, instance.health, memory.known_failure
        return cls(client, memory, instance)

    async def aclose(self) -> None:
        await self.instance.aclose()
        await self.memory.aclose()
        await self.client.aclose()


class Registry:
    """The sites by name, in the order of their numbers. Start-up reaches none of them: any may be down.

    ``keyring``: what each caller is shown as; without one, everybody is shown as the site's own token. ``responses``: what is
    kept of the sites' answers; without it, nothing. Owns both: ``aclose``. ``before``: the registry that this one takes the place
    of: the connections to sites whose settings are the same, and what is known of these, go on; whoever leaves last closes them.
    ``hints``: where processes tell one another that a site is down; without it, each finds out for itself.
    """

    def __init__(
        self,
        sites: Iterable[SiteSettings],
        observer: Observer | None = None,
        keyring: Keyring | None = None,
        responses: ResponseCache | None = None,
        before: Registry | None = None,
        *,
        hints: TtlStore | None = None,
    ) -> None:
        self._keyring = keyring
        self.responses = responses or ResponseCache.empty()
        #: closes what callers carry without reading it
        self.seal = keyring.seal if keyring is not None else Seal()
        self._connections: dict[str, Shared[_Connection]] = {}
        self._sites: dict[str, Site] = {}
        self._told: list[Told] = []
        for settings in sorted(sites, key=lambda site: site.number):
            credentials = keyring.credentials(settings) if keyring is not None else _one_token(settings)
            found = before._connection_for(settings) if before is not None else None
            if found is None:
                made = _Connection.to(settings, observer or Observer(), credentials, hints)
                found, instance = Shared(made, made.aclose), made.instance
            else:
                instance = found.value.instance.with_credentials(credentials)
            self._connections[settings.name] = found
            self.add(instance)
            self._told.append(Told(instance, credentials))
        for connection in self._connections.values():
            connection.hold()

    def _connection_for(self, settings: SiteSettings) -> Shared[_Connection] | None:
        """The one to exactly that site; a file with authorities may say something else by now."""
        found = self._connections.get(settings.name)
        return found if found is not None and found.value.instance.settings == settings and settings.ca_file is None else None

    async def give_way(self, after: Registry) -> None:
        """``after`` answers from now on: of sites that are not the same there, nothing that was or will be read here is kept."""
        changed = [name for name, one in self._connections.items() if after._connections.get(name) is not one]
        for name in changed:
            site = self._sites[name]
            if isinstance(site, CachingSite):
                site.keep_nothing_more()
        for name in changed:
            await after.responses.invalidate(name, None)

    def add(self, instance: Instance) -> None:
        """One more site, behind the layer that keeps its answers, if any are kept."""
        self._sites[instance.name] = CachingSite(instance, self.responses) if self.responses.is_used else instance

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites.values())

    def __len__(self) -> int:
        return len(self._sites)

    def samples(self) -> Iterator[Sample]:
        """What there is to tell Prometheus of each site."""
        return site_samples(self._told)

    def told(self) -> Iterator[Told]:
        """What is known of each site beside its answers."""
        return iter(self._told)

    def open_to(self, caller: Principal) -> list[Site]:
        """The sites that ``caller`` may ask, by number: all of them, unless the caller is bound to one."""
        return list(self) if caller.site is None else [self.one(caller.site)]

    def chosen(self, names: Sequence[str] | None, caller: Principal) -> list[Site]:
        """The sites with those names (``None``: all that ``caller`` may ask), by number. ``UNKNOWN_SITE`` for a name that is not
        configured."""
        if names is None:
            return self.open_to(caller)
        return sorted((self.one(name) for name in dict.fromkeys(names)), key=lambda one: one.number)

    def one(self, name: str) -> Site:
        """The site with that name, or ``UNKNOWN_SITE``."""
        found = self._sites.get(name)
        if found is None:
            known = ", ".join(self._sites) or "none are configured"
            raise RequestError(Code.UNKNOWN_SITE, f"There is no site {name[:60]!r}. Sites: {known}.")
        return found

    def place_of(self, name: str) -> str | None:
        """What stands for the instance of that name; ``None`` if there is none."""
        found = self._sites.get(name)
        return place_of(found.settings.url) if found is not None else None

    async def aclose(self) -> None:
        """Ends what looks after the sites, and closes the cache and the connections to them."""
        await self.responses.aclose()
        await asyncio.gather(*(connection.leave() for connection in self._connections.values()))
        if self._keyring is not None:
            await self._keyring.aclose()


def _one_token(settings: SiteSettings) -> OneToken:
    token = settings.read_token()
    return OneToken(Credential.of_service(token) if token is not None else None)
