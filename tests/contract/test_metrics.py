"""Metrics as real instances answered them: every recorded exchange is what the dialect of its release makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted, in_order_of
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.releases import DIALECTS, MetricsRoute
from contract.exchanges import RELEASES, Exchange, exchanges

PATH = re.compile(r"/(?:user)?api/jobs/(?:metrics/)?\d+")


def metrics_exchanges() -> Iterator[tuple[str, Exchange]]:
    """Those that ask for metrics of a job by its number, and were let in."""
    for recording, dialect in RELEASES.items():
        for one in exchanges(recording):
            path = one.path.partition("?")[0]
            asks = "/jobs/metrics/" in path or (one.method == "POST" and isinstance(_json(one.body), list))
            if PATH.fullmatch(path) and asks and one.answer["status"] not in (401, 404):
                yield dialect, one


def _json(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"")
    except ValueError:
        return None


CASES = list(metrics_exchanges())


def body_of(one: Exchange) -> bytes:
    return json.dumps(one.answer["json"]).encode() if "json" in one.answer else one.answer.get("text", "").encode()


def pieces_of(dialect: str, one: Exchange) -> tuple[MetricsWanted, list[MetricPiece]]:
    query = parse_qs(urlsplit(one.path).query)
    names = _json(one.body) if one.method == "POST" else query.get("metric")
    wanted = MetricsWanted.of(names, query.get("scope"))
    kinds = one.answer.get("content_type") or [""]
    answer = SiteAnswer(one.answer["status"], kinds[0].partition(";")[0], body_of(one))
    return wanted, DIALECTS[dialect].metric_pieces(answer, "here", wanted, MetricsRoute(one.method == "POST"))


def recorded_metrics(one: Exchange) -> list[dict[str, Any]] | None:
    told = one.answer.get("json") or {}
    found: list[dict[str, Any]] | None = told.get("Data") if one.method == "POST" else (told.get("data") or {}).get("jobMetrics")
    return found


GIVEN = [case for case in CASES if recorded_metrics(case[1]) is not None]
REFUSED = [case for case in CASES if recorded_metrics(case[1]) is None]


def named(case: Any) -> str:
    return case.id if isinstance(case, Exchange) else case


def test_every_release_was_recorded_giving_and_refusing() -> None:
    assert {dialect for dialect, _ in GIVEN} == {dialect for dialect, _ in REFUSED} == set(RELEASES.values())
    assert len(GIVEN) > 80


@pytest.mark.parametrize(("dialect", "one"), GIVEN, ids=named)
def test_what_was_given_is_what_the_pieces_hold(dialect: str, one: Exchange) -> None:
    wanted, pieces = pieces_of(dialect, one)
    recorded = recorded_metrics(one)
    assert recorded is not None
    assert [(piece.name, piece.scope) for piece in pieces] == [(each["name"], each["scope"]) for each in recorded]
    for piece, each in zip(pieces, recorded, strict=True):
        assert shown(piece) == normal(each["metric"])
    ordered = in_order_of(wanted, pieces)
    assert sorted(map(id, ordered)) == sorted(map(id, pieces))
    if wanted.names:
        places = [wanted.names.index(piece.name) for piece in ordered]
        assert places == sorted(places)


def shown(piece: MetricPiece) -> dict[str, Any]:
    return normal(json.loads(piece.to_json()))


def normal(metric: dict[str, Any]) -> dict[str, Any]:
    """The same metric with what may be left out filled in."""
    over_all = metric.get("statisticsSeries")
    return {
        "unit": {"base": "", "prefix": None, **metric["unit"]},
        "timestep": metric.get("timestep", 0),
        "series": [{"id": None, **series} for series in metric["series"]],
        "statisticsSeries": over_all and {name: over_all.get(name) or [] for name in ("mean", "median", "min", "max")},
    }


CODES = {
    "sql: no rows in result set": Code.NOT_FOUND,
    "you are not allowed to see this job": Code.SITE_UNAUTHORIZED,
    "is not a valid MetricScope": Code.SITE_REFUSED,
    "cannot unmarshal": Code.SITE_REFUSED,
    "EOF": Code.SITE_REFUSED,
}


@pytest.mark.parametrize(("dialect", "one"), REFUSED, ids=named)
def test_what_was_refused_is_an_error_with_a_code(dialect: str, one: Exchange) -> None:
    with pytest.raises(SiteError) as failed:
        pieces_of(dialect, one)
    text = body_of(one).decode()
    expected = next((code for words, code in CODES.items() if words in text), Code.SITE_ERROR)
    assert failed.value.code is expected, text
