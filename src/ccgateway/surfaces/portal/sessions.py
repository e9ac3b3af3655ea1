"""The cookies by which a browser is known again: its session, and an attempt to sign in that is under way.

Both hold, sealed, what the gateway needs to know and nothing else: no token of anybody's. A session counts only for requests of
the portal's own pages (a header that no other origin may send, and what the browser itself says of where a request comes from),
until its hour, or until its owner signs out. One that is forged, cut, of another key or of other rules is worth nothing.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Literal, Protocol, TypeVar

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from starlette.requests import Request
from starlette.responses import Response

from ccgateway.errors import Code, RequestError, SettingsError
from ccgateway.identity.principal import Principal
from ccgateway.identity.relying_party import Attempt
from ccgateway.identity.roles import Role
from ccgateway.settings import IssuerSettings, PortalSettings
from ccgateway.settings.base import SecretPlace

__all__ = ["PORTAL_HEADER", "Begun", "EndedSessions", "Session", "Sessions", "is_own_page", "own_key", "session_keys"]

#: marks the requests of the portal's own pages: no page of another origin may send it
PORTAL_HEADER = "x-ccgateway-portal"
#: characters of a cookie's value: browsers keep 4096 bytes, its name and attributes included
LONGEST = 3800
#: seconds that people get for signing in at the identity provider
SIGN_IN_SECONDS = 600
#: what of an issuer's settings says who its people are: sessions of other rules are over
RULES = {"name", "issuer", "subject_claim", "roles_claim", "roles", "default_role", "prefix", "site_names"}
KEY_BYTES = 32

Kind = TypeVar("Kind", "Session", "Begun")

OVER = "Your session is over: sign in again."


class EndedSessions(Protocol):
    """Remembers which sessions were signed out of; no method raises."""

    async def get(self, name: str) -> bytes | None:
        """What is kept under that name."""
        ...

    async def set(self, name: str, value: bytes, seconds: float) -> None:
        """Keeps ``value`` for so many seconds."""
        ...


class Session(msgspec.Struct, frozen=True, tag="session", rename="camel", forbid_unknown_fields=True):
    """Who is signed in. ``rules``: the digest of those by which the roles were given; ``began`` and ``ends``: epoch seconds."""

    id: str
    rules: str
    subject: str
    roles: list[Role]
    names: list[tuple[str, str]]
    began: int
    ends: int


class Begun(msgspec.Struct, frozen=True, tag="attempt", rename="camel", forbid_unknown_fields=True):
    """An attempt to sign in. ``path``: where it leads then; ``ends``: epoch seconds."""

    attempt: Attempt
    path: str
    ends: int


class Sessions:
    """The sessions at one portal. Raises ``SettingsError`` where the keys cannot be used.

    ``own_key``: seals and opens them where the settings name no key.
    """

    def __init__(
        self,
        portal: PortalSettings,
        issuer: IssuerSettings,
        ended: EndedSessions,
        own_key: bytes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._origin = portal.url or ""
        self._is_secure = self._origin.startswith("https:")
        prefix = "__Host-" if self._is_secure else ""
        self._session_cookie, self._attempt_cookie = f"{prefix}ccgateway-session", f"{prefix}ccgateway-signin"
        self._seconds = int(portal.session_hours * 3600)
        self._cipher = MultiFernet(session_keys(portal.keys(), own_key))
        rules = repr(sorted(issuer.model_dump(mode="json", include=RULES).items()))
        self._rules = blake2b(rules.encode(), digest_size=12).hexdigest()
        self._issuer, self._ended, self._clock = issuer.name, ended, clock

    # --- sessions

    def begin(self, principal: Principal, response: Response) -> None:
        """Lets ``response`` begin a session. Raises ``LIMIT_EXCEEDED`` where there is too much to be said of the caller."""
        now = int(self._clock())
        roles, names = sorted(principal.roles), list(principal.names)
        session = Session(secrets.token_urlsafe(12), self._rules, principal.subject, roles, names, now, now + self._seconds)
        self._set(response, self._session_cookie, session, self._seconds, "strict")

    def has_cookie(self, request: Request) -> bool:
        """Whether the request has the cookie of a session, good or not."""
        return _cookie(request, self._session_cookie) is not None

    async def session(self, request: Request) -> Session | None:
        """The session whose cookie the request has, if it is good."""
        found = self._opened(_cookie(request, self._session_cookie), Session)
        if found is None or found.rules != self._rules or found.ends <= self._clock():
            return None
        return None if await self._ended.get(found.id) is not None else found

    async def principal(self, request: Request) -> Principal | None:
        """Who is signed in, where one of the portal's own pages asks; ``None`` for other requests and those without a session.
        Raises ``UNAUTHENTICATED`` for a session that is over."""
        if not self.has_cookie(request) or not self.is_own_page(request):
            return None
        found = await self.session(request)
        if found is None:
            raise RequestError(Code.UNAUTHENTICATED, OVER)
        return self.principal_of(found)

    def principal_of(self, session: Session) -> Principal:
        """The caller that a session stands for."""
        return Principal(session.subject, frozenset(session.roles), tuple(session.names), self._issuer)

    async def end(self, request: Request, response: Response) -> Session | None:
        """Ends the session of the request, copies of its cookie included, and lets ``response`` take the cookie away. Which one
        that was."""
        found = await self.session(request)
        if found is not None:
            await self._ended.set(found.id, b"ended", max(1.0, found.ends - self._clock()))
        self.forget(response)
        return found

    def forget(self, response: Response) -> None:
        """Lets ``response`` take the cookie of a session away."""
        self._take_away(response, self._session_cookie, "strict")

    def is_own_page(self, request: Request) -> bool:
        """As ``is_own_page``, for this portal."""
        return is_own_page(request, self._origin)

    # --- attempts to sign in

    def remember_attempt(self, attempt: Attempt, path: str, response: Response) -> None:
        """Lets ``response`` bind the attempt to this browser."""
        begun = Begun(attempt, path, int(self._clock()) + SIGN_IN_SECONDS)
        # lax: the browser comes back from another site
        self._set(response, self._attempt_cookie, begun, SIGN_IN_SECONDS, "lax")

    def attempt(self, request: Request) -> Begun | None:
        """The attempt that was begun in this browser, if there is one under way."""
        found = self._opened(_cookie(request, self._attempt_cookie), Begun)
        return found if found is not None and found.ends > self._clock() else None

    def forget_attempt(self, response: Response) -> None:
        """Lets ``response`` take the attempt's cookie away."""
        self._take_away(response, self._attempt_cookie, "lax")

    # --- cookies

    def _set(
        self, response: Response, name: str, content: Session | Begun, seconds: int, same_site: Literal["lax", "strict"]
    ) -> None:
        value = self._cipher.encrypt(msgspec.json.encode(content)).decode()
        if len(value) > LONGEST:
            raise RequestError(Code.LIMIT_EXCEEDED, "What has to be remembered is longer than a cookie can be.")
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._is_secure, httponly=True, samesite=same_site)

    def _take_away(self, response: Response, name: str, same_site: Literal["lax", "strict"]) -> None:
        response.delete_cookie(name, path="/", secure=self._is_secure, httponly=True, samesite=same_site)

    def _opened(self, value: str | None, kind: type[Kind]) -> Kind | None:
        """What is sealed in ``value``; ``None`` if that is nothing of this gateway's, or of another kind."""
        if not value or len(value) > LONGEST or not value.isascii():
            return None
        try:
            return msgspec.json.decode(self._cipher.decrypt(value), type=kind)
        except (InvalidToken, msgspec.MsgspecError, UnicodeDecodeError):
            return None


