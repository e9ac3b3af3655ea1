"""The total order, cursors into it, and other orders."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.filters import IntRange, JobFilter, JobOrder, StringInput
from ccgateway.jobs.model import JobRow
from ccgateway.jobs.ordering import (
    Cursor,
    Position,
    before_second,
    digest_of,
    in_total_order,
    position_of,
    sort_plan,
    take_through,
)  # fmt: skip
from support.oracle import row_of
from support.upstream import Job

DIGEST = digest_of([], JobOrder(), None)

sites = st.sampled_from(["a", "b", "z-9"])
rows = st.builds(
    lambda site, number, start, cluster, nodes, footprint: row_of(
        Job(number, start, cluster, num_nodes=nodes, footprint=footprint), site
    ),
    sites,
    st.integers(1, 2**62),
    st.integers(0, 5),
    st.sampled_from(["alex", "fritz"]),
    st.integers(1, 3),
    st.sampled_from([None, {}, {"load_avg": 1.5}, {"load_avg": 0.0}]),
)
row_lists = st.lists(rows, max_size=20, unique_by=lambda row: row.key)
positions = st.tuples(
    st.integers(-(2**62), 0), st.text(max_size=20), st.text(max_size=20), st.integers(-1, 2**63 - 1)
)  # fmt: skip
values = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=20))


def is_text(value: object) -> bool:
    return not isinstance(value, str) or not any("\ud800" <= c <= "\udfff" for c in value)


# --- the total order


@given(found=row_lists)
def test_newest_first_then_site_cluster_and_number(found: list[JobRow]) -> None:
    ordered = in_total_order(found)
    assert ordered == sorted(found, key=lambda row: (-row.start_time, row.site, row.cluster, row.job_id))
    assert ordered == sorted(found, key=position_of)
    assert len({position_of(row) for row in found}) == len(found)


@given(found=row_lists, second=st.integers(-1, 6))
def test_taking_through_a_second_gives_its_jobs_and_leaves_the_others(found: list[JobRow], second: int) -> None:
    final, waiting = take_through(found, second)
    assert final == [row for row in found if row.start_time >= second]
    assert waiting == [row for row in found if row.start_time < second]


@given(row=rows, second=st.integers(0, 6))
def test_the_place_before_a_second_parts_older_jobs_from_newer(row: JobRow, second: int) -> None:
    assert (position_of(row) > before_second(second)) == (row.start_time <= second)


# --- cursors


@given(position=positions.filter(lambda p: all(map(is_text, p))), value=values.filter(is_text))
def test_a_cursor_comes_back_as_it_was(position: Position, value: int | float | str | None) -> None:
    text = Cursor(DIGEST, position, value).encode()
    back = Cursor.decode(text, DIGEST)
    assert back == Cursor(DIGEST, position, value)
    assert type(back.value) is type(value)
    assert text.isascii()
    assert not set(text) & set("+/=&? ")


def test_a_cursor_is_of_the_same_size_however_many_sites_there_are() -> None:
    assert len(Cursor(DIGEST, (-1_700_000_000, "aurora", "alex", 123456)).encode()) < 100


def refused(text: str, digest: str = DIGEST) -> RequestError:
    with pytest.raises(RequestError) as error:
        Cursor.decode(text, digest)
    return error.value


@given(text=st.text(max_size=200))
def test_any_other_text_is_an_invalid_cursor(text: str) -> None:
    assert refused(text).code is Code.INVALID_CURSOR


@given(data=st.binary(max_size=200))
def test_any_other_bytes_are_an_invalid_cursor(data: bytes) -> None:
    assert refused(base64.urlsafe_b64encode(data).decode().rstrip("=")).code is Code.INVALID_CURSOR


short_text = st.text(max_size=5).filter(is_text)
packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | short_text | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(short_text, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(value=packable)
def test_any_packed_value_is_an_invalid_cursor(value: Any) -> None:
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).decode().rstrip("=")
    assert refused(text).code is Code.INVALID_CURSOR


@given(
    parts=st.tuples(st.just(1), st.just(DIGEST), packable, packable), extra=st.lists(packable, max_size=1)
)  # fmt: skip
def test_a_cursor_with_the_right_digest_but_other_parts_is_refused_or_whole(parts: tuple[Any, ...], extra: list[Any]) -> None:
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode([*parts, *extra])).decode().rstrip("=")
    try:
        found = Cursor.decode(text, DIGEST)
    except RequestError as error:
        assert error.code is Code.INVALID_CURSOR
    else:
        assert [type(part) for part in found.position] == [int, str, str, int]


@pytest.mark.parametrize("cut", [1, 5, 10])
def test_a_cursor_that_was_cut_is_refused(cut: int) -> None:
    assert refused(Cursor(DIGEST, (-5, "a", "b", 1)).encode()[:-cut]).code is Code.INVALID_CURSOR


def test_a_very_long_text_is_refused() -> None:
    assert refused("A" * 10_000_000).code is Code.INVALID_CURSOR


def test_deeply_nested_bytes_are_refused() -> None:
    assert refused(base64.urlsafe_b64encode(b"\x91" * 1500).decode()).code is Code.INVALID_CURSOR


@pytest.mark.parametrize(
    "other",
    [
        digest_of([JobFilter(user=StringInput(eq="alice"))], JobOrder(), None),
        digest_of([], JobOrder("duration"), None),
        digest_of([], JobOrder(direction="ASC"), None),
        digest_of([], JobOrder(), ["a"]),
        digest_of([], JobOrder(), []),
        "",
    ],
)
def test_a_cursor_of_another_question_is_refused(other: str) -> None:
    error = refused(Cursor(DIGEST, (-5, "a", "b", 1)).encode(), other)
    assert error.code is Code.INVALID_CURSOR
    assert "another question" in error.message


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([JobFilter(user=StringInput(eq="a"))], [JobFilter(project=StringInput(eq="a"))]),
        ([JobFilter(user=StringInput(eq="a"))], [JobFilter(user=StringInput(neq="a"))]),
        ([JobFilter(duration=IntRange(1, 2))], [JobFilter(duration=IntRange(12, None))]),
        ([JobFilter(tags=("a", "b"))], [JobFilter(tags=("a,b",))]),
        ([JobFilter()], []),
        ([JobFilter(state=())], [JobFilter()]),
    ],
)
def test_different_questions_have_different_digests(one: list[JobFilter], two: list[JobFilter]) -> None:
    assert digest_of(one, JobOrder(), None) != digest_of(two, JobOrder(), None)


def test_the_sites_asked_for_count_but_not_in_which_order() -> None:
    assert digest_of([], JobOrder(), ["b", "a", "a"]) == digest_of([], JobOrder(), ["a", "b"])


# --- other orders


orders = st.builds(
    lambda name, direction: JobOrder(name, "foot" if name == "load_avg" else "col", direction),
    st.sampled_from(["startTime", "jobId", "cluster", "numNodes", "load_avg"]),
    st.sampled_from(["ASC", "DESC"]),
)


@given(found=row_lists, order=orders)
def test_a_plan_sorts_by_value_then_totally_with_missing_values_last(found: list[JobRow], order: JobOrder) -> None:
    plan = sort_plan(order)
    ordered = plan.sort(found)
    assert sorted(map(id, ordered)) == sorted(map(id, found))
    valued = [plan.value(row) for row in ordered]
    known = [value for value in valued if value is not None]
    assert valued == sorted(known, reverse=order.direction == "DESC") + [None] * (len(valued) - len(known))
    for one, other in pairwise(ordered):
        if plan.value(one) == plan.value(other):
            assert position_of(one) < position_of(other)


@given(found=row_lists.filter(bool), order=orders, at=st.integers(0, 19))
def test_a_cursor_in_another_order_goes_on_exactly_there(found: list[JobRow], order: JobOrder, at: int) -> None:
    plan = sort_plan(order)
    ordered = plan.sort(found)
    at %= len(ordered)
    last = ordered[at]
    cursor = Cursor.decode(Cursor(DIGEST, position_of(last), plan.value(last)).encode(), DIGEST)
    assert plan.after(ordered, cursor) == ordered[at + 1 :]


@given(found=row_lists.filter(bool), order=orders, at=st.integers(0, 19))
def test_a_cursor_holds_although_its_job_is_gone(found: list[JobRow], order: JobOrder, at: int) -> None:
    plan = sort_plan(order)
    ordered = plan.sort(found)
    at %= len(ordered)
    last = ordered.pop(at)
    assert plan.after(ordered, Cursor(DIGEST, position_of(last), plan.value(last))) == ordered[at:]


@pytest.mark.parametrize(("order", "value"), [(JobOrder("user"), 5), (JobOrder("numNodes"), "alice")])
def test_a_cursor_of_another_kind_of_value_is_refused(order: JobOrder, value: int | str) -> None:
    with pytest.raises(RequestError) as error:
        sort_plan(order).after([row_of(Job(1, 1))], Cursor(DIGEST, (-1, "a", "b", 1), value))
    assert error.value.code is Code.INVALID_CURSOR


@pytest.mark.parametrize(("direction", "total"), [("DESC", True), ("ASC", False)])
def test_only_newest_first_needs_no_scan(direction: Any, total: bool) -> None:
    assert sort_plan(JobOrder("startTime", "col", direction)).is_total is total
    assert not sort_plan(JobOrder("startTime", "foot", direction)).is_total


@pytest.mark.parametrize("name", ["", "metaData", "resources", "start_time", "__class__", "id; DROP TABLE job", "x" * 500])
def test_a_column_that_jobs_cannot_be_ordered_by_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"OrderByInput\.field") as error:
        sort_plan(JobOrder(name))
    assert error.value.code is Code.BAD_REQUEST
    assert len(error.value.message) < 800


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "jobId",
        "cluster",
        "subcluster",
        "subCluster",
        "project",
        "startTime",
        "duration",
        "walltime",
        "numNodes",
        "numHwthreads",
        "numHWThreads",
        "numAcc",
        "smt",
        "SMT",
        "jobState",
        "state",
        "monitoringStatus",
        "arrayJobId",
        "user",
        "hpcUser",
        "partition",
        "clusterPartition",
        "shared",
        "energy",
    ],
)
def test_every_column_of_every_release_and_every_schema_name_can_be_ordered_by(name: str) -> None:
    plan = sort_plan(JobOrder(name))
    assert plan.needs
    assert plan.value(row_of(Job(1, 1))) is not None


def test_a_plan_sorts_what_can_be_read_only_once() -> None:
    found = [row_of(Job(i, 5, footprint={"load_avg": i} if i % 2 else None)) for i in range(6)]
    plan = sort_plan(JobOrder("load_avg", "foot", "DESC"))
    assert [row.job_id for row in plan.sort(row for row in found)] == [5, 3, 1, 0, 2, 4]
