"""``LIKE`` as SQLite has it, with SQLite itself as the judge."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import RequestError
from ccgateway.jobs.conditions import check_sizes
from ccgateway.jobs.filters import JobFilter, StringInput
from ccgateway.jobs.patterns import MOST_CHARACTERS, MOST_WILDCARDS, like
from support.oracle import sqlite_like

#: text without NUL (SQLite's own LIKE stops there) and without lone surrogates (which are not text)
any_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
tricky = st.text("aAbBzZ%_äÄß\N{LATIN SMALL LETTER LONG S}\N{KELVIN SIGN}[é\\.*\n", max_size=10)


@given(text=tricky, pattern=tricky)
def test_it_agrees_with_sqlite_on_tricky_text(text: str, pattern: str) -> None:
    assert like(pattern)(text) == sqlite_like(text, pattern)


@given(text=any_text, pattern=any_text)
def test_it_agrees_with_sqlite_on_any_text(text: str, pattern: str) -> None:
    assert like(pattern)(text) == sqlite_like(text, pattern)


@given(text=any_text, wild=st.lists(st.sampled_from(["%", "_", ""]), min_size=12, max_size=12))
def test_it_agrees_with_sqlite_on_patterns_made_of_the_text(text: str, wild: list[str]) -> None:
    pattern = "".join(w or c.swapcase() for c, w in zip(text, wild, strict=False))
    assert like(pattern)(text) == sqlite_like(text, pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a%a", "a", False),
        ("a%a", "aa", True),
        ("%ab%ab%", "ab", False),
        ("%", "", True),
        ("", "", True),
        ("", "a", False),
        ("_", "", False),
        ("_", "ä", True),
        ("ä", "Ä", False),
        ("LAMMPS", "lammps", True),
        ("%_%_%", "x", False),
        ("%_b%", "ab", True),
        ("a.c", "abc", False),
        ("K", "\N{KELVIN SIGN}", False),
    ],
)
def test_it_fits_as_documented(pattern: str, text: str, fits: bool) -> None:
    assert like(pattern)(text) is fits
    assert sqlite_like(text, pattern) is fits


@pytest.mark.parametrize(
    "pattern", ["%a" * 2000 + "b", "%_" * 2000 + "%b", "%" * 5000 + "b", "_" * 5000, "%" + "a" * 2000 + "%" + "a" * 2000 + "_%"]
)
def test_a_hostile_pattern_takes_no_more_than_pattern_times_text(pattern: str) -> None:
    test, text = like(pattern), "a" * 4000
    started = time.perf_counter()
    test(text)
    assert time.perf_counter() - started < 2.0  # backtracking would take longer than the universe


@pytest.mark.parametrize("pattern", ["%" + "a" * 500 + "_" + "a" * 400 + "b%", "%_" * 50 + "b%", "%a_" * 50 + "%b%"])
def test_a_text_is_passed_over_once(pattern: str) -> None:
    reads = 0

    class Counted(str):
        """Counts how often a character of it is looked at."""

        __slots__ = ()

        def translate(self, _table: object) -> Counted:
            return self

        def __getitem__(self, key: object) -> str:
            nonlocal reads
            reads += 1
            return str.__getitem__(self, key)  # type: ignore[index]

    like(pattern)(Counted("a" * 8000))
    assert reads <= 8000 + 2 * len(pattern)


@pytest.mark.parametrize("operator", ["contains", "starts_with", "ends_with"])
@pytest.mark.parametrize("name", ["job_name", "node", "user", "job_id", "partition"])
def test_a_pattern_beyond_the_bounds_is_refused_with_them(operator: str, name: str) -> None:
    def check(pattern: str) -> None:
        check_sizes([JobFilter(**{name: StringInput(**{operator: pattern})})])  # type: ignore[arg-type]

    check("a" * MOST_CHARACTERS)
    check("_" * MOST_WILDCARDS)
    for pattern in ("a" * (MOST_CHARACTERS + 1), "%_" * MOST_WILDCARDS):
        with pytest.raises(RequestError, match=f"{MOST_CHARACTERS} characters and {MOST_WILDCARDS} wildcards"):
            check(pattern)
