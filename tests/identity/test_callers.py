"""Who a caller is by what it shows, and all the ways in which that is nobody."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from ccgateway.errors import Code, RequestError, SettingsError
from ccgateway.identity.callers import EXPIRED, LONGEST, MISSING, REFUSED, Callers, hash_of
from ccgateway.identity.principal import Principal
from ccgateway.settings import Settings
from identity.authority import NAME, Authority, issuer_section, pem_of, signer
from support.raw_server import plain_answer, raw_server

KEY = "ccg_" + "k" * 43
OTHER = signer("EdDSA", "another site's")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    path = tmp_path / "issuer.pub"
    path.write_text(pem_of(signer("EdDSA")))
    return path


def settings_with(**sections: Any) -> Settings:
    return Settings(**sections)


def by_key(public: Path, **changes: Any) -> Callers:
    """Callers of one issuer whose key is in a file."""
    return Callers(settings_with(issuers={"robots": {**issuer_section(), "key_file": str(public), **changes}}))


@asynccontextmanager
async def by_jwks(authority: Authority, **changes: Any) -> AsyncIterator[Callers]:
    """Callers of one issuer whose keys are at an address."""

    async def answer(_request: Any, writer: Any) -> Any:
        writer.write(plain_answer(authority.jwks()))
        return "keep"

    async with raw_server(answer) as server:
        callers = Callers(settings_with(issuers={"sso": {**issuer_section(), "jwks_url": server.url + "/certs", **changes}}))
        try:
            yield callers
        finally:
            await callers.aclose()


async def refusal(asking: Awaitable[Principal], code: Code = Code.UNAUTHENTICATED) -> str:
    with pytest.raises(RequestError) as refused:
        await asking
    assert refused.value.code is code
    assert refused.value.__cause__ is None
    return refused.value.message


# --- those who are known


async def test_without_issuers_everybody_is_the_local_admin_whatever_is_shown() -> None:
    callers = Callers(settings_with())
    for shown in (None, "anything", Authority().token()):
        assert await callers.principal(shown) == Principal("local", frozenset({"admin"}))


async def test_a_token_signed_with_the_issuers_key_makes_a_principal(public: Path) -> None:
    found = await by_key(public).principal(Authority().token("alice", roles=["support", "api", "janitor"]))
    assert found == Principal("alice", frozenset({"support", "api"}), issuer="robots")


async def test_cc_backends_own_tokens_are_good_where_their_key_is_an_issuers(tmp_path: Path) -> None:
    path = tmp_path / "site.pub"
    raw = signer("EdDSA").private.public_key().public_bytes_raw()
    path.write_text(base64.b64encode(raw).decode() + "\n")
    callers = Callers(settings_with(issuers={"aurora": {"key_file": str(path)}}))
    token = Authority(issuer=None, audience=None).token("alice", roles=["user", "api"])
    assert (await callers.principal(token)).roles == {"user", "api"}


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", "RS512", "PS256", "ES256", "ES384", "ES512"])
async def test_a_token_of_an_issuer_with_an_address_is_checked_with_its_published_key(algorithm: str) -> None:
    authority = Authority([signer(algorithm)])
    async with by_jwks(authority, algorithms=[algorithm]) as callers:
        assert (await callers.principal(authority.token("alice"))).subject == "alice"


async def test_each_of_several_issuers_is_believed_its_own(public: Path) -> None:
    sso = Authority([signer("RS256")])
    async with by_jwks(sso) as first:
        section = first.issuers[0].settings.model_dump(exclude={"name"}) | {"prefix": "sso:"}
        robots = {"key_file": str(public), "issuer": "robots", "audience": "ccgateway", "prefix": ""}
        callers = Callers(settings_with(issuers={"sso": section, "robots": robots}))
        try:
            robot = Authority(issuer="robots")
            assert (await callers.principal(sso.token("alice"))).subject == "sso:alice"
            assert (await callers.principal(robot.token("slurm", roles=["api"]))) == Principal(
                "slurm", frozenset({"api"}), issuer="robots"
            )
            # neither may speak for the other, nor in its words
            assert await refusal(callers.principal(robot.token("alice", iss=NAME))) == REFUSED
            assert await refusal(callers.principal(sso.token("slurm", iss="robots"))) == REFUSED
            assert await refusal(callers.principal(robot.token("sso:alice"))) == REFUSED
        finally:
            await callers.aclose()


async def test_an_api_key_is_known_by_its_hash_alone() -> None:
    settings = settings_with(api_keys={"slurm": {"hash": hash_of(KEY), "subject": "robot:slurm", "roles": ["api"]}})
    callers = Callers(settings)
    assert await callers.principal(KEY) == Principal("robot:slurm", frozenset({"api"}), issuer="api_keys.slurm")
    assert await refusal(callers.principal(KEY[:-1] + "j")) == REFUSED
    assert KEY not in repr(settings) + repr(vars(callers))


async def test_two_api_keys_with_one_hash_are_refused() -> None:
    section = {"hash": hash_of(KEY), "subject": "slurm", "roles": ["api"]}
    with pytest.raises(SettingsError, match=r"api_keys\.two\.hash"):
        Callers(settings_with(api_keys={"one": section, "two": section}))


async def test_callers_without_a_token_are_served_only_where_the_settings_say_so(public: Path) -> None:
    assert await refusal(by_key(public).principal(None)) == MISSING
    caller = {"subject": "guest", "roles": ["user"], "anonymous": True}
    callers = Callers(settings_with(caller=caller, issuers={"robots": {**issuer_section(), "key_file": str(public)}}))
    assert await callers.principal(None) == Principal("guest", frozenset({"user"}))
    assert await refusal(callers.principal("not a token")) == REFUSED  # who says something has to be right


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_token_is_kept_only_to_be_exchanged_and_shows_nowhere(public: Path, keeps: bool) -> None:
    exchange = {"exchange": {"url": "https://sts.example.org/token"}} if keeps else {}
    section = {**issuer_section(), "key_file": str(public)}
    token = Authority().token()
    found = await Callers(settings_with(issuers={"robots": section}, **exchange)).principal(token)
    assert (found.token is not None) is keeps
    assert token not in repr(found) + str(found)


# --- roles and names


@pytest.mark.parametrize(
    ("claims", "changes", "roles"),
    [
        ({"roles": ["admin", "api"]}, {}, {"admin", "api"}),
        ({"roles": "support api"}, {}, {"support", "api"}),
        ({"roles": ["Admin", "root", 5, None, ["admin"]]}, {}, {"user"}),
        ({"roles": "user\u00a0admin"}, {}, {"user"}),
        ({"roles": "user\x1cadmin\tsupport"}, {"default_role": ""}, set()),
        ({"roles": ["api", "api"]}, {}, {"api"}),
        ({"roles": ["api", "guest"]}, {}, {"user"}),
        ({"roles": ["api", 5]}, {"default_role": ""}, set()),
        ({"roles": "api Admin"}, {"default_role": ""}, set()),
        ({"roles": ["robots", "offline_access"]}, {"roles": {"robots": "api"}}, {"api"}),
        ({}, {}, {"user"}),
        ({}, {"default_role": ""}, set()),
        ({"roles": []}, {"default_role": ""}, set()),
        ({"roles": ["staff", "admin"]}, {"roles": {"staff": "support"}}, {"support"}),
        (
            {"realm_access": {"roles": ["hpc-admin"]}},
            {"roles_claim": "realm_access.roles", "roles": {"hpc-admin": "admin"}},
            {"admin"},
        ),
        ({"realm_access": ["admin"]}, {"roles_claim": "realm_access.roles"}, {"user"}),
        ({"https://hpc.example.org/roles": ["admin"]}, {"roles_claim": "https://hpc.example.org/roles"}, {"admin"}),
    ],
)
async def test_roles_are_those_that_the_settings_know(
    public: Path, claims: dict[str, Any], changes: dict[str, Any], roles: set[str]
) -> None:
    assert (await by_key(public, **changes).principal(Authority().token(**claims))).roles == roles


async def test_the_words_of_an_identity_provider_are_not_the_gateways_unless_it_is_said_which_is_which() -> None:
    authority = Authority()
    async with by_jwks(authority) as callers:
        assert (await callers.principal(authority.token(roles=["admin"]))).roles == {"user"}
    async with by_jwks(authority, roles={"admin": "admin"}) as callers:
        assert (await callers.principal(authority.token(roles=["admin"]))).roles == {"admin"}


async def test_subject_and_names_come_from_the_claims_that_the_settings_name(public: Path) -> None:
    settings = settings_with(
        issuers={
            "robots": {
                **issuer_section(),
                "key_file": str(public),
                "subject_claim": "preferred_username",
                "site_names": {"aurora": "hpc.aurora", "borealis": "uid"},
            }
        },
        sites={name: {"number": number, "url": "http://127.0.0.1"} for number, name in enumerate(("aurora", "borealis"), 1)},
    )
    callers = Callers(settings)
    token = Authority().token("f:1:a", preferred_username="alice", hpc={"aurora": "a.meier"}, uid="not a name")
    found = await callers.principal(token)
    assert (found.subject, found.name_at("aurora"), found.name_at("borealis")) == ("alice", "a.meier", None)


@pytest.mark.parametrize("subject", [None, "", 5, ["alice"], {"a": 1}, "a b", "a\nb", "ä", "x" * 129, "a\x00"])
async def test_a_subject_that_is_none_is_refused(public: Path, subject: Any) -> None:
    token = Authority().token(name=subject)
    assert await refusal(by_key(public, subject_claim="name").principal(token)) == REFUSED


# --- those who are not


def now() -> int:
    return int(time.time())


def unsigned(header: dict[str, Any], payload: Any = None) -> str:
    def pack(part: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    claims = {"sub": "alice", "iss": NAME, "aud": "ccgateway", "exp": now() + 300, "roles": ["admin"]}
    return f"{pack(header)}.{pack(claims if payload is None else payload)}."


def confused() -> str:
    """HS256 with the issuer's public key as the secret, which PyJWT itself would not sign."""
    import hashlib
    import hmac

    text = unsigned({"alg": "HS256", "typ": "JWT", "kid": "first"})[:-1]
    mac = hmac.new(pem_of(signer("EdDSA")).encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def altered() -> str:
    head, _, signature = Authority().token().split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "root", "iss": NAME, "aud": "ccgateway", "exp": now() + 300}).encode())
    return f"{head}.{claims.rstrip(b'=').decode()}.{signature}"


