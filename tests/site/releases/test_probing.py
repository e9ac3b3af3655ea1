"""Which release answers: found out by reads that fail nothing, for every kind of token."""

from __future__ import annotations

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.releases import DIALECTS
from ccgateway.site.releases.probing import find_release
from support.scripted import Scripted, context_for
from support.upstream import ADMIN, Job, Upstream, user_credential

ALICE = user_credential("alice")
ROBOT = Credential(ADMIN.token, "robot", frozenset({"api"}), "/api")
OPAQUE = Credential(ADMIN.token, None, None, "/api")
RELEASES = [name for name in DIALECTS if name != "howto"]

everybody = pytest.mark.parametrize("credential", [ADMIN, ROBOT, ALICE], ids=["admin", "robot", "alice"])


@pytest.mark.parametrize("release", RELEASES)
@everybody
async def test_each_release_is_found(release: str, credential: Credential) -> None:
    upstream = Upstream([Job(1, 1000)], release=release)
    assert await find_release(upstream, context_for(credential=credential), "here") == release
    assert all(request.method == "GET" and request.safe for request in upstream.requests)
    assert len(upstream.requests) <= 5


@pytest.mark.parametrize("release", RELEASES)
@everybody
async def test_a_site_without_a_single_job_is_found(release: str, credential: Credential) -> None:
    assert await find_release(Upstream(release=release), context_for(credential=credential), "here") == release


@pytest.mark.parametrize("release", RELEASES)
@everybody
async def test_an_unreadable_newest_job_does_not_hide_the_release(release: str, credential: Credential) -> None:
    upstream = Upstream([Job(1, 1000, archive="silent"), Job(2, 999)], release=release)
    assert await find_release(upstream, context_for(credential=credential), "here") == release


def as_documented(request: SiteRequest) -> SiteAnswer:
    """An instance that behaves as the how-to page says, and is strict about it."""
    for key in ("items-per-page", "start-time"):
        if key in request.path:
            return SiteAnswer(400, "application/json", b'{"error":"invalid query parameter: %s"}' % key.encode())
    return SiteAnswer(200, "application/json", b'{"jobs":[],"items":1,"page":1}')


async def test_the_howto_form_is_found() -> None:
    assert await find_release(Scripted(by=as_documented), context_for(), "here") == "howto"


def refuses_howto_project(request: SiteRequest) -> SiteAnswer:
    if "items_per_page" in request.path:
        return SiteAnswer(200, "application/json", b'{"jobs":[]}')
    return SiteAnswer(400, "application/json", b'{"error":"invalid query parameter: project"}')


async def test_the_howto_form_is_found_whatever_it_complains_of_first() -> None:
    assert await find_release(Scripted(by=refuses_howto_project), context_for(), "here") == "howto"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (SiteAnswer(200, "text/html", b"<html>welcome</html>"), Code.BAD_ANSWER),
        (SiteAnswer(200, "application/json", b"{}"), Code.BAD_ANSWER),
        (SiteAnswer(200, "", b""), Code.BAD_ANSWER),
        (SiteAnswer(204, "", b""), Code.BAD_ANSWER),
        (SiteAnswer(401, "application/json", b'{"error":"unauthorized"}'), Code.SITE_UNAUTHORIZED),
        (SiteAnswer(401, "text/html", b"<html>login</html>"), Code.SITE_UNAUTHORIZED),
        (SiteAnswer(403, "application/json", b'{"error":"missing role: api"}'), Code.SITE_UNAUTHORIZED),
        (SiteAnswer(404, "text/plain", b"404 page not found\n"), Code.WRONG_RELEASE),
        (SiteAnswer(404, "text/html", b"<html>nginx</html>"), Code.WRONG_RELEASE),
        (SiteAnswer(302, "", b"", "https://cc.example/login"), Code.BAD_ANSWER),
        (SiteAnswer(500, "", b""), Code.SITE_ERROR),
        (SiteAnswer(400, "", b""), Code.SITE_REFUSED),
    ],
    ids=lambda value: str(value)[:60],
)
@pytest.mark.parametrize("credential", [ADMIN, ALICE, OPAQUE], ids=["admin", "alice", "opaque"])
async def test_what_is_no_cc_backend_is_an_error_that_says_what_came(
    answer: SiteAnswer, code: Code, credential: Credential
) -> None:
    site = Scripted(answer)
    with pytest.raises(SiteError) as failed:
        await find_release(site, context_for(credential=credential), "here")
    assert failed.value.code is code
    assert len(site.requests) <= 5


async def test_a_failure_on_the_way_is_passed_on() -> None:
    lost = SiteError(Code.UNREACHABLE, "here", "down")
    with pytest.raises(SiteError) as failed:
        await find_release(Scripted(lost), context_for(), "here")
    assert failed.value is lost
