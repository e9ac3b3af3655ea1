"""Jobs start, end and vanish while the list is read: what stayed is neither lost nor doubled, and the order stays strict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from live.changes import Changes
from live.farm import Farm
from live.meaning import matches
from live.questions import FILTERS
from live.truth import Key, in_order, truth_of
from live.walking import walk
from live.worlds import World

#: what the reader waits between two pages, so that changes come in between
BREATH = 0.01


@pytest.fixture
def changes(scratch: Farm) -> Iterator[Changes]:
    made = Changes(scratch)
    yield made
    made.undo()


@pytest.mark.parametrize("size", [1, 7, 30])
async def test_no_job_that_stayed_is_lost_or_doubled_while_others_come_and_go(
    varied_world: World, changes: Changes, size: int
) -> None:
    before = in_order(truth_of(varied_world.farm))
    with changes:
        await asyncio.sleep(0.3)
        walked = await walk(varied_world.face, [], size, breath=BREATH)
    after = in_order(truth_of(varied_world.farm))
    _check(walked, before, after)
    assert changes.started > 5
    assert changes.stopped + changes.deleted > 5


@pytest.mark.parametrize("name", ["node neq", "user neq", "nodes to"])
async def test_nor_is_it_in_a_filtered_list(varied_world: World, changes: Changes, name: str) -> None:
    filters = FILTERS[name]
    before = in_order(job for job in truth_of(varied_world.farm) if matches(job, filters))
    with changes:
        await asyncio.sleep(0.3)
        walked = await walk(varied_world.face, filters, 7, breath=BREATH)
    after = in_order(job for job in truth_of(varied_world.farm) if matches(job, filters))
    _check(walked, before, after)


def _check(walked: Sequence[Key], before: Sequence[Key], after: Sequence[Key]) -> None:
    assert all(one.place < two.place for one, two in pairwise(walked)), "the order is not strict, or a job came twice"
    stayed = set(before) & set(after)
    assert len(stayed) > 100
    assert stayed - set(walked) == set()
