"""The rules by which every site's credentials are found, as the settings say."""

from __future__ import annotations

from ccgateway.identity.keys import private_key_of
from ccgateway.identity.sealing import Seal
from ccgateway.settings import Settings, SiteSettings
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.exchange import TokenExchange
from ccgateway.site.credentials.exchanged import Exchanged
from ccgateway.site.credentials.minted import Minted
from ccgateway.site.credentials.rules import ByRules, OwnToken, Rule
from ccgateway.site.credentials.service import ServiceToken
from ccgateway.site.credentials.standing import Standings
from ccgateway.site.credentials.table import TokenTable

__all__ = ["Keyring"]


class Keyring:
    """Every token and key that the gateway has. Raises ``SettingsError`` where one cannot be used; reaches nothing yet.

    Owns the exchange service's connections: ``aclose`` closes them.
    """

    def __init__(self, settings: Settings) -> None:
        identities = settings.identities
        self.table = TokenTable(identities.table) if identities.table is not None else None
        self.exchange = TokenExchange(settings.exchange) if settings.exchange.url is not None else None
        self._service_roles = frozenset(identities.service_roles)
        self.seal = Seal(_sealing_material(settings))

    def credentials(self, site: SiteSettings) -> ByRules:
        """For one site: the caller's own token, one signed for the caller, one exchanged for the caller's, the service token."""
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
        return ByRules(site.name, Standings(site, self.table), rules)

    async def aclose(self) -> None:
        """Closes what is open."""
        if self.exchange is not None:
            await self.exchange.aclose()


def _sealing_material(settings: Settings) -> list[bytes]:
    """Secrets that every process of this gateway has, also after a restart; the table, which changes, only if there are none."""
    places = [place for site in settings.sites.values() for place in (site.service_token(), site.private_key())]
    found = [secret for place in places if (secret := place.read(many_lines=True)) is not None]
    material = [secret.get_secret_value().encode() for secret in found]
    material += [key.hash.encode() for key in settings.api_keys.values()]
    table = settings.identities.table
    return material or ([table.read_bytes()] if table is not None else [])
