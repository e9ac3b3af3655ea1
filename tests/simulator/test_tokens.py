"""Tokens: what the recordings do not show."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request
from simulator.sites import NOW, job, site


def _status(there: SimulatedSite, token: str, path: str = "/api/jobs/") -> int:
    return there.answer(Request("GET", path, headers=(("x-auth-token", token),))).status


@pytest.mark.parametrize(
    ("roles", "api", "userapi"),
    [
        (["api"], 200, 200),
        (["admin", "api"], 200, 200),
        (["api", "admin", "user"], 200, 200),
        (["admin", "api", "api"], 401, 401),
        (["user", "api"], 401, 200),
        (["support", "api"], 401, 200),
        (["api", "nonsense"], 401, 401),
        (["admin"], 401, 401),
        ([], 401, 401),
    ],
)
def test_roles_on_1_5(roles: list[str], api: int, userapi: int) -> None:
    there = site("1.5", job(1))
    token = there.mint("somebody", roles)
    assert (_status(there, token), _status(there, token, "/userapi/jobs/")) == (api, userapi)


def test_a_token_expires_by_the_sites_token_clock() -> None:
    there = site("1.5", job(1))
    there.keys.clock = lambda: float(NOW)
    token = there.mint("demo", ["admin", "api"], exp=NOW + 10)
    assert _status(there, token) == 200
    there.keys.clock = lambda: float(NOW + 10)
    assert _status(there, token) == 401
    assert _status(there, there.mint("demo", ["admin", "api"], nbf=NOW + 20)) == 401
    assert _status(there, there.mint("demo", ["admin", "api"], exp=None)) == 200


def test_only_1_2_minds_tokens_from_the_future() -> None:
    for release, status in (("1.2", 401), ("1.3", 200)):
        there = site(release, job(1))
        there.keys.clock = lambda: float(NOW)
        assert _status(there, there.mint("demo", ["admin", "api"], iat=NOW + 60)) == status


def test_x_auth_token_wins_over_authorization() -> None:
    there = site("1.5", job(1))
    good = there.token("demo")
    for first, second, status in ((good, "Bearer bad", 200), ("bad", f"Bearer {good}", 401)):
        headers = (("authorization", second), ("x-auth-token", first))
        assert there.answer(Request("GET", "/api/jobs/", headers=headers)).status == status


def test_keys_are_written_as_cc_backend_reads_them() -> None:
    there = site("1.5", job(1))
    raw = base64.b64decode(there.keys.private_base64)
    assert len(raw) == 64
    again = Ed25519PrivateKey.from_private_bytes(raw[:32])
    other = SimulatedSite("twin", "1.5", [job(1)], private=again)
    assert other.keys.public_base64 == there.keys.public_base64
    assert _status(there, other.token("demo")) == 200
    assert there.keys.private_base64 not in repr(there.keys)


def test_unknown_users_have_no_token() -> None:
    with pytest.raises(KeyError, match="no user eve"):
        site("1.5", job(1)).token("eve")
