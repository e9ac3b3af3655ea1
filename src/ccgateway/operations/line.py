"""What a supervisor and its workers tell each other, and the line that they do it on.

A line never makes its speaker wait: a worker that reads nothing must not keep the supervisor from the others and from signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar, cast

from ccgateway.operations.stopping import Stage
from ccgateway.settings import Settings

__all__ = [
    "Alive", "Begin", "Commit", "Committed", "Discard", "FromSupervisor", "FromWorker", "Leaving", "Line", "Prepare", "Prepared",
    "Unfit",
]  # fmt: skip

_LENGTH = struct.Struct("!I")

Said = TypeVar("Said")
Heard = TypeVar("Heard")


@dataclass(frozen=True, slots=True)
class Begin:
    """Serve these settings."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Prepare:
    """See whether these settings can be taken over; ``number`` comes back with the answer."""

    number: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """They can, or why not: key, problem, remedy."""

    number: int
    problem: tuple[str, str, str] | None


@dataclass(frozen=True, slots=True)
class Commit:
    """Take over what was prepared."""

    number: int


@dataclass(frozen=True, slots=True)
class Committed:
    """It holds."""

    number: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget what was prepared."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Asked of a worker, and its answer; said unasked once it serves."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A worker was told to end by somebody else, and lets nobody in before long."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A worker's last word: why it cannot start."""

    problem: str


FromSupervisor: TypeAlias = Begin | Prepare | Commit | Discard | Alive | Stage
FromWorker: TypeAlias = Alive | Prepared | Committed | Leaving | Unfit


class Line(Generic[Said, Heard]):
    """One end of it, between processes of ours. What is said where nobody is any more is lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Line[Said, Heard]:
        """The line whose end is that socket, which is its own from then on."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def say(self, message: Said) -> None:
        """Sends it as soon as the other end takes it."""
        if not self._writer.is_closing():
            text = pickle.dumps(message)
            self._writer.write(_LENGTH.pack(len(text)) + text)

    async def hear(self) -> Heard | None:
        """What is said next; ``None`` once nobody is at the other end."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return cast("Heard", pickle.loads(await self._reader.readexactly(length)))  # noqa: S301 - of a process of ours
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def close(self) -> None:
        """Ends it, once all that was said has left."""
        self._writer.close()
        with contextlib.suppress(OSError):  # nobody is there to hear the rest
            await self._writer.wait_closed()

    def abandon(self) -> None:
        """Ends it at once."""
        self._writer.transport.abort()
