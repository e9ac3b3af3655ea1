"""A gateway with a portal that people sign in to, on real sockets, and what their browsers send."""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from acceptance.conftest import PATIENT
from acceptance.people import WatchedSite, sections_for, site_of
from ccgateway.app import create_app
from ccgateway.settings import Settings
from ccgateway.simulator import serve
from surfaces.portal.provider import CLIENT, SECRET, OpenIdProvider

__all__ = ["ROLES", "SESSION", "Portal", "new_key", "portal"]

SESSION, ATTEMPT = "ccgateway-session", "ccgateway-signin"
ROLES = {"admins": "admin", "supporters": "support", "staff": "manager"}


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Portal:
    """A gateway that runs; ``site``: what is behind it."""

    url: str
    site: WatchedSite
    provider: OpenIdProvider
    settings: Settings

    def browser(self) -> httpx.AsyncClient:
        """Keeps cookies, and follows nobody by itself."""
        return httpx.AsyncClient(timeout=60)

    @property
    def own(self) -> dict[str, str]:
        """What the portal's own page and its browser send."""
        return {"X-CCGateway-Portal": "1", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}

    async def come_back(self, browser: httpx.AsyncClient, next_path: str = "/") -> httpx.URL:
        """Goes to the provider and signs in there: the address that its answer leads to, not yet followed."""
        begun = await browser.get(f"{self.url}/portal/signin", params={"next": next_path})
        assert begun.status_code == 303, begun.text
        there = await browser.get(begun.headers["location"])
        assert there.status_code == 302, there.text
        return httpx.URL(there.headers["location"])

    async def sign_in(self, browser: httpx.AsyncClient, next_path: str = "/") -> httpx.Response:
        return await browser.get(await self.come_back(browser, next_path), headers={"Accept": "text/html"})

    async def session(self, browser: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
        found: dict[str, Any] = (await browser.get(f"{self.url}/portal/session", headers=headers)).json()
        return found

    async def ask(
        self, browser: httpx.AsyncClient, query: str, headers: Mapping[str, str] | None = None, path: str = "/graphql"
    ) -> httpx.Response:
        return await browser.post(
            f"{self.url}{path}", json={"query": query}, headers=dict(self.own if headers is None else headers)
        )


@asynccontextmanager
async def portal(
    provider: OpenIdProvider, folder: Path, *, port: int = 0, access_log: bool = False, **changes: Any
) -> AsyncIterator[Portal]:
    """A gateway over one site at which alice and the others have jobs. ``changes``: of the section ``portal``; a section
    ``issuer``, ``oidc`` or ``top`` beside it."""
    listener = socket.create_server(("127.0.0.1", port))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    issuer = {
        "jwks_url": f"{provider.url}/jwks", "issuer": provider.url, "audience": "ccgateway", "algorithms": ["EdDSA", "RS256"],
        "roles_claim": "groups", "roles": ROLES, **changes.pop("issuer", {}),
    }  # fmt: skip
    oidc = {"issuer": "sso", "client_id": CLIENT, "client_secret": SECRET, **changes.pop("oidc", {})}
    top = changes.pop("top", {})
    site = site_of("1.5")
    async with serve(site) as running:
        made = sections_for([site], {name: address.url for name, address in running.items()}, "signed", folder)
        section = {"url": url, "oidc": oidc, **changes}
        settings = Settings(**{"issuers": {"sso": issuer}, "limits": PATIENT, "portal": section, **made, **top})
        config = uvicorn.Config(create_app(settings), log_config=None, access_log=access_log, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.01)
            yield Portal(url, site, provider, settings)
        finally:
            server.should_exit = True
            await task
