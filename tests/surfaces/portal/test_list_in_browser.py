"""The list of jobs in a real browser, over simulated sites: what it shows is what the interface says."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace
from playwright.async_api import Browser, Page, expect

from surfaces.portal.browsing import PATIENCE, Portal, csv_of, in_browser, look_again, looking, portal, rows_of, saved, site, view

pytestmark = in_browser

LIST = """query ($filter: [JobFilter!], $first: Int!, $order: OrderByInput) {
  jobs(filter: $filter, first: $first, order: $order) { items { id jobId user state startTime duration } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front() -> AsyncIterator[Portal]:
    """Whom no test here changes."""
    async with portal(site("aurora"), site("borealis")) as one:
        yield one


@pytest.mark.parametrize(
    ("address", "meant", "order"),
    [
        ("site=aurora", {}, None),
        ("user=%3Dalice&state=running&state=failed", {"user": {"eq": "alice"}, "state": ["running", "failed"]}, None),
        ("nodesFrom=2&nodesTo=8&lengthFrom=1h", {"numNodes": {"from": 2, "to": 8}, "duration": {"from": 3600}}, None),
        ("project=p_b&order=duration&dir=desc", {"project": {"contains": "p_b"}}, {"field": "duration", "order": "DESC"}),
        ("time=last24h&jobName=job2", {"startTime": {"range": "last24h"}, "jobName": {"contains": "job2"}}, None),
        ("node=%3Dan001", {"node": {"eq": "an001"}}, None),
    ],
)  # fmt: skip
async def test_an_address_shows_the_list_that_its_filter_means(
    browser: Browser, front: Portal, address: str, meant: dict[str, object], order: object
) -> None:
    async with view(browser, front.url) as shown:
        if address.startswith("site"):
            meant = {"cluster": {"eq": "aurora"}}
        found = (await front.ask(LIST, filter=[meant], order=order, first=100))["jobs"]["items"]
        page = await shown.open(f"/jobs?{address}")
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.first).to_be_visible()
        assert (await rows_of(rows))[:100] == [job["id"] for job in found]
        assert await page.locator('[data-code="BAD_REQUEST"]').count() == 0


async def test_what_of_an_address_cannot_be_read_is_said_and_the_rest_counts(browser: Browser, front: Portal) -> None:
    odd = ["state=runing", "nodesFrom=many", "from=yesterday", "user=bob", "order=constructor", "cluser=alex", "lengthTo=-1"]
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs?user=alice&cluster=aurora&nodesTo=&tag=" + "".join(f"&{one}" for one in odd))
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.first).to_contain_text("alice")
        said = page.locator('[data-code="BAD_REQUEST"] code')
        assert sorted(await said.all_inner_texts()) == sorted(odd)


async def test_what_is_filled_in_is_in_the_address_and_going_back_finds_the_list_again(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.nth(50)).to_be_attached()
        await page.locator(".chip", has_text="borealis").click()
        await expect(page).to_have_url(f"{front.url}/jobs?site=borealis")
        await page.get_by_label("User").fill("=bob")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{front.url}/jobs?user=%3Dbob&site=borealis")
        await expect(rows.first).to_contain_text("bob")
        ids = await rows_of(rows)
        await page.evaluate("scrollTo(0, 700)")
        await page.locator(f'tr[data-id="{ids[12]}"] .job a').click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Job ")
        await page.go_back()
        await expect(rows.first).to_be_visible()
        assert (await rows_of(rows))[: len(ids)] == ids
        assert await page.evaluate("scrollY") > 300


