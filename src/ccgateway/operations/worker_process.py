"""The life of a worker process, and what it and its supervisor tell each other."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeAlias

from ccgateway.app import create_app
from ccgateway.errors import SettingsError
from ccgateway.operations.generations import Generations
from ccgateway.operations.reloading import unforeseen
from ccgateway.operations.serving import GatewayServer, run, server_for
from ccgateway.operations.stopping import Stage
from ccgateway.operations.telling import Meeting, answer_from
from ccgateway.settings import Settings
from ccgateway.telemetry import configure_logging

__all__ = ["Alive", "Answer", "Commit", "Committed", "Discard", "Message", "Prepare", "Prepared", "Unfit", "work"]

log = logging.getLogger("ccgateway.workers")


@dataclass(frozen=True, slots=True)
class Prepare:
    number: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    number: int
    problem: tuple[str, str, str] | None


@dataclass(frozen=True, slots=True)
class Commit:
    number: int


@dataclass(frozen=True, slots=True)
class Discard:
    pass


@dataclass(frozen=True, slots=True)
class Committed:
    number: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """A worker's last word: why it cannot start."""

    problem: str


@dataclass(frozen=True, slots=True)
class Alive:
    """Asked of a worker, and its answer once it serves."""


Message: TypeAlias = "Prepare | Prepared | Commit | Committed | Discard | Unfit | Alive | Stage"
Answer: TypeAlias = "Prepared | Committed"


def work(settings: Settings, connection: Connection, listeners: list[socket.socket], meeting: Meeting | None) -> None:
    """The life of a worker. A terminal's Ctrl-C and hang-up are for the supervisor to hear."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings.log.level, settings.log.format)
    try:
        run(_serve(settings, connection, listeners, meeting))
    except SettingsError as error:
        connection.send(Unfit(str(error)))
        raise SystemExit(1) from None


class _WorkersServer(GatewayServer):
    """Of one worker: its stages come from the supervisor, and a signal to all processes must not count twice."""

    def next_stage(self, number: int) -> None:  # noqa: ARG002
        """The first, whatever the signal and however often."""
        self.advance(Stage.DRAINING)


async def _serve(settings: Settings, connection: Connection, listeners: list[socket.socket], meeting: Meeting | None) -> None:
    loop, tls = asyncio.get_running_loop(), settings.server.tls_context()
    application = create_app(settings)
    if meeting is not None:
        answer_from(application.meter.samples, meeting)
    generations = Generations(application, tls)
    server = server_for(
        generations,
        settings,
        tls=tls,
        when_listening=lambda: connection.send(Alive()),
        kind=_WorkersServer,
    )
    messages: asyncio.Queue[Message] = asyncio.Queue()

    def hear() -> None:
        try:
            message = connection.recv()
        except (OSError, EOFError):  # the supervisor is gone
            loop.remove_reader(connection.fileno())
            server.advance(Stage.ENDING)
            return
        if isinstance(message, Alive):
            connection.send(message)
        elif isinstance(message, Stage):
            server.advance(message)
        else:
            messages.put_nowait(message)

    loop.add_reader(connection.fileno(), hear)
    work = _heed(messages, connection, generations, lambda: server.advance(Stage.ENDING))
    heeding = asyncio.create_task(work, name="heed the supervisor")
    try:
        await server.serve(listeners)
    finally:
        heeding.cancel()
        loop.remove_reader(connection.fileno())


async def _heed(
    messages: asyncio.Queue[Message], connection: Connection, generations: Generations, end: Callable[[], None]
) -> None:
    """Does what the supervisor says of settings. ``end``: ends the worker."""
    while True:
        match await messages.get():
            case Prepare(number, settings):
                try:
                    await generations.prepare(settings)
                except SettingsError as error:
                    connection.send(Prepared(number, (error.key, error.problem, error.remedy)))
                except Exception as error:
                    log.exception("settings could not be prepared")
                    connection.send(Prepared(number, unforeseen(error)))
                else:
                    connection.send(Prepared(number, None))
            case Commit(number):
                try:
                    await generations.commit()
                except Exception:  # the supervisor begins another, with what holds
                    log.exception("settings could not be taken over, so that this worker ends")
                    end()
                    return
                configure_logging(generations.settings.log.level, generations.settings.log.format)
                connection.send(Committed(number))
            case _:
                await generations.discard()
