"""The access log: one line for each request, with who asked and what it took, and nothing of what was asked or answered."""

from __future__ import annotations

import logging

from ccgateway.errors import without_tokens
from ccgateway.telemetry.logs import FIELDS
from ccgateway.telemetry.requests import RequestRecord

__all__ = ["LOGGER", "AccessLog"]

LOGGER = "ccgateway.access"

#: characters of a caller's name, and sites that are named in one line
LONGEST, MOST_SITES = 100, 50


class AccessLog:
    """Writes the lines, to the logger ``ccgateway.access`` and at level ``info`` whatever the level of the others."""

    def __init__(self) -> None:
        self._log = logging.getLogger(LOGGER)
        self._log.setLevel(logging.INFO)

    def note(self, record: RequestRecord, seconds: float) -> None:
        """One line."""
        own = max(0.0, seconds - record.waited_by(record.began + seconds))
        fields: dict[str, object] = {
            "request": record.request_id,
            "client": record.client or "-",
            "caller": "-" if record.caller is None else without_tokens(record.caller, limit=LONGEST),
            "surface": record.surface.value,
            "kind": record.kind.value,
            "outcome": record.outcome().value,
            "ms": round(seconds * 1000, 1),
            "own_ms": round(own * 1000, 1),
        }
        if record.status is not None:
            fields["status"] = record.status
        if record.code is not None:
            fields["code"] = record.code.value
        if record.cost is not None:
            fields["cost"] = record.cost
        if record.trace is not None:
            fields["trace"] = record.trace.trace_id
        if record.sites:
            named = list(record.sites.items())[:MOST_SITES]
            fields["sites"] = {site: "OK" if code is None else code.value for site, code in named}
        self._log.info("%s", _as_text(fields), extra={FIELDS: {"message": "request", **fields}})


def _as_text(fields: dict[str, object]) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{site}:{word}" for site, word in value.items())
    text = str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if set(text) & set(' "=,') or not text else text
