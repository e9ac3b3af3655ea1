"""Serving with several processes: a supervisor that answers nobody, and a worker for each core.

The supervisor holds the listening sockets, so that what waits there outlives a worker; starts the workers, replaces one that died
or hangs, hands them new settings, which all of them take or none, and brings them to their end. Workers do not outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeAlias

from ccgateway.app import create_app
from ccgateway.errors import SettingsError
from ccgateway.operations.generations import Generations
from ccgateway.operations.reloading import unforeseen
from ccgateway.operations.serving import GatewayServer, run, server_for
from ccgateway.operations.stopping import Stage, next_stage
from ccgateway.operations.telling import Meeting, answer_from
from ccgateway.settings import Settings
from ccgateway.telemetry import configure_logging

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

#: seconds between two signs of life that are asked for, and how many may be missed before a worker is replaced
PAUSE, MISSED = 1.0, 30
#: seconds in which a worker has to have made something of new settings, one that only starts included
PREPARED_IN = 30.0
#: seconds beyond those for the end, after which a worker is killed; and the longest pause before a worker is started again
OVERTIME, LONGEST_PAUSE = 10.0, 30.0


@dataclass(frozen=True, slots=True)
class _Prepare:
    number: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class _Prepared:
    number: int
    problem: tuple[str, str, str] | None


@dataclass(frozen=True, slots=True)
class _Commit:
    number: int


@dataclass(frozen=True, slots=True)
class _Discard:
    pass


@dataclass(frozen=True, slots=True)
class _Committed:
    number: int


@dataclass(frozen=True, slots=True)
class _Alive:
    """Asked of a worker, and its answer once it serves."""


_Message: TypeAlias = "_Prepare | _Prepared | _Commit | _Committed | _Discard | _Alive | Stage"
_Answer: TypeAlias = "_Prepared | _Committed"


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as the supervisor sees it."""

    process: BaseProcess
    connection: Connection
    is_up: bool = False
    missed: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Queue[_Answer | None] = field(default_factory=asyncio.Queue)

    def send(self, message: _Message) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has ended, which is seen elsewhere
            self.connection.send(message)

    async def ask(self, message: _Prepare | _Commit) -> _Answer | None:
        """Its answer to that message; ``None`` if it ends, or gives none in time."""
        self.send(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PREPARED_IN):
                while (answer := await self.answers.get()) is not None:
                    if answer.number == message.number:
                        return answer
        return None


class Supervisor:
    """Serves ``settings``, which must be good, with a worker for each of ``listeners``, until it is told to end.

    Args:
        settings: What the workers begin with.
        listeners: Where they listen; closed in the end.
        meeting: Where they tell their metrics; ``None``: nowhere.
        when_listening: Called once all of them do.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: list[socket.socket],
        meeting: Meeting | None,
        *,
        when_listening: Callable[[], None],
    ) -> None:
        self._settings, self._listeners, self._meeting = settings, listeners, meeting
        self._when_listening: Callable[[], None] | None = when_listening
        self._workers: list[_Worker] = []
        self._stage = Stage.SERVING
        self._moved = asyncio.Event()
        self._failed = False
        self._numbers = count()

    async def serve(self) -> bool:
        """Returns once all have ended; whether the workers could start."""
        self._workers = [self._start(listener) for listener in self._listeners]
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(len(self._workers)):
                    group.create_task(self._keep(place), name=f"worker {place}")
                group.create_task(self._see_to_end(), name="end of the workers")
        finally:
            for worker in self._workers:
                worker.process.kill()
            for listener in self._listeners:
                listener.close()
        return not self._failed

    async def take(self, settings: Settings) -> None:
        """Has all workers go over to ``settings``. Raises ``SettingsError`` where one of them cannot: then none does."""
        workers, number = list(self._workers), next(self._numbers)
        answers = await asyncio.gather(*(worker.ask(_Prepare(number, settings)) for worker in workers))
        problems = [answer.problem for answer in answers if isinstance(answer, _Prepared) and answer.problem is not None]
        is_mute = any(answer is None for answer in answers)
        if problems or is_mute or workers != self._workers:
            for worker in workers:
                worker.send(_Discard())
            if problems:
                raise SettingsError(*problems[0])
            raise SettingsError("server.workers", "a worker ended or did not answer meanwhile", "Reload again.")
        self._settings = settings
        configure_logging(settings.log.level, settings.log.format)
        # one that ends now is replaced by one with the new settings
        await asyncio.gather(*(worker.ask(_Commit(number)) for worker in workers))

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
            for listener in self._listeners:
                listener.close()
        for worker in self._workers:
            worker.send(stage)
        self._moved.set()

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

    def _start(self, listener: socket.socket) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (self._settings, theirs, listener, self._meeting)
        process = context.Process(target=_work, args=arguments, name="ccgateway worker")
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
        worker.missed = 0
        if not isinstance(message, _Alive):
            worker.answers.put_nowait(message)
            return
        worker.is_up = True
        if self._when_listening is not None and all(one.is_up for one in self._workers):
            self._when_listening()
            self._when_listening = None

    async def _keep(self, place: int) -> None:
        """Replaces the worker at that place whenever it ends, until the end of all."""
        pause = 0.0
        while True:
            worker = self._workers[place]
            await self._watch(worker)
            worker.process.join()
            asyncio.get_running_loop().remove_reader(worker.connection.fileno())
            worker.connection.close()
            worker.answers.put_nowait(None)
            if self._stage >= Stage.DRAINING:
                return
            status = worker.process.exitcode
            if self._when_listening is not None:
                log.error("a worker could not start (exit status %s)", status)
                self._failed = True
                self._advance(Stage.ENDING)
                return
            log.warning("worker %s ended unexpectedly (exit status %s) and was replaced", worker.process.pid, status)
            pause = 0.0 if worker.is_up else min(2 * pause or 1.0, LONGEST_PAUSE)
            await asyncio.sleep(pause)
            if self._stage >= Stage.DRAINING:
                return
            self._workers[place] = self._start(self._listeners[place])

    async def _watch(self, worker: _Worker) -> None:
        """Returns once it has ended; ends one that gives no sign of life."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await worker.ended.wait()
                return
            worker.missed += worker.is_up
            if worker.missed > MISSED and self._stage is Stage.SERVING:
                log.warning("worker %s gives no sign of life", worker.process.pid)
                worker.process.kill()
            elif worker.is_up:
                worker.send(_Alive())


