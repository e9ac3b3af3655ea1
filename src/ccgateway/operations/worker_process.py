"""The life of a worker process."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from ccgateway.app import create_app
from ccgateway.errors import SettingsError
from ccgateway.operations.generations import Generations
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
from ccgateway.operations.reloading import unforeseen
from ccgateway.operations.serving import GatewayServer, run, server_for
from ccgateway.operations.stopping import Stage
from ccgateway.operations.telling import Meeting, answer_from
from ccgateway.telemetry import configure_logging

__all__ = ["work"]

log = logging.getLogger("ccgateway.workers")

_Line = Line[FromWorker, FromSupervisor]


def work(end: socket.socket, listeners: list[socket.socket], meeting: Meeting | None) -> None:
    """Serves at ``listeners`` what the supervisor says. ``end``: of the line to it.

    Signals are blocked when it begins. A terminal's Ctrl-C and hang-up are for the supervisor to hear.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGHUP))
    if not run(_live(end, listeners, meeting)):
        raise SystemExit(1)


class _WorkersServer(GatewayServer):
    """Of one worker: its stages come from the supervisor, and a signal to all processes must not count twice."""

    def next_stage(self, number: int) -> None:  # noqa: ARG002
        """The first, whatever the signal and however often."""
        self.advance(Stage.DRAINING)


async def _live(end: socket.socket, listeners: list[socket.socket], meeting: Meeting | None) -> bool:
    """Whether it could start."""
    line: _Line = await Line.over(end)
    begun = await line.hear()
    if not isinstance(begun, Begin):  # the supervisor is gone
        return True
    settings = begun.settings
    configure_logging(settings.log.level, settings.log.format)
    try:
        tls, application = settings.server.tls_context(), create_app(settings)
    except SettingsError as error:
        line.say(Unfit(str(error)))
        await line.close()
        return False
    if meeting is not None:
        answer_from(application.meter.samples, meeting)
    generations = Generations(application, tls)

    def listens() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))  # it is heeded from now on
        line.say(Alive())

    server = server_for(
        generations,
        settings,
        tls=tls,
        when_listening=listens,
        when_stopping=lambda: line.say(Leaving()),
        kind=_WorkersServer,
    )
    news: asyncio.Queue[Prepare | Commit | Discard] = asyncio.Queue()
    heeding = [
        asyncio.create_task(_hear(line, server, news), name="hear the supervisor"),
        asyncio.create_task(_heed(line, server, news, generations), name="heed new settings"),
    ]
    try:
        await server.serve(listeners)
    finally:
        for task in heeding:
            task.cancel()
        await line.close()
    return True


async def _hear(line: _Line, server: GatewayServer, news: asyncio.Queue[Prepare | Commit | Discard]) -> None:
    """Answers at once what can be, so that long work is no silence."""
    while (message := await line.hear()) is not None:
        match message:
            case Alive():
                line.say(message)
            case Stage():
                server.advance(message)
            case Prepare() | Commit() | Discard():
                news.put_nowait(message)
            case Begin():
                pass  # it has
    server.advance(Stage.ENDING)  # the supervisor is gone


async def _heed(
    line: _Line, server: GatewayServer, news: asyncio.Queue[Prepare | Commit | Discard], generations: Generations
) -> None:
    """Does what the supervisor says of settings."""
    while True:
        match await news.get():
            case Prepare(number, settings):
                try:
                    await generations.prepare(settings)
                except SettingsError as error:
                    line.say(Prepared(number, (error.key, error.problem, error.remedy)))
                except Exception as error:
                    log.exception("settings could not be prepared")
                    line.say(Prepared(number, unforeseen(error)))
                else:
                    line.say(Prepared(number, None))
            case Commit(number):
                try:
                    await generations.commit()
                except Exception:  # the supervisor begins another, with what holds
                    log.exception("settings could not be taken over, so that this worker ends")
                    server.advance(Stage.ENDING)
                    return
                configure_logging(generations.settings.log.level, generations.settings.log.format)
                line.say(Committed(number))
            case Discard():
                await generations.discard()
