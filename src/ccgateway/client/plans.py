"""Requests to a gateway and what its answers say, without sending anything: plans that the two drivers carry out alike."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias, TypeVar

import msgspec

from ccgateway.client.errors import GatewayError, error_of
from ccgateway.client.values import Missing

__all__ = ["Answer", "Plan", "Request", "Resend", "decoded", "graphql", "refusal_in"]

T = TypeVar("T")


class Resend(Enum):
    """When a request may be sent again: a read whenever that may help; an order with a key likewise where its answer was lost or
    the gateway had no room for it; a delete only if it surely did not reach the gateway."""

    READ = "read"
    ORDER = "order"
    UNSENT = "unsent"


@dataclass(frozen=True, slots=True)
class Request:
    """What to send. ``document`` and ``variables``: GraphQL's; ``partial``: whether an answer with gaps is one."""

    document: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    resend: Resend = Resend.READ
    partial: bool = False

    @property
    def body(self) -> bytes:
        """As the gateway reads it."""
        return msgspec.json.encode({"query": self.document, "variables": self.variables})


class _Extensions(msgspec.Struct, rename="camel"):
    code: str = "INTERNAL"
    retryable: bool = False
    site: str | None = None
    retry_after: float | None = None


class _Entry(msgspec.Struct):
    message: str = ""
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)


class _Envelope(msgspec.Struct):
    data: dict[str, msgspec.Raw] | None = None
    errors: list[_Entry] = []


class _Refusal(msgspec.Struct):
    """What REST and the export say where they refuse."""

    error: str
    code: str
    retryable: bool = False
    site: str | None = None
    causes: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: the fields of its data, undecoded, and what is missing of them."""

    data: Mapping[str, msgspec.Raw]
    missing: tuple[Missing, ...] = ()


#: requests out, answers in, and at last a value
Plan: TypeAlias = Generator[Request, Answer, T]

_ENVELOPE = msgspec.json.Decoder(_Envelope)
_REFUSAL = msgspec.json.Decoder(_Refusal)


def graphql(request: Request, status: int, body: bytes, retry_after: float | None) -> Answer:
    """The answer in a response. Raises ``GatewayError`` for what is none, or may not stand."""
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.MsgspecError:
        raise not_a_gateway(status, retry_after) from None
    missing = tuple(_missing(entry) for entry in envelope.errors if entry.extensions.site is not None)
    data = {key: value for key, value in (envelope.data or {}).items() if bytes(value) != b"null"}
    if not envelope.errors:
        if envelope.data is None:
            raise not_a_gateway(status, retry_after)
        return Answer(envelope.data)
    if data and request.partial:
        return Answer(data, missing)
    raise _error(envelope.errors, missing, retry_after, has_data=bool(data))


def _missing(entry: _Entry) -> Missing:
    said = entry.extensions
    return Missing(site=said.site or "", code=said.code, message=entry.message, retryable=said.retryable)


def _error(entries: Sequence[_Entry], missing: tuple[Missing, ...], retry_after: float | None, *, has_data: bool) -> GatewayError:
    first = entries[0]
    said = first.extensions
    after = said.retry_after if retry_after is None else retry_after
    if has_data and said.site is not None:  # data that lacks something, which was not allowed
        return error_of(
            "INCOMPLETE", "Something is missing.", missing=missing, retryable=all(one.retryable for one in missing),
            retry_after=after,
        )  # fmt: skip
    causes = missing if said.site is None else missing[1:]
    return error_of(said.code, first.message, site=said.site, retryable=said.retryable, missing=causes, retry_after=after)


def refusal_in(status: int, body: bytes, retry_after: float | None) -> GatewayError:
    """The refusal of an export, or of what stands before the gateway."""
    try:
        said = _REFUSAL.decode(body)
    except msgspec.MsgspecError:
        return not_a_gateway(status, retry_after)
    causes = [
        Missing(site=str(one["site"]), code=str(one.get("code")), message=str(one.get("message", "")))
        for one in said.causes
        if "site" in one
    ]
    return error_of(said.code, said.error, site=said.site, retryable=said.retryable, missing=causes, retry_after=retry_after)


def not_a_gateway(status: int, retry_after: float | None) -> GatewayError:
    """What came is no answer of a gateway's: a page of a proxy, a redirect, something else that listens there."""
    if status in (429, 502, 503, 504):
        message = f"What stands before the gateway answers with status {status}."
        return error_of("UNREACHABLE", message, retryable=True, retry_after=retry_after)
    hint = " Give the address that it redirects to." if 300 <= status < 400 else " Is the address the gateway's?"
    return error_of("BAD_ANSWER", f"The answer, of status {status}, is not one of a gateway.{hint}")


def decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    """A field of the data as ``kind``. ``BAD_ANSWER`` if it does not fit: the gateway is of another release than the client."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise error_of("BAD_ANSWER", f"The gateway's answer does not fit this client: {error}") from None
