"""A call with an idempotency key happens once: whoever sends it again gets what it came to, for as long as the key is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

import msgspec

from ccgateway.cache.ledger import Ledger, new_holder
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.writes import WriteOutcome, WriteResult

__all__ = ["Once"]

#: characters of a key
LONGEST_KEY = 255
#: seconds between looks at a call that another is still at, from first to longest
PAUSES = (0.05, 1.0)

_RESULTS = msgspec.json.Decoder(list[WriteResult])


class Once:
    """Calls by their keys. ``claim_for``: seconds that a call may take; after that its key is free again.

    Not recorded is a call that came to nothing at all and may come to something later: all of its orders failed and may be sent
    again, or it was refused as a whole.
    """

    def __init__(self, ledger: Ledger, *, keep_for: float, claim_for: float) -> None:
        self._ledger, self._keep_for, self._claim_for = ledger, keep_for, claim_for

    async def run(
        self,
        key: str | None,
        caller: Principal,
        request: Sequence[object],
        deadline: Deadline,
        work: Callable[[], Awaitable[list[WriteResult]]],
    ) -> list[WriteResult]:
        """What ``work`` comes to, or came to before. ``CONFLICT`` if the key was used for another ``request``, or another is
        still at it when the deadline comes."""
        if key is None:
            return await work()
        if not 0 < len(key) <= LONGEST_KEY:
            raise RequestError(Code.BAD_REQUEST, f"An idempotency key has 1 to {LONGEST_KEY} characters.")
        name = sha256(msgspec.json.encode([caller.subject, key])).hexdigest()
        digest = sha256(msgspec.json.encode(request, order="deterministic")).digest()
        holder = new_holder()
        recorded = await self._claim(name, digest, holder, deadline)
        if recorded is not None:
            return recorded
        try:
            results = await work()
        except BaseException:
            await self._ledger.drop(name, digest, holder)
            raise
        if all(one.outcome is WriteOutcome.FAILED and one.retryable for one in results):
            await self._ledger.drop(name, digest, holder)
        else:
            await self._ledger.close(name, digest, holder, msgspec.json.encode(results), self._keep_for)
        return results

    async def _claim(self, name: str, digest: bytes, holder: bytes, deadline: Deadline) -> list[WriteResult] | None:
        pause, longest = PAUSES
        while True:
            page = await self._ledger.claim(name, digest, holder, self._claim_for)
            if not page.fits:
                raise RequestError(Code.CONFLICT, "This idempotency key was used for another request.")
            if page.result is not None:
                return _RESULTS.decode(page.result)
            if page.is_mine:
                return None
            if deadline.remaining < pause:
                message = "The call that this idempotency key was first sent with is still running."
                raise RequestError(Code.CONFLICT, message, retryable=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
