"""Freed memory is kept for the next large answer, where the C library can be told; the collector leaves alone what stays."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ccgateway.operations import freed_memory

FAULTS = """
import resource
from ccgateway.operations.freed_memory import keep_freed_memory
if {keep}: assert keep_freed_memory()
def body(): return bytes(bytearray(10_000_000))
for _ in range(3): body()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20): body()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, keep: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_a_large_body_costs_no_page_faults_once_there_was_one() -> None:
    if not freed_memory.keep_freed_memory():
        pytest.skip("this C library cannot be told")
    assert faults(keep=True) < 200 < faults(keep=False)


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert freed_memory.keep_freed_memory() is False


def test_the_collector_looks_at_little_at_a_time_and_not_at_what_was_there() -> None:
    program = (
        "from ccgateway.operations import freed_memory as m; m.calm_collector();"
        "print(m.gc.get_freeze_count(), *m.gc.get_threshold())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    frozen, *thresholds = map(int, told)
    assert frozen > 1000
    assert thresholds == [2_000, 10, 10]
