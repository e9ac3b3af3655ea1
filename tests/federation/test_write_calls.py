"""Calls that write: made once, how much and how often, and what is told of them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, RequestError
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.model import Tag
from ccgateway.jobs.writes import (
    DeleteBefore,
    EditMeta,
    RemoveTags,
    StartJob,
    Target,
    WriteOutcome,
    WriteResult,
)
from ccgateway.site.writing import Writer
from support.walking import CALLER
from support.writes import SLOW, outcomes, tagging, wire
from support.written import CALL, NOW, Fault, gateway_over, instance_of, look_quickly, start_command

DONE, UNCHANGED, FAILED = WriteOutcome.DONE, WriteOutcome.UNCHANGED, WriteOutcome.FAILED


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


# --- once


async def test_the_same_call_with_the_same_key_is_made_once() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    call = WriteCall("r", "my key")
    first = await gateway.writes.tag_jobs(tagging(1, 99), CALLER, call)
    again = await gateway.writes.tag_jobs(tagging(1, 99), CALLER, call)
    assert first == again
    assert outcomes(first) == [("DONE", None), ("FAILED", Code.NOT_FOUND)]
    assert len(aurora.sent) == 1
    with pytest.raises(RequestError) as raised:
        await gateway.writes.tag_jobs(tagging(2), CALLER, call)
    assert raised.value.code is Code.CONFLICT
    with pytest.raises(RequestError):
        await gateway.writes.untag_jobs(tagging(1, 99), CALLER, call)


async def test_calls_with_one_key_at_the_same_time_are_one() -> None:
    aurora = wire()
    aurora.pace = lambda: 0.01
    gateway = gateway_over(instance_of(aurora))
    calls = [gateway.writes.start_jobs([start_command("aurora", 42)], CALLER, WriteCall("r", "k")) for _ in range(5)]
    found = await asyncio.gather(*calls)
    assert len(aurora.sent) == 1
    assert all(one == found[0] for one in found)


async def test_a_call_that_came_to_nothing_may_be_made_again_with_its_key() -> None:
    aurora = wire()
    aurora.faults = [Fault.REFUSED]
    gateway = gateway_over(instance_of(aurora))
    call = WriteCall("r", "k")
    assert outcomes(await gateway.writes.tag_jobs(tagging(1), CALLER, call)) == [("FAILED", Code.UNREACHABLE)]
    assert outcomes(await gateway.writes.tag_jobs(tagging(1), CALLER, call)) == [("DONE", None)]


async def test_keys_are_the_callers_own_and_end_with_their_time() -> None:
    now = [0.0]
    aurora = wire()
    store = TtlStore("once", clock=lambda: now[0])
    gateway = gateway_over(instance_of(aurora), idempotency_store=store, writes={"keys_for": 60})
    call = WriteCall("r", "k")
    await gateway.writes.tag_jobs(tagging(1), CALLER, call)
    other = await gateway.writes.tag_jobs(tagging(2), Principal("somebody else"), call)
    assert other[0].outcome is DONE
    now[0] = 61.0
    later = await gateway.writes.tag_jobs(tagging(1), CALLER, call)
    assert later[0].outcome is UNCHANGED


async def test_what_a_call_came_to_at_another_instance_of_that_name_is_nobodys_result_here() -> None:
    store, call = TtlStore("once"), WriteCall("r", "k")
    there, moved = wire(), wire()
    await gateway_over(instance_of(there), idempotency_store=store).writes.start_jobs([start_command("aurora", 42)], CALLER, call)
    with pytest.raises(RequestError) as raised:
        here = gateway_over(instance_of(moved, url="http://elsewhere"), idempotency_store=store)
        await here.writes.start_jobs([start_command("aurora", 42)], CALLER, call)
    assert raised.value.code is Code.CONFLICT and not moved.sent
    again = gateway_over(instance_of(there), idempotency_store=store)  # a gateway that was started anew
    (found,) = await again.writes.start_jobs([start_command("aurora", 42)], CALLER, call)
    assert found.outcome is not UNCHANGED and len(there.sent) == 1


async def test_a_call_goes_on_when_its_caller_leaves() -> None:
    aurora = wire()
    aurora.pace = lambda: 0.01
    gateway = gateway_over(instance_of(aurora))
    call = WriteCall("r", "k")
    begun = asyncio.create_task(gateway.writes.tag_jobs(tagging(1), CALLER, call))
    await asyncio.sleep(0.005)
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    found = await gateway.writes.tag_jobs(tagging(1), CALLER, call)
    assert outcomes(found) == [("DONE", None)]
    assert len(aurora.sent) == 1


async def test_closing_waits_for_what_is_being_written() -> None:
    aurora = wire()
    aurora.pace = lambda: 0.01
    gateway = gateway_over(instance_of(aurora))
    begun = asyncio.create_task(gateway.writes.tag_jobs(tagging(1), CALLER, CALL))
    await asyncio.sleep(0.005)
    await gateway.aclose()
    assert begun.done()
    assert outcomes(begun.result()) == [("DONE", None)]


# --- how much


async def test_a_caller_who_writes_too_much_is_slowed_and_others_are_not() -> None:
    gateway = gateway_over(instance_of(wire()), writes={"per_minute": 3})
    await gateway.writes.tag_jobs(tagging(1, 2), CALLER, CALL)
    with pytest.raises(RequestError) as raised:
        await gateway.writes.tag_jobs(tagging(3, 4), CALLER, CALL)
    assert (raised.value.code, raised.value.retryable) == (Code.RATE_LIMITED, True)
    await gateway.writes.tag_jobs(tagging(3), CALLER, CALL)
    await gateway.writes.tag_jobs(tagging(4), Principal("somebody else"), CALL)


async def test_a_caller_has_so_many_calls_at_a_time() -> None:
    aurora = wire()
    aurora.pace = lambda: 0.01
    gateway = gateway_over(instance_of(aurora), writes={"calls_at_once": 2})
    calls = [gateway.writes.tag_jobs(tagging(db_id), CALLER, CALL) for db_id in (1, 2, 3)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in found if isinstance(one, RequestError)]
    assert [one.code for one in refused] == [Code.RATE_LIMITED]
    assert outcomes(await gateway.writes.tag_jobs(tagging(4), CALLER, CALL)) == [("DONE", None)]


# --- what is told


class Lines(logging.Handler):
    """What reaches the log while nothing below a warning is wanted of anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "ccgateway.audit":
            self.lines.append(record.getMessage())


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    lines, root = Lines(), logging.getLogger()
    monkeypatch.setattr(root, "level", logging.WARNING)
    root.addHandler(lines)
    yield lines
    root.removeHandler(lines)


