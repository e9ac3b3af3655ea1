"""Credentials by the caller's name."""

from __future__ import annotations

from ccgateway.deadline import Deadline
from ccgateway.identity.principal import Principal
from ccgateway.site.credentials import Credential

__all__ = ["Whose"]


class Whose:
    """What a site is shown for each caller that is known."""

    expires: float | None = None

    def __init__(self, **known: Credential) -> None:
        self.known = known

    at_once = True

    async def of(self, caller: Principal, deadline: Deadline) -> Credential | None:
        return self.known.get(caller.subject)
