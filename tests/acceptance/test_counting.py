"""A count of jobs that have to be read keeps none of them: it takes as much memory for many as for some."""

from __future__ import annotations

import pytest

from acceptance.conftest import gateway, site
from ccgateway.federation import merge

COUNT = "query($f: [JobFilter!]) { jobs(filter: $f, first: 1) { count complete sites { scanned } } }"
JOBS = 25_000
#: half of it, which a caller may hold, is less than all jobs take, each of 512 bytes
LIMITS = {"inflight_bytes": 20 << 20, "scan_budget": 100_000, "request_timeout": 100, "patience": 0}


@pytest.mark.parametrize("each", [[JOBS], [JOBS // 2, JOBS // 2]])
async def test_more_jobs_are_counted_than_one_caller_may_hold(each: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "COUNTED_AT_ONCE", 2000)
    sites = [site(f"s{number}", ("1.5", "1.2")[number], count=count) for number, count in enumerate(each)]
    async with gateway(*sites, limits=LIMITS, reads="rest", timeout=100) as front:
        found = (await front.ask(COUNT, f=[]))["data"]["jobs"]
        assert (found["count"], found["complete"]) == (JOBS, True)
        assert all(one["scanned"] >= count for one, count in zip(found["sites"], each, strict=True))
        # all of them again, but not by what a site evaluates itself
        wanted = {"numNodes": {"from": 1, "to": 1_000_000}, "user": {"neq": "nobody"}}
        assert (await front.ask(COUNT, f=[wanted]))["data"]["jobs"]["count"] == JOBS
