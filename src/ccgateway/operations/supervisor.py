"""Serving with several processes: a supervisor that answers nobody, and a worker for each core.

The supervisor holds the listening sockets, so that what waits there when a worker ends waits for the next one; starts the
workers, replaces one that died, leaves or hangs, hands them new settings, which all of them take or none, and brings them to
their end. A place where no worker can start listens no more, so that the others get its share.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

from ccgateway.errors import SettingsError
from ccgateway.operations.line import (
    Alive,
    Begin,
    Commit,
    Committed,
    Discard,
    FromSupervisor,
    FromWorker,
    Leaving,
    Line,
    Prepare,
    Prepared,
    Unfit,
)  # fmt: skip
from ccgateway.operations.listening import one_more
from ccgateway.operations.stopping import Stage, next_stage
from ccgateway.operations.telling import Meeting
from ccgateway.operations.worker_process import work
from ccgateway.settings import Settings
from ccgateway.telemetry import configure_logging

__all__ = ["Supervisor"]

log = logging.getLogger("ccgateway.workers")

#: seconds between two signs of life that are asked for, and how many may be missed before a worker is replaced
PAUSE, MISSED = 1.0, 30
#: as ``MISSED``, of one that does not serve yet: where nobody waits for it, and where connections do
STARTS_WITHIN, ANSWERS_WITHIN = 120, 10
#: seconds in which a worker has to have made something of new settings
PREPARED_IN = 30.0
#: seconds beyond those for the end, after which a worker is killed
OVERTIME = 10.0
#: seconds before another try where a worker could not start, or ended as soon as it served: at first, and at most
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: seconds of service after which a worker's end is not one of its start
SETTLED = 1.0


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as the supervisor sees it.

    ``began``: when it began to serve, on the loop's clock. ``is_outdated``: it starts with settings that hold no more.
    ``is_owing``: a sign of life that it was asked for is still to come. ``is_going``: it has ended, or is about to.
    """

    process: BaseProcess
    line: Line[FromSupervisor, FromWorker]
    hearing: asyncio.Task[None] | None = None
    began: float | None = None
    is_outdated: bool = False
    is_owing: bool = False
    problem: str | None = None
    missed: int = 0
    is_going: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Queue[Prepared | Committed | None] = field(default_factory=asyncio.Queue)

    async def ask(self, message: Prepare | Commit) -> Prepared | Committed | None:
        """Its answer to that message; ``None`` if it ends, or gives none in time."""
        self.line.say(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARED_IN):
                while (answer := await self.answers.get()) is not None:
                    if answer.number == message.number:
                        return answer
        return None


@dataclass(slots=True, eq=False)
class _Place:
    """Where a worker serves: what it listens on, and who does.

    ``failures``: how many in a row could not start there or ended early; ``is_empty``: it was said that none can; ``told``: why.
    """

    listeners: list[socket.socket]
    worker: _Worker | None = None
    failures: int = 0
    is_empty: bool = False
    told: str = ""


