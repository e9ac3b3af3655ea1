"""A metric's bytes are those that the library writes of the same values, in one message as in several."""

from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.jobs.clusters import Unit
from ccgateway.jobs.metrics import JobMetric, MetricPiece, Series, Statistics, StatisticsSeries
from ccgateway.surfaces.grpc.encoding import EncodedMetric, encode
from ccgateway.v1 import metrics_pb2

NUMBERS = st.sampled_from([0, -0.0, 1.5, -3, 2**53, 1e300, 5e-324]) | st.floats(allow_nan=False, allow_infinity=False)
#: also of 128 bytes and more, where a length takes two
TEXTS = st.text(max_size=5) | st.sampled_from(["node01", "h" * 127, "ü" * 64, "x" * 20_000])
SAMPLES = st.lists(st.none() | NUMBERS, max_size=20) | st.sampled_from([[0.25] * 200, [1] * 3000])
STATISTICS = st.none() | st.builds(Statistics, NUMBERS, NUMBERS, NUMBERS)
SERIES = st.tuples(TEXTS, st.none() | TEXTS, STATISTICS, SAMPLES)
OVER_ALL = st.none() | st.tuples(SAMPLES, SAMPLES, SAMPLES, SAMPLES)


def raw(samples: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(samples).encode())


def doubles(samples: list[float | None]) -> list[float]:
    return [math.nan if one is None else one for one in samples]


def joined(parts: list[bytes]) -> bytes:
    return b"".join(parts)


@given(TEXTS, st.none() | st.tuples(TEXTS, st.none() | TEXTS), st.integers(0, 2**31 - 1), st.lists(SERIES, max_size=8), OVER_ALL)
async def test_what_is_sent_is_what_the_library_writes(
    name: str,
    unit: tuple[str, str | None] | None,
    timestep: int,
    series: list[tuple[str, str | None, Statistics | None, list[float | None]]],
    over_all: tuple[list[float | None], ...] | None,
) -> None:
    metric = JobMetric(
        None if unit is None else Unit(*unit),
        timestep,
        [Series(host, part, its, raw(samples)) for host, part, its, samples in series],
        None if over_all is None else StatisticsSeries(*map(raw, over_all)),
    )
    expected = metrics_pb2.JobMetric(name=name, scope="node", timestep_seconds=timestep)
    if unit is not None:
        expected.unit.CopyFrom(metrics_pb2.Unit(base=unit[0], prefix=unit[1] or ""))
    for host, part, its, samples in series:
        one = expected.series.add(hostname=host, id=part, samples=doubles(samples))
        if its is not None:
            one.statistics.CopyFrom(metrics_pb2.SeriesStatistics(avg=its.avg, min=its.min, max=its.max))
    if over_all is not None:
        mean, median, lowest, highest = map(doubles, over_all)
        expected.statistics_series.CopyFrom(metrics_pb2.StatisticsSeries(mean=mean, median=median, min=lowest, max=highest))
    encoded = await encode(MetricPiece(name, "node", metric), "one")
    assert encoded.size == len(joined(encoded.whole))
    assert _written_anew(encoded.whole) == expected.SerializeToString(deterministic=True)
    for most in (1, 2_000, 50_000):
        # messages of one field are one message, their lists one behind the other
        assert _written_anew([part for group in encoded.groups(most) for part in group]) == expected.SerializeToString(
            deterministic=True
        )


def _written_anew(parts: list[bytes]) -> bytes:
    """By the library: an empty list of samples may be written or left out."""
    return metrics_pb2.JobMetric.FromString(joined(parts)).SerializeToString(deterministic=True)


def of_series(count: int, samples: int) -> JobMetric:
    return JobMetric(series=[Series(f"node{place}", data=raw([0.5] * samples)) for place in range(count)])


async def groups_of(metric: JobMetric, most: int) -> tuple[EncodedMetric, list[int]]:
    encoded = await encode(MetricPiece("cpu_load", "node", metric), "one")
    return encoded, [len(joined(group)) for group in encoded.groups(most)]


async def test_a_message_of_a_stream_has_no_more_bytes_than_it_may_have() -> None:
    encoded, sizes = await groups_of(of_series(300, 1000), 1_000_000)
    assert len(sizes) > 1
    assert max(sizes) <= 1_000_000
    assert sum(sizes) == encoded.size + (len(sizes) - 1) * len(encoded.head)


async def test_one_series_that_is_larger_than_a_message_is_one_by_itself() -> None:
    _, sizes = await groups_of(of_series(3, 200_000), 1_000_000)
    assert [size > 1_000_000 for size in sizes] == [True] * 3


@pytest.mark.parametrize("data", [b'["1"]', b"[[1]]", b"[true]", b'[{"a": 1}]'])
async def test_samples_that_are_no_numbers_are_a_bad_answer(data: bytes) -> None:
    metric = JobMetric(series=[Series("node01", data=msgspec.Raw(b"[1]")), Series("node02", data=msgspec.Raw(data))])
    with pytest.raises(SiteError) as caught:
        await encode(MetricPiece("cpu_load", "node", metric), "one")
    assert (caught.value.code, caught.value.site) == (Code.BAD_ANSWER, "one")
