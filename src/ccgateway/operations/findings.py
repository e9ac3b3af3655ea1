"""What a check comes to: plain values, rendered elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ccgateway.cache.counts import RedisStats
from ccgateway.errors import SettingsError
from ccgateway.operations.tokens import TokenFacts

__all__ = ["CheckResult", "Finding", "Level", "SiteCheck"]


class Level(StrEnum):
    """How much a finding weighs: a ``PROBLEM`` has to be solved, a ``WARNING`` thought about."""

    PROBLEM = "problem"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one key of the settings, and exactly what to do about it."""

    level: Level
    key: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: SettingsError) -> Finding:
        """A settings error as a problem."""
        return cls(Level.PROBLEM, error.key, error.problem, error.remedy)


@dataclass(slots=True)
class SiteCheck:
    """What was found out about one site; ``None`` where it could not be.

    ``elapsed``: seconds for reading one job; ``sees``: whose jobs its token shows; ``root``: the API root it uses;
    ``users``: how many accounts the site lists; ``clusters``: their names; ``same_as``: the site that is the same instance;
    ``reads``: how jobs are read with its token (``query``, ``rest``);
    ``ways``: how callers come to a token for it (``own``, ``signed``, ``exchanged``, ``service``).
    """

    name: str
    number: int
    url: str
    configured: str
    reachable: bool = False
    release: str | None = None
    elapsed: float | None = None
    token: TokenFacts | None = None
    accepted: bool | None = None
    root: str | None = None
    sees: str | None = None
    users: int | None = None
    clusters: list[str] = field(default_factory=list)
    same_as: str | None = None
    reads: str | None = None
    ways: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, key: str, problem: str, remedy: str) -> None:
        """Adds a problem with ``sites.<name>.<key>``."""
        self.findings.append(Finding(Level.PROBLEM, f"sites.{self.name}.{key}", problem, remedy))

    def warn(self, key: str, problem: str, remedy: str) -> None:
        """Adds a warning about ``sites.<name>.<key>``."""
        self.findings.append(Finding(Level.WARNING, f"sites.{self.name}.{key}", problem, remedy))

    @property
    def is_good(self) -> bool:
        """Whether nothing has to be solved."""
        return not any(finding.level is Level.PROBLEM for finding in self.findings)


@dataclass(slots=True)
class CheckResult:
    """The whole check: the sites by number, findings about the rest of the file, and the Redis that it names, if it names one."""

    path: str | None
    sites: list[SiteCheck]
    findings: list[Finding] = field(default_factory=list)
    redis: RedisStats | None = None

    def __iter__(self) -> Iterator[Finding]:
        yield from self.findings
        for site in self.sites:
            yield from site.findings

    @property
    def is_good(self) -> bool:
        """Whether the file can be served as it is."""
        return not any(finding.level is Level.PROBLEM for finding in self)
