"""The site's service token, for those whose own roles allow all that it can."""

from __future__ import annotations

from ccgateway.deadline import Deadline
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import Roles, abilities
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.standing import Standing

__all__ = ["ServiceToken"]

_MACHINE = frozenset({"api"})


class ServiceToken:
    """One token for all who have one of ``roles`` at the site, and may do what it can."""

    at_once = True

    def __init__(self, token: Credential, roles: Roles) -> None:
        self._token, self._roles = token, roles

    @property
    def expires(self) -> float | None:
        """When the token expires (epoch seconds)."""
        return self._token.expires

    async def credential(self, caller: Principal, standing: Standing, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """Fits the privileged. ``api`` beside other roles is no role of its own, so it counts only where it stands alone."""
        counting = standing.roles if standing.roles == _MACHINE else standing.roles - _MACHINE
        if not counting & self._roles or not self._token.abilities <= abilities(standing.roles):
            return None
        return self._token
