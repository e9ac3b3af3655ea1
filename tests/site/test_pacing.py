"""A site that is overburdened gets fewer requests at a time, never less than two, and more again as it bears them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from ccgateway.site.guard import ConcurrencyLimit
from ccgateway.site.pacing import CUT_EVERY, FEWEST, Pacing
from support.scripted import OK, Scripted, context_for

READ = SiteRequest("GET", "/api/jobs/")


@given(st.integers(1, 64), st.lists(st.tuples(st.booleans(), st.floats(0, 2)), max_size=300))
def test_there_are_always_two_places_and_never_more_than_the_settings_say(most: int, ends: list[tuple[bool, float]]) -> None:
    pacing, now = Pacing(most), 0.0
    for went_well, pause in ends:
        now += pause
        if went_well:
            pacing.went_well()
        else:
            pacing.overburdened(now, now)
        assert min(FEWEST, most) <= pacing.places <= most


def test_requests_that_failed_together_count_once() -> None:
    pacing = Pacing(64)
    assert [pacing.overburdened(0.0, 5.0 + number * CUT_EVERY) for number in range(10)] == [True] + [False] * 9


def test_all_places_come_back() -> None:
    pacing = Pacing(8)
    for number in range(20):
        pacing.overburdened(number * 2.0, number * 2.0)
    assert pacing.places == FEWEST
    for _ in range(100):
        pacing.went_well()
    assert pacing.places == 8


@pytest.mark.parametrize(
    "bad", [*(SiteAnswer(status, "", b"") for status in (429, 503, 504)), SiteError(Code.TIMEOUT, "here", "late")]
)
async def test_a_site_that_has_too_much_to_do_is_asked_less_at_a_time(
    bad: SiteAnswer | SiteError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ccgateway.site.pacing.CUT_EVERY", 0.0)
    site = Scripted(bad)
    limited = ConcurrencyLimit(site, "here", 8)

    async def ask() -> object:
        return (await asyncio.gather(limited.exchange(READ, context_for()), return_exceptions=True))[0]

    for _ in range(10):
        await ask()
    site.outcomes, site.most = [0.005], 0
    await asyncio.gather(*(ask() for _ in range(2)))
    assert site.most == FEWEST
    site.outcomes = [OK]
    for _ in range(60):
        await ask()
    site.outcomes, site.most = [0.005], 0
    await asyncio.gather(*(ask() for _ in range(30)))
    assert site.most == 8


@pytest.mark.parametrize("status", [200, 400, 401, 404, 422, 500])
async def test_other_answers_take_no_places(status: int) -> None:
    site = Scripted(SiteAnswer(status, "", b""))
    limited = ConcurrencyLimit(site, "here", 8)
    for _ in range(20):
        await limited.exchange(READ, context_for())
    site.outcomes, site.most = [0.005], 0
    await asyncio.gather(*(limited.exchange(READ, context_for()) for _ in range(30)))
    assert site.most == 8