async def test_the_saved_files_hold_the_jobs_that_are_shown(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs?state=failed&user=%3Dalice")
        rows = page.locator("table.jobs tbody tr")
        await expect(page.locator(".foot")).to_contain_text("jobs are shown")
        ids = await rows_of(rows)
        found = {
            job["id"]: job
            for job in (await front.ask(LIST, filter=[{"state": ["failed"], "user": {"eq": "alice"}}], first=200))["jobs"][
                "items"
            ]
        }
        lines = csv_of(await saved(page, page.locator("#csv")))
        assert [line["id"] for line in lines] == ids == list(found)
        assert [(line["duration"], line["startTime"]) for line in lines] == [
            (str(job["duration"]), job["startTime"]) for job in found.values()
        ]
        assert [job["id"] for job in json.loads(await saved(page, page.locator("#json")))] == ids


async def to_the_end(page: Page) -> None:
    """Scrolls until all of the list was read."""
    while "jobs are shown" not in await page.locator(".foot").inner_text():
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await page.wait_for_timeout(100)


TOP = "row => row.getBoundingClientRect().top"
IS_PAINTED = "row => row.checkVisibility({ contentVisibilityAuto: true })"


async def test_rows_far_from_the_window_cost_nothing_and_are_there_for_searches_screen_readers_and_print(
    browser: Browser, front: Portal
) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        rows = page.locator("table.jobs tbody tr")
        await to_the_end(page)
        await page.evaluate("scrollTo(0, 0)")
        last = rows.last
        async with asyncio.timeout(PATIENCE / 1000):
            while await last.evaluate(IS_PAINTED):  # the page's policy lets no function be waited for
                await page.wait_for_timeout(50)
        assert await rows.first.evaluate(IS_PAINTED) and not await last.evaluate(IS_PAINTED)
        assert await page.locator("table.jobs").get_attribute("aria-rowcount") == "521"
        assert [await one.get_attribute("aria-rowindex") for one in (rows.first, last)] == ["2", "521"]
        assert await page.get_by_role("row").count() == 521
        await last.locator(".job a").focus()  # as the keyboard does
        assert await last.evaluate(IS_PAINTED)
        # what screen readers are given beside roles: how many rows there are, and which of them these are
        session = await page.context.new_cdp_session(page)
        element = (await session.send("Runtime.evaluate", {"expression": "document.activeElement.closest('tr')"}))["result"]
        told = await session.send("Accessibility.getPartialAXTree", {"objectId": element["objectId"]})
        assert {"row", "rowgroup", "table"} <= {node["role"]["value"] for node in told["nodes"] if not node["ignored"]}
        await page.evaluate("scrollTo(0, 0)")
        number = await last.locator(".job strong").inner_text()
        assert await page.evaluate("text => find(text)", number)
        await page.emulate_media(media="print")
        assert await rows.first.evaluate(IS_PAINTED) and await last.evaluate(IS_PAINTED)
        assert not await page.locator("header.top, form.filters").first.is_visible()
        assert (await page.pdf(format="A4")).count(b"/Type /Page\n") > 8


async def test_going_back_finds_the_very_row_however_far_down(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        rows = page.locator("table.jobs tbody tr")
        await to_the_end(page)
        row = rows.nth(430)
        await row.scroll_into_view_if_needed()
        before = await row.evaluate(TOP)
        await row.locator(".job a").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Job ")
        await page.go_back()
        await expect(row).to_be_in_viewport()
        assert abs(before - await row.evaluate(TOP)) < 60


async def test_a_site_that_goes_down_while_the_list_is_open_is_named_and_offered_when_it_answers_again(browser: Browser) -> None:
    async with portal(site("aurora"), site("borealis")) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        rows, banner = page.locator("table.jobs tbody tr"), page.locator("#banner")
        await expect(rows.nth(99)).to_be_attached()
        before = await rows_of(rows)
        await front.addresses["borealis"].stop()
        await looking(page, banner.get_by_text("Not everything is read again"))
        await expect(banner).to_contain_text(re.compile("UNREACHABLE|CIRCUIT_OPEN"))
        assert await rows_of(rows) == before  # what was read stays
        await to_the_end(page)
        await expect(banner).to_contain_text("This is not everything")
        assert len(await rows_of(rows)) < 520
        await front.addresses["borealis"].start()
        again = page.get_by_role("button", name="Read the list again")
        await looking(page, again)
        await again.click()
        await expect(banner).to_be_empty()
        await to_the_end(page)
        assert len(await rows_of(rows)) == 520


async def test_the_list_pages_on_exactly_while_jobs_start_and_vanish(browser: Browser) -> None:
    aurora, borealis = site("aurora"), site("borealis")
    async with portal(aurora, borealis) as front, view(browser, front.url) as shown:
        before = [job["id"] for job in (await front.ask(LIST, first=520))["jobs"]["items"]]
        page = await shown.open("/jobs")
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.nth(99)).to_be_attached()
        gone = before[400]
        owner = aurora if gone.startswith("aurora") else borealis
        owner.backend.jobs.remove(int(gone.partition(":")[2]))
        job = aurora.backend.jobs.get(260)
        assert job is not None
        aurora.backend.jobs.add(replace(job, id=9000, job_id=909090, start_time=int(time.time()), state="running", duration=0))
        await to_the_end(page)
        assert await rows_of(rows) == [one for one in before if one != gone]
        await expect(page.locator(".foot")).to_contain_text("All 519 jobs")
        newer = page.get_by_role("button", name="Newer jobs have started")
        await looking(page, newer)
        await newer.click()
        await expect(rows.first).to_have_attribute("data-id", "aurora:9000")


async def test_running_jobs_are_read_again_and_show_that_they_ended(browser: Browser) -> None:
    aurora = site("aurora")
    async with portal(aurora) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs?state=running")
        first = page.locator("table.jobs tbody tr").first
        await expect(first).to_be_visible()
        number = int((await first.get_attribute("data-id") or "").partition(":")[2])
        job = aurora.backend.jobs.get(number)
        assert job is not None
        aurora.backend.jobs.put(replace(job, state="timeout", duration=77))
        await look_again(page)
        await expect(page.locator(f'tr[data-id="aurora:{number}"]')).to_contain_text("timeout")
