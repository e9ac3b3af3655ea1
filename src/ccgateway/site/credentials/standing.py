"""As whom a caller stands at one site: the name there, the roles there, and a token of its own if it has one.

The name is, in this order: what the table says; what the issuer says, where it is believed that; what the site's pattern makes
of the subject; the subject itself, where the settings say that it is the same person. The roles are what the site's ``roles``
make of the gateway's, or what the table says instead; they never allow more than the caller's own do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.identity.claims import user_name
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import NOBODY, Roles, no_more_than
from ccgateway.settings import SiteSettings
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.table import Entry, TableError, TokenTable

__all__ = ["Standing", "Standings"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a caller at one site. ``name``: ``None`` if it has none there; ``own``: its own token there."""

    name: str | None
    roles: Roles
    own: Credential | None = None


class Standings:
    """The standing of every caller at one site. Raises ``SettingsError`` where the site's roles give more than they come from."""

    def __init__(self, site: SiteSettings, table: TokenTable | None) -> None:
        self._site, self._table = site.name, table
        self._same_names = site.same_names
        self._pattern = re.compile(site.name_pattern) if site.name_pattern is not None else None
        self._template = site.name_template
        self._roles: Mapping[str, Roles] | None = None
        if site.roles is not None:
            self._roles = {role: frozenset(there) for role, there in site.roles.items()}
            for role, there in self._roles.items():
                if not no_more_than(there, {role}):
                    problem = f"would give {role} more at the site ({', '.join(sorted(there))}) than at the gateway"
                    remedy = "Map each role to those that allow no more; for a single person, use the table (identities.table)."
                    raise SettingsError(f"sites.{site.name}.roles", problem, remedy)

    async def of(self, caller: Principal) -> Standing:
        """The caller's standing. Raises ``NO_CREDENTIAL`` while the table cannot be used, as it may be what limits the caller."""
        try:
            entry = await self._table.entry(caller.subject, self._site) if self._table is not None else None
        except TableError:
            message = "The gateway's table of tokens cannot be used at the moment, so the site was not asked."
            raise SiteError(Code.NO_CREDENTIAL, self._site, message, retryable=True) from None
        return Standing(self._name(caller, entry), self._roles_of(caller, entry), entry.own if entry is not None else None)

    def _name(self, caller: Principal, entry: Entry | None) -> str | None:
        if entry is not None and entry.user is not None:
            return entry.user
        if (said := caller.name_at(self._site)) is not None:
            return said
        if self._pattern is not None and (found := self._pattern.fullmatch(caller.subject)) is not None:
            return user_name(found.expand(self._template))
        return user_name(caller.subject) if self._same_names else None

    def _roles_of(self, caller: Principal, entry: Entry | None) -> Roles:
        roles: Roles = caller.roles
        if entry is not None and entry.roles is not None:
            roles = entry.roles
        elif self._roles is not None:
            roles = frozenset().union(*(self._roles.get(role, NOBODY) for role in caller.roles))
        return roles if no_more_than(roles, caller.roles) else NOBODY
