"""Failures in the words of cc-backend 1.5, which are those of Go's standard library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from ccgateway.surfaces.rest.calls import Answer, encode

__all__ = ["NO_ROWS", "RefusedError", "decode_json", "json_response", "kind_of", "parse_int"]

NO_ROWS = "sql: no rows in result set"

_INT = re.compile(r"[+-]?[0-9]+", re.ASCII)
_BYTE = re.compile(r"\(byte (\d+)\)")


class RefusedError(Exception):
    """A request that cc-backend 1.5 answers with that status and message."""

    def __init__(self, status: HTTPStatus | int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = HTTPStatus(status), message


def parse_int(text: str, function: str = "ParseInt") -> int:
    """A decimal integer of 64 bits. ``ValueError`` with what ``strconv`` says."""
    shown = _quoted(text)
    if _INT.fullmatch(text) is None:
        raise ValueError(f"strconv.{function}: parsing {shown}: invalid syntax")
    number = int(text) if len(text) < 32 else 1 << 64
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"strconv.{function}: parsing {shown}: value out of range")
    return number


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def decode_json(body: bytes) -> Any:
    """The first JSON value of ``body``; what follows it does not matter. ``ValueError`` with what ``encoding/json`` says, or
    nearly."""
    text = body.decode("utf-8", "replace").strip(" \t\r\n").encode()
    if not text:
        raise ValueError("EOF")
    if rb"\ud" in text.lower():
        text = _ESCAPE.sub(_as_scalar, text)
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ValueError("exceeded max depth") from None
    except msgspec.DecodeError as error:
        words = str(error)
    if "truncated" in words:
        raise ValueError("unexpected EOF")
    at = int(found[1]) if (found := _BYTE.search(words)) else 0
    if "trailing characters" in words:
        return msgspec.json.decode(text[: at - 1])  # counted from 1
    where = next((ours for theirs, ours in _WHERE.items() if theirs in words), "looking for beginning of value")
    raise ValueError(f"invalid character {chr(text[min(at, len(text) - 1)])!r} {where}")


#: an escape in JSON: a pair of surrogates, one that is alone, or any other
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def _as_scalar(escape: re.Match[bytes]) -> bytes:
    """A surrogate that is alone stands for no character: Go reads U+FFFD."""
    return escape[0] if escape[1] is None else rb"\ufffd"


_WHERE = {
    "expected ':'": "after object key",
    "object keys must be strings": "looking for beginning of object key string",
    "expected ',' or '}'": "after object key:value pair",
    "expected ',' or ']'": "after array element",
    "escape": "in string escape code",
}


_ESCAPED = {
    b"<": rb"\u003c",
    b">": rb"\u003e",
    b"&": rb"\u0026",
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
}


def json_response(
    value: object, status: int = 200, *, headers: Mapping[str, str] | None = None, texts: Iterable[str] | None = None
) -> Answer:
    """``value`` as ``encoding/json`` writes it: with a few characters escaped that JSON does not ask to be, and a line's end.
    ``texts``: all texts in it, where there is much else."""
    text = encode(value)
    places = text if texts is None else "\0".join(texts).encode()
    for character, escape in _ESCAPED.items():
        if character[:1] in places and character in places:  # one byte is found ten times faster than three
            text = text.replace(character, escape)
    return Answer(status, text, headers=headers or {})


def kind_of(value: object) -> str:
    """What ``encoding/json`` calls a value of that kind."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"
