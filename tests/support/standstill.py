"""Whether the machine stood still during a test: a clock in a process of its own says when it got no turn.

A test over real sockets has real time limits. On a shared machine all processes may get no turn for seconds, and then an
answer that was on its way is a time-out. The watch is a process of its own, so that nothing the gateway does (a loop that is
held, a lock of the interpreter) looks like a standstill.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

#: seconds between two looks at the clock, and from which gap on it is written down: far above what a busy scheduler takes
STEP, GAP = 0.05, 0.25
#: seconds without a turn, in all gaps of a test together, from which on its time limits mean nothing
STANDSTILL = 1.0

#: CLOCK_MONOTONIC is the same in all processes of a machine
WATCH = f"""
import os, time
parent = os.getppid()
last = time.monotonic()
while os.getppid() == parent:
    time.sleep({STEP})
    now = time.monotonic()
    if now - last > {GAP}:
        print(last, now, flush=True)
    last = now
"""


class Watch:
    """The gaps in which nothing ran. ``begin`` is called before each test, ``stood_still`` after one that failed."""

    def __init__(self) -> None:
        self._gaps = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen([sys.executable, "-c", WATCH], stdout=self._gaps)
        self._since = time.monotonic()

    @property
    def process(self) -> int:
        return self._process.pid

    def begin(self) -> None:
        self._since = time.monotonic()

    def stood_still(self) -> bool:
        """Whether, since the test began, the machine gave no turn for ``STANDSTILL`` seconds together."""
        time.sleep(2 * STEP)
        self._gaps.seek(0)
        gaps = [tuple(map(float, line.split())) for line in self._gaps.read().splitlines() if line.count(" ") == 1]
        return sum(end - max(start, self._since) for start, end in gaps if end > self._since) >= STANDSTILL

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._gaps.close()
