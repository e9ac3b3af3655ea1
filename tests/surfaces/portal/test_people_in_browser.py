"""People at real browsers: signing in at a provider of another site, signing out, and pages that would use their session."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import oidc_provider_mock
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from surfaces.portal.browsing import View, in_browser, look_again, view
from surfaces.portal.provider import OpenIdProvider
from surfaces.portal.signed_in import SESSION, Portal, portal

pytestmark = in_browser

EVIL = "http://evil.test"
#: where the provider's page has its style from
ELSEWHERE = "https://cdn.jsdelivr.net"
#: a list that is not the one that is shown without an address
ADDRESS = "/jobs?user=%3Dalice&state=completed&order=duration&dir=asc"


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    """An independent provider, which asks people who they are on a page of its own. To browsers it is another site than the
    gateway: ``localhost`` is not ``127.0.0.1``."""
    people = [oidc_provider_mock.User(sub="bob", claims={"groups": ["admins"]}), oidc_provider_mock.User(sub="alice", claims={})]
    with make_server("127.0.0.1", 0, oidc_provider_mock.app(user_claims=people), handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield OpenIdProvider(url=f"http://localhost:{server.server_port}")
        server.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def front(provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    issuer = {"jwks_url": f"{provider.url}/jwks", "leeway": 60}
    async with portal(provider, tmp_path_factory.mktemp("portal"), issuer=issuer) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def shown(browser: Browser, front: Portal, provider: OpenIdProvider) -> AsyncIterator[View]:
    """A window in which nobody is signed in."""
    async with view(browser, front.url, also=(provider.url, EVIL, ELSEWHERE)) as one:
        await one.page.context.route(f"{ELSEWHERE}/**", lambda route: route.fulfill(body="", content_type="text/css"))
        yield one
        # browsers say so themselves of what is refused
        one.complaints[:] = [said for said in one.complaints if "status of 40" not in said and "ERR_FAILED" not in said]


async def sign_in(page: Page, name: str) -> None:
    """By the button on the page and the form of the provider."""
    await page.locator("main, #state").get_by_role("link", name="Sign in").first.click()
    await page.locator("input[name=sub]").fill(name)
    await page.keyboard.press("Enter")


async def test_who_signs_in_comes_back_to_the_page_they_wanted_and_signs_out_of_it(shown: View, front: Portal) -> None:
    page = await shown.open(ADDRESS)
    await expect(page.locator("main")).to_contain_text("Sign in to see them")
    await sign_in(page, "alice")
    await expect(page).to_have_url(front.url + ADDRESS)
    rows = page.locator("table.jobs tbody tr")
    await expect(rows.first).to_contain_text("alice")
    await expect(page.locator(".caller")).to_have_text("alice")
    cookies: list[Any] = [one for one in await page.context.cookies() if one.get("name") == SESSION]
    (cookie,) = cookies
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert await page.evaluate("document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })") == "{}"
    await page.route("**/portal/signout", lambda route: route.abort())
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("#state")).to_contain_text("You are still signed in")
    await page.unroute("**/portal/signout")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("main")).to_contain_text("Sign in to see them")
    assert await rows.count() == 0
    await page.context.add_cookies([cookie])  # a copy of it is over, too
    await page.reload()
    await expect(page.locator("main")).to_contain_text("Sign in to see them")


async def test_a_session_that_ends_while_a_page_is_open_is_told_and_signing_in_leads_back_to_that_page(
    shown: View, front: Portal
) -> None:
    page = await shown.open("/sites")
    await sign_in(page, "alice")
    await expect(page.locator(".site.up")).to_be_visible()
    await page.goto(front.url + ADDRESS)
    rows = page.locator("table.jobs tbody tr")
    await expect(rows.first).to_be_visible()
    count = await rows.count()
    await page.context.clear_cookies(name=SESSION)
    await look_again(page)
    over = page.locator('#state [data-code="UNAUTHENTICATED"]')
    await expect(over).to_contain_text("Your session is over")
    assert (await rows.count(), page.url) == (count, front.url + ADDRESS)
    await sign_in(page, "alice")
    await expect(page).to_have_url(front.url + ADDRESS)
    await expect(rows).to_have_count(count)
    await expect(page.locator("#state")).to_be_empty()


async def test_who_has_no_rights_is_told_so_with_what_to_do_and_sees_no_buttons_that_are_not_theirs(
    shown: View, front: Portal
) -> None:
    page = await shown.open("/jobs")
    await sign_in(page, "alice")
    rows = page.locator("table.jobs tbody tr")
    await expect(rows.first).to_be_visible()
    assert {text.strip() for text in await rows.locator(".who a").all_inner_texts()} == {"alice"}
    await rows.first.locator(".job a").click()
    await expect(page.locator("dl.facts")).to_be_visible()
    assert await page.locator("#delete, #stop").count() == 0
    await page.get_by_label("Type").fill("x")
    await page.get_by_label("Name").fill("y")
    await page.get_by_label("Seen by").select_option("admin")
    await page.get_by_role("button", name="Add tag").click()
    refused = page.locator('[data-outcome="FAILED"], [role=alert]').first
    await expect(refused.locator("code")).to_have_text("SITE_UNAUTHORIZED")
    assert "Ask those who run the site" in await refused.inner_text()
    await page.goto(f"{front.url}/job/{front.site.name}:2")  # bob's
    await expect(page.get_by_role("alert")).to_contain_text("A site hides jobs that you may not see")


async def test_an_administrator_sees_the_buttons_of_one(shown: View, front: Portal) -> None:
    page = await shown.open(f"/job/{front.site.name}:2")
    await sign_in(page, "bob")
    await expect(page.locator("#delete")).to_be_visible()


async def test_who_only_has_a_cookie_that_nobody_was_given_makes_no_site_be_asked_and_it_is_taken_away(
    browser: Browser, provider: OpenIdProvider, tmp_path: Path
) -> None:
    # a portal of its own: what the page of another test still asks for would be heard here
    async with portal(provider, tmp_path) as alone, view(browser, alone.url) as shown:
        await shown.page.context.add_cookies([{"name": SESSION, "value": "gAAAAABforged", "url": alone.url}])
        page = await shown.open("/jobs")
        await expect(page.locator("main")).to_contain_text("Sign in to see them")
        await page.wait_for_load_state("networkidle")
        assert await page.context.cookies(alone.url) == []
        assert alone.site.heard == []
        shown.complaints[:] = [said for said in shown.complaints if "status of 40" not in said]


ATTACK = """<!doctype html><title>evil</title><iframe src="{url}/jobs" id="framed"></iframe><iframe name="out"></iframe>
<form method="post" action="{url}/graphql" enctype="text/plain" target="out">
<input name='{{"query":"{write}","x":"' value='"}}'></form>
<form method="post" action="{url}/portal/signout" target="out"></form>
<script>
for (const form of document.forms) form.submit();
const body = JSON.stringify({{ query: `{write}` }});
const sent = (path, headers) => fetch("{url}" + path, {{ method: "POST", credentials: "include", headers, body }})
  .then(() => "answered", () => "blocked");
