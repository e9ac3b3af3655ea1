"""One site as the federation sees it: its release found and found again, isolation, single jobs, health."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from ccgateway.errors import Code, SiteError
from ccgateway.identity.principal import Principal
from ccgateway.jobs.conditions import Conditions, conditions_of
from ccgateway.jobs.filters import FloatRange, JobFilter, MetricStat, StringInput
from ccgateway.jobs.model import JOB_FIELDS
from ccgateway.site.base import JobsWanted, PageFailedError
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer
from ccgateway.site.instance import Instance
from ccgateway.site.releases import Window
from support.scripted import context_for
from support.upstream import ADMIN, Job, Upstream, site_of, user_credential

RELEASES = ["1.2", "1.3", "1.4", "1.5"]
ALICE = user_credential("alice")
ALL = Window(0, 10**10)
EVERYTHING = frozenset(JOB_FIELDS)
releases = pytest.mark.parametrize("release", RELEASES)


def two_users(release: str) -> Upstream:
    mine = Job(1, 1000, user="alice", name="lammps", tags=[("review", "slow", "global", 4)])
    return Upstream([mine, Job(2, 1001, user="bob", partition="gpu")], release=release)


async def users_seen(site: Instance, credential: object = ADMIN) -> set[str]:
    page = await site.page(context_for(credential=credential), JobsWanted(Conditions(), frozenset({"user"})), ALL, size=10)  # type: ignore[arg-type]
    return {row.user for row in page.matching}


# --- the release


@releases
async def test_a_release_that_is_configured_is_not_probed(release: str) -> None:
    upstream = two_users(release)
    site = site_of(upstream, "here")
    assert site.release == release
    await users_seen(site)
    assert len(upstream.requests) == 1


@releases
async def test_auto_finds_the_release_once_for_all_who_wait(release: str) -> None:
    upstream = two_users(release)
    site = site_of(upstream, "here", release="auto")
    assert (site.release, site.capabilities) == (None, ())
    await asyncio.gather(*(users_seen(site) for _ in range(10)))
    assert site.release == release
    assert len(upstream.requests) <= 10 + 5


@pytest.mark.parametrize(
    ("old", "new", "credential"),
    [
        ("1.3", "1.4", ALICE),
        *(
            (old, new, who)
            for old, new in [("1.3", "1.5"), ("1.2", "1.5"), ("1.4", "1.5"), ("1.5", "1.4"), ("1.5", "1.3")]
            for who in (ADMIN, ALICE)
        ),
    ],
    ids=lambda value: getattr(value, "user", value),
)
async def test_an_upgrade_under_way_is_noticed_by_the_next_question_that_does_not_fit(
    old: str, new: str, credential: object
) -> None:
    upstream = two_users(old)
    site = site_of(upstream, "here", release="auto", credential=credential)  # type: ignore[arg-type]
    everything = JobsWanted(conditions_of([JobFilter(project=StringInput(eq="p_a"))], "here"), EVERYTHING)
    await site.page(context_for(credential=credential), everything, ALL, size=10)  # type: ignore[arg-type]
    upstream.release = new
    page = await site.page(context_for(credential=credential), everything, ALL, size=10)  # type: ignore[arg-type]
    assert site.release == new
    assert {row.user for row in page.matching} == ({"alice", "bob"} if credential is ADMIN else {"alice"})


async def test_an_upgrade_that_every_question_fits_is_noticed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = two_users("1.3")
    site = site_of(upstream, "here", release="auto")
    await users_seen(site)
    upstream.release = "1.4"
    await users_seen(site)
    assert site.release == "1.3"
    monkeypatch.setattr("ccgateway.site.release.REMEMBERED_FOR", 0.0)
    await users_seen(site)
    assert site.release == "1.4"


async def test_a_site_that_comes_back_is_looked_at_afresh() -> None:
    upstream = two_users("1.3")
    site = site_of(upstream, "here", release="auto")
    await users_seen(site)
    upstream.fails = lambda _: SiteError(Code.UNREACHABLE, "here", "restarting")
    with pytest.raises(SiteError):
        await users_seen(site)
    upstream.fails, upstream.release = (lambda _: None), "1.4"
    await users_seen(site)
    assert site.release == "1.4"


async def test_a_misfit_of_a_configured_release_names_the_remedy_and_is_not_probed() -> None:
    upstream = two_users("1.5")
    site = site_of(upstream, "here", release="1.4")
    with pytest.raises(SiteError, match=r"configured as release 1\.4") as failed:
        await site.page(context_for(), JobsWanted(Conditions(), frozenset({"shared"})), ALL, size=10)
    assert failed.value.code is Code.WRONG_RELEASE
    assert len(upstream.requests) == 1


async def test_a_misfit_that_stays_is_reported_and_not_probed_for_ever() -> None:
    upstream = two_users("1.5")
    site = site_of(upstream, "here", release="auto")
    await users_seen(site)
    before = len(upstream.requests)
    upstream.fails = lambda request: SiteAnswer(404, "text/plain", b"404") if "project=-" not in request.path else None
    with pytest.raises(SiteError) as failed:
        await users_seen(site)
    assert failed.value.code is Code.WRONG_RELEASE
    assert len(upstream.requests) - before <= 5


async def test_a_site_that_was_down_at_first_is_found_when_it_comes() -> None:
    upstream = two_users("1.5")
    upstream.fails = lambda _: SiteError(Code.UNREACHABLE, "here", "down")
    site = site_of(upstream, "here", release="auto")
    with pytest.raises(SiteError):
        await users_seen(site)
    assert site.release is None
    upstream.fails = lambda _: None
    assert await users_seen(site) == {"alice", "bob"}


async def test_waiting_for_a_probe_that_hangs_ends_at_ones_own_deadline() -> None:
    upstream = two_users("1.5")
    upstream.hangs = True
    site = site_of(upstream, "here", release="auto")
    first = asyncio.create_task(site.greet(context_for(60.0)))
    await asyncio.sleep(0.01)
    with pytest.raises(SiteError) as failed:
        await site.greet(context_for(0.05))
    assert failed.value.code is Code.TIMEOUT
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    upstream.hangs = False
    await site.greet(context_for())


# --- whose jobs


@releases
async def test_an_ordinary_users_token_shows_only_that_users_jobs(release: str) -> None:
    site = site_of(two_users(release), "here")
    assert await users_seen(site) == {"alice", "bob"}
    assert await users_seen(site, ALICE) == {"alice"}
    assert await users_seen(site, user_credential("carol")) == set()


@releases
async def test_a_token_without_a_name_shows_nothing_where_the_gateway_must_hide(release: str) -> None:
    nobody = replace(ALICE, user=None)
    if release == "1.4":  # the site itself knows better
        assert await users_seen(site_of(two_users(release), "here"), nobody) == set()
        return
    with pytest.raises(SiteError) as refused:
        await users_seen(site_of(two_users(release), "here"), nobody)
    assert refused.value.code is (Code.SITE_UNAUTHORIZED if release == "1.5" else Code.NO_CREDENTIAL)


@releases
async def test_a_token_that_cannot_be_read_is_nobodys_where_the_gateway_must_hide(release: str) -> None:
    unread = Credential.from_token(SecretStr("not.a.jwt-that-can-be-read"))
    assert not unread.sees_all
    if release in ("1.2", "1.3"):
        with pytest.raises(SiteError) as refused:
            await users_seen(site_of(two_users(release), "here"), unread)
        assert refused.value.code is Code.NO_CREDENTIAL


@releases
async def test_a_job_by_id_is_shown_to_its_owner_alone(release: str) -> None:
    upstream = two_users(release)
    site = site_of(upstream, "here")
    ids = {job.user: job.id for job in upstream.jobs.values()}
    mine = await site.job(context_for(credential=ALICE), ids["alice"], frozenset())
    assert mine is not None
    assert mine.job_id == 1
    assert await site.job(context_for(credential=ALICE), ids["bob"], frozenset()) is None
    assert await site.job(context_for(), ids["bob"], frozenset()) is not None


# --- single jobs


@releases
@pytest.mark.parametrize("fields", [frozenset(), frozenset({"tags"}), frozenset({"meta_data", "user"}), EVERYTHING])
async def test_a_single_job_has_every_attribute_also_where_the_site_tells_some_only_in_lists(
    release: str, fields: frozenset[str]
) -> None:
    upstream = two_users(release)
    row = await site_of(upstream, "here").job(context_for(), 1, fields)
    assert row is not None
    assert row.start_time == 1000
    if "tags" in fields:
        assert [(tag.type, tag.name) for tag in row.tags] == [("review", "slow")]
    if "meta_data" in fields:
        assert row.meta_data == {"jobName": "lammps"}
    assert len(upstream.requests) == (2 if release == "1.2" and fields & {"tags", "meta_data"} else 1)


async def test_a_single_job_of_1_2_is_found_among_many_of_its_second() -> None:
    upstream = Upstream([Job(i, 1000, name=f"job {i}") for i in range(200)], release="1.2")
    row = await site_of(upstream, "here").job(context_for(), 77, frozenset({"meta_data"}))
    assert row is not None
    assert row.meta_data == {"jobName": "job 76"}


@releases
async def test_an_unknown_job_is_none(release: str) -> None:
    assert await site_of(two_users(release), "here").job(context_for(), 999, EVERYTHING) is None


@pytest.mark.parametrize("status", [500, 401, 404])
async def test_a_failure_is_not_taken_for_an_unknown_job(status: int) -> None:
    upstream = two_users("1.5")
    upstream.fails = lambda _: SiteAnswer(status, "application/json", b'{"error":"x"}')
    with pytest.raises(SiteError):
        await site_of(upstream, "here").job(context_for(), 1, frozenset())


# --- the rest


@releases
async def test_partitions_take_a_request_of_their_own(release: str) -> None:
    upstream = two_users(release)
    [without] = await site_of(upstream, "here").clusters(context_for(), with_partitions=False)
    assert len(upstream.requests) == 1
    [cluster] = await site_of(upstream, "here").clusters(context_for(), with_partitions=True)
    assert cluster.partitions == ["gpu", "main"]
    assert without.name == cluster.name == "alex"


@releases
async def test_clusters_can_be_read_with_an_ordinary_users_token(release: str) -> None:
    [cluster] = await site_of(two_users(release), "here").clusters(context_for(credential=ALICE), with_partitions=True)
    assert cluster.name == "alex"


async def test_users_are_not_asked_for_with_a_token_that_may_not() -> None:
    upstream = two_users("1.5")
    with pytest.raises(SiteError) as refused:
        await site_of(upstream, "here").users(context_for(credential=ALICE))
    assert refused.value.code is Code.SITE_UNAUTHORIZED
    assert upstream.requests == []
    assert [user.username for user in await site_of(upstream, "here").users(context_for())] == ["alice"]


async def test_a_page_that_fails_with_500_says_so_in_its_type() -> None:
    upstream = Upstream([Job(1, 1000, archive="silent")])
    with pytest.raises(PageFailedError) as failed:
        await site_of(upstream, "here").page(context_for(), JobsWanted(Conditions(), frozenset()), ALL, size=10)
    assert failed.value.code is Code.SITE_ERROR


async def test_nothing_is_asked_where_nothing_can_match() -> None:
    upstream = two_users("1.5")
    never = JobsWanted(conditions_of([JobFilter(state=("stopped",))], "here"), frozenset())
    page = await site_of(upstream, "here").page(context_for(), never, ALL, size=10)
    assert (page.rows, page.matching, upstream.requests) == ([], [], [])


async def test_an_unreadable_newest_job_does_not_make_a_site_unreachable() -> None:
    site = site_of(Upstream([Job(1, 1000, archive="named"), Job(2, 999)]), "here")
    await site.greet(context_for())
    assert site.health.reachable


async def test_health_remembers_the_last_failure_and_since_when_it_is_well() -> None:
    upstream = two_users("1.5")
    site = site_of(upstream, "here")
    upstream.fails = lambda _: SiteError(Code.UNREACHABLE, "here", "down")
    with pytest.raises(SiteError):
        await site.greet(context_for())
    assert not site.health.reachable
    down_since = site.health.since
    upstream.fails = lambda _: None
    await site.greet(context_for())
    health = site.health
    assert (health.reachable, health.last_error and health.last_error.code) == (True, Code.UNREACHABLE)
    assert health.since >= down_since > 0


def test_a_site_without_a_token_cannot_be_visited() -> None:
    async def context() -> None:
        await site_of(two_users("1.5"), "here", credential=None).context(Principal("anybody"), context_for().deadline)

    with pytest.raises(SiteError) as refused:
        asyncio.run(context())
    assert refused.value.code is Code.NO_CREDENTIAL


@pytest.mark.parametrize(("release", "noted"), [("1.2", True), ("1.3", True), ("1.4", False), ("1.5", False)])
def test_a_filter_on_what_a_release_does_not_keep_is_noted(release: str, noted: bool) -> None:
    wanted = JobFilter(metric_stats=(MetricStat("load_avg", FloatRange(1.0, 2.0)),), energy=FloatRange(1.0, 2.0))
    notes = site_of(two_users(release), "here").lacking(JobsWanted(conditions_of([wanted, wanted], "here"), frozenset()))
    assert len(notes) == (2 if noted else 0)


def test_an_instance_shows_no_secret() -> None:
    assert ADMIN.token.get_secret_value() not in repr(site_of(two_users("1.5"), "here"))
