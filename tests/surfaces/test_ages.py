"""How old an answer is: in the report of a list, and for everything in an extension, to those who ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ccgateway.federation.questions import JobMetricsAnswer, SiteReport
from surfaces.apps import client_of, make_app
from surfaces.fakes import FakeGateway, aurora, make_piece

ASKED = {"extensions": {"cache": True}}


class Remembering(FakeGateway):
    """Its metrics are so many seconds old, job by job."""

    def _outcome(self, job_id: str) -> JobMetricsAnswer:
        return JobMetricsAnswer([make_piece()], aurora(cache_age={"aurora:1": 3.5, "aurora:2": 7.25}.get(job_id)))


@pytest.fixture
def remembering() -> Remembering:
    return Remembering(reports=[aurora(cache_age=0.5), SiteReport("borealis", 2)])


async def ask(gateway: FakeGateway, query: str, **more: Any) -> Any:
    async with client_of(make_app(gateway)) as client:
        return (await client.post("/graphql", json={"query": query, **more})).json()


@pytest.mark.parametrize(
    ("query", "ages"),
    [
        ("{ jobs { complete } }", {"aurora": 0.5, "borealis": None}),
        ("{ clusters { name } }", {"aurora": 0.5, "borealis": None}),
        ("{ users { username } }", {"aurora": 0.5, "borealis": None}),
        ('{ jobMetrics(id: "aurora:1") { name } }', {"aurora": 3.5}),
        ('{ jobStats(id: "aurora:2") { name } }', {"aurora": 7.25}),
        ('{ scopedJobStats(id: "aurora:9") { name } }', {"aurora": None}),
        ("{ jobs { items { metrics { name } } } }", {"aurora": 7.25, "borealis": None}),
        ("{ sites { name } }", {}),
    ],
)
async def test_who_asks_is_told_how_old_the_oldest_part_of_each_site_is(
    remembering: Remembering, query: str, ages: dict[str, float | None]
) -> None:
    answer = await ask(remembering, query, **ASKED)
    assert "errors" not in answer
    assert {one["site"]: one["age"] for one in answer["extensions"]["cache"]} == ages


@pytest.mark.parametrize("extensions", [None, {}, {"cache": False}, {"cache": "x"}])
async def test_who_does_not_ask_is_not_told(remembering: Remembering, extensions: dict[str, Any] | None) -> None:
    assert "extensions" not in await ask(remembering, "{ jobs { complete } }", extensions=extensions)


async def test_a_get_may_ask_too(remembering: Remembering) -> None:
    async with client_of(make_app(remembering)) as client:
        parameters = {"query": "{ jobs { complete } }", "extensions": json.dumps(ASKED["extensions"])}
        answer = (await client.get("/graphql", params=parameters)).json()
        assert answer["extensions"]["cache"][0] == {"site": "aurora", "age": 0.5}
        wrong = await client.get("/graphql", params={**parameters, "extensions": "1"})
    assert wrong.json()["errors"][0]["message"] == "The parameter extensions is not a JSON object."


async def test_a_list_reports_it_without_being_asked(remembering: Remembering) -> None:
    answer = await ask(remembering, "{ jobs { sites { site cacheAge } } }")
    assert answer["data"]["jobs"]["sites"] == [{"site": "aurora", "cacheAge": 0.5}, {"site": "borealis", "cacheAge": None}]


async def test_notes_and_ages_stand_side_by_side() -> None:
    answer = await ask(FakeGateway(metric_notes=["scopes: chosen"]), '{ jobMetrics(id: "aurora:1") { name } }', **ASKED)
    assert answer["extensions"] == {
        "notes": [{"site": "aurora", "message": "scopes: chosen"}],
        "cache": [{"site": "aurora", "age": None}],
    }
