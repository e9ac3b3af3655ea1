"""The pictures of ``docs/use/portal.md``: the demo's sites as a browser shows them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import Page

from ccgateway.simulator import demo_sites
from surfaces.portal.browsing import chromium, portal, view

FOLDER = Path(__file__).parents[3] / "docs/use/portal"
#: name, path, what is waited for, theme, width, height
PICTURES = (
    ("sites-light", "/sites", "progress", "light", 1200, 720),
    ("job-dark", "/job/aurora:3970", "#statistics", "dark", 1000, 900),
    ("jobs-phone", "/jobs?state=running", "tbody tr", "dark", 390, 844),
    ("usage-light", "/usage?from=2020-01-01T00:00:00&to=2099-01-01T00:00:00", "figure svg", "light", 1200, 1000),
    ("jobs-partial", "/jobs", "#banner .partial", "light", 1200, 800),
)


async def take(page: Page, name: str) -> None:
    await page.wait_for_timeout(1500)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser, portal(*demo_sites()) as front:
        for name, path, ready, theme, width, height in PICTURES:
            if name.endswith("partial"):
                await front.addresses["cygnus"].stop()
            async with view(browser, front.url, theme=theme, width=width) as shown:
                await shown.page.set_viewport_size({"width": width, "height": height})
                page = await shown.open(path)
                await page.locator(ready).first.wait_for()
                await take(page, name)


if __name__ == "__main__":
    asyncio.run(main())
