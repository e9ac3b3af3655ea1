"""HTTP to identity services: small answers, in time, from the named host and no other.

Certificates are checked, redirects are not followed, no proxy and no cookie is heeded, and an answer is read up to its bound.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import httpx2
from pydantic import SecretStr

from ccgateway import __version__
from ccgateway.transport import AiohttpTransport, AnswerTooLargeError, CertificateError, authorities

__all__ = ["FetchError", "Fetched", "Fetcher", "RedirectedError", "basic_authorization"]

#: bytes of an answer: a hundred RSA keys with their certificates, or a token
MOST_BYTES = 512 << 10
#: connections to one service at any one time, and seconds after which one that is not used is closed
MOST_CONNECTIONS, IDLE_SECONDS = 16, 15.0
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"ccgateway/{__version__}"}


class FetchError(Exception):
    """No answer that can be used: the message says why, for people, without what was sent."""


class RedirectedError(FetchError):
    """An answer that leads elsewhere, where nothing goes."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: its status and its whole body."""

    status: int
    body: bytes


class Fetcher:
    """One service. ``key``: of the settings, for what is wrong with ``ca_file``; ``seconds``: for one answer; ``connections``: at
    any one time."""

    def __init__(self, *, key: str, ca_file: Path | None, seconds: float, connections: int = MOST_CONNECTIONS) -> None:
        # what it answers is for everybody, and counts as nobody's
        self._transport = AiohttpTransport(
            connections=connections,
            idle=IDLE_SECONDS,
            limit=MOST_BYTES,
            verify=authorities(ca_file, key),
            is_counted=False,
        )
        self._seconds = seconds

    async def get(self, url: str) -> bytes:
        """The body of a ``GET`` that succeeds."""
        answer = await self._ask("GET", url, None, {})
        if answer.status != 200:
            raise FetchError(f"it answered HTTP {answer.status}")
        return answer.body

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Fetched:
        """The answer to a ``POST`` of a form, whatever its status."""
        return await self._ask("POST", url, form, headers)

    async def _ask(self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> Fetched:
        try:
            request = httpx2.Request(method, url, data=form, headers={**_HEADERS, **headers})
            async with asyncio.timeout(self._seconds):
                answer = await self._transport.handle_async_request(request)
                body = await answer.aread()
        except TimeoutError:
            raise FetchError("it did not answer in time") from None
        except AnswerTooLargeError:
            raise FetchError("its answer is too large") from None
        except CertificateError:
            raise FetchError("its certificate is not accepted") from None
        except httpx2.ConnectError:
            raise FetchError("no connection to it could be made") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise FetchError("what it sent is no HTTP answer") from None
        if 300 <= answer.status_code < 400:
            raise RedirectedError("it redirects elsewhere")
        return Fetched(answer.status_code, body)

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._transport.aclose()


def basic_authorization(client_id: str, secret: SecretStr) -> Mapping[str, str]:
    """The header by which a client of OAuth 2 says who it is (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.get_secret_value())}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
