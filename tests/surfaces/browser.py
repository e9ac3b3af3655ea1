"""A headless Chromium, driven through its debugging protocol: just enough to look at one page."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

__all__ = ["CHROMIUM", "Page", "open_page"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=1400,900",
)  # fmt: skip


class Page:
    """One page. ``complaints``: what its console said (errors, violations of its policy); ``addresses``: what it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []
        self.addresses: list[str] = []

    async def listen(self) -> None:
        async for message in self._socket:
            event = message.json()
            if (number := event.get("id")) in self._waiting:
                self._waiting.pop(number).set_result(event)
            match event.get("method"):
                case "Network.requestWillBeSent":
                    self.addresses.append(event["params"]["request"]["url"])
                case "Log.entryAdded" if event["params"]["entry"]["level"] == "error":
                    self.complaints.append(event["params"]["entry"]["text"])
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(event["params"]["exceptionDetails"]))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer: dict[str, Any] = (await self._waiting[number])["result"]
        return answer

    async def evaluate(self, script: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def wait_for(self, script: str, *, seconds: float = 20) -> Any:
        """The value of ``script`` once it is true."""
        end = time.monotonic() + seconds
        while not (found := await self.evaluate(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {script}; the page says {self.complaints}")
            await asyncio.sleep(0.1)
        return found


@asynccontextmanager
async def open_page(url: str, folder: Path) -> AsyncIterator[Page]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                targets = await response.json()
            target = next(one for one in targets if one["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Network", "Log", "Runtime", "Page"):
                    await page.call(f"{domain}.enable")
                await page.call("Page.navigate", url=url)
                yield page
                listening.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _port(path: Path) -> int:
    for _ in range(200):
        if lines := _lines(path):
            return int(lines[0])
        await asyncio.sleep(0.1)
    raise TimeoutError("Chromium did not start")


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
