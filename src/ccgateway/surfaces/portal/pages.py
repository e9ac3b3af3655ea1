"""The portal's pages: one HTML shell for all of them, and the assets that it loads.

Which page it is the shell's scripts read off the address. Nothing on it comes from elsewhere and nothing is inline, which its
content security policy enforces; what the scripts show of sites is text, never markup.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from ccgateway.surfaces.browser import NOSNIFF

__all__ = ["portal_routes"]

FOLDER = Path(__file__).parent / "static"
SHELL = "index.html"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
PATHS = ("/sites", "/jobs", "/job/{id}", "/usage")

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
SHELL_HEADERS = {
    **NOSNIFF,
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
#: scripts that are no modules
PLAIN_SCRIPTS = {"theme.js", "uplot.js"}
#: an asset under the address that holds its digest is what it is for good; under another, it is asked for anew each time
FOR_GOOD, ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the pages, as it goes out."""

    body: bytes
    media_type: str
    tag: str


class Pages:
    """The shell and the assets of ``folder``, read once. Scripts import one another by relative addresses, so that one digest of
    all assets in the shell's addresses is enough for browsers to fetch them anew after an upgrade."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._assets = {
            path.name: Asset(body := path.read_bytes(), MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:20]}"')
            for path in sorted(folder.iterdir())
            if path.suffix in MEDIA_TYPES
        }
        tags = "".join(f"{name}{asset.tag}" for name, asset in self._assets.items())
        self.digest = hashlib.sha256(tags.encode()).hexdigest()[:12]
        # else a browser would find out only step by step which modules import which
        modules = [name for name in self._assets if name.endswith(".js") and name not in PLAIN_SCRIPTS]
        preloads = "\n".join(f'<link rel="modulepreload" href="{{assets}}/{name}">' for name in modules)
        self._shell = (folder / SHELL).read_text("utf-8").replace("{preloads}", preloads)

    async def shell(self, request: Request) -> Response:
        """Any page. The address at which a proxy serves the gateway (``root_path``) goes before all addresses in it."""
        root = html.escape(_root(request))
        text = self._shell.replace("{root}", root).replace("{assets}", f"{root}/portal/assets/{self.digest}")
        return HTMLResponse(text, headers=SHELL_HEADERS)

    async def asset(self, request: Request) -> Response:
        """One asset, by ``name`` in the path; 404 for any other name, 304 for a browser that has it."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        is_current = request.path_params["digest"] == self.digest
        headers = {**NOSNIFF, "ETag": asset.tag, "Cache-Control": FOR_GOOD if is_current else ASK_AGAIN}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if asset.tag in known:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.media_type)


def portal_routes() -> list[Route]:
    """The routes: ``/``, which leads to the sites, the pages, and their assets below ``/portal/assets``."""
    pages = Pages()

    async def home(request: Request) -> Response:
        return RedirectResponse(f"{_root(request)}/sites", 307, {"Cache-Control": "no-cache"})

    return [
        Route("/", home, methods=["GET"], name="portal"),
        *(Route(path, pages.shell, methods=["GET"]) for path in PATHS),
        Route("/portal/assets/{digest}/{name}", pages.asset, methods=["GET"]),
    ]


def _root(request: Request) -> str:
    root = str(request.scope.get("root_path", "")).strip("/")
    return f"/{root}" if root and not re.search(r"[\\\s]", root) else ""
