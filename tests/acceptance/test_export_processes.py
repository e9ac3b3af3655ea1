"""Exports of gateways that are killed: another process goes on with exactly the rest.

``CCGATEWAY_KILLS`` names how many are killed, each at another place.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import aiohttp

from acceptance.conftest import site
from acceptance.exports import read_lines
from acceptance.processes import processes
from ccgateway.simulator import serve

KILLS = int(os.environ.get("CCGATEWAY_KILLS", "3"))
JOBS = 4000


async def test_a_gateway_that_is_killed_costs_no_row_and_doubles_none(tmp_path: Path) -> None:
    chance = random.Random(5)
    timeout = aiohttp.ClientTimeout(300)
    async with serve(site("aurora", "1.5", count=JOBS), site("borealis", "1.2", count=JOBS)) as running:
        with processes(KILLS + 1, running, tmp_path, "list_for = 0") as gateways:
            *doomed, last = gateways
            async with aiohttp.ClientSession(headers={"Accept-Encoding": "identity"}, timeout=timeout) as session:
                async with session.get(last.url.replace("/graphql", "/export/jobs")) as answer:
                    whole = read_lines(await answer.read())
                assert whole.end is not None and whole.end["complete"] and len(whole.lines) > 1.6 * JOBS
                size = sum(map(len, whole.lines))
                killed = 0
                for gateway in doomed:
                    body, point = b"", chance.randrange(1000, size // 2)
                    async with session.get(gateway.url.replace("/graphql", "/export/jobs")) as answer:
                        try:
                            async for chunk in answer.content.iter_any():
                                body += chunk
                                if len(body) >= point and gateway.process.poll() is None:
                                    gateway.kill()
                        except aiohttp.ClientError:
                            killed += 1
                    part = read_lines(body)
                    rows, token, _ = part.marks[-1] if part.marks else (0, "", 0)
                    url = last.url.replace("/graphql", f"/export/jobs?resume={token}")
                    async with session.get(url) as answer:
                        rest = read_lines(await answer.read())
                    assert part.lines[:rows] + rest.lines == whole.lines
                    assert rest.end is not None and rest.end["complete"] and rest.end["resumedAt"] == rows
                assert killed > KILLS / 2