window.tried = Promise.all([
  sent("/graphql", {{ "Content-Type": "application/json", "X-CCGateway-Portal": "1" }}),
  sent("/graphql", {{ "Content-Type": "text/plain" }}),
  sent("/query", {{ "Content-Type": "application/json" }}),
  sent("/portal/signout", {{ "X-CCGateway-Portal": "1" }}),
]);
</script>"""


@pytest.mark.parametrize("mutation", ["deleteJobs", "stopJobs", "tagJobs", "untagJobs", "editJobsMeta"])
async def test_a_page_of_another_site_neither_writes_nor_frames_nor_signs_out(shown: View, front: Portal, mutation: str) -> None:
    page = await shown.open("/jobs")
    await sign_in(page, "bob")
    await expect(page.locator("table.jobs tbody tr").first).to_be_visible()
    id_ = f"{front.site.name}:2"
    arguments = {
        "deleteJobs": f"jobs: [{{id: \\\"{id_}\\\"}}]", "stopJobs": f"jobs: [{{job: {{id: \\\"{id_}\\\"}}}}]",
        "tagJobs": f"jobs: [{{id: \\\"{id_}\\\"}}], tags: [{{type: \\\"a\\\", name: \\\"b\\\"}}]",
        "untagJobs": f"jobs: [{{id: \\\"{id_}\\\"}}], tags: [{{type: \\\"a\\\", name: \\\"b\\\"}}]",
        "editJobsMeta": f"jobs: [{{job: {{id: \\\"{id_}\\\"}}, values: {{note: \\\"x\\\"}}}}]",
    }[mutation]  # fmt: skip
    front.site.heard.clear()
    body = ATTACK.format(url=front.url, write=f"mutation {{ {mutation}({arguments}) {{ outcome }} }}")
    evil = await page.context.new_page()
    await evil.route(f"{EVIL}/**", lambda route: route.fulfill(body=body, content_type="text/html"))
    await evil.goto(f"{EVIL}/")
    assert await evil.evaluate("window.tried") == ["blocked"] * 4
    await evil.wait_for_load_state("networkidle")
    assert "Jobs" not in json.dumps([await frame.content() for frame in evil.frames if frame.url.startswith(front.url)])
    await evil.close()
    assert [one for one in front.site.heard if (one.method != "GET" and b"mutation" in one.body) or one.method == "DELETE"] == []
    await page.reload()
    await expect(page.locator(".caller")).to_have_text("bob")


async def test_a_code_of_somebody_else_signs_nobody_in(shown: View, front: Portal, tmp_path: Path) -> None:
    """Login CSRF: who is made to follow another person's answer of the provider is not that person then."""
    async with front.browser() as mallory:
        begun = await mallory.get(f"{front.url}/portal/signin")
        there = await mallory.post(begun.headers["location"], data={"sub": "bob"})
    page = await shown.open("/sites")
    await page.goto(there.headers["location"])
    await expect(page.locator("h1")).to_have_text("You are not signed in")
    await expect(page.locator("code")).to_have_text("UNAUTHENTICATED")
    await page.get_by_role("link", name="Try again").click()
    await page.locator("input[name=sub]").fill("alice")
    await page.keyboard.press("Enter")
    await expect(page.locator(".caller")).to_have_text("alice")
