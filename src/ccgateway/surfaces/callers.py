"""Who asks, as a request's headers (by gRPC, its metadata) say it: the same for every face of the gateway.

A token comes as ``X-Auth-Token`` or ``Authorization: Bearer``. Where both are there and differ, cc-backend takes the first; here
that is refused, as one of the two is not the caller's. No other header says who a caller is, whichever proxy may have written it,
but the cookie of a session that the gateway itself began (``portal``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import TypeAlias

from starlette.requests import Request

from ccgateway.errors import Code, RequestError
from ccgateway.identity.callers import Callers
from ccgateway.identity.principal import Principal

__all__ = ["CHALLENGE", "CallerOf", "SignedIn", "caller_of", "network_of", "token_among", "token_of"]

#: who the caller of a request is; a ``GatewayError`` that it raises is the answer
CallerOf: TypeAlias = Callable[[Request], Awaitable[Principal]]
#: who is signed in, as a request's cookie says it; ``None``: nobody
SignedIn: TypeAlias = Callable[[Request], Awaitable[Principal | None]]

#: goes with every 401
CHALLENGE = {b"www-authenticate": b"Bearer"}

AMBIGUOUS = "Send one token: what this request carries does not agree."


def caller_of(callers: Callers, signed_in: SignedIn | None = None) -> CallerOf:
    """The reader of principals that every face is given; ``signed_in``: of those who show no token, but a session, for faces that
    the portal's pages use."""

    async def read(request: Request) -> Principal:
        if callers.everybody is not None:
            return callers.everybody
        token = token_of(request)
        found = await signed_in(request) if token is None and signed_in is not None else None
        return found if found is not None else await callers.principal(token)

    return read


def token_of(request: Request) -> str | None:
    """The token of a request; ``None`` if it has none. Raises as ``token_among``."""
    return token_among(request.headers.getlist("x-auth-token"), request.headers.getlist("authorization"))


def token_among(tokens: Iterable[str], authorizations: Iterable[str]) -> str | None:
    """The token in the values of ``X-Auth-Token`` and ``Authorization``; ``None`` if there is none. Raises ``UNAUTHENTICATED``
    for several that differ.

    An ``Authorization`` of another scheme, such as a proxy's own ``Basic``, is not for us.
    """
    found = {value.strip() for value in tokens} - {""}
    for value in authorizations:
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            found.add(token.strip())
    if len(found) > 1:
        raise RequestError(Code.UNAUTHENTICATED, AMBIGUOUS)
    return next(iter(found), None)


def network_of(client: tuple[str, int] | None) -> str:
    """Whom a connection of ``client`` (host and port) counts for: an IPv4 address, or the /64 network that one IPv6 host usually
    has to itself. What is no address (of a Unix socket) is as it came, and empty where there is none."""
    if client is None:
        return ""
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    if isinstance(address, IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
