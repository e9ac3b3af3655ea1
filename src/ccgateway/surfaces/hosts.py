"""Which ``Host`` headers are served.

Where callers need not say who they are, being on this machine is what lets them in. A page of another origin can get there too:
its own name is made to point at the loopback address (DNS rebinding), and the browser then takes the gateway for that page's
server. Such a request carries the page's name in ``Host``; refusing names that are not the gateway's own keeps it out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ccgateway.errors import Code, RequestError

__all__ = ["LOOPBACK_HOSTS", "HostCheck"]

#: what a gateway that only this machine can reach is called
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

#: the longest name there is has 253, and a port 6
MOST_CHARACTERS = 300

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]/@\s]+?)\.?)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)


class HostCheck:
    """ASGI middleware: answers 403 where the ``Host`` header is missing, doubled, or not in ``allowed_hosts``.

    ``allowed_hosts``: names and addresses without port or brackets; ``None`` lets every host through. An address may be written
    in any way.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str] | None) -> None:
        self._app = app
        self._allowed = None if allowed_hosts is None else frozenset(map(_plain, allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._allowed is None or scope["type"] not in ("http", "websocket") or self._is_allowed(scope, self._allowed):
            await self._app(scope, receive, send)
            return
        error = RequestError(
            Code.FORBIDDEN, "This gateway does not answer under that host name. Use the address it listens on, such as localhost."
        )
        body = msgspec.json.encode({"errors": [error.as_entry()]})
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        response = Response(body, error.row.http, headers, media_type="application/json")
        await response(scope, receive, send)

    @staticmethod
    def _is_allowed(scope: Scope, allowed: frozenset[str]) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and len(hosts[0]) <= MOST_CHARACTERS and _name_of(hosts[0]) in allowed


@lru_cache(maxsize=256)
def _name_of(host: bytes) -> str | None:
    """What a ``Host`` header names, without its port; ``None`` if it is none."""
    found = _HOST.fullmatch(host.decode("latin-1"))
    return None if found is None else _plain(found[1] or found[2])


def _plain(host: str) -> str:
    """The one way in which ``host`` is compared: lower case, addresses at their shortest, IPv4 within IPv6 as IPv4."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower()
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
