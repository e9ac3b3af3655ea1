"""A small OpenID provider on a real socket, strict where it matters, and able to answer in every wrong way."""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from identity.authority import Authority
from surfaces.servers import serving

__all__ = ["CLIENT", "SECRET", "OpenIdProvider", "provider"]

CLIENT, SECRET = "ccgateway-portal", "canary-client-secret-canary"


@dataclass
class OpenIdProvider:
    """``user``: who sits at the browser; ``claims``: what more, or else, the ID token says; ``forge``: makes another ID token of
    the good one; ``discovery``: what more, or else, the document says; ``answer``: instead of the token endpoint's own;
    ``knows_address``: whether the redirect address is registered; ``ponder``: until when it looks for a code that it does not
    know."""

    authority: Authority = field(default_factory=Authority)
    user: str = "alice"
    claims: dict[str, Any] = field(default_factory=dict)
    forge: Callable[[str], str] = lambda token: token
    discovery: dict[str, Any] = field(default_factory=dict)
    answer: Response | None = None
    callback: dict[str, str] = field(default_factory=dict)
    knows_address: bool = True
    ponder: asyncio.Event | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def reset(self) -> None:
        """As it was at first, but for its address."""
        vars(self).update(vars(OpenIdProvider(self.authority, url=self.url)))

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.configuration),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/jwks", self.jwks),
            ]
        )

    async def configuration(self, _request: Request) -> Response:
        self.asked.append("discovery")
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "code_challenge_methods_supported": ["S256"],
            **self.discovery,
        }
        return JSONResponse({name: value for name, value in document.items() if value is not None})

    async def jwks(self, _request: Request) -> Response:
        return Response(self.authority.jwks(), media_type="application/json")

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if not self.knows_address:
            return JSONResponse({"error": "invalid_redirect_uri"}, 400)
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT and "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        assert len(asked["state"]) > 30 and len(asked["nonce"]) > 30
        code = secrets.token_urlsafe(20)
        self.codes[code] = {**asked, "user": self.user}
        back = {"code": code, "state": asked["state"], **self.callback}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def token(self, request: Request) -> Response:
        self.asked.append("token")
        form = dict(parse_qsl((await request.body()).decode()))
        if self.answer is not None:
            return self.answer
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            client, secret = (unquote_plus(part) for part in b64decode(pair).decode().split(":"))
        else:
            client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if (client, secret) != (CLIENT, SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        if self.ponder is not None and form.get("code", "") not in self.codes:
            await self.ponder.wait()
        asked = self.codes.pop(form.get("code", ""), None)  # good for once
        challenge = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {"iss": self.url, "aud": CLIENT, "nonce": asked["nonce"], **self.claims}
        token = self.forge(self.authority.token(asked["user"], **claims))
        self.tokens.append(token)
        return JSONResponse({"access_token": "canary-access-canary", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def provider() -> AsyncIterator[OpenIdProvider]:
    """A provider that runs."""
    one = OpenIdProvider()
    async with serving(one.app()) as url:
        one.url = url
        yield one
