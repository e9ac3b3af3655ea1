"""The public keys that an issuer's tokens are checked with: one from a file, or a set (JWKS) read from its address.

A set is read again every so often, and when a token names a key that is not in it, but never oftener than its interval, whatever
tokens come. Who waits for a reading waits for the same one. As long as it cannot be read again, the keys known last hold, for a
bounded time; where none are known, the next readings follow sooner.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ccgateway.errors import Code, RequestError
from ccgateway.identity.ed25519 import ALGORITHM
from ccgateway.identity.fetching import Fetcher, FetchError
from ccgateway.settings import IssuerSettings

__all__ = ["KeySource", "OneKey", "PublicKey", "RemoteKeys", "keys_in"]

PublicKey: TypeAlias = "Ed25519PublicKey | jwt.PyJWK"

log = logging.getLogger("ccgateway.callers")

#: keys of one set: no issuer has more at a time
MOST_KEYS = 100
#: seconds one reading may take
SECONDS = 5.0
#: seconds after the first reading that failed while no key is known; doubled up to the interval
FIRST_PAUSE = 1.0

#: what a key must be for an algorithm: its type, and its curve where it has one
_KINDS: Mapping[str, tuple[str, str | None]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
}

#: RFC 9864 calls EdDSA by its curve
_OTHER_NAMES = {ALGORITHM: "Ed25519"}


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key of that id for that algorithm; ``None`` if there is none. ``ISSUER_UNAVAILABLE`` if that cannot be known."""
        ...

    async def aclose(self) -> None:
        """Ends what it runs."""
        ...


class OneKey:
    """A single Ed25519 key, whatever id a token names."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | None:  # noqa: ARG002 - there is but one
        """That key, for EdDSA."""
        return self._key if algorithm == ALGORITHM else None

    async def aclose(self) -> None:
        """Nothing runs."""


Keys: TypeAlias = "dict[tuple[str | None, str], jwt.PyJWK]"


def keys_in(body: bytes, algorithms: tuple[str, ...]) -> Keys:
    """The keys of a JWKS document that may check a signature, by id and algorithm. Those under ``None`` are for tokens that name
    no key: only where one alone fits. Raises ``ValueError`` if it is no such document or has no such key."""
    try:
        listed = msgspec.json.decode(body, type=_Document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("its answer is no key set") from None
    found: dict[tuple[str | None, str], jwt.PyJWK] = {}
    by_algorithm: dict[str, list[jwt.PyJWK]] = {}
    for data in listed[:MOST_KEYS]:
        for algorithm in algorithms:
            key = _key_of(data, algorithm)
            if key is not None:
                by_algorithm.setdefault(algorithm, []).append(key)
                if isinstance(kid := data.get("kid"), str):
                    found[kid, algorithm] = key
    found |= {(None, algorithm): keys[0] for algorithm, keys in by_algorithm.items() if len(keys) == 1}
    if not by_algorithm:
        raise ValueError("it has no key for these algorithms")
    return found


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


def _key_of(data: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    kind, curve = _KINDS[algorithm]
    if data.get("kty") != kind or (curve is not None and data.get("crv") != curve):
        return None
    if data.get("use", "sig") != "sig" or data.get("alg", algorithm) not in (algorithm, _OTHER_NAMES.get(algorithm)):
        return None
    public = {name: value for name, value in data.items() if name in ("kty", "crv", "x", "y", "n", "e", "kid")}
    try:
        return jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None


class RemoteKeys:
    """The keys at ``jwks_url``. Owns its connection and its reading: ``aclose`` ends them."""

    def __init__(self, settings: IssuerSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._fetcher = Fetcher(key=f"issuers.{settings.name}.ca_file", ca_file=settings.ca_file, seconds=SECONDS)
        self._keys: Keys = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[bool] | None = None
        self._failures = 0

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """As ``KeySource`` has it; reads the set where that is due."""
        age = self._clock() - self._read_at
        if age > self._settings.keep and not await self._read():
            raise RequestError(Code.ISSUER_UNAVAILABLE, "The keys to check tokens with cannot be had at the moment.")
        if age > self._settings.refresh:
            self._begin()
        found = self._keys.get((kid, algorithm))
        if found is None and kid is not None and await self._read():
            found = self._keys.get((kid, algorithm))
        return found

    async def _read(self) -> bool:
        """Whether the set has now been read."""
        reading = self._begin()
        return reading is not None and await asyncio.shield(reading)

    def _begin(self) -> asyncio.Task[bool] | None:
        """The reading that runs or, if the interval is over, begins."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        if self._clock() - self._tried_at < self._pause:
            return None
        self._tried_at = self._clock()
        self._reading = asyncio.create_task(self._read_once(), name=f"keys of {self._settings.name}")
        return self._reading

    @property
    def _pause(self) -> float:
        """Seconds between two readings, beginning to beginning."""
        least = self._settings.refresh_least
        return min(FIRST_PAUSE * 2.0 ** min(self._failures - 1, 20), least) if self._failures and not self._keys else least

    async def _read_once(self) -> bool:
        try:
            self._keys = await self.read_now()
        except (FetchError, ValueError) as error:
            log.warning("issuer %s: its keys cannot be read: %s", self._settings.name, error)
            self._failures += 1
            return False
        self._read_at, self._failures = self._clock(), 0
        return True

    async def read_now(self) -> Keys:
        """The keys that the issuer has at this moment. Raises ``FetchError`` or ``ValueError``, which say why none can be had."""
        return keys_in(await self._fetcher.get(self._settings.jwks_url or ""), self._settings.algorithms)

    async def aclose(self) -> None:
        """Ends a reading under way and closes the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._fetcher.aclose()
