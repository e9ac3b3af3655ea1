"""The caller of the gateway, once it is known who that is."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import SecretStr

from ccgateway.identity.roles import Role

__all__ = ["Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: two calls with equal principals see the same.

    ``subject``: the name, unique among all issuers; goes into logs, and by it sites' credentials are chosen. ``roles``: the
    gateway's, as proven. ``names``: (site, user name there), where the issuer says so. ``issuer``: the section of the settings
    that it was believed by; ``None`` for one who needed no proof. ``token``: what was shown, kept only where it is to be
    exchanged for a site's own. ``site``: the one site that the caller may ask; ``None``: all. ``refuses_parts``: whether an
    answer from which a site is missing is an error for the caller.
    """

    subject: str
    roles: frozenset[Role] = frozenset()
    names: tuple[tuple[str, str], ...] = ()
    issuer: str | None = None
    token: SecretStr | None = field(default=None, repr=False)
    site: str | None = None
    refuses_parts: bool = False

    @property
    def share(self) -> tuple[str | None, str]:
        """Whose share of what all callers share it takes."""
        return self.issuer, self.subject

    def name_at(self, site: str) -> str | None:
        """The user name at ``site`` by the issuer's word; ``None`` if it says nothing."""
        return dict(self.names).get(site)
