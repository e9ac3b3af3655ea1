"""HTTP beneath both clients: headers, errors of the connection, and when a request is sent again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay

from ccgateway import __version__
from ccgateway.client.errors import GatewayError, error_of
from ccgateway.client.plans import Answer, Request, Resend, graphql

__all__ = ["LOOPBACK", "Connection", "answer_of", "failure_of", "pause", "retry_after_of", "retrying"]

ACCEPT = "application/graphql-response+json, application/json"
#: seconds of the first pause before a request is sent again, and of the longest
PAUSES = (0.25, 15.0)
#: seconds after which nothing is sent again
PATIENCE = 300.0
#: seconds that the gateway may ask to wait; whoever is to wait longer is told
LONGEST_WAIT = 60.0

#: hosts that are this machine to itself
LOOPBACK = ("localhost", "127.0.0.1", "::1")

T = TypeVar("T")

#: errors of a call that the gateway had no room for: it did nothing
_NOT_BEGUN = frozenset({"RATE_LIMITED", "ISSUER_UNAVAILABLE"})


@dataclass(frozen=True)
class Connection:
    """Where the gateway is and who asks. ``timeout``: seconds of one request; ``retries``: how often it is sent again at most."""

    url: str
    token: str | None
    timeout: float
    retries: int
    verify: bool | str

    def __post_init__(self) -> None:
        try:
            url = httpx2.URL(self.url)
        except httpx2.InvalidURL:
            url = httpx2.URL("")
        if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
            raise ValueError("the gateway's address has the form https://host[:port]")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ValueError("the token holds characters that no token has")

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    @property
    def options(self) -> dict[str, Any]:
        """What an HTTP client of it is made with."""
        headers = {
            "User-Agent": f"ccgateway-client/{__version__}",
            "Accept": ACCEPT,
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        root = self.url.rstrip("/").removesuffix("/graphql") + "/"
        timeout = httpx2.Timeout(self.timeout, connect=min(10.0, self.timeout))
        # nobody's proxy reaches what this machine means by its own names, and the token would go there
        is_here = httpx2.URL(self.url).host in LOOPBACK
        return {"base_url": root, "headers": headers, "timeout": timeout, "verify": self.verify, "trust_env": not is_here}

    def opened(self, kind: Callable[..., T]) -> T:
        """An HTTP client of that kind. Raises ``ValueError`` where it cannot be made."""
        try:
            return kind(**self.options)
        except httpx2.InvalidURL as error:
            raise ValueError(f"a proxy of the environment (http_proxy, https_proxy, all_proxy) is no URL: {error}") from None

    @property
    def streaming(self) -> httpx2.Timeout:
        """The limits of an export: no limit in all, and patience between two pieces of it."""
        return httpx2.Timeout(max(self.timeout, PATIENCE), connect=min(10.0, self.timeout))


def failure_of(error: httpx2.HTTPError, url: str) -> GatewayError:
    """A failure of the connection, with the gateway's own codes."""
    match error:
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.ProxyError():
            return UnsentError("UNREACHABLE", f"No connection to the gateway at {url}: {error or 'no answer'}", retryable=True)
        case httpx2.PoolTimeout() | httpx2.TimeoutException():
            return error_of("TIMEOUT", f"The gateway at {url} did not answer in time.", retryable=True)
        case httpx2.UnsupportedProtocol() | httpx2.LocalProtocolError() | httpx2.DecodingError() | httpx2.TooManyRedirects():
            return error_of("BAD_ANSWER", f"The answer of {url} cannot be read: {error}")
    return error_of("CONNECTION_LOST", f"The connection to the gateway at {url} broke: {error or 'no more came'}", retryable=True)


class UnsentError(GatewayError):
    """The request surely did not reach the gateway."""


def answer_of(request: Request, response: httpx2.Response) -> Answer:
    """What a response says. Raises ``GatewayError`` where it says no."""
    return graphql(request, response.status_code, response.content, retry_after_of(response.headers))


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """The seconds in ``Retry-After``; ``None`` if there are none."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def may_be_sent_again(error: BaseException, resend: Resend) -> bool:
    """Whether it makes sense, and does no harm, to send a request again that ended so."""
    if not isinstance(error, GatewayError) or (error.retry_after or 0) > LONGEST_WAIT:
        return False
    if isinstance(error, UnsentError) or error.code in _NOT_BEGUN:
        return True
    if resend is Resend.READ:
        return error.retryable
    is_lost = error.site is None and error.retryable
    return resend is Resend.ORDER and is_lost


def retrying(retries: int, resend: Resend = Resend.READ) -> dict[str, Any]:
    """The policy, for tenacity's drivers of both kinds."""
    return {
        "stop": stop_after_attempt(retries + 1) | stop_after_delay(PATIENCE),
        "wait": _pause,
        "retry": retry_if_exception(_again(resend)),
        "reraise": True,
    }


def _again(resend: Resend) -> Callable[[BaseException], bool]:
    return lambda error: may_be_sent_again(error, resend)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    return pause(state.attempt_number, error.retry_after if isinstance(error, GatewayError) else None)


def pause(attempt: int, asked: float | None) -> float:
    """Seconds before the next attempt: twice as long each time, half of it by chance, but no less than the gateway asks for."""
    first, longest = PAUSES
    own: float = min(longest, first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return max(own, asked or 0.0)
