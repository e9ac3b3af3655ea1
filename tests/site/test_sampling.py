"""Large answers: what is cut out and put back is what decoding the whole would have given."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.metrics import MetricsBudget
from ccgateway.jobs.metrics import MetricPiece, MetricsWanted
from ccgateway.settings import LimitSettings
from ccgateway.site import sampling
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.releases import DIALECTS, MetricsRoute

LONG = b"[" + b",".join(b"%d.25" % i for i in range(2000)) + b"]"


def series(data: bytes = LONG, host: str = "n1") -> bytes:
    return b'{"hostname":%s,"statistics":{"min":1.00,"avg":2.50,"max":4.00},"data":%s}' % (msgspec.json.encode(host), data)


def metric(*of: bytes, name: str = "cpu_load") -> bytes:
    head = b'{"name":%s,"scope":"node","metric":{"unit":{"base":""},"series":[' % msgspec.json.encode(name)
    return head + b",".join(of) + b'],"timestep":60,"statisticsSeries":{"median":[1.00],"min":[0.50],"max":null}}}'


def by_get(*metrics: bytes) -> bytes:
    return b'{"data":{"jobMetrics":[' + b",".join(metrics) + b']},"error":null}'


def decoded(body: bytes, *, by_post: bool = False) -> list[MetricPiece]:
    answer = SiteAnswer(200, "application/json", body)
    return DIALECTS["1.5"].metric_pieces(answer, "here", MetricsWanted(), MetricsRoute(by_post))


def as_a_whole(body: bytes) -> list[MetricPiece]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SMALL", 1 << 40)
        return decoded(body)


def is_cut(body: bytes) -> bool:
    return sampling._cut(body, is_ascii=body.isascii()) is not None


def test_a_large_answer_is_cut_and_comes_out_whole() -> None:
    body = by_get(metric(series(), series(b"[]"), series(b"[null,1.00]", "n2")), metric(series(), name="mem_bw"))
    assert is_cut(body)
    assert decoded(body) == as_a_whole(body)
    assert decoded(b'{"Meta":{},"Data":[' + metric(series(), series()) + b"]}", by_post=True)[0].metric.series is not None


texts = st.text(max_size=8) | st.sampled_from(['"data":[', 'x"data":[1,2]', "data", '\\"data\\":[', "]", "["])
lists = st.sampled_from([LONG, LONG, LONG, b"[]", b"null", b"[null]", b"[5]", b"[0]", b"[ 1.00 , null ]", b'["x"]', b"[[1]]"])
spaced = st.booleans()


@given(st.lists(st.lists(st.tuples(lists, texts), max_size=4), max_size=4), spaced, st.booleans())
def test_cutting_changes_nothing(metrics: list[list[tuple[bytes, str]]], is_spaced: bool, reverse: bool) -> None:
    body = by_get(*(metric(*(series(*one) for one in of), name=of[0][1] if of else "a") for of in metrics))
    if is_spaced:
        body = body.replace(b'"data":[5]', b'"data": [5]').replace(b'"data":[0]', b'"data" :[0]')
    if reverse:
        body = body.replace(b'{"hostname"', b'{"data":[7],"hostname"')  # the key twice: the last one counts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SMALL", 0)
        patch.setattr(sampling, "SHORT", 0)
        assert decoded(body) == as_a_whole(body)


@pytest.mark.parametrize("bad", [b"[1.00,NaN]", b"[Infinity]", b"[nan]", b"[-inf]", b'[1.00,"]"]', b"[1.00", b"[{}]"])
def test_what_is_not_a_list_of_numbers_is_looked_at_as_a_whole(bad: bytes) -> None:
    body = by_get(metric(series(), series(LONG[:-1] + b"," + bad[1:])))
    assert not is_cut(body)
    try:
        expected: object = as_a_whole(body)
    except SiteError as error:
        expected = error.code
        assert error.code is Code.BAD_ANSWER
    try:
        found: object = decoded(body)
    except SiteError as error:
        found = error.code
    assert found == expected


def test_an_answer_that_broke_off_is_no_answer() -> None:
    body = by_get(metric(series(), series()))
    for end in (len(body) - 1, len(body) - 40, len(body) // 2, len(body) // 3):
        with pytest.raises(SiteError) as failed:
            decoded(body[:end] + b" " * (sampling.SMALL + 1))
        assert failed.value.code is Code.BAD_ANSWER


def test_many_short_lists_are_not_cut() -> None:
    assert not is_cut(by_get(metric(*(series(b"[1.00]") for _ in range(3000)))))


def test_a_view_keeps_the_body_alive_and_copies_nothing() -> None:
    body = by_get(metric(series()))
    (found,) = decoded(body + b" " * sampling.SMALL)
    assert found.metric.series is not None
    assert memoryview(found.metric.series[0].data).nbytes == len(LONG)


@pytest.mark.parametrize("bad", [b"\xff", b"1" * 5000, b"1,NaN", b'"x"'])
def test_samples_of_a_large_answer_are_in_utf_8_and_have_bounds(bad: bytes) -> None:
    body = by_get(metric(series(LONG[:-1] + b"," + bad + b"]"), *[series()] * 9))
    assert len(body) > sampling.SMALL
    try:
        found = decoded(body)
    except SiteError as error:
        assert error.code is Code.BAD_ANSWER
    else:
        for one in found[0].metric.series or ():
            json.loads(bytes(one.data))


def test_a_unit_beyond_ascii_does_not_keep_samples_from_being_cut_out() -> None:
    assert is_cut(by_get(metric(*[series()] * 9, name="°C")))


@pytest.mark.parametrize("bad", [b"[1,,2]", b"[1.2.3]", b"[--1]", b"[1 2]", b"[01]", b"[nul]"])
async def test_garbled_samples_spoil_no_answer_that_holds_another_sites(bad: bytes) -> None:
    body = by_get(metric(series(LONG[:-1] + b"," + bad[1:]), *[series()] * 9))
    answer = SiteAnswer(200, "application/json", body)
    pieces = DIALECTS["1.5"].metric_pieces(answer, "bad", MetricsWanted(), MetricsRoute(by_post=False))
    budget = MetricsBudget(LimitSettings.model_validate({}))
    budget.expect("bad")
    budget.expect("good")
    with pytest.raises(SiteError) as failed:
        budget.take("bad", pieces)
    assert (failed.value.code, failed.value.site) == (Code.BAD_ANSWER, "bad")
    good = DIALECTS["1.5"].metric_pieces(
        SiteAnswer(200, "application/json", by_get(metric(series()))), "good", MetricsWanted(), MetricsRoute(by_post=False)
    )  # fmt: skip
    budget.take("good", good)
    with pytest.raises(RequestError):
        budget.take("good", good * 100_000)
