"""Changing jobs by the buttons of their page: asked first where that matters, and told what came of it."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from ccgateway.simulator.faults import WriteFault
from surfaces.portal.browsing import Portal, View, in_browser, portal, site, view

pytestmark = in_browser

LIST = """query ($filter: [JobFilter!], $first: Int!, $order: OrderByInput) {
  jobs(filter: $filter, first: $first, order: $order) { items { id jobId user state startTime duration } } }"""


async def test_a_tag_is_put_on_and_taken_away_and_a_note_written(browser: Browser) -> None:
    async with portal(site("aurora")) as front, view(browser, front.url) as shown:
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


async def test_a_job_is_recorded_as_ended_and_deleted_only_once_that_is_confirmed(browser: Browser) -> None:
    async with portal(site("aurora")) as front, view(browser, front.url) as shown:
        job = (await front.ask(LIST, filter=[{"state": ["running"]}], first=1))["jobs"]["items"][0]
        read = "query ($id: ID!) { job(id: $id) { state } }"
        page = await shown.open(f"/job/{job['id']}")
        await page.locator("#stop").press("Enter")  # a click could miss it, as what is above it still grows
        await page.get_by_role("button", name="Cancel").click()
        assert (await front.ask(read, id=job["id"]))["job"]["state"] == "running"
        await page.locator("#stop").press("Enter")
        await page.get_by_role("button", name="Record it").click()
        await expect(page.locator("h1 .pill")).to_have_text("completed")
        assert (await front.ask(read, id=job["id"]))["job"]["state"] == "completed"
        await page.locator("#delete").press("Enter")
        # what came of the stop is shown until this is sent
        async with page.expect_response(lambda answer: "deleteJobs" in (answer.request.post_data or "")):
            await page.get_by_role("button", name="Delete it").click()
        await expect(page.locator('[data-outcome="DONE"]').last).to_be_visible()
        assert (await front.ask(read, id=job["id"]))["job"] is None


async def opened(shown: View, front: Portal, state: str = "completed") -> tuple[Page, int]:
    """The page of a job of aurora, once it is there, and the job's number in the site's database."""
    job = (await front.ask(LIST, filter=[{"state": [state]}], first=1))["jobs"]["items"][0]
    page = await shown.open(f"/job/{job['id']}")
    await expect(page.locator("#statistics")).to_be_visible()
    return page, int(job["id"].partition(":")[2])


async def add_tag(page: Page) -> None:
    await page.get_by_label("Type").fill("review")
    await page.get_by_label("Name").fill("slow")
    await page.get_by_role("button", name="Add tag").click()


async def test_what_was_so_already_and_what_failed_are_told_apart(browser: Browser) -> None:
    aurora = site("aurora", jobs=60)
    async with portal(aurora) as front, view(browser, front.url) as shown:
        page, number = await opened(shown, front)
        aurora.add_tag(number, "review", "slow")
        await add_tag(page)
        await expect(page.locator('[data-outcome="UNCHANGED"]')).to_contain_text("nothing was changed")
        aurora.faults.write(WriteFault.ERROR_BEFORE)
        await page.get_by_label("Note").fill("disk")
        await page.get_by_role("button", name="Save note").click()
        note = page.locator('form.note [data-outcome="FAILED"]')
        await expect(note).to_contain_text("It did not take effect, or not wholly.")
        await expect(note.locator("code")).not_to_be_empty()
        await front.addresses["aurora"].stop()
        await page.locator("#delete").press("Enter")
        await page.get_by_role("button", name="Delete it").click()
        failed = page.locator('section [data-outcome="FAILED"] code', has_text="UNREACHABLE")
        await expect(failed).to_be_visible()


async def test_what_cannot_be_found_out_is_called_unknown_and_not_to_be_sent_again_unseen(browser: Browser) -> None:
    aurora = site("aurora", jobs=60)
    async with portal(aurora, each={"timeout": 6.0}) as front, view(browser, front.url) as shown:
        page, number = await opened(shown, front)
        aurora.faults.write(WriteFault.TIMEOUT_BEFORE)
        await page.locator("#delete").press("Enter")
        await page.get_by_role("button", name="Delete it").click()
        unknown = page.locator('[data-outcome="UNKNOWN"]')
        await expect(unknown).to_contain_text("whether it took effect could not be found out")
        await expect(unknown).to_contain_text("Look before you send it again")
        assert aurora.backend.jobs.get(number) is not None
        await expect(page.locator("#delete")).to_be_visible()


async def test_escape_and_cancel_change_nothing(browser: Browser) -> None:
    aurora = site("aurora", jobs=60)
    async with portal(aurora) as front, view(browser, front.url) as shown:
        page, number = await opened(shown, front)
        for leave in ("Escape", "Cancel"):
            await page.locator("#delete").press("Enter")
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_contain_text("cannot be undone")
            if leave == "Escape":
                await page.keyboard.press("Escape")
            else:
                await dialog.get_by_role("button", name="Cancel").click()
            await expect(dialog).to_have_count(0)
        assert aurora.backend.jobs.get(number) is not None
