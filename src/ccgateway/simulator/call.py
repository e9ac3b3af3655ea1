"""What a request handler is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccgateway.simulator.gate import Principal
from ccgateway.simulator.messages import Request, Response
from ccgateway.simulator.release import Release

if TYPE_CHECKING:
    from ccgateway.simulator.backend import Backend

__all__ = ["Call", "FieldError", "Handler"]


class FieldError(Exception):
    """What a field of GraphQL has in place of a value."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that found its route and passed the gate."""

    backend: Backend
    request: Request
    who: Principal
    path: dict[str, str]  #: what the route's placeholders matched

    @property
    def release(self) -> Release:
        return self.backend.release


Handler = Callable[[Call], Response]
