"""Calls that write: each is admitted, happens once for its idempotency key, and is finished even if its caller goes away.

What was sent is read back, recorded and written to the audit log, whoever still waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.federation.closing import NOT_SENT, Closing
from ccgateway.federation.commands import CommandExecutor, WriteOperation
from ccgateway.federation.idempotency import IdempotencyGuard
from ccgateway.federation.progress import Progress, Subject
from ccgateway.federation.write_rates import Admission
from ccgateway.jobs.writes import MOST_ITEMS, WriteResult
from ccgateway.telemetry.requests import Question, asked_for

__all__ = ["WriteCalls"]


@dataclass(slots=True)
class WriteCalls:
    """Runs calls. ``timeout``: seconds that one may take once it is admitted."""

    executor: CommandExecutor
    admission: Admission
    guard: IdempotencyGuard
    closing: Closing
    timeout: float
    _running: set[asyncio.Task[list[WriteResult]]] = field(default_factory=set)

    async def run(
        self, operation: WriteOperation, request: object, subjects: list[Subject],
        work: Callable[[WriteOperation, Progress], Awaitable[None]],
    ) -> list[WriteResult]:  # fmt: skip
        """One result for each of the subjects, which ``work`` gives to its ``Progress``.

        ``request``: what another call with the same idempotency key has to be equal in. Raises ``RequestError`` for a call that
        is refused as a whole.
        """
        asked_for(Question.WRITE)
        commands = len(subjects)
        if not commands:
            raise RequestError(Code.BAD_REQUEST, "There is nothing to do: the list is empty.")
        if commands > MOST_ITEMS:
            raise RequestError(Code.LIMIT_EXCEEDED, f"At most {MOST_ITEMS} at once, not {commands}.")

        if self.closing.is_begun:
            raise RequestError(Code.STOPPING, NOT_SENT)
        progress = Progress(subjects)

        async def admitted() -> list[WriteResult]:
            with self.admission.admit(operation.caller.subject, commands):
                # its time begins here: to wait for another call with its key has cost nothing of it
                await work(replace(operation, deadline=Deadline.after(self.timeout)), progress)
                return [progress.results[number] for number in range(commands)]

        whole = (operation.name, request, operation.dry_run)
        once = self.guard.run(operation.call, operation.caller, whole, admitted)
        return await self._finish(once, operation, progress)

    async def _finish(
        self, work: Coroutine[Any, Any, list[WriteResult]], operation: WriteOperation, progress: Progress
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
        for number in progress.under_way():  # should the process end before it is known, this is what was told
            self.executor.audit_result(operation, progress.subjects[number].detail, results[number])
        return results

    def _ended(self, task: asyncio.Task[list[WriteResult]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at also where the caller has left

    async def aclose(self) -> None:
        """Waits for the calls that are running: each ends with its request's time."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)
