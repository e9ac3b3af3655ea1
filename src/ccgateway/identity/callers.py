"""From what a caller shows to the principal that it is: tokens of the configured issuers, API keys, or nothing at all.

What is wrong with a token is told in a few fixed sentences, which say nothing about what would have been right; the log has the
reason. That a token has expired is said only of one that was genuine.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from hashlib import sha256

from cachetools import TLRUCache
from pydantic import SecretStr

from ccgateway.errors import Code, RequestError, SettingsError
from ccgateway.identity.claims import UnfitClaimsError, principal_of
from ccgateway.identity.issuers import Issuer, Presented, TokenExpiredError, TokenRefusedError, presented
from ccgateway.identity.principal import Principal
from ccgateway.settings import ApiKeySettings, Settings

__all__ = ["API_KEY", "Callers", "bearer_of", "hash_of"]

log = logging.getLogger("ccgateway.callers")

#: bytes of a token: an access token with a few hundred roles
LONGEST = 16 << 10
#: seconds for which a token that was found good is not checked again, and how many such are remembered, by their hashes
CHECKED_FOR, MOST_CHECKED = 30.0, 10_000
#: epoch seconds that stand for all that are later: claims may have hundreds of digits
END_OF_TIME = 1 << 53
#: what an API key looks like: 32 random bytes behind a mark that scanners for secrets can find
API_KEY = re.compile(r"ccg_[A-Za-z0-9_-]{43}")

MISSING = "Say who you are: send a token in the header Authorization, as Bearer, or in X-Auth-Token."
REFUSED = "The token is not accepted."
EXPIRED = "The token has expired."
NOT_PROVED = "What the identity provider says of you is not accepted."


def hash_of(api_key: str) -> str:
    """What the settings hold of an API key. It is random and long, so that its hash needs neither salt nor slowness."""
    return f"sha256:{sha256(api_key.encode()).hexdigest()}"


class Callers:
    """Everybody who may ask. Raises ``SettingsError`` where a key cannot be used; reaches nothing yet.

    Owns the readings of the issuers' keys: ``aclose`` ends them.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        # what can be told without asking anybody comes first
        self.issuers = sorted(map(Issuer, settings.issuers.values()), key=lambda one: one.settings.key_file is None)
        self._api_keys = _by_hash(settings.api_keys)
        self._prefixes = {issuer.prefix for issuer in settings.issuers.values() if issuer.prefix}
        self._keeps_tokens = settings.exchange.url is not None
        self._clock = clock
        #: by the token's hash: who it is, checked when, good until
        self._checked: TLRUCache[bytes, tuple[Principal, float, float]] = TLRUCache(
            MOST_CHECKED, ttu=lambda _key, checked, _now: checked[2], timer=clock
        )
        self._nobody = _unproven(settings)
        #: the one who everybody is, where nobody can say who they are
        self.everybody = None if settings.authenticates else self._nobody

    async def principal(self, token: str | None) -> Principal:
        """Who it is that shows ``token`` (``None``: nothing). Raises ``RequestError``: ``UNAUTHENTICATED``, or
        ``ISSUER_UNAVAILABLE`` where that cannot be found out now."""
        if self._nobody is not None and (token is None or (not self.issuers and not self._api_keys)):
            return self._nobody
        if token is None:
            raise RequestError(Code.UNAUTHENTICATED, MISSING)
        try:
            return self._by_key(token) if API_KEY.fullmatch(token) else await self._by_token(token)
        except TokenExpiredError:
            log.info("a token was refused: it has expired")
            raise RequestError(Code.UNAUTHENTICATED, EXPIRED) from None
        except (TokenRefusedError, UnfitClaimsError) as reason:
            log.info("a token was refused: %s", reason)
            raise RequestError(Code.UNAUTHENTICATED, REFUSED) from None

    async def signed_in(self, id_token: str, *, issuer: str, client_id: str, nonce: str) -> Principal:
        """Who it is that the section ``issuer`` signed in: as with a token of the same claims, of which nothing is kept.

        Raises as ``principal``.
        """
        meant = next(one for one in self.issuers if one.settings.name == issuer)
        try:
            _refuse_impossible(id_token)
            claims = await meant.id_claims(presented(id_token), client_id, nonce)
            found = principal_of(claims, meant.settings, None)
            self._refuse_others_names(found, meant)
        except (TokenRefusedError, UnfitClaimsError) as reason:
            log.info("an ID token was refused: %s", reason)
            raise RequestError(Code.UNAUTHENTICATED, NOT_PROVED) from None
        return found

    def _by_key(self, key: str) -> Principal:
        found = self._api_keys.get(hash_of(key))
        if found is None:
            raise TokenRefusedError("no such API key")
        return found

    async def _by_token(self, token: str) -> Principal:
        """As checked now or shortly before: checking a signature takes longer than much of what is asked."""
        _refuse_impossible(token)
        key, now = sha256(token.encode()).digest(), self._clock()
        checked = self._checked.get(key)
        if checked is not None and checked[1] <= now:  # else the clock was set back
            return checked[0]
        found, expires = await self._checked_now(presented(token))
        self._checked[key] = (found, now, min(now + CHECKED_FOR, expires))
        return found

    async def _checked_now(self, token: Presented) -> tuple[Principal, float]:
        """Who it is, and until when that holds (epoch seconds)."""
        refusals: list[TokenRefusedError] = []
        for issuer in self.issuers:
            if not issuer.may_have_issued(token):
                continue
            try:
                claims = await issuer.claims(token)
            except TokenRefusedError as refused:
                refusals.append(refused)
                continue
            found = principal_of(claims, issuer.settings, SecretStr(token.text) if self._keeps_tokens else None)
            self._refuse_others_names(found, issuer)
            return found, min(int(claims["exp"]), END_OF_TIME) if "exp" in claims else math.inf
        expired = next((refused for refused in refusals if isinstance(refused, TokenExpiredError)), None)
        raise expired or (refusals or [TokenRefusedError("no issuer is meant")])[0]

    def _refuse_others_names(self, found: Principal, issuer: Issuer) -> None:
        """An issuer without a prefix could otherwise write another's into its own subjects."""
        for prefix in self._prefixes:
            if found.subject.startswith(prefix) and prefix != issuer.settings.prefix:
                raise UnfitClaimsError("the subject is of another issuer's")

    async def aclose(self) -> None:
        """Ends what runs for the issuers."""
        for issuer in self.issuers:
            await issuer.keys.aclose()


def _refuse_impossible(token: str) -> None:
    if len(token) > LONGEST or not token.isascii():
        raise TokenRefusedError("it is too long, or no token at all")


def _by_hash(sections: Mapping[str, ApiKeySettings]) -> Mapping[str, Principal]:
    found: dict[str, Principal] = {}
    for name, section in sections.items():
        if section.hash in found:
            problem = "is the same as another one's"
            raise SettingsError(f"api_keys.{name}.hash", problem, "Make a key for each: ccgateway key.")
        found[section.hash] = bearer_of(name, section)
    return found


def bearer_of(name: str, section: ApiKeySettings) -> Principal:
    """Who comes with the API key of that section."""
    return Principal(
        section.subject,
        frozenset(section.roles),
        issuer=f"api_keys.{name}",
        site=section.site,
        refuses_parts=section.partial == "refuse",
    )


def _unproven(settings: Settings) -> Principal | None:
    """Who a caller is that shows nothing; ``None`` if that is not enough."""
    caller = settings.caller
    if not settings.authenticates:
        return Principal(caller.subject, frozenset(caller.roles if caller.roles is not None else ("admin",)))
    return Principal(caller.subject, frozenset(caller.roles or ())) if caller.anonymous else None
