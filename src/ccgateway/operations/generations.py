"""The applications of one process, of which the newest answers: each is made from settings as they were read at one time.

A request ends with the application that it began with. One that has been replaced is closed once its last request has ended.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from ccgateway.app import Application, create_app
from ccgateway.errors import SettingsError
from ccgateway.settings import Settings
from ccgateway.settings.tls import KeyPair
from ccgateway.traffic.overload import Overload

__all__ = ["Generations"]


@dataclass(slots=True)
class _Generation:
    app: Application
    requests: int = 0
    is_idle: asyncio.Event | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            if self.is_idle is not None and not self.requests:
                self.is_idle.set()

    async def end(self) -> None:
        """Closes the application once nothing is under way in it."""
        if self.requests:
            self.is_idle = asyncio.Event()
            await self.is_idle.wait()
        await self.app.calls_ended()
        await self.app.aclose()


class Generations:
    """ASGI application. ``first`` answers until another takes its place: ``prepare``, then ``commit`` or ``discard``.

    ``tls``: what speaks TLS to callers; it shows the certificate of the settings that hold.
    """

    def __init__(self, first: Application, tls: ssl.SSLContext | None = None) -> None:
        self._now, self.tls = _Generation(first), tls
        self._prepared: Application | None = None
        # as it was read and checked with them: its files may be others by now
        self._pair: KeyPair | None = None
        self._ending: dict[asyncio.Task[None], Application] = {}

    @property
    def settings(self) -> Settings:
        """Those that hold."""
        return self._now.app.settings

    @property
    def overload(self) -> Overload:
        """What turns requests away when there are too many; one and the same for all applications."""
        return self._now.app.overload

    async def prepare(self, settings: Settings) -> None:
        """Makes an application from ``settings``. Raises ``SettingsError`` where they cannot be used, or where they would leave
        out a site that is asked now, or a new one, as its token cannot be read."""
        await self.discard()
        pair = settings.server.read_tls()
        prepared = create_app(settings, self._now.app)
        lost = [error for name, error in prepared.unreadable.items() if name not in self._now.app.unreadable]
        if lost:
            await prepared.aclose()
            raise SettingsError(lost[0].key, lost[0].problem, lost[0].remedy)
        self._prepared, self._pair = prepared, pair

    async def commit(self) -> None:
        """The application that was prepared answers from now on."""
        prepared, before = self._prepared, self._now
        if prepared is None:
            return
        if self.tls is not None and self._pair is not None:
            self._pair.show_in(self.tls)
        self._prepared, self._now = None, _Generation(prepared)
        await prepared.take_over(before.app)
        task = asyncio.create_task(before.end(), name="end an earlier application")
        self._ending[task] = before.app
        task.add_done_callback(self._ending.pop)

    async def discard(self) -> None:
        """What was prepared is not needed."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            await prepared.aclose()

    def drain(self) -> None:
        """See ``Application``."""
        self._now.app.drain()

    def stop(self, seconds: float) -> None:
        """See ``Application``."""
        for app in (self._now.app, *self._ending.values()):
            app.stop(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        generation = self._now
        with generation.at_work():
            await generation.app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._now.app.serving():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        finally:
            await self.discard()
            await asyncio.gather(*self._ending)
            await self._now.app.aclose()
        await send({"type": "lifespan.shutdown.complete"})
