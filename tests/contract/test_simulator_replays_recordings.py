"""The simulator answers every recorded reading exchange as the real instance did.

Status, every content type, Location and Allow, and the body are compared exactly, except: metric values (they are made up;
names, scopes, places, units, time steps and lengths must agree), the order of metrics and of their series (random upstream),
and the login page (recorded up to its doctype). What is left out is named in ``LEFT_OUT``, case by case with the reason; a case
named there that would agree after all fails, so the list cannot rot.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
import pytest

from ccgateway.simulator import SimulatedSite, serve
from contract.exchanges import RELEASES, Exchange, clusters, exchanges, jobs

EFFECT = "comes after writes and shows their effect; the simulator does not write yet"
PARTITIONS = "the partitions include that of jobs started meanwhile; the simulator does not write yet"
UNANSWERED = "a GraphQL document other than clusters, which the simulator does not answer"
CUT = "the request was recorded in abridged form"

EVERYWHERE = frozenset(RELEASES)
UP_TO_13 = frozenset({"v1.2.2", "v1.3.1"})
FROM_13 = EVERYWHERE - {"v1.2.2"}
FROM_14 = EVERYWHERE - UP_TO_13
ONLY_15 = frozenset({"v1.5.4"})

LEFT_OUT = {  # case: why, and where; elsewhere the case is compared like any other
    "job with tags as demo": (EFFECT, FROM_13),
    "job with tags as robot": (EFFECT, FROM_13),
    "job with tags as sam": (EFFECT, ONLY_15),
    "job with tags as alice": (EFFECT, FROM_14),
    "list shows tags": (EFFECT, EVERYWHERE),
    "job after meta": (EFFECT, FROM_13),
    "list right after start": (EFFECT, EVERYWHERE),
    "list until the started jobs show": (EFFECT, EVERYWHERE),
    "used nodes while running": (EFFECT, ONLY_15),
    "running job": (EFFECT, FROM_13),
    "running job's metrics": (EFFECT, EVERYWHERE),
    "running job with all metrics": (EFFECT, FROM_13),
    "stopped job until archived": (EFFECT, EVERYWHERE),
    "stopped job's metrics": (EFFECT, EVERYWHERE),
    "stopped job with all metrics": (EFFECT, FROM_13),
    "list of the stopped": (EFFECT, EVERYWHERE),
    "the job after that": (EFFECT, FROM_13),
    "the deleted job": (EFFECT, FROM_13),
    "list at the end": (EFFECT, EVERYWHERE),
    "query: clusters": (PARTITIONS, EVERYWHERE),
    "query: jobs and count": (UNANSWERED, EVERYWHERE),
    "query: jobs with range filter": (UNANSWERED, EVERYWHERE),
    "query: count only": (UNANSWERED, EVERYWHERE),
    "query: statistics": (UNANSWERED, EVERYWHERE),
    "query: statistics by user": (UNANSWERED, EVERYWHERE),
    "query: job metrics": (UNANSWERED, EVERYWHERE),
    "query: tags": (UNANSWERED, EVERYWHERE),
    "query: order without type": (UNANSWERED, UP_TO_13),
    "query: as alice": (UNANSWERED, EVERYWHERE),
    "query: as robot": (UNANSWERED, EVERYWHERE),
    "query: job by id as robot": (UNANSWERED, EVERYWHERE),
    "query: by GET": (UNANSWERED, UP_TO_13),
    "query: all jobs in one page": (UNANSWERED, EVERYWHERE),
    "query: very many aliases": (CUT, EVERYWHERE),
}


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


@lru_cache
def replayed(recording: str) -> dict[int, Answer]:
    """Answers to all readings of one recording, asked in order over one socket, by number."""
    return asyncio.run(_replay(recording))


async def _replay(recording: str) -> dict[int, Answer]:
    answers = {}
    clock = [0.0]
    zone = "UTC" if recording == "v1.5.4" else "Europe/Berlin"
    site = SimulatedSite(recording, RELEASES[recording], jobs(recording), clusters(recording), zone=zone, clock=lambda: clock[0])
    everything = exchanges(recording)
    site.keys.clock = lambda: clock[0]
    clock[0] = everything[0].at
    shown = tokens(site, everything[0].at)
    async with serve(site) as running, httpx.AsyncClient(base_url=running[recording].url) as client:
        for exchange in everything:
            if exchange.writes:
                continue
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
        body = dict(body)
        if isinstance(body.get("Data"), dict):
            body["Data"] = {
                name: {scope: _structure(metric) for scope, metric in scopes.items()} for name, scopes in body["Data"].items()
            }
        elif isinstance(body.get("Data"), list):
            body["Data"] = _entries(body["Data"])
        elif "error" in body and isinstance(body.get("data"), dict):
            body["data"] = {"jobMetrics": _entries(body["data"]["jobMetrics"])}
    return Answer(answer.status, answer.content_types, answer.headers, body)


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


def readings() -> Iterator[Exchange]:
    return (e for recording in RELEASES for e in exchanges(recording) if not e.writes)


def _left_out(exchange: Exchange) -> bool:
    _, where = LEFT_OUT.get(exchange.case, ("", frozenset()))
    return exchange.recording in where


def _agrees(exchange: Exchange) -> bool:
    return comparable(replayed(exchange.recording)[exchange.number]) == comparable(recorded(exchange))


@pytest.mark.parametrize("exchange", [e for e in readings() if not _left_out(e)], ids=lambda e: e.id)
def test_answers_as_recorded(exchange: Exchange) -> None:
    answer = replayed(exchange.recording)[exchange.number]
    assert comparable(answer) == comparable(recorded(exchange))


@pytest.mark.parametrize("exchange", [e for e in readings() if _left_out(e)], ids=lambda e: e.id)
def test_what_is_left_out_does_differ(exchange: Exchange) -> None:
    assert not _agrees(exchange), f"{exchange.case!r} need not be left out for {exchange.recording}"


def test_nothing_is_skipped_silently() -> None:
    counts = {
        recording: Counter("writing" if e.writes else "left out" if _left_out(e) else "compared" for e in exchanges(recording))
        for recording in RELEASES
    }
    assert counts == {
        "v1.2.2": {"compared": 184, "writing": 82, "left out": 24},
        "v1.3.1": {"compared": 176, "writing": 82, "left out": 32},
        "v1.4.4": {"compared": 177, "writing": 82, "left out": 31},
        "v1.5.4": {"compared": 175, "writing": 83, "left out": 33},
    }
    assert set(LEFT_OUT) == {e.case for e in readings() if _left_out(e)}


@pytest.mark.parametrize("recording", RELEASES)
def test_before_the_first_writing_nothing_is_left_out(recording: str) -> None:
    first = next(e.number for e in exchanges(recording) if e.writes)
    assert [e.case for e in readings() if e.recording == recording and e.number < first and _left_out(e)] == []
