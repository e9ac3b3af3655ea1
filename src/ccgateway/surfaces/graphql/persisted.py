"""Automatic persisted queries, as Apollo's clients and urql ask them: by the hash of a text that was sent before.

A hash stands for one text, whoever sent it, so that nobody can put another in its place. What a caller has sent pushes out only
what the same caller has sent before: nobody loses what others keep in use.
"""

from __future__ import annotations

import sys

from cachetools import LRUCache

from ccgateway.errors import Code
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.wire import GraphQLRequest

__all__ = ["PersistedQueries"]

#: texts and bytes of them for one caller, and callers whose texts are kept
MOST_TEXTS, MOST_BYTES, MOST_CALLERS = 200, 1 << 20, 64


class PersistedQueries:
    """The texts of one process: a client that is told ``PersistedQueryNotFound`` sends text and hash together."""

    def __init__(self) -> None:
        #: by caller what it has sent: texts by their hashes
        self._shares: LRUCache[str, LRUCache[str, str]] = LRUCache(MOST_CALLERS)

    def text_of(self, request: GraphQLRequest, caller: str) -> str:
        """The text of the request. Raises ``Refusal`` where its hash is not known."""
        if request.query or request.persisted is None:
            return request.query
        share = self._shares.get(caller)
        text = share.get(request.persisted) if share is not None else None
        if text is None:
            raise Refusal.because(Code.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
        return text

    def keep(self, digest: str, text: str, caller: str) -> None:
        """Remembers a text that was found valid, and whose hash is ``digest``."""
        share = self._shares.setdefault(caller, LRUCache(MOST_BYTES, getsizeof=sys.getsizeof))
        if sys.getsizeof(text) <= MOST_BYTES:
            share[digest] = text
        if len(share) > MOST_TEXTS:
            share.popitem()
