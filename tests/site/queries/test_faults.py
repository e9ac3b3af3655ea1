"""A ``/query`` that is broken, hostile or not there never makes an answer wrong: REST gives it, and is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ccgateway.errors import Code, SiteError
from ccgateway.federation.questions import JobListAnswer, JobListQuestion
from ccgateway.jobs.filters import IntRange, JobFilter, JobOrder, StringInput
from ccgateway.simulator import SimulatedSite
from ccgateway.site.exchange import SiteAnswer
from support.simulated import Simulated
from support.walking import CALLER, gateway_over

NOW = 1_760_000_000
Disturbs = Callable[[SiteAnswer], SiteAnswer | SiteError]


def job(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number, "jobId": 1000 + number, "user": "alice" if number % 5 else "bob", "project": "p", "cluster": "alex",
        "subCluster": "main", "numNodes": 1 + number % 4, "startTime": NOW - 10_000 + number * 7, "duration": 60 * number,
        "jobState": "completed", "resources": [{"hostname": "n1"}], "metaData": {"jobName": f"job{number}"},
    } | changes  # fmt: skip


def site(release: str = "1.5") -> SimulatedSite:
    return SimulatedSite("s1", release, [job(number) for number in range(1, 41)], clock=lambda: float(NOW))


def answered(change: Callable[[dict[str, Any]], Any]) -> Disturbs:
    """The answer, with its JSON changed."""

    def disturb(answer: SiteAnswer) -> SiteAnswer:
        body = msgspec.json.decode(answer.body)
        changed = change(body)
        return replace(answer, body=msgspec.json.encode(body if changed is None else changed))

    return disturb


def in_jobs(change: Callable[[dict[str, Any]], Any]) -> Disturbs:
    return answered(lambda body: change(body["data"]["jobs"]) and None)


def status(number: int, kind: str = "application/json", body: bytes = b'{"error":"no"}') -> Disturbs:
    return lambda _: SiteAnswer(number, kind, body)


def lies_of(**values: object) -> Disturbs:
    return in_jobs(lambda jobs: [item.update(values) for item in jobs["items"]])


FAULTS: dict[str, Disturbs] = {
    "refuses the token": status(401),
    "forbids": status(403, "text/html", b"<html>no</html>"),
    "is not there": status(404, "text/plain", b"404 page not found"),
    "takes no POST": status(405),
    "does not know the question": status(422, body=b'{"errors":[{"message":"Cannot query field"}],"data":null}'),
    "redirects": status(302, "text/html", b""),
    "fails": status(500),
    "is a web page": status(200, "text/html", b"<!DOCTYPE html><title>log in</title>"),
    "is empty": status(200, body=b""),
    "is cut off": lambda answer: replace(answer, body=answer.body[: len(answer.body) // 2]),
    "has a million errors": status(200, body=b'{"data":null,"errors":[' + b",".join([b'{"message":"x"}'] * 1_000_000) + b"]}"),
    "panics": status(200, body=b'{"data":null,"errors":[{"message":"MAIN > Panic caused by: x","path":["jobs"]}]}'),
    "is too complex": status(200, body=b'{"errors":[{"message":"operation has complexity 5850","extensions":{}}],"data":null}'),
    "has errors beside data": answered(lambda body: body.update(errors=[{"message": "half of it"}])),
    "has no data": answered(lambda _: {"data": None}),
    "has no jobs": answered(lambda _: {"data": {"jobs": None}}),
    "has nulls for jobs": in_jobs(lambda jobs: jobs.update(items=[None])),
    "has nulls for numbers": lies_of(jobId=None),
    "counts nothing": in_jobs(lambda jobs: jobs.update(count=None)),
    "counts text": in_jobs(lambda jobs: jobs.update(count="many")),
    "counts fewer than it sends": in_jobs(lambda jobs: jobs.update(count=0)),
    "counts jobs that it does not send": in_jobs(lambda jobs: jobs.update(items=[], count=7)),
    "sends half of the jobs": in_jobs(lambda jobs: jobs.update(items=jobs["items"][: len(jobs["items"]) // 2])),
    "sends others' jobs": lies_of(user="mallory", numNodes=99, duration=10**6),
    "writes times another way": lies_of(startTime="yesterday"),
    "writes times as numbers": lies_of(startTime=NOW),
    "sends more than was asked for": in_jobs(lambda jobs: jobs.update(items=jobs["items"] * 100)),
    "sends ids that no job has": lies_of(id=-1),
    "breaks the connection": lambda _: SiteError(Code.CONNECTION_LOST, "s1", "gone"),
    "does not answer in time": lambda _: SiteError(Code.TIMEOUT, "s1", "late"),
    "is busy": lambda _: SiteError(Code.SITE_BUSY, "s1", "busy"),
}
QUESTIONS = {
    "filter": JobListQuestion(filters=(JobFilter(user=StringInput(eq="bob")),), first=3),
    "name": JobListQuestion(filters=(JobFilter(job_name=StringInput(starts_with="job1")),), first=3),
    "count": JobListQuestion(filters=(JobFilter(num_nodes=IntRange(2, 3)),), first=2, wants_count=True),
    "order": JobListQuestion(order=JobOrder("numNodes", "col", "DESC"), first=7),
    "by duration": JobListQuestion(order=JobOrder("duration", "col", "ASC"), first=7, wants_count=True),
}


def ask(there: Simulated, question: JobListQuestion, *, user: str = "demo", **settings: Any) -> list[JobListAnswer]:
    """The same question twice, of one gateway."""

    async def run() -> list[JobListAnswer]:
        async with gateway_over([there.instance(user=user, **settings)]) as gateway:
            return [await gateway.jobs(question, CALLER) for _ in range(2)]

    return asyncio.run(run())


def facts(answer: JobListAnswer) -> object:
    return [row.key for row in answer.rows], answer.has_next_page, answer.complete, answer.count


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_whatever_query_says_the_answer_is_that_of_rest(fault: Disturbs, question: JobListQuestion) -> None:
    there = Simulated(site())
    expected = facts(ask(there, question, reads="rest")[0])
    assert there.queries == 0
    there.disturbs = fault
    first, second = ask(there, question)
    assert there.queries
    assert facts(first) == facts(second) == expected


@pytest.mark.parametrize("name", ["refuses the token", "is a web page", "sends others' jobs", "does not answer in time"])
def test_a_refusal_is_remembered_and_told_of(name: str) -> None:
    there = Simulated(site())
    there.disturbs = FAULTS[name]
    first, second = ask(there, QUESTIONS["filter"])
    assert there.queries == 1
    for answer in (first, second):
        (note,) = answer.reports[0].notes
        assert note.startswith("reads: by REST. The site's own GraphQL is left alone for now")


def test_a_refusal_is_the_tokens_own_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Simulated(site())
    instance = there.instance()
    moment = [0.0]
    monkeypatch.setattr("ccgateway.site.queries.ways.time.monotonic", lambda: moment[0])
    instance = there.instance()

    async def run() -> None:
        async with gateway_over([instance]) as gateway:
            there.disturbs = FAULTS["refuses the token"]
            await gateway.jobs(QUESTIONS["filter"], CALLER)
            there.disturbs = lambda answer: answer
            await gateway.jobs(QUESTIONS["filter"], CALLER)
            assert there.queries == 1
            moment[0] = 301.0
            answer = await gateway.jobs(QUESTIONS["filter"], CALLER)
            assert there.queries == 2
            assert answer.reports[0].notes == []

    asyncio.run(run())


def test_settings_can_keep_a_site_to_rest() -> None:
    there = Simulated(site())
    ask(there, QUESTIONS["order"], reads="rest")
    assert there.queries == 0


def test_what_rest_lists_as_well_is_left_to_it() -> None:
    there = Simulated(site())
    ask(there, JobListQuestion(first=5))
    ask(there, JobListQuestion(filters=(JobFilter(cluster=StringInput(eq="alex"), state=("completed",)),), first=5))
    assert there.queries == 0
    ask(there, JobListQuestion(first=5), reads="query")
    assert there.queries == 2


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
def test_a_rare_filter_a_count_and_an_order_read_no_more_than_they_show(release: str) -> None:
    there = Simulated(site(release))
    rare = JobListQuestion(filters=(JobFilter(user=StringInput(eq="nobody")),), first=5, wants_count=True)
    (answer, _) = ask(there, rare)
    assert (answer.count, answer.reports[0].scanned, answer.reports[0].calls) == (0, 0, 1)
    (answer, _) = ask(there, JobListQuestion(first=1, wants_count=True))
    assert answer.count == 40
    assert answer.reports[0].scanned < 10
    (answer, _) = ask(there, JobListQuestion(order=JobOrder("duration", "col", "DESC"), first=5))
    assert [row.id for row in answer.rows] == [40, 39, 38, 37, 36]
    assert answer.reports[0].scanned < 12
