"""The pages in a real browser, over simulated sites: what they show is what the interface says."""

from __future__ import annotations

import json
import re
import time

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from surfaces.portal.browsing import csv_of, needs_chromium, portal, rows_of, saved, site, view

pytestmark = needs_chromium

LIST = """query ($filter: [JobFilter!], $first: Int!, $order: OrderByInput) {
  jobs(filter: $filter, first: $first, order: $order) { items { id jobId user state startTime duration } } }"""


async def test_each_site_has_a_card_and_one_that_goes_down_says_why() -> None:
    async with portal(site("aurora"), site("borealis"), site("eridanus")) as front, view(front.url) as shown:
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
        await expect(down).to_contain_text("UNREACHABLE")
        await front.addresses["borealis"].start()
        await expect(page.locator('[data-site="borealis"].up')).to_be_visible()


async def test_the_list_pages_on_exactly_while_jobs_start_and_vanish() -> None:
    aurora, borealis = site("aurora"), site("borealis")
    async with portal(aurora, borealis) as front, view(front.url) as shown:
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
        while "jobs are shown" not in await page.locator(".foot").inner_text():
            await page.evaluate("scrollTo(0, document.body.scrollHeight)")
            await page.wait_for_timeout(100)
        assert await rows_of(rows) == [one for one in before if one != gone]
        await expect(page.locator(".foot")).to_contain_text("All 519 jobs")
        await page.get_by_role("button", name="Newer jobs have started").click()
        await expect(rows.first).to_have_attribute("data-id", "aurora:9000")


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
async def test_an_address_shows_the_list_that_its_filter_means(address: str, meant: dict[str, object], order: object) -> None:
    async with portal(site("aurora"), site("borealis")) as front, view(front.url) as shown:
        if address.startswith("site"):
            meant = {"cluster": {"eq": "aurora"}}
        found = (await front.ask(LIST, filter=[meant], order=order, first=100))["jobs"]["items"]
        page = await shown.open(f"/jobs?{address}")
        rows = page.locator("table.jobs tbody tr")
        await expect(rows.first).to_be_visible()
        assert (await rows_of(rows))[:100] == [job["id"] for job in found]


async def test_what_is_filled_in_is_in_the_address_and_going_back_finds_the_list_again() -> None:
    async with portal(site("aurora"), site("borealis")) as front, view(front.url) as shown:
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


async def test_the_saved_files_hold_the_jobs_that_are_shown() -> None:
    async with portal(site("aurora"), site("cygnus")) as front, view(front.url) as shown:
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


async def test_a_site_that_is_down_is_named_on_the_list_and_in_the_usage() -> None:
    async with portal(site("aurora"), site("borealis")) as front, view(front.url) as shown:
        await front.addresses["borealis"].stop()
        page = await shown.open("/jobs")
        await expect(page.locator("#banner")).to_contain_text("borealis is missing")
        await expect(page.locator("#banner")).to_contain_text("UNREACHABLE")
        await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
        await page.get_by_role("link", name="Usage").click()
        await expect(page.locator("#banner")).to_contain_text("borealis is missing")


async def test_running_jobs_are_read_again_and_show_that_they_ended() -> None:
    aurora = site("aurora")
    async with portal(aurora) as front, view(front.url) as shown:
        page = await shown.open("/jobs?state=running")
        first = page.locator("table.jobs tbody tr").first
        await expect(first).to_be_visible()
        number = int((await first.get_attribute("data-id") or "").partition(":")[2])
        job = aurora.backend.jobs.get(number)
        assert job is not None
        aurora.backend.jobs.put(replace(job, state="timeout", duration=77))
        await expect(page.locator(f'tr[data-id="aurora:{number}"]')).to_contain_text("timeout")


async def test_a_jobs_charts_statistics_and_csv_hold_the_values_of_the_interface() -> None:
    async with portal(site("aurora")) as front, view(front.url) as shown:
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


