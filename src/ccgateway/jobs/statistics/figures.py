"""Figures of one group of jobs, how exact they are, and their merging over sites.

A figure is an ``Amount``: what is shown, and between which ends the true value lies. Amounts of hours are held in seconds, so
that an amount told in whole hours and one counted from rows can be added without losing either's exactness. What cannot be
had is *refused*: it has a reason in place of an amount, and so has every sum that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

__all__ = [
    "ADDED",
    "FIGURES",
    "HOUR",
    "HOURS",
    "Amount",
    "Exactness",
    "Figure",
    "Group",
    "GroupBy",
    "Quality",
    "cut",
    "merge_groups",
    "place_of",
    "shown",
]

HOUR = 3600


class GroupBy(StrEnum):
    """By what jobs are grouped. ``SITE`` is the gateway's own; the others are cc-backend's."""

    USER = "USER"
    PROJECT = "PROJECT"
    CLUSTER = "CLUSTER"
    SUBCLUSTER = "SUBCLUSTER"
    SITE = "SITE"


class Figure(StrEnum):
    """Every figure, by its name in cc-backend's ``JobsStatistics``."""

    JOBS = "totalJobs"
    RUNNING = "runningJobs"
    SHORT = "shortJobs"
    USERS = "totalUsers"
    WALLTIME = "totalWalltime"
    NODES = "totalNodes"
    NODE_HOURS = "totalNodeHours"
    CORES = "totalCores"
    CORE_HOURS = "totalCoreHours"
    ACCS = "totalAccs"
    ACC_HOURS = "totalAccHours"


FIGURES: Mapping[str, Figure] = {figure.value: figure for figure in Figure}
#: shown in hours, held in seconds
HOURS = frozenset({Figure.WALLTIME, Figure.NODE_HOURS, Figure.CORE_HOURS, Figure.ACC_HOURS})
#: what a site tells without groups only as 0
ADDED = frozenset({Figure.NODES, Figure.CORES, Figure.ACCS})


class Amount(msgspec.Struct, frozen=True, array_like=True):
    """What is shown, and the ends between which the true value lies, both included."""

    value: int
    low: int
    high: int

    @classmethod
    def exact(cls, value: int) -> Amount:
        """One that is known exactly."""
        return cls(value, value, value)

    @classmethod
    def whole_hours(cls, hours: int) -> Amount:
        """Seconds of which only whole hours were told, the rest cut off."""
        return cls(hours * HOUR, hours * HOUR, hours * HOUR + HOUR - 1)

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.value + other.value, self.low + other.low, self.high + other.high)

    def in_hours(self) -> Amount:
        """Seconds → hours, a fraction cut off."""
        return Amount(self.value // HOUR, self.low // HOUR, self.high // HOUR)

    @property
    def is_exact(self) -> bool:
        """Whether the value is known to be true."""
        return self.low == self.high


class Group(msgspec.Struct):
    """One group of jobs: its figures, or why they are refused.

    ``users``: the distinct users, where they were asked for; ``None``: not known. ``users_told``: how many there are, where only
    the number is known. ``sites``: whose jobs are in it.
    """

    id: str = ""
    name: str = ""
    amounts: dict[str, Amount] = msgspec.field(default_factory=dict)
    refused: dict[str, str] = msgspec.field(default_factory=dict)
    users: set[str] | None = None
    sites: list[str] = msgspec.field(default_factory=list)

    def refuse(self, figures: Iterable[Figure], reason: str) -> None:
        """Takes the amounts away, for that reason."""
        for figure in figures:
            self.amounts.pop(figure.value, None)
            self.refused.setdefault(figure.value, reason)

    def amount(self, figure: Figure) -> Amount | None:
        """The figure as it is shown: hours in hours; ``None`` if it is refused."""
        if figure is Figure.USERS and self.users is not None and figure.value not in self.refused:
            return Amount.exact(len(self.users))
        found = self.amounts.get(figure.value)
        return found.in_hours() if found is not None and figure in HOURS else found


def merge_groups(groups: Iterable[Group]) -> dict[str, Group]:
    """Groups of the same id made one: amounts added, users united, refusals kept. The first real name counts."""
    merged: dict[str, Group] = {}
    for one in groups:
        into = merged.get(one.id)
        if into is None:
            merged[one.id] = Group(
                one.id, _real(one.name), dict(one.amounts), dict(one.refused), None if one.users is None else set(one.users),
                list(one.sites),
            )  # fmt: skip
            continue
        into.name = into.name or _real(one.name)
        into.sites += [site for site in one.sites if site not in into.sites]
        into.users = None if into.users is None or one.users is None else into.users | one.users
        into.refused = one.refused | into.refused
        for figure, amount in one.amounts.items():
            held = into.amounts.get(figure)
            into.amounts[figure] = amount if held is None else held.plus(amount)
        for figure in into.refused:
            into.amounts.pop(figure, None)
    return merged


def _real(name: str) -> str:
    return "" if name == "-" else name


class Quality(StrEnum):
    """How far a figure can be trusted."""

    EXACT = "EXACT"
    BOUNDED = "BOUNDED"
    REFUSED = "REFUSED"


class Exactness(msgspec.Struct, frozen=True):
    """How far one figure of one group can be trusted; ``at_least`` and ``at_most`` bound the true value."""

    figure: str
    quality: Quality
    at_least: int | None = None
    at_most: int | None = None
    reason: str | None = None


_BOUNDED = {
    Figure.SHORT: "Sites count a job that runs as short by the duration they last noted, and go by their own limit "
    "(short-running-jobs-duration).",
}
_CUT_OFF = "Every site, and every group of a site, cuts off a fraction of an hour. exact: true counts from rows."


def shown(group: Group, figures: Sequence[Figure]) -> list[Exactness]:
    """How exact each of the figures is."""
    found = []
    for figure in figures:
        amount = group.amount(figure)
        if amount is None:
            reason = group.refused.get(figure.value, "It is not known.")
            found.append(Exactness(figure.value, Quality.REFUSED, reason=reason))
        elif amount.is_exact:
            found.append(Exactness(figure.value, Quality.EXACT, amount.low, amount.high))
        else:
            reason = _BOUNDED.get(figure, _CUT_OFF)
            found.append(Exactness(figure.value, Quality.BOUNDED, amount.low, amount.high, reason))
    return found


def place_of(group: Group, by: Figure | None) -> tuple[int, int, str]:
    """What groups are sorted by: largest first by that figure, ties by id, refused ones last; by id where there is none."""
    amount = group.amount(by) if by is not None else None
    return (0, -amount.value, group.id) if amount is not None else (1, 0, group.id)


def cut(groups: Iterable[Group], by: Figure | None, *, skip: int = 0, size: int | None = None) -> list[Group]:
    """In order of their places; so many after the first ``skip``."""
    ordered = sorted(groups, key=lambda group: place_of(group, by))
    return ordered[skip:] if size is None else ordered[skip : skip + size]
