"""What belongs to jobs and people and is asked for only where it is shown: jobs beside a job, its energy, accounts.

Every site is asked once for all that is wanted of it, the sites side by side; each job and each name has an outcome of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError, SiteError
from ccgateway.federation.lookups import Lookups
from ccgateway.federation.questions import Answer, Policy, SiteUser
from ccgateway.identity.principal import Principal
from ccgateway.jobs.clusters import User
from ccgateway.jobs.details import EnergyPart, JobLinks
from ccgateway.jobs.metrics import JobRef
from ccgateway.jobs.model import JobKey
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.queries.accounts import accounts_of
from ccgateway.site.queries.job_details import concurrent_jobs, energy_footprints

__all__ = ["Details"]

T = TypeVar("T")
_OfJobs = Callable[[Site, CallContext, Sequence[tuple[int, JobKey]]], Awaitable[Sequence[T | SiteError]]]


@dataclass(frozen=True, slots=True)
class Details:
    """The use cases."""

    lookups: Lookups

    async def concurrent_jobs(
        self, jobs: Sequence[JobRef], caller: Principal, *, deadline: Deadline
    ) -> list[JobLinks | GatewayError | None]:
        """The jobs that shared a host with each of these; ``None`` where the site tells none."""
        return await self._of_jobs(jobs, caller, deadline, concurrent_jobs)

    async def energy_footprints(
        self, jobs: Sequence[JobRef], caller: Principal, *, deadline: Deadline
    ) -> list[list[EnergyPart] | GatewayError | None]:
        """The energy of each of these jobs by what used it; ``None`` where the site tells none, or its release knows none."""
        found = await self._of_jobs(jobs, caller, deadline, energy_footprints)
        return [None if isinstance(one, GatewayError) and one.code is Code.UNSUPPORTED else one for one in found]

    async def accounts(
        self, site: str, names: Sequence[str], caller: Principal, *, deadline: Deadline
    ) -> dict[str, User | SiteError | None]:
        """The accounts of these names in the site's own user list; raises what the site came to for all of them."""
        instance = self.lookups.registry.one(site)
        return await self._at(instance, caller, deadline, lambda context: _accounts(instance, context, names))

    async def users_named(self, name: str, caller: Principal, *, sites: Sequence[str] | None, policy: Policy) -> Answer[SiteUser]:
        """The accounts of that name, sites by number."""

        async def ask(site: Site, context: CallContext) -> list[User]:
            found = (await _accounts(site, context, [name]))[name]
            if isinstance(found, SiteError):
                raise found
            return [] if found is None else [found]

        found, reports = await self.lookups.of_each_instance(caller, sites, policy, ask)
        return Answer([SiteUser(site, user) for site, users in found.items() for user in users], reports)

    async def _of_jobs(
        self, jobs: Sequence[JobRef], caller: Principal, deadline: Deadline, ask: _OfJobs[T]
    ) -> list[T | GatewayError]:
        places: dict[str, list[int]] = {}
        for place, job in enumerate(jobs):
            places.setdefault(job.site, []).append(place)
        outcomes: dict[int, T | GatewayError] = {}

        async def of_site(name: str, mine: Sequence[int]) -> None:
            try:
                instance = self.lookups.registry.one(name)
                named = [(jobs[place].db_id, _key(jobs[place])) for place in mine]
                found = await self._at(instance, caller, deadline, lambda context: ask(instance, context, named))
                outcomes.update(zip(mine, found, strict=True))
            except GatewayError as error:
                outcomes.update(dict.fromkeys(mine, error))

        async with asyncio.TaskGroup() as group:
            for name, mine in places.items():
                group.create_task(of_site(name, mine), name=f"details from {name}")
        return [outcomes[place] for place in range(len(jobs))]

    async def _at(self, instance: Site, caller: Principal, deadline: Deadline, ask: Callable[[CallContext], Awaitable[T]]) -> T:
        until = deadline.within(instance.settings.timeout)
        try:
            async with until.limit():
                return await ask(await instance.context(caller, until))
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, instance.name, "The site did not answer in time.") from None


def _key(job: JobRef) -> JobKey:
    if job.key is None:
        raise RequestError(Code.BAD_REQUEST, "Only a job whose row was read has details.")
    return job.key


async def _accounts(site: Site, context: CallContext, names: Sequence[str]) -> dict[str, User | SiteError | None]:
    """One by one where the site's release answers that, else from its whole list."""
    try:
        return await accounts_of(site, context, names)
    except SiteError as error:
        if error.code is not Code.UNSUPPORTED:
            raise
    known = {user.username: user for user in await site.users(context)}
    return {name: known.get(name) for name in names}
