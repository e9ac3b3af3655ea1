"""The simulator answers every recorded exchange as the real instance did: readings and writings, in their order.

Status, every content type, Location and Allow, and the body are compared exactly, except: metric values, and what is computed
from them for jobs that the recording itself starts (they are made up; names, scopes, places, units, time steps and lengths must
agree), the order of metrics and of their series and that of partitions (random upstream), and the login page (recorded up to its
doctype). What is left out is named in ``LEFT_OUT``, case by case with the reason; a case named there that would agree after all
fails, so the list cannot rot.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ccgateway.simulator import SimulatedSite, serve
from contract.exchanges import RELEASES, Exchange, clusters, exchanges, jobs

STORE = (
    "which metrics a job has at which scopes is up to the metric store, and the recording's held others than those made up here"
)
FED = "the instance knew only the metric that the recording fed it by line protocol, with a sample at the very end of the job"
MADE_UP = "the samples of an archived job are no part of the recording, and are made up here"
UNORDERED = "no order was asked for, and which jobs come first is up to the database"
CUT = "the request was recorded in abridged form"

EVERYWHERE = frozenset(RELEASES)
UP_TO_13 = frozenset({"v1.2.2", "v1.3.1"})
FROM_13 = EVERYWHERE - {"v1.2.2"}
ONLY_15 = frozenset({"v1.5.4"})

LEFT_OUT = {  # case: why, and where; elsewhere the case is compared like any other
    "running job with all metrics": (STORE, FROM_13),
    "stopped job with all metrics": (STORE, FROM_13),
    "stopped job's metrics": (FED, ONLY_15),
    "list of the stopped": (FED, ONLY_15),
    "list at the end": (FED, ONLY_15),
    "query: jobs with range filter": (UNORDERED, EVERYWHERE),
    "query: job metrics": (MADE_UP, frozenset({"v1.2.2", "v1.5.4"})),
    "query: as alice": (UNORDERED, UP_TO_13),
    "query: all jobs in one page": (UNORDERED, EVERYWHERE),
    "query: very many aliases": (CUT, EVERYWHERE),
}

#: seconds until a job that was stopped is archived, in what the recording was made of; times are whole seconds there
ARCHIVING = {"v1.2.2": 1.0, "v1.3.1": 1.0, "v1.4.4": 1.0, "v1.5.4": 0.0}
#: the recorded instance ran its commit worker every 5 s; that it did a second after the jobs were started comes to the same
COMMIT = 1.0
#: scheduler ids from here on are of jobs that the recording starts
STARTED = 9000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, in the recordings' form."""

    status: int
    content_types: list[str] | None
    headers: dict[str, str]
    body: object


def tokens(site: SimulatedSite, at: int) -> dict[str, str | None]:
    """One for everybody the recordings name."""
    other = SimulatedSite("other", "1.5", [])
    bad: dict[str, str | None] = {
        "nobody": None,
        "malformed": "not-a-token",
        "forged": other.mint("demo", ["admin", "api"]),
        "expired": site.mint("demo", ["admin", "api"], exp=at - 60),
        "hs256": HS256,
        "norole": site.mint("demo", []),
        "adminonly": site.mint("demo", ["admin"]),
        "useronly": site.mint("alice", ["user"]),
        "nosub": site.mint(None, ["admin", "api"]),
        "stranger": site.mint("stranger", ["user", "api"]),
        "manyroles": site.mint("demo", ["admin", "user", "api"]),
    }
    return {user: site.token(user) for user in site.users} | bad


#: {"sub": "demo", "roles": ["admin", "api"]}, signed with HS256 and "x" * 32
HS256 = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJkZW1vIiwicm9sZXMiOlsiYWRtaW4iLCJhcGkiXX0."
    "c2lnbmF0dXJlIHRoYXQgbm9ib2R5IGxvb2tzIGF0Li4u"
)


async def _replay(recording: str) -> dict[int, Answer]:
    """Answers to all exchanges of one recording, asked in order over one socket, by number."""
    answers = {}
    clock = [0.0]
    zone = "UTC" if recording == "v1.5.4" else "Europe/Berlin"
    everything = exchanges(recording)
    clock[0] = everything[0].at
    site = SimulatedSite(
        recording,
        RELEASES[recording],
        jobs(recording),
        clusters(recording),
        zone=zone,
        clock=lambda: clock[0],
        commit=COMMIT,
        archiving=ARCHIVING[recording],
    )
    site.keys.clock = lambda: clock[0]
    shown = tokens(site, everything[0].at)
    async with serve(site) as running, httpx.AsyncClient(base_url=running[recording].url) as client:
        for exchange in everything:
            clock[0] = exchange.at
            answers[exchange.number] = await _ask(client, exchange, shown[exchange.who])
    return answers


async def _ask(client: httpx.AsyncClient, exchange: Exchange, token: str | None) -> Answer:
    headers = dict(exchange.headers)
    if token is not None:
        name, _, scheme = exchange.auth.partition(" ")
        headers[name] = f"{scheme} {token}".strip()
    response = await client.request(exchange.method, exchange.path, headers=headers, content=exchange.body)
    try:
        body: object = response.json()
    except json.JSONDecodeError:
        body = response.text
    return Answer(
        response.status_code,
        response.headers.get_list("content-type") or None,
        {k: response.headers[k] for k in ("Allow", "Location") if k in response.headers},
        body,
    )


