"""Every write: many orders at once, each with a result of its own, whatever becomes of the others.

Once begun, a call is finished even if its caller goes away: what was sent is read back, recorded and told to the audit log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ccgateway.cache.ledger import Ledger, LocalLedger
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.federation.admission import Admission
from ccgateway.federation.audit import Audit
from ccgateway.federation.once import Once
from ccgateway.federation.orders import Act, Asked, Changed, Order, Orders, chained
from ccgateway.federation.placing import Placed, Places
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import Tag
from ccgateway.jobs.provisional import is_provisional
from ccgateway.jobs.times import check_before, check_started, check_stopped
from ccgateway.jobs.writes import (
    END_STATES,
    MOST_ITEMS,
    ChangeUser,
    DeleteBefore,
    EditMeta,
    RemoveTags,
    StartJob,
    StopJob,
    TagJob,
    Target,
    WriteResult,
)
from ccgateway.settings import LimitSettings, WriteSettings
from ccgateway.site.exchange import Visit
from ccgateway.site.instance import Instance
from ccgateway.site.registry import Registry
from ccgateway.site.writing import Writer

__all__ = ["WriteCall", "Writes"]

T = TypeVar("T")

#: seconds beyond a request's own time after which its call is over for certain: an idempotency key still claimed is free then
GRACE = 30.0
#: orders whose sites and jobs are looked up at a time
LOOKED_UP = 8


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
    places: Places
    changed: Changed
    settings: WriteSettings = field(default_factory=lambda: WriteSettings.model_validate({}))
    ledger: Ledger = field(default_factory=LocalLedger)
    _orders: Orders = field(init=False)
    _admission: Admission = field(init=False)
    _once: Once = field(init=False)
    _running: set[asyncio.Task[list[WriteResult]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._orders = Orders(self.settings, self.changed, Audit())
        self._admission = Admission(self.settings)
        self._once = Once(self.ledger, keep_for=self.settings.keys_for, claim_for=self.limits.request_timeout + GRACE)

    # --- jobs

    async def start_jobs(self, jobs: Sequence[StartJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Records started jobs. ``PENDING``, with a provisional id, while a site of release 1.5 has not committed one."""

        def act(order: StartJob, target: Target) -> Act:
            check_started(order, time.time())
            placed = replace(order, site=target.site)

            async def start(writer: Writer, visit: Visit) -> WriteResult:
                result = await writer.start(visit, placed)
                if result.key is not None and result.db_id is not None and is_provisional(result.db_id):
                    await self.places.provisionals.note(result.key)
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
            return lambda writer, visit: writer.stop(visit, target, order)

        wanted = [(one.target, f"{one.state} at {one.stop_time}") for one in orders]
        return await self._to_jobs(self._asked("stop", caller, call), call, orders, wanted, act)

    async def tag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Puts tags on jobs; a tag that does not exist is created. ``UNCHANGED`` if a job has all of them."""

        def act(order: TagJob, target: Target) -> Act:
            return lambda writer, visit: writer.put_tags(visit, target, order.tags)

        wanted = [(one.target, _told(one.tags)) for one in orders]
        return await self._to_jobs(self._asked("tag", caller, call), call, orders, wanted, act)

    async def untag_jobs(self, orders: Sequence[TagJob], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Takes tags from jobs. ``UNCHANGED`` if a job has none of them."""

        def act(order: TagJob, target: Target) -> Act:
            return lambda writer, visit: writer.take_tags(visit, target, order.tags)

        wanted = [(one.target, _told(one.tags)) for one in orders]
        return await self._to_jobs(self._asked("untag", caller, call), call, orders, wanted, act)

    async def edit_meta(self, orders: Sequence[EditMeta], caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Sets keys of jobs' metadata. ``UNCHANGED`` if all of them have these values."""

        def act(order: EditMeta, target: Target) -> Act:
            return lambda writer, visit: writer.edit_meta(visit, target, order.values)

        wanted = [(one.target, ", ".join(one.values)) for one in orders]
        return await self._to_jobs(self._asked("edit meta", caller, call), call, orders, wanted, act)

    async def delete_jobs(
        self, targets: Sequence[Target], caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """Deletes jobs. ``NOT_FOUND`` for one that is not there."""

        def act(_order: Target, target: Target) -> Act:
            return lambda writer, visit: writer.delete(visit, target, dry_run=dry_run)

        wanted = [(one, "") for one in targets]
        return await self._to_jobs(self._asked("delete", caller, call, dry_run=dry_run), call, targets, wanted, act)

    # --- sites

    async def delete_jobs_before(
        self, order: DeleteBefore, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site, with ``count`` where the site tells it; a dry run counts."""
        check_before(order, time.time())
        most = self.limits.scan_budget

        async def act(writer: Writer, visit: Visit) -> WriteResult:
            return await writer.delete_before(visit, order.before, order.omit_tagged, most=most, dry_run=dry_run)

        detail = f"started before {order.before}, tagged spared: {order.omit_tagged}"
        orders = [(one, Order(n, act, detail, is_wide=True)) for n, one in enumerate(self.places.named(order.sites, caller))]
        return await self._at_sites(self._asked("delete before", caller, call, dry_run=dry_run), call, order, orders)

    async def remove_tags(
        self, order: RemoveTags, caller: Principal, call: WriteCall, *, dry_run: bool = False
    ) -> list[WriteResult]:
        """One result for each site and tag, sites by number, tags in their order."""

        def act(tag: Tag) -> Act:
            return lambda writer, visit: writer.remove_tag(visit, tag, dry_run=dry_run)

        pairs = [(instance, tag) for instance in self.places.named(order.sites, caller) for tag in order.tags]
        orders = [(one, Order(n, act(tag), _told((tag,)), tag=tag, is_wide=True)) for n, (one, tag) in enumerate(pairs)]
        return await self._at_sites(self._asked("remove tag", caller, call, dry_run=dry_run), call, order, orders)

    async def create_tag(self, tag: Tag, sites: Sequence[str] | None, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Creates a tag at the sites (``None``: all), without putting it on a job. One result for each site."""

        async def act(writer: Writer, visit: Visit) -> WriteResult:
            return await writer.create_tag(visit, tag)

        chosen = self.registry.chosen(sites, caller)
        orders = [(one, Order(n, act, _told((tag,)), tag=tag, is_wide=True)) for n, one in enumerate(chosen)]
        return await self._at_sites(self._asked("create tag", caller, call), call, (tag, sites), orders)

    async def change_user(self, order: ChangeUser, caller: Principal, call: WriteCall) -> list[WriteResult]:
        """Gives a user of the sites a role or project, or takes one. One result for each site, ``NOT_FOUND`` where there is no
        such user."""

        async def act(writer: Writer, visit: Visit) -> WriteResult:
            return await writer.change_user(visit, order)

        detail = f"{order.change} {order.value} of {order.user}"
        orders = [(one, Order(n, act, detail, is_wide=True)) for n, one in enumerate(self.places.named(order.sites, caller))]
        return await self._at_sites(self._asked("change user", caller, call), call, order, orders)

    async def aclose(self) -> None:
        """Waits for the calls that are running: each ends with its request's time."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)
        await self.ledger.aclose()

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

        async def work() -> list[WriteResult]:
            results: dict[int, WriteResult] = {}
            ready: list[tuple[Placed, Order]] = []
            places = await self._placed([target for target, _ in wanted], asked)
            for number, (order, (target, detail), placed) in enumerate(zip(orders, wanted, places, strict=True)):
                try:
                    if isinstance(placed, GatewayError):
                        raise placed
                    key, db_id = placed.target.key, placed.target.db_id
                    ready.append((placed, Order(number, act(order, placed.target), detail, key, db_id)))
                except GatewayError as error:
                    results[number] = WriteResult.failed(error, site=target.site, key=target.key, db_id=target.db_id)
                    self._orders.tell(asked, detail, results[number])
            results |= await self._orders.carry_out(chained(ready), asked)
            return [results[number] for number in range(len(orders))]

        return await self._call(asked, call, orders, len(orders), work)

    async def _placed(self, targets: Sequence[Target], asked: Asked) -> list[Placed | GatewayError]:
        places = asyncio.Semaphore(LOOKED_UP)

        async def place(target: Target) -> Placed | GatewayError:
            async with places:
                try:
                    return await self.places.place(target, asked.caller, asked.deadline, stops=asked.operation == "stop")
                except GatewayError as error:
                    return error

        return await asyncio.gather(*(place(target) for target in targets))

    async def _at_sites(
        self, asked: Asked, call: WriteCall, request: object, orders: Sequence[tuple[Instance, Order]]
    ) -> list[WriteResult]:
        async def work() -> list[WriteResult]:
            by_site: dict[Instance, list[Order]] = {}
            for instance, order in orders:
                by_site.setdefault(instance, []).append(order)
            results = await self._orders.carry_out([(instance, [chain]) for instance, chain in by_site.items()], asked)
            return [results[place] for place in range(len(orders))]

        return await self._call(asked, call, request, len(orders), work)

    async def _call(
        self, asked: Asked, call: WriteCall, request: object, orders: int, work: Callable[[], Awaitable[list[WriteResult]]]
    ) -> list[WriteResult]:
        """Counts, admits and records the call, and finishes it whatever becomes of the caller."""
        if not orders:
            raise RequestError(Code.BAD_REQUEST, "There is nothing to do: the list is empty.")
        if orders > MOST_ITEMS:
            raise RequestError(Code.LIMIT_EXCEEDED, f"At most {MOST_ITEMS} at once, not {orders}.")

        async def admitted() -> list[WriteResult]:
            with self._admission.admit(asked.caller.subject, orders):
                return await work()

        whole = (asked.operation, request, asked.dry_run)
        return await self._finish(self._once.run(call.idempotency_key, asked.caller, whole, asked.deadline, admitted))

    async def _finish(self, work: Coroutine[Any, Any, list[WriteResult]]) -> list[WriteResult]:
        task = asyncio.create_task(work, name="write")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[list[WriteResult]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at also where the caller has left


def _told(tags: Iterable[Tag]) -> str:
    return ", ".join(f"{tag.type}:{tag.name} ({tag.scope})" for tag in tags)
