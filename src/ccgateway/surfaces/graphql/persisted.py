"""Automatic persisted queries, as Apollo's clients and urql ask them: by the hash of a text that was sent before.

A hash stands for one text, whoever sent it, so that nobody can put another in its place. What a caller has sent pushes out only
what the same caller has sent before: nobody loses what others keep in use.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from ccgateway.errors import Code
from ccgateway.surfaces.graphql.failures import Refusal
from ccgateway.surfaces.graphql.wire import GraphQLRequest

__all__ = ["PersistedQueries"]

#: texts and characters of them for one caller, and callers whose texts are kept
MOST_TEXTS, MOST_CHARACTERS, MOST_CALLERS = 200, 1 << 20, 64


@dataclass(slots=True)
class _Share:
    """What one caller has sent: hashes and texts, the least recently used first."""

    texts: OrderedDict[str, str] = field(default_factory=OrderedDict)
    characters: int = 0


class PersistedQueries:
    """The texts of one process: a client that is told ``PersistedQueryNotFound`` sends text and hash together."""

    def __init__(self) -> None:
        self._shares: OrderedDict[str, _Share] = OrderedDict()

    def text_of(self, request: GraphQLRequest, caller: str) -> str:
        """The text of the request. Raises ``Refusal`` where its hash is not known."""
        if request.query or request.persisted is None:
            return request.query
        share = self._shares.get(caller)
        text = share.texts.get(request.persisted) if share is not None else None
        if share is None or text is None:
            raise Refusal.because(Code.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
        self._shares.move_to_end(caller)
        share.texts.move_to_end(request.persisted)
        return text

    def keep(self, digest: str, text: str, caller: str) -> None:
        """Remembers a text that was found valid, and whose hash is ``digest``."""
        share = self._shares.setdefault(caller, _Share())
        self._shares.move_to_end(caller)
        if len(self._shares) > MOST_CALLERS:
            self._shares.popitem(last=False)
        if digest not in share.texts:
            share.characters += len(text)
        share.texts[digest] = text
        share.texts.move_to_end(digest)
        while len(share.texts) > MOST_TEXTS or share.characters > MOST_CHARACTERS:
            share.characters -= len(share.texts.popitem(last=False)[1])
