"""Whose an answer is, and what a write takes away."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ccgateway.cache.entries import RAW, Filled
from ccgateway.cache.keys import Key
from ccgateway.deadline import Deadline
from ccgateway.jobs.model import JobKey
from ccgateway.site.caching.responses import JOBS, audience_of, person_of, subject_of
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext
from support.caching import Clock, cache_of, settled
from support.proved import Accepted
from support.upstream import ADMIN

TOKEN = SecretStr("canary-of-a-token")
WORDS = st.text(alphabet="ab +:/%é", max_size=4)


def credential(user: str | None, *roles: str) -> Credential:
    return Credential(TOKEN, user, frozenset(roles), "/api")


@given(
    st.lists(
        st.tuples(st.none() | WORDS, st.frozensets(WORDS | st.sampled_from(["admin", "api", "user", "support"]))), max_size=6
    )
)
def test_different_people_and_roles_are_different_audiences(given: list[tuple[str | None, frozenset[str]]]) -> None:
    for (one, its), (two, theirs) in combinations(given, 2):
        first, second = (Credential(TOKEN, user, roles, "/api") for user, roles in ((one, its), (two, theirs)))
        if audience_of(first) is not None and audience_of(first) == audience_of(second):
            assert its == theirs and first.visibility == second.visibility
        if person_of(first) is not None and person_of(first) == person_of(second):
            assert (one, its) == (two, theirs)


def test_who_sees_all_with_the_same_roles_is_one_audience_of_several_people() -> None:
    one, two = credential("ann", "admin", "api"), credential("bob", "api", "admin")
    assert audience_of(one) == audience_of(two)
    assert person_of(one) != person_of(two)
    assert audience_of(credential("ann", "support", "api")) != audience_of(one)
    assert audience_of(credential("ann", "user", "api")) != audience_of(credential("ann", "manager", "api"))


@pytest.mark.parametrize(
    "nobody", [Credential(TOKEN, None, None, "/api"), credential(None, "user"), credential("", "user", "api")]
)
def test_a_token_that_does_not_say_whose_it_is_has_no_audience(nobody: Credential) -> None:
    assert audience_of(nobody) is None
    assert person_of(nobody) is None
    assert person_of(credential(None, "api")) is None


def test_no_token_is_in_an_audience() -> None:
    assert "canary" not in f"{audience_of(credential('ann', 'user'))}{person_of(credential('ann', 'user'))}"


@given(
    st.lists(
        st.builds(JobKey, st.just("one"), st.text(max_size=5), st.integers(0, 99), st.integers(0, 99)), max_size=5, unique=True
    )
)
def test_each_job_is_a_subject_of_its_own(jobs: list[JobKey]) -> None:
    assert len({subject_of(job) for job in jobs}) == len(jobs)


async def test_a_write_takes_away_the_job_and_the_lists_or_all_of_the_site() -> None:
    responses = cache_of()
    one, other = JobKey("one", "alex", 1, 1000), JobKey("one", "alex", 2, 1000)
    keys = [
        Key("one", subject_of(one), "all"),
        Key("one", subject_of(other), "all"),
        Key("one", JOBS, "all"),
        Key("two", JOBS, "all"),
    ]

    async def known() -> list[bool]:
        found = await responses.cache.peek(keys, RAW)
        return [key in found for key in keys]

    async def fill(missing: object, context: CallContext) -> dict[Key, Filled]:
        return dict.fromkeys(keys, Filled(b"1", 60.0))

    async def refill() -> None:
        await responses.fetch(keys, fill, RAW, CallContext(ADMIN, Deadline.after(5), proofs=Accepted()), within=5)
        await settled(responses)
        assert await known() == [True] * 4

    await refill()
    await responses.invalidate("one", [one])
    assert await known() == [False, True, False, True]
    await refill()
    await responses.invalidate("one")
    assert await known() == [True, True, False, True]
    await refill()
    await responses.invalidate("one", None)
    assert await known() == [False, False, False, True]
    await responses.aclose()


async def test_the_meter_tells_what_was_remembered() -> None:
    clock = Clock()
    responses, key = cache_of(clock), Key("one", JOBS, "all")

    async def fill(missing: object, context: CallContext) -> dict[Key, Filled]:
        context.stats.calls += 1
        return {key: Filled(b"1", 60.0)}

    asking, knowing = (CallContext(ADMIN, Deadline.after(5), proofs=Accepted()) for _ in range(2))
    await responses.fetch([key], fill, RAW, asking, within=5)
    await settled(responses)
    assert (asking.stats.calls, asking.stats.recalled, asking.stats.age) == (1, 0, None)
    clock.now += 30
    await responses.fetch([key], fill, RAW, knowing, within=5)
    assert (knowing.stats.calls, knowing.stats.recalled) == (0, 1)
    assert knowing.stats.age == pytest.approx(30, abs=0.5)
    await responses.aclose()
