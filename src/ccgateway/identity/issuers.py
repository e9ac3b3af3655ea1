"""One issuer: whether a token is its own, genuine, meant for this gateway, and good now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from ccgateway.identity.ed25519 import read_public_key
from ccgateway.identity.keysets import KeySource, OneKey, RemoteKeys
from ccgateway.settings import IssuerSettings

__all__ = ["Issuer", "Presented", "TokenExpiredError", "TokenRefusedError", "presented"]


class TokenRefusedError(Exception):
    """The token is not one of the issuer's for us. The message says why, for the log, without what the token says."""


class TokenExpiredError(TokenRefusedError):
    """It was one."""


class Presented:
    """A token as it came, read but not believed: algorithm, key id and issuer choose with what it is checked."""

    __slots__ = ("algorithm", "issuer", "kid", "text")

    def __init__(self, text: str, algorithm: str, kid: str | None, issuer: object) -> None:
        self.text, self.algorithm, self.kid, self.issuer = text, algorithm, kid, issuer


#: what JSON that was made to hurt raises beside PyJWT's own errors
_HOSTILE = (jwt.PyJWTError, ValueError, RecursionError, TypeError, OverflowError)


def presented(text: str) -> Presented:
    """The token read without belief. Raises ``TokenRefusedError`` if it is none."""
    try:
        whole = jwt.decode_complete(text, options={"verify_signature": False})
    except _HOSTILE:
        raise TokenRefusedError("it is no JWT") from None
    header, claims = whole["header"], whole["payload"]
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str):
        raise TokenRefusedError("it names no algorithm")
    return Presented(text, algorithm, kid, claims.get("iss"))


class Issuer:
    """One section ``issuers.<name>``. Raises ``SettingsError`` where its key cannot be used; reaches nothing yet."""

    def __init__(self, settings: IssuerSettings) -> None:
        self.settings = settings
        self.keys: KeySource = (
            OneKey(read_public_key(settings.key_file, f"issuers.{settings.name}.key_file"))
            if settings.key_file is not None
            else RemoteKeys(settings)
        )
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": True})

    def may_have_issued(self, token: Presented) -> bool:
        """Whether it makes sense to check ``token`` with this issuer's keys."""
        settings = self.settings
        return token.algorithm in settings.algorithms and (settings.issuer is None or settings.issuer == token.issuer)

    async def claims(self, token: Presented) -> Mapping[str, Any]:
        """The token's claims. Raises ``TokenRefusedError``; ``RequestError`` if the issuer's keys cannot be had."""
        settings = self.settings
        return await self._proved(token, settings.audience, ["exp"] if settings.needs_expiry else [])

    async def id_claims(self, token: Presented, client_id: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that was made for ``client_id`` and the attempt to sign in that has this ``nonce``. Raises as
        ``claims``."""
        if not self.may_have_issued(token):
            raise TokenRefusedError("it is another issuer's, or signed in a way that is not allowed")
        found = await self._proved(token, (client_id,), ["iss", "aud", "exp", "iat", "sub", "nonce"])
        if found["nonce"] != nonce:
            raise TokenRefusedError("it is of another attempt to sign in")
        is_of_several = isinstance(found["aud"], list) and len(found["aud"]) > 1
        if found.get("azp", None if is_of_several else client_id) != client_id:
            raise TokenRefusedError("it was made for another client")
        return found

    async def _proved(self, token: Presented, audience: tuple[str, ...], required: list[str]) -> Mapping[str, Any]:
        settings = self.settings
        key = await self.keys.find(token.kid, token.algorithm)
        if key is None:
            raise TokenRefusedError("there is no such key")
        try:
            found: dict[str, Any] = self._jwt.decode(
                token.text,
                key,
                algorithms=[token.algorithm],
                audience=audience or None,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": required},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpiredError("it has expired") from None
        except _HOSTILE as error:
            raise TokenRefusedError(type(error).__name__) from None
        return found
