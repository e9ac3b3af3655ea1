"""What real instances answered, by title of the exchange (contract: recordings/README.md)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from ccgateway.site.exchange import SiteAnswer

__all__ = ["RECORDED", "body_of", "recorded", "recorded_jobs"]

FOLDER = Path(__file__).parents[1] / "contract" / "recordings"

#: the recorded release of each dialect
RECORDED = {"1.2": "v1.2.2", "1.3": "v1.3.1", "1.4": "v1.4.4", "1.5": "v1.5.4"}


@cache
def _exchanges(dialect: str) -> list[dict[str, Any]]:
    lines = (FOLDER / RECORDED[dialect] / "exchanges.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def recorded(dialect: str, case: str, who: str = "demo") -> SiteAnswer:
    """The first recorded answer to the request of that title by that user."""
    found = next(one["answer"] for one in _exchanges(dialect) if one["case"] == case and one["as"] == who)
    body = json.dumps(found["json"]).encode() if "json" in found else found.get("text", "").encode()
    kinds = found.get("content_type") or [""]
    return SiteAnswer(found["status"], kinds[0].partition(";")[0], body, found.get("headers", {}).get("location"))


def body_of(dialect: str, case: str, who: str = "demo") -> Any:
    """The decoded JSON of that answer."""
    return json.loads(recorded(dialect, case, who).body)


def recorded_jobs(dialect: str) -> list[dict[str, Any]]:
    """The jobs with which the instance started, as its own list gave them."""
    loaded: list[dict[str, Any]] = body_of(dialect, "list: all, with metadata (the starting state)")["jobs"]
    return loaded
