"""Times, large integers and words: what is read, what is written, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from graphql import GraphQLError, parse, validate
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.surfaces.graphql.scalars import (
    NO_TIME,
    read_int64,
    read_scope,
    read_state,
    read_time,
    write_int64,
    write_time,
    write_word,
)  # fmt: skip
from ccgateway.surfaces.graphql.schema import core_schema

NOON = 1_717_243_200


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-06-01T12:00:00Z", NOON),
        ("2024-06-01t12:00:00z", NOON),
        ("2024-06-01T12:00:00+00:00", NOON),
        ("2024-06-01T14:00:00+02:00", NOON),
        ("2024-06-01T06:30:00-05:30", NOON),
        ("2024-06-01T12:00:00.999Z", NOON),
        ("2024-06-01T12:00:00.123456789123Z", NOON),
        ("2024-06-01 12:00:00", NOON),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("", NO_TIME),
    ],
)
def test_a_time_is_read_as_release_1_5_reads_it(text: str, seconds: int) -> None:
    assert read_time(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        NOON, True, None, "2024-06-01", "2024-06-01T12:00:00", "2024-06-01T12:00Z", "2024-02-31T12:00:00Z",
        "2024-06-01 12:00:00Z", "now", "2024-06-01T25:00:00Z", "٢٠٢٤-06-01T12:00:00Z", " 2024-06-01T12:00:00Z",
        "2024-06-01T12:00:00+99:00", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(GraphQLError, match="2024-06-01T12:00:00Z") as caught:
        read_time(value)
    assert len(caught.value.message) < 300


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_a_time_that_is_written_is_read_back(seconds: int) -> None:
    text = write_time(seconds)
    assert read_time(text) == seconds
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(seconds, UTC)


def test_a_written_time_is_utc_whole_seconds_whatever_the_zone_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    assert write_time(NOON + 0.9) == "2024-06-01T12:00:00Z"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-62_135_596_800, "0001-01-01T00:00:00Z"),
        (-62_135_596_801, "0001-01-01T00:00:00Z"),
        (-(1 << 63), "0001-01-01T00:00:00Z"),
        (-30_610_224_000, "1000-01-01T00:00:00Z"),
        (253_402_300_800, "9999-12-31T23:59:59Z"),
        ((1 << 63) - 1, "9999-12-31T23:59:59Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_written_time_has_a_year_of_four_digits(seconds: float, text: str) -> None:
    assert write_time(seconds) == text


@pytest.mark.parametrize("value", [None, "2024", True, float("nan"), float("inf")])
def test_only_numbers_are_written_as_times(value: object) -> None:
    with pytest.raises(TypeError):
        write_time(value)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_every_64_bit_integer_passes_as_number_and_as_text(value: int) -> None:
    assert read_int64(value) == read_int64(str(value)) == write_int64(value) == value


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, str(1 << 63), 1.0, True, None, "", "1e3", "0x10", "1" * 5000])
def test_other_integers_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Int64"):
        read_int64(value)


@pytest.mark.parametrize("value", [1 << 63, True, "1", 1.5])
def test_other_integers_are_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        write_int64(value)


def test_states_and_scopes_are_the_known_words() -> None:
    assert read_state("stopped") == "stopped"
    assert read_state("node_fail") == "node_fail"
    assert read_scope("memoryDomain") == "memoryDomain"
    for bad in ("RUNNING", "", 1, None):
        with pytest.raises(GraphQLError, match="running, completed"):
            read_state(bad)
        with pytest.raises(GraphQLError, match="node, socket"):
            read_scope(bad)


def test_a_state_of_a_newer_release_is_shown_as_it_is() -> None:
    assert write_word("hibernated") == "hibernated"
    with pytest.raises(TypeError):
        write_word(None)


@pytest.mark.parametrize("literal", ["state: [bogus]", 'startTime: {from: "never"}', "duration: {from: 99999999999999999999}"])
def test_what_is_wrong_with_a_literal_says_where_it_stands(literal: str) -> None:
    errors = validate(core_schema(), parse(f"{{ jobs(filter: [{{ {literal} }}]) {{ count }} }}"))
    assert errors and all(error.locations for error in errors)
