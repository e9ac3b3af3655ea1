"""Tokens signed with a site's own key, one for each caller: its name there and its roles, for a short time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cachetools import TLRUCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ccgateway.deadline import Deadline
from ccgateway.identity.ed25519 import mint
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Roles
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.standing import Standing

__all__ = ["Minted", "roles_for_token"]

#: callers whose tokens are kept
MOST_KEPT = 10_000


def roles_for_token(roles: Roles) -> Sequence[str] | None:
    """What a token has to say so that a site lets it in with these roles; ``None`` for no roles.

    Every token needs ``api`` too. A token of one without roles would be left with that alone, which opens everything.
    """
    return sorted({*roles, "api"}) if roles else None


class Minted:
    """Signs with ``key``. Tokens are good for ``lifetime`` seconds and renewed when half of that is over."""

    at_once = True

    def __init__(self, key: Ed25519PrivateKey, lifetime: float, *, clock: Callable[[], float] = time.time) -> None:
        self._key, self._lifetime, self._clock = key, lifetime, clock
        self._kept: TLRUCache[tuple[str, tuple[str, ...]], Credential] = TLRUCache(
            MOST_KEPT, ttu=lambda _key, _credential, now: now + lifetime / 2, timer=clock
        )

    async def credential(self, caller: Principal, standing: Standing, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """Fits those who have a name and roles at the site."""
        roles = roles_for_token(standing.roles)
        return self._signed(standing.name, tuple(roles)) if standing.name is not None and roles is not None else None

    def _signed(self, name: str, roles: tuple[str, ...]) -> Credential:
        now = self._clock()
        found, expires = self._kept.get((name, roles)), now + self._lifetime
        # a clock that was set back is no reason to keep one for long
        if found is None or found.expires is None or found.expires > expires:
            token = mint(self._key, name, roles, now=now, lifetime=self._lifetime)
            found = Credential.with_roles(token, name, roles, expires=expires, is_vouched_for=True)
            self._kept[name, roles] = found
        return found
