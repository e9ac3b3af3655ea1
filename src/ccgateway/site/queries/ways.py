"""Which way a site is read: by REST, or by its own GraphQL; and what speaks against the latter for now.

A refusal, an answer that does not fit, or none in time: whatever ``/query`` comes to, REST has the answer, and is asked for a
while without trying the other first. That is kept for each credential, as it may be about the token.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from cachetools import TLRUCache

from ccgateway.errors import Code, SiteError, forget_frames
from ccgateway.site.base import JobsWanted
from ccgateway.site.credentials import Credential
from ccgateway.site.outage import RememberedFailureError
from ccgateway.site.queries.filters import QueryPlan, plan_for
from ccgateway.site.releases import Dialect

__all__ = ["ReadingWay", "Ways"]

T = TypeVar("T")

#: credentials of one site whose refusals are known at any one time
MOST_KNOWN = 1024
#: rows of a page from which on the site's own GraphQL, asked for the attributes that are wanted, takes less work than REST, which
#: reads and writes all of every job
MANY = 100
#: seconds for which a refusal counts, and what may have been a moment's failure, or one question's
REFUSED_FOR, FAILED_FOR = 300.0, 30.0
#: failures that the other way need not share
_GIVES_WAY = frozenset({
    Code.SITE_UNAUTHORIZED, Code.WRONG_RELEASE, Code.SITE_REFUSED, Code.SITE_ERROR, Code.BAD_ANSWER, Code.ANSWER_TOO_LARGE,
    Code.TIMEOUT, Code.CONNECTION_LOST, Code.SITE_BUSY, Code.NOT_FOUND,
})  # fmt: skip
_OF_A_MOMENT = frozenset({Code.TIMEOUT, Code.CONNECTION_LOST, Code.SITE_BUSY, Code.SITE_ERROR, Code.ANSWER_TOO_LARGE})


@dataclass(frozen=True, slots=True)
class ReadingWay:
    """How a site's jobs are read, and why. ``by_query``: by its own GraphQL where that takes less work, else all by REST.
    ``gave_way``: that is so for now only, as it failed."""

    by_query: bool
    why: str
    gave_way: bool = False

    @property
    def reason(self) -> str:
        """``why``, to go on a sentence with."""
        return self.why[0].lower() + self.why[1:].rstrip(".")


@dataclass(frozen=True, slots=True)
class _Refusal:
    why: str
    seconds: float


class Ways:
    """One site's. ``setting``: ``auto``, ``query`` or ``rest``."""

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._refusals: TLRUCache[bytes, _Refusal] = TLRUCache(
            MOST_KNOWN, ttu=lambda _key, refusal, now: now + refusal.seconds, timer=time.monotonic
        )

    def way(self, dialect: Dialect | None, credential: Credential) -> ReadingWay:
        """How the site is read with that credential, as far as is known."""
        if self._setting == "rest":
            return ReadingWay(by_query=False, why="The settings say so (reads).")
        if dialect is None:
            return ReadingWay(by_query=False, why="The site's release is not known yet.")
        if dialect.query is None:
            return ReadingWay(by_query=False, why="What answers there has no GraphQL of its own.")
        if credential.roles is None or not dialect.admits(sorted(credential.roles), dialect.root(credential)):
            # REST decides who may read what: who is not let in there gets nothing by another door
            return ReadingWay(by_query=False, why="The token is not one that the site's REST interface lets in.")
        refusal = self._refusals.get(credential.fingerprint)
        if refusal is not None:
            return ReadingWay(by_query=False, why=f"The site's own GraphQL is left alone for now: {refusal.why}", gave_way=True)
        return ReadingWay(by_query=True, why=_WHY)

    def plan(self, dialect: Dialect, credential: Credential, wanted: JobsWanted, *, size: int) -> QueryPlan | None:
        """How ``size`` rows, newest first, are asked for by the site's own GraphQL; ``None``: by REST, where that takes no more
        work."""
        is_less = self._setting == "query" or (size >= MANY and not wanted.later and not wanted.by_number)
        hides = not dialect.isolates and not credential.sees_all
        if not (is_less or hides or wanted.conditions.items) or not self.way(dialect, credential).by_query:
            return None
        plan = plan_for(dialect, wanted, credential)
        return plan if plan is not None and (is_less or plan.narrows) else None

    def drops_rows(self, dialect: Dialect | None, credential: Credential, wanted: JobsWanted) -> bool:
        """Whether pages may hold many rows that do not match, whichever way they are read."""
        if dialect is None or not wanted.conditions.items:
            return bool(wanted.conditions.items)
        plan = self.plan(dialect, credential, wanted, size=1)
        if plan is not None:
            return not plan.finds_few_others
        return bool(dialect.plan(wanted.conditions, wanted.attributes, credential).residual)

    async def tried(self, dialect: Dialect, credential: Credential, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """What ``ask`` comes to; ``None`` where the site's own GraphQL is not asked, or what came leads to REST."""
        if not self.way(dialect, credential).by_query:
            return None
        try:
            return await ask()
        except SiteError as error:
            if not self.gives_way(credential, error):
                raise
            forget_frames(error)
            return None

    def gives_way(self, credential: Credential, error: SiteError) -> bool:
        """Whether REST is to be asked instead, after that failure; it is remembered."""
        if error.code not in _GIVES_WAY or isinstance(error, RememberedFailureError):
            return False
        seconds = FAILED_FOR if error.code in _OF_A_MOMENT else REFUSED_FOR
        self._refusals[credential.fingerprint] = _Refusal(f"{error.code.value}, {_WORDS.get(error.code, 'it failed')}.", seconds)
        return True


_WHY = "Filters, counts and orders that REST does not have, and large pages, go by the site's own GraphQL."
#: what a site says of itself is not fit for everybody: it may hold bind values, or another's names
_WORDS = {
    Code.SITE_UNAUTHORIZED: "it refuses the token",
    Code.WRONG_RELEASE: "it is not there, or its answer does not fit the release",
    Code.SITE_REFUSED: "it refuses the question",
    Code.BAD_ANSWER: "what came is no answer of GraphQL",
    Code.TIMEOUT: "it did not answer in time",
    Code.CONNECTION_LOST: "the connection broke",
    Code.SITE_BUSY: "it is busy",
    Code.ANSWER_TOO_LARGE: "its answer is too large",
}
