"""What a caller's own front end keeps between two visits: names and texts, for a while, of that caller alone.

cc-backend keeps the settings of its web pages so (``updateConfiguration``). They are of no use to a site, so none is asked: they
are kept by the gateway, and to lose them harms nobody. Of two processes that write at the same moment the later one counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal
from ccgateway.site.keyed_lock import KeyedLock

__all__ = ["Configurations"]

#: seconds for which a caller's settings are kept after the last change
KEPT_FOR = 90 * 24 * 3600.0
#: the longest name, in characters, and what all settings of a caller may take, in bytes
LONGEST_NAME, MOST_BYTES = 256, 48 << 10

_DECODER = msgspec.msgpack.Decoder(dict[str, str])


@dataclass(slots=True)
class Configurations:
    """The settings of every caller."""

    store: TtlStore
    _turns: KeyedLock = field(default_factory=KeyedLock)

    async def of(self, caller: Principal) -> Mapping[str, str]:
        """The caller's settings, by name."""
        kept = await self.store.get(_name(caller))
        if kept is None:
            return {}
        try:
            return _DECODER.decode(kept)
        except msgspec.MsgspecError:
            return {}

    async def update(self, name: str, value: str, caller: Principal, deadline: Deadline) -> None:
        """Sets one of them. ``LIMIT_EXCEEDED`` where that would be too much for one caller."""
        if not 1 <= len(name) <= LONGEST_NAME:
            raise RequestError(Code.BAD_REQUEST, f"name: 1 to {LONGEST_NAME} characters.")
        async with self._turns.take(_name(caller), deadline):  # a page changes several settings at once
            kept = msgspec.msgpack.encode({**await self.of(caller), name: value})
            if len(kept) > MOST_BYTES:
                message = f"All settings of one caller together take more than {MOST_BYTES} bytes, which is the most."
                raise RequestError(Code.LIMIT_EXCEEDED, message)
            await self.store.set(_name(caller), kept, KEPT_FOR)


def _name(caller: Principal) -> str:
    return sha256(msgspec.msgpack.encode([caller.issuer, caller.subject])).hexdigest()
