"""Writes by GraphQL on real sockets: whatever happens to a request on its way, the outcome is what happened at the site."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import NOW, Front, gateway
from ccgateway.simulator import SimulatedSite
from ccgateway.simulator.faults import WriteFault
from ccgateway.simulator.truth import Truth

FAULTS = [one for one in WriteFault if one is not WriteFault.HELD]
HANGING = (WriteFault.TIMEOUT_BEFORE, WriteFault.TIMEOUT_AFTER)


def job(db_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": db_id, "jobId": 1000 + db_id, "user": "alice", "project": "p_a", "cluster": "aurora", "subCluster": "main",
        "numNodes": 1, "startTime": int(NOW) - 5000 + db_id, "duration": 600, "walltime": 3600, "jobState": "running",
        "resources": [{"hostname": "an001"}], "metaData": {"jobName": "x"}, "monitoringStatus": 1,
    } | changes  # fmt: skip


def make_site(release: str) -> SimulatedSite:
    return SimulatedSite("aurora", release, [job(n) for n in range(1, 40)], clock=lambda: NOW)


async def write(front: Front, field: str, arguments: str) -> dict[str, Any]:
    answer = await front.ask(f"mutation {{ {field}({arguments}) {{ outcome code message }} }}")
    assert "errors" not in answer, answer
    (found,) = answer["data"][field]
    return dict(found)


def expected(fault: WriteFault) -> str:
    if fault.acts:
        return "DONE"
    return "UNKNOWN" if fault is WriteFault.TIMEOUT_BEFORE else "FAILED"


@pytest.mark.parametrize(
    ("release", "effect"),
    [("1.2", "delete"), ("1.2", "stop"), ("1.3", "delete"), ("1.4", "tag"), ("1.5", "tag"), ("1.5", "stop"), ("1.5", "delete"),
     ("howto", "stop"), ("howto", "delete")],
)  # fmt: skip
async def test_the_outcome_is_the_truth(release: str, effect: str) -> None:
    writes = {
        "tag": ("tagJobs", 'jobs: [{{id: "aurora:{n}"}}], tags: [{{type: "t", name: "n{n}"}}]'),
        "stop": ("stopJobs", 'jobs: [{{job: {{id: "aurora:{n}"}}, stopTime: "2025-10-09T08:53:20Z"}}]'),
        "delete": ("deleteJobs", 'jobs: [{{id: "aurora:{n}"}}]'),
    }
    field, arguments = writes[effect]

    async def one_after_the_other(faults: Sequence[WriteFault], *, seconds: float) -> None:
        site = make_site(release)
        truth = Truth(site.backend)
        async with gateway(site, timeout=seconds, release=release) as front:
            for number, fault in enumerate(faults, start=1):
                site.faults.clear()
                truth.forget()
                rule = site.faults.write(fault)
                found = await write(front, field, arguments.format(n=number))
                assert rule.hits == 1
                assert len(truth.happened(effect)) == (1 if fault.acts else 0), (fault, found)
                assert found["outcome"] == expected(fault), (fault, found)

    # only who waits for an answer that never comes needs a short limit; all others get time on a busy machine
    await one_after_the_other([fault for fault in FAULTS if fault not in HANGING], seconds=60)
    await asyncio.gather(*(one_after_the_other([fault], seconds=2) for fault in HANGING))


async def test_a_refused_connection_is_a_failure_that_may_be_tried_again() -> None:
    site = make_site("1.5")
    async with gateway(site, timeout=2, release="1.5") as front:
        await front.addresses["aurora"].stop()
        answer = await front.ask('mutation { deleteJobs(jobs: [{id: "aurora:1"}]) { outcome code retryable } }')
        assert answer["data"]["deleteJobs"] == [{"outcome": "FAILED", "code": "UNREACHABLE", "retryable": True}]
        await front.addresses["aurora"].start()
        assert (await write(front, "deleteJobs", 'jobs: [{id: "aurora:1"}]'))["outcome"] == "DONE"


async def test_a_caller_who_leaves_is_told_by_the_key_what_became_of_it() -> None:
    site = make_site("1.5")
    truth = Truth(site.backend)
    query = 'mutation { deleteJobs(jobs: [{id: "aurora:1"}]) { outcome } }'
    async with gateway(site, timeout=20, release="1.5") as front:
        held = site.faults.write(WriteFault.HELD)
        headers = {"Idempotency-Key": "k"}

        async def send() -> dict[str, Any]:
            async with front.session.post(front.url, json={"query": query}, headers=headers) as response:
                found: dict[str, Any] = await response.json()
                return found

        leaving = asyncio.create_task(send())
        while held.hits == 0:  # noqa: ASYNC110 - it happens in another task, without an event
            await asyncio.sleep(0.01)
        leaving.cancel()
        again = asyncio.create_task(send())
        await asyncio.sleep(0.1)
        held.release()
        assert (await again)["data"] == {"deleteJobs": [{"outcome": "DONE"}]}
        assert len(truth.happened("delete")) == 1


async def test_the_audit_file_has_a_line_for_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.log"
    monkeypatch.setenv("CCGATEWAY_WRITES__AUDIT_FILE", str(path))
    site = make_site("1.4")
    async with gateway(site, release="1.4") as front:
        await write(front, "tagJobs", 'jobs: [{id: "aurora:1"}], tags: [{type: "t", name: "n"}]')
        path.rename(tmp_path / "moved.log")
        await write(front, "deleteJobs", 'jobs: [{id: "aurora:2"}]')
    (moved,), (line,) = ((tmp_path / name).read_text().splitlines() for name in ("moved.log", "audit.log"))
    assert json.loads(moved)["operation"] == "tag"
    told = json.loads(line)
    assert (told["operation"], told["site"], told["outcome"], told["as"]) == ("delete", "aurora", "DONE", "demo")
    assert told["job"] == {"cluster": "aurora", "jobId": 1002, "startTime": int(NOW) - 4998}