async def test_a_range_drawn_on_a_chart_is_asked_for_in_finer_steps() -> None:
    async with portal(site("aurora")) as front, view(front.url) as shown:
        job = (await front.ask(LIST, filter=[{"state": ["completed"]}], first=1))["jobs"]["items"][0]
        page = await shown.open(f"/job/{job['id']}")
        chart = page.locator('figure[data-metric="cpu_load"]')
        await chart.locator("canvas").wait_for()
        await expect(page.locator("#statistics")).to_be_visible()
        await chart.scroll_into_view_if_needed()
        over = await chart.locator(".u-over").bounding_box()
        assert over is not None
        async with page.expect_request(
            lambda request: (
                '"resolution":' in (request.post_data or "")
                and '"resolution":null' not in (request.post_data or "")
                and '"cpu_load"' in (request.post_data or "")
            )
        ):
            await page.mouse.move(over["x"] + over["width"] * 0.3, over["y"] + 50)
            await page.mouse.down()
            await page.mouse.move(over["x"] + over["width"] * 0.6, over["y"] + 60, steps=5)
            await page.mouse.up()
        await chart.get_by_role("button", name="Whole time").click()
        await expect(chart.get_by_role("button", name="Whole time")).to_have_count(0)


async def test_a_tag_is_put_on_and_taken_away_and_a_note_written() -> None:
    async with portal(site("aurora")) as front, view(front.url) as shown:
        job = (await front.ask(LIST, filter=[{"state": ["completed"]}], first=1))["jobs"]["items"][0]
        read = "query ($id: ID!) { job(id: $id) { tags { type name } metaData } }"
        page = await shown.open(f"/job/{job['id']}")
        await page.get_by_label("Type").fill("review")
        await page.get_by_label("Name").fill("slow")
        await page.get_by_role("button", name="Add tag").click()
        await expect(page.locator('[data-outcome="DONE"]')).to_be_visible()
        assert (await front.ask(read, id=job["id"]))["job"]["tags"] == [{"type": "review", "name": "slow"}]
        await page.get_by_role("button", name="Take away the tag review: slow").click()
        await expect(page.locator('[data-tag="review:slow"]')).to_have_count(0)
        assert (await front.ask(read, id=job["id"]))["job"]["tags"] == []
        await page.get_by_label("Note").fill("slow disk")
        await page.get_by_role("button", name="Save note").click()
        await expect(page.locator('.note [data-outcome="DONE"]')).to_be_visible()
        assert (await front.ask(read, id=job["id"]))["job"]["metaData"]["note"] == "slow disk"


async def test_a_job_is_recorded_as_ended_and_deleted_only_once_that_is_confirmed() -> None:
    async with portal(site("aurora")) as front, view(front.url) as shown:
        job = (await front.ask(LIST, filter=[{"state": ["running"]}], first=1))["jobs"]["items"][0]
        read = "query ($id: ID!) { job(id: $id) { state } }"
        page = await shown.open(f"/job/{job['id']}")
        await page.locator("#stop").click()
        await page.get_by_role("button", name="Cancel").click()
        assert (await front.ask(read, id=job["id"]))["job"]["state"] == "running"
        await page.locator("#stop").click()
        await page.get_by_role("button", name="Record it").click()
        await expect(page.locator("h1 .pill")).to_have_text("completed")
        assert (await front.ask(read, id=job["id"]))["job"]["state"] == "completed"
        await page.locator("#delete").click()
        await page.get_by_role("button", name="Delete it").click()
        await expect(page.locator('[data-outcome="DONE"]').last).to_be_visible()
        assert (await front.ask(read, id=job["id"]))["job"] is None


async def test_usage_shows_the_figures_of_the_interface_and_how_far_they_can_be_trusted() -> None:
    async with portal(site("aurora"), site("cygnus")) as front, view(front.url) as shown:
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


@pytest.mark.parametrize(
    ("path", "code"), [("/job/aurora:99999999", "NOT_FOUND"), ("/job/none:1", "UNKNOWN_SITE"), ("/job/%E0%A4%A", "BAD_REQUEST")]
)
async def test_what_is_not_there_is_told_with_its_code_and_what_to_do(path: str, code: str) -> None:
    async with portal(site("aurora", jobs=30)) as front, view(front.url) as shown:
        page = await shown.open(path)
        alert = page.get_by_role("alert")
        await expect(alert).to_have_attribute("data-code", code)
        assert len(await alert.inner_text()) > 60


async def test_a_gateway_that_is_gone_is_told_as_such() -> None:
    async with portal(site("aurora", jobs=30)) as front, view(front.url) as shown:
        page = await shown.open("/jobs?state=timeout")
        await expect(page.locator(".foot")).not_to_be_empty()
        await page.route("**/graphql", lambda route: route.abort())
        await page.get_by_role("link", name="Usage").click()
        await expect(page.get_by_role("alert").first).to_have_attribute("data-code", "OFFLINE")
        shown.complaints[:] = [one for one in shown.complaints if "ERR_FAILED" not in one]
