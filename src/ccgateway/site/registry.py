"""All configured sites, each with its layers put together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal
from ccgateway.identity.sealing import Seal
from ccgateway.settings import SiteSettings
from ccgateway.site.base import Site
from ccgateway.site.caching.layer import CachingSite
from ccgateway.site.caching.responses import ResponseCache
from ccgateway.site.client import SiteClient
from ccgateway.site.credentials import Credential, Credentials, OneToken
from ccgateway.site.credentials.keyring import Keyring
from ccgateway.site.guard import ConcurrencyLimit, Observed, Retrying
from ccgateway.site.health import SiteHealth
from ccgateway.site.instance import Instance
from ccgateway.site.outages import FailureMemory
from ccgateway.telemetry import LogObserver, Observer

__all__ = ["Registry"]


class Registry:
    """The sites by name, in the order of their numbers. Start-up reaches none of them: any may be down.

    ``keyring``: what each caller is shown as; without one, everybody is shown as the site's own token. ``responses``: what is
    kept of the sites' answers; without it, nothing. Owns both: ``aclose``.
    """

    def __init__(
        self,
        sites: Iterable[SiteSettings],
        observer: Observer | None = None,
        keyring: Keyring | None = None,
        responses: ResponseCache | None = None,
    ) -> None:
        self._keyring = keyring
        self.responses = responses or ResponseCache.empty()
        #: closes what callers carry without reading it
        self.seal = keyring.seal if keyring is not None else Seal()
        self._clients: list[SiteClient] = []
        self._memories: list[FailureMemory] = []
        self._sites: dict[str, Site] = {}
        for settings in sorted(sites, key=lambda site: site.number):
            credentials = keyring.credentials(settings) if keyring is not None else _one_token(settings)
            client = SiteClient(settings)
            observed = Observed(client, settings.name, observer or LogObserver())
            limited = ConcurrencyLimit(observed, settings.name, settings.concurrency)
            retrying = Retrying(limited, settings.name, settings.retries)
            health = SiteHealth()
            memory = FailureMemory(retrying, limited, settings.name, settings.timeout, health)
            self._clients.append(client)
            self._memories.append(memory)
            self.add(Instance(settings, memory, credentials, health))

    def add(self, instance: Instance) -> None:
        """One more site, behind the layer that keeps its answers, if any are kept."""
        self._sites[instance.name] = CachingSite(instance, self.responses) if self.responses.is_used else instance

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites.values())

    def __len__(self) -> int:
        return len(self._sites)

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

    async def aclose(self) -> None:
        """Ends what looks after the sites, and closes the cache and the connections to them."""
        await self.responses.aclose()
        await asyncio.gather(*(site.origin.aclose() for site in self))
        await asyncio.gather(*(memory.aclose() for memory in self._memories))
        await asyncio.gather(*(client.aclose() for client in self._clients))
        if self._keyring is not None:
            await self._keyring.aclose()


def _one_token(settings: SiteSettings) -> Credentials:
    token = settings.read_token()
    return OneToken(Credential.of_service(token) if token is not None else None)
