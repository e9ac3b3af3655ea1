"""Numbers as a site writes them, packed as Protocol Buffers have them.

simdjson writes the doubles of a list straight into bytes, in a third of the time that it takes by way of Python's numbers. It is
not there for every Python, and takes and refuses other lists than msgspec does: what it refuses is read by msgspec, whose word on
what is a list of numbers counts.
"""

from __future__ import annotations

import math
import sys
from array import array
from typing import Any

import msgspec

try:
    import simdjson
except ImportError:  # no wheels for this Python
    simdjson = None  # type: ignore[assignment]

__all__ = ["packed"]

#: bytes of text up to which one parser, which keeps what it needed, is used again and again
KEPT = 1 << 20
#: bytes of text for each null, below which looking for their places takes longer than is gained
FEW = 1000

_PARSER = simdjson.Parser() if simdjson is not None else None
_NUMBERS = msgspec.json.Decoder(list[float | None])
_NAN = math.nan
#: what "null" has and no number: one character is found much faster than a word
_MISSING, _MARK = b"null", b"n"
#: what it raises for whatever is no list of numbers, or of numbers that it does not take
_REFUSALS = (AttributeError, RuntimeError, TypeError, ValueError)


def packed(text: msgspec.Raw) -> bytes:
    """A list of numbers and nulls, as JSON, as little-endian doubles; a null is NaN. Raises ``msgspec.MsgspecError``."""
    doubles = _by_simdjson(bytes(text)) if simdjson is not None and sys.byteorder == "little" else None
    return doubles if doubles is not None else _by_msgspec(text)


def _by_simdjson(text: bytes) -> bytes | None:
    """``None`` for what it refuses, for lists of lists, which it would take for one, and where too many are missing."""
    if text.rfind(b"[") > text.find(b"["):
        return None
    missing: list[int] = []
    if _MARK in text:
        if text.count(_MISSING) * FEW > len(text):
            return None
        missing = _places_of_nulls(text)
        text = text.replace(_MISSING, b" 0 ")  # apart from what stands beside it, so that no number becomes another
    try:
        parser = _PARSER if len(text) <= KEPT else simdjson.Parser()
        doubles = parser.parse(text).as_buffer(of_type="d")  # type: ignore[union-attr]
    except _REFUSALS:
        return None
    if not missing:
        return bytes(doubles)
    numbers = array("d", bytes(doubles))
    for place in missing:
        numbers[place] = _NAN
    return numbers.tobytes()


def _places_of_nulls(text: bytes) -> list[int]:
    """Which of the numbers are missing."""
    found: list[int] = []
    commas, counted, at = 0, 0, text.find(_MISSING)
    while at >= 0:
        commas += text.count(b",", counted, at)
        found.append(commas)
        counted, at = at, text.find(_MISSING, at + len(_MISSING))
    return found


def _by_msgspec(text: msgspec.Raw) -> bytes:
    numbers: list[Any] = _NUMBERS.decode(text)
    try:
        doubles = array("d", numbers)
    except TypeError:  # some are missing
        doubles = array("d", [_NAN if number is None else number for number in numbers])
    if sys.byteorder == "big":
        doubles.byteswap()
    return doubles.tobytes()
