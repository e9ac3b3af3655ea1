"""Signing in to the portal at a real provider: who is let in, as whom, and who is not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from ccgateway.identity.callers import Callers
from identity.authority import signer
from surfaces.portal.provider import CLIENT, OpenIdProvider, provider
from surfaces.portal.signed_in import ATTEMPT, SESSION, Portal, new_key, portal
from surfaces.servers import serving

JOBS = "{ jobs(first: 500) { items { id user } } }"


def users(answer: httpx.Response) -> set[str]:
    return {job["user"] for job in answer.json()["data"]["jobs"]["items"]}


# --- who signs in


async def test_who_signs_in_sees_their_own_jobs_until_they_sign_out(front: Portal) -> None:
    async with front.browser() as browser:
        before = await front.session(browser)
        assert before == {
            "signedIn": False, "user": None, "roles": [], "expires": None, "signIn": "/portal/signin", "pasteToken": True,
            "open": False,
        }  # fmt: skip
        back = await front.sign_in(browser, "/jobs?state=running#list")
        assert (back.status_code, back.headers["location"]) == (303, "/jobs?state=running#list")
        assert ATTEMPT not in browser.cookies
        session = await front.session(browser)
        assert (session["signedIn"], session["user"], session["roles"]) == (True, "alice", ["user"])
        assert session["expires"] is not None
        for path in ("/graphql", "/query"):
            assert users(await front.ask(browser, JOBS, path=path)) == {"alice"}
        out = await browser.post(f"{front.url}/portal/signout", headers=front.own)
        assert out.status_code == 204 and SESSION not in browser.cookies
        assert (await front.ask(browser, JOBS)).status_code == 401
        assert (await front.session(browser))["signedIn"] is False


@pytest.mark.parametrize("groups", [[], ["staff"], ["supporters"], ["admins"], ["root", "admin"]])
async def test_who_is_signed_in_is_exactly_the_principal_of_their_token(fresh: Portal, groups: list[str]) -> None:
    fresh.provider.claims = {"groups": groups}
    token = fresh.provider.authority.token("alice", iss=fresh.provider.url, groups=groups)
    query = "{ jobs(first: 500) { items { id user state } count } clusters { name } sites { name reachable } }"
    async with fresh.browser() as browser, fresh.browser() as script:
        await fresh.sign_in(browser)
        fresh.site.heard.clear()
        by_session = (await fresh.ask(browser, query)).json()
        shown = {fresh.site.keys.verify(one.token or "", fresh.site.release) for one in fresh.site.heard}
        fresh.site.heard.clear()
        by_token = (await fresh.ask(script, query, {"Authorization": f"Bearer {token}"})).json()
        assert by_session == by_token and by_token["data"]["jobs"]["items"]
        told, of_token = await fresh.session(browser), await fresh.session(script, **{"X-Auth-Token": token})
        assert (told["user"], told["roles"]) == (of_token["user"], of_token["roles"])
        assert {claims.subject for claims in shown} == {"alice"}
    callers = Callers(fresh.settings)
    try:
        assert (await callers.principal(token)).roles == set(told["roles"])
    finally:
        await callers.aclose()


async def test_two_people_in_two_browsers_see_their_own(front: Portal) -> None:
    async with front.browser() as hers, front.browser() as his:
        await front.sign_in(hers)
        front.provider.user = "bob"
        await front.sign_in(his)
        assert users(await front.ask(hers, JOBS)) == {"alice"} and users(await front.ask(his, JOBS)) == {"bob"}
        cookie = hers.cookies[SESSION]
        await hers.post(f"{front.url}/portal/signout", headers=front.own)
        his.cookies.set(SESSION, cookie, domain="127.0.0.1", path="/")
        sent = {**front.own, "Cookie": f"{SESSION}={cookie}"}
        async with front.browser() as thief:  # a copy is over with the session
            assert (await front.ask(thief, JOBS, sent)).status_code == 401


async def test_a_public_client_proves_itself_by_pkce_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surfaces.portal.provider.SECRET", "")
    async with provider() as one, portal(one, tmp_path, oidc={"client_secret": None}) as front, front.browser() as browser:
        assert (await front.sign_in(browser)).status_code == 303


async def test_a_provider_that_takes_the_secret_in_the_form_only_gets_it_there(fresh: Portal) -> None:
    fresh.provider.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with fresh.browser() as browser:
        assert (await fresh.sign_in(browser)).status_code == 303


async def test_an_independent_provider_signs_people_in(tmp_path: Path) -> None:
    import threading
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    oidc_provider_mock = pytest.importorskip("oidc_provider_mock")

    class Quiet(WSGIRequestHandler):
        log_message = lambda *_: None  # noqa: E731

    app = oidc_provider_mock.app(user_claims=[oidc_provider_mock.User(sub="bob", claims={"groups": ["admins"]})])
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        one = OpenIdProvider(url=f"http://127.0.0.1:{server.server_port}")
        try:
            section = {"jwks_url": f"{one.url}/jwks", "leeway": 60}
            async with portal(one, tmp_path, issuer=section) as front, front.browser() as browser:
                begun = await browser.get(f"{front.url}/portal/signin")
                there = await browser.post(begun.headers["location"], data={"sub": "bob"})
                back = await browser.get(there.headers["location"])
                assert back.status_code == 303, back.text
                told = await front.session(browser)
                assert (told["user"], told["roles"]) == ("bob", ["admin"])
        finally:
            server.shutdown()


# --- who does not


def resigned(token: str, **changes: Any) -> str:
    claims = {**jwt.decode(token, options={"verify_signature": False}), **changes}
    key = signer("EdDSA")
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key.private, "EdDSA", {"kid": key.kid})


def unsigned(token: str) -> str:
    return jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", "none")


FORGED: dict[str, Callable[[str], str]] = {
    "alg none": unsigned,
    "a key of somebody else's": lambda token: jwt.encode(
        jwt.decode(token, options={"verify_signature": False}), signer("EdDSA", "mallory").private, "EdDSA", {"kid": "first"}
    ),
    "an HMAC with the public key": lambda token: jwt.encode(
        jwt.decode(token, options={"verify_signature": False}), "k" * 32, "HS256", {"kid": "first"}
    ),
    "another audience": lambda token: resigned(token, aud="ccgateway"),
    "no audience": lambda token: resigned(token, aud=None),
    "several audiences, no azp": lambda token: resigned(token, aud=[CLIENT, "other"]),
    "made for another client": lambda token: resigned(token, azp="other"),
    "another issuer": lambda token: resigned(token, iss="https://sso.example.org/realms/other"),
    "no issuer": lambda token: resigned(token, iss=None),
    "another nonce": lambda token: resigned(token, nonce="n" * 43),
    "a nonce that is no text": lambda token: resigned(token, nonce=["n"]),
    "no nonce": lambda token: resigned(token, nonce=None),
    "expired": lambda token: resigned(token, exp=int(time.time()) - 600),
    "without an end": lambda token: resigned(token, exp=None),
    "issued tomorrow": lambda token: resigned(token, iat=int(time.time()) + 86_400),
    "no subject": lambda token: resigned(token, sub=None),
    "a subject that is none": lambda token: resigned(token, sub="alice\nadmin"),
    "a cut signature": lambda token: token[:-4],
    "no token": lambda _token: "x",
    "20 KB": lambda token: resigned(token, filler="x" * 20_000),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_an_id_token_that_proves_nobody_begins_no_session(front: Portal, forge: Callable[[str], str]) -> None:
    front.provider.forge = forge
    async with front.browser() as browser:
        back = await front.sign_in(browser)
        assert back.status_code == 401 and "UNAUTHENTICATED" in back.text
        assert SESSION not in browser.cookies and ATTEMPT not in browser.cookies
        assert (await front.session(browser))["signedIn"] is False


async def test_a_code_is_good_once_and_in_one_browser(front: Portal) -> None:
    async with front.browser() as hers, front.browser() as thief:
        address = await front.come_back(hers)
        assert (await thief.get(address)).status_code == 401  # who did not begin it
        attempt = hers.cookies[ATTEMPT]
        assert (await hers.get(address)).status_code == 303
        assert (await hers.get(address)).status_code == 401  # the browser has forgotten the attempt
        replayed = await thief.get(address, headers={"Cookie": f"{ATTEMPT}={attempt}"})  # and a copy meets the provider
        assert replayed.status_code == 401 and SESSION not in thief.cookies


@pytest.mark.parametrize(
    "change",
    [
        {"state": "x"}, {"state": ""}, {"state": None}, {"code": None}, {"code": ""}, {"code": "x"}, {"code": "x" * 5000},
        {"iss": "https://evil.example.org"}, {"error": "access_denied"}, {"error": "<script>alert(1)</script>"},
    ],
    ids=str,
)  # fmt: skip
async def test_an_answer_that_does_not_fit_begins_no_session(front: Portal, change: dict[str, str | None]) -> None:
    async with front.browser() as browser:
        address = await front.come_back(browser)
        changed = {**dict(address.params), **change}
        address = address.copy_with(params={name: value for name, value in changed.items() if value is not None})
        back = await browser.get(address, headers={"Accept": "text/html"})
        assert back.status_code == 401 and SESSION not in browser.cookies and "<script" not in back.text


async def test_another_browsers_code_does_not_sign_this_one_in(front: Portal) -> None:
    async with front.browser() as mallory, front.browser() as alice:
        front.provider.user = "mallory"
        code = (await front.come_back(mallory)).params["code"]
        front.provider.user = "alice"
        hers = await front.come_back(alice)
        back = await alice.get(hers.copy_merge_params({"code": code}))
        assert back.status_code == 401 and SESSION not in alice.cookies  # PKCE


async def test_a_provider_that_says_its_name_has_to_say_it(fresh: Portal) -> None:
    fresh.provider.discovery = {"authorization_response_iss_parameter_supported": True}
    async with fresh.browser() as browser:
        assert (await fresh.sign_in(browser)).status_code == 401
        fresh.provider.callback = {"iss": fresh.provider.url}
        assert (await fresh.sign_in(browser)).status_code == 303


# --- where signing in leads

LOCAL = ["/", "/jobs", "/jobs?state=running&user=a%2Fb", "/job/aurora:17#metrics", "/usage?from=2026-01-01T00:00:00Z"]
ELSEWHERE = [
    "//evil.example.org", "///evil.example.org", "////evil.example.org", "/\\evil.example.org", "/\\/evil.example.org",
    "\\\\evil.example.org", "\\/evil.example.org", "/jobs\\..\\\\evil.example.org", "https://evil.example.org",
    "HTTPS://evil.example.org", "http:evil.example.org", "https:/evil.example.org", "https:///evil.example.org",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "evil.example.org", "@evil.example.org", "",
    " //evil.example.org", " /jobs", "/\t/evil.example.org", "/\n/evil.example.org", "/\r/evil.example.org",
    "\t//evil.example.org",
    "/jobs\r\nSet-Cookie: a=b", "/\x00/evil.example.org", "/\u2028/evil.example.org", "/\uff45vil", "\u3000//evil.example.org",
    "?next=//evil.example.org", "#//evil.example.org", ".//evil.example.org", "../evil", "/portal/signin?next=/",
    "/portal/callback",
    "/portal/signout", "/" + "a" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("path", LOCAL + ELSEWHERE)
async def test_signing_in_leads_to_paths_of_the_gateway_itself_only(front: Portal, path: str) -> None:
    async with front.browser() as browser:
        back = await front.sign_in(browser, path)
        assert back.status_code == 303
        assert back.headers["location"] == (path if path in LOCAL else "/")
        assert back.headers.get_list("set-cookie") and not any("a=b" in one for one in back.headers.get_list("set-cookie"))


async def test_a_forged_host_does_not_change_where_the_provider_sends_people(front: Portal) -> None:
    async with front.browser() as browser:
        headers = {"Host": "evil.example.org", "X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https"}
        begun = await browser.get(f"{front.url}/portal/signin", headers=headers)
        assert httpx.URL(begun.headers["location"]).params["redirect_uri"] == f"{front.url}/portal/callback"


async def test_no_answer_can_be_framed_kept_or_told_on(front: Portal) -> None:
    async with front.browser() as browser:
        answers = [await browser.get(f"{front.url}/portal/signin"), await browser.get(f"{front.url}/portal/callback"),
                   await browser.get(f"{front.url}/portal/session"), await browser.post(f"{front.url}/portal/signout"),
                   await front.sign_in(browser)]  # fmt: skip
    for answer in answers:
        headers = answer.headers
        assert headers["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


# --- secrets


async def test_no_secret_is_in_any_log_cookie_or_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = new_key()
    async with provider() as one, portal(one, tmp_path, session_key=key, access_log=True) as front, front.browser() as browser:
        logging.getLogger("uvicorn.access").propagate = True  # which the site's server has switched off
        address = await front.come_back(browser)
        attempt = browser.cookies[ATTEMPT]
        back = await browser.get(address)
        session = browser.cookies[SESSION]
        again = await browser.get(address)
        told = f"{await front.session(browser)} {back.headers} {back.text} {again.headers} {again.text}"
        one.forge = unsigned
        told += (await front.sign_in(browser)).text
        logged = "\n".join(
            f"{record.getMessage()} {record.exc_text}"
            for record in caplog.records
            if not record.name.startswith(("httpx", "httpcore")) and "/authorize?" not in record.getMessage()  # of the test's own
        )
        assert "/portal/callback" in logged  # by the access log
        secrets = [key, "canary", *one.tokens, address.params["code"], address.params["state"], attempt, session]
        assert [secret for secret in secrets if secret in logged] == []
        hidden = [key, "canary", *one.tokens]
        assert [secret for secret in hidden if secret in told or secret in session + attempt] == []
        assert [part for part in ("alice", "user") if part in session] == []
        assert key not in repr(front.settings)


async def test_without_the_portal_nobody_signs_in_and_no_cookie_counts(tmp_path: Path) -> None:
    key = new_key()
    async with provider() as one:
        async with portal(one, tmp_path, session_key=key) as front, front.browser() as browser:
            await front.sign_in(browser)
            cookie, port = browser.cookies[SESSION], int(front.url.rpartition(":")[2])
        async with portal(one, tmp_path, port=port, session_key=key, enabled=False) as front, front.browser() as browser:
            assert (await front.ask(browser, JOBS, {**front.own, "Cookie": f"{SESSION}={cookie}"})).status_code == 401
            for path in ("session", "signin", "callback"):
                assert (await browser.get(f"{front.url}/portal/{path}")).status_code == 404
        async with portal(one, tmp_path, port=port, session_key=key) as front, front.browser() as browser:
            assert (await front.ask(browser, JOBS, {**front.own, "Cookie": f"{SESSION}={cookie}"})).status_code == 200


async def test_a_gateway_without_identities_is_open_and_has_no_sign_in(tmp_path: Path) -> None:
    from ccgateway.app import create_app
    from ccgateway.settings import Settings

    settings = Settings(sites={"aurora": {"number": 1, "url": "http://127.0.0.1:9"}})  # type: ignore[dict-item]
    async with serving(create_app(settings)) as url, httpx.AsyncClient() as browser:
        told = (await browser.get(f"{url}/portal/session")).json()
        assert told == {"signedIn": False, "user": "local", "roles": ["admin"], "expires": None, "signIn": None,
                        "pasteToken": False, "open": True}  # fmt: skip
        assert (await browser.get(f"{url}/portal/signin")).status_code == 404
