"""Executes write commands: those for one job one after the other, jobs and sites side by side, each written to the audit log."""

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

__all__ = [
    "CommandExecutor",
    "Execute",
    "InvalidationScope",
    "Invalidator",
    "WriteCall",
    "WriteCommand",
    "WriteOperation",
    "chained",
]

log = logging.getLogger("ccgateway.federation.orders")  # as operators know it

#: what a command does at its site
Execute: TypeAlias = Callable[[Writer, CallContext], Awaitable[WriteResult]]
#: seconds that a command needs at least: with less left it is not sent
LEAST = 0.5
#: what the troubles call the invalidation
CACHE = "cache"


class InvalidationScope(Enum):
    """What of what was read before a command may not be answered again after it: of its jobs and the site's lists of jobs, of the
    site's users, of all that the site has, or of nothing."""

    JOBS = "jobs"
    USERS = "users"
    SITE = "site"
    NOTHING = "nothing"


class Invalidator(Protocol):
    """Takes away what is remembered from before a write at a site: of these jobs and the site's lists, or (``None``) of all; of
    the site's users alone, if ``users_only``."""

    async def __call__(self, site: str, jobs: Iterable[JobKey] | None = (), *, users_only: bool = False) -> None:
        """Never fails."""
        ...


@dataclass(frozen=True, slots=True)
class WriteCall:
    """How the caller asks: under which request id it is told in the logs, and its idempotency key, if it sent one.

    The same key with the same commands gives the recorded results, and sends nothing; with other commands it is refused
    (``CONFLICT``). Of several writes of one document under its key, ``part`` tells one from the others, and ``document`` is what
    all of it has to be equal in.
    """

    request_id: str
    idempotency_key: str | None = None
    part: int = 0
    document: str = ""


@dataclass(frozen=True, slots=True)
class WriteOperation:
    """What a call is to do (``name``): for whom, how that one asked, until when, and if it is meant."""

    caller: Principal
    call: WriteCall
    name: str
    deadline: Deadline
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class WriteCommand:
    """One write at one site.

    ``number``: its number in the call, from 0; ``detail``: what the audit log says of it; ``tag``: where it is about a tag.
    """

    number: int
    execute: Execute
    detail: str
    key: JobKey | None = None
    db_id: int | None = None
    tag: Tag | None = None
    invalidates: InvalidationScope = InvalidationScope.JOBS


@dataclass(slots=True)
class CommandExecutor:
    """Executes commands. Owns what is known of each site as one that is written to.

    What comes after a write (forgetting what was read before it, the audit log) never changes what the command came to: what
    fails of it is noted in ``troubles``.
    """

    settings: WriteSettings
    invalidate: Invalidator
    audit: Audit
    troubles: Troubles
    closing: Closing
    _writers: dict[str, Writer] = field(default_factory=dict)

    async def execute(
        self, chains: Iterable[tuple[Site, list[list[WriteCommand]]]], operation: WriteOperation, progress: Progress
    ) -> None:  # fmt: skip
        """Tells ``progress`` the results. Each site's chains side by side, as many as it takes requests at a time; never
        raises."""
        never_refused()

        async def work(instance: Site, waiting: list[list[WriteCommand]]) -> None:
            while waiting:
                for command in waiting.pop(0):
                    progress.results[command.number] = await self._one(instance, command, operation, progress)

        async with asyncio.TaskGroup() as group:
            for instance, waiting in chains:
                for _ in range(min(instance.settings.concurrency, len(waiting))):
                    group.create_task(work(instance, waiting), name=f"write to {instance.name}")

    async def _one(self, instance: Site, command: WriteCommand, operation: WriteOperation, progress: Progress) -> WriteResult:
        local: str | None = None
        try:
            self._check_open(instance, operation.deadline)
            context = await instance.context(operation.caller, operation.deadline.within(instance.settings.timeout))
            local = context.credential.user
            writer = self._writers.setdefault(instance.name, Writer(instance.origin))
            progress.begin(command.number, instance.name)
            result = await command.execute(writer, context)
        except GatewayError as error:
            result = WriteResult.failed(error, site=instance.name, key=command.key, db_id=command.db_id, tag=command.tag)
        except Exception:
            # a fault of ours, and nobody knows how far it got: the other commands are not to blame
            log.exception("failed on an order for site %s", instance.name)
            result = WriteResult(
                outcome=WriteOutcome.UNKNOWN, site=instance.name, key=command.key, db_id=command.db_id, tag=command.tag,
                code=Code.INTERNAL, message="The gateway failed on this order; it may have taken effect.",
            )  # fmt: skip
        if not operation.dry_run:
            await self._invalidate(instance, command.invalidates, [key for key in {command.key, result.key} if key is not None])
        self.audit_result(operation, command.detail, result, local=local)
        return result

    async def _invalidate(self, instance: Site, scope: InvalidationScope, keys: Sequence[JobKey]) -> None:
        if scope is InvalidationScope.NOTHING:
            return
        try:
            if scope is InvalidationScope.USERS:
                await self.invalidate(instance.name, users_only=True)
            else:
                await self.invalidate(instance.name, None if scope is InvalidationScope.SITE else keys)
        except Exception as error:  # noqa: BLE001 - the write was made, whatever failed here; told in the troubles
            message = f"what was read before a write at site {instance.name} could not be taken back ({type(error).__name__})"
            self.troubles.note(CACHE, message)
        else:
            self.troubles.mended(CACHE)

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

    def audit_result(self, operation: WriteOperation, detail: str, result: WriteResult, *, local: str | None = None) -> None:
        """Writes the audit log's line."""
        self.audit.note(
            request_id=operation.call.request_id, caller=operation.caller.subject, local=local, operation=operation.name,
            detail=detail, result=result, dry_run=operation.dry_run,
        )  # fmt: skip


def chained(commands: Sequence[tuple[Route, WriteCommand]]) -> list[tuple[Site, list[list[WriteCommand]]]]:
    """Commands by site, those for one job in one chain. A site that gets jobs by id and jobs by number gets them all in one,
    as two of them may be the same."""
    by_site: dict[Site, list[tuple[Route, WriteCommand]]] = {}
    for route, command in commands:
        by_site.setdefault(route.instance, []).append((route, command))
    return [(instance, _chains(here)) for instance, here in by_site.items()]


def _chains(commands: Sequence[tuple[Route, WriteCommand]]) -> list[list[WriteCommand]]:
    by_number = all(route.target.job_id is not None for route, _ in commands)
    by_id = all(route.target.db_id is not None for route, _ in commands)
    chains: dict[Hashable, list[WriteCommand]] = {}
    for route, command in commands:
        name = route.target.job_id if by_number else route.target.db_id if by_id else None
        chains.setdefault(name, []).append(command)
    return list(chains.values())
