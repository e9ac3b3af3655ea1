"""Targets: what names a job, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.model import JobKey
from ccgateway.jobs.writes import END_STATES, Target, WriteOutcome, WriteResult

KEY = JobKey("aurora", "alex", 7, 1000)


def test_a_job_is_named_by_id_by_key_or_by_both() -> None:
    assert Target.of("aurora:12") == Target(site="aurora", db_id=12)
    assert Target.of("aurora:12", job_id=7, start_time=1000).fits(KEY)
    assert not Target.of("aurora:12", job_id=7, start_time=1001).fits(KEY)
    assert not Target.of("borealis:12").fits(KEY)
    assert Target(job_id=7).fits(KEY)


def test_a_whole_key_is_one_only_if_nothing_of_it_is_missing() -> None:
    assert Target(site="aurora", cluster="alex", job_id=7, start_time=1000).key == KEY
    assert Target(cluster="alex", job_id=7, start_time=1000).key is None
    assert Target(site="aurora", cluster="alex", job_id=7).key is None


@pytest.mark.parametrize(
    "parts",
    [{}, {"db_id": 7}, {"cluster": "alex"}, {"site": "aurora"}, {"site": "aurora", "db_id": 7, "cluster": "alex"}],
)
def test_what_names_no_job_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as raised:
        Target(**parts)
    assert raised.value.code is Code.BAD_REQUEST


def test_an_id_of_another_site_is_refused() -> None:
    with pytest.raises(RequestError, match="not one of site"):
        Target.of("aurora:12", site="borealis")


def test_a_job_ends_in_no_state_in_which_it_goes_on() -> None:
    assert not {"running", "pending", "suspended"} & set(END_STATES)
    assert {"completed", "stopped", "deadline"} <= set(END_STATES)


def test_a_failure_keeps_what_is_known_of_the_job() -> None:
    error = RequestError(Code.NOT_FOUND, "no", site="aurora")
    found = WriteResult.failed(error, key=KEY, db_id=12)
    assert (found.outcome, found.job, found.code, found.retryable) == (WriteOutcome.FAILED, "aurora:12", Code.NOT_FOUND, False)
    assert WriteResult(outcome=WriteOutcome.PENDING, site="aurora", key=KEY).job is None
