"""Every write: many commands at once, each with a result of its own, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.audit import PART, Audit, AuditFile
from ccgateway.federation.closing import Closing
from ccgateway.federation.commands import (
    CommandExecutor,
    Execute,
    InvalidationScope,
    Invalidator,
    WriteCall,
    WriteCommand,
    WriteOperation,
    chained,
)
from ccgateway.federation.idempotency import IdempotencyGuard, secret_digest
from ccgateway.federation.progress import Progress, Subject
from ccgateway.federation.routing import Route, WriteRouter
from ccgateway.federation.write_calls import WriteCalls
from ccgateway.federation.write_rates import Admission
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Ability, abilities
from ccgateway.jobs.model import Tag
from ccgateway.jobs.provisional import is_provisional
from ccgateway.jobs.times import check_before, check_started, check_stopped
from ccgateway.jobs.writes import (
    END_STATES,
    ChangeUser,
    CreateUser,
    DeleteBefore,
    DeleteUser,
    EditMeta,
    NodeStates,
    RemoveTags,
    StartJob,
    StopJob,
    TagJob,
    Target,
    WriteResult,
)
from ccgateway.settings import LimitSettings, WriteSettings
from ccgateway.site.base import Site
from ccgateway.site.exchange import CallContext
from ccgateway.site.registry import Registry
from ccgateway.site.writing import Writer
from ccgateway.telemetry import Observer, Trouble, Troubles

__all__ = ["Writes"]

T = TypeVar("T")

#: commands whose sites and jobs are looked up at a time
LOOKED_UP = 8
#: what the troubles call it
REDIS = "Redis"


@dataclass(slots=True)
class Writes:
    """The use cases. Each gives one result for each command, in their order.

    Raise ``RequestError`` only for a call as a whole: too many commands, a caller who writes too much (``RATE_LIMITED``), an
    idempotency key that was used for something else (``CONFLICT``), sites that have to be named. Everything else is a result.
    ``dry_run`` sends nothing: what would be deleted is ``UNCHANGED`` with a message.
    """

    registry: Registry
    limits: LimitSettings
    router: WriteRouter
    invalidate: Invalidator
    settings: WriteSettings = field(default_factory=lambda: WriteSettings.model_validate({}))
    idempotency_store: TtlStore = field(default_factory=lambda: TtlStore("once"))
    troubles: Troubles = field(default_factory=Troubles)
    audit_file: AuditFile | None = None
    closing: Closing = field(default_factory=Closing)
    observer: Observer = field(default_factory=Observer)
    _executor: CommandExecutor = field(init=False)
    _calls: WriteCalls = field(init=False)

    def __post_init__(self) -> None:
        audit = Audit(self.troubles, self.audit_file, self.observer)
        self._executor = CommandExecutor(self.settings, self.invalidate, audit, self.troubles, self.closing)
        guard = IdempotencyGuard(
            self.idempotency_store,
            self.troubles,
            self.registry.place_of,
            keep_for=self.settings.keys_for,
            wait_for=self.limits.request_timeout,
        )
        self._calls = WriteCalls(self._executor, Admission(self.settings), guard, self.closing, self.limits.request_timeout)

    # --- jobs

    async def start_jobs(self, jobs: Sequence[StartJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records started jobs. ``PENDING``, with a provisional id, while a site of release 1.5 has not committed one."""

        def prepare(command: StartJob, target: Target) -> Execute:
            check_started(command, time.time())
            routed = replace(command, site=target.site)

            async def start(writer: Writer, context: CallContext) -> WriteResult:
                result = await writer.start(context, routed)
                if result.key is not None and result.db_id is not None and is_provisional(result.db_id):
                    await self.router.provisionals.note(result.key)
                return result

            return start

        wanted = [(job.target, f"user {job.user}") for job in jobs]
        return await self._to_jobs(self._operation("start", caller, call), jobs, wanted, prepare)

    async def stop_jobs(self, commands: Sequence[StopJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records that jobs have ended. A job that was stopped otherwise already is a ``CONFLICT``."""

        def prepare(command: StopJob, target: Target) -> Execute:
            if command.state not in END_STATES:
                message = f"{command.state[:40]!r} is no state to stop a job with. It is one of {', '.join(END_STATES)}."
                raise RequestError(Code.BAD_REQUEST, message)
            check_stopped(command, time.time())
            return lambda writer, context: writer.stop(context, target, command)

        wanted = [(command.target, f"{command.state} at {command.stop_time}") for command in commands]
        return await self._to_jobs(self._operation("stop", caller, call), commands, wanted, prepare)

    async def tag_jobs(self, commands: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Puts tags on jobs; a tag that does not exist is created. ``UNCHANGED`` if a job has all of them."""

        def prepare(command: TagJob, target: Target) -> Execute:
            return lambda writer, context: writer.put_tags(context, target, command.tags)

        wanted = [(command.target, _names(command.tags)) for command in commands]
        return await self._to_jobs(self._operation("tag", caller, call), commands, wanted, prepare)

    async def untag_jobs(self, commands: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Takes tags from jobs. ``UNCHANGED`` if a job has none of them."""

        def prepare(command: TagJob, target: Target) -> Execute:
            return lambda writer, context: writer.take_tags(context, target, command.tags)

        wanted = [(command.target, _names(command.tags)) for command in commands]
        return await self._to_jobs(self._operation("untag", caller, call), commands, wanted, prepare)

    async def edit_meta(self, commands: Sequence[EditMeta], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Sets keys of jobs' metadata. ``UNCHANGED`` if all of them have these values."""

        def prepare(command: EditMeta, target: Target) -> Execute:
            return lambda writer, context: writer.edit_meta(context, target, command.values)

        wanted = [(command.target, ", ".join(command.values)) for command in commands]
        return await self._to_jobs(self._operation("edit meta", caller, call), commands, wanted, prepare)

    async def delete_jobs(
        self, targets: Sequence[Target], caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """Deletes jobs. ``NOT_FOUND`` for one that is not there."""

        def prepare(_target: Target, target: Target) -> Execute:
            return lambda writer, context: writer.delete(context, target, dry_run=dry_run)

        wanted = [(target, "") for target in targets]
        return await self._to_jobs(self._operation("delete", caller, call, dry_run=dry_run), targets, wanted, prepare)

    # --- sites

    async def delete_jobs_before(
        self, command: DeleteBefore, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site, with ``count`` where the site tells it; a dry run counts."""
        check_before(command, time.time())
        most = self.limits.scan_budget

        async def execute(writer: Writer, context: CallContext) -> WriteResult:
            return await writer.delete_before(context, command.before, command.omit_tagged, most=most, dry_run=dry_run)

        detail = f"started before {command.before}, tagged spared: {command.omit_tagged}"
        commands = self._at_each(command.sites, caller, execute, detail)
        return await self._at_sites(self._operation("delete before", caller, call, dry_run=dry_run), command, commands)

    async def remove_tags(
        self, command: RemoveTags, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site and tag, sites by number, tags in their order."""

        def prepare(tag: Tag) -> Execute:
            return lambda writer, context: writer.remove_tag(context, tag, dry_run=dry_run)

        pairs = [(instance, tag) for instance in self.router.named(command.sites, caller) for tag in command.tags]
        commands = [
            (site, WriteCommand(n, prepare(tag), _names((tag,)), tag=tag, invalidates=InvalidationScope.SITE))
            for n, (site, tag) in enumerate(pairs)
        ]
        return await self._at_sites(self._operation("remove tag", caller, call, dry_run=dry_run), command, commands)

    async def create_tag(self, tag: Tag, sites: Sequence[str] | None, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a tag at the sites (``None``: all), without putting it on a job. One result for each site."""

        async def execute(writer: Writer, context: CallContext) -> WriteResult:
            return await writer.create_tag(context, tag)

        chosen = self.registry.chosen(sites, caller)
        commands = [
            (site, WriteCommand(n, execute, _names((tag,)), tag=tag, invalidates=InvalidationScope.SITE))
            for n, site in enumerate(chosen)
        ]
        return await self._at_sites(self._operation("create tag", caller, call), (tag, sites), commands)

    async def change_user(self, command: ChangeUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Gives a user of the sites a role or project, or takes one. One result for each site, ``NOT_FOUND`` where there is no
        such user."""

        detail = f"{command.change} {command.value} of {command.user}"
        commands = self._at_each(command.sites, caller, lambda writer, context: writer.change_user(context, command), detail)
        return await self._at_sites(self._operation("change user", caller, call), command, commands)

    async def create_user(self, command: CreateUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a user at the sites. One result for each, ``CONFLICT`` where there is one of that name. ``FORBIDDEN`` unless
        the caller is an administrator."""
        _check_admin(caller)
        digest = await secret_digest(command.password, call.idempotency_key, caller)
        known_by = (command.user, digest, command.role, command.name, command.email, command.project, command.sites)
        detail = f"{command.role or 'no role'} {command.user}" + (f" of {command.project}" if command.project else "")
        commands = self._at_each(
            command.sites, caller, lambda writer, context: writer.create_user(context, command), detail, InvalidationScope.USERS
        )
        return await self._at_sites(self._operation("create user", caller, call), known_by, commands)

    async def delete_user(self, command: DeleteUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Deletes a user of the sites. One result for each, ``UNCHANGED`` where there is none of that name. ``FORBIDDEN`` unless
        the caller is an administrator."""
        _check_admin(caller)
        commands = self._at_each(
            command.sites, caller, lambda writer, context: writer.delete_user(context, command), command.user,
            InvalidationScope.USERS,
        )  # fmt: skip
        return await self._at_sites(self._operation("delete user", caller, call), command, commands)

    async def update_nodes(self, command: NodeStates, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Tells the one site that has the cluster what its scheduler says of nodes. Nothing that is remembered depends on it."""
        operation, detail = self._operation("update nodes", caller, call), f"{len(command.nodes)} nodes of {command.cluster}"

        async def work(operation: WriteOperation, progress: Progress) -> None:
            try:
                instance = await self.router.site_of(command.site, command.cluster, caller, operation.deadline)
            except GatewayError as error:
                progress.results[0] = WriteResult.failed(error, site=command.site)
                self._executor.audit_result(operation, detail, progress.results[0])
                return
            update = WriteCommand(
                0, lambda writer, context: writer.update_nodes(context, command), detail, invalidates=InvalidationScope.NOTHING
            )
            await self._executor.execute([(instance, [[update]])], operation, progress)

        return await self._calls.run(operation, command, [Subject(detail, command.site)], work)

    def told_troubles(self, redis: str | None) -> list[Trouble]:
        """What does not work now; ``redis``: why Redis is not in use."""
        if redis is None:
            self.troubles.mended(REDIS)
        else:
            self.troubles.note(REDIS, redis)
        if self.audit_file is not None and (trouble := self.audit_file.trouble()) is not None:
            self.troubles.note(PART, trouble)
        return self.troubles.told()

    async def aclose(self) -> None:
        """Waits for the calls that are running: each ends with its request's time."""
        await self._calls.aclose()

    # --- commands

    def _operation(self, name: str, caller: Principal, call: WriteCall, *, dry_run: bool = False) -> WriteOperation:
        deadline = Deadline.after(self.limits.request_timeout)
        return WriteOperation(caller, call, name, deadline, dry_run)

    async def _to_jobs(
        self,
        operation: WriteOperation,
        commands: Sequence[T],
        wanted: Sequence[tuple[Target, str]],
        prepare: Callable[[T, Target], Execute],
    ) -> list[WriteResult]:
        """``wanted``: for each command its job, and what the audit log says of it."""

        async def work(operation: WriteOperation, progress: Progress) -> None:
            ready: list[tuple[Route, WriteCommand]] = []
            routes = await self._routes([target for target, _ in wanted], operation)
            for number, (command, (target, detail), route) in enumerate(zip(commands, wanted, routes, strict=True)):
                try:
                    if isinstance(route, GatewayError):
                        raise route
                    key, db_id = route.target.key, route.target.db_id
                    ready.append((route, WriteCommand(number, prepare(command, route.target), detail, key, db_id)))
                except GatewayError as error:
                    failed = WriteResult.failed(error, site=target.site, key=target.key, db_id=target.db_id)
                    progress.results[number] = failed
                    self._executor.audit_result(operation, detail, failed)
            await self._executor.execute(chained(ready), operation, progress)

        subjects = [Subject(detail, target.site, target.key, target.db_id) for target, detail in wanted]
        return await self._calls.run(operation, commands, subjects, work)

    async def _routes(self, targets: Sequence[Target], operation: WriteOperation) -> list[Route | GatewayError]:
        slots = asyncio.Semaphore(LOOKED_UP)

        async def route(target: Target) -> Route | GatewayError:
            async with slots:
                try:
                    return await self.router.route(target, operation.caller, operation.deadline, stops=operation.name == "stop")
                except GatewayError as error:
                    return error

        return await asyncio.gather(*(route(target) for target in targets))

    def _at_each(
        self, sites: Sequence[str] | None, caller: Principal, execute: Execute, detail: str,
        invalidates: InvalidationScope = InvalidationScope.SITE,
    ) -> list[tuple[Site, WriteCommand]]:  # fmt: skip
        """A command at each of the sites, which have to be named."""
        named = self.router.named(sites, caller)
        return [(site, WriteCommand(n, execute, detail, invalidates=invalidates)) for n, site in enumerate(named)]

    async def _at_sites(
        self, operation: WriteOperation, request: object, commands: Sequence[tuple[Site, WriteCommand]]
    ) -> list[WriteResult]:
        async def work(operation: WriteOperation, progress: Progress) -> None:
            by_site: dict[Site, list[WriteCommand]] = {}
            for instance, command in commands:
                by_site.setdefault(instance, []).append(command)
            await self._executor.execute([(instance, [chain]) for instance, chain in by_site.items()], operation, progress)

        subjects = [Subject(command.detail, instance.name, tag=command.tag) for instance, command in commands]
        return await self._calls.run(operation, request, subjects, work)


def _names(tags: Iterable[Tag]) -> str:
    return ", ".join(f"{tag.type}:{tag.name} ({tag.scope})" for tag in tags)


def _check_admin(caller: Principal) -> None:
    if Ability.USERS not in abilities(caller.roles):
        raise RequestError(Code.FORBIDDEN, "Only administrators create and delete users.")
