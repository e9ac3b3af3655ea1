"""What callers may say of jobs, and what it means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from ccgateway.client.filters import instant, parameters, seconds, selection, several, span, tag_of, texts
from ccgateway.client.values import Tag

NOW = 1_717_243_200  # 2024-06-01T12:00:00Z


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("7d", "2024-05-25T12:00:00"), ("90m", "2024-06-01T10:30:00"), ("2w", "2024-05-18T12:00:00"),
        ("0s", "2024-06-01T12:00:00"),
        ("2024-05-01", "2024-05-01T00:00:00"), ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00"), (NOW, "2024-06-01T12:00:00"),
        (datetime(2024, 5, 1, 10), "2024-05-01T10:00:00"), (date(2024, 5, 1), "2024-05-01T00:00:00"),
        (timedelta(hours=2), "2024-06-01T10:00:00"),
        (datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2))), "2024-05-01T08:00:00"),
    ],
)  # fmt: skip
def test_times(value: Any, meant: str) -> None:
    assert instant(value, now=NOW) == datetime.fromisoformat(meant).replace(tzinfo=UTC)


@pytest.mark.parametrize("value", ["7 days", "yesterday", "", "-7d", "7y", "2024-13-01", "\u0667d", NOW * 1000, 1e300, None, ()])
def test_what_is_no_time_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(ValueError, match="give 7d"):
        instant(value)


@pytest.mark.parametrize("day", ["2024-05-01", "20240501", date(2024, 5, 1)])
def test_a_day_that_jobs_started_up_to_is_meant_as_a_whole(day: Any) -> None:
    assert selection({"since": day, "until": day})["startTime"] == {"from": "2024-05-01T00:00:00Z", "to": "2024-05-01T23:59:59Z"}
    assert dict(parameters({"until": day})) == {
        "startTime[to]": str(int(datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC).timestamp()))
    }
    assert selection({"until": datetime(2024, 5, 1)})["startTime"] == {"to": "2024-05-01T00:00:00Z"}


def test_states_are_known_in_capitals_too() -> None:
    assert selection({"state": ["COMPLETED", "failed"]}) == {"state": ["completed", "failed"]}
    assert parameters({"state": "RUNNING"}) == [("state", "running")]


def test_a_text_is_one_name_and_any_collection_is_several() -> None:
    assert several("mem_bw") == ["mem_bw"] and several(("a", "b")) == ["a", "b"] and several(None) is None
    assert sorted(texts({"completed", "failed"})) == ["completed", "failed"]
    for wrong in (b"abc", {"a": 1}, None, 1.5):
        with pytest.raises(ValueError, match="neither a text nor several"):
            texts(wrong)


@pytest.mark.parametrize(
    ("value", "ends"),
    [("4", (4, 4)), (4, (4, 4)), ("4..", (4, None)), ("..16", (None, 16)), ("4..16", (4, 16)), ((None, 3), (None, 3))],
)
def test_ranges(value: Any, ends: object) -> None:
    assert span(value) == ends


@pytest.mark.parametrize("value", ["..", "", "x", "4-16", "16..4", "4...6", "1.5", range(4, 9), (1, 2, 3), 1.5])
def test_what_is_no_range_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="range"):
        span(value)


def test_durations_and_tags() -> None:
    assert [seconds(text) for text in ("90", "90s", "15m", "12h", "7d", "2w")] == [90, 90, 900, 43200, 604800, 1209600]
    assert tag_of("review:slow@admin") == Tag(type="review", name="slow", scope="admin")
    for wrong in ("review", ":slow", "review:", ""):
        with pytest.raises(ValueError, match="type:name"):
            tag_of(wrong)


def test_a_filter_reads_the_same_in_graphql_and_in_an_export() -> None:
    filters: Any = {
        "user": "alice", "state": ["completed", "failed"], "nodes": "4..", "duration": "..1h", "since": "1d", "name": "gro",
    }  # fmt: skip
    assert selection(filters, now=NOW) == {
        "user": {"eq": "alice"},
        "state": ["completed", "failed"],
        "numNodes": {"from": 4},
        "duration": {"to": 3600},
        "startTime": {"from": "2024-05-31T12:00:00Z"},
        "jobName": {"eq": "gro"},
    }
    assert parameters(filters, now=NOW) == [
        ("user", "alice"), ("state", "completed"), ("state", "failed"), ("jobName", "gro"), ("numNodes[from]", "4"),
        ("duration[to]", "3600"), ("startTime[from]", str(NOW - 86400)),
    ]  # fmt: skip


def test_what_makes_no_sense_is_refused_and_not_ignored() -> None:
    with pytest.raises(TypeError, match="there is no filter usr"):
        selection({"usr": "alice"})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ValueError, match="the least is 1"):
        selection({"nodes": "..0"})  # which the gateway would take for no restriction at all
    with pytest.raises(ValueError, match="cannot be restricted by tag"):
        parameters({"tag": "review:slow"})
    assert selection({"user": None}) == {}  # type: ignore[typeddict-item]
