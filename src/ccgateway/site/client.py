"""Sends one request to one site and turns the library's exceptions into ours.

Nothing of a caller goes to a site but what is written here: no caller's header, no cookie; the request's id and trace, which may
be the caller's, are checked. Redirects are not followed, so that a token reaches the configured host and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import ip_address
from time import time
from urllib.parse import urlsplit

import httpx2

from ccgateway import __version__
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from ccgateway.site.facts import SiteFacts
from ccgateway.telemetry.requests import current_request
from ccgateway.transport import AiohttpTransport, AnswerTooLargeError, authorities

__all__ = ["SiteClient"]

#: the body of a read. Bodies are streams here, as between httpx2 and its transports: ``content`` takes five times as long
_NOTHING = httpx2.ByteStream(b"")
#: connections beyond those for questions, for looks at a site all of whose places are taken
LOOKS = 3
#: cc-backend closes idle connections after 10 s (up to 1.3) or 20 s (up to 1.5.2): ours go first, whatever release it is
IDLE_SECONDS = 8.0
#: characters up to which a URL is remembered: callers make them as long as they like
SHORT_URL = 1000
#: seconds of the longest wait that a site is believed to ask for
LONGEST_WAIT = 86_400.0


class SiteClient:
    """Innermost ``Exchange``: HTTP to one site.

    Raises ``SiteError`` with ``UNREACHABLE`` (the request did not leave), ``CONNECTION_LOST``, ``TIMEOUT``,
    ``ANSWER_TOO_LARGE``, ``BAD_ANSWER`` (what came is not HTTP) or ``LIMIT_EXCEEDED`` (no URL is that long).
    """

    def __init__(
        self, settings: SiteSettings, transport: httpx2.AsyncBaseTransport | None = None, facts: SiteFacts | None = None
    ) -> None:
        self._settings, self._facts = settings, facts or SiteFacts()
        _check_url(settings)
        # the transport itself, without httpx2's client around it: cookies, redirects and proxies are not wanted here
        self._transport = transport or AiohttpTransport(
            connections=settings.concurrency + LOOKS,
            idle=IDLE_SECONDS,
            limit=settings.answer_bytes,
            verify=authorities(settings.ca_file, f"sites.{settings.name}.ca_file"),
            note_certificate=self._facts.note_certificate,
        )
        self._timeout = httpx2.Timeout(None, connect=settings.connect_timeout).as_dict()
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": _encodings(settings.url),
            "User-Agent": f"ccgateway/{__version__}",
        }

    async def exchange(self, request: SiteRequest, context: CallContext) -> SiteAnswer:
        """The site's answer, whatever its status."""
        headers = {**self._headers, "X-Auth-Token": context.credential.token.get_secret_value()}
        record = current_request()
        if record is not None:
            headers["X-Request-ID"] = record.request_id
            if record.trace is not None:
                headers["traceparent"] = record.trace.header
        if request.body is not None:
            headers["Content-Type"] = request.media_type
        name, seconds = self._settings.name, self._settings.connect_timeout
        context.stats.calls += 1
        begun = time()
        try:
            async with context.deadline.limit():
                answer = await self._transport.handle_async_request(
                    httpx2.Request(
                        request.method,
                        _url(self._settings.url + request.path),
                        headers=headers,
                        stream=_NOTHING if request.body is None else httpx2.ByteStream(request.body),
                        extensions={"timeout": self._timeout, "once": not request.safe},
                    )
                )
                assert isinstance(answer.stream, AsyncIterable)  # noqa: S101 - it is an asynchronous transport's
                body = b"".join([piece async for piece in answer.stream])
        except TimeoutError:
            raise SiteError(Code.TIMEOUT, name, "The site did not answer in time.") from None
        except httpx2.InvalidURL:
            message = "The question is too long for a URL, which is how the site is asked here. Ask for less at once."
            raise SiteError(Code.LIMIT_EXCEEDED, name, message) from None
        except httpx2.ConnectTimeout:
            raise SiteError(Code.UNREACHABLE, name, f"No connection to the site within {seconds:g} s.") from None
        except httpx2.ConnectError as error:
            raise SiteError(Code.UNREACHABLE, name, f"No connection to the site: {error}.") from None
        except AnswerTooLargeError:
            size = self._settings.answer_bytes
            raise SiteError(Code.ANSWER_TOO_LARGE, name, f"The site's answer has more than {size} bytes.") from None
        except httpx2.ReadTimeout:
            raise SiteError(Code.TIMEOUT, name, "The site stopped in the middle of its answer.") from None
        except (httpx2.NetworkError, httpx2.PoolTimeout):
            raise SiteError(Code.CONNECTION_LOST, name, "The connection broke before the answer was complete.") from None
        except httpx2.HTTPError:
            raise SiteError(Code.BAD_ANSWER, name, "What the site sent is not a proper HTTP answer.") from None
        self._facts.note_latency(seconds := time() - begun)
        self._facts.note_date(answer.headers.get("Date"), seconds)
        secrets = _secret_parts(context.credential.token.get_secret_value())
        return SiteAnswer(
            answer.status_code,
            answer.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            _without(body, secrets),
            _without(answer.headers.get("Location", "").encode(), secrets).decode() or None,
            _retry_after(answer.headers.get("Retry-After")),
        )

    async def aclose(self) -> None:
        """Closes every connection to the site."""
        await self._transport.aclose()


# parsed once: of a request's whole cost to this process, parsing its URL is a twentieth
_remembered_url = lru_cache(maxsize=1024)(httpx2.URL)


def _url(text: str) -> httpx2.URL:
    return _remembered_url(text) if len(text) <= SHORT_URL else httpx2.URL(text)


def _check_url(settings: SiteSettings) -> None:
    try:
        httpx2.URL(settings.url)
    except httpx2.InvalidURL as error:
        key, problem = f"sites.{settings.name}.url", f"is not a URL ({error})"
        raise SettingsError(key, problem.rstrip(".)") + ")", "Name the base URL of the site's cc-backend.") from None


def _secret_parts(token: str) -> list[bytes]:
    """The token, and of a JWT its claims and its signature by themselves."""
    return [token.encode(), *(part.encode() for part in token.split(".")[1:] if len(part) >= 16)]


def _without(text: bytes, secrets: list[bytes]) -> bytes:
    """``text`` with every secret replaced: whatever a site sends back, no caller sees its token."""
    for secret in secrets:
        if _may_be_in(text, secret) and secret in text:
            text = text.replace(secret, b"[redacted]")
    return text


#: bytes of a text from which on it is quicker to see first whether three characters, seldom in JSON, are there at all
LARGE = 1 << 16
_SELDOM = b"QZXJKVWYqzxjk"


def _may_be_in(text: bytes, secret: bytes) -> bool:
    if len(text) < LARGE:
        return True
    seldom = [_SELDOM[i : i + 1] for i in range(len(_SELDOM)) if _SELDOM[i] in secret]
    return all(one in text for one in seldom[:3])


def _encodings(url: str) -> str:
    """Packing costs the site more time than loopback saves."""
    host = urlsplit(url).hostname or ""
    try:
        is_local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_local = False
    return "identity" if is_local else "gzip, deflate"


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        wait = float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wait), LONGEST_WAIT)
