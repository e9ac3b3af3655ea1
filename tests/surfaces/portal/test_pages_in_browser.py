"""The sites, the usage and what all pages share, in a real browser over simulated sites."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from surfaces.portal.browsing import Portal, csv_of, in_browser, look_again, looking, portal, saved, site, view

pytestmark = in_browser


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front() -> AsyncIterator[Portal]:
    """Whom no test here changes."""
    async with portal(site("aurora"), site("cygnus")) as one:
        yield one


async def test_usage_shows_the_figures_of_the_interface_and_how_far_they_can_be_trusted(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/usage?by=USER&from=2020-01-01T00:00:00&to=2099-12-31T23:59:59")
        query = "{ jobsStatistics(groupBy: USER) { id totalJobs totalCoreHours exactness { figure quality } } }"
        found = {one["id"]: one for one in (await front.ask(query))["jobsStatistics"]}
        await expect(page.locator("table.usage tbody tr")).to_have_count(len(found))
        lines = csv_of(await saved(page, page.locator("section").get_by_role("button", name="CSV").first))
        assert {line["user"]: int(line["totalJobs"]) for line in lines} == {name: one["totalJobs"] for name, one in found.items()}
        assert {line["totalJobs quality"] for line in lines} == {"EXACT"}
        assert {line["totalCoreHours quality"] for line in lines} == {"BOUNDED"}
        await expect(page.locator('td[data-quality="BOUNDED"]').first).to_have_attribute(
            "title", re.compile(r"between [\d\u202f]+ and [\d\u202f]+")
        )
        await expect(page.locator("figure.chart svg").first).to_be_visible()


async def test_a_gateway_that_is_gone_is_told_as_such(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs?state=timeout")
        await expect(page.locator(".foot")).not_to_be_empty()
        await page.route("**/graphql", lambda route: route.abort())
        await page.get_by_role("link", name="Usage").click()
        await expect(page.get_by_role("alert").first).to_have_attribute("data-code", "OFFLINE")
        shown.complaints[:] = [one for one in shown.complaints if "ERR_FAILED" not in one]


async def test_each_site_has_a_card_and_one_that_goes_down_says_why(browser: Browser) -> None:
    async with portal(site("aurora"), site("borealis"), site("eridanus")) as front, view(browser, front.url) as shown:
        page = await shown.open("/")
        await expect(page).to_have_url(f"{front.url}/sites")
        await expect(page.locator(".site.up")).to_have_count(3)
        running = (await front.ask('{ jobs(filter: [{state: [running]}], first: 1, sites: ["aurora"]) { count } }'))["jobs"][
            "count"
        ]
        await expect(page.locator('[data-site="aurora"] dd').first).to_have_text(str(running))
        await expect(page.locator('[data-site="aurora"]')).to_contain_text("of 64")
        await front.addresses["borealis"].stop()
        down = page.locator('[data-site="borealis"].down')
        await looking(page, down)
        await expect(down).to_contain_text(re.compile("UNREACHABLE|CIRCUIT_OPEN"))
        await front.addresses["borealis"].start()
        await looking(page, page.locator('[data-site="borealis"].up'))


async def test_a_site_that_is_down_is_named_on_the_list_and_in_the_usage(browser: Browser) -> None:
    async with portal(site("aurora"), site("borealis")) as front, view(browser, front.url) as shown:
        await front.addresses["borealis"].stop()
        page = await shown.open("/jobs")
        await expect(page.locator("#banner")).to_contain_text("borealis is missing")
        await expect(page.locator("#banner")).to_contain_text(re.compile("UNREACHABLE|CIRCUIT_OPEN"))
        await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
        await page.get_by_role("link", name="Usage").click()
        await expect(page.locator("#banner")).to_contain_text("borealis is missing")


async def test_a_gateway_that_goes_away_while_a_page_is_open_is_told_as_is_its_return(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs?state=timeout")
        await expect(page.locator(".foot")).to_contain_text("jobs are shown")
        count = await page.locator("tbody tr").count()
        await page.route("**/graphql", lambda route: route.abort())
        stale = page.locator('#state [data-code="OFFLINE"]')
        await looking(page, stale)
        await expect(stale).to_contain_text("What is shown may be old")
        assert await page.locator("tbody tr").count() == count
        await page.unroute("**/graphql")
        await look_again(page)
        await expect(page.locator("#state")).to_be_empty()
        shown.complaints[:] = [one for one in shown.complaints if "ERR_FAILED" not in one]


async def test_energy_is_added_up_from_jobs_and_says_of_how_many_it_is_known(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/usage?by=SITE&from=2020-01-01T00:00:00&to=2099-12-31T23:59:59")
        jobs = (await front.ask("{ jobs(first: 1000) { items { site energy } } }"))["jobs"]["items"]
        known = [job["energy"] for job in jobs if job["site"] == "aurora" and job["energy"] > 0]
        cell = page.locator('tr[data-id="aurora"] td.kwh')
        await expect(cell).to_have_attribute("data-quality", "BOUNDED")
        await expect(cell).to_have_attribute("title", re.compile(f"^of {len(known)} of 260 jobs: the others run"))
        # release 1.3 tells no energy: that is no zero
        unknown = page.locator('tr[data-id="cygnus"] td.kwh')
        await expect(unknown).to_have_attribute("data-quality", "REFUSED")
        await expect(unknown).to_contain_text("–")
        button = page.locator("section").get_by_role("button", name="CSV").first
        lines = {line["site"]: line for line in csv_of(await saved(page, button))}
        assert abs(float(lines["aurora"]["energy"]) - sum(known)) < 1e-6
        assert (lines["aurora"]["energy jobs"], lines["cygnus"]["energy"]) == (str(len(known)), "")
        total = page.locator("tfoot td.kwh")
        assert (await total.inner_text()).startswith("≥")


async def test_more_jobs_than_energy_is_read_of_are_told_with_the_way_out(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:

        async def many(route: Route) -> None:
            response = await route.fetch()
            await route.fulfill(response=response, body=(await response.text()).replace('"totalJobs":520', '"totalJobs":5001'))

        await shown.page.route("**/graphql", many)
        page = await shown.open("/usage?by=SITE&from=2020-01-01T00:00:00&to=2099-12-31T23:59:59")
        cell = page.locator('tr[data-id="aurora"] td.kwh')
        await expect(cell).to_have_attribute("data-quality", "REFUSED")
        await expect(cell).to_have_attribute("title", re.compile("choose a shorter time, or export the usage"))
        await expect(page.get_by_text("There is no energy. It is added up from jobs")).to_be_visible()
        await page.unroute_all(behavior="ignoreErrors")
