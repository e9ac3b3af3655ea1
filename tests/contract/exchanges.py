"""The recorded exchanges: reading them, and telling readings from writings."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
RELEASES = {"v1.2.2": "1.2", "v1.3.1": "1.3", "v1.4.4": "1.4", "v1.5.4": "1.5"}

_WRITING_PATH = re.compile(
    r"/(?:user)?api/(?:jobs/(?:start_job|stop_job|tag_job|edit_meta|delete_job|delete_job_before)/|tags/|write/)"
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of ``exchanges.jsonl``."""

    recording: str
    number: int
    case: str
    at: int
    who: str
    auth: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    answer: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.recording}-{self.number:03d}-{self.case[:50]}"

    @property
    def writes(self) -> bool:
        """Whether it may change what later exchanges see."""
        return self.method not in {"GET", "HEAD"} and _WRITING_PATH.match(self.path.partition("?")[0]) is not None


def exchanges(recording: str) -> list[Exchange]:
    """All exchanges of one release, in order."""
    with (RECORDINGS / recording / "exchanges.jsonl").open() as lines:
        return [_exchange(recording, json.loads(line)) for line in lines]


def jobs(recording: str) -> list[dict[str, Any]]:
    """The jobs the instance started with."""
    loaded: list[dict[str, Any]] = json.loads((RECORDINGS / recording / "jobs.json").read_text())
    return loaded


def clusters(recording: str) -> list[dict[str, Any]] | None:
    """Its cluster configurations, where the release shows them."""
    path = RECORDINGS / recording / "clusters.json"
    return json.loads(path.read_text())["clusters"] if path.exists() else None


def _exchange(recording: str, line: dict[str, Any]) -> Exchange:
    request = line["request"]
    body = None
    if "text" in request:
        body = request["text"].encode()
    elif "json" in request:
        body = json.dumps(request["json"]).encode()
    return Exchange(
        recording=recording,
        number=line["n"],
        case=line["case"],
        at=line["at"],
        who=line["as"],
        auth=line["auth"],
        method=request["method"],
        path=request["path"],
        headers=request.get("headers", {}),
        body=body,
        answer=line["answer"],
    )
