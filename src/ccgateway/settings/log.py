"""``[log]``: what is logged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ccgateway.settings.base import Frozen

__all__ = ["LogSettings"]


class LogSettings(Frozen):
    """``[log]``: how much is told on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field("warning", description="How much is logged.")
