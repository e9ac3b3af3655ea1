"""HTTP to identity services: small answers, in time, from the named host and no other.

Certificates are checked, redirects are not followed, no proxy and no cookie is heeded, and an answer is read up to its bound.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yarl

from ccgateway import __version__
from ccgateway.errors import SettingsError
from ccgateway.settings.base import refuse_alterable

__all__ = ["FetchError", "Fetched", "Fetcher"]

#: bytes of an answer: a hundred RSA keys with their certificates, or a token
MOST_BYTES = 512 << 10
#: connections to one service at any one time
MOST_CONNECTIONS = 16


class FetchError(Exception):
    """No answer that can be used: the message says why, for people, without what was sent."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: its status and its whole body."""

    status: int
    body: bytes


class Fetcher:
    """One service. ``key``: of the settings, for what is wrong with ``ca_file``; ``seconds``: for one answer."""

    def __init__(self, *, key: str, ca_file: Path | None, seconds: float) -> None:
        self._verify = _context(key, ca_file)
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=self._verify),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "User-Agent": f"ccgateway/{__version__}"},
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
                trust_env=False,
                timeout=self._timeout,
            )
        return self._session

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
            async with self._opened().request(
                method, yarl.URL(url), data=form, headers={**headers, "Accept-Encoding": "identity"}, allow_redirects=False
            ) as answer:
                if 300 <= answer.status < 400:
                    raise FetchError("it redirects elsewhere")
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise FetchError("its answer is too large")
                return Fetched(answer.status, bytes(body))
        except TimeoutError:
            raise FetchError("it did not answer in time") from None
        except aiohttp.ClientConnectorCertificateError:
            raise FetchError("its certificate is not accepted") from None
        except (aiohttp.ClientConnectorError, ConnectionError):
            raise FetchError("no connection to it could be made") from None
        except (aiohttp.ClientError, ValueError):
            raise FetchError("what it sent is no HTTP answer") from None

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _context(key: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        refuse_alterable(ca_file, key)
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problem = f"{ca_file} cannot be used ({reason or 'not a certificate'})"
        raise SettingsError(key, problem, "Name a PEM file with the authority's certificate.") from None
