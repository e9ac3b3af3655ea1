"""What the gateway shows one site: a token, the API root it belongs to, and what it may see there.

A token's roles are read without checking its signature: only the site can check it. They decide nothing but where to ask
and what the gateway itself must hide, and hiding errs on the side of too much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import jwt
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.identity.principal import Principal

__all__ = ["ApiRoot", "Credential", "Credentials", "OneToken"]

ApiRoot = Literal["/api", "/userapi"]

PRIVILEGED = frozenset({"admin", "support"})


@dataclass(frozen=True, slots=True)
class Credential:
    """The token for one site, its holder's name there and roles (``None``: not a readable JWT), and the API root to use.

    A token that cannot be read is nobody's: it opens what the site itself grants it, and nothing where the site hides nothing.
    """

    token: SecretStr = field(repr=False)
    user: str | None
    roles: frozenset[str] | None
    root: ApiRoot

    @classmethod
    def from_token(cls, token: SecretStr) -> Credential:
        """The credential that ``token`` makes: ``/api`` for admins and pure API tokens, ``/userapi`` for everybody else."""
        try:
            claims = jwt.decode(token.get_secret_value(), options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return cls(token, None, None, "/api")
        roles = claims.get("roles")
        names = frozenset(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else frozenset()
        subject = claims.get("sub")
        user = subject if isinstance(subject, str) else None
        is_api = names == {"api"} or "admin" in names
        return cls(token, user, names, "/api" if is_api else "/userapi")

    @property
    def sees_all(self) -> bool:
        """Whether the token's holder may see everybody's jobs on a release that knows roles."""
        return self.roles is not None and (self.roles == {"api"} or bool(self.roles & PRIVILEGED))

    @property
    def is_pure_api(self) -> bool:
        """Whether its one role is ``api``: it sees every job, but other people's metrics only by way of the job itself."""
        return self.roles == frozenset({"api"})

    @property
    def visibility(self) -> str:
        """``all``, or ``user:<name>``: what was read with one visibility is never shown to another."""
        return "all" if self.sees_all else f"user:{self.user or ''}"


class Credentials(Protocol):
    """What one site is shown, caller by caller."""

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:
        """The credential for that caller; ``None`` if there is none, and the site is not to be asked."""
        ...


@dataclass(frozen=True, slots=True)
class OneToken:
    """The same credential for everybody (``None``: for nobody)."""

    credential: Credential | None

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """That credential."""
        return self.credential
