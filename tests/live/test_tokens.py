"""Whose token the gateway holds decides what it shows: the instance's own rules, and stricter ones where a release has none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ccgateway.errors import Code, FederationError, RequestError
from ccgateway.federation.questions import JobListQuestion, Policy, ReportStatus
from live import upstream
from live.faces import CALLER, InProcess, gateway_over
from live.farm import Farm
from live.meaning import matches
from live.questions import FILTERS, filters_named
from live.truth import Job, in_order, truth_of
from live.walking import walk


async def test_a_users_token_shows_that_users_jobs_at_every_release(farm: Farm, farm_jobs: list[Job]) -> None:
    own = [job for job in farm_jobs if job["user"] == "alice"]
    assert in_order(truth_of(farm, "alice")) == in_order(own)
    async with gateway_over(farm.settings("alice")) as gateway:
        for size in (7, 100, 5000):
            assert await walk(InProcess(gateway), [], size) == in_order(own)


@pytest.mark.parametrize("name", ["user eq", "user neq", "project eq", "node contains", "several states", "job name neq"])
async def test_no_filter_shows_a_user_more(farm: Farm, farm_jobs: list[Job], name: str) -> None:
    filters = filters_named(name, farm_jobs)
    own = [job for job in farm_jobs if job["user"] == "alice" and matches(job, filters)]
    async with gateway_over(farm.settings("alice")) as gateway:
        assert await walk(InProcess(gateway), FILTERS[name], 100) == in_order(own)


async def test_a_user_cannot_see_somebody_elses_job_by_id_key_or_database_id_either(farm: Farm, farm_jobs: list[Job]) -> None:
    async with gateway_over(farm.settings("alice")) as gateway:
        for site in farm:
            mine, theirs = (
                next(job for job in farm_jobs if job["site"] == site.name and (job["user"] == "alice") is own)
                for own in (True, False)
            )
            row = await gateway.job(f"{site.name}:{mine['dbId']}", CALLER, fields=frozenset({"user"}))
            assert (row.job_id, row.user) == (mine["jobId"], "alice")
            with pytest.raises(RequestError) as by_id:
                await gateway.job(f"{site.name}:{theirs['dbId']}", CALLER, fields=frozenset())
            with pytest.raises(RequestError) as by_key:
                await gateway.job_by_key(
                    CALLER,
                    cluster=theirs["cluster"],
                    job_id=theirs["jobId"],
                    start_time=theirs["startTime"],
                    site=site.name,
                    fields=frozenset(),
                )
            assert by_id.value.code == by_key.value.code == Code.NOT_FOUND
            ids = [f"{site.name}:{job['dbId']}" for job in (mine, theirs)]
            assert [key.job_id for key in await walk(InProcess(gateway), [{"dbId": ids}], 10)] == [mine["jobId"]]


async def test_the_count_for_a_user_is_of_that_users_jobs(farm: Farm, farm_jobs: list[Job]) -> None:
    async with gateway_over(farm.settings("bob")) as gateway:
        answer = await gateway.jobs(JobListQuestion(first=1, wants_count=True), CALLER)
    assert answer.count == sum(job["user"] == "bob" for job in farm_jobs)


@pytest.mark.parametrize("user", ["robot", "demo"])
async def test_tokens_for_machines_and_admins_show_everything(farm: Farm, farm_jobs: list[Job], user: str) -> None:
    async with gateway_over(farm.settings(user)) as gateway:
        assert await walk(InProcess(gateway), [], 1000) == in_order(farm_jobs)


async def test_a_users_token_finds_the_release_and_the_clusters_of_every_instance(farm: Farm) -> None:
    async with gateway_over(farm.settings("alice")) as gateway:
        answer = await gateway.clusters(CALLER, sites=None, policy=Policy.STRICT, with_partitions=True)
        assert {item.site for item in answer.items} == {site.name for site in farm}
        assert [status.release for status in await gateway.sites(CALLER)] == [site.release for site in farm]


@pytest.mark.parametrize("user", ["alice", "robot"])
async def test_users_are_shown_to_admins_only(farm: Farm, user: str) -> None:
    async with gateway_over(farm.settings(user)) as gateway:
        with pytest.raises(FederationError) as refused:
            await gateway.users(CALLER, sites=None, policy=Policy.PARTIAL)
    assert refused.value.code is Code.ALL_SITES_FAILED


async def test_a_wrong_token_is_that_sites_failure_alone(farm: Farm, farm_jobs: list[Job]) -> None:
    for wrong in farm:
        others = [site.settings() for site in farm if site is not wrong]
        bad = wrong.settings(token=wrong.tokens["demo"][:-8] + "AAAAAAAA")
        async with gateway_over(sorted([*others, bad], key=lambda one: one.number)) as gateway:
            page = await InProcess(gateway).page([], first=5000)
        assert page.keys == in_order(job for job in farm_jobs if job["site"] != wrong.name)
        assert not page.complete
        status, code, message = page.reports[wrong.name]
        assert (status, code) == (ReportStatus.FAILED, Code.SITE_UNAUTHORIZED)
        assert message is not None
        assert wrong.tokens["demo"][:20] not in message


async def test_a_release_that_is_configured_wrongly_never_gives_wrong_jobs(farm: Farm, farm_jobs: list[Job]) -> None:
    for site in farm:
        expected = in_order(job for job in farm_jobs if job["site"] == site.name)
        for release in _others(site.release):
            async with gateway_over([site.settings(release=release)]) as gateway:
                try:
                    page = await InProcess(gateway).page([], first=5000)
                except FederationError as refused:
                    assert [error.site for error in refused.causes] == [site.name]
                    assert "ccgateway check" in refused.causes[0].message
                else:
                    assert page.keys == expected


def _others(release: str) -> Sequence[str]:
    return [other for other in ("1.2", "1.3", "1.4", "1.5", "howto") if other != release]


async def test_one_instance_under_two_names_is_listed_once(farm: Farm, farm_jobs: list[Job]) -> None:
    twice = farm.sites[0].settings(name="twin", number=99)
    async with gateway_over([*farm.settings(), twice]) as gateway:
        face = InProcess(gateway)
        page = await face.page([], first=5000)
        assert page.keys == in_order(farm_jobs)
        assert page.reports["twin"][:2] == (ReportStatus.SKIPPED, Code.DUPLICATE_SITE)
        assert page.complete
        clusters = await gateway.clusters(CALLER, sites=None, policy=Policy.PARTIAL, with_partitions=False)
    assert len(clusters.items) == sum(len(upstream.query(site, "{clusters{name}}")["clusters"]) for site in farm)
