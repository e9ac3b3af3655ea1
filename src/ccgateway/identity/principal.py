"""The caller of the gateway, once it is known who that is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the name under which the calls appear in logs, and by which sites' credentials are chosen."""

    subject: str
