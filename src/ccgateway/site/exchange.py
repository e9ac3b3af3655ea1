"""The values that travel between the layers of one site, and the seam that each layer wraps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from ccgateway.deadline import Deadline
from ccgateway.site.credentials import Credential, Proofs

__all__ = ["CallContext", "CallStats", "Exchange", "SiteAnswer", "SiteRequest"]


@dataclass(slots=True)
class CallStats:
    """What one call took of one site.

    ``calls``: HTTP requests to it; ``recalled``: answers that were remembered, or fetched for somebody else; ``oldest``: when
    the oldest of what was remembered was read, on the event loop's clock.
    """

    calls: int = 0
    recalled: int = 0
    oldest: float | None = None

    def note_age(self, seconds: float) -> None:
        """Counts in something that was read ``seconds`` ago."""
        moment = asyncio.get_running_loop().time() - seconds
        self.oldest = moment if self.oldest is None else min(self.oldest, moment)

    @property
    def age(self) -> float | None:
        """Seconds since the oldest of what was remembered was read; ``None`` if nothing was."""
        return None if self.oldest is None else asyncio.get_running_loop().time() - self.oldest


@dataclass(frozen=True, slots=True)
class CallContext:
    """On whose behalf one site is called, until when, and what that has taken so far.

    ``proofs``: what the site said to tokens. ``insists``: the site itself is asked, also while it is known to be down; who asks
    many sites at once need not.
    """

    credential: Credential
    deadline: Deadline
    stats: CallStats = field(default_factory=CallStats)
    proofs: Proofs | None = field(default=None, repr=False)
    insists: bool = True

    @property
    def is_proved(self) -> bool:
        """Whether the site has proved the token, so that what is remembered may be served on its claims."""
        return self.proofs is not None and self.proofs.holds(self.credential)


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """One HTTP request to a site: path with query below the base URL, and a body if it has one.

    ``safe``: it only reads, so it may be sent again when its answer was lost. ``rows``: how many jobs it asks for, of a list.
    """

    method: str
    path: str
    body: bytes | None = field(default=None, repr=False)
    safe: bool = True
    rows: int = 0
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """What the site sent: status, media type (lower case, without parameters), location of a redirect, unpacked body."""

    status: int
    media_type: str
    body: bytes
    location: str | None = None
    retry_after: float | None = None


class Exchange(Protocol):
    """Sends one request to one site. Raises ``SiteError`` if no answer came; any status is an answer."""

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """The site's answer to ``request``, before the context's deadline."""
        ...
