"""Tokens from an exchange service: asked for once, kept while good, never taken if they can do more than the caller may."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.settings import ExchangeSettings
from ccgateway.simulator.tokens import Keys
from ccgateway.site.credentials.exchanged import Exchanged
from ccgateway.site.credentials.standing import Standing
from ccgateway.site.credentials.token_exchange import ExchangeError, TokenExchange
from support.raw_server import RawServer, plain_answer, raw_server

SITE = Keys()
SHOWN = SecretStr("callers-own-token")
SECRET = "canary-client-secret-canary"


def given(token: str = "given", **more: Any) -> bytes:
    return plain_answer(json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 600, **more}).encode())


@dataclass
class Service:
    """What the service answers; a gate that it waits at; a clock for those who ask it."""

    answer: bytes | None = field(default_factory=given)
    now: float = 1000.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    server: RawServer | None = None

    @property
    def asked(self) -> int:
        assert self.server is not None
        return len(self.server.heard)

    def form(self, number: int = -1) -> dict[str, list[str]]:
        assert self.server is not None
        return parse_qs(self.server.heard[number].body.decode())


@asynccontextmanager
async def service(**changes: Any) -> AsyncIterator[tuple[Service, TokenExchange]]:
    state = Service()
    state.gate.set()

    async def answer(_request: Any, writer: Any) -> Any:
        await state.gate.wait()
        if state.answer is None:
            return "close"
        writer.write(state.answer)
        return "keep"

    async with raw_server(answer) as server:
        state.server = server
        settings = ExchangeSettings.model_validate({"url": f"{server.url}/token", **changes})
        exchange = TokenExchange(settings, clock=lambda: state.now)
        try:
            yield state, exchange
        finally:
            state.gate.set()
            await exchange.aclose()


def soon() -> Deadline:
    return Deadline.after(5)


async def test_it_is_asked_as_rfc_8693_has_it() -> None:
    secret = {"client_id": "gate way", "client_secret": SECRET, "scope": "cc"}
    async with service(**secret) as (state, exchange):
        assert (await exchange.token(SHOWN, "aurora", soon())).token.get_secret_value() == "given"
        assert state.form() == {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": ["callers-own-token"],
            "subject_token_type": ["urn:ietf:params:oauth:token-type:access_token"],
            "audience": ["aurora"],
            "scope": ["cc"],
        }
        assert state.server is not None
        heard = state.server.heard[0]
        assert (heard.method, heard.target) == ("POST", "/token")
        basic = (heard.header("Authorization") or "").removeprefix("Basic ")
        assert b64decode(basic) == f"gate+way:{SECRET}".encode()
        assert SECRET not in repr(exchange) + repr(vars(exchange))


async def test_a_client_without_a_secret_names_itself() -> None:
    async with service(client_id="gateway") as (state, exchange):
        await exchange.token(SHOWN, "aurora", soon())
        assert state.form()["client_id"] == ["gateway"]


async def test_it_is_asked_once_per_token_and_site_however_many_wait() -> None:
    async with service() as (state, exchange):
        state.gate.clear()
        waiting = [asyncio.create_task(exchange.token(SHOWN, "aurora", soon())) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        state.gate.set()
        assert len({one.token.get_secret_value() for one in await asyncio.gather(*waiting[1:])}) == 1
        assert state.asked == 1
        await exchange.token(SHOWN, "borealis", soon())
        await exchange.token(SecretStr("another"), "aurora", soon())
        assert state.asked == 3


@pytest.mark.parametrize(("good", "kept"), [(600, 509), (3600 * 24, 3599), (100, 49), (None, 29), (2, 0.9)])
async def test_what_it_gives_is_kept_until_shortly_before_it_expires(good: float | None, kept: float) -> None:
    async with service() as (state, exchange):
        state.answer = given(expires_in=good)
        await exchange.token(SHOWN, "aurora", soon())
        state.now += kept
        await exchange.token(SHOWN, "aurora", soon())
        assert state.asked == 1
        state.now += 2
        await exchange.token(SHOWN, "aurora", soon())
        assert state.asked == 2


@pytest.mark.parametrize(
    ("answer", "retryable"),
    [
        (plain_answer(b'{"error":"invalid_grant"}', status="400 Bad Request"), False),
        (plain_answer(b'{"error":"access_denied"}', status="403 Forbidden"), False),
        (plain_answer(b"", status="503 Service Unavailable"), True),
        (plain_answer(b"<html>"), True),
        (plain_answer(b'{"access_token": ""}'), True),
        (plain_answer(b'{"access_token": "two words"}'), True),
        (plain_answer(b'{"access_token": 5}'), True),
        (plain_answer(b"", status="302 Found", headers="Location: http://127.0.0.1:9/\r\n"), True),
        (plain_answer(b"x" * (600 << 10)), True),
        (None, True),
    ],
)
async def test_what_goes_wrong_is_told_without_secrets_and_not_asked_again_at_once(answer: bytes | None, retryable: bool) -> None:
    async with service(client_id="gateway", client_secret=SECRET) as (state, exchange):
        state.answer = answer
        for _ in range(3):
            with pytest.raises(ExchangeError) as failed:
                await exchange.token(SHOWN, "aurora", soon())
            assert failed.value.retryable is retryable
            for secret in (SECRET, SHOWN.get_secret_value()):
                assert secret not in str(failed.value) + repr(failed.value)
        asked = state.asked
        assert asked == 1
        state.answer = given()
        state.now += 11
        await exchange.token(SHOWN, "aurora", soon())


async def test_a_service_that_hangs_costs_the_caller_its_own_time_only() -> None:
    async with service(timeout=30) as (state, exchange):
        state.gate.clear()
        with pytest.raises(ExchangeError) as failed:
            await exchange.token(SHOWN, "aurora", Deadline.after(0.05))
        assert failed.value.retryable
        state.gate.set()  # the question itself goes on, and serves the next
        assert (await exchange.token(SHOWN, "aurora", soon())).token.get_secret_value() == "given"
        assert state.asked == 1


# --- the rule


def principal(*roles: str, token: SecretStr | None = SHOWN) -> Principal:
    return Principal("alice", frozenset(roles or ("user",)), token=token)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subject", "roles", "standing", "taken"),
    [
        ("a.meier", ["user", "api"], Standing(None, frozenset({"user"})), True),
        ("a.meier", ["user", "api"], Standing("a.meier", frozenset({"user"})), True),
        ("b.schmidt", ["user", "api"], Standing("a.meier", frozenset({"user"})), False),
        ("a.meier", ["admin", "api"], Standing(None, frozenset({"user"})), False),
        ("a.meier", ["api"], Standing(None, frozenset({"user", "api"})), False),
        ("a.meier", ["admin", "api"], Standing(None, frozenset({"admin"})), True),
        ("a.meier", ["manager", "api"], Standing(None, frozenset({"user"})), False),
        (None, ["user", "api"], Standing(None, frozenset({"user"})), False),
        ("a.meier", [], Standing(None, frozenset({"user"})), True),
    ],
)
async def test_a_token_in_anothers_name_or_stronger_than_the_caller_is_not_taken(
    subject: str | None, roles: list[str], standing: Standing, taken: bool
) -> None:
    async with service() as (state, exchange):
        state.answer = given(SITE.mint(subject, roles))
        rule = Exchanged("aurora", exchange, "aurora")
        if taken:
            found = await rule.credential(principal(), standing, soon())
            assert found is not None and found.user == subject
            return
        with pytest.raises(SiteError) as refused:
            await rule.credential(principal(), standing, soon())
        assert refused.value.code is Code.NO_CREDENTIAL


async def test_what_is_no_jwt_is_not_taken() -> None:
    async with service() as (_, exchange):
        with pytest.raises(SiteError, match="does not say whose it is"):
            await Exchanged("aurora", exchange, "aurora").credential(principal(), Standing(None, frozenset({"admin"})), soon())


async def test_who_showed_no_token_has_nothing_to_exchange() -> None:
    async with service() as (state, exchange):
        rule = Exchanged("aurora", exchange, "aurora")
        assert await rule.credential(principal(token=None), Standing(None, frozenset({"user"})), soon()) is None
        assert state.asked == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (plain_answer(b'{"error":"invalid_request"}', status="400 Bad Request"), None),
        (plain_answer(b'{"error":"invalid_client"}', status="401 Unauthorized"), "client_id"),
        (plain_answer(b"<html>"), "no exchange service"),
        (plain_answer(b"{}", status="404 Not Found"), "no exchange service"),
        (None, "cannot be used"),
    ],
)
async def test_a_service_can_be_proved_to_be_one(answer: bytes | None, words: str | None) -> None:
    async with service() as (state, exchange):
        state.answer = answer
        if words is None:
            await exchange.probe()
            return
        with pytest.raises(ExchangeError, match=words):
            await exchange.probe()


async def test_a_service_that_fails_is_asked_by_one_at_a_time_and_everybody_else_is_told_at_once() -> None:
    async with service() as (state, exchange):
        state.answer = None
        for who in ("ann", "bea"):
            with pytest.raises(ExchangeError):
                await exchange.token(SecretStr(who), "aurora", soon())
        asked = state.asked
        outcomes = await asyncio.gather(
            *(exchange.token(SecretStr(f"person {number}"), "aurora", soon()) for number in range(50)), return_exceptions=True
        )
        assert state.asked == asked
        assert {(type(one), str(one)) for one in outcomes} == {(ExchangeError, str(outcomes[0]))}
        state.now += 2
        state.gate.clear()
        trying = asyncio.create_task(exchange.token(SecretStr("cleo"), "aurora", soon()))
        await asyncio.sleep(0.05)
        with pytest.raises(ExchangeError, match="cannot be used"):
            await exchange.token(SecretStr("dora"), "aurora", soon())
        state.answer = given()
        state.gate.set()
        assert (await trying).token.get_secret_value() == "given"
        assert (await exchange.token(SecretStr("dora"), "aurora", soon())).token.get_secret_value() == "given"


async def test_one_token_that_the_service_fails_on_fails_nobody_else() -> None:
    async with service() as (state, exchange):
        for audience in ("aurora", "borealis", "cygnus"):
            state.answer = None
            with pytest.raises(ExchangeError):
                await exchange.token(SecretStr("crafted"), audience, soon())
            state.answer = given()
            assert (await exchange.token(SecretStr(f"ann {audience}"), "aurora", soon())).token.get_secret_value() == "given"
