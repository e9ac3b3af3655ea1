"""What the resolvers of one request share: the gateway, who asks, the limits, what is missing, and the sites' user lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import strawberry

from ccgateway.errors import GatewayError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import Caller, Policy, SiteReport
from ccgateway.jobs.clusters import User
from ccgateway.settings import LimitSettings

__all__ = ["Gap", "Info", "RequestContext"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is missing from the answer although the answer stands: where (response path) and why (a site's report)."""

    path: tuple[str | int, ...]
    report: SiteReport


@dataclass(slots=True)
class RequestContext:
    """One GraphQL request. ``gaps`` fills up while the resolvers run and becomes entries of ``errors``."""

    gateway: Gateway
    caller: Caller
    limits: LimitSettings
    gaps: list[Gap] = field(default_factory=list)
    _directories: dict[str, asyncio.Task[Mapping[str, User]]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def note_gaps(self, info: Info, reports: Iterable[SiteReport]) -> None:
        """Remembers the reports that are not complete, for the field that ``info`` is about."""
        path = tuple(info.path.as_list())
        self.gaps.extend(Gap(path, report) for report in reports if not report.is_complete)

    async def account(self, site: str, username: str) -> User | None:
        """The account of that name in the site's own user list, which is read once per request.

        ``None`` if it has none. If the list cannot be read, the first to ask gets the ``GatewayError`` and later ones ``None``:
        one error per site, not one per job.
        """
        if site not in self._directories:
            self._directories[site] = asyncio.create_task(self._read_directory(site))
        try:
            directory = await asyncio.shield(self._directories[site])
        except GatewayError:
            if site in self._told:
                return None
            self._told.add(site)
            raise
        return directory.get(username)

    async def _read_directory(self, site: str) -> Mapping[str, User]:
        answer = await self.gateway.users(self.caller, sites=[site], policy=Policy.STRICT)
        return {one.user.username: one.user for one in answer.items if one.site == site}

    async def close(self) -> None:
        """Ends what the request started and nobody waits for any more."""
        tasks = [task for task in self._directories.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Info: TypeAlias = strawberry.Info[RequestContext, None]
