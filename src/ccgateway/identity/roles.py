"""What roles allow, so that it can be told whether one set of them allows no more than another.

The names are cc-backend's: ``admin``, ``support``, ``manager``, ``user``, ``api``. ``api`` opens the interface and nothing else,
except where it stands alone: then it is a machine's, which sees and writes every job. So taking a role away can give rights, and
roles are compared by what they allow, never by counting them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import Enum, auto
from functools import lru_cache

from ccgateway.settings.identities import Role

__all__ = ["EVERYTHING", "NOBODY", "Ability", "Role", "Roles", "abilities", "no_more_than"]

Roles = AbstractSet[str]

#: roles of one who may do nothing
NOBODY: frozenset[Role] = frozenset()


class Ability(Enum):
    """One thing that cc-backend lets some do and others not."""

    OWN_JOBS = auto()
    JOBS_OF_PROJECTS = auto()
    ALL_JOBS = auto()
    METRICS_OF_ALL = auto()
    WRITE_ALL = auto()
    USERS = auto()


EVERYTHING = frozenset(Ability)

_BY_ROLE: dict[str, frozenset[Ability]] = {
    "admin": EVERYTHING,
    "support": frozenset({Ability.OWN_JOBS, Ability.JOBS_OF_PROJECTS, Ability.ALL_JOBS, Ability.METRICS_OF_ALL}),
    "manager": frozenset({Ability.OWN_JOBS, Ability.JOBS_OF_PROJECTS}),
    "user": frozenset({Ability.OWN_JOBS}),
}
_MACHINE = frozenset({Ability.ALL_JOBS, Ability.WRITE_ALL})


def abilities(roles: Roles) -> frozenset[Ability]:
    """All that one with these roles may do."""
    return _abilities(frozenset(roles))


@lru_cache(maxsize=256)
def _abilities(roles: frozenset[str]) -> frozenset[Ability]:
    if roles == {"api"}:
        return _MACHINE
    return frozenset().union(*(_BY_ROLE.get(role, frozenset()) for role in roles))


def no_more_than(roles: Roles, bounds: Roles) -> bool:
    """Whether ``roles`` allow nothing that ``bounds`` do not."""
    return abilities(roles) <= abilities(bounds)
