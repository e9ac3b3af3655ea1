"""``[portal]``: the pages for browsers."""

from __future__ import annotations

from pydantic import Field

from ccgateway.settings.base import Frozen

__all__ = ["PortalSettings"]


class PortalSettings(Frozen):
    """``[portal]``: what browsers are shown."""

    enabled: bool = Field(default=True, description="Serve the portal.")
