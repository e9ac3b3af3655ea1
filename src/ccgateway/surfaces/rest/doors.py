"""Who may use which root, as cc-backend has it from 1.4 on.

``/api`` is for administrators, and for machines, whose one role is ``api``; everybody else has ``/userapi``. Unlike cc-backend,
the gateway does not ask for the role ``api`` beside another: callers whose tokens are no cc-backend's do not have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ccgateway.identity.principal import Principal

__all__ = ["Door", "may_use_api", "may_use_userapi"]

Door: TypeAlias = Callable[[Principal], bool]


def may_use_api(caller: Principal) -> bool:
    """Administrators and machines."""
    return "admin" in caller.roles or caller.roles == {"api"}


def may_use_userapi(caller: Principal) -> bool:
    """Everybody with a role."""
    return bool(caller.roles)
