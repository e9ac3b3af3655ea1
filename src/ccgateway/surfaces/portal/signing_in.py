"""Signing in to the portal, and out of it: the paths below ``/portal`` for that, and who is signed in.

``/portal/signin`` sends a browser to the identity provider, which sends it back to ``/portal/callback``; who is proved to have
come back gets a session (``sessions``). ``/portal/session`` tells a page who its user is and how to sign in, ``/portal/signout``
ends it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.identity.callers import Callers
from ccgateway.identity.principal import Principal
from ccgateway.identity.relying_party import REFUSED, Attempt, RelyingParty
from ccgateway.settings import Settings
from ccgateway.surfaces.callers import CHALLENGE, network_of, token_of
from ccgateway.surfaces.portal.sessions import EndedSessions, Session, Sessions
from ccgateway.surfaces.requests import qualities

__all__ = ["CALLBACK_PATH", "SIGN_IN_PATH", "SigningIn", "local_path"]

log = logging.getLogger("ccgateway.callers")

SESSION_PATH, SIGN_IN_PATH = "/portal/session", "/portal/signin"
CALLBACK_PATH, SIGN_OUT_PATH = "/portal/callback", "/portal/signout"
#: nobody keeps these answers, shows them in a frame, or learns their addresses, which hold a code
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: characters of a path that signing in leads to
LONGEST_PATH = 2000
_LOCAL = re.compile(rf"/(?![/\\])[!-\[\]-~]{{0,{LONGEST_PATH - 1}}}")
_REASON = re.compile(r"[a-z_]{1,40}")

NOT_BEGUN = "This sign-in was not begun in this browser, or took too long."
FOREIGN = "Only the portal's own pages can sign somebody out."

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" \
content="light dark"><title>Not signed in</title></head>
<body><main><h1>You are not signed in</h1><p>{message} <code>{code}</code></p>
<p><a href="{again}">Try again</a> or go to <a href="/">the portal</a>.</p></main></body></html>
"""


class SessionAnswer(msgspec.Struct, rename="camel"):
    """What a page is told. ``user`` and ``roles``: of who asks, signed in or by a token; ``expires``: when the session ends;
    ``sign_in``: where to sign in, if one can; ``paste_token``: whether tokens are accepted; ``open``: who asks
    need not say who that is."""

    signed_in: bool
    user: str | None
    roles: list[str]
    expires: str | None
    sign_in: str | None
    paste_token: bool
    open: bool


class SigningIn:
    """The portal's way to know people. Raises ``SettingsError`` where the settings cannot be used; reaches nothing yet.

    ``ended``: remembers who signed out; ``own_key``: see ``Sessions``. Owns the connections to the identity provider: ``aclose``
    closes them.
    """

    def __init__(self, settings: Settings, callers: Callers, ended: EndedSessions, own_key: bytes) -> None:
        portal = settings.portal
        self._callers, self._is_served = callers, portal.enabled
        self._takes_tokens, self._is_open = settings.authenticates, not settings.authenticates or settings.caller.anonymous
        self._sessions: Sessions | None = None
        if portal.signs_in:
            issuer = settings.issuers[portal.oidc.issuer or ""]
            self._sessions = Sessions(portal, issuer, ended, own_key)
            self._party = RelyingParty(callers, issuer, portal.oidc, f"{portal.url}{CALLBACK_PATH}")

    async def principal(self, request: Request) -> Principal | None:
        """Who is signed in and asks by one of the portal's pages; ``None``: nobody. Raises ``UNAUTHENTICATED`` for a session that
        is over."""
        return await self._sessions.principal(request) if self._sessions is not None else None

    def routes(self) -> list[Route]:
        """The paths, where the portal is served; those for signing in where one can."""
        if not self._is_served:
            return []
        routes = [Route(SESSION_PATH, self._tell, methods=["GET"])]
        if self._sessions is not None:
            steps = _Steps(self._sessions, self._party)
            routes += [
                Route(SIGN_IN_PATH, steps.sign_in, methods=["GET"]),
                Route(CALLBACK_PATH, steps.come_back, methods=["GET"]),
                Route(SIGN_OUT_PATH, steps.sign_out, methods=["POST"]),
            ]
        return routes

    async def _tell(self, request: Request) -> Response:
        """Who asks, and how to sign in."""
        session = await self._sessions.session(request) if self._sessions is not None else None
        try:
            caller = await self._who(request, session)
        except GatewayError as error:
            return _failed(error)
        response = _json(self._answer(caller, session))
        if self._sessions is not None and session is None and self._sessions.has_cookie(request):
            self._sessions.forget(response)
        return response

    async def _who(self, request: Request, session: Session | None) -> Principal | None:
        token = token_of(request)
        if token is None and session is not None and self._sessions is not None:
            return self._sessions.principal_of(session)
        if token is None and not self._is_open:
            return None
        return await self._callers.principal(token)

    def _answer(self, caller: Principal | None, session: Session | None) -> SessionAnswer:
        return SessionAnswer(
            signed_in=session is not None,
            user=caller.subject if caller is not None else None,
            roles=sorted(caller.roles) if caller is not None else [],
            expires=datetime.fromtimestamp(session.ends, UTC).isoformat() if session is not None else None,
            sign_in=SIGN_IN_PATH if self._sessions is not None else None,
            paste_token=self._takes_tokens,
            open=self._is_open,
        )

    async def aclose(self) -> None:
        """Closes what is open."""
        if self._sessions is not None:
            await self._party.aclose()


