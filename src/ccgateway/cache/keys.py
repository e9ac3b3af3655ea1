"""What an entry is found by, and what is invalidated together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote

__all__ = ["EVERYTHING", "InvalidationTag", "Key"]

_KINDS = frozenset({"jobs", "clusters", "users"})
#: characters of a name beyond which its digest stands for it
LONGEST = 300


@dataclass(frozen=True, slots=True)
class InvalidationTag:
    """What is invalidated together: one subject of a site, a whole site, or (both empty) everything."""

    site: str = ""
    subject: str = ""

    def __post_init__(self) -> None:
        if self.subject and not self.site:
            raise ValueError("a subject belongs to a site")

    @property
    def name(self) -> str:
        """A name without ``/ { } * :`` of its own, the same in every process."""
        return "/".join(_safe(part) for part in (self.site, self.subject) if part)


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that a site can be asked for.

    ``subject``: the job (``cluster/jobId/startTime``) or ``clusters``, ``users``, ``jobs``; invalidated as one. ``audience``: who
    may be shown the answer. ``question``: what is asked about the subject.
    """

    site: str
    subject: str
    audience: str
    question: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.site and self.subject and self.audience):
            raise ValueError("a key needs a site, a subject and an audience")

    @property
    def tags(self) -> tuple[InvalidationTag, InvalidationTag, InvalidationTag]:
        """The three that invalidate the key, widest first."""
        return _tags(self.site, self.subject)

    @property
    def kind(self) -> str:
        """Of which kind it is, for counting: ``metrics`` of a job, ``jobs``, ``clusters``, ``users``, or ``other``."""
        return "metrics" if "/" in self.subject else self.subject if self.subject in _KINDS else "other"

    @property
    def member(self) -> str:
        """The key's name within its subject: injective, the same in every process."""
        return "/".join(map(_safe, (self.audience, *self.question)))

    @property
    def text(self) -> str:
        """The whole name."""
        return f"{self.tags[2].name}/{self.member}"


EVERYTHING = InvalidationTag()


@lru_cache(maxsize=10_000)
def _tags(site: str, subject: str) -> tuple[InvalidationTag, InvalidationTag, InvalidationTag]:
    return EVERYTHING, InvalidationTag(site), InvalidationTag(site, subject)


def _safe(part: str) -> str:
    name = quote(part, safe="")
    # "#" is quoted in every other name, so that no name is another one's digest
    return name if len(name) <= LONGEST else "#" + blake2b(part.encode(), digest_size=24).hexdigest()
