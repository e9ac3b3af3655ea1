"""Patterns of text as SQLite's ``LIKE`` has them: bounded, compiled once, matched in time that is linear in the text."""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache

from ccgateway.errors import Code, RequestError

__all__ = ["MOST_CHARACTERS", "MOST_WILDCARDS", "checked", "like"]

#: what one pattern may have: an ordinary one has a few dozen characters, and matching takes time by both
MOST_CHARACTERS, MOST_WILDCARDS = 1000, 100

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def checked(pattern: str) -> str:
    """``pattern`` itself. Raises ``LIMIT_EXCEEDED`` for one that takes more time than any that is meant."""
    wildcards = pattern.count("%") + pattern.count("_")
    if len(pattern) > MOST_CHARACTERS or wildcards > MOST_WILDCARDS:
        raise RequestError(
            Code.LIMIT_EXCEEDED,
            f"A pattern (contains, startsWith, endsWith) has at most {MOST_CHARACTERS} characters and {MOST_WILDCARDS} wildcards "
            f"(% and _), not {len(pattern)} and {wildcards}.",
        )
    return pattern


@lru_cache(maxsize=256)  # every site and every alias of a request asks for the same ones
def like(pattern: str) -> Callable[[str], bool]:
    """SQLite's ``LIKE``: ``%`` any text, ``_`` any one character, ASCII letters of either case.

    Matched piece by piece between the ``%``, never backtracking over an earlier piece, and each piece in one pass over the text:
    time is linear in the text, however many wildcards there are.
    """
    head, *rest = pattern.translate(_LOWER).split("%")
    if not rest:
        exact = _piece(head)
        return lambda text: len(text) == len(head) and exact(text.translate(_LOWER), 0)
    *middle, tail = rest
    starts, ends, inner = _piece(head), _piece(tail), [(_finder(piece), len(piece)) for piece in middle if piece]

    def test(text: str) -> bool:
        text = text.translate(_LOWER)
        at, end = len(head), len(text) - len(tail)
        if at > end or not starts(text, 0) or not ends(text, end):
            return False
        for find, size in inner:
            at = find(text, at, end)
            if at < 0:
                return False
            at += size
        return True

    return test


def _piece(piece: str) -> Callable[[str, int], bool]:
    if "_" not in piece:
        return lambda text, at: text.startswith(piece, at)
    fixed = [(i, c) for i, c in enumerate(piece) if c != "_"]
    return lambda text, at: at + len(piece) <= len(text) and all(text[at + i] == c for i, c in fixed)


def _finder(piece: str) -> Callable[[str, int, int], int]:
    if "_" not in piece:
        return lambda text, at, end: text.find(piece, at, end)
    # shift-and: bit i of the state says that the piece's first i + 1 characters end here, so that no place is looked at twice
    size, longest = len(piece), max(piece.split("_"), key=len)
    anywhere = sum(1 << i for i, c in enumerate(piece) if c == "_")
    masks = {c: anywhere | sum(1 << i for i, own in enumerate(piece) if own == c) for c in set(piece) - {"_"}}
    whole = 1 << size - 1

    def find(text: str, at: int, end: int) -> int:
        if end - at < size or text.find(longest, at, end) < 0:
            return -1
        state = 0
        for i in range(at, end):
            state = (state << 1 | 1) & masks.get(text[i], anywhere)
            if state & whole:
                return i - size + 1
        return -1

    return find
