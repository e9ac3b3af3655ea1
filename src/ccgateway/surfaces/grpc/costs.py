"""What a request may list and cost: by the formula and the limits of GraphQL's operations.

The items of lists, at whatever depth, are counted before any of them is looked at; a request for metrics costs what the same
question costs there.
"""

from __future__ import annotations

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

__all__ = ["check_commands", "check_filters", "check_metrics"]


def check_filters(request: Message) -> None:
    """Refuses a question whose lists have too many items in all."""
    objects, others = _items_in(request)
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
    objects, others = _items_in(request)
    cost = WRITE_COST + commands * COMMAND_COST + objects + others
    note_cost(cost)
    if cost > limits.query_cost:
        raise _over("costs", cost, "(orders and the items of their lists)", limits.query_cost, "query_cost")


def _items_in(request: Message) -> tuple[int, int]:
    """How many messages and how many other values the lists and maps in ``request`` have."""
    objects = others = 0
    stack = [request]
    while stack:
        for field, value in stack.pop().ListFields():
            kind = field.message_type
            if not field.is_repeated:
                stack += [value] if kind is not None else []
            elif kind is not None and not kind.GetOptions().map_entry:
                objects += len(value)
                stack += value
            else:
                others += len(value)
    return objects, others


def _over(verb: str, found: int, what: str, limit: int, setting: str | None = None) -> RequestError:
    named = f" (limits.{setting})" if setting else ""
    return RequestError(Code.LIMIT_EXCEEDED, f"The request {verb} {found} {what}; the limit is {limit}{named}.")