class Supervisor:
    """Serves ``settings``, which must be good, with a worker for each of ``places``, until it is told to end.

    Args:
        settings: What the workers begin with.
        places: Where each of them listens; closed in the end.
        meeting: Where they tell their metrics; ``None``: nowhere.
        when_listening: Called once all of them do.
    """

    def __init__(
        self,
        settings: Settings,
        places: list[list[socket.socket]],
        meeting: Meeting | None,
        *,
        when_listening: Callable[[], None],
    ) -> None:
        self._settings, self._meeting, self._when_listening = settings, meeting, when_listening
        self._places = [_Place(listeners) for listeners in places]
        #: all that have not ended, those that leave among them
        self._workers: set[_Worker] = set()
        self._tasks = asyncio.TaskGroup()
        self._stage = Stage.SERVING
        self._moved, self._has_begun, self._no_pause = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._failed = False
        self._numbers = count()

    async def serve(self) -> bool:
        """Returns once all have ended; whether the workers could start."""
        try:
            if self._is_serving():
                async with self._tasks:
                    for number, place in enumerate(self._places):
                        self._tasks.create_task(self._keep(place), name=f"worker {number}")
                    self._tasks.create_task(self._see_to_end(), name="end of the workers")
        finally:
            for worker in self._workers:
                worker.process.kill()
            self._close()
        return not self._failed

    async def take(self, settings: Settings) -> None:
        """Has all workers go over to ``settings``. Raises ``SettingsError`` where one of them cannot: then none does.

        A place without a worker that serves is not waited for, as what keeps one from starting may be what ``settings`` mend.
        """
        await self._has_begun.wait()
        self._refuse_too_late()
        number, prepared = next(self._numbers), set[_Worker]()
        while asked := self._serving() - prepared:  # more may begin to serve meanwhile
            workers = list(asked)
            answers = await asyncio.gather(*(worker.ask(Prepare(number, settings)) for worker in workers))
            prepared |= asked
            problems = [answer.problem for answer in answers if isinstance(answer, Prepared) and answer.problem is not None]
            if problems:
                for worker in prepared:
                    worker.line.say(Discard())
                raise SettingsError(*problems[0])
            for worker, answer in zip(workers, answers, strict=True):
                if answer is None and not worker.is_going.is_set():
                    log.warning("worker %s does not answer", worker.process.pid)
                    worker.process.kill()
        self._refuse_too_late()
        self._settings = settings
        configure_logging(settings.log.level, settings.log.format)
        for place in self._places:
            place.told = ""  # what it was may be mended, and if not, is to be said again
            if place.worker is not None and place.worker not in prepared:
                place.worker.is_outdated = True
                place.worker.process.kill()
        self._go_on()
        # one that ends now is replaced by one with the new settings
        await asyncio.gather(*(worker.ask(Commit(number)) for worker in prepared if not worker.is_going.is_set()))

    def _refuse_too_late(self) -> None:
        if not self._is_serving():
            raise SettingsError("settings", "come too late: the gateway stops", "Start it again.")

    def _is_serving(self) -> bool:
        return self._stage is Stage.SERVING

    def _serving(self) -> set[_Worker]:
        workers = {place.worker for place in self._places}
        return {one for one in workers if one is not None and one.began is not None and not one.is_going.is_set()}

    def next_stage(self, number: int) -> None:
        """As ``GatewayServer.next_stage``, for all workers."""
        self._advance(next_stage(self._stage, number))

    def _advance(self, stage: Stage) -> None:
        if stage <= self._stage:
            return
        self._stage = stage
        if stage is Stage.DRAINING:
            asyncio.get_running_loop().call_later(self._settings.server.drain, self._advance, Stage.ENDING)
        else:
            self._close()
        for worker in self._workers:
            worker.line.say(stage)
        self._moved.set()
        self._has_begun.set()
        self._go_on()

    def _close(self) -> None:
        for place in self._places:
            for listener in place.listeners:
                listener.close()

    def _go_on(self) -> None:
        """Ends the pauses before workers are started again."""
        self._no_pause.set()
        self._no_pause = asyncio.Event()

    async def _see_to_end(self) -> None:
        """Kills workers that do not come to their end in time."""
        while self._stage < Stage.ENDING:
            await self._moved.wait()
            self._moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._settings.grace, self._settings.grpc.drain) + OVERTIME):
                for worker in list(self._workers):
                    await worker.ended.wait()
        for worker in self._workers:
            worker.process.kill()

    # --- one worker

    async def _keep(self, place: _Place) -> None:
        """Has a worker serve at that place, and another one whenever it ends or leaves, until the end of all."""
        while self._is_serving():
            try:
                worker = place.worker = await self._start(place)
            except OSError as error:  # no more processes, files or memory
                why, pause = f"no process could be started ({error.strerror or error})", self._failed_at(place)
            else:
                await self._watch(worker, place)
                why = "it was told to end"
                if worker.ended.is_set():
                    why = await self._take_leave_of(worker)
                else:
                    self._tasks.create_task(self._take_leave_of(worker), name=f"end of worker {worker.process.pid}")
                pause = self._lost(worker, place, why)
            if not self._is_serving():
                break
            if not self._has_begun.is_set():
                log.error("a worker could not start: %s", why)
                self._failed = True
                self._advance(Stage.ENDING)
                return
            if pause:
                self._stop_listening(place)
                self._tell_why(place, why)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._no_pause.wait()
        self._stop_listening(place)

    async def _start(self, place: _Place) -> _Worker:
        """Raises ``OSError`` where no process can be had."""
        ours, theirs = socket.socketpair()
        arguments = (theirs, place.listeners, self._meeting)
        process = multiprocessing.get_context("spawn").Process(target=work, args=arguments, name="ccgateway worker")
        try:
            with theirs, _deaf():
                process.start()
        except OSError:
            ours.close()
            raise
        line: Line[FromSupervisor, FromWorker] = await Line.over(ours)
        # said, not given to the process with its start: there they would wait for a reader that may have ended
        line.say(Begin(self._settings))
        if not self._is_serving():
            line.say(self._stage)
        worker = _Worker(process, line)
        self._workers.add(worker)
        worker.hearing = self._tasks.create_task(self._hear(worker, place), name=f"hear worker {process.pid}")
        asyncio.get_running_loop().add_reader(process.sentinel, self._note_end, worker)
        return worker

    def _note_end(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.process.sentinel)
        worker.ended.set()
        worker.is_going.set()

    async def _hear(self, worker: _Worker, place: _Place) -> None:
        while (message := await worker.line.hear()) is not None:
            worker.missed, worker.is_owing = 0, False
            match message:
                case Alive():
                    self._note_life(worker, place)
                case Unfit(problem):
                    worker.problem = problem
                case Leaving():
                    worker.is_going.set()
                case Prepared() | Committed():
                    worker.answers.put_nowait(message)
        worker.answers.put_nowait(None)

    def _note_life(self, worker: _Worker, place: _Place) -> None:
        if worker.began is not None:
            return
        worker.began = asyncio.get_running_loop().time()
        if place.is_empty:
            log.warning("worker %s serves where none could start", worker.process.pid)
            place.is_empty, place.told = False, ""
        is_all = all(one.worker is not None and one.worker.began is not None for one in self._places)
        if is_all and not self._has_begun.is_set():
            self._has_begun.set()
            self._when_listening()

    async def _watch(self, worker: _Worker, place: _Place) -> None:
        """Returns once it has ended or leaves; ends one that gives no sign of life, or takes too long to start."""
        while not worker.is_going.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await worker.is_going.wait()
                return
            worker.missed += 1
            if worker.began is not None:
                most = MISSED
            else:
                most = ANSWERS_WITHIN if self._has_begun.is_set() and self._listens(place) else STARTS_WITHIN
            if worker.missed > most and self._is_serving():
                log.warning("worker %s gives no sign of life", worker.process.pid)
                worker.process.kill()
            elif worker.began is not None and not worker.is_owing:
                worker.line.say(Alive())
                worker.is_owing = True

    async def _take_leave_of(self, worker: _Worker) -> str:
        """How a worker ended, by its last word if there is one; lets go of what it had."""
        await worker.ended.wait()
        worker.process.join()
        if worker.hearing is not None:
            await asyncio.wait([worker.hearing], timeout=PAUSE)
        worker.line.abandon()
        self._workers.discard(worker)
        return worker.problem or f"exit status {worker.process.exitcode}"

    def _lost(self, worker: _Worker, place: _Place, why: str) -> float:
        """Notes that a worker ended, or leaves; seconds until another is tried."""
        if worker.is_outdated:
            return 0.0
        if worker.began is None:
            return self._failed_at(place)
        if self._is_serving():
            how = f"ended unexpectedly ({why})" if worker.ended.is_set() else "was told to end"
            log.warning("worker %s %s and was replaced", worker.process.pid, how)
        if not worker.ended.is_set() or asyncio.get_running_loop().time() - worker.began > SETTLED:
            place.failures = 0
            return 0.0
        pause = self._failed_at(place)
        return pause if place.failures > 1 else 0.0  # what waits there is not given up at once

    def _failed_at(self, place: _Place) -> float:
        place.failures += 1
        return float(min(FIRST_PAUSE * 2 ** min(place.failures - 1, 10), LONGEST_PAUSE))

    def _tell_why(self, place: _Place, why: str) -> None:
        if why != place.told:  # once, and not twice a minute for a night
            place.is_empty, place.told = True, why
            log.error("no worker could take the place of one that ended, so that the others serve: %s", why)

    def _listens(self, place: _Place) -> bool:
        return any(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in place.listeners if one.fileno() >= 0)

    def _stop_listening(self, place: _Place) -> None:
        """Has those who connect go to other places, until a worker listens there again; not where places share a socket."""
        for number, listener in enumerate(place.listeners):
            if sum(listener in one.listeners for one in self._places) > 1:
                continue
            # a port that only root may have cannot be had again: a place that hangs now and then is better than none
            with contextlib.suppress(OSError):
                if listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    place.listeners[number] = one_more(listener)
                    listener.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that starts within hears no signals until it says that it can: a terminal's go to all processes at once."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        resource_tracker.ensure_running()  # which unblocks some of them when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