def recorded(exchange: Exchange) -> Answer:
    answer = exchange.answer
    return Answer(
        answer["status"], answer["content_type"], answer["headers"], answer["json"] if "json" in answer else answer["text"]
    )


def comparable(answer: Answer) -> Answer:
    """Without what may differ."""
    body = answer.body
    if isinstance(body, str) and body.startswith("<!DOCTYPE html>"):
        body = "<!DOCTYPE html>"
    elif isinstance(body, dict) and "errors" not in body:
        body = _without_made_up(body)
        if isinstance(body.get("Data"), dict):
            body["Data"] = {
                name: {scope: _structure(metric) for scope, metric in scopes.items()} for name, scopes in body["Data"].items()
            }
        elif isinstance(body.get("Data"), list):
            body["Data"] = _entries(body["Data"])
        elif "error" in body and isinstance(body.get("data"), dict):
            body["data"] = {"jobMetrics": _entries(body["data"]["jobMetrics"])}
        elif "clusters" in (body.get("data") or ()):
            body["data"] = {"clusters": [c | {"partitions": sorted(c["partitions"])} for c in body["data"]["clusters"]]}
    return Answer(answer.status, answer.content_types, answer.headers, body)


def _without_made_up(body: dict[str, Any]) -> dict[str, Any]:
    """An answer with names in place of numbers where the jobs in it were started by the recording."""
    body = dict(body)
    if isinstance(body.get("Meta"), dict):
        body["Meta"] = _without_made_up(body["Meta"])
    if "items" in body and isinstance(body.get("jobs"), list):
        body["jobs"] = [_without_made_up(job) for job in body["jobs"]]
    if STARTED <= body.get("jobId", 0) < STARTED + 1000:
        body["statistics"] = sorted(body.get("statistics") or ())
        body["footprint"] = sorted(body.get("footprint") or ())
        for column in ("memUsedMax", "flopsAnyAvg", "memBwAvg", "loadAvg"):
            if column in body:
                body[column] = body[column] > 0
    return body


def _entries(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    entries = [m | {"metric": _structure(m["metric"])} for m in metrics]
    return sorted(entries, key=lambda m: (m["name"], m["scope"]))


def _structure(metric: dict[str, Any]) -> dict[str, Any]:
    """A metric with lengths in place of values."""
    series = [s | {"statistics": sorted(s["statistics"]), "data": len(s["data"])} for s in metric["series"]]
    across = {k: v and len(v) for k, v in metric.get("statisticsSeries", {}).items()}
    return metric | {
        "series": sorted(series, key=lambda s: (s["hostname"], s.get("id", ""))),
        "statisticsSeries": across,
    }


def everything() -> Iterator[Exchange]:
    return (e for recording in RELEASES for e in exchanges(recording))


def _left_out(exchange: Exchange) -> bool:
    _, where = LEFT_OUT.get(exchange.case, ("", frozenset()))
    return exchange.recording in where


def differences(recording: str) -> dict[str, tuple[Answer, Answer]]:
    """By exchange: what was answered, and what was recorded, where they are not the same."""
    answers = asyncio.run(_replay(recording))
    pairs = {e.id: (comparable(answers[e.number]), comparable(recorded(e))) for e in exchanges(recording)}
    return {name: (given, wanted) for name, (given, wanted) in pairs.items() if given != wanted}


@pytest.mark.parametrize("recording", RELEASES)
def test_every_exchange_is_answered_as_recorded_but_those_left_out(recording: str) -> None:
    left_out = {e.id for e in exchanges(recording) if _left_out(e)}
    found = differences(recording)
    wrong = [f"{name}\n  given:  {given}\n  wanted: {wanted}" for name, (given, wanted) in found.items() if name not in left_out]
    assert not wrong, "\n".join(wrong)
    assert left_out - found.keys() == set(), "these agree, and need not be left out"


def test_nothing_is_skipped_silently() -> None:
    counts = {
        recording: Counter("left out" if _left_out(e) else "writing" if e.writes else "reading" for e in exchanges(recording))
        for recording in RELEASES
    }
    assert counts == {
        "v1.2.2": {"reading": 203, "writing": 82, "left out": 5},
        "v1.3.1": {"reading": 202, "writing": 82, "left out": 6},
        "v1.4.4": {"reading": 203, "writing": 82, "left out": 5},
        "v1.5.4": {"reading": 199, "writing": 83, "left out": 9},
    }
    assert set(LEFT_OUT) == {e.case for e in everything() if _left_out(e)}


def test_no_writing_is_left_out() -> None:
    assert [e.id for e in everything() if e.writes and _left_out(e)] == []


@pytest.mark.parametrize("recording", RELEASES)
def test_before_the_first_writing_nothing_is_left_out(recording: str) -> None:
    first = next(e.number for e in exchanges(recording) if e.writes)
    assert [e.case for e in exchanges(recording) if e.number < first and _left_out(e)] == []
