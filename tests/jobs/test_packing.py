"""What was packed is what is unpacked."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import EMPTY, JobMetric, MetricPiece, Series, Statistics, StatisticsSeries
from ccgateway.jobs.packing import pack_pieces, unpack_pieces

WORDS = st.text(max_size=8)
SAMPLES = st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=5).map(
    lambda values: msgspec.Raw("[{}]".format(",".join("null" if v is None else f"{v:.2f}" for v in values)).encode())
)
NUMBERS = st.floats(allow_nan=False)
SERIES = st.builds(Series, WORDS, st.none() | WORDS, st.none() | st.builds(Statistics, NUMBERS, NUMBERS, NUMBERS), SAMPLES)
METRICS = st.builds(
    JobMetric,
    st.none() | st.builds(Unit, WORDS, st.none() | WORDS),
    st.integers(-(2**31), 2**31 - 1),
    st.none() | st.lists(SERIES, max_size=3),
    st.none() | st.builds(StatisticsSeries, SAMPLES, SAMPLES, SAMPLES, SAMPLES),
)


@given(st.lists(st.tuples(WORDS, METRICS), max_size=3))
def test_pieces_come_back_as_they_were(given: list[tuple[str, JobMetric]]) -> None:
    pieces = [MetricPiece("flops", scope, metric) for scope, metric in given]
    again = unpack_pieces("flops", pack_pieces(pieces))
    assert again == pieces
    assert [msgspec.json.encode(piece) for piece in again] == [msgspec.json.encode(piece) for piece in pieces]
    assert [piece.size for piece in again] == [piece.size for piece in pieces]


def test_samples_stay_as_the_site_wrote_them() -> None:
    text = b"[1.00,null , 2.50]"
    payload = pack_pieces([MetricPiece("a", "node", JobMetric(series=[Series(data=msgspec.Raw(text))]))])
    assert text in payload
    (piece,) = unpack_pieces("a", payload)
    assert [bytes(memoryview(one.data)) for one in piece.metric.series or ()] == [text]
    assert Series().data == EMPTY


@pytest.mark.parametrize("payload", [b"", b"x", b"\x91", msgspec.msgpack.encode([["node"]]), b'[{"scope":"node"}]'])
def test_what_is_not_packed_pieces_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        unpack_pieces("a", payload)
