"""The running cc-backend instances that the tests are about, as ``farm.json`` describes them.

``farm.json`` maps each release (``v1.5.4``) to ``url``, ``cluster``, ``tokens`` by user (``demo`` is admin, ``robot`` has the
role ``api`` alone, ``alice`` and ``bob`` are users), for what signs tokens itself ``private``, and for what stops instances
``pid`` and ``dir``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ccgateway.settings import SiteSettings

__all__ = ["FARM", "SCRATCH", "Farm", "Site"]

#: the environment variables that name the ``farm.json`` to read, and that of a second farm that may be altered
FARM, SCRATCH = "CCGATEWAY_LIVE_FARM", "CCGATEWAY_LIVE_SCRATCH"


@dataclass(frozen=True)
class Site:
    """One instance. Names sort the other way round than numbers, so that a test sees which of the two an order follows."""

    name: str
    number: int
    version: tuple[int, ...]
    url: str
    cluster: str
    tokens: Mapping[str, str]
    folder: Path | None
    pid: int | None
    private: str | None = None

    @property
    def release(self) -> str:
        """The released series, ``1.5``."""
        return ".".join(map(str, self.version[:2]))

    @property
    def isolates(self) -> bool:
        """Whether the instance itself hides other people's jobs, and has ``/userapi``."""
        return self.version >= (1, 4)

    @property
    def is_newest(self) -> bool:
        """Whether it is a 1.5, whose own GraphQL gives filters their meaning."""
        return self.version >= (1, 5)

    @property
    def archive(self) -> Path:
        """Where its job archive lies."""
        if self.folder is None:
            raise LookupError(f"farm.json does not say in which dir {self.name} runs")
        return self.folder / "var/job-archive"

    def root(self, user: str) -> str:
        """The API root that ``user`` has to use."""
        return "/api" if user in ("demo", "robot") or not self.isolates else "/userapi"

    def settings(self, user: str = "demo", **changes: Any) -> SiteSettings:
        """The gateway's settings for it, its release left to be found out."""
        values = {"name": self.name, "number": self.number, "url": self.url, "token": self.tokens[user]}
        return SiteSettings.model_validate({**values, **changes})


class Farm:
    """All instances of one ``farm.json``, newest release first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = {name: entry for name, entry in json.loads(path.read_text()).items() if "url" in entry}
        newest_first = sorted(found, key=_version, reverse=True)
        self.sites = [_site(name, number, found[name]) for number, name in enumerate(newest_first, 1)]

    @classmethod
    def named_by(cls, variable: str) -> Self | None:
        """The farm that an environment variable names, or ``None`` if it is not set."""
        path = os.environ.get(variable)
        return cls(Path(path)) if path else None

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def one(self, name: str) -> Site:
        """The instance with that name, as it is now."""
        return next(site for site in self.sites if site.name == name)

    def settings(self, user: str = "demo", **changes: Any) -> list[SiteSettings]:
        """The gateway's settings for all of them."""
        return [site.settings(user, **changes) for site in self.sites]

    def note_pid(self, site: Site, pid: int) -> None:
        """Writes down that the instance runs as another process now."""
        entries = json.loads(self.path.read_text())
        next(entry for entry in entries.values() if entry.get("url") == site.url)["pid"] = pid
        self.path.write_text(json.dumps(entries, indent=1))
        self.sites = Farm(self.path).sites


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.removeprefix("v").split("."))


def _site(name: str, number: int, entry: Mapping[str, Any]) -> Site:
    return Site(
        name="at-" + name.removeprefix("v").replace(".", "-"),
        number=number,
        version=_version(name),
        url=entry["url"],
        cluster=entry["cluster"],
        tokens=entry["tokens"],
        folder=Path(entry["dir"]) if "dir" in entry else None,
        pid=entry.get("pid"),
        private=entry.get("private"),
    )
