"""A list of remembered objects is written once, and is the text that it would be if it were written anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgateway.jobs.model import JobRow
from ccgateway.surfaces.graphql import written_lists
from ccgateway.surfaces.graphql.context import RequestContext
from ccgateway.surfaces.graphql.documents import Documents
from ccgateway.surfaces.graphql.execution import Executions
from ccgateway.surfaces.graphql.wire import GraphQLRequest
from ccgateway.surfaces.graphql.written_lists import FEWEST, WrittenLists
from surfaces.fakes import CALLER, FakeGateway, aurora, make_row
from surfaces.test_projection import ROWS, executed
from surfaces.test_selection import LIMITS, SCHEMA, documents

DOCUMENT = "{ jobs { items { id user tags { name } } complete } }"


class Asking:
    """One endpoint's requests. ``age``: of what the sites said (s); ``None``: it is new."""

    def __init__(self, *, age: float | None = 0.5) -> None:
        self.executions = Executions(SCHEMA, Documents(SCHEMA, LIMITS))
        self.known = WrittenLists()
        self.age = age

    async def answer(self, rows: Sequence[JobRow], document: str = DOCUMENT) -> Any:
        gateway = FakeGateway(rows=list(rows), reports=[aurora(cache_age=self.age)])
        context = RequestContext(gateway, CALLER, LIMITS, written_lists=self.known)
        variables = {"yes": True, "no": False} if "$yes" in document else None
        return await self.executions.run(GraphQLRequest(document, variables=variables), context, "test")

    async def items(self, rows: Sequence[JobRow], document: str = DOCUMENT) -> Any:
        return msgspec.structs.astuple((await self.answer(rows, document))["data"]["jobs"])[0]


def rows_of(count: int = FEWEST) -> list[JobRow]:
    return [make_row(number) for number in range(1, count + 1)]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(documents(), st.lists(ROWS, min_size=FEWEST, max_size=FEWEST + 2))
async def test_what_was_written_once_is_what_would_be_written_anew(document: str, values: list[dict[str, Any]]) -> None:
    rows, asking = [make_row(number, **one) for number, one in enumerate(values)], Asking()
    plain = msgspec.json.encode((await executed(document, rows))["data"])
    for _ in range(3):
        assert msgspec.json.encode((await asking.answer(rows, document))["data"]) == plain


async def test_the_same_objects_are_written_once_whoever_asks_and_others_anew() -> None:
    asking, rows = Asking(), rows_of()
    first = await asking.items(rows)
    assert isinstance(first, msgspec.Raw) and await asking.items(rows) is first
    assert await asking.items(rows[::-1]) is not first
    alike = [*rows[:-1], make_row(FEWEST)]
    again = await asking.items(alike)
    assert again is not first and bytes(again) == bytes(first)
    other = await asking.items(rows, "{ jobs { items { id } } }")
    assert bytes(other) == msgspec.json.encode([{"id": f"aurora:{number}"} for number in range(1, FEWEST + 1)])


@pytest.mark.parametrize(("age", "count"), [(None, FEWEST), (0.5, FEWEST - 1)])
async def test_what_is_new_or_short_is_not_kept(age: float | None, count: int) -> None:
    asking, rows = Asking(age=age), rows_of(count)
    for _ in range(2):
        assert isinstance(await asking.items(rows), tuple)


async def test_lists_for_which_more_is_asked_are_not_kept() -> None:
    asking, rows = Asking(), rows_of()
    for _ in range(2):
        found = await asking.items(rows, "{ jobs { items { id metrics { name } } } }")
        assert not isinstance(found, msgspec.Raw)


def test_texts_are_bounded_in_bytes_and_go_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written_lists, "MOST_BYTES", 5 * FEWEST * written_lists.EACH)
    known, plan = WrittenLists(), object()
    pages = [rows_of() for _ in range(10)]
    for page in pages:
        known.keep(plan, page, ["x"])
    assert 1 <= sum(known.find(plan, page) is not None for page in pages) <= 4
    large = rows_of(100)
    assert bytes(known.keep(plan, large, ["y"])) == b'["y"]' and known.find(plan, large) is None
    monkeypatch.setattr(written_lists, "KEPT_FOR", 0.0)
    brief = WrittenLists()
    brief.keep(plan, pages[0], ["x"])
    assert brief.find(plan, pages[0]) is None
