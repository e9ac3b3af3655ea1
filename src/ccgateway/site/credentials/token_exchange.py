"""The exchange service: gives, for the token that a caller showed, one that a site accepts (RFC 8693).

It is asked once per token and site, however many wait, and what it gives is kept until shortly before it expires. A refusal is
kept for a moment, so that a caller who asks again and again costs it nothing. While the service itself fails, one question at a
time is put to it, and everybody else is told so at once. Kept under hashes: no caller's token stays here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

import msgspec
from cachetools import TLRUCache
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.identity.fetching import Fetched, Fetcher, FetchError, basic_authorization
from ccgateway.settings import ExchangeSettings

__all__ = ["ExchangeError", "Given", "TokenExchange"]

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind

#: tokens kept, and questions under way, at any one time
MOST_KEPT, MOST_UNDER_WAY = 10_000, 256
#: seconds for which a token has to be good still, as requests under way go on with it; seconds that a refusal is kept
MARGIN, REFUSED_FOR = 90.0, 10.0
#: seconds for which one counts as good that does not say so, and the most that any is kept
UNSAID, MOST = 60.0, 3600.0
#: seconds between two questions to a service that fails
PAUSE = 1.0


class ExchangeError(Exception):
    """There is no token to be had. The message says why, for people; ``retryable``: that may change by itself."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Given:
    """A token, and for how many seconds it is good (``None``: that was not said)."""

    token: SecretStr = field(repr=False)
    seconds: float | None


class _Answer(msgspec.Struct):
    access_token: str = ""
    expires_in: float | None = None
    error: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)
_Key: TypeAlias = "tuple[bytes, str]"


class TokenExchange:
    """The service that the settings describe. Raises ``SettingsError`` where they cannot be used; reaches nothing yet.

    Owns its connections and the questions under way: ``aclose`` ends them.
    """

    def __init__(self, settings: ExchangeSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._scope, self._clock = settings.url or "", settings.scope, clock
        self._fetcher = Fetcher(key="exchange.ca_file", ca_file=settings.ca_file, seconds=settings.timeout)
        self._client_id, self._secret = settings.client_id, settings.secret().read()
        self._kept: TLRUCache[_Key, Given | ExchangeError] = TLRUCache(MOST_KEPT, ttu=_kept_until, timer=clock)
        self._under_way: dict[_Key, asyncio.Task[Given]] = {}
        self._failing: set[bytes] = set()  # tokens that it failed with since it answered last; those of two are its own failure
        self._failure, self._failed_at = "", float("-inf")

    async def token(self, shown: SecretStr, audience: str, deadline: Deadline) -> Given:
        """What the service gives for ``shown`` at ``audience``. Raises ``ExchangeError``."""
        key = (sha256(shown.get_secret_value().encode()).digest(), audience)
        kept = self._kept.get(key)
        if isinstance(kept, ExchangeError):
            raise ExchangeError(str(kept), retryable=kept.retryable)
        if kept is not None:
            return kept
        if len(self._failing) > 1 and (self._under_way or self._clock() < self._failed_at + PAUSE):
            raise ExchangeError(self._failure, retryable=True)
        asking = self._under_way.get(key)
        if asking is None:
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise ExchangeError("the exchange service has too much to do", retryable=True)
            asking = self._under_way[key] = asyncio.create_task(self._ask(key, shown, audience), name="token exchange")
            asking.add_done_callback(_note_end)  # whether or not somebody still waits
        try:
            async with deadline.limit():
                return await asyncio.shield(asking)
        except ExchangeError as error:
            raise ExchangeError(str(error), retryable=error.retryable) from None  # else each who waits would add to one traceback
        except TimeoutError:
            raise ExchangeError("the exchange service did not answer in time", retryable=True) from None

    async def _ask(self, key: _Key, shown: SecretStr, audience: str) -> Given:
        outcome: Given | ExchangeError | None = None
        try:
            answer = await self._fetcher.post_form(self._url, self._form(shown, audience), self._headers())
            self._failing.clear()
            outcome = _given(answer)
            return outcome
        except FetchError as error:
            outcome = ExchangeError(f"the exchange service cannot be used: {error}", retryable=True)
            self._failing = {*list(self._failing)[:1], key[0]}
            self._failure, self._failed_at = str(outcome), self._clock()
            raise outcome from None
        except ExchangeError as error:
            outcome = error
            raise
        finally:
            del self._under_way[key]
            if outcome is not None:
                self._kept[key] = outcome

    def _form(self, shown: SecretStr, audience: str) -> dict[str, str]:
        form = {
            "grant_type": GRANT,
            "subject_token": shown.get_secret_value(),
            "subject_token_type": ACCESS_TOKEN,
            "audience": audience,
        }
        if self._scope:
            form["scope"] = self._scope
        if self._client_id and self._secret is None:
            form["client_id"] = self._client_id
        return form

    def _headers(self) -> Mapping[str, str]:
        return {} if self._client_id is None or self._secret is None else basic_authorization(self._client_id, self._secret)

    async def probe(self) -> None:
        """Asks with a token that is none, to see that a service is there which says so. Raises ``ExchangeError``."""
        try:
            answer = await self._fetcher.post_form(self._url, self._form(SecretStr("none"), "none"), self._headers())
        except FetchError as error:
            raise ExchangeError(f"it cannot be used: {error}", retryable=True) from None
        told = _told(answer)
        if answer.status == 401 or told.error in ("invalid_client", "unauthorized_client"):
            raise ExchangeError("it does not accept the gateway's client_id and secret", retryable=False)
        if answer.status not in (200, 400, 403) or not (told.error or told.access_token):
            raise ExchangeError(f"what answers there (HTTP {answer.status}) is no exchange service", retryable=False)

    async def aclose(self) -> None:
        """Ends questions under way and closes the connections."""
        asking = list(self._under_way.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._fetcher.aclose()


def _kept_until(_key: _Key, outcome: Given | ExchangeError, now: float) -> float:
    if isinstance(outcome, ExchangeError):
        return now + (1.0 if outcome.retryable else REFUSED_FOR)
    good = UNSAID if outcome.seconds is None else outcome.seconds
    return now + min(MOST, good - MARGIN if good > 2 * MARGIN else good / 2)


def _note_end(asking: asyncio.Task[Given]) -> None:
    if not asking.cancelled():
        asking.exception()


def _told(answer: Fetched) -> _Answer:
    try:
        return _ANSWER.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Answer()


def _given(answer: Fetched) -> Given:
    told = _told(answer)
    if answer.status == 200 and told.access_token.isascii() and not any(c.isspace() for c in told.access_token):
        if told.access_token:
            return Given(SecretStr(told.access_token), told.expires_in)
    elif answer.status in (400, 401, 403):
        raise ExchangeError("the exchange service gives no token for yours", retryable=False)
    raise ExchangeError(f"the exchange service gave no token (HTTP {answer.status})", retryable=True)
