"""Many commands at once: which site, which job, whose, and what each comes to."""

from __future__ import annotations

import json

import pytest

from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.gateway import Gateway
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    DeleteBefore,
    EditMeta,
    OmitTagged,
    RemoveTags,
    StopJob,
    TagJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.upstream import Job, Upstream, site_of
from support.walking import CALLER
from support.writes import SLOW, job, outcomes, tagging, wire
from support.written import CALL, NOW, gateway_over, instance_of, job_at, look_quickly, start_command

ADMINISTRATOR = Principal("admin", frozenset({"admin"}))
DONE, UNCHANGED, FAILED = WriteOutcome.DONE, WriteOutcome.UNCHANGED, WriteOutcome.FAILED


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


# --- each command by itself


async def test_every_command_has_its_own_result_in_its_place() -> None:
    aurora, borealis = wire(), wire("borealis", "1.3")
    gateway = gateway_over(instance_of(aurora), instance_of(borealis, 2))
    commands = [*tagging(1), *tagging(999), *tagging(2, site="borealis"), *tagging(1, site="nowhere"), *tagging(3)]
    found = await gateway.writes.tag_jobs(commands, CALLER, CALL)
    assert outcomes(found) == [
        ("DONE", None), ("FAILED", Code.NOT_FOUND), ("DONE", None), ("FAILED", Code.UNKNOWN_SITE), ("DONE", None),
    ]  # fmt: skip
    assert [one.job for one in found] == ["aurora:1", "aurora:999", "borealis:2", "nowhere:1", "aurora:3"]
    assert found[2].key == ("borealis", "borealis", 1002, NOW - 5000 + 2)


async def test_a_site_that_is_down_touches_no_other_sites_commands() -> None:
    aurora, borealis = wire(), wire("borealis")

    def refuse(request: SiteRequest) -> None:
        raise SiteError(Code.UNREACHABLE, "borealis", "No connection to the site: connection refused.")

    borealis.before_each = refuse
    gateway = gateway_over(instance_of(aurora), instance_of(borealis, 2))
    found = await gateway.writes.tag_jobs([*tagging(1, site="borealis"), *tagging(1)], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.UNREACHABLE), ("DONE", None)]
    assert found[0].retryable
    assert borealis.sent == []


async def test_commands_for_one_job_are_carried_out_in_their_order() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    row = job("aurora", 1)
    by_key = Target(site="aurora", cluster="aurora", job_id=row["jobId"], start_time=row["startTime"])
    by_id = Target(site="aurora", db_id=1)
    values = [EditMeta(target=by_key if n % 2 else by_id, values={"n": str(n)}) for n in range(20)]
    aurora.pace = lambda: 0.001
    found = await gateway.writes.edit_meta(values, CALLER, CALL)
    assert [one.outcome for one in found] == [DONE] * 20
    assert [json.loads(request.body or b"")["value"] for request in aurora.sent] == [str(n) for n in range(20)]
    assert (job_at(aurora.site, 1) or {})["metaData"]["n"] == "19"


async def test_jobs_are_written_side_by_side_as_far_as_the_site_takes_it() -> None:
    aurora = wire()
    now = most = 0
    inner = aurora.exchange

    async def counted(request: SiteRequest, context: CallContext) -> SiteAnswer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await inner(request, context)
        finally:
            now -= 1

    aurora.exchange = counted  # type: ignore[method-assign]
    aurora.pace = lambda: 0.002
    gateway = gateway_over(instance_of(aurora, concurrency=3))
    await gateway.writes.tag_jobs(tagging(1, 2, 3, 4, 5), CALLER, CALL)
    assert most == 3


async def test_there_may_not_be_nothing_nor_too_much_to_do() -> None:
    gateway = gateway_over(instance_of(wire()))
    with pytest.raises(RequestError, match="nothing to do"):
        await gateway.writes.tag_jobs([], CALLER, CALL)
    with pytest.raises(RequestError) as raised:
        await gateway.writes.tag_jobs(tagging(*range(1, 1002)), CALLER, CALL)
    assert raised.value.code is Code.LIMIT_EXCEEDED


