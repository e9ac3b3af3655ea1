"""Ed25519 keys as they come: PEM, or base64 of the raw bytes as cc-backend has them in JWT_PUBLIC_KEY and JWT_PRIVATE_KEY."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import SecretStr

from ccgateway.errors import SettingsError
from ccgateway.settings.base import refuse_alterable

__all__ = ["ALGORITHM", "mint", "private_key_of", "read_public_key"]

ALGORITHM = "EdDSA"

#: how far back a token's ``iat`` lies, in seconds: cc-backend 1.2 refuses one from a clock that is ahead of its own
BACKDATED = 30


def private_key_of(secret: SecretStr, key: str) -> Ed25519PrivateKey:
    """The key that stands in ``secret``; raises ``SettingsError`` about ``key`` if none does."""
    text = secret.get_secret_value().strip()
    try:
        is_pem = text.startswith("-----")
        found = load_pem_private_key(text.encode(), None) if is_pem else _from_seed(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        remedy = "Put the private key there: JWT_PRIVATE_KEY as cc-backend has it, or PEM (openssl genpkey -algorithm ed25519)."
        raise SettingsError(key, "what stands there is no Ed25519 private key (it is not shown)", remedy)
    return found


def _from_seed(raw: bytes) -> Ed25519PrivateKey:
    """From seed and public key (64 bytes), or the seed alone (32)."""
    found = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if len(raw) not in (32, 64) or (len(raw) == 64 and found.public_key().public_bytes_raw() != raw[32:]):
        raise ValueError("the two halves do not belong together")
    return found


def read_public_key(path: Path, key: str) -> Ed25519PublicKey:
    """The public key in that file; raises ``SettingsError`` about ``key`` if there is none."""
    remedy = "Put the public key there: JWT_PUBLIC_KEY as cc-backend has it, or PEM (openssl pkey -pubout)."
    try:
        refuse_alterable(path, key)
        text = path.read_text().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(key, f"{path} cannot be read ({reason})", remedy) from None
    try:
        found = (
            load_pem_public_key(text.encode())
            if text.startswith("-----")
            else Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
        )
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise SettingsError(key, f"{path} holds no Ed25519 public key", remedy)
    return found


def mint(
    private: Ed25519PrivateKey,
    subject: str,
    roles: Sequence[str],
    *,
    now: float,
    lifetime: float,
    issuer: str | None = None,
    audience: str | None = None,
) -> SecretStr:
    """A token with cc-backend's claims (``sub``, ``roles``, ``iat``, ``exp``), good for ``lifetime`` seconds from ``now``."""
    claims: dict[str, object] = {"sub": subject, "roles": list(roles), "iat": int(now) - BACKDATED, "exp": int(now + lifetime)}
    claims |= {name: value for name, value in (("iss", issuer), ("aud", audience)) if value is not None}
    return SecretStr(jwt.encode(claims, private, algorithm=ALGORITHM))
