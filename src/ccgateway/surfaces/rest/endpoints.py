"""Operations as one face offers them, and the table that a request finds its operation in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from ccgateway.surfaces.rest.calls import Answer, Call

__all__ = ["FAILURES", "Endpoint", "Handler", "Match", "Operation", "Parameter", "Schema", "Table"]

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
#: a JSON schema
Schema: TypeAlias = Mapping[str, Any]


#: statuses with which anything may fail
FAILURES = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query. ``repeats``: it may come several times."""

    name: str
    description: str
    schema: Schema
    repeats: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    ``body``: the schema of what may be sent as JSON, ``form``: as a form; ``answers``: the type of the body by status (``str``:
    text; ``None``: nothing; several: one of them); ``failure``: the type of what is said with one of ``FAILURES``; ``streams``:
    the media types of an answer that is no JSON; ``reports``: whether a header may say that something is missing.
    """

    run: Handler
    name: str
    summary: str
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Schema | None = None
    form: Schema | None = None
    answers: Mapping[int, Any] = field(default_factory=dict)
    failure: Any = None
    streams: Sequence[str] = ()
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path below a face's base, such as ``/jobs/{id}``, and its operations by method."""

    path: str
    operations: Mapping[str, Operation]


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint of a path, and the values of the path's parameters, decoded."""

    endpoint: Endpoint
    values: Mapping[str, str]


class Table:
    """The endpoints of one face. The first that fits a path counts. ``lenient``: with or without a slash at the end."""

    def __init__(self, endpoints: Sequence[Endpoint], *, lenient: bool) -> None:
        self.endpoints = endpoints
        self._patterns = [(_pattern(one.path, lenient=lenient), one) for one in endpoints]

    def match(self, path: str) -> list[Match]:
        """Every endpoint that fits ``path`` (still encoded), the first to count first."""
        fits = ((pattern.fullmatch(path), one) for pattern, one in self._patterns)
        return [
            Match(one, {name: unquote(value) for name, value in found.groupdict().items()})
            for found, one in fits
            if found is not None
        ]


def _pattern(path: str, *, lenient: bool) -> re.Pattern[str]:
    fixed = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.rstrip("/"))
    return re.compile(fixed + ("/?" if lenient else "/" if path.endswith("/") else ""))