# --- which job


async def test_an_id_counts_only_while_it_is_the_job_of_the_key() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    row = job("aurora", 1)
    same = Target(site="aurora", db_id=1, job_id=row["jobId"], start_time=row["startTime"])
    other = Target(site="aurora", db_id=1, job_id=row["jobId"], start_time=row["startTime"] + 1)
    found = await gateway.writes.delete_jobs([other, same], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.NOT_FOUND), ("DONE", None)]


async def test_a_number_alone_means_its_newest_job_and_for_a_stop_the_one_that_runs() -> None:
    jobs = [
        job("aurora", 1, jobId=7, startTime=NOW - 300_000, jobState="running", monitoringStatus=1),
        job("aurora", 2, jobId=7, startTime=NOW - 200_000),
        job("aurora", 3, jobId=7, startTime=NOW - 400_000),
    ]
    aurora = wire("aurora", "1.4", *jobs)
    gateway = gateway_over(instance_of(aurora))
    target = Target(cluster="aurora", job_id=7)
    (stopped,) = await gateway.writes.stop_jobs([StopJob(target=target, stop_time=NOW)], CALLER, CALL)
    assert (stopped.outcome, stopped.db_id) == (DONE, 1)
    (deleted,) = await gateway.writes.delete_jobs([target], CALLER, CALL)
    assert deleted.outcome is DONE
    assert [one for one in (1, 2, 3) if job_at(aurora.site, one) is None] == [2]


async def test_an_id_taken_over_between_look_and_write_is_told() -> None:
    aurora = wire("aurora", "1.4")
    gateway = gateway_over(instance_of(aurora))

    def swap(request: SiteRequest) -> None:
        if not request.safe:
            aurora.site.delete_job(5)
            aurora.site.start_job(job("aurora", 5, jobId=777))

    aurora.before_each = swap
    (found,) = await gateway.writes.tag_jobs(tagging(5), CALLER, CALL)
    assert (found.outcome, found.code) == (FAILED, Code.CONFLICT)
    assert "another job" in (found.message or "")


# --- which site


async def test_a_cluster_names_the_one_site_that_has_it() -> None:
    aurora, borealis = wire(), wire("borealis")
    gateway = gateway_over(instance_of(aurora), instance_of(borealis, 2))
    commands = [start_command("borealis", site=None), start_command("nowhere", site=None)]
    found = await gateway.writes.start_jobs(commands, CALLER, CALL)
    assert [(one.outcome, one.site, one.code) for one in found] == [
        (DONE, "borealis", None),
        (FAILED, None, Code.UNKNOWN_CLUSTER),
    ]


async def test_a_cluster_at_two_sites_is_ambiguous_until_the_site_is_named() -> None:
    one, two = wire("one", cluster="alex"), wire("two", cluster="alex")
    gateway = gateway_over(instance_of(one), instance_of(two, 2))
    command = start_command("alex", 1)
    (found,) = await gateway.writes.start_jobs([command], CALLER, CALL)
    assert (found.outcome, found.code) == (FAILED, Code.AMBIGUOUS_CLUSTER)
    (named,) = await gateway.writes.start_jobs([start_command("alex", 1, site="two")], CALLER, CALL)
    assert (named.outcome, named.site) == (DONE, "two")
    (anywhere,) = await gateway.writes.delete_jobs([Target(job_id=1001)], CALLER, CALL)
    assert (anywhere.outcome, anywhere.code) == (FAILED, Code.AMBIGUOUS_JOB)


async def test_the_settings_may_say_which_clusters_a_site_has() -> None:
    one, two = wire("one", cluster="alex"), wire("two", cluster="alex")
    gateway = gateway_over(instance_of(one, clusters=[]), instance_of(two, 2, clusters=["alex"]))
    (found,) = await gateway.writes.start_jobs([start_command("alex", 1)], CALLER, CALL)
    assert (found.outcome, found.site) == (DONE, "two")


