"""JSON bodies as Go decodes them into its structs, with Go's own complaints.

A :class:`Struct` says what a request's Go type looks like; :func:`decode` reads a body into plain values and raises
:class:`~ccgateway.simulator.messages.GoError` for what Go refuses: broken JSON, unknown fields, values of the wrong kind.
Go's habits are kept: keys match whatever their case, the last of two equal keys counts, null is as good as absent, and what
follows the first value is never looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ccgateway.simulator.messages import GoError

__all__ = ["List", "Map", "Scalar", "Shape", "Struct", "complaint", "decode"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string or number: ``string``, ``int``, ``int32``, ``int64``, ``float64``; *go* if the type has a name of its own."""

    kind: str
    go: str = ""

    @property
    def name(self) -> str:
        return self.go or self.kind


@dataclass(frozen=True, slots=True)
class List:
    """A slice; null elements are kept where they are."""

    name: str
    item: Shape


@dataclass(frozen=True, slots=True)
class Map:
    """A map with text as keys."""

    name: str
    value: Shape


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct. *embedded* are the fields that an embedded struct called *within* (with a dot) contributes."""

    name: str  #: with its package
    fields: Mapping[str, Shape]
    embedded: Mapping[str, Shape] = field(default_factory=dict)
    within: str = ""

    def field(self, key: str) -> tuple[str, str, Shape] | None:
        """Name, Go's path and shape of the field that *key* means."""
        for fields, path in ((self.fields, ""), (self.embedded, self.within)):
            name = key if key in fields else next((n for n in fields if n.lower() == key.lower()), None)
            if name is not None:
                return name, path + name, fields[name]
        return None


Shape = Scalar | List | Map | Struct


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Object(list[tuple[str, object]]):
    """An object's pairs in their order."""


def decode(body: bytes, shape: Shape) -> object:
    """The first JSON value of *body* as *shape* takes it; null is None.

    Raises:
        GoError: what Go says of it.
    """
    text = body.decode(errors="replace").lstrip(" \t\r\n")
    reader = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_constant)
    try:
        value, _ = reader.raw_decode(text)
    except json.JSONDecodeError as bad:
        raise GoError(_syntax(text, bad)) from bad
    taker = _Taker()
    taken = taker.take(value, shape, "", "")
    if taker.complaint is not None:
        raise GoError(taker.complaint)
    return taken


def complaint(text: str) -> str:
    """What Go's decoder dislikes first in broken JSON."""
    try:
        decode(text.encode(), Struct("", {}))
    except GoError as bad:
        return str(bad)
    return ""


def _is_short(value: object) -> bool:
    """Whether it is a whole number that fits into 32 bits: what most lists of a large job hold."""
    return type(value) is _Number and len(value) < 10 and value.isdecimal()


class _Taker:
    """Reads values; remembers the first thing that did not fit, as Go does, and goes on."""

    def __init__(self) -> None:
        self.complaint: str | None = None

    def take(self, value: object, shape: Shape, owner: str, path: str) -> object:
        if value is None:
            return None
        match shape:
            case Scalar():
                return self._scalar(value, shape, owner, path)
            case List():
                if type(value) is list:
                    if isinstance(shape.item, Scalar) and shape.item.kind.startswith("int") and all(map(_is_short, value)):
                        return [int(v) for v in value]
                    return [self.take(v, shape.item, owner, path) for v in value]
            case Map():
                if isinstance(value, _Object):
                    return {k: self.take(v, shape.value, owner, path) for k, v in value}
            case Struct():
                if isinstance(value, _Object):
                    return self._struct(value, shape, path)
        return self._refuse(_kind(value), shape.name, owner, path)

    def _scalar(self, value: object, shape: Scalar, owner: str, path: str) -> object:
        if shape.kind == "string":
            if isinstance(value, str) and not isinstance(value, _Number):
                return value
        elif isinstance(value, _Number):
            if shape.kind == "float64":
                return float(value)
            bits = 32 if shape.kind == "int32" else 64
            if re.fullmatch(r"-?\d+", value) and -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1):
                return int(value)
            return self._refuse(f"number {value}", shape.name, owner, path)
        return self._refuse(_kind(value), shape.name, owner, path)

    def _struct(self, pairs: _Object, shape: Struct, path: str) -> dict[str, object]:
        taken: dict[str, object] = {}
        for key, value in pairs:
            found = shape.field(key)
            if found is None:
                self._note(f"json: unknown field {json.dumps(key, ensure_ascii=False)}")
                continue
            name, go_path, inner = found
            owner = shape.name.rpartition(".")[2]
            result = self.take(value, inner, owner, f"{path}.{go_path}" if path else go_path)
            if value is not None:
                taken[name] = result
        return taken

    def _refuse(self, what: str, go: str, owner: str, path: str) -> object:
        """What Go leaves in place of a value that did not fit: nothing."""
        where = f"struct field {owner}.{path}" if path else "value"
        self._note(f"json: cannot unmarshal {what} into Go {where} of type {go}")
        return None

    def _note(self, text: str) -> None:
        self.complaint = self.complaint or text


def _kind(value: object) -> str:
    if isinstance(value, _Object):
        return "object"
    if isinstance(value, _Number):
        return "number"
    return {bool: "bool", str: "string", list: "array"}[type(value)]


def _constant(name: str) -> object:
    """NaN and its like, which are not JSON."""
    if name.startswith("-"):
        raise GoError(f"invalid character '{name[1]}' in numeric literal")
    raise GoError(f"invalid character '{name[0]}' looking for beginning of value")


def _syntax(text: str, bad: json.JSONDecodeError) -> str:
    """Python's complaint in Go's words."""
    if not text:
        return "EOF"
    at = bad.pos
    rest = text[at:]
    if not rest or bad.msg.startswith("Unterminated"):
        return "unexpected EOF"
    if bad.msg.startswith("Expecting value"):
        return _not_a_value(rest)
    if bad.msg.startswith("Invalid \\"):
        return f"invalid character {_quoted(text[at + 1])} in string escape code"
    if rest[0] == "." and text[at - 1 : at].isdigit():
        after = text[at + 1 : at + 2]
        return f"invalid character {_quoted(after)} after decimal point in numeric literal" if after else "unexpected EOF"
    if bad.msg.startswith("Invalid control"):
        context = "in string literal"
    elif bad.msg.startswith("Expecting property"):
        context = "looking for beginning of object key string"
    elif bad.msg.startswith("Expecting ':'"):
        context = "after object key"
    else:
        context = "after object key:value pair" if _inside(text[:at]) == "{" else "after array element"
    return f"invalid character {_quoted(rest[0])} {context}"


def _not_a_value(rest: str) -> str:
    for literal in ("true", "false", "null"):
        if rest[0] == literal[0]:
            same = next(n for n in range(1, len(literal)) if n == len(rest) or rest[n] != literal[n])
            if same == len(rest):
                return "unexpected EOF"
            return f"invalid character {_quoted(rest[same])} in literal {literal} (expecting '{literal[same]}')"
    if rest[0] == "-":
        return f"invalid character {_quoted(rest[1])} in numeric literal" if len(rest) > 1 else "unexpected EOF"
    return f"invalid character {_quoted(rest[0])} looking for beginning of value"


def _inside(text: str) -> str:
    """The bracket that *text* leaves open last."""
    open_brackets = [""]
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if character in "{[":
            open_brackets.append(character)
        elif character in "}]":
            open_brackets.pop()
    return open_brackets[-1]


def _quoted(character: str) -> str:
    return {"'": r"'\''", "\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'"}.get(character, f"'{character}'")
