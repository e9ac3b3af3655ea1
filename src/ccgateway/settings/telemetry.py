"""``[metrics]``, ``[log]`` and ``[traces]``: what the gateway tells of its work."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ccgateway.settings.base import Frozen, is_loopback

__all__ = ["LogSettings", "MetricsSettings", "TraceSettings"]


class MetricsSettings(Frozen):
    """``[metrics]``: off unless it has a port."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on for Prometheus; nobody is asked who they are.")
    port: int | None = Field(
        None, ge=0, le=65535, description="Port of /metrics, usually 9464; 0 picks a free one. Left out: there are no metrics."
    )

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)


class LogSettings(Frozen):
    """``[log]``."""

    level: Literal["debug", "info", "warning", "error"] = Field("warning", description="The least that is logged.")
    format: Literal["console", "json"] = Field("console", description="Lines for people, or one JSON object each.")
    access: bool = Field(default=False, description="Write one line for each request.")


class TraceSettings(Frozen):
    """``[traces]``: off unless there is somewhere to send them to."""

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s@]+(/[^?#\s]*)?$",
        description="Where traces go, by OTLP over HTTP, such as http://localhost:4318/v1/traces; needs ccgateway[otel].",
    )
    share: float = Field(1.0, ge=0, le=1, description="Share of the requests that are traced, of those that bring no trace.")