@pytest.mark.parametrize("destroy", ["delete before", "remove tags"])
async def test_what_destroys_has_to_name_its_sites(destroy: str) -> None:
    aurora, borealis = wire(), wire("borealis")

    async def run(gateway: Gateway, sites: tuple[str, ...] | None) -> list[WriteResult]:
        if destroy == "delete before":
            return await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW, sites=sites), CALLER, CALL)
        return await gateway.writes.remove_tags(RemoveTags(tags=(SLOW,), sites=sites), CALLER, CALL)

    both = gateway_over(instance_of(aurora, tags_by_query=False), instance_of(borealis, 2, tags_by_query=False))
    with pytest.raises(RequestError, match="Name the sites"):
        await run(both, None)
    with pytest.raises(RequestError) as raised:
        await run(both, ("aurora", "nowhere"))
    assert raised.value.code is Code.UNKNOWN_SITE
    assert aurora.sent == borealis.sent == []
    assert [one.site for one in await run(both, ("*",))] == ["aurora", "borealis"]
    alone = gateway_over(instance_of(wire(), tags_by_query=False))
    assert [one.site for one in await run(alone, None)] == ["aurora"]


# --- dry runs


async def test_a_dry_run_sends_nothing_and_says_what_would_go() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    found = await gateway.writes.delete_jobs([Target(site="aurora", db_id=one) for one in (1, 99)], CALLER, CALL, dry_run=True)
    assert outcomes(found) == [("UNCHANGED", None), ("FAILED", Code.NOT_FOUND)]
    before = DeleteBefore(before=NOW - 5000 + 4)
    (counted,) = await gateway.writes.delete_jobs_before(before, CALLER, CALL, dry_run=True)
    assert (counted.outcome, counted.count) == (UNCHANGED, 3)
    assert aurora.sent == []
    assert len(list(aurora.site.all_jobs())) == 5


async def test_a_count_beyond_the_budget_is_not_made_up() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora), scan_budget=2)
    (counted,) = await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW), CALLER, CALL, dry_run=True)
    assert (counted.outcome, counted.count, counted.code) == (UNCHANGED, None, Code.SCAN_BUDGET)


async def test_tagged_jobs_are_spared_where_the_release_can_and_nowhere_else() -> None:
    for release, outcome in (("1.5", DONE), ("1.4", FAILED)):
        aurora = wire("aurora", release)
        aurora.site.add_tag(1, "review", "kept")
        aurora.site.add_tag(2, "app", "gromacs")
        gateway = gateway_over(instance_of(aurora))
        (dry,) = await gateway.writes.delete_jobs_before(
            DeleteBefore(before=NOW, omit_tagged="user"), CALLER, CALL, dry_run=True
        )  # fmt: skip
        (found,) = await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW, omit_tagged="user"), CALLER, CALL)
        assert found.outcome is outcome, found
        left = [one["id"] for one in aurora.site.all_jobs()]
        assert sorted(left) == ([1] if outcome is DONE else [1, 2, 3, 4, 5])
        assert dry.count == (4 if outcome is DONE else None)


