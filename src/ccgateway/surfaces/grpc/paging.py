"""Lists that are known whole, given page by page (AIP-158).

A token holds what the last item given is sorted by, and a digest of the question: it stays good when items come and go.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.surfaces.grpc.requests import bad

__all__ = ["page_of"]

T = TypeVar("T")
Key = tuple[int | str, ...]

_WIRE = msgspec.msgpack.Decoder(tuple[str, tuple[int | str, ...]])


def page_of(items: Sequence[T], key: Callable[[T], Key], *, size: int, token: str, question: Hashable) -> tuple[list[T], str]:
    """The page after ``token`` (empty: the first) of at most ``size`` items (0: all), sorted by ``key``, which tells all of them
    apart; and the token of the next page, empty after the last."""
    if size < 0:
        raise bad("page_size: is below 0.")
    digest = blake2b(repr(question).encode(), digest_size=8).hexdigest()
    ordered = sorted(items, key=key)
    try:
        start = bisect_right(ordered, _opened(token, digest), key=key) if token else 0
    except TypeError:  # a number for a text, as only somebody else's token has
        raise _unknown() from None
    page = ordered[start : start + size] if size else ordered[start:]
    is_last = start + len(page) >= len(ordered)
    return page, "" if is_last else _closed(key(page[-1]), digest)


def _closed(key: Key, digest: str) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((digest, key))).decode().rstrip("=")


def _opened(token: str, digest: str) -> Any:
    try:
        found, key = _WIRE.decode(base64.b64decode(token[:2048] + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, msgspec.MsgspecError):
        raise _unknown() from None
    if found != digest:
        raise RequestError(Code.INVALID_CURSOR, "page_token: belongs to another question.")
    return key


def _unknown() -> RequestError:
    return RequestError(Code.INVALID_CURSOR, "page_token: is none that this gateway gave.")
