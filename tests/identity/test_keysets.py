"""An issuer's published keys: read once, read again when due, never too often, and kept while they cannot be read."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.identity.keysets import RemoteKeys, keys_in
from ccgateway.settings import IssuerSettings
from identity.authority import Authority, issuer_section, signer
from support.loopback import self_signed
from support.raw_server import RawServer, plain_answer, raw_server

OLD, NEW = signer("EdDSA", "old"), signer("EdDSA", "new")
ALGORITHMS = ("EdDSA", "RS256", "ES256")


@dataclass
class Published:
    """What the issuer's address answers (``None``: closes the connection), and a clock for those who read it."""

    answer: bytes | None
    now: float = 1000.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    server: RawServer | None = None

    @property
    def readings(self) -> int:
        assert self.server is not None
        return len(self.server.heard)


@asynccontextmanager
async def published(*keys: Any, **changes: Any) -> AsyncIterator[tuple[Published, RemoteKeys]]:
    state = Published(plain_answer(Authority(list(keys)).jwks()))
    state.gate.set()

    async def answer(_request: Any, writer: Any) -> Any:
        await state.gate.wait()
        if state.answer is None:
            return "close"
        writer.write(state.answer)
        return "keep"

    async with raw_server(answer) as server:
        state.server = server
        section = issuer_section(jwks_url=f"{server.url}/certs", refresh=900, refresh_least=30, keep=3600, **changes)
        remote = RemoteKeys(IssuerSettings.model_validate({"name": "sso", **section}), clock=lambda: state.now)
        try:
            yield state, remote
        finally:
            state.gate.set()
            await remote.aclose()


def publish(state: Published, *keys: Any) -> None:
    state.answer = plain_answer(Authority(list(keys)).jwks())


async def settled(remote: RemoteKeys) -> None:
    """Waits for the reading in the background."""
    reading = remote._reading
    assert reading is not None
    await asyncio.wait((reading,))


async def test_nothing_is_read_before_it_is_needed_and_then_once() -> None:
    async with published(OLD) as (state, remote):
        assert state.readings == 0
        for _ in range(5):
            assert await remote.find("old", "EdDSA") is not None
        assert state.readings == 1


async def test_many_who_come_at_once_wait_for_one_reading() -> None:
    async with published(OLD) as (state, remote):
        state.gate.clear()
        asking = [asyncio.create_task(remote.find("old", "EdDSA")) for _ in range(50)]
        await asyncio.sleep(0)
        asking[0].cancel()  # whoever leaves takes nobody's reading away
        state.gate.set()
        found = await asyncio.gather(*asking[1:])
        assert all(key is not None for key in found) and state.readings == 1


async def test_keys_are_read_again_when_due_while_the_old_ones_serve() -> None:
    async with published(OLD) as (state, remote):
        await remote.find("old", "EdDSA")
        publish(state, NEW)
        state.now += 901
        state.gate.clear()
        assert await remote.find("old", "EdDSA") is not None  # at once: the reading hangs
        state.gate.set()
        await settled(remote)
        assert await remote.find("new", "EdDSA") is not None
        assert await remote.find("old", "EdDSA") is None  # what is no longer published is no longer believed
        assert state.readings == 2


async def test_a_key_that_is_not_known_is_looked_for_once_per_interval() -> None:
    async with published(OLD) as (state, remote):
        await remote.find("old", "EdDSA")
        state.now += 31
        for number in range(100):
            assert await remote.find(f"made up {number}", "EdDSA") is None
        assert state.readings == 2
        publish(state, OLD, NEW)
        assert await remote.find("new", "EdDSA") is None  # too early
        state.now += 31
        assert await remote.find("new", "EdDSA") is not None
        assert state.readings == 3


