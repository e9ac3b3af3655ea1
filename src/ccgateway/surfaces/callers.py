"""Who asks, as a request's headers (by gRPC, its metadata) say it: the same for every face of the gateway.

A token comes as ``X-Auth-Token`` or ``Authorization: Bearer``. Where both are there and differ, cc-backend takes the first; here
that is refused, as one of the two is not the caller's. No other header says who a caller is, whichever proxy may have written it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from starlette.requests import Request

from ccgateway.errors import Code, RequestError
from ccgateway.identity.callers import Callers
from ccgateway.identity.principal import Principal

__all__ = ["CHALLENGE", "CallerOf", "caller_of", "token_among", "token_of"]

#: who the caller of a request is; a ``GatewayError`` that it raises is the answer
CallerOf: TypeAlias = Callable[[Request], Awaitable[Principal]]

#: goes with every 401
CHALLENGE = {b"www-authenticate": b"Bearer"}

AMBIGUOUS = "Send one token: what this request carries does not agree."


def caller_of(callers: Callers) -> CallerOf:
    """The reader of principals that every face is given."""

    async def read(request: Request) -> Principal:
        if callers.everybody is not None:
            return callers.everybody
        return await callers.principal(token_of(request))

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
