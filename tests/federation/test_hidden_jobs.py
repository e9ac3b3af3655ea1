"""Where a release hides nothing (up to 1.3) and the gateway does: nothing that an answer says depends on other people's jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.questions import JobListAnswer, JobListQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import IntRange, JobFilter
from ccgateway.jobs.ordering import Cursor, before_second, digest_of
from ccgateway.settings import load_settings
from ccgateway.site.credentials.keyring import Keyring
from support.upstream import ADMIN, Job, Upstream, site_of, user_credential
from support.walking import CALLER, gateway_over

ALICE = user_credential("alice")
USER = Principal("alice", frozenset({"user"}))


def crowd(release: str, *, others: int, step: int = 7) -> Upstream:
    """Three jobs of alice's, far apart, and others' between them."""
    own = [Job(i, 1_000_000 + 100_000 * i, user="alice") for i in range(3)]
    return Upstream([*own, *(Job(1000 + i, 1_000_100 + step * i, user="bob") for i in range(others))], release=release)


async def page(upstream: Upstream, after: str | None = None, *, first: int = 2, scan_budget: int = 50_000) -> JobListAnswer:
    site = site_of(upstream, "old", 1, credential=ALICE)
    async with gateway_over([site], scan_budget=scan_budget) as gateway:
        return await gateway.jobs(JobListQuestion(first=first, after=after), CALLER)


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_the_calls_of_an_answer_do_not_tell_how_many_jobs_were_hidden(release: str) -> None:
    told = []
    for others in (0, 1, 40, 3000):
        (report,) = (await page(crowd(release, others=others), first=3)).reports
        told.append((report.calls, report.scanned, report.returned, report.code, report.message, report.notes))
    assert len({str(one) for one in told}) == 1


@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("first", [1, 2, 5])
@pytest.mark.parametrize("reads", ["rest", "auto"])
async def test_no_page_of_a_walk_tells_how_many_jobs_lay_between(release: str, first: int, reads: str) -> None:
    told = set()
    for others in (0, 9, 40, 700):
        own = [Job(i, 1_000_000 + 60 * i, user="alice") for i in range(12)]
        hidden = [Job(1000 + i, 1_000_030 + 60 * (i % 10), user="bob") for i in range(others)]
        site = site_of(Upstream([*own, *hidden], release=release), "old", 1, credential=ALICE, reads=reads)
        after: str | None = None
        walk: list[object] = []
        async with gateway_over([site], read_ahead=60.0) as gateway:
            while after is not None or not walk:
                answer = await gateway.jobs(JobListQuestion(first=first, after=after), CALLER)
                (report,) = answer.reports
                walk.append((
                    [row.job_id for row in answer.rows], report.calls, report.scanned, report.returned, report.code,
                    report.message, report.notes, report.cache_age is None, answer.has_next_page,
                ))  # fmt: skip
                after = answer.end_cursor if answer.has_next_page else None
        told.add(str(walk))
    assert len(told) == 1


@pytest.mark.parametrize("release", ["1.4", "1.5"])
async def test_where_the_site_hides_them_itself_calls_are_counted(release: str) -> None:
    upstream = crowd(release, others=40)
    (report,) = (await page(upstream)).reports
    assert report.calls == len(upstream.requests)


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.5"])
async def test_where_a_budget_ends_is_another_place_each_time_where_jobs_are_hidden(release: str) -> None:
    own = [Job(i, 1_000_000 + 60 * i, user="alice") for i in range(400)]
    hidden = [Job(1000 + i, 1_000_030 + 60 * i, user="bob") for i in range(400)]
    site = site_of(Upstream([*own, *hidden], release=release), "old", 1, credential=ALICE)
    many = JobFilter(num_nodes=IntRange(0, 64), duration=IntRange(0, 1))  # none match, and all have to be looked at
    refused = set()
    async with gateway_over([site], scan_budget=240, read_ahead=0.0) as gateway:
        shown = set()
        for _ in range(12):
            answer = await gateway.jobs(JobListQuestion(first=400), CALLER)
            shown.add(len(answer.rows))
            (report,) = (await gateway.jobs(JobListQuestion(filters=(many,), first=1), CALLER)).reports
            refused.add((report.code, report.message))
    assert len(refused) == 1  # in words that tell nothing of it
    assert all(most <= 241 for most in shown) and (len(shown) > 1) is (release != "1.5")


@pytest.mark.parametrize("release", ["1.2", "1.3"])
async def test_the_cursor_of_a_spent_budget_names_nobody_elses_job(release: str) -> None:
    answer = await page(crowd(release, others=3000), scan_budget=50)
    assert answer.end_cursor is not None and answer.has_next_page and not answer.complete
    digest = digest_of(JobListQuestion().filters, JobListQuestion().order, None)
    with pytest.raises(RequestError, match="not a cursor"):
        Cursor.decode(answer.end_cursor, digest)


@pytest.mark.parametrize("budget", [1, 7, 50])
async def test_a_walk_by_sealed_cursors_gives_every_job_once(budget: int) -> None:
    upstream = crowd("1.3", others=300, step=900)
    site, after, found, lengths = site_of(upstream, "old", 1, credential=ALICE), None, [], set()
    async with gateway_over([site], scan_budget=budget) as gateway:
        for _ in range(1000):
            answer = await gateway.jobs(JobListQuestion(first=1, after=after), CALLER)
            found += [row.job_id for row in answer.rows]
            if not answer.has_next_page:
                break
            after = answer.end_cursor
            assert after is not None
            lengths.add(len(after))
    assert found == [2, 1, 0]
    assert len(lengths) <= 2  # sealed, or the place of a job of one's own


async def test_a_sealed_cursor_that_was_altered_is_refused() -> None:
    answer = await page(crowd("1.3", others=3000), scan_budget=50)
    assert answer.end_cursor is not None
    altered = answer.end_cursor[:-3] + ("AAA" if answer.end_cursor[-3:] != "AAA" else "BBB")
    for text in (altered, "s.", "s.AAAA", "s.é", "s." + "A" * 5000):
        with pytest.raises(RequestError) as refused:
            await page(crowd("1.3", others=3000), text)
        assert refused.value.code is Code.INVALID_CURSOR


def keyring(tmp_path: Path, token: str = "first") -> Keyring:
    (tmp_path / "token").write_text(token)
    path = tmp_path / "ccgateway.toml"
    path.write_text('[sites.old]\nnumber = 1\nurl = "http://127.0.0.1:1"\ntoken_file = "token"\n')
    return Keyring(load_settings(path))


def test_processes_with_the_same_secrets_open_one_anothers_cursors(tmp_path: Path) -> None:
    text = Cursor("d", before_second(4711)).encode()
    sealed = keyring(tmp_path).seal.close(text)
    assert keyring(tmp_path).seal.open(sealed) == text
    assert keyring(tmp_path, "second").seal.open(sealed) == sealed
    assert text not in sealed and sealed != keyring(tmp_path).seal.close(text)
    assert "4711" not in repr(keyring(tmp_path).seal)


async def test_what_a_site_told_one_caller_is_not_told_to_another() -> None:
    upstream = Upstream([Job(1, 1000)])
    site = site_of(upstream, "one", 1, credential=ADMIN)
    site.health.note(SiteError(Code.SITE_ERROR, "one", "cannot open the job of bob's with the name secret-plan"))
    async with gateway_over([site]) as gateway:
        (alices,) = await gateway.sites(USER)
        site.health.facts.note_latency(0.25)
        (operators,) = await gateway.sites(Principal("root", frozenset({"admin"})))
        (bobs,) = await gateway.sites(USER)
    assert operators.latency is not None and operators.latency.p50 == 0.25 and bobs.latency is None
    assert alices.last_error is not None and operators.last_error is not None
    assert (alices.last_error.code, alices.last_error.retryable) == (Code.SITE_ERROR, True)
    assert "secret-plan" not in alices.last_error.message and "secret-plan" in operators.last_error.message


async def test_callers_are_told_what_the_site_told_them() -> None:
    upstream = Upstream([Job(1, 1000)])
    upstream.fails = lambda _: SiteError(Code.SITE_ERROR, "one", "told to alice")
    async with gateway_over([site_of(upstream, "one", 1, credential=ALICE)]) as gateway:
        (status,) = await gateway.sites(USER)
    assert status.last_error is not None and status.last_error.message == "told to alice"
