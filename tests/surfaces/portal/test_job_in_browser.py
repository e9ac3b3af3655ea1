"""The page of a job in a real browser, over simulated sites: what it shows is what the interface says."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from ccgateway.simulator import SimulatedSite
from surfaces.portal.browsing import PATIENCE, Portal, csv_of, in_browser, portal, saved, site, view

pytestmark = in_browser

LIST = """query ($filter: [JobFilter!], $first: Int!, $order: OrderByInput) {
  jobs(filter: $filter, first: $first, order: $order) { items { id jobId user state startTime duration } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front() -> AsyncIterator[Portal]:
    """Whom no test here changes."""
    async with portal(site("aurora")) as one:
        yield one


async def test_a_jobs_charts_statistics_and_csv_hold_the_values_of_the_interface(browser: Browser, front: Portal) -> None:
    async with view(browser, front.url) as shown:
        job = (await front.ask(LIST, filter=[{"state": ["completed"], "numNodes": {"from": 1, "to": 1}}], first=1))["jobs"][
            "items"
        ][0]
        asked = await front.ask(
            "query ($id: ID!) { jobMetrics(id: $id) { name metric { series { data } } } jobStats(id: $id) { name data { avg }}}",
            id=job["id"],
        )
        page = await shown.open(f"/job/{job['id']}")
        chart = page.locator('figure[data-metric="cpu_load"]')
        await expect(chart.locator("canvas")).to_be_visible()
        series = next(one for one in asked["jobMetrics"] if one["name"] == "cpu_load")["metric"]["series"]
        lines = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
        columns = [name for name in lines[0] if name != "time"]
        shown_values = [[None if line[name] == "" else float(line[name]) for line in lines] for name in columns]
        assert shown_values == [[None if value is None else float(value) for value in one["data"]] for one in series]
        await chart.get_by_text("Values").click()
        cells = await chart.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert [None if cell == "–" else float(cell) for cell in cells] == shown_values[0][:500]
        table = csv_of(await saved(page, page.locator("#statistics").get_by_role("button", name="CSV")))
        assert {line["metric"]: float(line["avg"]) for line in table} == {
            one["name"]: one["data"]["avg"] for one in asked["jobStats"]
        }
        await expect(page.locator(".roofline .point").first).to_be_attached()


async def test_a_range_drawn_on_a_chart_is_shown_in_finer_steps(browser: Browser) -> None:
    hours, start = 10, int(time.time()) - 20 * 3600
    job = {
        "id": 1, "jobId": 1001, "user": "alice", "project": "p", "cluster": "alex", "subCluster": "main", "numNodes": 1,
        "startTime": start, "duration": 3600 * hours, "jobState": "completed", "resources": [{"hostname": "n1"}],
        "monitoringStatus": 3,
    }  # fmt: skip
    async with portal(SimulatedSite("alex", "1.4", [job], resampling=600)) as front, view(browser, front.url) as shown:
        page = await shown.open("/job/alex:1")
        chart = page.locator('figure[data-metric="cpu_load"]')
        await chart.locator("canvas").wait_for()
        await expect(page.locator("#statistics")).to_be_visible()
        assert await _steps(page, chart) == 600
        await chart.scroll_into_view_if_needed()
        over = await chart.locator(".u-over").bounding_box()
        assert over is not None
        await page.mouse.move(over["x"] + over["width"] * 0.3, over["y"] + 50)
        await page.mouse.down()
        await page.mouse.move(over["x"] + over["width"] * 0.63, over["y"] + 60, steps=5)
        await page.mouse.up()
        async with asyncio.timeout(PATIENCE / 1000):
            while await _steps(page, chart) != 180:  # the part of them that is shown of all, in whole steps of the metric's own
                await page.wait_for_timeout(100)
        await chart.get_by_role("button", name="Whole time").click()
        await expect(chart.get_by_role("button", name="Whole time")).to_have_count(0)
        assert await _steps(page, chart) == 180 and not await chart.get_by_text("Samples are").count()


async def _steps(page: Page, chart: Locator) -> float:
    """The seconds from the first sample to the second."""
    first, second, *_ = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
    return (dt.datetime.fromisoformat(second["time"]) - dt.datetime.fromisoformat(first["time"])).total_seconds()


@pytest.mark.parametrize(
    ("path", "code"), [("/job/aurora:99999999", "NOT_FOUND"), ("/job/none:1", "UNKNOWN_SITE"), ("/job/%E0%A4%A", "BAD_REQUEST")]
)
async def test_what_is_not_there_is_told_with_its_code_and_what_to_do(
    browser: Browser, front: Portal, path: str, code: str
) -> None:
    async with view(browser, front.url) as shown:
        page = await shown.open(path)
        alert = page.get_by_role("alert")
        await expect(alert).to_have_attribute("data-code", code)
        assert len(await alert.inner_text()) > 60


MEASURED = """query ($filter: [JobFilter!]) { jobs(filter: $filter, first: 150) { items { id metrics(metrics: ["cpu_load"]) {
  scope metric { series { data } } } } } }"""


async def series_of(front: Portal, **wanted: Any) -> list[tuple[str, list[list[float | None]]]]:
    """The ids of jobs, and what was measured of ``cpu_load`` at each node."""
    items = (await front.ask(MEASURED, filter=[{"state": ["completed"], **wanted}]))["jobs"]["items"]
    return [(job["id"], [series["data"] for series in job["metrics"][0]["metric"]["series"]]) for job in items]


async def test_many_nodes_are_a_band_of_their_lowest_and_highest_until_each_is_asked_for(browser: Browser, front: Portal) -> None:
    job, series = (await series_of(front, numNodes={"from": 8}))[0]
    async with view(browser, front.url) as shown:
        page = await shown.open(f"/job/{job}")
        chart = page.locator('figure[data-metric="cpu_load"]')
        await expect(chart.locator("canvas")).to_be_visible()
        lines = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
        assert list(lines[0]) == ["time", "lowest", "median", "highest"]  # of what the site says across all nodes
        query = """query ($id: ID!) { jobMetrics(id: $id, metrics: ["cpu_load"]) {
          metric { statisticsSeries { min median max } } } }"""
        told = (await front.ask(query, id=job))["jobMetrics"][0]["metric"]["statisticsSeries"]
        for column, name in (("lowest", "min"), ("median", "median"), ("highest", "max")):
            assert [float(line[column]) for line in lines] == told[name]
        await chart.get_by_role("button", name=f"Each of {len(series)}").click()
        each = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
        assert len(each[0]) == 1 + len(series)
        await chart.get_by_role("button", name="As a band").click()
        await expect(chart.get_by_role("button", name=f"Each of {len(series)}")).to_be_visible()


async def test_a_missing_sample_is_a_gap_and_no_value(browser: Browser, front: Portal) -> None:
    found = [(job, series[0]) for job, series in await series_of(front, numNodes={"from": 1, "to": 1}) if None in series[0]]
    job, values = found[0]
    async with view(browser, front.url) as shown:
        page = await shown.open(f"/job/{job}")
        chart = page.locator('figure[data-metric="cpu_load"]')
        await expect(chart.locator("canvas")).to_be_visible()
        lines = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
        shown_values = [next(text for name, text in line.items() if name != "time") for line in lines]
        gaps = [place for place, value in enumerate(values) if value is None]
        assert [place for place, text in enumerate(shown_values) if text == ""] == gaps
        await chart.get_by_text("Values").click()
        await expect(chart.locator("tbody tr td", has_text="–")).to_have_count(values[:500].count(None))


async def test_a_job_prints_with_its_charts_and_without_what_can_be_pressed(browser: Browser, front: Portal) -> None:
    job, _ = (await series_of(front))[0]
    async with view(browser, front.url) as shown:
        page = await shown.open(f"/job/{job}")
        await expect(page.locator("#statistics")).to_be_visible()
        await page.emulate_media(media="print")
        for gone in ("header.top", "form.note", "#statistics button", "figure.chart button"):
            assert not await page.locator(gone).first.is_visible(), gone
        await expect(page.locator("figure.chart canvas").first).to_be_visible()
        assert (await page.pdf(format="A4")).count(b"/Type /Page\n") >= 2


async def test_a_job_leads_to_its_page_at_its_site_which_is_not_told_of_this_one(browser: Browser, front: Portal) -> None:
    async with (
        portal(site("aurora", jobs=30), each={"page_url": "https://cc.example.org/"}) as linked,
        view(browser, linked.url) as shown,
    ):
        page = await shown.open("/job/aurora:20")
        link = page.get_by_role("link", name="its page there")
        await expect(link).to_have_attribute("href", "https://cc.example.org/monitoring/job/20")
        assert (await link.get_attribute("rel"), await link.get_attribute("target")) == ("noreferrer", "_blank")
    async with view(browser, front.url) as shown:  # sites on this machine, which nobody else's browser reaches
        page = await shown.open("/job/aurora:20")
        await expect(page.locator("#statistics")).to_be_visible()
        assert await page.get_by_role("link", name="its page there").count() == 0
