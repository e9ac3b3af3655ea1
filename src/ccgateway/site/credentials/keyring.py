"""The rules by which every site's credentials are found, as the settings say."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.identity.ed25519 import private_key_of
from ccgateway.identity.principal import Principal
from ccgateway.identity.sealing import Seal
from ccgateway.settings import Settings, SiteSettings
from ccgateway.settings.base import SecretPlace
from ccgateway.site.credentials.credential import Credential, Credentials
from ccgateway.site.credentials.exchanged import Exchanged
from ccgateway.site.credentials.minted import Minted
from ccgateway.site.credentials.rules import ByRules, OwnToken, Rule
from ccgateway.site.credentials.service import ServiceToken
from ccgateway.site.credentials.standing import Standings
from ccgateway.site.credentials.table import TokenTable
from ccgateway.site.credentials.token_exchange import TokenExchange

__all__ = ["Keyring", "Unreadable"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """``Credentials`` of a site whose token or key cannot be read: for nobody, not even by another rule."""

    site: str
    at_once: bool = True
    expires: float | None = None

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """Raises ``NO_CREDENTIAL``."""
        message = "The gateway's own token or key for this site cannot be read at the moment, so it was not asked."
        raise SiteError(Code.NO_CREDENTIAL, self.site, message, retryable=True)


class Keyring:
    """Every token and key that the gateway has. Reaches nothing yet.

    ``unreadable``: the sites of which the token or key cannot be read, and why; the others are none the worse. Raises
    ``SettingsError`` for whatever concerns more than one site. ``before``: the keyring that this one takes the place of, whose
    sealed texts it opens as well. Owns the exchange service's connections: ``aclose`` closes them.
    """

    def __init__(self, settings: Settings, before: Keyring | None = None) -> None:
        identities = settings.identities
        self.table = TokenTable(identities.table) if identities.table is not None else None
        self.exchange = TokenExchange(settings.exchange) if settings.exchange.url is not None else None
        self._service_roles = frozenset(identities.service_roles)
        self.seal: Seal = Seal(_sealing_material(settings), before.seal if before is not None else None)
        self.unreadable: dict[str, SettingsError] = {}

    def credentials(self, site: SiteSettings) -> Credentials:
        """For one site: the caller's own token, one signed for the caller, one exchanged for the caller's, the service token."""
        standings = Standings(site, self.table)
        try:
            return ByRules(site.name, standings, self._rules(site))
        except SettingsError as error:
            self.unreadable[site.name] = error
            return Unreadable(site.name)

    def _rules(self, site: SiteSettings) -> list[Rule]:
        rules: list[Rule] = []
        if self.table is not None:
            rules.append(OwnToken(site.name))
        key = site.private_key()
        if (text := key.read(many_lines=True)) is not None:
            rules.append(Minted(private_key_of(text, key.key or ""), site.signed_for))
        if self.exchange is not None and site.exchange_audience is not None:
            rules.append(Exchanged(site.name, self.exchange, site.exchange_audience))
        if (token := site.read_token()) is not None:
            rules.append(ServiceToken(Credential.of_service(token), self._service_roles))
        return rules

    async def aclose(self) -> None:
        """Closes what is open."""
        if self.exchange is not None:
            await self.exchange.aclose()


def _sealing_material(settings: Settings) -> list[bytes]:
    """Secrets that every process of this gateway has, also after a restart; the table, which changes, only if there are none."""
    places = [place for site in settings.sites.values() for place in (site.service_token(), site.private_key())]
    found = [secret for place in places if (secret := _readable(place)) is not None]
    material = [secret.get_secret_value().encode() for secret in found]
    material += [key.hash.encode() for key in settings.api_keys.values()]
    table = settings.identities.table
    return material or ([table.read_bytes()] if table is not None else [])


def _readable(place: SecretPlace) -> SecretStr | None:
    try:
        return place.read(many_lines=True)
    except SettingsError:
        return None  # told of where the site's credentials are made
