"""Two gateways behind a proxy are restarted one after the other under load, and no request fails."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest

import ccgateway
from ccgateway.operations.minting import new_api_key, section_for
from ccgateway.simulator import SimulatorProcess
from deploy.proxies import PREFIX, Proxy, Upstream, in_front_of
from support.loopback import free_port

#: connections that are kept, and seconds in which haproxy notices that a gateway is not ready
CLIENTS, DRAIN = 8, 4
LIST = {"query": "{ jobs(first: 5) { items { id } complete } }"}


@contextmanager
def gateway(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """One that is ready; ended as a service is, once it has drained."""
    command = [sys.executable, "-m", "ccgateway", "serve", "--config", str(folder / "ccgateway.toml"), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(ccgateway.__file__).parents[1])}
    with (
        (folder / f"{port}.log").open("ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    assert process.poll() is None, (folder / f"{port}.log").read_text()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0


async def ask(proxy: Proxy, key: str, until: asyncio.Event) -> Counter[str]:
    """What requests on kept connections came to, reads by GET and by POST in turn."""
    found: Counter[str] = Counter()
    trusted = ssl.create_default_context(cafile=proxy.certificate)
    base = f"https://localhost:{proxy.port}{PREFIX}"

    async def one(session: aiohttp.ClientSession) -> None:
        while not until.is_set():
            for method, path, body in (("GET", "/api/jobs/?items_per_page=2", None), ("POST", "/graphql", LIST)):
                try:
                    async with session.request(method, base + path, json=body, ssl=trusted) as answer:
                        content = await answer.read()
                        is_whole = answer.status == 200 and (method == "GET" or b'"complete":true' in content)
                        found["well" if is_whole else f"{method} {answer.status} {content[:200]!r}"] += 1
                except aiohttp.ClientError as error:
                    found[f"{method} {error!r}"] += 1
            await asyncio.sleep(0.02)

    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with (
        aiohttp.ClientSession(connector=connector, headers={"X-Auth-Token": key}) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CLIENTS):
            group.create_task(one(session))
    return found


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_no_request_fails_while_gateways_are_restarted_one_after_the_other(name: str, tmp_path: Path) -> None:
    ports, key = [free_port(), free_port()], new_api_key()
    with SimulatorProcess("--release", "1.5", "--jobs", "200", "--cluster", "aurora") as site:
        (tmp_path / "aurora.jwt").write_text(site.tokens["demo"])
        (tmp_path / "ccgateway.toml").write_text(
            f'[server]\ndrain = {DRAIN}\n[sites.aurora]\nnumber = 1\nurl = "{site.url}"\n'
            f'token_file = "aurora.jwt"\ntimeout = 30\n{section_for(key, "robot", "robot", ["admin"])}'
        )
        (tmp_path / "aurora.jwt").chmod(0o600)
        upstream = Upstream(ports[0], free_port(), other_port=ports[1])
        with ExitStack() as all_of_them:
            running = {port: all_of_them.enter_context(ExitStack()) for port in ports}
            for port, one in running.items():
                one.enter_context(gateway(tmp_path, port))
            proxy = all_of_them.enter_context(in_front_of(upstream, name, tmp_path))
            until = asyncio.Event()
            asking = asyncio.create_task(ask(proxy, key, until))
            await asyncio.sleep(3)  # until haproxy has seen that both are ready
            for port, one in running.items():
                await asyncio.to_thread(one.close)
                await asyncio.to_thread(one.enter_context, gateway(tmp_path, port))
                await asyncio.sleep(3)
            until.set()
            found = await asking
    assert set(found) == {"well"} and found["well"] > 200, found