async def test_every_write_leaves_a_line(audit: Lines) -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    aurora.faults = [None, Fault.LATE_BEFORE]
    await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)
    await gateway.writes.delete_jobs([Target(site="aurora", db_id=2)], CALLER, CALL)
    await gateway.writes.delete_jobs([Target(site="nowhere", db_id=2)], CALLER, CALL)
    await gateway.writes.delete_jobs([Target(site="aurora", db_id=3)], CALLER, CALL, dry_run=True)
    lines = [json.loads(line) for line in audit.lines]
    first = lines[0]
    assert first.pop("time").endswith("Z")
    assert first == {
        "request": "request-1", "caller": CALLER.subject, "as": "demo", "site": "aurora", "operation": "tag",
        "detail": "review:slow (global)", "outcome": "DONE", "id": 1,
        "job": {"cluster": "aurora", "jobId": 1001, "startTime": NOW - 5000 + 1},
    }  # fmt: skip
    assert [(one["operation"], one["outcome"], one.get("code"), one.get("dryRun"), one["as"]) for one in lines[1:]] == [
        ("delete", "UNKNOWN", "TIMEOUT", None, "demo"),
        ("delete", "FAILED", "UNKNOWN_SITE", None, None),
        ("delete", "UNCHANGED", None, True, "demo"),
    ]


async def test_no_line_holds_a_token_or_what_was_written_into_metadata(audit: Lines) -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))
    token = aurora.site.token("demo")
    target = Target(site="aurora", db_id=1)
    await gateway.writes.edit_meta([EditMeta(target=target, values={"note": "my secret words"})], CALLER, CALL)
    await gateway.writes.tag_jobs(tagging(1, tag=Tag("x", token)), CALLER, CALL)
    told = "\n".join(audit.lines)
    assert "note" in told
    assert "my secret words" not in told
    assert token not in told


async def test_what_was_read_ahead_is_dropped_by_a_write() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora), read_ahead=60)
    question = JobListQuestion(first=1, fields=frozenset({"tags"}))
    page = await gateway.jobs(question, CALLER)
    await gateway.writes.tag_jobs(tagging(4), CALLER, CALL)
    again = await gateway.jobs(JobListQuestion(first=1, fields=frozenset({"tags"}), after=page.end_cursor), CALLER)
    assert [(row.id, [tag.name for tag in row.tags]) for row in again.rows] == [(4, ["slow"])]
    await gateway.aclose()


async def test_writes_tell_what_is_remembered_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, list[Any] | None]] = []

    async def changed(self: Gateway, site: str, jobs: Any = ()) -> None:
        told.append((site, None if jobs is None else [key[1:] for key in jobs]))

    monkeypatch.setattr(Gateway, "invalidate", changed)
    aurora = wire()
    gateway = gateway_over(instance_of(aurora, tags_by_query=False))
    aurora.faults = [None, Fault.ERROR_BEFORE]
    key = ("aurora", 1001, NOW - 5000 + 1)
    await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)
    await gateway.writes.delete_jobs([Target(site="aurora", db_id=1)], CALLER, CALL)  # even one that failed
    await gateway.writes.delete_jobs([Target(site="aurora", db_id=1)], CALLER, CALL, dry_run=True)
    await gateway.writes.delete_jobs_before(DeleteBefore(before=NOW), CALLER, CALL)
    await gateway.writes.remove_tags(RemoveTags(tags=(SLOW,)), CALLER, CALL)
    assert told == [("aurora", [key]), ("aurora", [key]), ("aurora", None), ("aurora", None)]


async def test_a_fault_of_ours_is_one_commands_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Writer.put_tags

    async def broken(self: Writer, context: Any, target: Target, tags: Any) -> WriteResult:
        if target.db_id == 2:
            raise ZeroDivisionError
        return await inner(self, context, target, tags)

    monkeypatch.setattr(Writer, "put_tags", broken)
    gateway = gateway_over(instance_of(wire()))
    found = await gateway.writes.tag_jobs(tagging(1, 2, 3), CALLER, CALL)
    assert outcomes(found) == [("DONE", None), ("UNKNOWN", Code.INTERNAL), ("DONE", None)]


def test_starts_carry_their_site() -> None:
    command: StartJob = start_command("aurora", 1, site="aurora")
    assert command.target.key == ("aurora", "aurora", 1, NOW - 600)
