"""The values that travel between the layers of one site, and the seam that each layer wraps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ccgateway.deadline import Deadline
from ccgateway.site.credentials import Credential

__all__ = ["Exchange", "Meter", "SiteAnswer", "SiteRequest", "Visit"]


@dataclass(slots=True)
class Meter:
    """How many HTTP requests went to one site for one question."""

    calls: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """On whose behalf, until when, and at what count one question is put to one site."""

    credential: Credential
    deadline: Deadline
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """One HTTP request to a site: path with query below the base URL, and a JSON body if it has one.

    ``safe``: it only reads, so it may be sent again when its answer was lost.
    """

    method: str
    path: str
    body: bytes | None = None
    safe: bool = True


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

    async def exchange(self, request: SiteRequest, visit: Visit) -> SiteAnswer:
        """The site's answer to ``request``, before the visit's deadline."""
        ...
