"""Where the next page begins: whose place is whose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.federation.page_cursors import NumberedPages, PageCursorStore
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import JobFilter, StringInput, TimeRange

ALICE = Principal("alice", frozenset({"user", "api", "manager"}), (("aurora", "al"),), "own", SecretStr("one"))
WALK = NumberedPages(ALICE, JobFilter(state=("running",), start_time=TimeRange(5, None)), ("*",), 25)


async def test_a_page_begins_where_the_one_before_ended_that_was_read_last() -> None:
    pages = PageCursorStore(TtlStore("note"))
    await pages.remember(WALK, 2, "a")
    assert (await pages.start_of(WALK, 2), await pages.start_of(WALK, 3)) == ("a", None)
    await pages.remember(WALK, 2, "b")
    assert await pages.start_of(WALK, 2) == "b"


@pytest.mark.parametrize(
    "other",
    [
        replace(WALK, caller=replace(ALICE, subject="bob")),
        replace(WALK, caller=replace(ALICE, issuer="another")),
        replace(WALK, caller=replace(ALICE, roles=frozenset({"user"}))),
        replace(WALK, caller=replace(ALICE, names=())),
        replace(WALK, filter=JobFilter(state=("running",), start_time=TimeRange(None, 5))),
        replace(WALK, filter=JobFilter(state=("running",), start_time=TimeRange(5, None), user=StringInput(eq="alice"))),
        replace(WALK, sites=("aurora",)),
        replace(WALK, size=26),
    ],
)
async def test_others_and_other_questions_have_places_of_their_own(other: NumberedPages) -> None:
    pages = PageCursorStore(TtlStore("note"))
    await pages.remember(WALK, 2, "a")
    assert await pages.start_of(other, 2) is None


def test_a_caller_with_a_new_token_goes_on_where_it_was() -> None:
    assert replace(WALK, caller=replace(ALICE, token=SecretStr("two"))).name(2) == WALK.name(2)


def test_a_name_tells_nothing_and_does_not_depend_on_the_order_of_roles() -> None:
    others = replace(WALK, caller=replace(ALICE, roles=frozenset(["manager", "api", "user"])))
    assert others.name(2) == WALK.name(2) and "alice" not in WALK.name(2)
