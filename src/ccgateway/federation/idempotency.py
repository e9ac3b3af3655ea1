"""A call with an idempotency key happens once: whoever sends it again gets what it came to, for as long as the key is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import scrypt, sha256

import msgspec

from ccgateway.cache.ttl_store import CLAIM_FOR, TtlStore, new_holder
from ccgateway.deadline import Deadline
from ccgateway.errors import Code, RequestError
from ccgateway.federation.commands import WriteCall
from ccgateway.identity.principal import Principal
from ccgateway.jobs.writes import WriteOutcome, WriteResult
from ccgateway.telemetry import Troubles

__all__ = ["IdempotencyGuard", "secret_digest"]

#: characters of a key
LONGEST_KEY = 255
#: seconds between looks at a call that another is still at, from first to longest
PAUSES = (0.05, 0.25)
#: seconds between signs of life of one who is at it
BEAT = 1.0
#: what the troubles call it
PART = "idempotency keys"

OTHERWISE_USED = "This idempotency key was used for another request."

#: what it takes to try one secret against its digest: 16 MiB and some 50 ms
_COST = 1 << 14


class _Record(msgspec.Struct):
    """What a call came to. ``places``: where each of its sites was."""

    results: list[WriteResult]
    places: dict[str, str | None]


_RECORD = msgspec.json.Decoder(_Record)


async def secret_digest(secret: str, key: str | None, caller: Principal) -> str:
    """What stands for a secret in what a call with a key is recognized by: the same for the same one, and costly to guess it
    from. Empty without a key, as nothing is recorded then."""
    if key is None:
        return ""
    salt = sha256(msgspec.json.encode([caller.subject, key])).digest()
    return (await asyncio.to_thread(scrypt, secret.encode(), salt=salt, n=_COST, r=8, p=1)).hex()


class IdempotencyGuard:
    """Calls by their keys. ``keep_for``: seconds that a result is kept; ``wait_for``: seconds that one waits for another's call;
    ``place_of``: what tells the instance that a site's name stands for here from another gateway's (``None``: there is none).

    Who is at a call gives signs of life; when they stop, the next one makes it: every write looks first whether it is so already.
    Not recorded is a call that came to nothing at all and may come to something later: all of its commands failed and may be sent
    again, or it was refused as a whole. A record that cannot be read is none.
    """

    def __init__(
        self,
        store: TtlStore,
        troubles: Troubles,
        place_of: Callable[[str], str | None],
        *,
        keep_for: float,
        wait_for: float,
    ) -> None:
        self._store, self._troubles, self._place_of = store, troubles, place_of
        self._keep_for, self._wait_for = keep_for, wait_for

    async def run(
        self, call: WriteCall, caller: Principal, request: Sequence[object], work: Callable[[], Awaitable[list[WriteResult]]]
    ) -> list[WriteResult]:
        """What ``work`` comes to, or came to before. ``CONFLICT`` if the call's key was used for another ``request``, in another
        document or at other instances, or another is still at it when one has waited long enough."""
        key = call.idempotency_key
        if key is None:
            return await work()
        if not 0 < len(key) <= LONGEST_KEY:
            raise RequestError(Code.BAD_REQUEST, f"An idempotency key has 1 to {LONGEST_KEY} characters.")
        holder = new_holder()
        if call.part:
            await self._hold_document(call, caller, holder)
        name = _name(caller, key, call.part)
        digest = sha256(msgspec.json.encode(request, order="deterministic")).digest()
        recorded = await self._claim(name, digest, holder, Deadline.after(self._wait_for))
        if recorded is not None:
            return recorded
        async with self._alive(name, digest, holder):
            try:
                results = await work()
            except BaseException:
                await self._settle(name, digest, holder, None)
                raise
        is_nothing = all(one.outcome is WriteOutcome.FAILED and one.retryable for one in results)
        await self._settle(name, digest, holder, None if is_nothing else results)
        return results

    async def _hold_document(self, call: WriteCall, caller: Principal, holder: bytes) -> None:
        """The key is that document's from now on: parts that another one has more must not happen under it."""
        name, digest = _name(caller, call.idempotency_key, 0), sha256(call.document.encode()).digest()
        found = await self._store.claim(name, digest, holder)
        if not found.fits:
            raise RequestError(Code.CONFLICT, OTHERWISE_USED)
        if found.is_granted:
            await self._store.complete(name, digest, holder, b"", self._keep_for)

    async def _settle(self, name: str, digest: bytes, holder: bytes, results: list[WriteResult] | None) -> None:
        """Records the results, or (``None``) gives the key back. Never fails: the write was made, whatever becomes of this."""
        try:
            if results is None:
                await self._store.release(name, digest, holder)
            else:
                places = {one.site: self._place_of(one.site) for one in results if one.site is not None}
                record = msgspec.json.encode(_Record(results, places))
                await self._store.complete(name, digest, holder, record, self._keep_for)
        except Exception as error:  # noqa: BLE001 - told in the troubles
            self._troubles.note(PART, f"what a call came to could not be recorded ({type(error).__name__})")
        else:
            self._troubles.mended(PART)

    @asynccontextmanager
    async def _alive(self, name: str, digest: bytes, holder: bytes) -> AsyncIterator[None]:
        async def beat() -> None:
            while True:
                await asyncio.sleep(BEAT)
                await self._store.renew(name, digest, holder)

        beating = asyncio.create_task(beat(), name="signs of life")
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _claim(self, name: str, digest: bytes, holder: bytes, deadline: Deadline) -> list[WriteResult] | None:
        pause, longest = PAUSES
        loop = asyncio.get_running_loop()
        seen, since = b"", 0.0
        while True:
            found = await self._store.claim(name, digest, holder)
            if not found.fits:
                raise RequestError(Code.CONFLICT, OTHERWISE_USED)
            if found.is_granted:
                return None
            if found.result is not None:
                try:
                    return self._here(_RECORD.decode(found.result))
                except (msgspec.MsgspecError, ValueError, RecursionError):
                    seen, since = found.entry, loop.time() - CLAIM_FOR  # it says nothing: as if nobody had written it
            if found.entry != seen:
                seen, since = found.entry, loop.time()
            if loop.time() - since >= CLAIM_FOR and await self._store.seize(name, digest, holder, found.entry):
                return None
            if deadline.remaining < pause:
                message = "The call that this idempotency key was first sent with is still running."
                raise RequestError(Code.CONFLICT, message, retryable=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    def _here(self, record: _Record) -> list[WriteResult]:
        """The results, if the sites are those of this gateway."""
        if any(self._place_of(site) != place for site, place in record.places.items()):
            message = "This idempotency key was used at an instance that the site's name does not stand for here."
            raise RequestError(Code.CONFLICT, message)
        return record.results


def _name(caller: Principal, key: str | None, part: int) -> str:
    """What the store calls that part of what a key of the caller's stands for; 0: the whole."""
    return sha256(msgspec.json.encode([caller.subject, key, part])).hexdigest()
