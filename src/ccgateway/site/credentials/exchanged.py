"""A token that the exchange service gives for the caller's own."""

from __future__ import annotations

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import abilities
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.standing import Standing
from ccgateway.site.credentials.token_exchange import ExchangeError, TokenExchange

__all__ = ["Exchanged"]


class Exchanged:
    """By ``service``, where the site is called ``audience``. What it gives must not allow more than the caller's roles do."""

    at_once = False

    def __init__(self, site: str, service: TokenExchange, audience: str) -> None:
        self._site, self._service, self._audience = site, service, audience

    async def credential(self, caller: Principal, standing: Standing, deadline: Deadline) -> Credential | None:
        """Fits those who showed a token that the service may know."""
        if caller.token is None:
            return None
        try:
            given = await self._service.token(caller.token, self._audience, deadline)
        except ExchangeError as error:
            raise self._refusal(f"{error}", retryable=error.retryable) from None
        found = Credential.from_token(given.token)
        if found.roles is None or found.user is None:
            raise self._refusal("the exchange service gave a token that does not say whose it is")
        if standing.name is not None and found.user != standing.name:
            raise self._refusal("the exchange service gave a token that is not in your name there")
        if found.roles and not found.abilities <= abilities(standing.roles):
            raise self._refusal("the exchange service gave a token that can do more than your roles allow")
        return found

    def _refusal(self, reason: str, *, retryable: bool = False) -> SiteError:
        return SiteError(Code.NO_CREDENTIAL, self._site, f"Not asked: {reason}.", retryable=retryable)
