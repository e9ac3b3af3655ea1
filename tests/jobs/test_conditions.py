"""What each field of a filter means: a table, and a slow oracle that follows the contract for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.conditions import EARLIEST, LATEST, Conditions, conditions_of, decode_tag_id, encode_tag_id
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, MetricStat, StringInput, TimeRange
from ccgateway.jobs.model import Tag
from properties.worlds import filter_lists, jobs
from support.oracle import matches, row_of
from support.upstream import Job

NOW = 1_700_000_000
SLOW = Tag("review", "slow", "global", 4)


def accepts(conditions: Conditions, job: Job, site: str = "here") -> bool:
    """Whether the gateway would give ``job`` if it evaluated everything itself."""
    in_span = conditions.earliest <= job.start_time <= conditions.latest
    among = conditions.db_ids is None or job.id in conditions.db_ids
    return not conditions.never and in_span and among and all(one.test(row_of(job, site)) for one in conditions.items)


def fits(wanted: JobFilter, **attributes: Any) -> bool:
    job = Job(**{"job_id": 100003, "start_time": NOW - 3600, "id": 7, **attributes})
    found = accepts(conditions_of([wanted], "here", now=NOW), job)
    assert found == matches(job, [wanted], "here", now=NOW), "the oracle disagrees with the table"
    return found


@given(job=jobs(), filters=filter_lists(), number=st.sampled_from([7, 100_000, 100_002, 200_000]))
def test_any_filter_means_what_the_oracle_says(job: Job, filters: list[JobFilter], number: int) -> None:
    job.id = number
    for site in ("s1", "s2"):
        assert accepts(conditions_of(filters, site, now=NOW), job, site) == matches(job, filters, site, now=NOW)


# --- text


@pytest.mark.parametrize(
    ("wanted", "user", "expected"),
    [
        (StringInput(), "alice", True),
        (StringInput(eq="alice"), "alice", True),
        (StringInput(eq="alice"), "Alice", False),
        (StringInput(eq=""), "alice", False),
        (StringInput(eq=""), "", True),
        (StringInput(neq="alice"), "alice", False),
        (StringInput(neq="alice"), "ALICE", True),
        (StringInput(neq="alice"), "", True),
        (StringInput(starts_with="AL"), "alice", True),
        (StringInput(starts_with="lice"), "alice", False),
        (StringInput(starts_with=""), "", True),
        (StringInput(ends_with="ICE"), "alice", True),
        (StringInput(contains="LIC"), "alice", True),
        (StringInput(contains="a%e"), "xalicex", True),
        (StringInput(contains="a_i"), "alice", True),
        (StringInput(contains="_"), "", False),
        (StringInput(in_=()), "alice", False),
        (StringInput(in_=("bob", "alice")), "alice", True),
        (StringInput(in_=("ALICE",)), "alice", False),
        (StringInput(in_=("al%",)), "alice", False),
        (StringInput(eq="alice", in_=("bob",)), "alice", True),
        (StringInput(eq="alice", neq="alice"), "alice", True),
        (StringInput(neq="x", starts_with="y"), "alice", True),
        (StringInput(starts_with="a", ends_with="z"), "alice", True),
        (StringInput(ends_with="e", contains="z"), "alice", True),
        (StringInput(contains="l", in_=("bob",)), "alice", True),
    ],
)
@pytest.mark.parametrize("name", ["user", "project", "cluster", "sub_cluster", "partition"])
def test_one_operator_counts_and_compares_as_sqlite_does(name: str, wanted: StringInput, user: str, expected: bool) -> None:
    assert fits(JobFilter(**{name: wanted}), **{name: user}) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (StringInput(eq="100003"), True),
        (StringInput(eq="0100003"), True),
        (StringInput(eq="100003x"), False),
        (StringInput(eq=""), False),
        (StringInput(neq="0100003"), False),
        (StringInput(neq="x"), True),
        (StringInput(starts_with="1000"), True),
        (StringInput(starts_with="01"), False),
        (StringInput(ends_with="3"), True),
        (StringInput(contains="000"), True),
        (StringInput(contains="1_0"), True),
        (StringInput(in_=("5", "0100003")), True),
        (StringInput(in_=()), False),
        (StringInput(eq="9" * 30), False),
    ],
)
def test_a_job_number_is_compared_as_a_number_and_searched_as_digits(wanted: StringInput, expected: bool) -> None:
    assert fits(JobFilter(job_id=wanted)) is expected


@pytest.mark.parametrize(
    ("wanted", "name", "expected"),
    [
        (StringInput(eq="lammps"), "lammps", True),
        (StringInput(neq="lammps"), None, False),
        (StringInput(contains=""), None, False),
        (StringInput(contains=""), "", True),
        (StringInput(in_=("lammps",)), "lammps", True),
        (StringInput(in_=("lammps",)), "other", False),
        (StringInput(starts_with="LAM"), "lammps", True),
    ],
)
def test_a_job_without_a_name_never_matches_one(wanted: StringInput, name: str | None, expected: bool) -> None:
    assert fits(JobFilter(job_name=wanted), name=name) is expected


@pytest.mark.parametrize("value", [5, ["lammps"], None, {"jobName": "lammps"}])
def test_a_name_that_is_no_text_does_not_match(value: object) -> None:
    row = row_of(Job(1, NOW))
    row.meta_data = {"jobName": value}
    [condition] = conditions_of([JobFilter(job_name=StringInput(neq="x"))], "here").items
    assert not condition.test(row)


@pytest.mark.parametrize(
    ("wanted", "hosts", "expected"),
    [
        (StringInput(eq="n001"), ["n000", "n001"], True),
        (StringInput(eq="N001"), ["n001"], False),
        (StringInput(neq="n001"), ["n001"], False),
        (StringInput(neq="n001"), ["n001", "n002"], True),
        (StringInput(starts_with="n0"), ["n001"], True),
        (StringInput(in_=("n001", "x")), ["n001"], True),
        (StringInput(in_=("x",)), ["n001"], False),
        (StringInput(contains=""), [], False),
    ],
)
def test_a_node_is_any_host_of_the_job(wanted: StringInput, hosts: list[str], expected: bool) -> None:
    assert fits(JobFilter(node=wanted), hosts=hosts) is expected


# --- numbers and times


@pytest.mark.parametrize(
    ("low", "high", "value", "expected"),
    [
        (None, None, 5, True),
        (0, 0, 5, True),
        (5, 5, 5, True),
        (5, 0, 5, True),
        (5, None, 4, False),
        (0, 5, 6, False),
        (None, 5, 0, True),
        (6, 4, 5, False),
        (-1, 3, 5, True),
        (7, -1, 5, True),
        (-1, -1, 5, True),
    ],
)
@pytest.mark.parametrize("name", ["duration", "num_nodes", "num_accelerators", "num_hw_threads", "energy"])
def test_a_range_is_inclusive_open_at_0_and_lifted_below_0(
    name: str, low: int | None, high: int | None, value: int, expected: bool
) -> None:
    column = {"num_accelerators": "num_acc"}.get(name, name)
    wanted = FloatRange(low, high) if name == "energy" else IntRange(low, high)
    assert fits(JobFilter(**{name: wanted}), **{column: value}) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "age", "expected"),
    [
        (TimeRange(), 0, True),
        (TimeRange(NOW - 10, NOW - 5), 10, True),
        (TimeRange(NOW - 10, NOW - 5), 5, True),
        (TimeRange(NOW - 10, NOW - 5), 4, False),
        (TimeRange(NOW - 10), 11, False),
        (TimeRange(None, NOW - 5), 10**6, True),
        (TimeRange(NOW - 5, NOW - 10), 7, False),
        (TimeRange(-5, None), 0, True),
        (TimeRange(None, -5), 0, False),
        (TimeRange(0, 0), 7, False),
        (TimeRange(range="last6h"), 6 * 3600, True),
        (TimeRange(range="last6h"), 6 * 3600 + 1, False),
        (TimeRange(range="last24h"), 86400, True),
        (TimeRange(range="last7d"), 7 * 86400 + 1, False),
        (TimeRange(range="last30d"), 30 * 86400, True),
        (TimeRange(range=""), 10**8, True),
        (TimeRange(NOW - 10, None, "last30d"), 86400, False),
        (TimeRange(None, NOW, "nonsense"), 86400, True),
    ],
)
def test_a_time_range_is_inclusive_and_a_named_one_counts_only_alone(wanted: TimeRange, age: int, expected: bool) -> None:
    assert fits(JobFilter(start_time=wanted), start_time=NOW - age) is expected


def test_several_time_ranges_are_cut_with_each_other() -> None:
    found = conditions_of([JobFilter(start_time=TimeRange(5, 20)), JobFilter(start_time=TimeRange(10, 30))], "here")
    assert (found.earliest, found.latest, found.never) == (10, 20, False)


def test_disjoint_time_ranges_match_nothing_and_nobody_is_asked() -> None:
    assert conditions_of([JobFilter(start_time=TimeRange(5, 6)), JobFilter(start_time=TimeRange(7, 8))], "here").never


def test_without_a_filter_every_start_time_fits() -> None:
    found = conditions_of([], "here")
    assert (found.earliest, found.latest, found.items, found.never) == (EARLIEST, LATEST, [], False)


@pytest.mark.parametrize(
    ("name", "low", "high", "footprint", "expected"),
    [
        ("load_avg", 1.0, 2.0, {"load_avg": 1.5}, True),
        ("load_avg", 1.5, 1.5, {"load_avg": 1.5}, True),
        ("load_avg", 2.0, 0.0, {"load_avg": 1.5}, False),
        ("load_avg", 0.0, 0.0, {}, False),
        ("load_avg", 0.0, 0.0, {"load_avg": 1.5}, True),
        ("load_avg", 0.0, 0.0, {"load": 1.5}, False),
        ("load_avg", 0.0, 0.0, None, False),
        ("load", 1.0, 2.0, {"load_avg": 1.5}, False),
        ("load_avg", 1.0, 2.0, None, False),
        ("load-avg", 0.0, 0.0, {"load-avg": 1.5}, False),
        ("x' OR 1=1 --", 0.0, 0.0, {}, False),
        ("", 0.0, 0.0, {}, False),
        ("größe", 0.0, 0.0, {"größe": 1.0}, False),
    ],
)
def test_a_metric_is_a_footprint_key(
    name: str, low: float, high: float, footprint: dict[str, float] | None, expected: bool
) -> None:
    wanted = JobFilter(metric_stats=(MetricStat(name, FloatRange(low, high)),))
    assert fits(wanted, footprint=footprint) is expected


def test_a_footprint_value_of_null_is_no_value() -> None:
    row = row_of(Job(1, NOW))
    row.footprint = {"load_avg": None}  # type: ignore[dict-item]
    [condition] = conditions_of([JobFilter(metric_stats=(MetricStat("load_avg", FloatRange(1.0, 2.0)),))], "here").items
    assert not condition.test(row)


# --- ids, tags, words


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((), False),
        (("7",), True),
        (("007",), False),
        (("here:7",), True),
        (("there:7",), False),
        (("x", "7"), True),
        (("-7",), False),
        (("7 ",), False),
        (("\N{ARABIC-INDIC DIGIT SEVEN}",), False),
        (("here:",), False),
    ],
)
def test_a_database_id_counts_at_its_own_site_and_a_bare_one_at_each(ids: tuple[str, ...], expected: bool) -> None:
    if ids == ("007",):  # a number, as in SQL, though the oracle compares text
        assert accepts(conditions_of([JobFilter(db_id=ids)], "here"), Job(1, NOW, id=7))
    else:
        assert fits(JobFilter(db_id=ids)) is expected


def test_ids_of_several_filters_are_cut_with_each_other() -> None:
    assert conditions_of([JobFilter(db_id=("1", "2")), JobFilter(db_id=("2", "3"))], "here").db_ids == frozenset({2})
    assert conditions_of([JobFilter(db_id=("1",)), JobFilter(db_id=("3",))], "here").never


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((), False),
        (("4",), True),
        (("5",), False),
        (("here:4",), True),
        (("there:4",), False),
        (("global/review/slow",), True),
        (("admin/review/slow",), False),
        (("review/slow",), False),
        (("nonsense", "4"), True),
        (("nonsense",), False),
    ],
)
def test_a_tag_is_named_by_number_or_by_scope_type_and_name(ids: tuple[str, ...], expected: bool) -> None:
    assert fits(JobFilter(tags=ids), tags=[("review", "slow", "global", 4), ("x", "y", "admin", 9)]) is expected


def test_a_job_without_tags_has_none_of_them() -> None:
    assert not fits(JobFilter(tags=("4",)))


@given(
    parts=st.tuples(st.text(), st.text(), st.text()).filter(
        lambda parts: not any("\ud800" <= c <= "\udfff" for c in "".join(parts))
    )
)
def test_a_tag_id_holds_any_name_type_and_scope(parts: tuple[str, str, str]) -> None:
    kind, name, scope = parts
    text = encode_tag_id(Tag(kind, name, scope))
    assert text.isascii()
    assert decode_tag_id(text) == parts


@given(text=st.text(max_size=30))
def test_any_text_is_a_tag_id_or_none(text: str) -> None:
    found = decode_tag_id(text)
    assert (found is None) == (text.count("/") != 2)


@pytest.mark.parametrize(
    ("states", "expected"), [((), False), (("completed",), True), (("running", "completed"), True), (("running",), False)]
)
def test_states_are_alternatives(states: tuple[str, ...], expected: bool) -> None:
    assert fits(JobFilter(state=states)) is expected


@pytest.mark.parametrize(("wanted", "expected"), [(0, True), (7, False)])
def test_array_number_0_means_in_no_array(wanted: int, expected: bool) -> None:
    assert fits(JobFilter(array_job_id=wanted), array_job_id=0) is expected


@pytest.mark.parametrize(
    ("schedule", "name", "expected"),
    [
        ("interactive", "interactive", True),
        ("interactive", "Interactive", False),
        ("interactive", None, False),
        ("batch", "interactive", False),
        ("batch", "lammps", True),
        ("batch", None, False),
        ("", None, True),
    ],
)
def test_schedule_looks_at_the_job_name(schedule: str, name: str | None, expected: bool) -> None:
    assert fits(JobFilter(schedule=schedule), name=name) is expected


@pytest.mark.parametrize("word", ["none", "single_user", "multi_user"])
def test_shared_is_one_of_three_words(word: str) -> None:
    assert fits(JobFilter(shared=word), shared=word)
    assert not fits(JobFilter(shared=word), shared="none" if word != "none" else "multi_user")


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (JobFilter(shared="none' OR 1=1 --"), "shared"),
        (JobFilter(shared=""), "shared"),
        (JobFilter(shared="NONE"), "shared"),
        (JobFilter(schedule="nightly"), "schedule"),
        (JobFilter(start_time=TimeRange(range="last1h")), "startTime.range"),
    ],
)
def test_an_unknown_word_is_refused_by_name(wanted: JobFilter, where: str) -> None:
    with pytest.raises(RequestError, match=f"JobFilter.{where}") as refused:
        conditions_of([wanted], "here")
    assert refused.value.code is Code.BAD_REQUEST


def test_a_refusal_repeats_only_the_beginning_of_what_was_sent() -> None:
    with pytest.raises(RequestError) as refused:
        conditions_of([JobFilter(shared="x" * 5000)], "here")
    assert len(refused.value.message) < 200


def test_filters_and_fields_are_all_required_together() -> None:
    both = [JobFilter(user=StringInput(eq="alice")), JobFilter(user=StringInput(eq="bob"))]
    assert not accepts(conditions_of(both, "here"), Job(1, NOW, user="alice"))
    one = JobFilter(user=StringInput(eq="alice"), state=("failed",))
    assert not accepts(conditions_of([one], "here"), Job(1, NOW, user="alice", state="completed"))


# --- what a site evaluates itself


@given(filters=filter_lists(), kinds=st.sets(st.sampled_from(["state", "cluster", "project", "user", "min_nodes"])), job=jobs())
def test_what_is_pushed_down_and_what_remains_make_the_whole_filter(filters: list[JobFilter], kinds: set[str], job: Job) -> None:
    conditions = conditions_of(filters, "s1", now=NOW)
    pushed, residual = conditions.split(lambda push: push.kind in kinds)
    row = row_of(job, "s1")
    there: dict[str, Callable[[Any], bool]] = {
        "state": lambda value: row.state in value,
        "cluster": lambda value: row.cluster == value,
        "project": lambda value: row.project == value,
        "user": lambda value: row.user == value,
        "min_nodes": lambda value: row.num_nodes >= value,
    }
    both = all(there[push.kind](push.value) for push in pushed) and all(one.test(row) for one in residual)
    assert both == all(one.test(row) for one in conditions.items)
    assert len({push.kind for push in pushed}) == len(pushed)