class _Steps:
    """Signing in, step by step, and out."""

    def __init__(self, sessions: Sessions, party: RelyingParty) -> None:
        self._sessions, self._party = sessions, party

    async def sign_in(self, request: Request) -> Response:
        """Sends the browser to the identity provider."""
        path, attempt = local_path(request.query_params.get("next", "/")), Attempt.new()
        try:
            response = _redirect(await self._party.address(attempt))
            self._sessions.remember_attempt(attempt, path, response)
        except GatewayError as error:
            return _failed_page(request, error, path)
        return response

    async def come_back(self, request: Request) -> Response:
        """Whoever comes back from there has a session, if it is proved who that is."""
        said = {name: request.query_params.getlist(name) for name in ("state", "code", "iss", "error")}
        request.scope["query_string"] = b""  # else the access log would hold the code
        begun = self._sessions.attempt(request)
        path = begun.path if begun is not None else "/"
        try:
            if begun is None or said["state"] != [begun.attempt.state]:
                raise RequestError(Code.UNAUTHENTICATED, NOT_BEGUN)
            principal = await self._proved(begun.attempt, said, network_of(request.client))
            response = _redirect(path)
            self._sessions.begin(principal, response)
        except GatewayError as error:
            response = _failed_page(request, error, path)
        else:
            log.info("%s signed in to the portal", principal.subject)
        if begun is not None and said["state"] == [begun.attempt.state]:
            self._sessions.forget_attempt(response)  # whatever came of it: it was good for once
        return response

    async def _proved(self, attempt: Attempt, said: Mapping[str, list[str]], network: str) -> Principal:
        if said["error"]:
            reason = said["error"][0] if _REASON.fullmatch(said["error"][0]) else "for a reason that it does not say"
            log.info("nobody was signed in: the identity provider says %s", reason)
            raise RequestError(Code.UNAUTHENTICATED, f"{REFUSED.removesuffix('.')} ({reason}).")
        if len(said["code"]) != 1 or len(said["iss"]) > 1:
            raise RequestError(Code.UNAUTHENTICATED, REFUSED)
        return await self._party.principal(attempt, said["code"][0], next(iter(said["iss"]), None), network)

    async def sign_out(self, request: Request) -> Response:
        """Ends the session; nothing is wrong where there is none (any more)."""
        if not self._sessions.is_own_page(request):
            return _failed(RequestError(Code.FORBIDDEN, FOREIGN))
        response = Response(status_code=204, headers=HEADERS)
        ended = await self._sessions.end(request, response)
        if ended is not None:
            log.info("%s signed out of the portal", ended.subject)
        return response


def local_path(text: str) -> str:
    """``text``, if browsers take it for a path of the gateway itself and signing in does not lead to signing in; else ``/``."""
    is_step = text.startswith((SIGN_IN_PATH, CALLBACK_PATH, SIGN_OUT_PATH))
    return text if _LOCAL.fullmatch(text) and not is_step else "/"


def _redirect(where: str) -> Response:
    return RedirectResponse(where, 303, HEADERS)


def _json(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = msgspec.json.encode(content)
    return Response(body, status, {**HEADERS, **(headers or {})}, media_type="application/json")


def _failed(error: GatewayError) -> Response:
    content = {"errors": [error.as_entry()]}
    challenge = {name.decode(): value.decode() for name, value in CHALLENGE.items()} if error.row.http == 401 else None
    return _json(content, error.row.http, challenge)


def _failed_page(request: Request, error: GatewayError, path: str) -> Response:
    """As a page for browsers."""
    if "text/html" not in qualities(request.headers.get("accept", "")):
        return _failed(error)
    again = escape(f"{SIGN_IN_PATH}?next={quote(path, safe='')}")
    text = PAGE.format(message=escape(error.message), code=escape(error.code.value), again=again)
    return HTMLResponse(text, error.row.http, HEADERS)
