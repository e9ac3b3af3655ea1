"""Two sites that are one instance by the settings are listed once; what merely looks alike is all listed, and told."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code
from ccgateway.federation.questions import JobListQuestion, Policy
from properties.worlds import jobs
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER, Walked, gateway_over, order_of, walk

job_lists = st.lists(jobs(seconds=40), min_size=1, max_size=25, unique_by=lambda job: job.local_key)


def walk_over(instances: Sequence[object], *, sites: list[str] | None = None, size: int = 3, read_ahead: float = 2.0) -> Walked:
    async def run() -> Walked:
        async with gateway_over(instances, read_ahead=read_ahead) as gateway:  # type: ignore[arg-type]
            return await walk(gateway, JobListQuestion(first=size, sites=sites), at_most=500)

    return asyncio.run(run())


@given(
    found=job_lists, names=st.permutations(["a", "b"]), asked=st.sampled_from([None, ["a", "b"], ["b", "a"]]),
    size=st.sampled_from([1, 3, 50]), read_ahead=st.sampled_from([0.0, 2.0]), proof=st.sampled_from(["url", "first", "second"]),
)  # fmt: skip
def test_one_instance_under_two_names_is_listed_once(
    found: list[Job], names: list[str], asked: list[str] | None, size: int, read_ahead: float, proof: str
) -> None:
    upstream = Upstream(copy.deepcopy(found))
    one: dict[str, Any] = {"url": "http://127.0.0.1:80/"} if proof == "url" else {"same_as": names[1]} if proof == "first" else {}
    two: dict[str, Any] = {"url": "http://LocalHost"} if proof == "url" else {"same_as": names[0]} if proof == "second" else {}
    instances = [site_of(upstream, names[0], 1, **one), site_of(upstream, names[1], 2, **two)]
    walked = walk_over(instances, sites=asked, size=size, read_ahead=read_ahead)
    assert walked.keys == sorted((job.key_at(names[0]) for job in found), key=order_of)
    reports = [report for page in walked.pages for report in page.reports if report.site == names[1]]
    assert any(report.code is Code.DUPLICATE_SITE for report in reports)
    assert all(report.returned == 0 and report.is_complete for report in reports)


@given(found=job_lists, size=st.sampled_from([1, 3, 50]))
def test_two_instances_with_the_same_keys_but_rows_of_their_own_are_both_listed(found: list[Job], size: int) -> None:
    one, two = Upstream(copy.deepcopy(found)), Upstream(copy.deepcopy(found))
    for job in two.jobs.values():
        job.id += 5000
    walked = walk_over([site_of(one, "a", 1), site_of(two, "b", 2)], size=size)
    assert walked.keys == sorted((job.key_at(name) for job in found for name in ("a", "b")), key=order_of)
    assert walked.is_complete


def test_two_instances_that_share_one_job_by_chance_are_both_listed() -> None:
    shared = Job(7, 1500, id=1)
    one = Upstream([copy.deepcopy(shared), *(Job(100 + i, 1000 + i) for i in range(20))])
    two = Upstream([copy.deepcopy(shared), *(Job(200 + i, 1000 + i) for i in range(20))])
    walked = walk_over([site_of(one, "a", 1), site_of(two, "b", 2)])
    assert len(walked.keys) == 42


def test_an_instance_with_an_unreadable_job_is_still_recognized() -> None:
    found = [Job(i, 1000 + i) for i in range(30)]
    found[20].archive = "named"
    upstream = Upstream(found)
    walked = walk_over([site_of(upstream, "a", 1), site_of(upstream, "b", 2, same_as="a")], size=5)
    assert [key.site for key in walked.keys] == ["a"] * 29


def test_jobs_that_come_and_go_do_not_hide_that_two_sites_are_one() -> None:
    upstream = Upstream([Job(i, 1000 + i) for i in range(60)])
    newest = iter(range(1000))

    def one_more(here: Upstream) -> None:
        i = next(newest)
        here.add(Job(10_000 + i, 2000 + i))

    upstream.before_each = one_more
    walked = walk_over([site_of(upstream, "a", 1), site_of(upstream, "b", 2, same_as="a")], size=20)
    there_throughout = [key for key in walked.keys if key.start_time < 2000]
    assert [key.site for key in there_throughout] == ["a"] * 60
    assert len({key[1:] for key in walked.keys}) == len(walked.keys)


def test_what_only_one_of_two_tokens_shows_is_listed_too() -> None:
    here = [Job(i, 1000 + i, user="alice" if i % 3 else "bob") for i in range(60)]
    part, whole = Upstream(copy.deepcopy([job for job in here if job.user == "alice"])), Upstream(copy.deepcopy(here))
    for upstream in (part, whole):
        for job in upstream.jobs.values():
            job.id = 9000 + job.job_id
    walked = walk_over([site_of(part, "a", 1), site_of(whole, "b", 2, same_as="a")], size=7)
    assert sorted(key.job_id for key in walked.keys) == list(range(60))
    assert {key.site for key in walked.keys if key.job_id % 3} == {"a"}


@pytest.mark.parametrize("asked", [["a", "b"], ["b", "a"]])
def test_the_site_of_lower_number_stands_for_both_however_they_are_asked_for(asked: list[str]) -> None:
    upstream = Upstream([Job(i, 1000) for i in range(10)])
    walked = walk_over([site_of(upstream, "b", 1), site_of(upstream, "a", 2, same_as="b")], sites=asked, read_ahead=0)
    assert [key.site for key in walked.keys] == ["b"] * 10


@given(found=job_lists, lower=st.booleans(), some=st.integers(1, 25), size=st.sampled_from([1, 3, 50]))
def test_a_site_that_repeats_anothers_jobs_takes_none_of_them_away(found: list[Job], lower: bool, some: int, size: int) -> None:
    """Everything that a reader of the other site could copy is no proof, be it all jobs or one, from either side."""
    good, hostile = Upstream(copy.deepcopy(found)), Upstream(copy.deepcopy(found)[:some])
    for job in hostile.jobs.values():
        job.id = good.jobs[job.local_key].id
    numbers = (2, 1) if lower else (1, 2)
    walked = walk_over([site_of(good, "good", numbers[0]), site_of(hostile, "hostile", numbers[1])], size=size)
    assert [key for key in walked.keys if key.site == "good"] == sorted((job.key_at("good") for job in found), key=order_of)
    assert walked.is_complete
    notes = {note for page in walked.pages for report in page.reports for note in report.notes}
    assert any(Code.DUPLICATE_SITE in note for note in notes)


def test_the_operator_is_told_once_of_sites_that_give_the_same_jobs(caplog: pytest.LogCaptureFixture) -> None:
    upstream = Upstream([Job(i, 1000 + i) for i in range(30)])
    walk_over([site_of(upstream, "a", 1), site_of(upstream, "b", 2)], size=5)
    assert [record.message for record in caplog.records if "same jobs" in record.message] == [
        "sites a and b give the same jobs: set sites.b.same_as if they are one instance; else one repeats the other"
    ]


def test_a_repeated_job_hides_neither_clusters_nor_users() -> None:
    upstream = Upstream([Job(i, 1000 + i) for i in range(3)])

    async def run() -> tuple[set[str], set[str], list[str | None]]:
        async with gateway_over([site_of(upstream, "a", 1), site_of(upstream, "b", 2)]) as gateway:
            await gateway.jobs(JobListQuestion(first=50), CALLER)
            clusters = await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=False)
            users = await gateway.users(CALLER, sites=None, policy=Policy.PARTIAL)
            same = [one.same_as for one in await gateway.sites(CALLER)]
            return {one.site for one in clusters.items}, {one.site for one in users.items}, same

    assert asyncio.run(run()) == ({"a", "b"}, {"a", "b"}, [None, None])
