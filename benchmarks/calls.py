"""How much of this package's code a request passes: files, functions and calls, of six requests.

Counted in this process, without a server and without its warm-up: functions that are entered from the moment when the application
is given a request until its answer is there. A coroutine that goes on after a pause is not entered again. What libraries call of
ours counts; what they call of their own does not.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import httpx2

import ccgateway
from benchmarks.contestants import LONG
from benchmarks.processes import Site, prepared
from ccgateway.app import create_app
from ccgateway.settings import Settings

__all__ = ["calls_of_requests"]

_PACKAGE = f"{Path(ccgateway.__file__).parent}/"
_METRICS = "name metric { timestep series { hostname data } }"


@dataclass(frozen=True)
class _Request:
    """One request. ``is_cached``: the gateway remembers the answers that it has given; else it remembers none."""

    name: str
    send: Callable[[httpx2.AsyncClient], httpx2.Request]
    is_cached: bool = False


def _query(document: str) -> Callable[[httpx2.AsyncClient], httpx2.Request]:
    return lambda client: client.build_request("POST", "/graphql", json={"query": document})


def _requests() -> Sequence[_Request]:
    jobs = _query(f"{{ jobs(page: {{ itemsPerPage: 16, page: 1 }}) {{ items {{ {LONG} }} }} }}")
    metrics = _query(f'{{ jobMetrics(id: "aurora:1", metrics: ["flops_any"]) {{ {_METRICS} }} }}')
    numbers = itertools.count()

    def tag(client: httpx2.AsyncClient) -> httpx2.Request:
        tags = [{"type": "benchmark", "name": f"calls {next(numbers)}", "scope": "global"}]
        return client.build_request("POST", "/cc-backend/1.5/api/jobs/tag_job/1001", json=tags)

    return [
        _Request("GraphQL, list of two sites", jobs),
        _Request("GraphQL, the same from memory", jobs, is_cached=True),
        _Request("GraphQL, `jobMetrics`", metrics),
        _Request("GraphQL, the same from memory", metrics, is_cached=True),
        _Request("REST, list", lambda client: client.build_request("GET", "/cc-backend/1.5/api/jobs/?items-per-page=16")),
        _Request("REST, tag", tag),
    ]


async def calls_of_requests() -> None:
    """Prints the table."""
    print("\n### What a request passes\n\n| | files | functions | calls |\n|---|--:|--:|--:|")
    with ExitStack() as stack:
        sites = [
            stack.enter_context(prepared(jobs=500, release="1.5", cluster="aurora")),
            stack.enter_context(prepared(jobs=500, release="1.4", cluster="borealis", seed=2)),
        ]
        for request in _requests():
            entered = await _entered(request, sites)
            files = len({code.co_filename for code in entered})
            print(f"| {request.name} | {files} | {len(entered)} | {entered.total()} |")


async def _entered(request: _Request, sites: Sequence[Site]) -> Counter[CodeType]:
    """The functions that one request enters, in a gateway that has answered two others like it."""
    entered: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        # where a coroutine goes on, it stands at a RESUME of another kind than 0
        if event == "call" and code.co_filename.startswith(_PACKAGE) and code.co_code[frame.f_lasti + 1] == 0:
            entered[code] += 1

    cache = {} if request.is_cached else {"memory_bytes": 0}
    known = {
        site.name: {"number": number, "url": site.url, "release": site.release, "token": site.token}
        for number, site in enumerate(sites, 1)
    }
    app = create_app(Settings.model_validate({"sites": known, "cache": {"list_for": 60} | cache}))
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 1))
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        for is_counted in (False, False, True):
            sent = request.send(client)
            if is_counted:
                sys.setprofile(note)
            try:
                answer = await client.send(sent)
            finally:
                sys.setprofile(None)
            if answer.status_code != 200 or '"errors"' in answer.text:
                raise SystemExit(f"{request.name}: HTTP {answer.status_code}, {answer.text[:300]}")
    return entered
