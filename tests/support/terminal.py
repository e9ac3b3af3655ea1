"""A command in a terminal of its own: what it writes there, keys that are pressed, and how wide it is."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Terminal", "plain_text", "terminal"]

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]")


def plain_text(text: str) -> str:
    """``text`` without what moves the cursor and colours."""
    return _ESCAPES.sub("", text).replace("\r", "")


@dataclass
class Terminal:
    """``text``: all that was written so far."""

    process: subprocess.Popen[bytes]
    _fd: int
    text: str = ""
    _bytes: bytes = field(default=b"", repr=False)

    def read(self, seconds: float = 0.1) -> str:
        """What is written within so many seconds, at the least one look."""
        while select.select([self._fd], [], [], seconds)[0]:
            try:
                piece = os.read(self._fd, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            self._bytes += piece
            seconds = 0.0
        self.text = self._bytes.decode("utf-8", "replace")
        return self.text

    def until(self, found: str, seconds: float = 60.0) -> str:
        """Reads until ``found`` is there."""
        end = time.monotonic() + seconds
        while found not in self.read() and time.monotonic() < end:
            if self.process.poll() is not None and found not in self.read():
                break
        assert found in self.text, self.text
        return self.text

    def press_ctrl_c(self) -> None:
        """As somebody does."""
        os.write(self._fd, b"\x03")

    def end(self, seconds: float = 60.0) -> int:
        """The status, once it has ended."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        self.read()
        return self.process.wait(1)


@contextmanager
def terminal(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    columns: int = 80,
    lines: int = 24,
    stdout: int | None = None,
) -> Iterator[Terminal]:
    """Runs a command in one; ``stdout``: what its data go to, if not there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        arguments,
        stdin=theirs,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
        env={**kept, "TERM": "xterm-256color", **({"NO_COLOR": environment["NO_COLOR"]} if "NO_COLOR" in environment else {})},
        cwd=folder,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(ours)
