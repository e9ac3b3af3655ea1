"""Who is asking, and what that person may do and see.

:class:`Principal` is the owner of an accepted token; the functions below are cc-backend's role rules:
:func:`admitted` (may this principal use ``/api`` or ``/userapi`` at all) and :func:`rows_of` (whose jobs it sees).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ccgateway.simulator.release import Release

__all__ = ["Area", "Principal", "Rows", "admitted", "rows_of"]


class Area(Enum):
    """The parts of a site with a gate of their own."""

    API = "/api"
    USERAPI = "/userapi"
    QUERY = "/query"
    METRIC_STORE = "/api/ of the built-in metric store"

    @property
    def prefix(self) -> str:
        """Where the paths begin."""
        return "/api" if self is Area.METRIC_STORE else self.value


class Rows(Enum):
    """Whose jobs a principal sees."""

    ALL = "all"
    OWN = "own"
    NONE = "none"  #: no known role: asking is an error


@dataclass(frozen=True, slots=True)
class Principal:
    """The subject and roles an accepted token names."""

    subject: str
    roles: tuple[str, ...]

    def has(self, *roles: str) -> bool:
        """Whether it holds at least one of *roles*."""
        return any(r in self.roles for r in roles)

    @property
    def only_api(self) -> bool:
        return self.roles == ("api",)

    def may_read(self, scope: str) -> bool:
        """Whether tags of *scope* are shown to it."""
        if scope == "admin":
            return self.has("admin", "support")
        return scope in {"global", self.subject}

    def may_read_metrics_of(self, owner: str) -> bool:
        return owner == self.subject or self.has("admin", "support", "manager")


def admitted(release: Release, area: Area, who: Principal) -> bool:
    """The gate in front of every handler; where a release has none, handlers check for themselves."""
    if not release.role_gate or area is Area.QUERY:
        return True
    if who.only_api:
        return True
    if len(who.roles) < 2:
        return False
    if area is Area.API:
        return _holds_two(who, {"admin", "api"})
    support = release.support_on_userapi and area is Area.USERAPI
    partners = ["user", "manager", "admin"] + (["support"] if support else [])
    return any(_holds_two(who, {partner, "api"}) for partner in partners)


def _holds_two(who: Principal, wanted: set[str]) -> bool:
    # upstream counts matching entries, so a role named twice fails
    return sum(r in wanted for r in who.roles) == 2 and wanted <= set(who.roles)


def rows_of(release: Release, who: Principal) -> Rows:
    """Whose jobs *who* sees in lists (and, where rows are guarded, by id)."""
    if who.has("admin", "support") or who.only_api:
        return Rows.ALL
    if not release.row_visibility and who.has("api"):
        return Rows.ALL
    if who.has("manager", "user"):
        return Rows.OWN
    return Rows.NONE
