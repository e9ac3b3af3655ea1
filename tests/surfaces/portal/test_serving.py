"""What a browser is told about the pages and their assets."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from ccgateway.surfaces.compression import CompressionMiddleware
from ccgateway.surfaces.portal import pages
from ccgateway.surfaces.portal.pages import portal_routes

SHELLS = ("/sites", "/jobs", "/jobs?site=aurora", "/job/aurora:1", "/usage")
#: bytes of a first load, packed
MOST_BYTES = 150_000


def client(root_path: str = "") -> httpx.AsyncClient:
    app = CompressionMiddleware(Starlette(routes=portal_routes()), compresses=True)
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def addresses_in(text: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"#]+)"', text)


async def test_the_root_leads_to_the_sites() -> None:
    async with client() as browser:
        response = await browser.get("/")
    assert (response.status_code, response.headers["location"]) == (307, "/sites")


@pytest.mark.parametrize("path", SHELLS)
async def test_every_page_is_a_shell_that_loads_nothing_from_elsewhere_and_runs_nothing_inline(path: str) -> None:
    async with client() as browser:
        response = await browser.get(path)
    policy = response.headers["content-security-policy"].split("; ")
    assert response.status_code == 200
    assert policy[0] == "default-src 'self'"
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} < set(policy)
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert all(address.startswith("/") and not address.startswith("//") for address in addresses_in(response.text))
    assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=", response.text)


async def test_an_asset_under_its_digest_is_kept_for_good_and_under_another_asked_for_anew() -> None:
    async with client() as browser:
        address = next(one for one in addresses_in((await browser.get("/jobs")).text) if one.endswith("portal.js"))
        current = await browser.get(address)
        old = await browser.get("/portal/assets/000000000000/portal.js")
        again = await browser.get(address, headers={"If-None-Match": f"W/{old.headers['etag'].removeprefix('W/')}"})
    assert "immutable" in current.headers["cache-control"]
    assert current.headers["content-type"].startswith("text/javascript")
    assert old.text == current.text
    assert old.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "index.html", "..%2Fpages.py", "%2e%2e%2fpages.py", "__init__.py", ""])
async def test_what_is_no_asset_is_not_found(name: str) -> None:
    async with client() as browser:
        assert (await browser.get(f"/portal/assets/0/{name}")).status_code == 404


async def test_below_a_proxys_path_every_address_has_it() -> None:
    async with client('/portal"><script>') as browser:
        hostile = (await browser.get("/sites")).text
    async with client("/gateway") as browser:
        text = (await browser.get("/gateway/sites")).text
        home = (await browser.get("/gateway/")).headers["location"]
    assert "<script>" not in hostile
    assert home == "/gateway/sites"
    assert all(address.startswith("/gateway/") for address in addresses_in(text))


async def test_a_first_load_of_any_page_is_below_its_budget_packed() -> None:
    files = [path for path in pages.FOLDER.iterdir() if path.suffix in (".js", ".css", ".svg", ".html")]
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in files) < MOST_BYTES
    async with client() as browser:
        address = next(one for one in addresses_in((await browser.get("/jobs")).text) if one.endswith("portal.css"))
        assert (await browser.get(address, headers={"Accept-Encoding": "gzip"})).headers["content-encoding"] == "gzip"


def test_no_script_writes_markup() -> None:
    own = [path for path in Path(pages.FOLDER).glob("*.js") if path.name != "uplot.js"]
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser")
    assert len(own) > 15
    assert [path.name for path in own if forbidden.search(path.read_text("utf-8"))] == []
