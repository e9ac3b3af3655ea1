"""Read by REST or by its own GraphQL, a site gives the same jobs, in the same order, with the same values, as often counted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.federation.questions import JobListAnswer, JobListQuestion, PageRequest
from ccgateway.jobs.filters import JobFilter, JobOrder
from ccgateway.jobs.model import JOB_FIELDS
from ccgateway.simulator import SimulatedSite
from ccgateway.surfaces.rest.jobs import IN_LIST
from properties.worlds import filter_lists
from support.simulated import Simulated
from support.walking import CALLER, gateway_over

NOW = 1_760_000_000
RELEASES = ["1.2", "1.3", "1.4", "1.5"]
#: what both ways tell of a job
FIELDS = frozenset(JOB_FIELDS)
TAGS = [(1, "review", "slow", "global"), (2, "review", "Ä/x", "admin"), (3, "note", "slow", "alice")]
_SALT = random.Random(5)


def _job(db_id: int, number: int, second: int, pick: random.Random, states: Sequence[str]) -> dict[str, Any]:
    state = pick.choice(states)
    ended = state != "running"
    hosts = pick.sample(["n001", "n002", "N0010"], pick.choice([1, 1, 2]))
    footprint = pick.choice([None, {"load_avg": 1.5}, {"load_avg": 0.0, "mem_used_avg": 20.0}, {"load_avg": 2.5}])
    return {
        "id": db_id,
        "jobId": number,
        "user": pick.choice(["alice", "bob", "ALICE", "al_ce"]),
        "project": pick.choice(["p_a", "p_b", "P_A", ""]),
        "cluster": pick.choice(["alex", "fritz"]),
        "subCluster": pick.choice(["main", "big"]),
        "partition": pick.choice(["main", "gpu", ""]),
        "arrayJobId": pick.choice([0, 0, 7, 2**33]),
        "numNodes": pick.choice([1, 2, 64]),
        "numHwthreads": pick.choice([0, 8, 64]),
        "numAcc": pick.choice([0, 1, 4]),
        "smt": pick.choice([0, 1]),
        "shared": pick.choice(["none", "single_user", "multi_user"]),
        "jobState": state,
        "startTime": NOW - 5000 + second,
        "duration": pick.choice([1, 600, 4000]) if ended else 0,
        "walltime": pick.choice([0, 86400, 2**40]),
        "energy": pick.choice([0.0, 0.5, 2.5]) if ended else 0.0,
        "tags": [
            dict(zip(("id", "type", "name", "scope"), tag, strict=True)) for tag in pick.sample(TAGS, pick.choice([0, 1, 2]))
        ],
        "resources": [{"hostname": host, **({"hwthreads": [0, 1]} if pick.random() < 0.5 else {})} for host in hosts],
        "footprint": footprint if ended else None,
        "metaData": pick.choice(
            [None, {}, {"jobName": "lammps"}, {"jobName": "LAMMPS 100%", "x": "1"}, {"jobName": "interactive"}]
        ),
    }


@st.composite
def sites(draw: st.DrawFn, name: str = "s1", releases: Sequence[str] = RELEASES) -> SimulatedSite:
    release = draw(st.sampled_from(releases))
    states = ["running", "completed", "failed", "suspended" if release == "1.5" else "stopped"]
    pick = random.Random(draw(st.integers(0, 2**32)))
    count, span = draw(st.integers(0, 24)), draw(st.sampled_from([0, 1, 6, 4000]))
    numbers = [1, 2, 3, 2000, 2**40 + 1, 2**53, 2**53 + 1]
    found: dict[tuple[str, int, int], dict[str, Any]] = {}
    for db_id in range(1, count + 1):
        job = _job(100_000 + db_id, pick.choice(numbers), pick.randint(0, span), pick, states)
        found.setdefault((job["cluster"], job["jobId"], job["startTime"]), job)
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]))
    return SimulatedSite(name, release, list(found.values()), zone=zone, clock=lambda: float(NOW))


_fields = {
    "id": "col", "jobId": "col", "cluster": "col", "subCluster": "col", "user": "col", "project": "col", "startTime": "col",
    "duration": "col", "numNodes": "col", "numAcc": "col", "state": "col", "partition": "col", "arrayJobId": "col",
    "energy": "col", "shared": "col", "walltime": "col", "smt": "col", "monitoringStatus": "col", "load_avg": "foot",
    "mem_used_avg": "foot", "nobody_has": "foot",
}  # fmt: skip


def _ordered(*names: str) -> st.SearchStrategy[JobOrder]:
    directions = st.sampled_from(["ASC", "DESC"])
    return st.builds(lambda name, direction: JobOrder(name, _fields[name], direction), st.sampled_from(names), directions)


orders = _ordered(*sorted(_fields))


def told(answer: JobListAnswer) -> Any:
    """All that a caller learns of the jobs."""
    rows = [
        {name: msgspec.to_builtins(getattr(row, name)) for name in sorted(FIELDS)} | {"tags": msgspec.to_builtins(row.tags or [])}
        for row in answer.rows
    ]  # no tags are null, or an empty list
    return rows, answer.end_cursor, answer.has_next_page, answer.complete, answer.count


async def pages(asked: Sequence[SimulatedSite], reads: str, question: JobListQuestion, user: str) -> list[Any]:
    instances = [Simulated(site).instance(number, user=user, reads=reads) for number, site in enumerate(asked, start=1)]
    found: list[Any] = []
    async with gateway_over(instances) as gateway:
        after = None
        for _ in range(60):
            answer = await gateway.jobs(replace(question, after=after) if question.page is None else question, CALLER)
            found.append(told(answer))
            if question.page is not None or not answer.has_next_page:
                break
            after = answer.end_cursor
    return found


def both(asked: Sequence[SimulatedSite], question: JobListQuestion, user: str = "demo") -> None:
    question = replace(question, fields=FIELDS)
    by_rest = asyncio.run(pages(asked, "rest", question, user))
    for way in ("query", "auto"):
        by_query = asyncio.run(pages(asked, way, question, user))
        assert by_query == by_rest, way


@st.composite
def broken_sites(draw: st.DrawFn) -> SimulatedSite:
    """Some of whose archive entries cannot be read."""
    site = draw(sites())
    for job in list(site.all_jobs()):
        if job["monitoringStatus"] == 3 and draw(st.integers(0, 3)) == 0:
            site.break_archive(job["id"])
    return site


@given(site=broken_sites(), filters=filter_lists(), size=st.sampled_from([1, 3, 50]))
def test_what_only_rest_tells_is_equal_though_others_are_found(site: SimulatedSite, filters: list[JobFilter], size: int) -> None:
    question = JobListQuestion(filters=filters, first=size, fields=IN_LIST | {"meta_data_json"})

    def shown(found: list[JobListAnswer]) -> Any:
        rows = [row for page in found for row in page.rows]
        return [[(name, _plain(getattr(row, name))) for name in sorted(question.fields)] for row in rows]

    by_rest = asyncio.run(_answers(site, "rest", question))
    by_query = asyncio.run(_answers(site, "auto", question))
    assert shown(by_query) == shown(by_rest)


@given(site=broken_sites(), filters=filter_lists())
def test_jobs_that_rest_cannot_read_are_all_that_differs(site: SimulatedSite, filters: list[JobFilter]) -> None:
    question = JobListQuestion(filters=filters, first=50, fields=FIELDS)
    (by_rest,), (by_query,) = (asyncio.run(_answers(site, way, question)) for way in ("rest", "query"))
    lost = site.backend.broken_archives
    assert [row.key for row in by_query.rows if row.id not in lost] == [row.key for row in by_rest.rows]
    assert not lost.intersection(row.id for row in by_rest.rows)


def _plain(value: object) -> object:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else msgspec.to_builtins(value)


async def _answers(site: SimulatedSite, reads: str, question: JobListQuestion) -> list[JobListAnswer]:
    found: list[JobListAnswer] = []
    async with gateway_over([Simulated(site).instance(reads=reads)]) as gateway:
        after = None
        while not found or (found[-1].has_next_page and len(found) < 60):
            found.append(await gateway.jobs(replace(question, after=after), CALLER))
            after = found[-1].end_cursor
    return found


users = st.sampled_from(["demo", "robot", "alice", "bob", "mona", "sam"])


@given(
    site=sites(),
    filters=st.one_of(st.just([]), filter_lists()),
    size=st.sampled_from([1, 3, 50]),
    counts=st.booleans(),
    user=users,
)
def test_walks_are_equal(site: SimulatedSite, filters: list[JobFilter], size: int, counts: bool, user: str) -> None:
    if user == "sam" and site.release.name == "1.4":
        user = "demo"  # whom REST does not let in: below
    both([site], JobListQuestion(filters=filters, first=size, wants_count=counts), user)


@given(site=sites(), filters=st.one_of(st.just([]), filter_lists()), order=orders, size=st.sampled_from([1, 3, 50]), user=users)
def test_other_orders_are_equal(site: SimulatedSite, filters: list[JobFilter], order: JobOrder, size: int, user: str) -> None:
    if user == "sam" and site.release.name == "1.4":
        user = "demo"
    both([site], JobListQuestion(filters=filters, order=order, first=size), user)


@given(
    one=sites(),
    two=sites("s2", ["1.2", "1.3"]),
    order=st.one_of(_ordered("load_avg", "mem_used_avg", "energy"), orders),
    size=st.sampled_from([3, 7]),
)
def test_orders_of_two_sites_are_equal(one: SimulatedSite, two: SimulatedSite, order: JobOrder, size: int) -> None:
    """A cursor of one site's job stands between the jobs of the other, which may lack what is ordered by."""
    both([one, two], JobListQuestion(order=order, first=size))


@given(site=sites(), filters=filter_lists(), order=st.one_of(st.just(JobOrder()), orders), number=st.integers(1, 3))
def test_numbered_pages_with_counts_are_equal(
    site: SimulatedSite, filters: list[JobFilter], order: JobOrder, number: int
) -> None:
    both([site], JobListQuestion(filters=filters, order=order, page=PageRequest(number, 4), wants_count=True))
