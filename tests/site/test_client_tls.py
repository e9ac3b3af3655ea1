"""The client and TLS, and addresses that cannot be."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site.client import SiteClient
from ccgateway.site.facts import SiteFacts
from support.loopback import self_signed
from support.raw_server import plain_answer, raw_server
from support.site_client import LIST, client_of, context, sends, settings_for

# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, signed by itself, and a server's TLS context with it."""
    certificate, private = self_signed(tmp_path, hours=1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, private)
    return certificate, tls


async def test_a_certificate_of_an_unknown_authority_is_refused_before_the_token_leaves(
    authority: tuple[Path, ssl.SSLContext],
) -> None:
    async with raw_server(sends(plain_answer()), tls=authority[1]) as server, client_of(server.url) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context())
    assert error.value.code is Code.UNREACHABLE
    assert "certificate" in error.value.message
    assert server.heard == []


async def test_a_certificate_of_the_named_authority_is_accepted(authority: tuple[Path, ssl.SSLContext]) -> None:
    certificate, tls = authority
    async with raw_server(sends(plain_answer()), tls=tls) as server, client_of(server.url, ca_file=certificate) as client:
        assert (await client.exchange(LIST, context())).status == 200


@pytest.mark.parametrize("url", ["http://exa\x01mple", "http://[zz]", "http://\N{SNOWMAN}"])
def test_an_address_that_cannot_be_asked_is_a_settings_error_that_names_the_key(url: str) -> None:
    with pytest.raises(SettingsError, match=r"sites\.here\.url: is not a URL \([^)]+\)\. "):
        SiteClient(SiteSettings.model_construct(**{**dict(settings_for("http://x")), "url": url}))


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "%20", "-", "xn--a", "."])
async def test_a_host_that_cannot_be_is_a_failure_not_a_crash(host: str) -> None:
    async with client_of(f"http://{host}") as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context(2.0))
    assert error.value.code in (Code.UNREACHABLE, Code.BAD_ANSWER, Code.TIMEOUT)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_bad_authority_file_is_a_settings_error_that_names_the_key(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"sites\.here\.ca_file") as error:
        SiteClient(settings_for("https://127.0.0.1", ca_file=path))
    assert str(path) in error.value.message


async def test_plain_http_where_tls_is_spoken_is_a_failure_not_a_crash(authority: tuple[Path, ssl.SSLContext]) -> None:
    tls = raw_server(sends(plain_answer()), tls=authority[1])
    async with tls as server, client_of(server.url.replace("https", "http")) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context(2.0))
    assert error.value.code in (Code.CONNECTION_LOST, Code.BAD_ANSWER)


async def test_tls_where_plain_http_is_spoken_is_a_failure_not_a_crash() -> None:
    async with raw_server(sends(plain_answer())) as server, client_of(server.url.replace("http", "https")) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, context(2.0))
    assert error.value.code in (Code.UNREACHABLE, Code.CONNECTION_LOST, Code.TIMEOUT)


async def test_the_end_of_a_certificate_is_known_once_the_site_was_asked(authority: tuple[Path, ssl.SSLContext]) -> None:
    certificate, tls = authority
    facts = SiteFacts()
    async with raw_server(sends(plain_answer()), tls=tls) as server:
        client = SiteClient(settings_for(server.url, ca_file=certificate), facts=facts)
        await client.exchange(LIST, context())
        await client.aclose()
    assert facts.certificate_expires is not None and 0 < facts.certificate_expires - time.time() <= 3600
