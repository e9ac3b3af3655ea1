"""What the simulator's tests share: asking a site without a network, and jobs to ask for."""

from __future__ import annotations

from typing import Any

import msgspec

from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.messages import Request, Response

NOW = 1_760_000_000
EVERY_RELEASE = ("1.2", "1.3", "1.4", "1.5", "howto")


def ask(site: SimulatedSite, target: str, user: str | None = "demo", method: str = "GET", body: bytes = b"") -> Response:
    """What *site* answers to one of its users."""
    path, _, query = target.partition("?")
    headers = () if user is None else (("x-auth-token", site.token(user)),)
    return site.answer(Request(method, path, query, headers, body))


def ask_json(site: SimulatedSite, target: str, user: str = "demo") -> Any:
    response = ask(site, target, user)
    assert response.status == 200, response.body
    return msgspec.json.decode(response.body)


def job(number: int, **changes: Any) -> dict[str, Any]:
    """A finished job."""
    return {
        "id": number,
        "jobId": 1000 + number,
        "user": "alice",
        "project": "p_a",
        "cluster": "aurora",
        "subCluster": "main",
        "numNodes": 1,
        "startTime": NOW - 100_000 + number,
        "duration": 600,
        "walltime": 3600,
        "jobState": "completed",
        "resources": [{"hostname": "an001"}],
        "metaData": {"jobName": f"job{number}"},
    } | changes


def running(number: int, **changes: Any) -> dict[str, Any]:
    """A job that runs since 1000 seconds."""
    return job(number, **({"jobState": "running", "startTime": NOW - 1000} | changes))


def site(release: str, *jobs: dict[str, Any], **options: Any) -> SimulatedSite:
    """A site at the time NOW, unless it is given a clock."""
    return SimulatedSite("aurora", release, jobs, **({"clock": lambda: float(NOW)} | options))
