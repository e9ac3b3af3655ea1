"""The value that a site is shown for one caller, and the seam by which it is found.

A token's roles are read without checking its signature: only the site can check it. They decide nothing but where to ask
and what the gateway itself must hide, and hiding errs on the side of too much.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, Protocol

import jwt
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.identity.principal import Principal
from ccgateway.identity.roles import EVERYTHING, Ability, abilities

__all__ = ["ApiRoot", "Credential", "Credentials", "OneToken"]

ApiRoot = Literal["/api", "/userapi"]

PRIVILEGED = frozenset({"admin", "support"})


@dataclass(frozen=True, slots=True)
class Credential:
    """The token for one site, its holder's name there and roles (``None``: not a readable JWT), and the API root to use.

    A token that cannot be read is nobody's: it opens what the site itself grants it, and nothing where the site hides nothing.
    ``expires``: epoch seconds, as the token says. ``is_vouched_for``: the gateway signed it with the site's own
    key, or the operator gave it as the site's service token.
    ``is_named``: ``user`` is what the token itself says. ``fingerprint``: the token's hash.
    """

    token: SecretStr = field(repr=False)
    user: str | None
    roles: frozenset[str] | None
    root: ApiRoot
    expires: float | None = None
    is_vouched_for: bool = False
    is_named: bool = True
    fingerprint: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", sha256(self.token.get_secret_value().encode()).digest())

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
        return cls.with_roles(token, subject if isinstance(subject, str) else None, names, expires=_moment(claims.get("exp")))

    @classmethod
    def of_service(cls, token: SecretStr) -> Credential:
        """The credential of the site's service token, for which the operator vouches until the site refuses it."""
        return replace(cls.from_token(token), is_vouched_for=True)

    @classmethod
    def with_roles(
        cls,
        token: SecretStr,
        user: str | None,
        roles: Iterable[str],
        *,
        expires: float | None = None,
        is_vouched_for: bool = False,
    ) -> Credential:
        """The credential of ``token``, where it is known whose it is."""
        names = frozenset(roles)
        is_api = names == {"api"} or "admin" in names
        return cls(token, user, names, "/api" if is_api else "/userapi", expires, is_vouched_for)

    @property
    def abilities(self) -> frozenset[Ability]:
        """What a release that knows roles lets its holder do. One that does not say may do everything, for all that is known."""
        return abilities(self.roles) if self.roles else EVERYTHING

    @property
    def sees_all(self) -> bool:
        """Whether the token's holder may see everybody's jobs on a release that knows roles."""
        return self.roles is not None and (self.roles == {"api"} or bool(self.roles & PRIVILEGED))

    @property
    def writes(self) -> frozenset[Ability]:
        """What its holder may write where the site looks at no role but ``api``: ``WRITE_ALL``, ``OWN_JOBS``, ``USERS``, or
        nothing; by a token that does not say its roles, nothing.
        """
        return abilities(self.roles or frozenset()) & {Ability.WRITE_ALL, Ability.OWN_JOBS, Ability.USERS}

    @property
    def is_pure_api(self) -> bool:
        """Whether its one role is ``api``: it sees every job, but other people's metrics only by way of the job itself."""
        return self.roles == frozenset({"api"})

    @property
    def visibility(self) -> str:
        """``all``, ``user:<name>``, or one of its own for a token that does not say whose it is: what was read with one is never
        shown to another.
        """
        if self.sees_all:
            return "all"
        return f"user:{self.user}" if self.user else f"token:{self.fingerprint.hex()[:32]}"

    def stands_as(self, other: Credential) -> bool:
        """Whether both stand for the same person with the same roles, so that one may go on where the other began."""
        return (self.user, self.roles, self.visibility) == (other.user, other.roles, other.visibility)


def _moment(claim: object) -> float | None:
    """``exp`` in epoch seconds; ``None`` if there is none. What is no number is taken to be over."""
    if claim is None:
        return None
    is_number = isinstance(claim, int | float) and not isinstance(claim, bool) and not math.isnan(claim)
    return float(min(claim, 2**53)) if is_number and isinstance(claim, int | float) else 0.0


class Credentials(Protocol):
    """What one site is shown, caller by caller."""

    @property
    def at_once(self) -> bool:
        """Whether ``of`` asks nobody, so that it takes no time."""
        ...

    @property
    def expires(self) -> float | None:
        """When the site's service token expires (epoch seconds); ``None``: never, or there is none."""
        ...

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:
        """The credential for that caller; ``None`` if there is none, and the site is not to be asked.

        Raises ``SiteError`` (``NO_CREDENTIAL``) where there should be one, but it cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneToken:
    """The same credential for everybody (``None``: for nobody)."""

    credential: Credential | None
    at_once: bool = True

    @property
    def expires(self) -> float | None:
        """See ``Credentials``."""
        return self.credential.expires if self.credential is not None else None

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:  # noqa: ARG002
        """That credential."""
        return self.credential
