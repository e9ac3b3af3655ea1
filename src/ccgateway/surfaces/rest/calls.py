"""What a handler of the REST faces gets and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl

import msgspec

from ccgateway.errors import Code, RequestError
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.federation.questions import Policy
from ccgateway.identity.principal import Principal
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.rest.ids import Ids
from ccgateway.traffic.admission import Traffic

__all__ = ["JSON", "TEXT", "Answer", "Call", "Desk", "Query", "encode"]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

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


@dataclass(frozen=True, slots=True)
class Desk:
    """What all requests share. ``policy``: what holds for requests that do not name one."""

    gateway: Gateway
    limits: LimitSettings
    ids: Ids
    traffic: Traffic
    policy: Policy = Policy.PARTIAL


@dataclass(frozen=True)
class Call:
    """One request, its path matched and its body read. ``path``: the values of the path's parameters, decoded;
    ``headers``: names in lower case."""

    desk: Desk
    caller: Principal
    method: str
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    request_id: str

    @property
    def gateway(self) -> Gateway:
        """The use cases."""
        return self.desk.gateway

    @property
    def ids(self) -> Ids:
        """Integer ids."""
        return self.desk.ids

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
        return Policy.STRICT if Policy.STRICT in (asked, self.desk.policy) else asked.of(self.caller)

    def budget(self) -> MetricsBudget:
        """What the metrics of this request may take."""
        return MetricsBudget(self.desk.limits)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; ``etag``: of one that stays the same, and may be asked for conditionally."""

    status: int = 200
    body: bytes | bytearray = b""
    media_type: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None

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
