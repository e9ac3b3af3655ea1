"""A test that fails is run again where the machine stood still meanwhile, and only there."""

from __future__ import annotations

import os
import signal
import time

from support.standstill import Watch


def test_a_standstill_is_noticed_and_forgotten_with_the_test() -> None:
    watch = Watch()
    try:
        time.sleep(0.5)
        watch.begin()
        assert not watch.stood_still()
        os.kill(watch.process, signal.SIGSTOP)  # what a machine that stands still does to everything
        time.sleep(1.3)
        os.kill(watch.process, signal.SIGCONT)
        assert watch.stood_still()
        watch.begin()
        assert not watch.stood_still()
    finally:
        watch.stop()


def test_what_holds_the_interpreter_is_no_standstill() -> None:
    watch = Watch()
    try:
        time.sleep(0.5)
        watch.begin()
        until = time.monotonic() + 1.3
        while time.monotonic() < until:
            pass
        assert not watch.stood_still()
    finally:
        watch.stop()
