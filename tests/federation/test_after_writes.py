"""What comes after a write took effect changes nothing of its answer, and a write cut by the gateway's end is told as it is."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from ccgateway.cache.ttl_store import TtlStore
from ccgateway.errors import Code, RequestError, SiteError
from ccgateway.federation.audit import LOGGER, AuditFile, audit_to_file, close_audit_file, trouble_with
from ccgateway.federation.commands import WriteCall
from ccgateway.federation.gateway import Gateway
from ccgateway.site.exchange import SiteRequest
from ccgateway.telemetry import Troubles
from support.walking import CALLER
from support.writes import outcomes, tagging, wire
from support.written import CALL, gateway_over, instance_of, look_quickly


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    look_quickly(monkeypatch)


class Broken(TtlStore):
    """Claims, and cannot record."""

    async def complete(self, *_: Any) -> None:
        raise OSError("no room")


class Full(logging.Handler):
    """A handler whose disk is full, and which raises."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(28, "No space left on device")


async def broken(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("step", ["audit log", "cache", "idempotency keys"])
async def test_every_command_gets_its_true_result_whatever_fails_after_it(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    aurora = wire()
    store = TtlStore("once")
    handler = Full()
    if step == "audit log":
        logging.getLogger(LOGGER).addHandler(handler)
    elif step == "cache":
        monkeypatch.setattr(Gateway, "invalidate", broken)
    else:
        store = Broken("once")
    gateway = gateway_over(instance_of(aurora), idempotency_store=store)
    try:
        with caplog.at_level(logging.WARNING, "ccgateway.health"):
            found = await gateway.writes.tag_jobs(tagging(1, 2, 3, 99), CALLER, WriteCall("r", "k"))
    finally:
        logging.getLogger(LOGGER).removeHandler(handler)
    assert outcomes(found) == [("DONE", None)] * 3 + [("FAILED", Code.NOT_FOUND)]
    assert len(aurora.sent) == 3
    assert [one.part for one in gateway.troubles()] == [step]
    assert len([one for one in caplog.records if one.name == "ccgateway.health"]) == 1


def line(file: AuditFile, text: str) -> None:
    file.emit(logging.LogRecord(LOGGER, logging.INFO, "", 0, "%s", (text,), None))


def test_a_rotated_audit_file_that_cannot_be_opened_anew_loses_no_line(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    path, troubles = folder / "audit.log", Troubles()
    file = audit_to_file(path, troubles)
    try:
        line(file, "one")
        path.rename(folder / "audit.log.1")
        path.mkdir()  # whoever runs the tests: this cannot be opened for writing
        line(file, "two")
        assert [one.part for one in troubles.told()] == ["audit log"]
        assert file.trouble() is not None and trouble_with(path) is not None
        path.rmdir()
        line(file, "three")
        assert troubles.told() == [] and file.trouble() is None and trouble_with(path) is None
        assert (folder / "audit.log.1").read_text() == "one\ntwo\n"
        assert path.read_text() == "three\n"
        assert path.stat().st_mode & 0o077 == 0
    finally:
        close_audit_file(file)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")  # noqa: PTH110
def test_a_full_disk_is_a_trouble_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    file = AuditFile(Path("/dev/full"), troubles)
    try:
        for _ in range(20):
            line(file, "one")
    finally:
        file.close()
    assert [one.part for one in troubles.told()] == ["audit log"]
    assert len(caplog.records) == 1 and caplog.records[0].exc_info is None


async def test_nothing_is_written_while_a_required_audit_file_cannot_be(tmp_path: Path) -> None:
    path, troubles = tmp_path / "audit.log", Troubles()
    file = audit_to_file(path, troubles)
    aurora = wire()
    gateway = gateway_over(instance_of(aurora), writes={"audit_file": path, "audit_required": True}, audit_file=file)
    try:
        assert outcomes(await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)) == [("DONE", None)]
        path.rename(tmp_path / "audit.log.1")
        path.mkdir()
        assert outcomes(await gateway.writes.tag_jobs(tagging(2), CALLER, CALL)) == [("FAILED", Code.READ_ONLY)]
        path.rmdir()
        assert outcomes(await gateway.writes.tag_jobs(tagging(2), CALLER, CALL)) == [("DONE", None)]
        assert len(aurora.sent) == 2
    finally:
        close_audit_file(file)


async def test_a_write_that_is_cut_by_stopping_is_unknown_and_the_rest_was_not_sent() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora, concurrency=1))
    aurora.pace = lambda: 0.3 if aurora.sent else 0.0
    aurora.before_each = lambda _: None
    begun = asyncio.create_task(gateway.writes.tag_jobs(tagging(1, 2, 3), CALLER, CALL))
    while not aurora.sent:  # noqa: ASYNC110 - the wire has no event
        await asyncio.sleep(0.005)
    gateway.stop(0.02)
    found = await begun
    told = outcomes(found)
    assert all(one in {("DONE", None), ("UNKNOWN", Code.STOPPING), ("FAILED", Code.STOPPING)} for one in told)
    assert told[-1] == ("FAILED", Code.STOPPING)
    with pytest.raises(RequestError) as raised:
        await gateway.writes.tag_jobs(tagging(1), CALLER, CALL)
    assert raised.value.code is Code.STOPPING
    await gateway.aclose()
    assert len(aurora.sent) == sum(outcome != "FAILED" for outcome, _ in told)


async def test_what_ends_in_time_is_told_in_full_while_the_gateway_stops() -> None:
    aurora = wire()
    aurora.pace = lambda: 0.01
    gateway = gateway_over(instance_of(aurora))
    begun = asyncio.create_task(gateway.writes.tag_jobs(tagging(1), CALLER, CALL))
    while not aurora.sent:  # noqa: ASYNC110 - the wire has no event
        await asyncio.sleep(0.002)
    gateway.stop(5)
    assert outcomes(await begun) == [("DONE", None)]


async def test_a_read_back_that_fails_changes_nothing_of_what_was_written() -> None:
    aurora = wire()
    gateway = gateway_over(instance_of(aurora))

    def cut(request: SiteRequest) -> None:
        if aurora.sent and request.safe:
            raise SiteError(Code.UNREACHABLE, "aurora", "No connection to the site: connection refused.")

    aurora.before_each = cut
    told = outcomes(await gateway.writes.tag_jobs(tagging(1), CALLER, CALL))
    assert told == [("DONE", None)]


async def test_check_says_that_the_audit_file_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    assert trouble_with(path) is None and not path.exists(), "to look does not make it"
    path.mkdir()
    assert trouble_with(path) is not None
    assert trouble_with(tmp_path / "nowhere" / "audit.log") is not None