# --- whose jobs


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_where_the_site_isolates_nobody_the_gateway_does(release: str) -> None:
    jobs = [job("aurora", 1), job("aurora", 2, user="bob", jobState="running", monitoringStatus=1)]
    aurora = wire("aurora", release, *jobs)
    gateway = gateway_over(instance_of(aurora, user="alice"))
    writes, theirs, nobodys = gateway.writes, Target(site="aurora", db_id=2), Target(site="aurora", db_id=77)
    found = [
        await writes.tag_jobs([TagJob(target=one, tags=(SLOW,)) for one in (theirs, nobodys)], CALLER, CALL),
        await writes.untag_jobs([TagJob(target=one, tags=(SLOW,)) for one in (theirs, nobodys)], CALLER, CALL),
        await writes.stop_jobs([StopJob(target=one, stop_time=NOW) for one in (theirs, nobodys)], CALLER, CALL),
        await writes.delete_jobs([theirs, nobodys], CALLER, CALL),
        await writes.delete_jobs([theirs, nobodys], CALLER, CALL, dry_run=True),
    ]
    for pair in found:
        assert outcomes(pair) == [("FAILED", Code.NOT_FOUND)] * 2
        assert pair[0].message == pair[1].message  # the same words for what is not there and what is another's
    forged = await writes.start_jobs([start_command("aurora", user="bob")], CALLER, CALL)
    assert outcomes(forged) == [("FAILED", Code.FORBIDDEN)]
    swept = await writes.delete_jobs_before(DeleteBefore(before=NOW), CALLER, CALL)
    assert outcomes(swept) == [("FAILED", Code.FORBIDDEN)]
    assert aurora.sent == []
    own = await writes.start_jobs([start_command("aurora")], CALLER, CALL)
    assert outcomes(own) == [("DONE", None)]
    assert outcomes(await writes.delete_jobs([Target(site="aurora", db_id=1)], CALLER, CALL)) == [("DONE", None)]


async def test_the_key_of_anothers_job_is_taken_and_no_more_is_said() -> None:
    theirs = job("aurora", 1, user="bob")
    aurora = wire("aurora", "1.3", theirs)
    gateway = gateway_over(instance_of(aurora, user="alice"))
    command = start_command("aurora", theirs["jobId"], start_time=theirs["startTime"])
    (found,) = await gateway.writes.start_jobs([command], CALLER, CALL)
    assert (found.outcome, found.code, found.db_id) == (FAILED, Code.CONFLICT, None)
    assert "bob" not in (found.message or "")


@pytest.mark.parametrize("release", ["1.4", "1.5"])
async def test_from_1_4_on_users_write_nothing_by_rest(release: str) -> None:
    aurora = wire("aurora", release)
    gateway = gateway_over(instance_of(aurora, user="alice"))
    results = [
        *await gateway.writes.start_jobs([start_command("aurora")], CALLER, CALL),
        *await gateway.writes.stop_jobs([StopJob(target=Target(site="aurora", db_id=1), stop_time=NOW)], CALLER, CALL),
        *await gateway.writes.edit_meta([EditMeta(target=Target(site="aurora", db_id=1), values={"a": "b"})], CALLER, CALL),
        *await gateway.writes.delete_jobs([Target(site="aurora", db_id=1)], CALLER, CALL),
        *await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW), CALLER, CALL),
    ]
    assert outcomes(results) == [("FAILED", Code.SITE_UNAUTHORIZED)] * 5
    assert aurora.sent == []


# --- what cannot be


async def test_what_a_release_cannot_do_is_said_and_not_tried() -> None:
    old = wire("aurora", "1.2")
    gateway = gateway_over(instance_of(old))
    target = Target(site="aurora", db_id=1)
    results = [
        *await gateway.writes.edit_meta([EditMeta(target=target, values={"a": "b"})], CALLER, CALL),
        *await gateway.writes.tag_jobs([TagJob(target=target, tags=(Tag("a", "b", "admin"),))], CALLER, CALL),
        *await gateway.writes.remove_tags(RemoveTags(tags=(SLOW,)), CALLER, CALL),
        *await gateway.writes.start_jobs([start_command("aurora", tags=(Tag("a", "b", "alice"),))], CALLER, CALL),
        *await gateway.writes.stop_jobs([StopJob(target=target, stop_time=NOW, state="node_fail")], CALLER, CALL),
    ]
    assert outcomes(results) == [("FAILED", Code.UNSUPPORTED)] * 5
    assert old.sent == []


