"""Which tokens one site has proved: those that it accepted a moment ago; and, until it refuses them, those that the gateway
signed with the site's own key and the one that the operator gave as its service token.

A token's claims are anybody's words until its site accepts it. Until then nothing remembered is served on them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cachetools import LRUCache

from ccgateway.site.credentials.credential import Credential

__all__ = ["Proofs"]

#: seconds for which an accepted answer proves a token, and tokens of one site that are known at any one time
ACCEPTED_FOR, MOST_KNOWN = 120.0, 10_000


@dataclass(slots=True)
class _Verdicts:
    accepted_at: float = -math.inf
    refused_at: float = -math.inf


class Proofs:
    """What one site said to the tokens that it was shown, under their hashes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time) -> None:
        self._clock, self._wall_clock = clock, wall_clock
        self._known: LRUCache[bytes, _Verdicts] = LRUCache(MOST_KNOWN)

    def now(self) -> float:
        """The moment before a request is sent, for ``accept``."""
        return self._clock()

    def holds(self, credential: Credential) -> bool:
        """Whether the token is proved now. Its own expiry ends that, and so does a refusal."""
        if credential.expires is not None and self._wall_clock() >= credential.expires:
            return False
        verdicts = self._known.get(credential.fingerprint)
        if verdicts is None:
            return credential.is_vouched_for
        if verdicts.refused_at >= verdicts.accepted_at:
            return False
        return credential.is_vouched_for or self._clock() - verdicts.accepted_at < ACCEPTED_FOR

    def accept(self, credential: Credential, asked_at: float) -> None:
        """The site answered a request with that token. Says nothing if the token was refused after ``asked_at``."""
        verdicts = self._of(credential)
        if asked_at > verdicts.refused_at:
            verdicts.accepted_at = max(verdicts.accepted_at, asked_at)

    @contextmanager
    def proving(self, credential: Credential) -> Iterator[None]:
        """For ``with``: a body that ends without an error has had an answer to that token."""
        asked_at = self.now()
        yield
        self.accept(credential, asked_at)

    def withdraw(self, credential: Credential) -> None:
        """The site refused that token."""
        self._of(credential).refused_at = self._clock()

    def _of(self, credential: Credential) -> _Verdicts:
        return self._known.setdefault(credential.fingerprint, _Verdicts())
