"""The Unix socket by which ``ccgateway reload`` reaches the gateway that runs: one line there, one JSON object back.

Only the user that the gateway runs as, and root, are listened to, and only from them is an answer believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from ccgateway.errors import SettingsError
from ccgateway.operations.listening import is_taken
from ccgateway.settings import Settings

__all__ = ["NotRunningError", "Reply", "ask_to_reload", "control_path", "controlled"]

log = logging.getLogger("ccgateway.control")

RELOAD = b"reload\n"
#: seconds that a reload may take, workers that start or hang included
PATIENCE = 90.0


class NotRunningError(Exception):
    """No gateway of ours listens there; the message says what was tried."""


class Reply(msgspec.Struct, frozen=True):
    """What a reload came to: taken over, but for the keys of ``restart``; or refused (``problem``), and nothing has changed."""

    restart: list[str] = []
    key: str = ""
    problem: str = ""
    remedy: str = ""


def control_path(settings: Settings, file: Path | None) -> Path:
    """Where the socket is: as the settings say; else in the runtime directory of the service, or of the user, by the name of the
    settings file."""
    if settings.server.control_socket is not None:
        return settings.server.control_socket
    name = hashlib.sha256(str(file.resolve() if file is not None else "").encode()).hexdigest()[:16]
    service, user = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0], os.environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(service or user or _temporary_folder())
    return folder / f"ccgateway-{os.geteuid()}-{name}.sock"


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # none can be written to: neither can this one, which is said where it is tried
        return "/tmp"  # noqa: S108


@asynccontextmanager
async def controlled(path: Path, reload: Callable[[], Awaitable[list[str]]]) -> AsyncIterator[None]:
    """For the length of the block, reloads on request. A gateway that cannot have the socket goes on without it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError, ValueError):
            if not _is_trusted(writer.get_extra_info("socket")):
                return
            async with asyncio.timeout(PATIENCE):
                if await reader.readline() != RELOAD:
                    return
                # half a reload is none: who waits for it may leave, and it goes on
                reply = await asyncio.shield(_reply(reload))
                writer.write(msgspec.json.encode(reply) + b"\n")
                await writer.drain()

    try:
        server = await _listen(path, answer)
    except OSError as error:
        reason = error.strerror or error
        log.warning("no control socket at %s (%s): reload with SIGHUP, or set server.control_socket", path, reason)
        yield
        return
    try:
        yield
    finally:
        server.close()
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _listen(path: Path, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> asyncio.Server:
    if is_taken(path):
        raise OSError("another gateway with this settings file has it")
    await asyncio.to_thread(path.unlink, missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.setblocking(False)  # noqa: FBT003 - its only argument
        return await asyncio.start_unix_server(answer, sock=listener, limit=1024)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)


async def _reply(reload: Callable[[], Awaitable[list[str]]]) -> Reply:
    try:
        return Reply(restart=await reload())
    except SettingsError as error:
        return Reply(key=error.key, problem=error.problem, remedy=error.remedy)


def _is_trusted(connection: socket.socket) -> bool:
    """Whether at the other end is root, or the user that we are."""
    kind = struct.Struct("3i")
    _, user, _ = kind.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, kind.size))
    return user in (0, os.geteuid())


def ask_to_reload(path: Path) -> Reply:
    """What the gateway that listens at ``path`` makes of its settings now. Raises ``NotRunningError``."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE + 5)
        try:
            connection.connect(str(path))
            if not _is_trusted(connection):
                raise NotRunningError(f"{path} belongs to another user")
            connection.sendall(RELOAD)
            with connection.makefile("rb") as file:
                return msgspec.json.decode(file.readline(), type=Reply)
        except (OSError, msgspec.DecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "no answer"
            raise NotRunningError(f"no gateway answers at {path} ({reason})") from None