@pytest.mark.parametrize(
    "failure",
    [
        None,
        plain_answer(b"", status="503 Service Unavailable"),
        plain_answer(b"{}"),
        plain_answer(b'{"keys": []}'),
        plain_answer(b'{"keys": 5}'),
        plain_answer(b"<html>"),
        plain_answer(b"x" * (600 << 10)),
        plain_answer(b"", status="302 Found", headers="Location: http://127.0.0.1:9/certs\r\n"),
        b"no HTTP\r\n\r\n",
    ],
    ids=["closed", "503", "no keys", "none", "odd", "a page", "too large", "elsewhere", "no HTTP"],
)
async def test_keys_that_cannot_be_read_again_hold_for_a_bounded_time(
    failure: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with published(OLD) as (state, remote):
        await remote.find("old", "EdDSA")
        good, state.answer = state.answer, failure
        state.now += 901
        assert await remote.find("old", "EdDSA") is not None
        await settled(remote)
        assert "issuer sso: its keys cannot be read" in caplog.text
        state.now += 2000
        assert await remote.find("old", "EdDSA") is not None
        await settled(remote)
        state.now += 1000  # now they are too old
        with pytest.raises(RequestError) as refused:
            await remote.find("old", "EdDSA")
        assert (refused.value.code, refused.value.retryable) == (Code.ISSUER_UNAVAILABLE, True)
        readings = state.readings
        with pytest.raises(RequestError):  # who asks again within the interval causes no reading
            await remote.find("old", "EdDSA")
        assert state.readings == readings
        state.answer = good
        state.now += 31
        assert await remote.find("old", "EdDSA") is not None


async def test_the_address_has_to_prove_that_it_is_the_issuers(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def answer(_request: Any, writer: Any) -> Any:
        writer.write(plain_answer(Authority([OLD]).jwks()))
        return "keep"

    async with raw_server(answer, tls=context) as server:
        for ca_file, believed in ((None, False), (str(cert), True)):
            section = issuer_section(name="sso", jwks_url=f"{server.url}/certs", ca_file=ca_file)
            remote = RemoteKeys(IssuerSettings.model_validate(section))
            try:
                assert await remote.find("old", "EdDSA") is not None
                assert believed
            except RequestError as refused:
                assert refused.code is Code.ISSUER_UNAVAILABLE and not believed
            finally:
                await remote.aclose()
        assert len(server.heard) == 1


# --- what is in a set


def document(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


RSA = signer("RS256", "rsa")


@pytest.mark.parametrize(
    "useless",
    [
        RSA.jwk(use="enc"),
        RSA.jwk(alg="RSA-OAEP"),
        RSA.jwk(alg="RS512"),
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        {"kty": "oct", "kid": "x", "alg": "EdDSA", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AAAA"},
        {"kty": "EC", "crv": "P-384", "kid": "x", "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA", "kid": "x"},
        {"kid": "x"},
        {},
    ],
)
def test_what_can_check_no_signature_is_passed_over(useless: dict[str, Any]) -> None:
    found = keys_in(document(useless, OLD.jwk()), ALGORITHMS)
    assert set(found) == {("old", "EdDSA"), (None, "EdDSA")}
    with pytest.raises(ValueError, match="no key"):
        keys_in(document(useless), ALGORITHMS)


def test_a_token_without_key_id_is_checked_only_where_one_key_fits() -> None:
    assert (None, "EdDSA") in keys_in(document(OLD.jwk(), RSA.jwk()), ALGORITHMS)
    assert (None, "EdDSA") not in keys_in(document(OLD.jwk(), NEW.jwk()), ALGORITHMS)


def test_a_key_that_does_not_say_its_algorithm_fits_those_of_its_kind() -> None:
    plain = {name: value for name, value in RSA.jwk().items() if name != "alg"}
    assert {alg for kid, alg in keys_in(document(plain), ("RS256", "PS512", "ES256", "EdDSA")) if kid} == {"RS256", "PS512"}


def test_a_private_key_that_was_published_by_mistake_is_read_as_a_public_one() -> None:
    found = keys_in(document({**OLD.jwk(), "d": "c2VjcmV0"}), ALGORITHMS)
    assert not hasattr(found["old", "EdDSA"].key, "sign")


async def test_as_long_as_no_key_is_known_the_next_readings_follow_sooner() -> None:
    async with published(OLD) as (state, remote):
        good, state.answer = state.answer, None
        begun = state.now
        while state.now < begun + 100:
            with pytest.raises(RequestError) as refused:
                await remote.find("old", "EdDSA")
            assert refused.value.code is Code.ISSUER_UNAVAILABLE
            state.now += 0.5
        # after 1, 2, 4, 8, 16 and then every 30 s; the client sends twice what a closed connection may not have taken
        assert 6 <= state.readings <= 18
        state.answer, state.now = good, state.now + 30
        assert await remote.find("old", "EdDSA") is not None


async def test_after_one_failed_reading_the_second_is_a_second_later() -> None:
    async with published(OLD) as (state, remote):
        good, state.answer = state.answer, None
        with pytest.raises(RequestError):
            await remote.find("old", "EdDSA")
        state.answer, state.now = good, state.now + 1.1
        assert await remote.find("old", "EdDSA") is not None
