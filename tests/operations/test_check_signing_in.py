"""What ``check`` says of signing in to the portal: the keys of the sessions, and the provider."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.responses import JSONResponse, Response

from ccgateway.operations.findings import Finding, Level
from operations.conftest import Start
from operations.desk import Desk, one_problem, one_warning
from surfaces.portal.provider import CLIENT, SECRET, OpenIdProvider, provider


@pytest_asyncio.fixture
async def sso() -> AsyncIterator[OpenIdProvider]:
    async with provider() as one:
        yield one


def write(desk: Desk, name: str, text: str, mode: int = 0o600) -> None:
    path = desk.folder / name
    path.write_text(text)
    path.chmod(mode)


async def found(
    desk: Desk, start: Start, sso: OpenIdProvider, *, secret: str = SECRET, portal: str = "", issuer: str = ""
) -> Any:
    """What is found of a desk whose portal has ``sso`` as its provider, over a site that is good."""
    address = await start("1.5")
    write(desk, "client", secret)
    if not (desk.folder / "session").exists():
        write(desk, "session", base64.b64encode(secrets.token_bytes(32)).decode())
    issuer = issuer or f'jwks_url = "{sso.url}/jwks"\nalgorithms = ["EdDSA"]'
    desk.text = (
        f'[issuers.sso]\nissuer = "{sso.url}"\naudience = "ccgateway"\n{issuer}\n'
        f'[portal]\nurl = "http://127.0.0.1:8080"\n{portal or "session_key_file = " + chr(34) + "session" + chr(34)}\n'
        f'[portal.oidc]\nissuer = "sso"\nclient_id = "{CLIENT}"\nclient_secret_file = "client"\n'
    )
    desk.add("aurora", address.url, address.site.token("demo"))
    return await desk.check()


def of_the_portal(result: Any) -> list[Finding]:
    return [one for one in result if one.key.startswith(("portal", "issuers"))]


async def test_a_portal_at_which_people_can_sign_in_is_good(desk: Desk, start: Start, sso: OpenIdProvider) -> None:
    assert of_the_portal(await found(desk, start, sso)) == []
    assert sso.tokens == []  # nobody was signed in for that


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"issuer": "https://evil.example.org"}, "another issuer's"),
        ({"token_endpoint": None}, "no discovery document"),
        ({"authorization_endpoint": "http://sso.example.org/authorize"}, "an endpoint that it names"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
    ],
    ids=str,
)
async def test_a_discovery_document_that_cannot_be_used_is_told_with_the_reason(
    desk: Desk, start: Start, sso: OpenIdProvider, document: dict[str, Any], words: str
) -> None:
    sso.discovery = document
    problem = one_problem(await found(desk, start, sso))
    assert problem.key == "issuers.sso.issuer" and words in problem.problem and ".well-known" in problem.remedy


async def test_a_secret_that_the_provider_refuses_is_named_and_not_shown(desk: Desk, start: Start, sso: OpenIdProvider) -> None:
    problem = one_problem(await found(desk, start, sso, secret="canary-wrong-canary"))
    assert problem.key == "portal.oidc.client_secret_file" and "refuses its secret" in problem.problem
    assert "canary" not in problem.problem + problem.remedy


@pytest.mark.parametrize("answer", [Response("<html>", 200), Response("", 502), JSONResponse({}, 503), Response("", 302)])
async def test_a_token_endpoint_in_trouble_is_a_problem(desk: Desk, start: Start, sso: OpenIdProvider, answer: Response) -> None:
    sso.answer = answer
    problem = one_problem(await found(desk, start, sso))
    assert problem.key == "portal.oidc.client_secret_file" and "codes cannot be redeemed" in problem.problem


async def test_an_address_that_is_not_registered_is_told_with_the_one_to_register(
    desk: Desk, start: Start, sso: OpenIdProvider
) -> None:
    sso.knows_address = False
    (warning,) = of_the_portal(await found(desk, start, sso))
    assert (warning.level, warning.key) == (Level.WARNING, "portal.url")
    assert "http://127.0.0.1:8080/portal/callback" in warning.remedy


async def test_other_keys_and_other_algorithms_than_the_provider_says_are_told(
    desk: Desk, start: Start, sso: OpenIdProvider
) -> None:
    sso.discovery = {"jwks_uri": f"{sso.url}/elsewhere", "id_token_signing_alg_values_supported": ["RS256", "<b>"]}
    result = await found(desk, start, sso)
    assert one_warning(result).key == "issuers.sso.jwks_url"
    problem = one_problem(result)
    assert problem.key == "issuers.sso.algorithms" and "RS256" in problem.remedy and "<b>" not in problem.remedy


async def test_a_provider_that_is_not_there_is_a_problem(desk: Desk, start: Start, sso: OpenIdProvider) -> None:
    issuer = f'jwks_url = "{sso.url}/jwks"\nalgorithms = ["EdDSA"]'
    sso.url = "http://127.0.0.1:9"
    problem = one_problem(await found(desk, start, sso, issuer=issuer))
    assert problem.key == "issuers.sso.issuer" and "no connection" in problem.problem


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("c2hvcnQ=", 0o600, "is not 32 random bytes"),
        ("", 0o600, "empty"),
        (base64.b64encode(b"r" * 16 + bytes(range(16))).decode(), 0o644, "can be read by everybody"),
        (base64.b64encode(b"r" * 16 + bytes(range(16))).decode(), 0o620, "can be altered by others"),
    ],
)
async def test_keys_of_sessions_that_are_none_or_everybodys_are_a_problem(
    desk: Desk, start: Start, sso: OpenIdProvider, text: str, mode: int, words: str
) -> None:
    write(desk, "session", text, mode)
    problem = one_problem(await found(desk, start, sso))
    assert problem.key == "portal.session_key_file" and words in problem.problem
    assert not text or text not in problem.problem + problem.remedy


async def test_without_keys_it_is_said_that_sessions_end_with_the_process(desk: Desk, start: Start, sso: OpenIdProvider) -> None:
    warning = one_warning(await found(desk, start, sso, portal="session_hours = 4"))
    assert warning.key == "portal.session_key_file" and "sign in again" in warning.problem
