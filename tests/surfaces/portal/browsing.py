"""A gateway over simulated sites, and a Chromium that looks at its pages and reports what they must not do."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Download, Locator, Page, Request, async_playwright, expect

from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.simulator.serve import Address

__all__ = [
    "CHROMIUM", "Portal", "View", "chromium", "csv_of", "in_browser", "look_again", "looking", "portal", "rows_of", "saved",
    "site", "view",
]  # fmt: skip

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

#: milliseconds that a busy machine may take for what is waited for
PATIENCE = 40_000
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2", "eridanus": "howto"}


def site(name: str, *, jobs: int = 260, nodes: int = 64) -> SimulatedSite:
    """A site of the release that the demo has under this name, with jobs until now."""
    generated = GeneratedJobs(jobs, name, seed=len(name), until=int(time.time()), span=5 * 86400, nodes=nodes)
    return SimulatedSite(name, RELEASES[name], generated, zone="UTC", commit=0.0)


@dataclass
class Portal:
    """The gateway as a browser has it, and its sites."""

    url: str
    addresses: dict[str, Address]

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer to anybody else's question."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/graphql", json={"query": query, "variables": variables}) as response,
        ):
            return (await response.json())["data"]


@asynccontextmanager
async def portal(*sites: SimulatedSite, each: Mapping[str, Any] | None = None, **sections_beside: Any) -> AsyncIterator[Portal]:
    """A gateway over ``sites``; ``each``: more settings of every site."""
    async with serve(*sites) as running:
        sections = {
            name: {"number": number, "url": one.url, "token": one.site.token("demo"), "timeout": 60.0, **(each or {})}
            for number, (name, one) in enumerate(running.items(), start=1)
        }
        limits = {"request_timeout": 120.0, "patience": 0}
        settings = Settings(sites=sections, limits=limits, cache={"list_for": 0}, **sections_beside)  # type: ignore[arg-type]
        server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_config=None, timeout_graceful_shutdown=2))
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.01)
            yield Portal(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", dict(running))
        finally:
            server.should_exit = True
            await serving


@dataclass
class View:
    """A page, and what it did that it must not: requests to elsewhere, errors, violations of its policy."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> Page:
        await self.page.goto(self.url + path)
        return self.page


def _listen(view: View) -> None:
    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            view.complaints.append(f"console: {message.text}")

    view.page.on("console", said)
    view.page.on("pageerror", lambda error: view.complaints.append(f"error: {error}"))
    view.page.on("dialog", lambda dialog: view.complaints.append(f"dialog: {dialog.message}"))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser, which takes a second to start."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def view(
    browser: Browser, url: str, *, theme: str = "light", width: int = 1280, also: Sequence[str] = ()
) -> AsyncIterator[View]:
    """A window of nobody's at a gateway. At the end nothing may have been asked of anybody else (but of ``also``, by the
    beginnings of their addresses), nor gone wrong on the page."""
    scheme: Any = theme
    context = await browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, timezone_id="Asia/Tokyo", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = await context.new_page()
    shown = View(page, url)
    _listen(shown)

    def note(request: Request) -> None:
        if not request.url.startswith((url + "/", *also)) and not request.url.startswith((f"blob:{url}/", "data:")):
            shown.complaints.append(f"elsewhere: {request.url}")

    # heard, not intercepted: browsers keep nothing of what is intercepted, and each request would cost a round trip to here
    context.on("request", note)
    await page.add_init_script(
        "document.addEventListener('securitypolicyviolation', e => console.error('violates', e.violatedDirective, e.blockedURI))"
    )
    try:
        yield shown
        assert not shown.complaints, shown.complaints
    finally:
        await context.close()


async def look_again(page: Page) -> None:
    """As if the tab had been hidden and is shown again, upon which pages read again what they read time and again."""
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def looking(page: Page, wanted: Locator) -> None:
    """Looks again until that is there."""
    async with asyncio.timeout(PATIENCE / 1000):
        while not await wanted.is_visible():
            await look_again(page)
            await page.wait_for_timeout(200)


async def rows_of(table: Locator) -> list[str]:
    """The ids of the jobs that a list shows, in their order."""
    found: list[str] = await table.evaluate_all("rows => rows.map(row => row.dataset.id)")
    return found


async def saved(page: Page, button: Locator) -> str:
    """The text of the file that a button saves."""
    async with page.expect_download() as waiting:
        await button.click()
    download: Download = await waiting.value
    return (await asyncio.to_thread(Path(await download.path()).read_bytes)).decode()


def csv_of(text: str) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))
