"""Keys in the forms in which they come, and tokens signed with them."""

from __future__ import annotations

import base64
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr

from ccgateway.errors import SettingsError
from ccgateway.identity.ed25519 import mint, private_key_of, read_public_key
from ccgateway.simulator.release import RELEASES
from ccgateway.simulator.tokens import Keys
from identity.authority import pem_of, private_pem, signer

SITE = Keys()
SEED, PUBLIC = SITE.private.private_bytes_raw(), SITE.private.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    "text",
    [SITE.private_base64, f"\n {SITE.private_base64}\n", base64.b64encode(SEED).decode()],
    ids=["cc-backend's", "with line ends", "seed"],
)
def test_a_private_key_is_read_as_cc_backend_writes_it(text: str) -> None:
    assert private_key_of(SecretStr(text), "k").private_bytes_raw() == SEED


def test_a_private_key_is_read_from_pem() -> None:
    key = signer("EdDSA")
    assert private_key_of(SecretStr(private_pem(key)), "k").private_bytes_raw() == key.private.private_bytes_raw()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        base64.b64encode(SEED[:31]).decode(),
        base64.b64encode(SEED + PUBLIC[::-1]).decode(),
        base64.b64encode(SEED + PUBLIC + b"x").decode(),
        private_pem(signer("ES256")),
        private_pem(signer("EdDSA"))[:60],
        pem_of(signer("EdDSA")),
    ],
    ids=["empty", "not base64", "short", "halves", "long", "another kind", "cut off", "public"],
)
def test_what_is_no_private_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        private_key_of(SecretStr(text), "sites.aurora.signing_key_file")
    assert refused.value.key == "sites.aurora.signing_key_file"
    assert not text or text not in refused.value.message
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("text", [SITE.public_base64, SITE.public_base64 + "\n"], ids=["plain", "with a line end"])
def test_a_public_key_is_read_as_cc_backend_writes_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert read_public_key(path, "k").public_bytes_raw() == PUBLIC


@pytest.mark.parametrize(
    "text",
    ["", "x", pem_of(signer("ES256")), private_pem(signer("EdDSA")), SITE.private_base64],
    ids=["empty", "not base64", "another kind", "private", "private of cc-backend"],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_public_key(path, "issuers.robots.key_file")
    assert not text or text not in refused.value.message


@pytest.mark.parametrize("release", RELEASES.values(), ids=RELEASES)
def test_a_minted_token_is_what_a_site_issues_itself(release: object) -> None:
    now = SITE.clock()
    token = mint(SITE.private, "alice", ["api", "user"], now=now, lifetime=600).get_secret_value()
    who = SITE.verify(token, release)  # type: ignore[arg-type]
    assert (who.subject, set(who.roles)) == ("alice", {"user", "api"})
    claims = jwt.decode(token, options={"verify_signature": False})
    assert set(claims) == {"sub", "roles", "iat", "exp"} and claims["exp"] == int(now + 600) and claims["iat"] < now
