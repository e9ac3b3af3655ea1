"""One outage: whom it is for, what it is looked at with, and who waits for the next look."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from ccgateway.errors import Code, SiteError
from ccgateway.site.breaker import Recovery
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteRequest
from ccgateway.site.releases.probing import NO_JOBS

__all__ = ["EVERYBODY", "Key", "Outage", "RememberedFailureError", "Witness", "kind_of", "remembered"]

#: what an outage is looked at with in turns, at the most
MOST_WITNESSES = 4
#: bytes of the largest question that is kept to be asked again
LARGEST_QUESTION = 16 << 10
_NUMBERS = re.compile(r"\d+")


class RememberedFailureError(SiteError):
    """``CIRCUIT_OPEN``: what the site came to a moment ago, for somebody for whom it was not asked anew."""


class Key(NamedTuple):
    """Whom failures count for: questions with one token, of one kind, of one caller; ``None`` stands for all of them."""

    credential: Credential | None = None
    kind: str | None = None
    caller: Hashable = None

    @property
    def is_of_site(self) -> bool:
        """Whether it stands for the site, and not for a token or a question that somebody brought."""
        return self.caller is None and (self.credential is None or self.credential.is_vouched_for)


EVERYBODY = Key()


class Witness(NamedTuple):
    """What is looked at with: a token, and the question that failed; without one the site is asked for nothing."""

    credential: Credential
    question: SiteRequest | None = None

    @property
    def request(self) -> SiteRequest:
        """What the site is asked."""
        return self.question or SiteRequest("GET", f"{self.credential.root}/jobs/?{NO_JOBS}")


@dataclass(slots=True)
class Outage:
    """``failure``: what the site came to, ``seen_at``; ``None`` while it is only suspected; ``since``: when it first did.
    ``asked_at``: when somebody asked last; ``limit`` (s): what a look may take; ``probes``: questions of those who insist that
    are under way."""

    witnesses: list[Witness]
    asked_at: float
    recovery: Recovery
    limit: float
    failure: SiteError | None = None
    seen_at: float = 0.0
    since: float = 0.0
    probes: int = 0
    task: asyncio.Task[None] | None = None
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: set[asyncio.Future[bool]] = field(default_factory=set)

    def add(self, witness: Witness) -> None:
        """One more that it is looked at with; the oldest goes."""
        if witness not in self.witnesses:
            self.witnesses = [witness, *self.witnesses][:MOST_WITNESSES]

    async def next_look(self) -> bool:
        """Has it looked at once more; whether that went well."""
        self.wanted.set()
        look: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.add(look)
        try:
            return await look
        finally:
            self._waiting.discard(look)

    def waiting(self) -> set[asyncio.Future[bool]]:
        """Those who wait for the look that begins now."""
        found, self._waiting = self._waiting, set()
        return found

    @staticmethod
    def tell(waiting: set[asyncio.Future[bool]], *, is_well: bool) -> None:
        """How the look went."""
        for look in waiting:
            if not look.done():
                look.set_result(is_well)


def kind_of(request: SiteRequest) -> str | None:
    """Questions that differ in nothing but numbers, filters and variables are of one kind. ``None``: too large to be kept."""
    path = _NUMBERS.sub("#", request.path.partition("?")[0])
    if request.body is None:
        return f"{request.method} {path}"
    if len(request.body) > LARGEST_QUESTION:
        return None
    document = request.body.partition(b'"variables"')[0]
    return f"{request.method} {path} {blake2b(document, digest_size=8).hexdigest()}"


def remembered(failure: SiteError, seconds: float, *, retry_after: float, in_its_words: bool) -> RememberedFailureError:
    """``failure`` of so many seconds ago, for somebody else. ``in_its_words``: the site's, which may be for one caller alone."""
    words = failure.message if in_its_words or failure.code is not Code.SITE_ERROR else "The site fails whoever asks it."
    message = f"{words} So it was {seconds:.1f} s ago; the site is looked at again soon, and was not asked now."
    return RememberedFailureError(Code.CIRCUIT_OPEN, failure.site, message, retry_after=retry_after)