WRONG: dict[str, Callable[[], str]] = {
    "no token at all": lambda: "correct-horse-battery-staple",
    "empty parts": lambda: "..",
    "forged": lambda: Authority().token(by=OTHER, header={"kid": "first"}),
    "another site's key": lambda: Authority(issuer=None, audience=None).token(by=OTHER),
    "altered": altered,
    "no signature": lambda: Authority().token().rpartition(".")[0] + ".",
    "alg none": lambda: unsigned({"alg": "none"}),
    "alg None": lambda: unsigned({"alg": "None", "typ": "JWT"}),
    "no alg": lambda: unsigned({"typ": "JWT"}),
    "alg of another kind": lambda: unsigned({"alg": ["EdDSA"]}),
    "HS256 with the public key": confused,
    "HS256 with a secret": lambda: jwt.encode({"sub": "alice"}, "s" * 32, algorithm="HS256"),
    "an algorithm that is not allowed": lambda: Authority([signer("ES384")]).token(),
    "another issuer": lambda: Authority(issuer="https://sso.example.org/realms/other").token(),
    "no issuer": lambda: Authority(issuer=None).token(),
    "another audience": lambda: Authority(audience="another-service").token(),
    "no audience": lambda: Authority(audience=None).token(),
    "no expiry": lambda: Authority().token(exp=None),
    "not yet": lambda: Authority().token(nbf=now() + 3600),
    "from the future": lambda: Authority().token(iat=now() + 3600),
    "an odd expiry": lambda: Authority().token(exp="soon"),
    "an endless expiry": lambda: Authority().token(exp=float("inf")),
    "an endless past": lambda: Authority().token(iat=float("-inf")),
    "critical extensions": lambda: Authority().token(header={"crit": ["exp"]}),
    "detached": lambda: Authority().token(header={"b64": False, "crit": ["b64"]}),
    "a key id of another kind": lambda: unsigned({"alg": "EdDSA", "kid": 5}),
    "a list for claims": lambda: unsigned({"alg": "EdDSA"}, ["sub"]),
    "deep claims": lambda: unsigned({"alg": "EdDSA"}).split(".")[0] + "." + base64.b64encode(b"[" * 6000).decode() + ".x",
    "oversized": lambda: Authority().token(blob="x" * LONGEST),
    "10,000 roles": lambda: Authority().token(roles=[f"role{n}" for n in range(10_000)]),
    "300 short roles": lambda: Authority().token(roles=["r"] * 300),
    "roles of another kind": lambda: Authority().token(roles={"admin": True}),
    "not ASCII": lambda: Authority().token() + "ä",
    "two tokens": lambda: Authority().token() + " " + Authority().token(),
    "an unknown API key": lambda: KEY,
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
async def test_what_is_not_accepted_is_refused_in_the_same_words(
    public: Path, make: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = make()
    assert await refusal(by_key(public).principal(token)) == REFUSED
    async with by_jwks(Authority()) as callers:
        assert await refusal(callers.principal(token)) == REFUSED
    told = [record.getMessage() for record in caplog.records if record.name == "ccgateway.callers"]
    assert len(told) == 2 and all("was refused" in line for line in told)
    assert not any(len(part) > 8 and part in line for part in token.split(".") for line in told)


async def test_that_a_token_has_expired_is_said_of_a_genuine_one_only(public: Path) -> None:
    callers = by_key(public)
    assert await refusal(callers.principal(Authority().token(exp=now() - 60))) == EXPIRED
    assert await refusal(callers.principal(Authority().token(exp=now() - 60, by=OTHER))) == REFUSED
    assert (await callers.principal(Authority().token(exp=now() - 20))).subject == "alice"  # clocks differ a little


async def test_a_token_that_was_found_good_is_checked_again_after_a_while_and_never_good_beyond_its_end() -> None:
    begun = now()
    clock = [float(begun)]
    authority = Authority()
    async with by_jwks(authority) as first:
        section = first.issuers[0].settings.model_copy(update={"refresh": 1.0, "refresh_least": 0.001})
        callers = Callers(settings_with(issuers={"sso": section.model_dump()}), clock=lambda: clock[0])
        try:
            short, long = authority.token(exp=begun + 10), authority.token(exp=begun + 300)
            for token in (short, long):
                assert (await callers.principal(token)).subject == "alice"
            authority.keys = [OTHER]  # what is published now knows neither
            await callers.issuers[0].keys.find("unknown", "EdDSA")
            clock[0] += 5
            for token in (short, long):
                assert (await callers.principal(token)).subject == "alice"
            clock[0] += 6
            assert (await callers.principal(long)).subject == "alice"
            assert await refusal(callers.principal(short)) == REFUSED
            clock[0] += 20
            assert await refusal(callers.principal(long)) == REFUSED
            assert long not in repr(vars(callers))
        finally:
            await callers.aclose()


@pytest.mark.parametrize("expiry", [10**400, 1 << 63, "99999999999999999999", 1e300])
async def test_a_token_that_is_good_for_ever_and_a_day_is_good(public: Path, expiry: Any) -> None:
    callers, token = by_key(public), Authority().token(exp=expiry)
    assert (await callers.principal(token)).subject == (await callers.principal(token)).subject == "alice"


async def test_a_token_without_expiry_is_good_where_the_settings_say_so(public: Path) -> None:
    assert (await by_key(public, needs_expiry=False).principal(Authority().token(exp=None))).subject == "alice"


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_a_key_that_is_too_short_is_not_trusted() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from identity.authority import Signer

    short = Signer("first", "RS256", rsa.generate_private_key(65537, 1024))
    authority = Authority([short])
    async with by_jwks(authority) as callers:
        assert await refusal(callers.principal(authority.token())) == REFUSED
