"""Requests and responses as plain values, and the small Go habits that show in them.

:class:`Request`, :class:`Response`; builders for each release's error forms; :func:`parse_int` words failures as Go does.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from urllib.parse import parse_qsl

import msgspec

__all__ = [
    "HTML",
    "JSON",
    "TEXT",
    "GoError",
    "Request",
    "Response",
    "encoder",
    "json_error",
    "json_response",
    "login_page",
    "moved",
    "parse_int",
    "text_response",
    "unauthorized",
]

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"

encoder = msgspec.json.Encoder()


class GoError(ValueError):
    """A failure in the words of Go's standard library."""


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()  #: names in lower case
    body: bytes = b""

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k == name), None)

    @cached_property
    def parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def values(self, key: str) -> list[str]:
        return [v for k, v in self.parameters if k == key]

    def value(self, key: str) -> str | None:
        return next(iter(self.values(key)), None)

    @property
    def token(self) -> str | None:
        """The token as cc-backend finds it: X-Auth-Token wins, ``Bearer `` is stripped."""
        shown = self.header("x-auth-token") or self.header("authorization")
        return shown.removeprefix("Bearer ") if shown else None


@dataclass(frozen=True, slots=True)
class Response:
    """What a site answers; *jobs* says how many it had to look up, for the artificial cost."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    jobs: int = 0


def json_response(value: object, *, status: int = 200, content_type: str = JSON, jobs: int = 0) -> Response:
    return Response(status, encoder.encode(value), (("content-type", content_type),), jobs)


def json_error(status: int, message: str, *, content_types: int = 1) -> Response:
    """The handlers' error form; some add their content type a second time."""
    body = {"status": HTTPStatus(status).phrase, "error": message}
    return Response(status, encoder.encode(body) + b"\n", (("content-type", JSON),) * content_types)


def text_response(status: int, text: str) -> Response:
    """What Go's ``http.Error`` sends."""
    return Response(status, f"{text}\n".encode(), (("content-type", TEXT),))


def unauthorized(message: str, *, times: int = 1) -> Response:
    """The gate's 401; *times* documents in one body."""
    body = encoder.encode({"error": message, "status": "Unauthorized"}) + b"\n"
    return Response(401, body * times, (("content-type", JSON),))


def login_page() -> Response:
    page = b"<!DOCTYPE html>\n<html><head><title>Login</title></head><body><form>Please log in.</form></body></html>\n"
    return Response(401, page, (("content-type", HTML),))


def moved(method: str, location: str) -> Response:
    """Go's redirect to the registered form of a path."""
    if method not in {"GET", "HEAD"}:
        return Response(301, b"", (("location", location),))
    body = f'<a href="{html.escape(location)}">Moved Permanently</a>.\n\n' if method == "GET" else ""
    return Response(301, body.encode(), (("location", location), ("content-type", HTML)))


def parse_int(text: str, function: str = "ParseInt") -> int:
    """A decimal 64-bit integer.

    Raises:
        GoError: in the words of ``strconv``.
    """
    if re.fullmatch(r"[+-]?[0-9]+", text) is None:
        raise GoError(f'strconv.{function}: parsing "{text}": invalid syntax')
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise GoError(f'strconv.{function}: parsing "{text}": value out of range')
    return number
