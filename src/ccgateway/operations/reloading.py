"""Taking over new settings without a restart: the whole file on request, and secrets when their files change.

What was read is checked first, and taken over whole or not at all. Files that hold a secret, a key or a certificate are looked at
every few seconds; when one has changed, the settings that hold are taken over anew, not those in the file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel

from ccgateway.errors import SettingsError
from ccgateway.operations.notifying import Notifier
from ccgateway.operations.serving import refuse_without_sites
from ccgateway.settings import Settings

__all__ = ["Reloader", "secret_files", "unforeseen", "with_fixed"]

log = logging.getLogger("ccgateway.reload")

#: seconds between two looks at the files
LOOK_EVERY = 2.0
#: settings that are about what exists once the gateway has started
FIXED = {
    "server": ("host", "port", "unix_socket", "workers", "control_socket", "drain", "grace"),
    "grpc": ("host", "port", "reflection", "keep_alive", "drain"),
    "metrics": ("host", "port"),
}
#: files that come and go as they like, or are looked at by whoever reads them
OTHERS = {("writes", "audit_file")}
#: those whose names do not end in ``_file``
KEYS = {("server", "tls_cert"), ("server", "tls_key")}

State: TypeAlias = tuple[int, ...] | None


def with_fixed(found: Settings, held: Settings) -> tuple[Settings, list[str]]:
    """``found`` with what cannot change as it is in ``held``, and the keys of what would have changed."""
    sections, keys = dict[str, BaseModel](), list[str]()
    for name, fixed in FIXED.items():
        wanted, now = getattr(found, name), getattr(held, name)
        different = [key for key in fixed if getattr(wanted, key) != getattr(now, key)]
        for one, other in (("tls_cert", "tls_key"), ("cert_file", "key_file")):
            # the files may change, but not whether there is TLS
            if hasattr(now, one) and (getattr(wanted, one) is None) is not (getattr(now, one) is None):
                different += [one, other]
        sections[name] = wanted.model_copy(update={key: getattr(now, key) for key in different})
        keys += [f"{name}.{key}" for key in different]
    return found.model_copy(update=sections), keys


def secret_files(settings: Settings) -> dict[Path, State]:
    """What changes when one of the files does with what the settings are about; ``None`` for one that is not there."""
    return {path: _state(path) for path in _named(settings)}


def _named(settings: Settings) -> Iterator[Path]:
    for name in type(settings).model_fields:
        section = getattr(settings, name)
        for one in section.values() if isinstance(section, dict) else [section]:
            yield from _named_in(name, one)


def _named_in(name: str, section: BaseModel) -> Iterator[Path]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            yield from _named_in(f"{name}.{key}", value)
        elif isinstance(value, Path) and (key.endswith("_file") or (name, key) in KEYS) and (name, key) not in OTHERS:
            yield value


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except (OSError, ValueError):  # as of a path that no file can have
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class Reloader:
    """Takes over settings, one after the other.

    Args:
        settings: Those that hold.
        load: Reads them anew. Raises ``SettingsError``.
        take: Has them hold, or raises ``SettingsError``, and those before go on.
        notifier: Who is told.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        take: Callable[[Settings], Awaitable[None]],
        notifier: Notifier,
    ) -> None:
        self._settings, self._load, self._take, self._notifier = settings, load, take, notifier
        self._files = secret_files(settings)
        self._wanted = asyncio.Event()
        self._busy = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """Those that hold."""
        return self._settings

    def request(self) -> None:
        """Has ``run`` reload soon; several requests may be one reload."""
        self._wanted.set()

    async def reload(self) -> list[str]:
        """Reads everything and takes it over; the keys of what changes with a restart only. Raises ``SettingsError`` where that
        is refused: then nothing has changed."""
        async with self._busy:
            self._notifier.reloading()
            try:
                found = await asyncio.to_thread(self._load)
                refuse_without_sites(found)
                found, fixed = with_fixed(found, self._settings)
                found.check_workers()
                await self._adopt(found)
            except SettingsError as error:
                log.error("settings were not reloaded, and those from before go on: %s", _said(error))  # noqa: TRY400
                raise
            except Exception as error:
                log.exception("settings were not reloaded, and those from before go on")
                raise SettingsError(*unforeseen(error)) from error
            finally:
                self._notifier.reloaded()
            log.warning("settings were reloaded: %d sites", len(found.sites))
            for key in fixed:
                log.warning("%s changes with a restart only", key)
            return fixed

    async def _adopt(self, settings: Settings) -> None:
        files = await asyncio.to_thread(secret_files, settings)
        await self._take(settings)
        self._settings, self._files = settings, files

    async def run(self) -> None:
        """Reloads when it is asked to, and takes over secrets when they change; until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wanted.wait()
            except TimeoutError:
                work: Callable[[], Awaitable[object]] = self._look
            else:
                self._wanted.clear()
                work = self.reload
            try:
                await work()
            except SettingsError:
                pass  # told of
            except Exception:  # whatever it was, the next time may be another
                log.exception("new settings or secrets could not be looked for")

    async def _look(self) -> None:
        async with self._busy:
            files = await asyncio.to_thread(secret_files, self._settings)
            changed = sorted(str(path) for path, state in files.items() if self._files.get(path) != state)
            if not changed:
                return
            self._files = files
            try:
                await self._adopt(self._settings)
            except SettingsError as error:
                log.error("%s changed, but what was read before goes on: %s", ", ".join(changed), _said(error))  # noqa: TRY400
            else:
                log.warning("%s changed and was read anew", ", ".join(changed))


def unforeseen(error: Exception) -> tuple[str, str, str]:
    """Key, problem and remedy of settings at which something else failed than was foreseen."""
    return "settings", f"cannot be taken over ({type(error).__name__})", "See the gateway's log, and correct what changed last."


def _said(error: SettingsError) -> str:
    return f"{error.key}: {error.problem}. {error.remedy}"
