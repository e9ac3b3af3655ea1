"""The portal in a real browser, over two real instances: what its pages show is what the instances list, keep and write down."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import expect

from live import upstream
from live.enrich import FIRST_JOB_ID, start, stop, wait_for
from live.faces import served
from live.farm import Farm, Site
from live.instances import hanging
from live.truth import Job, key_of, truth_of, utc
from surfaces.portal.browsing import View, chromium, csv_of, in_browser, rows_of, saved, view

pytestmark = in_browser

#: numbers of the jobs of these tests
NUMBER = FIRST_JOB_ID + 900


@pytest.fixture(scope="module")
def two(farm: Farm) -> list[Site]:
    """The newest two instances."""
    return farm.sites[:2]


@pytest.fixture(scope="module")
def url(two: list[Site], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served([site.settings() for site in two], tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest.fixture(scope="module")
def jobs(two: list[Site], farm_jobs: list[Job]) -> list[Job]:
    """Their jobs, newest first."""
    names = {site.name for site in two}
    return sorted((job for job in farm_jobs if job["site"] in names), key=lambda job: key_of(job).place)


@asynccontextmanager
async def looking_at(url: str) -> AsyncIterator[View]:
    """A browser at the gateway."""
    async with chromium() as browser, view(browser, url) as shown:
        yield shown


def ident(job: Job) -> str:
    return f"{job['site']}:{job['dbId']}"


async def test_each_instance_has_a_card_with_its_release(url: str, two: list[Site]) -> None:
    async with looking_at(url) as shown:
        page = await shown.open("/")
        await expect(page.locator(".site.up")).to_have_count(len(two))
        for site in two:
            await expect(page.locator(f'[data-site="{site.name}"]')).to_contain_text(site.release)


async def test_the_list_scrolls_through_every_job_of_both_once(url: str, jobs: list[Job]) -> None:
    async with looking_at(url) as shown:
        page = await shown.open("/jobs")
        await expect(page.locator("table.jobs tbody tr").nth(99)).to_be_attached()
        while "jobs are shown" not in await page.locator(".foot").inner_text():
            await page.evaluate("scrollTo(0, document.body.scrollHeight)")
            await page.wait_for_timeout(100)
        assert await rows_of(page.locator("table.jobs tbody tr")) == [ident(job) for job in jobs]
        await expect(page.locator(".foot")).to_contain_text(f"All {len(jobs):,} jobs".replace(",", "\u202f"))


async def test_a_filter_and_the_files_hold_the_jobs_that_it_means(url: str, jobs: list[Job]) -> None:
    meant = [job for job in jobs if job["state"] == "failed" and job["user"] == "alice" and job["numNodes"] >= 2]
    async with looking_at(url) as shown:
        page = await shown.open("/jobs?state=failed&user=%3Dalice&nodesFrom=2")
        await expect(page.locator(".foot")).to_contain_text("jobs are shown")
        assert await rows_of(page.locator("table.jobs tbody tr")) == [ident(job) for job in meant]
        lines = csv_of(await saved(page, page.locator("#csv")))
        assert [(line["id"], line["startTime"], int(line["duration"])) for line in lines] == [
            (ident(job), utc(job["startTime"]), job["duration"]) for job in meant
        ]


async def test_a_jobs_charts_and_statistics_hold_the_values_that_the_instance_keeps(
    url: str, two: list[Site], jobs: list[Job]
) -> None:
    for site in two:
        job = next(one for one in jobs if one["site"] == site.name and one["numNodes"] == 2)
        answer = upstream.read(site, f"{site.root('demo')}/jobs/metrics/{job['dbId']}?metric=cpu_load&scope=node")
        (metric,) = answer["data"]["jobMetrics"]
        kept = {series["hostname"]: series["data"] for series in metric["metric"]["series"]}
        statistics = _row(site, job["dbId"])["statistics"]
        async with looking_at(url) as shown:
            page = await shown.open(f"/job/{ident(job)}")
            chart = page.locator('figure[data-metric="cpu_load"]')
            await expect(chart.locator("canvas")).to_be_visible()
            lines = csv_of(await saved(page, chart.get_by_role("button", name="CSV")))
            columns = [name for name in lines[0] if name != "time"]
            values = [[None if line[name] == "" else float(line[name]) for line in lines] for name in columns]
            assert sorted(values, key=str) == sorted(kept.values(), key=str)
            table = csv_of(await saved(page, page.locator("#statistics").get_by_role("button", name="CSV")))
            for line in table:
                assert float(line["avg"]) == pytest.approx(statistics[line["metric"]]["avg"], abs=0.02)
                assert float(line["max"]) == statistics[line["metric"]]["max"]


async def test_the_usage_is_that_of_the_jobs(url: str, jobs: list[Job]) -> None:
    async with looking_at(url) as shown:
        page = await shown.open("/usage?by=PROJECT&from=2025-01-01T00:00:00&to=2026-01-01T00:00:00")
        counted = Counter(job["project"] for job in jobs)
        await expect(page.locator("table.usage tbody tr")).to_have_count(len(counted))
        lines = csv_of(await saved(page, page.locator("section").get_by_role("button", name="CSV").first))
        assert {line["project"]: int(line["totalJobs"]) for line in lines} == counted


async def test_jobs_start_are_tagged_and_end_on_the_pages_as_at_the_instance(
    scratch: Farm, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site, other = scratch.sites[:2]
    began = max(job["startTime"] for job in truth_of(scratch)) + 60
    with served([site.settings(), other.settings(timeout=3.0)], tmp_path_factory.mktemp("altered")) as url:
        async with looking_at(url) as shown:
            start(site, NUMBER, began, user="carol")
            number = wait_for(site, [NUMBER])[NUMBER]
            page = await shown.open("/jobs?state=running&user=%3Dcarol")
            await expect(page.locator(f'tr[data-id="{site.name}:{number}"]')).to_be_visible()
            await shown.open(f"/job/{site.name}:{number}")
            await page.get_by_label("Type").fill("review")
            await page.get_by_label("Name").fill("portal")
            await page.get_by_role("button", name="Add tag").click()
            await expect(page.locator('[data-outcome="DONE"]')).to_be_visible()
            assert ("review", "portal") in [(tag["type"], tag["name"]) for tag in _row(site, number)["tags"]]
            stop(site, NUMBER, began, seconds=120, state="timeout")
            await expect(page.locator("h1 .pill")).to_have_text("timeout")
            with hanging(other):
                await shown.open("/jobs")
                await expect(page.locator("#banner")).to_contain_text(f"{other.name} is missing")
                await expect(page.locator("table.jobs tbody tr").first).to_be_visible()


def _row(site: Site, number: int) -> dict[str, Any]:
    return next(row for row in upstream.listed(site) if row["id"] == number)
