"""Row types compiled for just the attributes a question needs, so that everything else is skipped while decoding.

A dialect says under which key each attribute travels (``Wire``); the compiled type renames, fills what upstream omits when it
is zero, and carries its site's name. Types and decoders are kept per (site, wire, attributes).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import msgspec

from ccgateway.jobs.model import ALWAYS, JOB_FIELDS, JOB_TEXTS, JobRow

__all__ = ["Computed", "Wire", "flat_decoder", "page_decoder", "row_type", "wrapped_decoder"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Computed:
    """An attribute made of others: the keys it needs, their types and defaults, and how to make it of them."""

    needs: tuple[tuple[str, Any, Any], ...]
    make: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Wire:
    """How one dialect writes jobs: the key of each attribute where it differs from camel case, and what must be computed.

    ``absent``: attributes that it never sends (their default holds). ``kinds``: types of those that travel in another form; made
    of that by the decoder's hook.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    computed: Mapping[str, Computed] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    kinds: Mapping[str, Any] = field(default_factory=dict)

    def key(self, attribute: str) -> str:
        """The JSON key of an attribute."""
        head, *rest = attribute.split("_")
        return self.keys.get(attribute) or head + "".join(part.capitalize() for part in rest)


@lru_cache(maxsize=1024)
def row_type(site: str, wire: Wire, attributes: frozenset[str]) -> type[JobRow]:
    """The row type of ``site`` that has ``attributes`` and those every row has."""
    fields: list[tuple[str, Any, Any]] = []
    rename: dict[str, str] = {}
    namespace: dict[str, Any] = {"site": site}
    for attribute in sorted(attributes | ALWAYS):
        if (absent := JOB_TEXTS.get(attribute)) is not None:
            value = attribute.removesuffix("_json")
            if value in wire.absent:
                namespace[attribute] = msgspec.Raw(absent)
            else:
                rename[attribute] = wire.key(value)
                fields.append((attribute, msgspec.Raw, msgspec.Raw(absent)))
            continue
        spec = JOB_FIELDS[attribute]
        if f"{attribute}_json" in attributes:  # one key cannot be decoded into two attributes
            namespace[attribute] = _property(msgspec.json.Decoder(spec.type).decode, (f"{attribute}_json",))
        elif attribute in wire.absent:
            namespace[attribute] = spec.default
        elif attribute in wire.computed:
            computed = wire.computed[attribute]
            sources = []
            for key, kind, default in computed.needs:
                sources.append(f"_{key}")
                if f"_{key}" not in rename:
                    rename[f"_{key}"] = key
                    fields.append((f"_{key}", kind, default))
            namespace[attribute] = _property(computed.make, tuple(sources))
        else:
            rename[attribute] = wire.key(attribute)
            fields.append((attribute, wire.kinds.get(attribute, spec.type), spec.default))
    made = msgspec.defstruct(
        "Row", fields, bases=(JobRow,), namespace=namespace, rename=rename, kw_only=True, gc=False, module=__name__
    )
    return cast("type[JobRow]", made)


def _property(make: Callable[..., Any], sources: tuple[str, ...]) -> property:
    if len(sources) == 1:
        only = sources[0]
        return property(lambda row: make(getattr(row, only)))
    return property(lambda row: make(*(getattr(row, source) for source in sources)))


class _Page(msgspec.Struct, Generic[T]):
    jobs: list[T]


class _Wrapped(msgspec.Struct, Generic[T], rename={"meta": "Meta"}):
    meta: T


@lru_cache(maxsize=1024)
def page_decoder(site: str, wire: Wire, attributes: frozenset[str]) -> msgspec.json.Decoder[_Page[JobRow]]:
    """Decodes ``{"jobs": […]}``."""
    return msgspec.json.Decoder(_Page[row_type(site, wire, attributes)])  # type: ignore[misc]


@lru_cache(maxsize=1024)
def wrapped_decoder(site: str, wire: Wire, attributes: frozenset[str]) -> msgspec.json.Decoder[_Wrapped[JobRow]]:
    """Decodes ``{"Meta": …, "Data": …}``."""
    return msgspec.json.Decoder(_Wrapped[row_type(site, wire, attributes)])  # type: ignore[misc]


@lru_cache(maxsize=1024)
def flat_decoder(site: str, wire: Wire, attributes: frozenset[str]) -> msgspec.json.Decoder[JobRow]:
    """Decodes one job object."""
    return msgspec.json.Decoder(row_type(site, wire, attributes))


def epoch(value: int | dt.datetime) -> int:
    """Epoch seconds of either form in which releases write a start time."""
    if isinstance(value, int):
        return value
    return int((value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)).timestamp())
