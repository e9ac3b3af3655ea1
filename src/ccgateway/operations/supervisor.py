"""Serving with several processes: a supervisor that answers nobody, and a worker for each core.

The supervisor holds the listening sockets, so that what waits there outlives a worker; starts the workers, replaces one that died
or hangs, hands them new settings, which all of them take or none, and brings them to their end. Workers do not outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ccgateway.errors import SettingsError
from ccgateway.operations.listening import one_more
from ccgateway.operations.stopping import Stage, next_stage
from ccgateway.operations.telling import Meeting
from ccgateway.operations.worker_process import Alive, Answer, Commit, Committed, Discard, Message, Prepare, Prepared, Unfit, work
from ccgateway.settings import Settings
from ccgateway.telemetry import configure_logging

__all__ = ["Supervisor"]

log = logging.getLogger("ccgateway.workers")

#: seconds between two signs of life that are asked for, and how many may be missed before a worker is replaced
PAUSE, MISSED = 1.0, 30
#: seconds in which a worker has to have made something of new settings, the first ones that only start included
PREPARED_IN = 30.0
#: as ``MISSED``, of one that takes another's place and does not serve yet
STARTS_WITHIN = 120
#: seconds beyond those for the end, after which a worker is killed
OVERTIME = 10.0
#: seconds before another try where a worker could not start: at first, and at most
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as the supervisor sees it."""

    process: BaseProcess
    connection: Connection
    is_up: bool = False
    is_outdated: bool = False
    is_missed: bool = False
    problem: str | None = None
    missed: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Queue[Answer | None] = field(default_factory=asyncio.Queue)

    def send(self, message: Message) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended, which is seen elsewhere
            self.connection.send(message)

    async def ask(self, message: Prepare | Commit) -> Answer | None:
        """Its answer to that message; ``None`` if it ends, or gives none in time."""
        self.send(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARED_IN):
                while (answer := await self.answers.get()) is not None:
                    if answer.number == message.number:
                        return answer
        return None


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
        self._settings, self._places, self._meeting = settings, places, meeting
        self._when_listening: Callable[[], None] | None = when_listening
        self._workers: list[_Worker] = []
        self._stage = Stage.SERVING
        self._moved = asyncio.Event()
        self._no_pause = asyncio.Event()
        self._failed = False
        self._numbers = count()

    async def serve(self) -> bool:
        """Returns once all have ended; whether the workers could start."""
        self._workers = [self._start(place) for place in self._places]
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(len(self._workers)):
                    group.create_task(self._keep(place), name=f"worker {place}")
                group.create_task(self._see_to_end(), name="end of the workers")
        finally:
            for worker in self._workers:
                worker.process.kill()
            self._close()
        return not self._failed

    async def take(self, settings: Settings) -> None:
        """Has all workers go over to ``settings``. Raises ``SettingsError`` where one of them cannot: then none does.

        A place without a worker that serves is not waited for, as what keeps one from starting may be what ``settings`` mend.
        """
        is_start = self._when_listening is not None
        workers = [one for one in self._workers if (one.is_up or is_start) and not one.ended.is_set()]
        number = next(self._numbers)
        answers = await asyncio.gather(*(worker.ask(Prepare(number, settings)) for worker in workers))
        problems = [answer.problem for answer in answers if isinstance(answer, Prepared) and answer.problem is not None]
        is_mute = any(answer is None and not worker.ended.is_set() for worker, answer in zip(workers, answers, strict=True))
        others = [one for one in self._workers if one not in workers]
        if problems or is_mute or any(one.is_up for one in others):
            for worker in workers:
                worker.send(Discard())
            if problems:
                raise SettingsError(*problems[0])
            raise SettingsError("server.workers", "a worker began or did not answer meanwhile", "Reload again.")
        self._settings = settings
        configure_logging(settings.log.level, settings.log.format)
        for worker in others:
            worker.is_outdated = True
            worker.process.kill()
        self._go_on()
        # one that ends now is replaced by one with the new settings
        await asyncio.gather(*(worker.ask(Commit(number)) for worker in workers))

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
            worker.send(stage)
        self._moved.set()
        self._go_on()

    def _close(self) -> None:
        for place in self._places:
            for listener in place:
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
        loop = asyncio.get_running_loop()
        until = loop.time() + max(self._settings.grace, self._settings.grpc.drain) + OVERTIME
        while any(worker.process.is_alive() for worker in self._workers):
            if loop.time() > until:
                for worker in self._workers:
                    worker.process.kill()
            await asyncio.sleep(0.05)

    # --- one worker

    def _start(self, listeners: list[socket.socket]) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (self._settings, theirs, listeners, self._meeting)
        process = context.Process(target=work, args=arguments, name="ccgateway worker")
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours.fileno(), self._hear, worker)
        loop.add_reader(process.sentinel, self._note_end, worker)
        return worker

    def _note_end(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.process.sentinel)
        worker.ended.set()

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.connection.recv()
        except (OSError, EOFError):
            asyncio.get_running_loop().remove_reader(worker.connection.fileno())
            worker.answers.put_nowait(None)
            return
        self._heed(worker, message)

    def _heed(self, worker: _Worker, message: Message) -> None:
        worker.missed = 0
        match message:
            case Unfit(problem):
                worker.problem = problem
            case Alive():
                if worker.is_missed and not worker.is_up:
                    log.warning("worker %s serves where none could start", worker.process.pid)
                worker.is_up = True
                if self._when_listening is not None and all(one.is_up for one in self._workers):
                    self._when_listening()
                    self._when_listening = None
            case Prepared() | Committed():
                worker.answers.put_nowait(message)
            case _:
                raise AssertionError(f"not a worker's to say: {message}")

    async def _keep(self, place: int) -> None:
        """Replaces the worker at that place whenever it ends, until the end of all."""
        pause, told = 0.0, ""
        while True:
            worker = self._workers[place]
            await self._watch(worker)
            how = self._take_leave_of(worker)
            if self._stage >= Stage.DRAINING:
                return
            if self._when_listening is not None:
                log.error("a worker could not start: %s", how)
                self._failed = True
                self._advance(Stage.ENDING)
                return
            if worker.is_up:
                pause, told = 0.0, ""
                log.warning("worker %s ended unexpectedly (%s) and was replaced", worker.process.pid, how)
            elif worker.is_outdated:
                pause = 0.0
            else:
                pause = min(2 * pause or FIRST_PAUSE, LONGEST_PAUSE)
                self._stop_listening(self._places[place])
                if how != told:  # once, and not twice a minute for a night
                    told = how
                    log.error("no worker could take the place of one that ended, so that the others serve: %s", how)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._no_pause.wait()
            if self._stage >= Stage.DRAINING:
                return
            self._workers[place] = self._start(self._places[place])
            self._workers[place].is_missed = told != ""

    async def _watch(self, worker: _Worker) -> None:
        """Returns once it has ended; ends one that gives no sign of life, or takes too long to start."""
        is_first = self._when_listening is not None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await worker.ended.wait()
                return
            worker.missed += worker.is_up or not is_first
            if worker.missed > (MISSED if worker.is_up else STARTS_WITHIN) and self._stage is Stage.SERVING:
                log.warning("worker %s gives no sign of life", worker.process.pid)
                worker.process.kill()
            elif worker.is_up:
                worker.send(Alive())

    def _take_leave_of(self, worker: _Worker) -> str:
        """How a worker ended, by its last word if there is one; lets go of what it had."""
        worker.process.join()
        asyncio.get_running_loop().remove_reader(worker.connection.fileno())
        with contextlib.suppress(OSError, EOFError):
            while worker.connection.poll():
                self._heed(worker, worker.connection.recv())
        worker.connection.close()
        worker.answers.put_nowait(None)
        return worker.problem or f"exit status {worker.process.exitcode}"

    def _stop_listening(self, place: list[socket.socket]) -> None:
        """Has those who connect go to other places, until a worker listens there again; not where places share a socket."""
        for number, listener in enumerate(place):
            if sum(listener in one for one in self._places) == 1 and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                with contextlib.suppress(
                    OSError
                ):  # of a port that only root may have, say: better a place that is slow than none
                    place[number] = one_more(listener)
                    listener.close()
