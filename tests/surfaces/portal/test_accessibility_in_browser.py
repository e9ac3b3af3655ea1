"""axe-core finds nothing serious on any page in either theme, the keyboard suffices, and a phone shows it all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from surfaces.portal.browsing import Portal, in_browser, portal, site, view

pytestmark = in_browser

PAGES = {
    "/sites": '[data-site="aurora"] progress',
    "/jobs": "table.jobs tbody tr",
    "/job/aurora:255": "#statistics",
    "/usage?from=2020-01-01T00:00:00&to=2099-01-01T00:00:00": "figure.chart svg",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front() -> AsyncIterator[Portal]:
    """Two sites, one of which is down."""
    async with portal(site("aurora"), site("borealis")) as one:
        await one.addresses["borealis"].stop()
        yield one


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_serious_on_any_page(browser: Browser, front: Portal, theme: str) -> None:
    async with view(browser, front.url, theme=theme) as shown:
        for path, ready in PAGES.items():
            page = await shown.open(path)
            await expect(page.locator(ready).first).to_be_visible()
            results = await Axe().run(page)
            serious = [
                (path, one["id"], [node["target"] for node in one["nodes"][:3]], one["nodes"][0]["failureSummary"])
                for one in results.response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == []


async def test_on_a_phone_no_page_is_wider_than_the_screen(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url, width=360) as shown:
        for path, ready in PAGES.items():
            page = await shown.open(path)
            await expect(page.locator(ready).first).to_be_visible()
            await expect(page.locator("td.kwh.muted")).to_have_count(0)  # which comes last
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path


async def test_the_keyboard_alone_opens_a_job_and_switches_the_theme(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs?state=timeout")
        await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the page")).to_be_focused()
        await page.locator("#theme").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.locator("table.jobs tbody tr a").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Job ")
        await expect(page.locator("main")).to_be_focused()
        times = page.locator("dl time").first
        await expect(times).to_have_attribute("title", await times.get_attribute("title") or "")
        assert (await times.get_attribute("title") or "").endswith(" UTC")