async def test_a_job_can_be_stopped_once_and_not_as_running() -> None:
    aurora = wire("aurora", "1.5", job("aurora", 1, jobState="running", monitoringStatus=1))
    gateway = gateway_over(instance_of(aurora))
    target = Target(site="aurora", db_id=1)
    stops = [
        StopJob(target=target, stop_time=NOW, state="running"),
        StopJob(target=target, stop_time=5),
        StopJob(target=target, stop_time=NOW, state="failed"),
        StopJob(target=target, stop_time=NOW, state="failed"),
        StopJob(target=target, stop_time=NOW + 1, state="failed"),
        StopJob(target=target, stop_time=NOW, state="completed"),
    ]
    found = [*await gateway.writes.stop_jobs(stops, CALLER, CALL)]
    assert outcomes(found) == [
        ("FAILED", Code.BAD_REQUEST), ("FAILED", Code.BAD_REQUEST), ("DONE", None), ("UNCHANGED", None),
        ("FAILED", Code.CONFLICT), ("FAILED", Code.CONFLICT),
    ]  # fmt: skip


async def test_a_site_can_be_closed_to_writes_and_all_of_them() -> None:
    aurora, borealis = wire(), wire("borealis")
    gateway = gateway_over(instance_of(aurora, read_only=True), instance_of(borealis, 2))
    found = await gateway.writes.tag_jobs([*tagging(1), *tagging(1, site="borealis")], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.READ_ONLY), ("DONE", None)]
    closed = gateway_over(instance_of(borealis), writes={"enabled": False})
    assert outcomes(await closed.writes.tag_jobs(tagging(1, site="borealis"), CALLER, CALL)) == [("FAILED", Code.READ_ONLY)]
    assert aurora.sent == []
    assert len(borealis.sent) == 1


async def test_what_there_is_no_time_for_is_not_sent() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora), request_timeout=0.4)
    (found,) = await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)
    assert (found.outcome, found.code, found.retryable) == (FAILED, Code.TIMEOUT, True)
    assert aurora.sent == []


async def test_time_is_kept_for_reading_back() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora, timeout=10))
    until: list[float] = []
    inner = aurora.exchange

    async def noted(request: SiteRequest, context: CallContext) -> SiteAnswer:
        if not request.safe:
            until.append(context.deadline.remaining)
        return await inner(request, context)

    aurora.exchange = noted  # type: ignore[method-assign]
    await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)
    assert 5.0 < until[0] <= 6.0


async def test_one_instance_under_two_names_is_one_site_to_write_to() -> None:
    """Whichever part of a key is given; the site of lower number stands for both."""
    aurora = wire()
    gateway = gateway_over(instance_of(aurora), instance_of(aurora, 2, name="again", same_as="aurora"))
    for target in (Target(cluster="aurora", job_id=1001), Target(job_id=1002)):
        [result] = await gateway.writes.tag_jobs([TagJob(target=target, tags=(SLOW,))], CALLER, CALL)
        assert (result.outcome, result.site) == (DONE, "aurora")
    [counted] = await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW - 86_400), CALLER, CALL, dry_run=True)
    assert counted.site == "aurora"


@pytest.mark.parametrize(("spared", "count"), [("none", 10), ("all", 8)])
async def test_jobs_that_the_site_cannot_read_count_among_those_that_would_be_deleted(spared: OmitTagged, count: int) -> None:
    jobs = [Job(number, 1000 + number, archive="named" if number in (3, 4) else "yes") for number in range(10)]
    gateway = gateway_over(site_of(Upstream(jobs), "aurora"))
    command = DeleteBefore(before=1020, sites=("aurora",), omit_tagged=spared)
    [would] = await gateway.writes.delete_jobs_before(command, ADMINISTRATOR, CALL, dry_run=True)
    assert would.count == count
    assert ("2 more cannot be read by the site" in (would.message or "")) is (spared == "all")
    [did] = await gateway.writes.delete_jobs_before(command, ADMINISTRATOR, CALL)
    assert (did.outcome, did.count) == (DONE, 10)
