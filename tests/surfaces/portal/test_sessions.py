"""Whose requests a session's cookie counts for: those of the portal's own pages, and of nobody who made or found one."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from starlette.requests import Request
from starlette.responses import Response

from ccgateway.errors import RequestError, SettingsError
from ccgateway.identity.principal import Principal
from ccgateway.settings import IssuerSettings, PortalSettings
from ccgateway.surfaces.portal.sessions import Sessions, own_key
from surfaces.portal.signed_in import SESSION, Portal, new_key

JOBS = "{ jobs(first: 500) { items { id user } } }"
OWN = {"X-CCGateway-Portal": "1", "Sec-Fetch-Site": "same-origin"}
WRITES = {
    "tag": 'mutation { addTagsToJob(job: "site:1", tagIds: ["1"]) { id } }',
    "stop": 'mutation { stopJobs(jobs: [{id: "site:1"}]) { outcome } }',
    "delete": 'mutation { deleteJobs(jobs: [{id: "site:1"}]) { outcome } }',
}


# --- requests of other pages


@pytest.mark.parametrize("write", sorted(WRITES))
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example", "X-CCGateway-Portal": "1"},
        {"Origin": "null", "X-CCGateway-Portal": "1"},
        {"Sec-Fetch-Site": "same-site", "X-CCGateway-Portal": "1"},
        {"Sec-Fetch-Site": "none", "X-CCGateway-Portal": "1"},
        {"X-CCGateway-Portal": "1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "X-CCGateway-Portal": "0"},
        {"Sec-Fetch-Site": "same-origin", "X-CCGateway-Portal": "1", "Origin": "https://evil.example"},
        {},
    ],
)
async def test_a_page_of_another_origin_cannot_use_the_session(front: Portal, headers: dict[str, str], write: str) -> None:
    async with front.browser() as browser:
        await front.sign_in(browser)
        front.site.heard.clear()
        refused = await front.ask(browser, WRITES[write], headers)
        assert refused.status_code in (401, 403), refused.text
        assert front.site.heard == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_form_of_another_page_writes_nothing(front: Portal, kind: str) -> None:
    async with front.browser() as browser:
        await front.sign_in(browser)
        front.site.heard.clear()
        sent = {"Content-Type": kind, "Origin": "https://evil.example"}
        refused = await browser.post(
            f"{front.url}/graphql", content=json.dumps({"query": WRITES["stop"], "x": "="}), headers=sent
        )
        assert refused.status_code >= 400
        assert front.site.heard == []


async def test_rest_and_exports_know_no_session(front: Portal) -> None:
    async with front.browser() as browser:
        await front.sign_in(browser)
        front.site.heard.clear()
        for path in ("/api/jobs/", "/userapi/jobs/", "/cc-backend/1.5/api/jobs/", "/export/jobs"):
            assert (await browser.get(front.url + path, headers=front.own)).status_code == 401, path
        assert (await browser.delete(f"{front.url}/api/jobs/delete_job/1001", headers=front.own)).status_code == 401
        assert front.site.heard == []


async def test_a_page_of_another_origin_signs_nobody_out(front: Portal) -> None:
    async with front.browser() as browser:
        await front.sign_in(browser)
        out = await browser.post(f"{front.url}/portal/signout", headers={"Origin": "https://evil.example"})
        assert out.status_code == 403
        assert (await front.session(browser))["signedIn"] is True


async def test_a_token_goes_before_the_session(front: Portal) -> None:
    token = front.provider.authority.token("bob", iss=front.provider.url, groups=[])
    async with front.browser() as browser:
        await front.sign_in(browser)
        told = (await front.ask(browser, JOBS, {**front.own, "Authorization": f"Bearer {token}"})).json()
        assert {job["user"] for job in told["data"]["jobs"]["items"]} == {"bob"}
        assert (await front.ask(browser, JOBS, {**front.own, "Authorization": "Bearer forged"})).status_code == 401


# --- cookies that nobody was given


async def test_a_cookie_that_was_changed_is_worth_nothing(front: Portal) -> None:
    async with front.browser() as browser, front.browser() as thief:
        await front.sign_in(browser)
        good = browser.cookies[SESSION].strip('"')
        middle = len(good) // 2
        forged = [
            good[:-8], good[1:], good[:middle], good[:middle] + ("A" if good[middle] != "A" else "B") + good[middle + 1 :],
            "", "x", "a" * 5000, "=" * 40, Fernet(Fernet.generate_key()).encrypt(b"{}").decode(),
            base64.b64encode(b'{"type":"session","subject":"root","roles":["admin"]}').decode(),
        ]  # fmt: skip
        for place, cookie in enumerate(forged):
            answer = await front.ask(thief, JOBS, {**front.own, "Cookie": f"{SESSION}={cookie}"})
            assert answer.status_code == 401, (place, cookie[-40:])
            assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await front.ask(browser, JOBS)).status_code == 200


def sessions(folder: Path, *keys: str, url: str = "http://127.0.0.1:1", clock: float | None = None, **issuer: object) -> Sessions:
    file = folder / f"key{len(list(folder.iterdir()))}"
    file.write_text("\n".join(keys))
    file.chmod(0o600)

    class Nobody:
        async def get(self, name: str) -> bytes | None:
            return None

        async def set(self, name: str, value: bytes, seconds: float) -> None: ...

    settings = PortalSettings.model_validate({"url": url, "session_key_file": file, "session_hours": 1})
    rules = {
        "name": "sso",
        "issuer": "https://sso.example",
        "jwks_url": "https://sso.example/keys",
        "audience": "ccgateway",
        **issuer,
    }
    return Sessions(settings, IssuerSettings.model_validate(rules), Nobody(), own_key(), clock=lambda: clock or time.time())


def cookies_of(response: Response) -> list[str]:
    return [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]


def request_with(cookie: str, **headers: str) -> Request:
    shown = {**{name.lower(): value for name, value in OWN.items()}, "cookie": cookie, **headers}
    listed = [(name.encode(), value.encode()) for name, value in shown.items()]
    return Request({"type": "http", "method": "POST", "path": "/graphql", "headers": listed})


def begun(of: Sessions) -> str:
    response = Response()
    of.begin(Principal("alice", frozenset(), (), "sso"), response)
    return cookies_of(response)[0].partition(";")[0]


async def test_keys_can_be_changed_while_people_are_signed_in(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    cookie = begun(sessions(tmp_path, old))
    assert await sessions(tmp_path, new, old).principal(request_with(cookie)) is not None
    assert await sessions(tmp_path, old).principal(request_with(cookie)) is not None
    with pytest.raises(RequestError, match="over"):
        await sessions(tmp_path, new).principal(request_with(cookie))


async def test_a_session_ends_with_its_hour_and_with_the_rules_that_gave_its_roles(tmp_path: Path) -> None:
    key, now = new_key(), time.time()
    cookie = begun(sessions(tmp_path, key, clock=now))
    assert await sessions(tmp_path, key, clock=now + 3500).principal(request_with(cookie)) is not None
    for later in (sessions(tmp_path, key, clock=now + 3601), sessions(tmp_path, key, clock=now, roles={"staff": "admin"})):
        with pytest.raises(RequestError, match="over"):
            await later.principal(request_with(cookie))


async def test_the_cookie_of_an_attempt_is_no_session(tmp_path: Path) -> None:
    key = new_key()
    one = sessions(tmp_path, key)
    sealed = begun(one).partition("=")[2]
    assert one.attempt(request_with(f"ccgateway-signin={sealed}")) is None


async def test_of_two_cookies_that_differ_neither_signs_anybody_in(tmp_path: Path) -> None:
    one = sessions(tmp_path, new_key())
    mine, planted = begun(one), begun(one)
    assert await one.principal(request_with(f"a=b; {mine}; {mine}")) is not None
    for both in (f"{mine}; {planted}", f"{planted}; {mine}"):
        with pytest.raises(RequestError, match="over"):
            await one.principal(request_with(both))


@pytest.mark.parametrize("piece", ["\\\\", '\\"', "\\101", ";", "a=b;", '"', "ccgateway-session=a;"])
async def test_no_cookie_holds_the_others_up(tmp_path: Path, piece: str) -> None:
    one = sessions(tmp_path, new_key())
    for of in ('ccgateway-session="{0}"', 'other="{0}"', "{0}"):
        request = request_with(of.format(piece * (65_536 // len(piece))))
        began = time.process_time()
        one.has_cookie(request), one.attempt(request), await one.session(request)
        assert time.process_time() - began < 2  # some milliseconds; 15 seconds and more where each step looks at all of it


def test_behind_https_the_cookies_are_bound_to_the_host_and_never_sent_in_clear(tmp_path: Path) -> None:
    response = Response()
    secure = sessions(tmp_path, new_key(), url="https://jobs.example.org")
    secure.begin(Principal("alice", frozenset(), (), "sso"), response)
    (cookie,) = cookies_of(response)
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith("__Host-ccgateway-session=")
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)


def test_several_workers_need_a_key_that_all_of_them_have() -> None:
    oidc = {"issuer": "sso", "client_id": "ccgateway"}
    settings = PortalSettings.model_validate({"url": "https://jobs.example.org", "oidc": oidc})
    settings.check_workers(1, have_redis=False)
    with pytest.raises(SettingsError, match=r"portal\.session_key_file"):
        settings.check_workers(2, have_redis=True)


def test_several_workers_need_a_redis_to_know_who_signed_out(tmp_path: Path) -> None:
    oidc = {"issuer": "sso", "client_id": "ccgateway"}
    values = {"url": "https://jobs.example.org", "oidc": oidc, "session_key_file": tmp_path / "keys"}
    settings = PortalSettings.model_validate(values)
    settings.check_workers(2, have_redis=True)
    with pytest.raises(SettingsError, match=r"cache\.redis_url_file"):
        settings.check_workers(2, have_redis=False)


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"\0" * 32).decode(), "ü" * 44])
def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        sessions(tmp_path, text)
    assert text not in str(refused.value)
