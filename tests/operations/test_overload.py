"""A served gateway that is asked for more than it can do: it turns requests away, says how it is, and goes on afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from urllib.parse import urlsplit

from operations.conftest import Start
from operations.desk import Desk
from operations.test_commands import end, started
from operations.test_workers import url_in

#: so much that one process cannot do it all at once, however quick it is
MANY, LARGE = 300, "jobs(first: 40) { items { id user state tags { id } resources { hostname } } }"


async def ask(url: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request on a connection of its own."""
    host = urlsplit(url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: {host.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    top, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, content


async def test_what_is_too_much_is_turned_away_and_it_can_always_be_asked_how_it_is(desk: Desk, start: Start) -> None:
    address = await start("1.5")
    # what is asked for comes from memory: the gateway has to do all of it
    desk.text = "[cache]\nlist_for = 60\n[limits]\nrequests_per_caller = 1000\n"
    desk.add("aurora", address.url, address.site.token("demo"))
    question = json.dumps({"query": "{ " + " ".join(f"a{n}: {LARGE}" for n in range(4)) + " }"}).encode()
    statuses: Counter[int] = Counter()
    ready: list[int] = []
    is_over = asyncio.Event()

    async def hammer(url: str) -> None:
        while not is_over.is_set():
            status, headers, content = await ask(url, "/graphql", question)
            statuses[status] += 1
            if status in (429, 503):
                [error] = json.loads(content)["errors"]
                assert error["extensions"]["code"] == {429: "RATE_LIMITED", 503: "OVERLOADED"}[status]
                assert 1 <= int(headers["retry-after"]) == error["extensions"]["retryAfter"] <= 3
                await asyncio.sleep(0.05)  # it does not wait as long as it should

    async def watch(url: str) -> None:
        while not is_over.is_set():
            ready.append((await asyncio.wait_for(ask(url, "/health/ready"), 20))[0])
            await asyncio.sleep(0.1)

    with started("serve", "--port", "0", folder=desk.folder, until="serves") as (process, written):
        url = url_in(written)
        for _ in range(20):  # as much as it can do: nobody is turned away
            assert (await ask(url, "/graphql", question))[0] == 200
        asking = [asyncio.create_task(work(url)) for work in (*(hammer for _ in range(MANY)), watch)]
        async with asyncio.timeout(90):
            while statuses[503] + statuses[429] < 200:  # noqa: ASYNC110 - counts have no event
                await asyncio.sleep(0.1)
        answered = statuses[200]
        async with asyncio.timeout(60):
            while statuses[200] < answered + 20:  # noqa: ASYNC110 - others are let in
                await asyncio.sleep(0.1)
        is_over.set()
        await asyncio.gather(*asking)
        assert set(statuses) <= {200, 429, 503}
        assert set(ready) == {200}
        await asyncio.sleep(3)
        for _ in range(20):
            assert (await ask(url, "/graphql", question))[0] == 200
        assert end(process, signal.SIGTERM)[0] == 0
