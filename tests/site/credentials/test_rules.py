"""Which token a caller is shown by: the first rule that fits, and never one that can do more than the caller may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import no_more_than
from ccgateway.settings import Settings
from ccgateway.simulator.tokens import Keys
from ccgateway.site.credentials import Credential
from ccgateway.site.credentials.keyring import Keyring

SITE = Keys()
ROLES = ("admin", "support", "manager", "user", "api")
SETS = [frozenset(names) for size in range(6) for names in combinations(ROLES, size)]
ALICE = Principal("alice", frozenset({"user"}))


def token(user: str | None, *roles: str, **claims: Any) -> str:
    return SITE.mint(user, roles, **claims)


class Gateway:
    """The rules of one site, ``aurora``, as settings make them."""

    def __init__(
        self, folder: Path, *, table: str | None = None, identities: Mapping[str, Any] | None = None, **site: Any
    ) -> None:
        sections: dict[str, Any] = {"identities": dict(identities or {})}
        if table is not None:
            path = folder / "table.toml"
            path.write_text(table)
            path.chmod(0o600)
            sections["identities"]["table"] = str(path)
        sections["sites"] = {"aurora": {"number": 1, "url": "http://127.0.0.1", **site}}
        settings = Settings(**sections)
        self.credentials = Keyring(settings).credentials(settings.sites["aurora"])

    async def of(self, caller: Principal) -> Credential | None:
        """The credential, or ``None`` where the site is not to be asked."""
        try:
            return await self.credentials.of(caller, Deadline.after(5))
        except SiteError as refused:
            assert refused.code is Code.NO_CREDENTIAL
            return None

    async def why_not(self, caller: Principal) -> str:
        with pytest.raises(SiteError) as refused:
            await self.credentials.of(caller, Deadline.after(5))
        assert refused.value.code is Code.NO_CREDENTIAL
        return refused.value.message


def claims_of(found: Credential | None) -> Mapping[str, Any]:
    assert found is not None
    decoded: Mapping[str, Any] = jwt.decode(found.token.get_secret_value(), options={"verify_signature": False})
    assert (found.user, found.roles) == (decoded["sub"], frozenset(decoded["roles"]))
    return decoded


def caller(*roles: str, subject: str = "alice", **more: Any) -> Principal:
    return Principal(subject, frozenset(roles), **more)  # type: ignore[arg-type]


# --- the order


async def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    own, service = token("a.meier", "user", "api"), token("demo", "admin", "api")
    table = f'[alice.aurora]\ntoken = "{own}"\n[bob.aurora]\nuser = "b.meier"\n'
    gateway = Gateway(tmp_path, table=table, signing_key=SITE.private_base64, token=service)
    admin = caller("admin")
    assert claims_of(await gateway.of(admin))["sub"] == "a.meier"  # not the service token, though an admin could have it
    assert claims_of(await gateway.of(caller("admin", subject="bob")))["sub"] == "b.meier"
    assert claims_of(await gateway.of(caller("admin", subject="root")))["sub"] == "demo"  # has no name there
    assert await gateway.of(caller("user", subject="carol")) is None


async def test_who_no_rule_fits_gets_nothing(tmp_path: Path) -> None:
    assert await Gateway(tmp_path).credentials.of(caller("admin"), Deadline.after(5)) is None
    words = await Gateway(tmp_path, token=token("demo", "admin", "api")).why_not(ALICE)
    assert words == "The gateway has no token for you at this site, so it was not asked."


# --- the service token


@pytest.mark.parametrize("service", [("admin", "api"), ("support", "api"), ("api",), ("user", "api"), (), None])
@pytest.mark.parametrize("roles", SETS, ids=lambda roles: "+".join(sorted(roles)) or "none")
async def test_the_service_token_is_for_the_privileged_and_never_stronger(
    tmp_path: Path, roles: frozenset[str], service: Sequence[str] | None
) -> None:
    text = token("svc", *service) if service is not None else "opaque-token"
    found = await Gateway(tmp_path, token=text).of(caller(*roles))
    is_privileged = bool(roles & {"admin", "support"}) or roles == {"api"}
    # of a token that does not say what it can do everything has to be feared
    is_stronger = not no_more_than(frozenset(service), roles) if service else "admin" not in roles
    assert (found is not None) == (is_privileged and not is_stronger)


async def test_which_roles_are_privileged_is_said_in_the_settings(tmp_path: Path) -> None:
    robots = {"service_roles": ["api"]}
    gateway = Gateway(tmp_path, token=token("svc", "api"), identities=robots)
    assert await gateway.of(caller("api")) is not None
    assert await gateway.of(caller("admin")) is None
    assert await gateway.of(caller("user", "api")) is None


async def test_an_adapters_key_gets_the_service_token_and_a_person_with_api_beside_other_roles_does_not(tmp_path: Path) -> None:
    assert await Gateway(tmp_path, token=token("robot", "api")).of(caller("api")) is not None
    for person in ("user", "manager"):
        assert await Gateway(tmp_path, token=token("alice", "user", "api")).of(caller(person, "api")) is None


async def test_roles_that_a_site_takes_away_are_missing_for_its_service_token_too(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, token=token("demo", "admin", "api"), roles={"admin": "user", "user": "user"})
    assert await gateway.of(caller("admin")) is None


# --- signed tokens


@pytest.mark.parametrize("roles", SETS, ids=lambda roles: "+".join(sorted(roles)) or "none")
async def test_a_signed_token_has_the_callers_roles_and_never_more(tmp_path: Path, roles: frozenset[str]) -> None:
    found = await Gateway(tmp_path, signing_key=SITE.private_base64, same_names=True).of(caller(*roles))
    if not roles:
        assert found is None
        return
    claims = claims_of(found)
    assert set(claims["roles"]) == roles | {"api"} and claims["sub"] == "alice"
    assert no_more_than(frozenset(claims["roles"]), roles)
    assert SITE.verify(found.token.get_secret_value(), _release("1.5")).subject == "alice" if found else False


@pytest.mark.parametrize("roles", SETS, ids=lambda roles: "+".join(sorted(roles)) or "none")
@pytest.mark.parametrize(
    "there",
    [
        {"admin": "user"},
        {"admin": "user", "user": "user"},
        {"api": "api"},
        {"admin": ["support", "user"], "support": "manager"},
        {},
    ],
)
async def test_what_a_site_makes_of_roles_never_allows_more(tmp_path: Path, roles: frozenset[str], there: dict[str, Any]) -> None:
    gateway = Gateway(tmp_path, signing_key=SITE.private_base64, same_names=True, roles=there)
    found = await gateway.of(caller(*roles))
    if found is not None:
        assert found.roles is not None and no_more_than(found.roles, roles)
        mapped = {role for mine in roles for role in ([there[mine]] if isinstance(there.get(mine), str) else there.get(mine, []))}
        assert found.roles == mapped | {"api"}


@pytest.mark.parametrize(
    "there", [{"user": "admin"}, {"support": "admin"}, {"user": "api"}, {"support": "api"}, {"user": ["user", "manager"]}]
)
def test_settings_that_give_more_at_a_site_are_refused(tmp_path: Path, there: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"sites\.aurora\.roles"):
        Gateway(tmp_path, signing_key=SITE.private_base64, roles=there)


@pytest.mark.parametrize(
    ("site", "who", "name"),
    [
        ({}, caller("user"), None),
        ({"same_names": True}, caller("user"), "alice"),
        ({"same_names": True}, caller("user", subject="sso:alice"), None),
        ({"same_names": True}, caller("user", subject="-rf"), None),
        ({"name_pattern": "sso:(.+)"}, caller("user", subject="sso:alice"), "alice"),
        ({"name_pattern": "sso:(.+)"}, caller("user", subject="robots:sso:alice"), None),  # the whole subject
        ({"name_pattern": "(.+)"}, caller("user", subject="a|b"), None),
        ({"name_pattern": r"(\w+)@(\w+)\.org", "name_template": r"\2_\1"}, caller("user", subject="alice@fau.org"), "fau_alice"),
        ({"name_pattern": "sso:(.+)", "same_names": True}, caller("user"), "alice"),
        ({}, caller("user", names=(("aurora", "a.meier"),)), "a.meier"),
        ({"same_names": True}, caller("user", names=(("aurora", "a.meier"),)), "a.meier"),
        ({"same_names": True}, caller("user", names=(("borealis", "a.meier"),)), "alice"),
    ],
)
async def test_a_name_is_found_as_the_settings_say_or_there_is_none(
    tmp_path: Path, site: dict[str, Any], who: Principal, name: str | None
) -> None:
    found = await Gateway(tmp_path, signing_key=SITE.private_base64, **site).of(who)
    assert (found.user if found else None) == name


async def test_the_table_says_names_and_lessens_roles(tmp_path: Path) -> None:
    table = """
    [alice.aurora]
    user = "a.meier"
    roles = ["user"]
    [bob.aurora]
    roles = ["admin"]
    """
    gateway = Gateway(
        tmp_path, table=table, signing_key=SITE.private_base64, same_names=True, token=token("demo", "admin", "api")
    )
    claims = claims_of(await gateway.of(caller("admin")))
    assert (claims["sub"], set(claims["roles"])) == ("a.meier", {"user", "api"})  # nor does the service token make up for it
    assert await gateway.of(caller("user", subject="bob")) is None  # more than the gateway's roles allow: none at all
    assert set(claims_of(await gateway.of(caller("admin", subject="bob")))["roles"]) == {"admin", "api"}


async def test_signed_tokens_are_kept_and_renewed_at_half_their_time() -> None:
    from ccgateway.site.credentials.minted import Minted
    from ccgateway.site.credentials.standing import Standing

    now = [1_800_000_000.0]
    rule = Minted(SITE.private, 900, clock=lambda: now[0])

    async def at(seconds: float, name: str = "alice", *roles: str) -> str:
        now[0] = 1_800_000_000.0 + seconds
        found = await rule.credential(ALICE, Standing(name, frozenset(roles or ("user",))), Deadline.after(1))
        assert found is not None
        decoded = jwt.decode(found.token.get_secret_value(), options={"verify_signature": False})
        assert decoded["exp"] - now[0] >= 450  # whoever gets it can go on with it for a while
        return found.token.get_secret_value()

    first = await at(0)
    assert await at(449) == first
    assert await at(0, "bob") != first and await at(0, "alice", "manager") != first
    second = await at(451)
    assert second != first and await at(900) == second
    assert await at(-5000) not in (first, second)  # the clock was set back


# --- people's own tokens


async def test_a_token_of_ones_own_may_do_whatever_it_can(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, table=f'[alice.aurora]\ntoken = "{token("a.meier", "admin", "api")}"')
    found = await gateway.of(ALICE)
    assert found is not None and (found.user, found.root, found.sees_all) == ("a.meier", "/api", True)


async def test_a_token_in_somebody_elses_name_is_not_shown(tmp_path: Path) -> None:
    table = f'[alice.aurora]\nuser = "a.meier"\ntoken = "{token("b.schmidt", "user", "api")}"'
    assert "not in your name" in await Gateway(tmp_path, table=table).why_not(ALICE)


async def test_a_token_that_names_nobody_is_that_of_the_name_in_the_table(tmp_path: Path) -> None:
    found = await Gateway(tmp_path, table='[alice.aurora]\nuser = "a.meier"\ntoken = "opaque"').of(ALICE)
    assert found is not None and (found.user, found.roles) == ("a.meier", None)


async def test_what_the_gateway_holds_shows_in_no_repr(tmp_path: Path) -> None:
    own, service = token("a.meier", "user", "api"), token("demo", "admin", "api")
    gateway = Gateway(tmp_path, table=f'[alice.aurora]\ntoken = "{own}"', signing_key=SITE.private_base64, token=service)
    found = [await gateway.of(one) for one in (ALICE, caller("admin", subject="root"))]
    shown = repr(gateway.credentials) + repr(found) + str(found) + repr(vars(gateway.credentials))
    for secret in (own, service, SITE.private_base64):
        assert secret not in shown
    assert all(isinstance(one.token, SecretStr) for one in found if one)


def _release(name: str) -> Any:
    from ccgateway.simulator import RELEASES

    return RELEASES[name]