def is_own_page(request: Request, origin: str) -> bool:
    """Whether a page of ``origin`` itself sent the request: it has the portal's header, and what the browser says of where it
    comes from (``Sec-Fetch-Site``, ``Origin``; at least one of them) agrees. Pages of other origins can send neither."""
    headers = request.headers
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    return (
        headers.getlist(PORTAL_HEADER) == ["1"]
        and bool(sites or origins)
        and sites in ([], ["same-origin"])
        and origins in ([], [origin])
    )


def _cookie(request: Request, name: str) -> str | None:
    """The value of the cookie; ``None`` if there is none, empty if there are several that differ: one of them was planted.

    Not by ``request.cookies``: there, before Python 3.11.10, a cookie of 64 KB takes 15 seconds to be read.
    """
    parts = (part.partition("=") for header in request.headers.getlist("cookie") for part in header.split(";"))
    found = {value.strip().strip('"') for key, _, value in parts if key.strip() == name}
    return None if not found else found.pop() if len(found) == 1 else ""


def own_key() -> bytes:
    """A new key that only this process has."""
    return Fernet.generate_key()


def session_keys(place: SecretPlace, own: bytes) -> Sequence[Fernet]:
    """The keys, the first of which seals; ``own`` where the settings name none. Raises ``SettingsError``."""
    text = place.read(many_lines=True)
    if text is None:
        return [Fernet(own)]
    found = []
    for number, line in enumerate(text.get_secret_value().split(), start=1):
        try:
            key = base64.b64decode(line.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES or len(set(key)) < KEY_BYTES // 4:
            remedy = "Put one there that is: openssl rand -base64 32."
            raise SettingsError(place.key or "", f"key {number} is not {KEY_BYTES} random bytes in base64", remedy)
        found.append(Fernet(base64.urlsafe_b64encode(key)))
    return found
