"""Signing in at a provider that is down, hangs or answers nonsense: told as such, and no hindrance to others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response

from ccgateway.identity.relying_party import MOST_OF_ONE, MOST_OF_SEVERAL
from surfaces.portal.provider import provider
from surfaces.portal.signed_in import SESSION, Portal, portal


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example.org"}, {"issuer": None}, {"token_endpoint": "http://evil.example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"token_endpoint": None}, {"token_endpoint": 7},
        {"code_challenge_methods_supported": ["plain"]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_discovery_document_that_cannot_be_used_signs_nobody_in(fresh: Portal, document: dict[str, Any]) -> None:
    fresh.provider.discovery = document
    async with fresh.browser() as browser:
        begun = await browser.get(f"{fresh.url}/portal/signin", headers={"Accept": "text/html"})
        assert begun.status_code == 503 and "ISSUER_UNAVAILABLE" in begun.text and "Try again" in begun.text


async def test_a_provider_that_is_down_is_told_at_once_and_asked_once_for_all(tmp_path: Path) -> None:
    async with provider() as one, portal(one, tmp_path) as front, front.browser() as browser:
        one.discovery = {"issuer": None}
        statuses = [(await browser.get(f"{front.url}/portal/signin")).status_code for _ in range(20)]
        assert set(statuses) == {503} and one.asked.count("discovery") < 10
        error = (await browser.get(f"{front.url}/portal/signin")).json()["errors"][0]
        assert error["extensions"] == {"code": "ISSUER_UNAVAILABLE", "retryable": True}
        assert (await front.session(browser))["signIn"] == "/portal/signin"  # which works all the while


async def test_a_provider_that_takes_a_request_and_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccgateway.identity.relying_party.SECONDS", 0.5)

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    async with await asyncio.start_server(hang, "127.0.0.1", 0) as silent, provider() as one:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        issuer = {"issuer": url, "jwks_url": f"{one.url}/jwks"}
        async with portal(one, tmp_path, issuer=issuer) as front, front.browser() as browser:
            begun = await browser.get(f"{front.url}/portal/signin", headers={"Accept": "text/html"})
            assert begun.status_code == 503 and "ISSUER_UNAVAILABLE" in begun.text
            assert (await front.session(browser))["signedIn"] is False  # which is told all the while
        one.discovery = {"token_endpoint": f"{url}/token"}
        async with portal(one, tmp_path) as front, front.browser() as browser:
            back = await front.sign_in(browser)
            assert back.status_code == 503 and "ISSUER_UNAVAILABLE" in back.text and SESSION not in browser.cookies
        ended.set()


@pytest.mark.parametrize(("addresses", "most"), [(1, MOST_OF_ONE), (4, MOST_OF_SEVERAL)])
async def test_bogus_codes_from_some_addresses_leave_others_room_to_sign_in(front: Portal, addresses: int, most: int) -> None:
    front.provider.ponder = asyncio.Event()
    bogus = {"code": "nobody's"}

    async def come_back(browser: httpx.AsyncClient) -> int:
        where = await front.come_back(browser)
        return (await browser.get(where.copy_merge_params(bogus))).status_code

    async with AsyncExitStack() as stack:
        there = [httpx.AsyncHTTPTransport(verify=False, local_address=f"127.0.0.{2 + n % addresses}") for n in range(100)]
        greedy = [await stack.enter_async_context(httpx.AsyncClient(timeout=60, transport=one)) for one in there]
        at_it = [asyncio.create_task(come_back(browser)) for browser in greedy]
        try:
            async with asyncio.timeout(60), front.browser() as browser:
                while front.provider.asked.count("token") < most:  # noqa: ASYNC110 - the provider does not tell
                    await asyncio.sleep(0.01)
                back = await front.sign_in(browser)
                assert back.status_code == 303 and (await front.session(browser))["user"] == "alice"
        finally:
            front.provider.ponder.set()
        assert set(await asyncio.gather(*at_it)) <= {401, 503}
    assert front.provider.asked.count("token") <= most + addresses


async def test_discovery_is_read_once_for_many(fresh: Portal) -> None:
    async with fresh.browser() as browser:
        for _ in range(5):
            await fresh.sign_in(browser)
    assert fresh.provider.asked.count("discovery") == 1


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"error": "invalid_client"}, 401), JSONResponse({}), Response("<html>", 200), Response("", 500),
        Response("", 302, {"Location": "https://evil.example.org"}), JSONResponse({"id_token": 7}),
        Response(b"x" * (1 << 20)), Response("[" * 100_000),
    ],
    ids=["invalid_client", "nothing", "a page", "500", "a redirect", "no text", "1 MB", "nested"],
)  # fmt: skip
async def test_a_token_endpoint_in_trouble_is_told_as_such(front: Portal, answer: Response) -> None:
    front.provider.answer = answer
    async with front.browser() as browser:
        back = await front.sign_in(browser)
        assert back.status_code == 503 and "ISSUER_UNAVAILABLE" in back.text and SESSION not in browser.cookies
