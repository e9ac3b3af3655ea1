"""``[export]``: whole result sets, and what hours count in reports on usage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ccgateway.settings.base import Frozen

__all__ = ["ExportSettings"]


class ExportSettings(Frozen):
    """``[export]``: how many exports at a time, and factors of clusters."""

    streams: int = Field(64, ge=1, description="Exports at any one time, in each process; more are refused (429).")
    streams_per_caller: int = Field(
        16, ge=1, description="Exports of one caller at any one time, in each process; more are refused (429)."
    )
    factors: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        {},
        description='What a core hour counts in `normalisedHours`, by "cluster" or "site:cluster"; clusters that are not named '
        "count 1. Without any factor the column is null.",
    )

    def factor(self, site: str, cluster: str) -> float | None:
        """What a core hour of that cluster counts; ``None`` where no factors are set at all."""
        if not self.factors:
            return None
        return self.factors.get(f"{site}:{cluster}", self.factors.get(cluster, 1.0))
