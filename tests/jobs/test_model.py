"""Job ids and keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, RequestError
from ccgateway.jobs.model import ALWAYS, JOB_FIELDS, Tag, parse_job_id


@given(site=st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True), number=st.integers(0, 10**18 - 1))
def test_a_job_id_is_read_as_it_was_written(site: str, number: int) -> None:
    assert parse_job_id(f"{site}:{number}") == (site, number)


@pytest.mark.parametrize(
    "text",
    ["", "7", "aurora", "aurora:", ":7", "aurora:-7", "aurora:7 ", "Aurora:7", "aurora:7:8", "aurora:7\n", "aurora:" + "9" * 40],
)
def test_anything_else_is_no_job_id(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_job_id(text)
    assert refused.value.code is Code.BAD_REQUEST


@given(text=st.text(max_size=300))
def test_any_text_is_a_job_id_or_refused(text: str) -> None:
    try:
        parse_job_id(text)
    except RequestError as refused:
        assert len(refused.message) < 1000
    else:
        assert text.count(":") == 1


def test_a_job_id_in_other_digits_is_refused() -> None:
    with pytest.raises(RequestError):
        parse_job_id("aurora:\N{ARABIC-INDIC DIGIT SEVEN}")


def test_identity_is_on_every_row() -> None:
    assert set(JOB_FIELDS) >= ALWAYS
    assert all(JOB_FIELDS[name].default is not None for name in ALWAYS)


def test_a_tag_of_a_release_without_scopes_is_everybodys() -> None:
    assert Tag("review", "slow").key == ("review", "slow", "global")
