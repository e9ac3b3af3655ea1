"""What can be said of a site's token without asking the site: whose it is, its roles, until when, and what those open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import jwt
from pydantic import SecretStr

from ccgateway.settings import SiteSettings
from ccgateway.site.releases import Dialect

__all__ = ["TokenFacts", "roles_wanted", "token_key", "token_source"]


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token's claims, unverified. ``is_jwt`` is false where it is none; then the rest is empty."""

    is_jwt: bool
    subject: str | None = None
    roles: tuple[str, ...] = ()
    expires: datetime | None = None

    @classmethod
    def of(cls, token: SecretStr) -> TokenFacts:
        """The facts of ``token``."""
        try:
            claims = jwt.decode(token.get_secret_value(), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return cls(is_jwt=False)
        roles, subject, expires = claims.get("roles"), claims.get("sub"), claims.get("exp")
        return cls(
            is_jwt=True,
            subject=subject if isinstance(subject, str) and subject else None,
            roles=tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else (),
            expires=_moment(expires) if isinstance(expires, int | float) else None,
        )

    def seconds_left(self, now: datetime) -> float | None:
        """Seconds until it expires; ``None`` if it never does."""
        return None if self.expires is None else (self.expires - now).total_seconds()

    def is_worn(self, now: datetime) -> bool:
        """Whether no site can accept it: it is no JWT, or has expired."""
        return not self.is_jwt or (self.expires is not None and self.expires <= now)


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def token_key(site: SiteSettings) -> str:
    """The key of the section that says where the token is."""
    if site.token is not None:
        return "token"
    return "token_env" if site.token_file is None and site.token_env is not None else "token_file"


def token_source(site: SiteSettings) -> str:
    """Where the token is, in words."""
    if site.token is not None:
        return f"the variable CCGATEWAY_SITES__{site.name.upper().replace('-', '_')}__TOKEN"
    return str(site.token_file) if site.token_file is not None else f"the variable {site.token_env}"


def roles_wanted(dialect: Dialect | None) -> str:
    """Which roles a token needs, in words; ``None``: at a site whose release is not known."""
    if dialect is not None and not dialect.isolates:
        return 'It needs the role api: exactly ["api"], or admin and api to see everything; user and api for one person\'s jobs.'
    if dialect is None:
        partner = "user, manager or (from 1.5 on) support"
    else:
        partner = "user, manager or support" if "support" in dialect.user_roles else "user or manager"
    return f'It needs exactly the roles ["api"], or admin and api; for one person\'s jobs {partner}, and api.'
