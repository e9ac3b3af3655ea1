"""A site gives a deleted job's database id to the next one: no write by id may stay on a job that it was not meant for."""

from __future__ import annotations

import pytest

from ccgateway.errors import Code
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import EditMeta, TagJob, Target, WriteOutcome
from ccgateway.site.exchange import SiteRequest
from support.walking import CALLER
from support.writes import SLOW, job, outcomes, tagging, wire
from support.written import CALL, NOW, Wire, gateway_over, instance_of, job_at, look_quickly

THEIRS = Tag("review", "theirs")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


def swap(site: Wire, at_read: int | None = None, changes: dict[str, object] | None = None) -> None:
    """Job 5, alice's, is deleted and bob's gets its id: before the write, or before that many reads."""
    reads = 0
    swapped = False

    def before(request: SiteRequest) -> None:
        nonlocal reads, swapped
        reads += request.safe
        by_rest = not request.safe and "mutation" not in str(request.body)
        if not swapped and (by_rest or is_tagging(request) or reads == at_read):
            swapped = True
            site.site.delete_job(5)
            site.site.start_job(job(site.site.name, 5, **{"jobId": 777, "user": "bob", **(changes or {})}))
            site.site.add_tag(5, THEIRS.type, THEIRS.name)

    site.before_each = before


def is_tagging(request: SiteRequest) -> bool:
    return any(word in str(request.body) for word in ("addTagsToJob", "removeTagsFromJob"))


def names(site: Wire) -> list[str]:
    return [tag["name"] for tag in (job_at(site.site, 5) or {})["tags"]]


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize("changes", [{}, {"jobId": 1005, "startTime": NOW - 60}], ids=["another number", "the number again"])
async def test_a_tag_that_landed_on_another_job_is_taken_back(release: str, changes: dict[str, object]) -> None:
    aurora = wire("aurora", release)
    swap(aurora, changes=changes)
    (found,) = await gateway_over(instance_of(aurora)).writes.tag_jobs(tagging(5), CALLER, CALL)
    assert (found.outcome, found.code) == (WriteOutcome.FAILED, Code.CONFLICT)
    assert "another job" in (found.message or "") and "was taken from it again" in (found.message or "")
    assert names(aurora) == ["theirs"]


async def test_what_cannot_be_taken_back_is_said_to_be_there() -> None:
    aurora = wire("aurora", "1.3")
    swap(aurora)
    gateway = gateway_over(instance_of(aurora, tags_by_query=False))
    (found,) = await gateway.writes.tag_jobs(tagging(5), CALLER, CALL)
    assert found.outcome is WriteOutcome.FAILED and "could not be taken from it again" in (found.message or "")
    assert sorted(names(aurora)) == ["slow", "theirs"]


@pytest.mark.parametrize("release", ["1.2", "1.3"])
@pytest.mark.parametrize("person", ["demo", "alice"])
@pytest.mark.parametrize("by", ["id", "key"])
async def test_up_to_1_3_nothing_is_sent_once_the_id_has_gone_to_another_job(release: str, person: str, by: str) -> None:
    aurora = wire("aurora", release)
    row = job("aurora", 5)
    key = Target(site="aurora", cluster="aurora", job_id=row["jobId"], start_time=row["startTime"])
    target = key if by == "key" else Target(site="aurora", db_id=5)
    reads_before = {("1.2", "id"): 3, ("1.2", "key"): 2, ("1.3", "id"): 2, ("1.3", "key"): 2}[release, by]
    swap(aurora, at_read=reads_before)
    gateway = gateway_over(instance_of(aurora, user=person))
    found = await gateway.writes.tag_jobs([TagJob(target=target, tags=(SLOW,))], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.CONFLICT)] and "nothing was sent" in (found[0].message or "")
    assert aurora.sent == [] and names(aurora) == ["theirs"]


@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
async def test_a_tag_taken_from_another_job_is_no_success(release: str) -> None:
    aurora = wire("aurora", release)
    aurora.site.add_tag(5, SLOW.type, SLOW.name)
    swap(aurora)
    command = TagJob(target=Target(site="aurora", db_id=5), tags=(SLOW,))
    found = await gateway_over(instance_of(aurora)).writes.untag_jobs([command], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.CONFLICT)] and "another job" in (found[0].message or "")
    assert names(aurora) == ["theirs"]


@pytest.mark.parametrize("release", ["1.3", "1.4"])
async def test_metadata_written_to_another_job_is_no_success(release: str) -> None:
    aurora = wire("aurora", release)
    swap(aurora)
    command = EditMeta(target=Target(site="aurora", db_id=5), values={"note": "alice's"})
    found = await gateway_over(instance_of(aurora)).writes.edit_meta([command], CALLER, CALL)
    assert outcomes(found) == [("FAILED", Code.CONFLICT)]
    assert "The other job was changed instead" in (found[0].message or "")