# --- within a worker


def _work(settings: Settings, connection: Connection, listener: socket.socket, meeting: Meeting | None) -> None:
    """The life of a worker. A terminal's Ctrl-C and hang-up are for the supervisor to hear."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings.log.level, settings.log.format)
    run(_serve(settings, connection, listener, meeting))


class _WorkersServer(GatewayServer):
    """Of one worker: its stages come from the supervisor, and a signal to all processes must not count twice."""

    def next_stage(self, number: int) -> None:  # noqa: ARG002
        """The first, whatever the signal and however often."""
        self.advance(Stage.DRAINING)


async def _serve(settings: Settings, connection: Connection, listener: socket.socket, meeting: Meeting | None) -> None:
    loop, tls = asyncio.get_running_loop(), settings.server.tls_context()
    application = create_app(settings)
    if meeting is not None:
        answer_from(application.meter.samples, meeting)
    generations = Generations(application, tls)
    server = server_for(
        generations,
        settings,
        tls=tls,
        when_listening=lambda: connection.send(_Alive()),
        kind=_WorkersServer,
    )
    messages: asyncio.Queue[_Message] = asyncio.Queue()

    def hear() -> None:
        try:
            message = connection.recv()
        except (OSError, EOFError):  # the supervisor is gone
            loop.remove_reader(connection.fileno())
            server.advance(Stage.ENDING)
            return
        if isinstance(message, _Alive):
            connection.send(message)
        elif isinstance(message, Stage):
            server.advance(message)
        else:
            messages.put_nowait(message)

    loop.add_reader(connection.fileno(), hear)
    work = _heed(messages, connection, generations, lambda: server.advance(Stage.ENDING))
    heeding = asyncio.create_task(work, name="heed the supervisor")
    try:
        await server.serve([listener])
    finally:
        heeding.cancel()
        loop.remove_reader(connection.fileno())


async def _heed(
    messages: asyncio.Queue[_Message], connection: Connection, generations: Generations, end: Callable[[], None]
) -> None:
    """Does what the supervisor says of settings. ``end``: ends the worker."""
    while True:
        match await messages.get():
            case _Prepare(number, settings):
                try:
                    await generations.prepare(settings)
                except SettingsError as error:
                    connection.send(_Prepared(number, (error.key, error.problem, error.remedy)))
                except Exception as error:
                    log.exception("settings could not be prepared")
                    connection.send(_Prepared(number, unforeseen(error)))
                else:
                    connection.send(_Prepared(number, None))
            case _Commit(number):
                try:
                    await generations.commit()
                except Exception:  # the supervisor begins another, with what holds
                    log.exception("settings could not be taken over, so that this worker ends")
                    end()
                    return
                configure_logging(generations.settings.log.level, generations.settings.log.format)
                connection.send(_Committed(number))
            case _:
                await generations.discard()
