"""Pieces of metrics: what is decoded, what stays the site's own text, and in which order they come."""

from __future__ import annotations

import random

import msgspec
import pytest

from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import (
    SCOPES,
    JobMetric,
    MetricPiece,
    MetricsWanted,
    Series,
    Statistics,
    in_order_of,
    summary,
)

TEXT = (
    b'{"statisticsSeries":{"mean":null,"median":[0.75],"min":[0.50],"max":[1.00]},"unit":{"base":"B/s","prefix":"G"},"series":['
    b'{"hostname":"n1","statistics":{"min":1.00,"avg":2.50,"max":4.00},"data":[1.00,null,4.00]},'
    b'{"hostname":"n2","id":"1","statistics":{"min":0.50,"avg":3.50,"max":5.00},"data":[0.50]}],"timestep":60}'
)


def piece(name: str, scope: str = "node", *statistics: tuple[float, float, float]) -> MetricPiece:
    return MetricPiece(name, scope, JobMetric(series=[Series("n1", statistics=Statistics(*one)) for one in statistics]))


def test_samples_stay_the_text_that_the_site_wrote() -> None:
    metric = MetricPiece.from_json("mem_bw", "node", TEXT).metric
    assert (metric.unit, metric.timestep) == (Unit("B/s", "G"), 60)
    assert metric.series is not None and metric.statistics_series is not None
    assert [bytes(memoryview(one.data)) for one in metric.series] == [b"[1.00,null,4.00]", b"[0.50]"]
    assert [(one.hostname, one.id, one.statistics) for one in metric.series] == [
        ("n1", None, Statistics(2.5, 1.0, 4.0)),
        ("n2", "1", Statistics(3.5, 0.5, 5.0)),
    ]
    assert bytes(memoryview(metric.statistics_series.median)) == b"[0.75]"


def test_what_a_release_does_not_compute_is_an_empty_list() -> None:
    metric = MetricPiece.from_json("mem_bw", "node", TEXT).metric
    assert metric.statistics_series is not None
    assert bytes(memoryview(metric.statistics_series.mean)) == b"[]"
    bare = MetricPiece.from_json("a", "node", b'{"series":[{"hostname":"n1","data":null}],"statisticsSeries":{}}').metric
    assert bare.series is not None and bytes(memoryview(bare.series[0].data)) == b"[]"
    assert bare.timestep == 0 and bare.unit is None


def test_a_piece_can_be_kept_as_json_and_read_again() -> None:
    one = MetricPiece.from_json("mem_bw", "node", TEXT)
    again = MetricPiece.from_json("mem_bw", "node", one.to_json())
    assert again == one
    assert again.to_json() == one.to_json()
    assert b"[1.00,null,4.00]" in one.to_json()
    assert one.size == sum(map(len, (b"[1.00,null,4.00]", b"[0.50]", b"[]", b"[0.75]", b"[0.50]", b"[1.00]")))


@pytest.mark.parametrize(
    "text",
    [
        b'{"series":[{"data":"x"}]}',
        b'{"series":[{"data":{}}]}',
        b'{"series":[{"data":[NaN]}]}',
        b'{"timestep":"x"}',
        b'{"timestep":2147483648}',
        b"[]",
    ],
)
def test_what_is_no_metric_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        MetricPiece.from_json("a", "node", text)


def test_pieces_come_in_the_order_asked_for_whatever_the_sites_order() -> None:
    wanted = MetricsWanted.of(["mem_bw", "cpu_load", "mem_bw"], ["socket", "node"])
    assert wanted == MetricsWanted(("mem_bw", "cpu_load"), ("socket", "node"))
    expected = [("mem_bw", "socket"), ("mem_bw", "node"), ("mem_bw", "core"), ("cpu_load", "node"), ("also", "hwthread")]
    shuffled = [piece(*one) for one in expected]
    random.Random(1).shuffle(shuffled)
    assert [(one.name, one.scope) for one in in_order_of(wanted, shuffled)] == expected


def test_unasked_pieces_come_by_name_and_from_coarse_to_fine() -> None:
    pieces = [piece(name, scope) for name in ("b", "a") for scope in ("unheard-of", *reversed(SCOPES))]
    found = [(one.name, one.scope) for one in in_order_of(MetricsWanted(), pieces)]
    assert found == [(name, scope) for name in ("a", "b") for scope in (*SCOPES, "unheard-of")]


def test_an_empty_list_of_names_asks_for_nothing_and_one_of_scopes_leaves_them_to_the_site() -> None:
    assert MetricsWanted.of([], None).is_nothing
    assert MetricsWanted.of(["a"], []) == MetricsWanted.of(["a"], None)
    assert not MetricsWanted.of(None, None).is_nothing


def test_a_summary_is_of_the_nodes() -> None:
    node, socket = piece("a", "node", (2.0, 1.0, 3.0), (3.005, 0.5, 9.0)), piece("a", "socket", (50.0, 0.0, 99.0))
    assert summary([socket, node]) == Statistics(2.5, 0.5, 9.0)


def test_a_summary_is_of_the_coarsest_scope_where_there_are_no_nodes() -> None:
    assert summary([piece("a", "core", (9.0, 9.0, 9.0)), piece("a", "socket", (50.0, 1.0, 99.0))]) == Statistics(50.0, 1.0, 99.0)


def test_there_is_no_summary_of_nothing() -> None:
    assert summary([]) is None
    assert summary([MetricPiece("a", "node", JobMetric(series=[Series("n1")])), MetricPiece("a", "core", JobMetric())]) is None
