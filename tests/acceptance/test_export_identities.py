"""Who exports what: what the list shows the same person, on every release, and never more."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from acceptance.exports import Export, read_lines
from acceptance.people import PEOPLE, gateway_for, site_of
from acceptance.test_identities import RELEASES, SEES_ALL, expected

pytestmark = pytest.mark.asyncio(loop_scope="module")
everybody = pytest.mark.parametrize("name", PEOPLE)
everywhere = pytest.mark.parametrize("release", RELEASES)


@pytest_asyncio.fixture(scope="module", params=["table", "signed"], loop_scope="module")
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Any, Any]]:
    sites = {release: site_of(release) for release in RELEASES}
    async with gateway_for(*sites.values(), way=request.param, folder=tmp_path_factory.mktemp(request.param)) as gate:
        yield gate, sites


async def exported(gate: Any, name: str, parameters: str, kind: str = "jobs") -> tuple[int, Export, str]:
    url = gate.url.removesuffix("/graphql") + f"/export/{kind}?{parameters}"
    headers = {"Authorization": f"Bearer {gate.token(name, PEOPLE[name])}"}
    async with gate.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(120)) as answer:
        body = await answer.read()
        return answer.status, read_lines(body) if answer.status == 200 else Export({}, [], [], None), body.decode()


@everybody
@everywhere
async def test_an_export_has_for_each_person_what_the_site_would_show(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site = sites[release]
    wanted = expected(site, release, name)
    status, found, text = await exported(gate, name, f"site={site.name}")
    if wanted is None:
        assert status in (502, 503) and "SITE_UNAUTHORIZED" in text and not found.lines
        return
    jobs = {job["jobId"]: job for job in site.all_jobs() if job["id"] in wanted}
    assert {row["jobId"] for row in found.rows} == set(jobs) and found.end is not None and found.end["complete"]
    assert found.end["sites"][0]["rows"] == len(jobs)
    parts = [await exported(gate, name, f"site={site.name}&shard={number}/2") for number in (1, 2)]
    assert sorted(row["jobId"] for _, part, _ in parts for row in part.rows) == sorted(jobs)
    _, usage, _ = await exported(gate, name, f"site={site.name}&by=user&period=all", kind="usage")
    assert {row["user"]: row["jobs"] for row in usage.rows} == Counter(job["user"] for job in jobs.values())
    if name not in SEES_ALL:
        assert all(owner not in text for owner in set(PEOPLE) - {name} if f"p_{owner}" not in f"p_{name}")


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_asking_for_somebody_else_gives_nothing_of_theirs(front: Any, name: str) -> None:
    gate, _ = front
    _, _, text = await exported(gate, "demo", "site=site12")
    assert '"user":"mona"' in text
    for user in ("mona", "demo"):
        status, found, _ = await exported(gate, name, f"site=site12&site=site13&user={user}")
        assert status == 200 and found.lines == []


async def test_who_shows_nothing_gets_nothing(front: Any) -> None:
    gate, _ = front
    for kind in ("jobs", "usage"):
        async with gate.session.get(gate.url.removesuffix("/graphql") + f"/export/{kind}") as answer:
            assert answer.status == 401 and answer.headers["WWW-Authenticate"]
