"""What the tests of writes share: asking for them, and jobs to start."""

from __future__ import annotations

from typing import Any

import msgspec

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Response
from simulator.sites import NOW, ask

OLD = ("1.2", "1.3")
NEW = ("1.4", "1.5")
REAL = (*OLD, *NEW)


class Clock:
    """A site's time, to be moved by hand."""

    def __init__(self, now: float = float(NOW)) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def started(number: int, **changes: Any) -> dict[str, Any]:
    """The body of a start, without metadata; None leaves a key out."""
    body = {
        "jobId": number,
        "user": "alice",
        "project": "p_a",
        "cluster": "aurora",
        "subCluster": "main",
        "numNodes": 1,
        "startTime": NOW - 1000,
        "resources": [{"hostname": "an001"}],
    } | changes
    return {k: v for k, v in body.items() if v is not None}


def write(site: SimulatedSite, method: str, path: str, body: object = None, user: str | None = "demo") -> Response:
    """What *site* answers to a write below ``/api``."""
    raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    return ask(site, f"/api{path}", user, method, raw)


def start(site: SimulatedSite, number: int, who: str | None = "demo", **changes: Any) -> Response:
    return write(site, "POST", "/jobs/start_job/", started(number, **changes), who)


def stop(site: SimulatedSite, number: int, who: str | None = "demo", **changes: Any) -> Response:
    body = {"jobId": number, "cluster": "aurora", "stopTime": NOW - 400} | changes
    return write(site, "POST", "/jobs/stop_job/", {k: v for k, v in body.items() if v is not None}, who)


def error_of(response: Response) -> str:
    """The reason in an answer that refuses, be it JSON or text."""
    if response.body.startswith(b"{"):
        return str(msgspec.json.decode(response.body)["error"])
    return response.body.decode().rstrip("\n")


def told(response: Response) -> Any:
    assert response.status in {200, 201}, response
    return msgspec.json.decode(response.body)


def a_tag(site: SimulatedSite, kind: str, name: str, scope: str = "global") -> dict[str, str]:
    """A tag as the release's bodies name it."""
    return {"type": kind, "name": name} | ({"scope": scope} if site.release.tag_scopes else {})


def listed(site: SimulatedSite, user: str = "demo") -> list[int]:
    """Scheduler ids of all jobs in lists."""
    page = ask(site, f"/api/jobs/?{'items_per_page' if site.release.howto else 'items-per-page'}=1000", user)
    return [j["jobId"] for j in told(page)["jobs"]]
