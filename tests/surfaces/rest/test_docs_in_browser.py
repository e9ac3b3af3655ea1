"""The page about REST in a real browser: it loads nothing from elsewhere, breaks none of its own rules, and sends a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfaces.browser import CHROMIUM, open_page
from surfaces.rest.asking import RestGateway, app_of
from surfaces.servers import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

SHOWN = "document.querySelectorAll('.opblock').length"


@pytest.mark.parametrize(("face", "path"), [("documented", "/api/jobs/"), ("released", "/cc-backend/1.5/api/jobs/")])
async def test_both_faces_are_shown_and_can_be_tried_out_without_internet(face: str, path: str, tmp_path: Path) -> None:
    gateway = RestGateway()
    async with serving(app_of(gateway)) as url, open_page(f"{url}/api/docs?face={face}", tmp_path) as page:
        await page.wait_for(f"{SHOWN} > 20")
        block = f"document.querySelector('.opblock-get [data-path=\"{path}\"]').closest('.opblock')"
        await page.evaluate(f"{block}.querySelector('.opblock-summary-control').click()")
        await page.wait_for(f"{block}.querySelector('.try-out__btn') !== null")
        await page.evaluate(f"{block}.querySelector('.try-out__btn').click()")
        await page.wait_for(f"{block}.querySelector('.execute') !== null")
        await page.evaluate(f"{block}.querySelector('.execute').click()")
        answer = f"{block}.querySelector('.live-responses-table .response')?.textContent"
        await page.wait_for(f"{answer}?.includes('\"jobId\"')")
        assert (await page.evaluate(answer)).startswith("200") and len(gateway.questions) == 1
        assert page.complaints == []
        assert {address for address in page.addresses if not address.startswith((url, "data:", "blob:"))} == set()
