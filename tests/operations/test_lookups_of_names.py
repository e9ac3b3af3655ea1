"""Names of sites are looked up side by side, so that some whose servers are silent keep no others from being connected to."""

from __future__ import annotations

import subprocess
import sys

import pytest

uvloop = pytest.importorskip("uvloop")

PROGRAM = """
import asyncio, os
from ccgateway.operations.serving import run

async def threads():
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    return len(os.listdir("/proc/self/task"))

print(run(threads()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.parametrize(("more", "least"), [({}, 32), ({"UV_THREADPOOL_SIZE": "7"}, 7)])
def test_many_names_are_looked_up_at_a_time_unless_the_operator_says_otherwise(more: dict[str, str], least: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=more)
    assert least <= int(done.stdout) <= least + 3
