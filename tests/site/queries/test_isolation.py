"""Who sees whose jobs does not depend on how a site is read: roles × releases × ways, in lists, counts and orders."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ccgateway.errors import Code, FederationError
from ccgateway.federation.questions import JobListQuestion
from ccgateway.jobs.filters import IntRange, JobFilter, JobOrder, StringInput
from ccgateway.simulator import SimulatedSite
from support.simulated import Simulated
from support.walking import CALLER, gateway_over

NOW = 1_760_000_000
ROLES = {
    "demo": ("admin", "api"), "robot": ("api",), "sam": ("support", "api"), "mona": ("manager", "api"),
    "alice": ("user", "api"), "both": ("manager", "user", "api"), "odd": ("guest", "api"), "plain": ("user",),
    "none": (), "adminonly": ("admin",),
}  # fmt: skip
OWNERS = ("alice", "mona", "sam", "both", "odd", "plain", "bob", "ALICE")


def everywhere(seen: set[str] | None) -> dict[str, set[str] | None]:
    return dict.fromkeys(("1.2", "1.3", "1.4", "1.5"), seen)


#: whose jobs are shown: everybody's, one's own; the rest are not let in
ALL, NOBODY = set(OWNERS), None
SEEN: dict[str, dict[str, set[str] | None]] = {
    "demo": everywhere(ALL),
    "robot": everywhere(ALL),
    "sam": {"1.2": ALL, "1.3": ALL, "1.4": NOBODY, "1.5": ALL},
    "mona": everywhere({"mona"}),
    "alice": everywhere({"alice"}),
    "both": everywhere({"both"}),
    "odd": {"1.2": {"odd"}, "1.3": {"odd"}, "1.4": NOBODY, "1.5": NOBODY},
    "plain": everywhere(NOBODY),
    "none": everywhere(NOBODY),
    "adminonly": everywhere(NOBODY),
}
QUESTIONS = {
    "list": JobListQuestion(first=100, wants_count=True),
    "others": JobListQuestion(filters=(JobFilter(user=StringInput(neq="nobody")),), first=100, wants_count=True),
    "bob": JobListQuestion(filters=(JobFilter(user=StringInput(eq="bob")),), first=100, wants_count=True),
    "nodes": JobListQuestion(filters=(JobFilter(num_nodes=IntRange(1, 64)),), first=100, wants_count=True),
    "order": JobListQuestion(order=JobOrder("numNodes", "col", "DESC"), first=100, wants_count=True),
    "by duration": JobListQuestion(order=JobOrder("duration", "col", "ASC"), first=100, wants_count=True),
}


def site(release: str) -> SimulatedSite:
    jobs: list[dict[str, Any]] = [
        {
            "id": number, "jobId": number, "user": OWNERS[number % len(OWNERS)], "project": "p", "cluster": "alex",
            "subCluster": "main", "numNodes": number % 5 + 1, "startTime": NOW - 1000 + number, "duration": number,
            "jobState": "running" if number % 3 == 0 else "completed", "resources": [{"hostname": "n1"}],
        }
        for number in range(1, 33)
    ]  # fmt: skip
    return SimulatedSite("s1", release, jobs, clock=lambda: float(NOW), users=ROLES)


@pytest.mark.parametrize("way", ["rest", "query", "auto"])
@pytest.mark.parametrize("release", ["1.2", "1.3", "1.4", "1.5"])
@pytest.mark.parametrize("user", ROLES)
def test_whose_jobs_are_seen_and_counted(user: str, release: str, way: str) -> None:
    seen = SEEN[user][release]
    there = Simulated(site(release))

    async def run() -> None:
        async with gateway_over([there.instance(user=user, reads=way)]) as gateway:
            for name, question in QUESTIONS.items():
                try:
                    answer = await gateway.jobs(replace(question, fields=frozenset({"user"})), CALLER)
                except FederationError as refused:
                    assert seen is None, name
                    assert refused.code is Code.ALL_SITES_FAILED
                    continue
                assert seen is not None, name
                expected = seen & {"bob"} if name == "bob" else seen
                assert {row.user for row in answer.rows} == expected, name
                assert answer.count == len(answer.rows) == 4 * len(expected), name
                if seen != ALL and release in ("1.2", "1.3"):  # which sends everybody's: not even how many there are is told
                    assert answer.reports[0].scanned <= len(answer.rows)
                    assert answer.reports[0].calls == 1

    asyncio.run(run())
    if seen is None:
        assert there.queries == 0, "who is not let in by REST gets nothing by another door"


@pytest.mark.parametrize("release", ["1.2", "1.3"])
def test_up_to_1_3_the_owner_is_part_of_every_question(release: str) -> None:
    there = Simulated(site(release))

    async def run() -> None:
        async with gateway_over([there.instance(user="alice")]) as gateway:
            for question in QUESTIONS.values():
                await gateway.jobs(question, CALLER)

    asyncio.run(run())
    asked = [msgspec.json.decode(request.body or b"")["variables"]["f"] for request in there.requests if request.path == "/query"]
    assert asked
    own = {"user": {"eq": "alice"}}
    assert all(own in filters for filters in asked)
