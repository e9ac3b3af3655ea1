"""How each face says no: what is not there, what is done wrong, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

import msgspec

from ccgateway.errors import Code, FederationError, GatewayError
from ccgateway.jobs.writes import WriteOutcome, WriteResult
from ccgateway.surfaces.callers import CHALLENGE
from ccgateway.surfaces.rest.calls import Answer
from ccgateway.surfaces.rest.orders import AtSite, status_of
from ccgateway.surfaces.rest.wording import RefusedError, written

__all__ = ["Documented", "FailedWrite", "Failure", "Released", "ReleasedFailure", "Style", "refused_write"]


_CHALLENGE = {name.decode(): value.decode() for name, value in CHALLENGE.items()}


class Style(Protocol):
    """The manners of one face."""

    #: whether HEAD is answered as GET is, and OPTIONS with the methods there are
    helpful: bool
    #: what callers are told who are known, but not let in
    not_here: str
    #: whether callers have to say who they are before they are told that there is nothing
    asks_first: bool

    def unknown(self) -> Answer:
        """No such path."""
        ...

    def wrong_method(self, methods: Sequence[str]) -> Answer:
        """There is something, but not to be done that way."""
        ...

    def turned_away(self, error: GatewayError) -> Answer:
        """The caller is not let in."""
        ...

    def failed(self, error: GatewayError | RefusedError) -> Answer:
        """The request came to nothing."""
        ...


class Failure(msgspec.Struct, omit_defaults=True):
    """``status`` and ``error`` as cc-backend has them, and what GraphQL says in ``extensions``."""

    status: str
    error: str
    code: Code
    retryable: bool
    site: str | None = None
    causes: list[dict[str, str | bool | int]] = []


class Documented:
    """The how-to page's face: errors say everything that is known."""

    helpful = True
    asks_first = False
    not_here = "/api is for administrators, and for tokens whose one role is api. Everybody else has /userapi."

    def unknown(self) -> Answer:
        return self.failed(GatewayError(Code.NOT_FOUND, "There is no such endpoint; /api/docs has all of them."))

    def wrong_method(self, methods: Sequence[str]) -> Answer:
        message = f"This endpoint knows {', '.join(methods)} only."
        failure = Failure("Method Not Allowed", message, Code.BAD_REQUEST, retryable=False)
        return Answer.json(failure, 405, headers={"Allow": ", ".join(methods)})

    def turned_away(self, error: GatewayError) -> Answer:
        answer = self.failed(error)
        return replace(answer, headers=_CHALLENGE) if answer.status == 401 else answer

    def failed(self, error: GatewayError | RefusedError) -> Answer:
        if isinstance(error, RefusedError):
            error = GatewayError(Code.BAD_REQUEST, error.message)
        causes = (
            [{"message": one.message, **one.extensions()} for one in error.causes] if isinstance(error, FederationError) else []
        )
        phrase = HTTPStatus(error.row.http).phrase
        failure = Failure(phrase, error.message, error.code, error.retryable, error.site, causes)
        return Answer.json(failure, error.row.http)


class FailedWrite(Failure, kw_only=True):
    outcome: WriteOutcome
    sites: dict[str, list[AtSite]] = {}


def refused_write(result: WriteResult, *, sites: dict[str, list[AtSite]] | None = None) -> Answer:
    """An order that came to nothing, or to nobody knows what (504); ``sites``: what each site came to."""
    status = status_of(result)
    message = result.message or "It did not succeed."
    if result.outcome is WriteOutcome.UNKNOWN:
        message = f"It is not known whether this took effect. {message}"
    refusal = FailedWrite(
        status=HTTPStatus(status).phrase,
        error=message,
        code=result.code or (Code.TIMEOUT if status == 504 else Code.INTERNAL),
        retryable=result.retryable,
        site=result.site,
        outcome=result.outcome,
        sites=sites or {},
    )
    return Answer.json(refusal, status)


class ReleasedFailure(msgspec.Struct):
    status: str
    error: str


class Released:
    """cc-backend 1.5.4's."""

    helpful = False
    not_here = "unauthorized"

    def __init__(self, *, asks_first: bool) -> None:
        self.asks_first = asks_first

    def unknown(self) -> Answer:
        return written({"error": "the requested endpoint does not exist", "status": "Resource not found"}, 404)

    def wrong_method(self, methods: Sequence[str]) -> Answer:
        return Answer(405, media_type=None, headers={"Allow": ", ".join(methods)})

    def turned_away(self, error: GatewayError) -> Answer:
        if error.code not in (Code.UNAUTHENTICATED, Code.FORBIDDEN):
            return self.failed(error)
        return written({"error": error.message, "status": "Unauthorized"}, 401, headers=_CHALLENGE)

    def failed(self, error: GatewayError | RefusedError) -> Answer:
        message, status = error.message, error.status if isinstance(error, RefusedError) else HTTPStatus(error.row.http)
        if isinstance(error, FederationError):
            message = " ".join((message, *(f"{cause.site}: {cause.message}" for cause in error.causes)))
        return written(ReleasedFailure(status.phrase, message), status)
