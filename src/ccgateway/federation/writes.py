"""Every write: many orders at once, each with a result of its own, whatever becomes of the others.

Once begun, a call is finished even if its caller goes away: what was sent is read back, recorded and told to the audit log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.admission import Admission
from ccgateway.federation.audit import PART, Audit, AuditFile
from ccgateway.federation.closing import NOT_SENT, Closing
from ccgateway.federation.idempotency import IdempotencyGuard, secret_digest
from ccgateway.federation.orders import Act, Asked, Changed, Order, Orders, Touches, chained
from ccgateway.federation.progress import Progress, Subject
from ccgateway.federation.routing import Route, WriteRouter
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Ability, abilities
from ccgateway.jobs.model import Tag
from ccgateway.jobs.provisional import is_provisional
from ccgateway.jobs.times import check_before, check_started, check_stopped
from ccgateway.jobs.writes import (
    END_STATES,
    MOST_ITEMS,
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
from ccgateway.telemetry import Trouble, Troubles

__all__ = ["WriteCall", "Writes"]

T = TypeVar("T")

#: orders whose sites and jobs are looked up at a time
LOOKED_UP = 8
#: what the troubles call it
REDIS = "Redis"


@dataclass(frozen=True, slots=True)
class WriteCall:
    """How the caller asks: under which request id it is told in the logs, and its idempotency key, if it sent one.

    The same key with the same orders gives the recorded results for a day, and sends nothing; with other orders it is refused
    (``CONFLICT``).
    """

    request_id: str
    idempotency_key: str | None = None


@dataclass(slots=True)
class Writes:
    """The use cases. Each gives one result for each order, in their order.

    Raise ``RequestError`` only for a call as a whole: too many orders, a caller who writes too much (``RATE_LIMITED``), an
    idempotency key that was used for something else (``CONFLICT``), sites that have to be named. Everything else is a result.
    ``dry_run`` sends nothing: what would be deleted is ``UNCHANGED`` with a message.
    """

    registry: Registry
    limits: LimitSettings
    router: WriteRouter
    changed: Changed
    settings: WriteSettings = field(default_factory=lambda: WriteSettings.model_validate({}))
    idempotency_store: TtlStore = field(default_factory=lambda: TtlStore("once"))
    troubles: Troubles = field(default_factory=Troubles)
    audit_file: AuditFile | None = None
    closing: Closing = field(default_factory=Closing)
    _orders: Orders = field(init=False)
    _admission: Admission = field(init=False)
    _idempotency: IdempotencyGuard = field(init=False)
    _running: set[asyncio.Task[list[WriteResult]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        audit = Audit(self.troubles, self.audit_file)
        self._orders = Orders(self.settings, self.changed, audit, self.troubles, self.closing)
        self._admission = Admission(self.settings)
        self._idempotency = IdempotencyGuard(
            self.idempotency_store, self.troubles, keep_for=self.settings.keys_for, wait_for=self.limits.request_timeout
        )  # fmt: skip

    # --- jobs

    async def start_jobs(self, jobs: Sequence[StartJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records started jobs. ``PENDING``, with a provisional id, while a site of release 1.5 has not committed one."""

        def act(order: StartJob, target: Target) -> Act:
            check_started(order, time.time())
            placed = replace(order, site=target.site)

            async def start(writer: Writer, context: CallContext) -> WriteResult:
                result = await writer.start(context, placed)
                if result.key is not None and result.db_id is not None and is_provisional(result.db_id):
                    await self.router.provisionals.note(result.key)
                return result

            return start

        wanted = [(one.target, f"user {one.user}") for one in jobs]
        return await self._to_jobs(self._asked("start", caller, call), call, jobs, wanted, act)

    async def stop_jobs(self, orders: Sequence[StopJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records that jobs have ended. A job that was stopped otherwise already is a ``CONFLICT``."""

        def act(order: StopJob, target: Target) -> Act:
            if order.state not in END_STATES:
                message = f"{order.state[:40]!r} is no state to stop a job with. It is one of {', '.join(END_STATES)}."
                raise RequestError(Code.BAD_REQUEST, message)
            check_stopped(order, time.time())
            return lambda writer, context: writer.stop(context, target, order)

        wanted = [(one.target, f"{one.state} at {one.stop_time}") for one in orders]
        return await self._to_jobs(self._asked("stop", caller, call), call, orders, wanted, act)

    async def tag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Puts tags on jobs; a tag that does not exist is created. ``UNCHANGED`` if a job has all of them."""

        def act(order: TagJob, target: Target) -> Act:
            return lambda writer, context: writer.put_tags(context, target, order.tags)

        wanted = [(one.target, _told(one.tags)) for one in orders]
        return await self._to_jobs(self._asked("tag", caller, call), call, orders, wanted, act)

    async def untag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Takes tags from jobs. ``UNCHANGED`` if a job has none of them."""

        def act(order: TagJob, target: Target) -> Act:
            return lambda writer, context: writer.take_tags(context, target, order.tags)

        wanted = [(one.target, _told(one.tags)) for one in orders]
        return await self._to_jobs(self._asked("untag", caller, call), call, orders, wanted, act)

    async def edit_meta(self, orders: Sequence[EditMeta], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Sets keys of jobs' metadata. ``UNCHANGED`` if all of them have these values."""

        def act(order: EditMeta, target: Target) -> Act:
            return lambda writer, context: writer.edit_meta(context, target, order.values)

        wanted = [(one.target, ", ".join(one.values)) for one in orders]
        return await self._to_jobs(self._asked("edit meta", caller, call), call, orders, wanted, act)

    async def delete_jobs(
        self, targets: Sequence[Target], caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """Deletes jobs. ``NOT_FOUND`` for one that is not there."""

        def act(_order: Target, target: Target) -> Act:
            return lambda writer, context: writer.delete(context, target, dry_run=dry_run)

        wanted = [(one, "") for one in targets]
        return await self._to_jobs(self._asked("delete", caller, call, dry_run=dry_run), call, targets, wanted, act)

    # --- sites

    async def delete_jobs_before(
        self, order: DeleteBefore, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site, with ``count`` where the site tells it; a dry run counts."""
        check_before(order, time.time())
        most = self.limits.scan_budget

        async def act(writer: Writer, context: CallContext) -> WriteResult:
            return await writer.delete_before(context, order.before, order.omit_tagged, most=most, dry_run=dry_run)

        detail = f"started before {order.before}, tagged spared: {order.omit_tagged}"
        orders = self._at_each(order.sites, caller, Order(0, act, detail, touches=Touches.SITE))
        return await self._at_sites(self._asked("delete before", caller, call, dry_run=dry_run), call, order, orders)

    async def remove_tags(
        self, order: RemoveTags, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site and tag, sites by number, tags in their order."""

        def act(tag: Tag) -> Act:
            return lambda writer, context: writer.remove_tag(context, tag, dry_run=dry_run)

        pairs = [(instance, tag) for instance in self.router.named(order.sites, caller) for tag in order.tags]
        orders = [(one, Order(n, act(tag), _told((tag,)), tag=tag, touches=Touches.SITE)) for n, (one, tag) in enumerate(pairs)]
        return await self._at_sites(self._asked("remove tag", caller, call, dry_run=dry_run), call, order, orders)

    async def create_tag(self, tag: Tag, sites: Sequence[str] | None, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a tag at the sites (``None``: all), without putting it on a job. One result for each site."""

        async def act(writer: Writer, context: CallContext) -> WriteResult:
            return await writer.create_tag(context, tag)

        chosen = self.registry.chosen(sites, caller)
        orders = [(one, Order(n, act, _told((tag,)), tag=tag, touches=Touches.SITE)) for n, one in enumerate(chosen)]
        return await self._at_sites(self._asked("create tag", caller, call), call, (tag, sites), orders)

    async def change_user(self, order: ChangeUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Gives a user of the sites a role or project, or takes one. One result for each site, ``NOT_FOUND`` where there is no
        such user."""

        detail = f"{order.change} {order.value} of {order.user}"
        each = Order(0, lambda writer, context: writer.change_user(context, order), detail, touches=Touches.SITE)
        orders = self._at_each(order.sites, caller, each)
        return await self._at_sites(self._asked("change user", caller, call), call, order, orders)

    async def create_user(self, order: CreateUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a user at the sites. One result for each, ``CONFLICT`` where there is one of that name. ``FORBIDDEN`` unless
        the caller is an administrator."""
        _check_admin(caller)
        digest = await secret_digest(order.password, call.idempotency_key, caller)
        known_by = (order.user, digest, order.role, order.name, order.email, order.project, order.sites)
        detail = f"{order.role or 'no role'} {order.user}" + (f" of {order.project}" if order.project else "")
        each = Order(0, lambda writer, context: writer.create_user(context, order), detail, touches=Touches.USERS)
        orders = self._at_each(order.sites, caller, each)
        return await self._at_sites(self._asked("create user", caller, call), call, known_by, orders)

    async def delete_user(self, order: DeleteUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Deletes a user of the sites. One result for each, ``UNCHANGED`` where there is none of that name. ``FORBIDDEN`` unless
        the caller is an administrator."""
        _check_admin(caller)
        each = Order(0, lambda writer, context: writer.delete_user(context, order), order.user, touches=Touches.USERS)
        orders = self._at_each(order.sites, caller, each)
        return await self._at_sites(self._asked("delete user", caller, call), call, order, orders)

    async def update_nodes(self, order: NodeStates, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Tells the one site that has the cluster what its scheduler says of nodes. Nothing that is remembered depends on it."""
        asked, detail = self._asked("update nodes", caller, call), f"{len(order.nodes)} nodes of {order.cluster}"

        async def work(asked: Asked, progress: Progress) -> None:
            try:
                instance = await self.router.site_of(order.site, order.cluster, caller, asked.deadline)
            except GatewayError as error:
                progress.results[0] = WriteResult.failed(error, site=order.site)
                self._orders.tell(asked, detail, progress.results[0])
                return
            told = Order(0, lambda writer, context: writer.update_nodes(context, order), detail, touches=Touches.NOTHING)
            await self._orders.carry_out([(instance, [[told]])], asked, progress)

        return await self._call(asked, call, order, [Subject(detail, order.site)], work)

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
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    # --- calls

    def _asked(self, operation: str, caller: Principal, call: WriteCall, *, dry_run: bool = False) -> Asked:
        return Asked(caller, call.request_id, operation, Deadline.after(self.limits.request_timeout), dry_run)

    async def _to_jobs(
        self,
        asked: Asked,
        call: WriteCall,
        orders: Sequence[T],
        wanted: Sequence[tuple[Target, str]],
        act: Callable[[T, Target], Act],
    ) -> list[WriteResult]:
        """``wanted``: for each order its job, and what the audit log says of it."""

        async def work(asked: Asked, progress: Progress) -> None:
            ready: list[tuple[Route, Order]] = []
            routes = await self._routes([target for target, _ in wanted], asked)
            for number, (order, (target, detail), route) in enumerate(zip(orders, wanted, routes, strict=True)):
                try:
                    if isinstance(route, GatewayError):
                        raise route
                    key, db_id = route.target.key, route.target.db_id
                    ready.append((route, Order(number, act(order, route.target), detail, key, db_id)))
                except GatewayError as error:
                    failed = WriteResult.failed(error, site=target.site, key=target.key, db_id=target.db_id)
                    progress.results[number] = failed
                    self._orders.tell(asked, detail, failed)
            await self._orders.carry_out(chained(ready), asked, progress)

        subjects = [Subject(detail, target.site, target.key, target.db_id) for target, detail in wanted]
        return await self._call(asked, call, orders, subjects, work)

    async def _routes(self, targets: Sequence[Target], asked: Asked) -> list[Route | GatewayError]:
        slots = asyncio.Semaphore(LOOKED_UP)

        async def route(target: Target) -> Route | GatewayError:
            async with slots:
                try:
                    return await self.router.route(target, asked.caller, asked.deadline, stops=asked.operation == "stop")
                except GatewayError as error:
                    return error

        return await asyncio.gather(*(route(target) for target in targets))

    def _at_each(self, sites: Sequence[str] | None, caller: Principal, order: Order) -> list[tuple[Site, Order]]:
        """The order at each of the sites that it has to name."""
        return [(one, replace(order, place=place)) for place, one in enumerate(self.router.named(sites, caller))]

    async def _at_sites(
        self, asked: Asked, call: WriteCall, request: object, orders: Sequence[tuple[Site, Order]]
    ) -> list[WriteResult]:
        async def work(asked: Asked, progress: Progress) -> None:
            by_site: dict[Site, list[Order]] = {}
            for instance, order in orders:
                by_site.setdefault(instance, []).append(order)
            await self._orders.carry_out([(instance, [chain]) for instance, chain in by_site.items()], asked, progress)

        subjects = [Subject(order.detail, instance.name, tag=order.tag) for instance, order in orders]
        return await self._call(asked, call, request, subjects, work)

    async def _call(
        self, asked: Asked, call: WriteCall, request: object, subjects: list[Subject],
        work: Callable[[Asked, Progress], Awaitable[None]],
    ) -> list[WriteResult]:  # fmt: skip
        """Counts, admits and records the call, and finishes it whatever becomes of the caller."""
        orders = len(subjects)
        if not orders:
            raise RequestError(Code.BAD_REQUEST, "There is nothing to do: the list is empty.")
        if orders > MOST_ITEMS:
            raise RequestError(Code.LIMIT_EXCEEDED, f"At most {MOST_ITEMS} at once, not {orders}.")

        if self.closing.is_begun:
            raise RequestError(Code.STOPPING, NOT_SENT)
        progress = Progress(subjects)

        async def admitted() -> list[WriteResult]:
            with self._admission.admit(asked.caller.subject, orders):
                # its time begins here: to wait for another call with its key has cost nothing of it
                begun = replace(asked, deadline=Deadline.after(self.limits.request_timeout))
                await work(begun, progress)
                return [progress.results[place] for place in range(orders)]

        whole = (asked.operation, request, asked.dry_run)
        return await self._finish(self._idempotency.run(call.idempotency_key, asked.caller, whole, admitted), asked, progress)

    async def _finish(
        self, work: Coroutine[Any, Any, list[WriteResult]], asked: Asked, progress: Progress
    ) -> list[WriteResult]:  # fmt: skip
        """What ``work`` comes to; if the gateway has to stop first, what is known by then, while it goes on."""
        task = asyncio.create_task(work, name="write")
        self._running.add(task)
        task.add_done_callback(self._ended)
        if await self.closing.wait(task):
            return task.result()
        if not progress.is_begun:
            raise RequestError(Code.STOPPING, NOT_SENT)
        results = list(progress.so_far())
        for place in progress.under_way():  # should the process end before it is known, this is what was told
            self._orders.tell(asked, progress.subjects[place].detail, results[place])
        return results

    def _ended(self, task: asyncio.Task[list[WriteResult]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at also where the caller has left


def _told(tags: Iterable[Tag]) -> str:
    return ", ".join(f"{tag.type}:{tag.name} ({tag.scope})" for tag in tags)


def _check_admin(caller: Principal) -> None:
    if Ability.USERS not in abilities(caller.roles):
        raise RequestError(Code.FORBIDDEN, "Only administrators create and delete users.")
