"""An identity provider: keys of every kind, their public set, and tokens signed with them, also in ways that are wrong."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

__all__ = ["Authority", "Signer", "issuer_section", "pem_of", "private_pem", "signer"]

NAME = "https://sso.example.org/realms/hpc"


@dataclass(frozen=True)
class Signer:
    """One key pair, for one algorithm."""

    kid: str
    algorithm: str
    private: Any

    def jwk(self, **changes: Any) -> dict[str, Any]:
        kinds: dict[str, Any] = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
        kind = OKPAlgorithm if self.algorithm == "EdDSA" else kinds[self.algorithm[0]]
        public = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig", **changes}


@cache
def signer(algorithm: str, kid: str = "first") -> Signer:
    """The key of that name; making one takes time."""
    if algorithm == "EdDSA":
        private: Any = ed25519.Ed25519PrivateKey.generate()
    elif algorithm.startswith("ES"):
        private = ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}[algorithm])
    else:
        private = rsa.generate_private_key(65537, 2048)
    return Signer(kid, algorithm, private)


def pem_of(key: Signer) -> str:
    text: bytes = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def private_pem(key: Signer) -> str:
    text: bytes = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


@dataclass
class Authority:
    """Issues tokens; ``keys`` are those that it publishes."""

    keys: list[Signer] = field(default_factory=lambda: [signer("EdDSA")])
    issuer: str | None = NAME
    audience: str | None = "ccgateway"

    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.jwk() for key in self.keys]}).encode()

    def token(
        self, subject: str = "alice", *, by: Signer | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A good token, but for what ``claims`` and ``header`` change; a claim that is ``None`` is left out."""
        key = by or self.keys[0]
        now = int(time.time())
        wanted = {"sub": subject, "iss": self.issuer, "aud": self.audience, "iat": now, "exp": now + 300, **claims}
        body = {name: value for name, value in wanted.items() if value is not None}
        return jwt.encode(body, key.private, algorithm=key.algorithm, headers={"kid": key.kid, **(header or {})})


def issuer_section(**changes: Any) -> dict[str, Any]:
    """A section of the settings for an authority behind an address."""
    return {"issuer": NAME, "audience": "ccgateway", "algorithms": ["EdDSA", "RS256", "ES256"], **changes}
