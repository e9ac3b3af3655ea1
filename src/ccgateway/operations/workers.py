"""Serving with several processes: one socket, bound once and shared, and a worker for each core.

uvicorn's supervisor starts the workers, watches them, replaces one that died, and ends them all with itself. What it lacks is
here: how a worker gets its application (from settings that were found good, so that what is wrong with them is told once), a word
when one had to be replaced, and workers that do not outlive a supervisor that was killed.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable
from functools import partial

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess

from ccgateway.app import create_app
from ccgateway.operations.memory import calm_collector, keep_freed_memory
from ccgateway.operations.serving import quiet_server, server_config
from ccgateway.operations.stopping import Stoppable
from ccgateway.operations.telling import Meeting, answer_from, gathered
from ccgateway.settings import Settings
from ccgateway.telemetry import configure_logging

__all__ = ["serve_with_workers"]

log = logging.getLogger(__name__)


def serve_with_workers(
    settings: Settings,
    listener: socket.socket,
    workers: int,
    *,
    when_listening: Callable[[], None],
) -> bool:
    """Serves until Ctrl-C or SIGTERM; whether the workers could start. ``settings`` must be good: ``create_app`` takes them."""
    quiet_server()
    with gathered(settings.metrics) as meeting:
        application = partial(_application, settings, meeting)
        config = server_config(application, workers=workers)
        supervisor = _Workers(config, listener, when_listening)
        supervisor.run()
    return not any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)


class _Workers(Multiprocess):
    """uvicorn's supervisor, which says when the workers are ready and when one was lost."""

    def __init__(self, config: Config, listener: socket.socket, when_listening: Callable[[], None]) -> None:
        super().__init__(config, [listener])
        self._when_listening: Callable[[], None] | None = when_listening

    def keep_subprocess_alive(self) -> None:
        """As uvicorn's; it looks twice a second."""
        before = list(self.processes)
        super().keep_subprocess_alive()
        for lost, found in zip(before, self.processes, strict=True):
            if lost is not found:
                log.warning("worker %s ended unexpectedly (exit status %s) and was replaced", lost.pid, lost.exitcode)
        if self._when_listening is not None and all(process.is_ready() for process in self.processes):
            self._when_listening()
            self._when_listening = None


def _application(settings: Settings, meeting: Meeting | None) -> Stoppable:
    """The application of one worker, made within its event loop."""
    configure_logging(settings.log.level, settings.log.format)
    quiet_server()
    keep_freed_memory()
    _end_with_supervisor()
    app = create_app(settings)
    if meeting is not None:
        answer_from(app.meter.samples, meeting)
    application = Stoppable(app)
    calm_collector()
    return application


def _end_with_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return
    loop = asyncio.get_running_loop()

    def leave() -> None:
        loop.remove_reader(supervisor.sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(supervisor.sentinel, leave)
