"""The port for traces. Without a place to send them to there is no tracer, and nothing of a library is imported."""

from __future__ import annotations

from typing import Protocol

from ccgateway.errors import SettingsError
from ccgateway.telemetry.observer import CallOutcome
from ccgateway.telemetry.requests import RequestRecord

__all__ = ["Tracer", "open_tracer"]


class Tracer(Protocol):
    """Makes spans. Owns what sends them: ``close`` sends what is left, and may take seconds."""

    def begin(self, record: RequestRecord) -> None:
        """The request begins: ``record.trace`` is the caller's, if it has one, and ours from then on."""
        ...

    def end(self, record: RequestRecord) -> None:
        """It has its answer."""
        ...

    def call_ended(self, site: str, outcome: CallOutcome, seconds: float) -> None:
        """An HTTP request to a site, for the current request, ended."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


def open_tracer(endpoint: str | None, share: float) -> Tracer | None:
    """As the settings of ``[traces]`` say. Raises ``SettingsError`` where the library is not installed."""
    if endpoint is None:
        return None
    try:
        from ccgateway.telemetry.traces import OtelTracer
    except ModuleNotFoundError as error:
        problem = f"OpenTelemetry is not installed ({error.name})"
        raise SettingsError("traces.endpoint", problem, "Install ccgateway[otel], or take the setting away.") from None
    return OtelTracer(endpoint, share)
