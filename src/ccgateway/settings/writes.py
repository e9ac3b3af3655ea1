"""``[writes]``: how much callers may write, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ccgateway.settings.base import Frozen

__all__ = ["WriteSettings"]


class WriteSettings(Frozen):
    """``[writes]``: bounds on what callers change, within what the sites let them."""

    enabled: bool = Field(default=True, description="Let callers write; false makes every site read-only.")
    per_minute: int = Field(6000, ge=1, description="Orders (a job to start, to tag, …) that one caller may send in a minute.")
    calls_at_once: int = Field(8, ge=1, description="Writing calls of one caller at any one time.")
    keys_for: float = Field(
        86_400.0, ge=1, le=30 * 86_400, description="Seconds for which an idempotency key stands for the result that it had."
    )
    audit_file: Path | None = Field(
        None, description="File to which a line is added for every write, besides the log (logger ccgateway.audit)."
    )
    audit_required: bool = Field(
        default=False, description="Refuse writes while `writes.audit_file` cannot be written; false makes them and says so."
    )

    @model_validator(mode="after")
    def _names_a_file(self) -> Self:
        if self.audit_required and self.audit_file is None:
            raise ValueError("audit_required needs an audit_file")
        return self
