"""An id from one face works in the other, and clients of cc-backend ask where they always did."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

from ccgateway.jobs.writes import Target
from ccgateway.surfaces.graphql.mutation_inputs import JobTarget
from ccgateway.surfaces.ids import Ids
from surfaces.apps import client_of, make_app
from surfaces.fakes import FakeGateway, make_row

JOB = "{ id }"


async def posted(path: str, query: str, **variables: Any) -> tuple[dict[str, Any], FakeGateway]:
    gateway = FakeGateway(rows=[make_row(4000)])
    async with client_of(make_app(gateway)) as client:
        answer = await client.post(path, json={"query": query, "variables": variables})
    return answer.json(), gateway


@pytest.mark.parametrize("path", ["/graphql", "/query", "/cc-backend/1.5/query"])
@pytest.mark.parametrize("id", ["4000001", 4000001, "aurora:4000"])
async def test_an_integer_id_names_the_job_of_the_site_with_that_number(path: str, id: str | int) -> None:  # noqa: A002
    answer, gateway = await posted(path, "query($i: ID!) { job(id: $i) { id } jobMetrics(id: $i) { name } }", i=id)
    assert "errors" not in answer
    assert [asked[0] for asked in gateway.questions] == ["aurora:4000"] * 2


async def test_an_integer_id_works_as_it_stands_in_the_document() -> None:
    _, gateway = await posted("/query", "{ job(id: 4000001) { id } }")
    assert gateway.questions[0][0] == "aurora:4000"


async def test_an_integer_id_of_no_site_is_not_found() -> None:
    answer, _ = await posted("/query", "{ job(id: 4000999) { id } }")
    assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_a_filter_by_ids_takes_both_forms_and_passes_over_numbers_of_no_site() -> None:
    _, gateway = await posted("/query", '{ jobs(filter: {dbId: [4000001, "5001", "aurora:6", 7777]}) { complete } }')
    (question,) = gateway.questions
    assert question.filters[0].db_id == ("aurora:4000", "aurora:5", "aurora:6")
    _, gateway = await posted("/query", "{ jobs(filter: {dbId: [7777]}) { complete } }")
    assert gateway.questions[0].filters[0].db_id == ()


@pytest.mark.parametrize("id", ["4000001", "aurora:4000"])
def test_an_order_names_its_job_in_both_forms(id: str) -> None:  # noqa: A002
    target = JobTarget(id=strawberry.ID(id)).to_value(Ids({"aurora": 1, "borealis": 2}))
    assert target == Target(site="aurora", db_id=4000)


@pytest.mark.parametrize("path", ["/query", "/cc-backend/1.5/query"])
async def test_the_alias_answers_post_only(path: str) -> None:
    async with client_of(make_app(FakeGateway())) as client:
        assert (await client.get(path, params={"query": "{ sites { name } }"})).status_code == 405
        assert (await client.post(path, json={"query": "{ sites { name } }"})).status_code == 200
