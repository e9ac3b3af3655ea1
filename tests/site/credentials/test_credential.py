"""What a token is taken for: where it is shown, and whose jobs it may see."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ccgateway.site.credentials import Credential


def token_with(**claims: Any) -> SecretStr:
    return SecretStr(jwt.encode(claims, "k" * 32, algorithm="HS256"))


@pytest.mark.parametrize(
    ("roles", "root", "visibility"),
    [
        (["api"], "/api", "all"),
        (["admin", "api"], "/api", "all"),
        (["admin", "user", "api"], "/api", "all"),
        (["admin"], "/api", "all"),
        (["support", "api"], "/userapi", "all"),
        (["manager", "api"], "/userapi", "user:alice"),
        (["user", "api"], "/userapi", "user:alice"),
        (["user"], "/userapi", "user:alice"),
        ([], "/userapi", "user:alice"),
        (None, "/userapi", "user:alice"),
        ("admin", "/userapi", "user:alice"),
        ([["admin"], 5, None], "/userapi", "user:alice"),
        (["Admin", "API"], "/userapi", "user:alice"),
    ],
)
def test_roles_decide_where_to_ask_and_what_is_seen(roles: object, root: str, visibility: str) -> None:
    found = Credential.from_token(token_with(sub="alice", roles=roles))
    assert (found.root, found.visibility) == (root, visibility)


def test_an_expired_token_is_read_all_the_same_as_only_the_site_can_judge_it() -> None:
    assert Credential.from_token(token_with(sub="alice", roles=["user", "api"], exp=1, nbf=9**11)).user == "alice"


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"sub": 5}, {"sub": ["alice"]}])
def test_a_token_without_a_name_is_nobodys(claims: dict[str, Any]) -> None:
    found = Credential.from_token(token_with(roles=["user", "api"], **claims))
    assert found.user is None
    assert found.visibility.startswith("token:")
    assert found.visibility != Credential.from_token(token_with(roles=["api", "user"], **claims)).visibility


@given(text=st.text(max_size=80))
def test_any_text_makes_a_credential(text: str) -> None:
    found = Credential.from_token(SecretStr(text))
    assert found.roles is None
    assert found.root == "/api"


@pytest.mark.parametrize("payload", ["W10", "bnVsbA", "eyJzdWIiOg", "e30"])
def test_a_token_with_an_odd_payload_makes_a_credential(payload: str) -> None:
    head = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9"
    assert Credential.from_token(SecretStr(f"{head}.{payload}.c2ln")).user is None


def test_a_token_never_shows_in_a_repr() -> None:
    token = token_with(sub="alice", roles=["api"])
    found = Credential.from_token(token)
    assert token.get_secret_value() not in repr(found) + str(found)
    assert "token" not in repr(found)
