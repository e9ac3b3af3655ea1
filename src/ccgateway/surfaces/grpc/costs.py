"""What a request may list and cost: by the formula and the limits of GraphQL's operations.

The items of lists, at whatever depth, are counted before any of them is looked at; a request for metrics costs what the same
question costs there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.message import Message

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.metrics import MetricsWanted
from ccgateway.settings import LimitSettings
from ccgateway.surfaces.graphql.limits import (
    ALL_METRICS,
    COMMAND_COST,
    MOST_ITEMS,
    MOST_OBJECTS,
    ROOT_COST,
    WRITE_COST,
)
from ccgateway.surfaces.graphql.limits import METRIC_COST as EACH_METRIC
from ccgateway.telemetry.requests import note_cost

__all__ = ["check_commands", "check_fields", "check_filters", "check_metrics"]

#: bytes of the smallest field: its tag, and its value or length
SMALLEST = 2
#: bytes of the longest number
LONGEST = 10
_VARINT, _EIGHT_BYTES, _WITH_LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_SIZES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


def check_fields(body: bytes, of: type[Message], most: int) -> None:
    """Refuses a message of type ``of`` with more than ``most`` fields, at whatever depth.

    They are counted in its bytes, before it is read: an empty message takes two bytes there and two hundred in memory. What is no
    message is for the library to refuse.
    """
    if len(body) <= SMALLEST * most:
        return
    count, at, end, inner = 0, 0, len(body), _messages_in(of.DESCRIPTOR)
    outside: list[tuple[int, Mapping[int, Any]]] = []
    while at < len(body):
        while at >= end:  # behind its end where it is broken, or no message at all
            at = end
            end, inner = outside.pop()
        count += 1
        if count > most:
            raise RequestError(Code.LIMIT_EXCEEDED, f"The request has more than {most} fields, at whatever depth.")
        tag, at = _varint(body, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(body, at)
        elif kind == _WITH_LENGTH:
            size, at = _varint(body, at)
            message = inner.get(tag >> 3)
            if message is None or at + size > end:
                at += size
            else:
                outside.append((end, inner))
                end, inner = at + size, _messages_in(message)
        else:  # a group, if it is nothing else, has its fields among the others
            at += _SIZES.get(kind, 0)


@lru_cache(maxsize=256)
def _messages_in(of: Any) -> Mapping[int, Any]:
    """Of a descriptor: those of the fields that hold messages, by number."""
    return {field.number: field.message_type for field in of.fields if field.message_type is not None}


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """The number at that place, and the place behind it. What goes beyond the end, or beyond 64 bits, is cut there."""
    number = shift = 0
    for place in range(at, min(at + LONGEST, len(body))):
        byte = body[place]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place + 1
        shift += 7
    return number, min(at + LONGEST, len(body))


def check_filters(request: Message) -> None:
    """Refuses a question whose lists have too many items in all."""
    objects, others = _items_in(request, MOST_OBJECTS)
    if objects > MOST_OBJECTS:
        raise _over("lists", objects, "filters", MOST_OBJECTS)
    if others > MOST_ITEMS:
        raise _over("lists", others, "values", MOST_ITEMS)


def check_metrics(jobs: int, wanted: MetricsWanted, limits: LimitSettings) -> None:
    """Refuses a question for more metrics than one may ask for at once."""
    names, scopes = wanted.names, wanted.scopes
    each = EACH_METRIC * (ALL_METRICS if names is None else max(1, len(names))) * max(1, len(scopes or ()))
    cost = ROOT_COST + jobs * each
    note_cost(cost)
    if cost > limits.query_cost:
        raise _over("costs", cost, "(jobs × metrics × scopes)", limits.query_cost, "query_cost")


def check_commands(request: Message, commands: int, limits: LimitSettings) -> None:
    """Refuses a call that writes more, in commands and what they list, than one may."""
    objects, others = _items_in(request, limits.query_cost)
    cost = WRITE_COST + commands * COMMAND_COST + objects + others
    note_cost(cost)
    if cost > limits.query_cost:
        raise _over("costs", cost, "(orders and the items of their lists)", limits.query_cost, "query_cost")


def _items_in(request: Message, most: int) -> tuple[int, int]:
    """How many messages and how many other values the lists and maps in ``request`` have; counted no further than beyond ``most``
    messages."""
    objects = others = 0
    stack = [request]
    while stack:
        for field, value in stack.pop().ListFields():
            kind = field.message_type
            if not field.is_repeated:
                stack += [value] if kind is not None else []
            elif kind is not None and not kind.GetOptions().map_entry:
                objects += len(value)
                if objects > most:
                    return objects, others
                stack += value
            else:
                others += len(value)
    return objects, others


def _over(verb: str, found: int, what: str, limit: int, setting: str | None = None) -> RequestError:
    named = f" (limits.{setting})" if setting else ""
    return RequestError(Code.LIMIT_EXCEEDED, f"The request {verb} {found} {what}; the limit is {limit}{named}.")
