"""Leaving a page and coming back: what was missing still is, what was asked goes with its page, and nobody else sees it."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from ccgateway.identity.callers import hash_of
from ccgateway.operations.minting import new_api_key
from surfaces.portal.browsing import in_browser, portal, rows_of, site, view

pytestmark = in_browser


async def test_a_list_that_lacks_a_site_still_says_so_when_one_comes_back_to_it(browser: Browser) -> None:
    async with portal(site("aurora", jobs=40), site("borealis", jobs=40)) as front, view(browser, front.url) as shown:
        await front.addresses["borealis"].stop()
        for address in ("/jobs?order=duration", "/jobs"):
            page = await shown.open(address)
            banner = page.locator("#banner")
            await expect(banner).to_contain_text("This is not everything")
            await page.locator("table.jobs tbody tr .job a").first.click()
            await expect(page.get_by_role("heading", level=1)).to_contain_text("Job ")
            await page.go_back()
            await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
            await expect(banner).to_contain_text("This is not everything")


async def test_what_one_person_was_shown_is_not_shown_to_the_next_in_the_same_tab(browser: Browser) -> None:
    secrets = {role: new_api_key() for role in ("admin", "user")}
    keys = {role: {"hash": hash_of(secret), "subject": f"one-{role}", "roles": [role]} for role, secret in secrets.items()}
    async with portal(site("aurora", jobs=40), api_keys=keys) as front, view(browser, front.url) as shown:

        async def come_as(secret: str) -> None:
            await page.locator("#session").get_by_role("button", name="Use a token").click()
            await page.get_by_label("Token", exact=True).fill(secret)
            await page.get_by_role("button", name="Use it").click()

        page = await shown.open("/jobs")
        await come_as(secrets["admin"])
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.first).to_be_visible()
        assert len(await rows_of(rows)) == 40
        await rows.locator(".job a").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Job ")
        await page.get_by_role("button", name="Forget token").click()
        await come_as(secrets["user"])
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        await expect(page.locator(".foot")).to_contain_text("ALL_SITES_FAILED")
        await expect(rows).to_have_count(0)
        shown.complaints[:] = [one for one in shown.complaints if "401" not in one]


async def test_a_question_that_was_asked_on_a_page_goes_with_it(browser: Browser) -> None:
    async with portal(site("aurora", jobs=40)) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        await page.locator("table.jobs tbody tr .job a").first.click()
        await page.locator("#delete").press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        assert (await front.ask("{ jobs { count } }"))["jobs"]["count"] == 40


async def test_an_address_names_times_with_their_zone_and_odd_words_are_as_if_they_were_not_there(browser: Browser) -> None:
    async with portal(site("aurora", jobs=40)) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs?order=constructor")
        await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
        await page.get_by_label("Started").select_option("own")
        await page.get_by_label("From", exact=True).fill("2020-01-02T12:30")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
        assert "from=2020-01-02T03%3A30%3A00Z" in page.url  # the browser is in Tokyo
        await expect(page.get_by_label("From", exact=True)).to_have_value("2020-01-02T12:30")
