"""What the handler of a REST operation gets and what it gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import Policy
from ccgateway.identity.principal import Principal
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.callers import CHALLENGE
from ccgateway.surfaces.ids import Ids
from ccgateway.traffic.admission import Traffic

if TYPE_CHECKING:
    from ccgateway.surfaces.rest.howto import HowtoFormat
    from ccgateway.surfaces.rest.release import ReleaseFormat

__all__ = ["CHALLENGE_HEADERS", "JSON", "TEXT", "Answer", "AppState", "Call", "Format", "Query", "encode"]

#: what a face makes of requests, answers and refusals
Format: TypeAlias = "HowtoFormat | ReleaseFormat"

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

#: goes with every 401
CHALLENGE_HEADERS = {name.decode(): value.decode() for name, value in CHALLENGE.items()}

_ENCODER = msgspec.json.Encoder()


def encode(value: object) -> bytearray:
    """``value`` as one line of JSON."""
    line = bytearray()
    _ENCODER.encode_into(value, line)
    line += b"\n"
    return line


class Query:
    """The parameters of a URL, decoded, in their order; a key may come several times."""

    def __init__(self, text: str) -> None:
        self.pairs = parse_qsl(text, keep_blank_values=True)

    @cached_property
    def keys(self) -> list[str]:
        """Every key, once."""
        return list(dict.fromkeys(key for key, _ in self.pairs))

    def all(self, *keys: str) -> list[str]:
        """The values of any of ``keys``, in their order."""
        return [value for key, value in self.pairs if key in keys]

    def first(self, *keys: str) -> str | None:
        """The first value of any of ``keys``, which is the one that counts."""
        return next((value for key, value in self.pairs if key in keys), None)

    def flag(self, *keys: str) -> bool | None:
        """Whether what any of ``keys`` switches is on, as a name alone says, too; ``None`` where none of them is there."""
        values = self.all(*keys)
        return any(value.lower() not in ("false", "0") for value in values) if values else None


@dataclass(frozen=True, slots=True)
class AppState:
    """What all requests share. ``policy``: what holds for requests that do not name one."""

    gateway: Gateway
    limits: LimitSettings
    ids: Ids
    traffic: Traffic
    policy: Policy = Policy.PARTIAL


@dataclass(frozen=True)
class Call:
    """One request, its path matched and its body read. ``format``: that of its face; ``path``: the values of the path's
    parameters, decoded; ``headers``: names in lower case."""

    state: AppState
    format: Format
    caller: Principal
    method: str
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_id: str
    #: what is given back once the answer is on its way, or nobody waits for it any more
    closing: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def gateway(self) -> Gateway:
        """The use cases."""
        return self.state.gateway

    @property
    def ids(self) -> Ids:
        """Integer ids."""
        return self.state.ids

    @property
    def sites(self) -> Sequence[str] | None:
        """The sites that ``site=`` names; ``None`` (all) where it is not there, or names all with ``*``."""
        named = self.query.all("site")
        return None if not named or "*" in named else named

    @property
    def policy(self) -> Policy:
        """What to do when a site does not answer: ``policy=`` can ask for more than the settings do, and not for less."""
        named = self.query.first("policy") or Policy.PARTIAL
        if named.upper() not in Policy.__members__:
            raise RequestError(Code.BAD_REQUEST, f"policy: {named[:40]!r} is not PARTIAL or STRICT.")
        asked = Policy[named.upper()]
        return Policy.STRICT if Policy.STRICT in (asked, self.state.policy) else asked.of(self.caller)

    @property
    def write(self) -> WriteCall:
        """How the caller asks for a write."""
        return WriteCall(self.request_id, self.headers.get("idempotency-key") or None)

    @property
    def named_sites(self) -> tuple[str, ...] | None:
        """The sites that ``site=`` names, as a write at sites takes them."""
        return tuple(self.query.all("site")) or None

    @property
    def only_site(self) -> str | None:
        """The one site that ``site=`` names; ``None`` where it names none, or all of them."""
        named = self.query.first("site")
        return None if named == "*" else named

    def budget(self) -> MetricsBudget:
        """What the metrics of this request may take."""
        return MetricsBudget(self.state.limits)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; ``etag``: of one that stays the same, and may be asked for conditionally; ``rest``: what follows the body, each
    piece asked for when the one before is on its way. A ``GatewayError`` that it raises breaks the response off."""

    status: int = 200
    body: bytes | bytearray = b""
    media_type: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    rest: AsyncGenerator[bytes, None] | None = field(default=None, repr=False)

    @classmethod
    def json(
        cls,
        value: object,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
    ) -> Answer:
        """``value`` as one line of JSON."""
        return cls(status, encode(value), JSON, headers or {}, etag)
