"""The page in a real browser: it loads nothing from elsewhere, breaks none of its own rules, and answers a click."""

from __future__ import annotations

from pathlib import Path

import pytest

from surfaces.apps import make_app
from surfaces.browser import CHROMIUM, open_page
from surfaces.fakes import FakeGateway, borealis_is_down
from surfaces.servers import serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

RUN = "document.querySelector('.graphiql-execute-button')"
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror.getValue()"
RESULT = "document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue()"


async def test_the_first_query_runs_at_a_click_and_shows_jobs_and_what_is_missing(tmp_path: Path) -> None:
    gateway = FakeGateway()
    gateway.reports.append(borealis_is_down())
    async with serving(make_app(gateway)) as url, open_page(f"{url}/graphql", tmp_path) as page:
        await page.wait_for(f"{RUN} !== null")
        await page.evaluate(f"{RUN}.click()")
        text = await page.wait_for(f"{RESULT}?.includes('pageInfo') && {RESULT}")
        assert '"aurora:1"' in text
        assert '"no answer within 10 s"' in text
        assert page.complaints == []
        assert {address for address in page.addresses if not address.startswith((url, "data:"))} == set()


async def test_a_query_in_the_address_is_in_the_editor(tmp_path: Path) -> None:
    async with (
        serving(make_app(FakeGateway())) as url,
        open_page(f"{url}/graphql?query=%7Bsites%7Bname%7D%7D", tmp_path) as page,
    ):
        await page.wait_for(f"{QUERY} === '{{sites{{name}}}}'")
