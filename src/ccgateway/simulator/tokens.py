"""A site's key pair, the tokens it issues, and how it judges those it is shown.

:class:`Keys` mints and verifies EdDSA tokens; :class:`BadTokenError` carries the release's own wording.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ccgateway.simulator.gate import Principal
from ccgateway.simulator.release import Release, TokenTexts

__all__ = ["LIFETIME", "BadTokenError", "Keys", "subject_of"]

LIFETIME = 2000 * 3600
_KNOWN = 1024  # tokens whose signature check is remembered


class BadTokenError(Exception):
    """A token the site refuses; the message is what it answers."""


class Keys:
    """One site's Ed25519 pair. *clock* is what ``exp``, ``nbf`` and ``iat`` are held against."""

    def __init__(self, private: Ed25519PrivateKey | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.private = private or Ed25519PrivateKey.generate()
        self.clock = clock
        self._public = self.private.public_key()
        self._verified: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def __repr__(self) -> str:
        return f"Keys(public={self.public_base64!r})"

    @property
    def public_base64(self) -> str:
        """As cc-backend wants it in JWT_PUBLIC_KEY."""
        return base64.b64encode(self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    @property
    def private_base64(self) -> str:
        """As cc-backend wants it in JWT_PRIVATE_KEY: seed and public key."""
        seed = self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return base64.b64encode(seed + self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def mint(self, sub: str | None, roles: Sequence[str], **claims: Any) -> str:
        """A signed token; *claims* override ``iat`` and ``exp``, a value of None leaves a claim out."""
        now = int(self.clock())
        # good by the site's clock, which may stand still, and by that of whoever is given the token
        wanted = {"sub": sub, "roles": list(roles), "iat": now - 5, "exp": max(now, int(time.time())) + LIFETIME} | claims
        body = {k: v for k, v in wanted.items() if v is not None}
        return jwt.encode(body, self.private, algorithm="EdDSA")

    def verify(self, token: str, release: Release) -> Principal:
        """Whose token it is.

        Raises:
            BadTokenError: as *release* words it.
        """
        texts = release.tokens
        claims = self._claims(token, texts)
        self._check_times(claims, texts)
        subject = claims.get("sub", "")
        if not subject and texts.no_subject is not None:
            raise BadTokenError(texts.no_subject)
        roles = claims.get("roles") or ()
        return Principal(str(subject), tuple(str(r) for r in roles))

    def _claims(self, token: str, texts: TokenTexts) -> dict[str, Any]:
        known = self._verified.get(token)
        if known is not None:
            return known
        try:
            algorithm = jwt.get_unverified_header(token).get("alg")
        except jwt.InvalidTokenError as bad:
            raise BadTokenError(texts.malformed) from bad
        if algorithm != "EdDSA":
            raise BadTokenError(texts.algorithm)
        options: Any = {f"verify_{c}": False for c in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
        try:
            claims: dict[str, Any] = jwt.decode(token, self._public, algorithms=["EdDSA"], options=options)
        except jwt.InvalidSignatureError as bad:
            raise BadTokenError(texts.forged) from bad
        except jwt.InvalidTokenError as bad:
            raise BadTokenError(texts.malformed) from bad
        self._verified[token] = claims
        if len(self._verified) > _KNOWN:
            self._verified.popitem(last=False)
        return claims

    def _check_times(self, claims: dict[str, Any], texts: TokenTexts) -> None:
        now = self.clock()
        if "exp" in claims and now >= float(claims["exp"]):
            raise BadTokenError(texts.expired)
        if "nbf" in claims and now < float(claims["nbf"]):
            raise BadTokenError(texts.premature)
        if texts.future_iat is not None and now < float(claims.get("iat", 0)):
            raise BadTokenError(texts.future_iat)


def subject_of(token: str | None) -> str | None:
    """The subject a token claims, unverified: for the request log."""
    if not token:
        return None
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, binascii.Error):
        return None
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else None
