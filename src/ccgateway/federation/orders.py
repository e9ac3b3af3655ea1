"""Orders are carried out: those for one job one after the other, jobs and sites side by side, each told to the audit log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, TypeAlias

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, SiteError
from ccgateway.federation.audit import PART, Audit
from ccgateway.federation.closing import NOT_SENT, Closing
from ccgateway.federation.progress import Progress
from ccgateway.federation.routing import Route
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import JobKey, Tag
from ccgateway.jobs.writes import WriteOutcome, WriteResult
from ccgateway.settings import WriteSettings
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.writing import Writer
from ccgateway.telemetry import Troubles
from ccgateway.traffic.scopes import never_refused

__all__ = ["Act", "Asked", "Changed", "Order", "Orders", "Touches", "chained"]

log = logging.getLogger(__name__)

#: how an order is carried out at its site
Act: TypeAlias = Callable[[Writer, CallContext], Awaitable[WriteResult]]
#: seconds that an order needs at least: with less left it is not sent
LEAST = 0.5
#: what the troubles call the invalidation
FORGETTING = "cache"


class Touches(Enum):
    """What of what was read before an order may not be answered again after it: of its jobs and the site's lists of jobs, of the
    site's users, of all that the site has, or of nothing."""

    JOBS = "jobs"
    USERS = "users"
    SITE = "site"
    NOTHING = "nothing"


class Changed(Protocol):
    """Takes away what is remembered from before a write at a site: of these jobs and the site's lists, or (``None``) of all; of
    the site's users alone, if ``users_only``."""

    async def __call__(self, site: str, jobs: Iterable[JobKey] | None = (), *, users_only: bool = False) -> None:
        """Never fails."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: who asked, under which request id, what for, until when, and whether it is meant."""

    caller: Principal
    request_id: str
    operation: str
    deadline: Deadline
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One order at one site. ``place``: its number in the call; ``detail``: what the audit log says of it; ``tag``: where it is
    about a tag."""

    place: int
    act: Act
    detail: str
    key: JobKey | None = None
    db_id: int | None = None
    tag: Tag | None = None
    touches: Touches = Touches.JOBS


@dataclass(slots=True)
class Orders:
    """Carries orders out. Owns what is known of each site as one that is written to.

    What comes after a write (forgetting what was read before it, the audit log) never changes what the order came to: what fails
    of it is noted in ``troubles``.
    """

    settings: WriteSettings
    changed: Changed
    audit: Audit
    troubles: Troubles
    closing: Closing
    _writers: dict[str, Writer] = field(default_factory=dict)

    async def carry_out(
        self, chains: Iterable[tuple[Site, list[list[Order]]]], asked: Asked, progress: Progress
    ) -> None:  # fmt: skip
        """Tells ``progress`` the results by place. Each site's chains side by side, as many as it takes requests at a time; never
        raises."""
        never_refused()

        async def work(instance: Site, waiting: list[list[Order]]) -> None:
            while waiting:
                for order in waiting.pop(0):
                    progress.results[order.place] = await self._one(instance, order, asked, progress)

        async with asyncio.TaskGroup() as group:
            for instance, waiting in chains:
                for _ in range(min(instance.settings.concurrency, len(waiting))):
                    group.create_task(work(instance, waiting), name=f"write to {instance.name}")

    async def _one(self, instance: Site, order: Order, asked: Asked, progress: Progress) -> WriteResult:
        local: str | None = None
        try:
            self._check_open(instance, asked.deadline)
            context = await instance.context(asked.caller, asked.deadline.within(instance.settings.timeout))
            local = context.credential.user
            writer = self._writers.setdefault(instance.name, Writer(instance.origin))
            progress.begin(order.place, instance.name)
            result = await order.act(writer, context)
        except GatewayError as error:
            result = WriteResult.failed(error, site=instance.name, key=order.key, db_id=order.db_id, tag=order.tag)
        except Exception:
            # a fault of ours, and nobody knows how far it got: the other orders are not to blame
            log.exception("failed on an order for site %s", instance.name)
            result = WriteResult(
                outcome=WriteOutcome.UNKNOWN, site=instance.name, key=order.key, db_id=order.db_id, tag=order.tag,
                code=Code.INTERNAL, message="The gateway failed on this order; it may have taken effect.",
            )  # fmt: skip
        if not asked.dry_run:
            await self._forget(instance, order.touches, [key for key in {order.key, result.key} if key is not None])
        self.tell(asked, order.detail, result, local=local)
        return result

    async def _forget(self, instance: Site, touches: Touches, keys: Sequence[JobKey]) -> None:
        if touches is Touches.NOTHING:
            return
        try:
            if touches is Touches.USERS:
                await self.changed(instance.name, users_only=True)
            else:
                await self.changed(instance.name, None if touches is Touches.SITE else keys)
        except Exception as error:  # noqa: BLE001 - the write was made, whatever failed here; told in the troubles
            words = f"what was read before a write at site {instance.name} could not be taken back ({type(error).__name__})"
            self.troubles.note(FORGETTING, words)
        else:
            self.troubles.mended(FORGETTING)

    def _check_open(self, instance: Site, deadline: Deadline) -> None:
        if self.closing.is_begun:
            raise SiteError(Code.STOPPING, instance.name, NOT_SENT)
        if not self.settings.enabled or instance.settings.read_only:
            raise SiteError(Code.READ_ONLY, instance.name, f"The settings let nothing be written at site {instance.name}.")
        if self.settings.audit_required and (trouble := self.audit.trouble()) is not None:
            self.troubles.note(PART, trouble)
            message = "Nothing is written while the audit log cannot be (writes.audit_required): nothing was sent."
            raise SiteError(Code.READ_ONLY, instance.name, message, retryable=True)
        if deadline.remaining < LEAST:
            message = "There was no time left for this order: nothing was sent."
            raise SiteError(Code.TIMEOUT, instance.name, message, retryable=True)

    def tell(self, asked: Asked, detail: str, result: WriteResult, *, local: str | None = None) -> None:
        """The audit log's line."""
        self.audit.note(
            request_id=asked.request_id, caller=asked.caller.subject, local=local, operation=asked.operation, detail=detail,
            result=result, dry_run=asked.dry_run,
        )  # fmt: skip


def chained(orders: Sequence[tuple[Route, Order]]) -> list[tuple[Site, list[list[Order]]]]:
    """Orders by site, those for one job in one chain. A site that gets jobs by id and jobs by number gets them all in one, as two
    of them may be the same."""
    by_site: dict[Site, list[tuple[Route, Order]]] = {}
    for route, order in orders:
        by_site.setdefault(route.instance, []).append((route, order))
    return [(instance, _chains(here)) for instance, here in by_site.items()]


def _chains(orders: Sequence[tuple[Route, Order]]) -> list[list[Order]]:
    by_number = all(route.target.job_id is not None for route, _ in orders)
    by_id = all(route.target.db_id is not None for route, _ in orders)
    chains: dict[Hashable, list[Order]] = {}
    for route, order in orders:
        name = route.target.job_id if by_number else route.target.db_id if by_id else None
        chains.setdefault(name, []).append(order)
    return list(chains.values())
