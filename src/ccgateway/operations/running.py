"""``ccgateway serve``: one process or several, what reaches them from outside (signals, the control socket, the service manager),
and their end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ccgateway import __version__
from ccgateway.app import Application, create_app
from ccgateway.operations import console
from ccgateway.operations.calling import grpc_address
from ccgateway.operations.control import control_path, controlled
from ccgateway.operations.generations import Generations
from ccgateway.operations.listening import activated, listeners_for, reserved, url_of
from ccgateway.operations.notifying import Notifier
from ccgateway.operations.outlook import tell_outlook
from ccgateway.operations.reloading import Reloader
from ccgateway.operations.serving import quiet_signals, refuse_without_sites, run, server_for, stop_signals
from ccgateway.operations.supervisor import Supervisor
from ccgateway.operations.telling import Meeting, gathered, told
from ccgateway.settings import Settings
from ccgateway.settings.base import is_loopback
from ccgateway.telemetry import configure_logging
from ccgateway.telemetry.samples import added

__all__ = ["serve"]


def serve(load: Callable[[], Settings], file: Path | None) -> bool:
    """Serves until Ctrl-C or SIGTERM; whether the workers could start. Raises ``SettingsError`` for settings that cannot be used.

    ``load`` reads the settings; ``file``: the one that they are in.
    """
    wanted = load()
    refuse_without_sites(wanted)
    given = activated()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a parent's habit of ignoring it hides that a worker has ended
    with quiet_signals(), reserved(_at(wanted, given)) as settings:
        configure_logging(settings.log.level, settings.log.format)
        workers = settings.server.workers
        tls = settings.server.tls_context()
        application = create_app(settings)
        settings.check_workers()
        places = [given] * workers if given else [[listener] for listener in listeners_for(settings, workers)]
        running = _Running(settings, load, file, places)
        try:
            if workers == 1:
                with told(settings.metrics, lambda: added([application.meter.samples()])):
                    run(running.alone(Generations(application, tls)))
                return True
            with gathered(settings.metrics, workers) as meeting:
                return run(running.with_workers(application, meeting))
        finally:
            if settings.server.unix_socket is not None and not given:
                settings.server.unix_socket.unlink(missing_ok=True)


def _at(settings: Settings, given: list[socket.socket]) -> Settings:
    """The settings with the address of the sockets that were handed over; of several, that which the most can reach."""
    if not given:
        return settings
    widest = max(given, key=_reach)
    named = widest.getsockname()
    if widest.family == socket.AF_UNIX:
        update: dict[str, object] = {"unix_socket": Path(named if isinstance(named, str) else named.decode(errors="replace"))}
    else:
        update = {"host": named[0], "port": named[1], "unix_socket": None}
    return settings.model_copy(update={"server": settings.server.model_copy(update=update)})


def _reach(listener: socket.socket) -> int:
    if listener.family == socket.AF_UNIX:
        return 0
    return 1 if is_loopback(listener.getsockname()[0]) else 2


class _Running:
    """The gateway while it runs."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        file: Path | None,
        places: list[list[socket.socket]],
    ) -> None:
        self._settings, self._load, self._file, self._places = settings, load, file, places
        self._notifier, self._listening = Notifier(), asyncio.Event()

    async def alone(self, generations: Generations) -> None:
        """In this process."""
        server = server_for(
            generations,
            self._settings,
            tls=generations.tls,
            when_listening=self._announce,
            when_stopping=self._notifier.stopping,
        )

        async def take(settings: Settings) -> None:
            await generations.prepare(settings)
            await generations.commit()
            configure_logging(settings.log.level, settings.log.format)

        async with self._reached(take):
            await server.serve(sockets=self._places[0])

    async def with_workers(self, application: Application, meeting: Meeting | None) -> bool:
        """In processes of their own; whether they could start. ``application`` has shown that the settings are good."""
        await application.aclose()
        supervisor = Supervisor(self._settings, self._places, meeting, when_listening=self._announce)

        def stop(number: int) -> None:
            self._notifier.stopping()
            supervisor.next_stage(number)

        with stop_signals(stop):
            async with self._reached(supervisor.take):
                return await supervisor.serve()

    @asynccontextmanager
    async def _reached(self, take: Callable[[Settings], Awaitable[None]]) -> AsyncIterator[None]:
        """For the length of the block: reloads when asked, and signs of life for who wants them."""
        reloader = Reloader(self._settings, self._load, take, self._notifier)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, reloader.request)
        path = control_path(self._settings, self._file)
        tasks = [
            asyncio.create_task(reloader.run(), name="reload"),
            asyncio.create_task(self._live(), name="signs of life"),
            asyncio.create_task(self._tell_outlook(), name="outlook"),
        ]
        try:
            async with controlled(path, reloader.reload):
                yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_outlook(self) -> None:
        await self._listening.wait()
        await tell_outlook(self._settings)

    async def _live(self) -> None:
        while self._notifier.watchdog is not None:
            self._notifier.alive()
            await asyncio.sleep(self._notifier.watchdog / 2)

    def _announce(self) -> None:
        settings, count = self._settings, len(self._settings.sites)
        where = f"{url_of(self._places[0][0], has_tls=settings.server.tls_cert is not None)}/graphql"
        if settings.grpc.port is not None:
            where += f" and by gRPC at {grpc_address(settings.grpc)}"
        words = f"serves {count} {'site' if count == 1 else 'sites'} at {where}"
        with suppress(OSError):  # who started it may not listen, or its disk is full: that keeps nobody from serving
            console.stderr().print(f"ccgateway {__version__} {words}", soft_wrap=True)
        self._notifier.ready()
        self._notifier.status(words)
        self._listening.set()
