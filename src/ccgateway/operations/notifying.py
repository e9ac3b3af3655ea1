"""What a service manager is told (sd_notify): that the gateway serves, reads its settings again, stops, and is alive.

A datagram to the socket that ``NOTIFY_SOCKET`` names; without one, nothing. Nobody's failure to listen is the gateway's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """Tells the manager that ``environment`` names.

    ``watchdog``: seconds within which it wants a sign of life, ``None`` if it wants none.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        wanted, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
        is_wanted = wanted.isdigit() and int(wanted) > 0 and whose == str(os.getpid())
        self.watchdog: float | None = int(wanted) / 1e6 if is_wanted else None
        self._serves = False

    def ready(self) -> None:
        """It serves."""
        self._serves = True
        self._tell("READY=1")

    def reloading(self) -> None:
        """It reads its settings again, until ``reloaded``. Not told before it serves, nor once it stops."""
        if self._serves:
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """It serves as before, or with other settings."""
        if self._serves:
            self._tell("READY=1")

    def stopping(self) -> None:
        """It stops."""
        self._serves = False
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line for people."""
        self._tell(f"STATUS={words}")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            out.sendto(text.encode(), self._address)
