"""The first rule that fits gives a caller's credential for one site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.site.credentials.credential import Credential
from ccgateway.site.credentials.service import ServiceToken
from ccgateway.site.credentials.standing import Standing, Standings

__all__ = ["ByRules", "OwnToken", "Rule"]


class Rule(Protocol):
    """One way to a credential."""

    @property
    def at_once(self) -> bool:
        """Whether it asks nobody."""
        ...

    async def credential(self, caller: Principal, standing: Standing, deadline: Deadline) -> Credential | None:
        """The credential; ``None`` if the rule does not fit the caller. Raises ``NO_CREDENTIAL`` if it fits, but there is none to
        be had: then no other rule is tried."""
        ...


class ByRules:
    """``Credentials`` by rules."""

    def __init__(self, site: str, standings: Standings, rules: Sequence[Rule]) -> None:
        self._site, self._standings, self._rules = site, standings, tuple(rules)
        self.at_once = all(rule.at_once for rule in self._rules)

    @property
    def expires(self) -> float | None:
        """When the site's service token expires (epoch seconds); ``None``: never, or there is none."""
        return next((rule.expires for rule in self._rules if isinstance(rule, ServiceToken)), None)

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:
        """By the first rule that fits."""
        if not self._rules:
            return None
        standing = await self._standings.of(caller)
        for rule in self._rules:
            found = await rule.credential(caller, standing, deadline)
            if found is not None:
                return found
        message = "The gateway has no token for you at this site, so it was not asked."
        raise SiteError(Code.NO_CREDENTIAL, self._site, message)


class OwnToken:
    """The caller's own token, from the table: whatever it can do there is the caller's own to do."""

    at_once = True

    def __init__(self, site: str) -> None:
        self._site = site

    async def credential(self, caller: Principal, standing: Standing, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """Fits those who have one."""
        own = standing.own
        if own is not None and own.user is not None and standing.name is not None and own.user != standing.name:
            message = "The token that the gateway has for you at this site is not in your name there, so it was not asked."
            raise SiteError(Code.NO_CREDENTIAL, self._site, message)
        return own
