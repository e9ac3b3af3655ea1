"""REST over simulated sites on real sockets: four releases under one shape, pages while jobs come and go, sites that are down."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.conftest import PATIENT, PATIENT_SITES
from acceptance.recorded import serving
from cache.servers import Valkey
from ccgateway.settings import ServerSettings, Settings
from ccgateway.simulator import GeneratedJobs, SimulatedSite, serve
from ccgateway.simulator.serve import Address

NOW = 1_760_000_000
RELEASED = "/cc-backend/1.5"
RELEASES = {"aurora": "1.5", "borealis": "1.4", "cygnus": "1.3", "draco": "1.2"}
NUMBERS = {name: number for number, name in enumerate(RELEASES, 1)}


def make_site(name: str, *, count: int = 120) -> SimulatedSite:
    jobs = GeneratedJobs(count, cluster=name, seed=len(name), until=NOW)
    return SimulatedSite(name, RELEASES[name], jobs, clock=lambda: float(NOW), commit=0)


@asynccontextmanager
async def front(
    *sites: SimulatedSite, user: str = "demo", limits: Mapping[str, Any] | None = None, cache: Mapping[str, Any] | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, Mapping[str, Address]]]:
    """A client of a gateway over ``sites``, and where these are."""
    async with serve(*sites) as running, serving(settings_of(sites, running, user, limits, cache)) as client:
        yield client, running


def settings_of(
    sites: Iterable[SimulatedSite],
    running: Mapping[str, Address],
    user: str = "demo",
    limits: Mapping[str, Any] | None = None,
    cache: Mapping[str, Any] | None = None,
) -> Settings:
    sections = {
        one.name: {"number": NUMBERS[one.name], "url": running[one.name].url, "token": one.token(user), **PATIENT_SITES}
        for one in sites
    }
    return Settings.model_validate(
        {"sites": sections, "limits": {**PATIENT, **(limits or {})}, "cache": {"memory_bytes": 0} if cache is None else cache}
    )


async def walk(
    client: httpx.AsyncClient, path: str, size: int, *others: httpx.AsyncClient
) -> AsyncIterator[list[dict[str, Any]]]:
    """The pages of the how-to page's loop: until there are fewer than a page. ``others``: whom the next pages are asked of."""
    for page, asked in zip(itertools.count(1), itertools.cycle((client, *others)), strict=False):
        answer = await asked.get(f"{path}&page={page}")
        assert answer.status_code == 200, answer.text
        jobs: list[dict[str, Any]] = answer.json()["jobs"]
        yield jobs
        if len(jobs) < size:
            return


def start(site: SimulatedSite, number: int) -> None:
    """A job begins just now."""
    site.start_job(
        {
            "jobId": number,
            "user": "alice",
            "project": "p",
            "cluster": site.name,
            "subCluster": "main",
            "numNodes": 1,
            "startTime": NOW - 5 + number % 5,
            "resources": [{"hostname": f"{site.name[0]}n001"}],
            "jobState": "running",
            "walltime": 60,
            "metaData": {},
        }
    )


def ids_at(*sites: SimulatedSite) -> set[int]:
    return {job["id"] * 1000 + NUMBERS[site.name] for site in sites for job in site.all_jobs()}


# --- four releases


@pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
async def test_jobs_of_four_releases_come_in_one_list_and_one_shape(base: str) -> None:
    sites = [make_site(name) for name in RELEASES]
    truth = {job["id"] * 1000 + NUMBERS[site.name]: job for site in sites for job in site.all_jobs()}
    async with front(*sites) as (client, _):
        found = [job async for page in walk(client, f"{base}/jobs/?items-per-page=50&with-metadata=true", 50) for job in page]
    assert [job["id"] for job in found] == list(dict.fromkeys(job["id"] for job in found))
    assert {job["id"] for job in found} == truth.keys()
    assert [job["startTime"] for job in found] == sorted((job["startTime"] for job in found), reverse=True)
    old = {name for name, release in RELEASES.items() if release in ("1.2", "1.3")}
    for job in found:
        wanted = truth[job["id"]]
        same = ("jobId", "cluster", "user", "project", "numNodes", "duration", "shared", "resources", "metaData", "jobState")
        assert {name: job[name] for name in same} == {name: wanted[name] for name in same}
        assert job["footprint"] == (None if job["cluster"] in old else wanted["footprint"])
        assert job.get("walltime", 0) == wanted.get("walltime", 0)
    shapes = {frozenset(job) - {"tags", "partition", "arrayJobId", "smt", "numAcc", "monitoringStatus"} for job in found}
    assert len(shapes) == 1


@pytest.mark.parametrize("name", RELEASES)
async def test_one_job_and_its_metrics_look_the_same_at_every_release(name: str) -> None:
    site = make_site(name)
    job = next(one for one in site.all_jobs() if one["numNodes"] > 1 and one["monitoringStatus"] == 3)
    number = job["id"] * 1000 + NUMBERS[name]
    async with front(*[make_site(one) if one != name else site for one in RELEASES]) as (client, _):
        here = (await client.get(f"/api/jobs/{number}")).json()
        there = (await client.get(f"{RELEASED}/api/jobs/{number}?all-metrics=true")).json()
        named = (await client.post(f"{RELEASED}/api/jobs/{number}", json=["cpu_load"])).json()
        metrics = (await client.get(f"{RELEASED}/api/jobs/metrics/{number}?metric=cpu_load")).json()
    assert here["Meta"] == there["Meta"] == named["Meta"] and here["Data"] == there["Data"]
    assert there["Meta"]["startTime"] == job["startTime"] and there["Meta"]["metaData"] == job["metaData"]
    assert there["Data"]["cpu_load"]["node"] == named["Data"][0]["metric"] == metrics["data"]["jobMetrics"][0]["metric"]
    assert {one["hostname"] for one in there["Data"]["cpu_load"]["node"]["series"]} == {r["hostname"] for r in job["resources"]}


async def test_clusters_users_and_used_nodes_of_all_sites() -> None:
    sites = [make_site(name) for name in RELEASES]
    for number, site in enumerate(sites, 900_000):
        start(site, number)
    running = [job for site in sites for job in site.all_jobs() if job["jobState"] == "running" and job["startTime"] < NOW]
    assert len(running) >= 4
    async with front(*sites) as (client, _):
        clusters = (await client.get(f"{RELEASED}/api/clusters/")).json()["clusters"]
        one = (await client.get("/api/clusters/?cluster=draco")).json()["clusters"]
        users = (await client.get("/api/users/?not-just-user=true&site=cygnus")).json()
        nodes = (await client.get(f"{RELEASED}/api/jobs/used_nodes?ts={NOW}")).json()["usedNodes"]
    assert [cluster["name"] for cluster in clusters] == list(RELEASES)
    assert len({frozenset(cluster["metricConfig"][0]) - {"footprint"} for cluster in clusters}) == 1
    assert all(cluster["subClusters"][0]["metricConfig"] for cluster in clusters)
    assert [(cluster["name"], cluster["site"]) for cluster in one] == [("draco", "draco")]
    assert {user["site"] for user in users} == {"cygnus"} and all(set(user["roles"]) - {"user"} for user in users)
    expected: dict[str, set[str]] = {}
    for job in running:
        expected.setdefault(job["cluster"], set()).update(host["hostname"] for host in job["resources"])
    assert nodes == {cluster: sorted(hosts) for cluster, hosts in expected.items()}


@pytest.mark.parametrize("query", ["user=alice", "project=p_a", "state=running&state=failed", "numNodes[from]=4&cluster=draco"])
async def test_filters_mean_the_same_at_every_release(query: str) -> None:
    sites = [make_site(name) for name in RELEASES]
    wanted = dict(part.split("=") for part in query.split("&"))
    states = [part.partition("=")[2] for part in query.split("&") if part.startswith("state=")]

    def fits(job: dict[str, Any]) -> bool:
        return (
            job["user"] == wanted.get("user", job["user"])
            and job["project"] == wanted.get("project", job["project"])
            and job["cluster"] == wanted.get("cluster", job["cluster"])
            and job["numNodes"] >= int(wanted.get("numNodes[from]", 0))
            and (not states or job["jobState"] in states)
        )

    expected = {job["id"] * 1000 + NUMBERS[site.name] for site in sites for job in site.all_jobs() if fits(job)}
    async with front(*sites) as (client, _):
        answer = await client.get(f"/api/jobs/?items_per_page=-1&{query}")
    assert {job["id"] for job in answer.json()["jobs"]} == expected and expected


@pytest.mark.parametrize("base", ["/userapi", f"{RELEASED}/userapi"])
async def test_a_users_own_jobs_at_every_release(base: str) -> None:
    sites = [make_site(name) for name in RELEASES]
    own = {job["id"] * 1000 + NUMBERS[site.name] for site in sites for job in site.all_jobs() if job["user"] == "alice"}
    async with front(*sites, user="alice") as (client, _):
        found = [job async for page in walk(client, f"{base}/jobs/?items-per-page=100", 100) for job in page]
    assert {job["id"] for job in found} == own and {job["user"] for job in found} == {"alice"}


# --- pages while jobs come and go


@pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
async def test_the_loop_ends_and_is_complete_while_jobs_come_and_go(base: str) -> None:
    sites = [make_site(name) for name in RELEASES]
    async with front(*sites) as (client, _):
        await walk_while_jobs_come_and_go(sites, base, client)


async def test_it_is_complete_also_where_every_page_comes_from_another_process(tmp_path: Path) -> None:
    sites = [make_site(name) for name in RELEASES]
    with Valkey(tmp_path) as valkey:
        async with serve(*sites) as running:
            settings = settings_of(sites, running, cache={"memory_bytes": 0, "list_for": 0, "redis_url": valkey.url})
            async with serving(settings) as one, serving(settings) as two, serving(settings) as three:
                await walk_while_jobs_come_and_go(sites, "/api", one, two, three)


async def walk_while_jobs_come_and_go(sites: Sequence[SimulatedSite], base: str, *clients: httpx.AsyncClient) -> None:
    before = ids_at(*sites)
    doomed = {site.name: [job["id"] for job in site.all_jobs()][::7] for site in sites}
    gone: set[int] = set()
    found: list[int] = []
    new = itertools.count(900_000)
    client, *others = clients
    async for page in walk(client, f"{base}/jobs/?items-per-page=20", 20, *others):
        found += [job["id"] for job in page]
        for site in sites:  # a new one at the top, an old one away
            start(site, next(new))
            if doomed[site.name]:
                victim = doomed[site.name].pop()
                gone.add(victim * 1000 + NUMBERS[site.name])
                site.delete_job(victim)
    assert len(found) == len(set(found)), "a job came twice"
    assert before - gone <= set(found), "a job that was there throughout is missing"
    assert set(found) <= before | ids_at(*sites)


async def test_a_walk_by_pages_costs_as_much_as_its_jobs_and_no_more() -> None:
    site = make_site("aurora", count=2000)
    async with front(site, limits={"read_ahead": 0}) as (client, _):
        pages = 0
        async for _ in walk(client, "/api/jobs/?items_per_page=100", 100):
            pages += 1
        walked = len(site.requests)
        site.forget()
        await client.get("/api/jobs/?items_per_page=100&page=15&project=p_a")  # never asked for in a row: found by skipping
    assert pages == 21 and walked <= 2 * pages
    assert site.requests


async def test_cursors_lead_through_everything() -> None:
    sites = [make_site(name) for name in RELEASES]
    found: list[int] = []
    async with front(*sites) as (client, _):
        address = "/api/jobs/?items_per_page=70"
        while True:
            answer = await client.get(address)
            found += [job["id"] for job in answer.json()["jobs"]]
            if "next" not in answer.links:
                break
            address = "/api/jobs/" + answer.links["next"]["url"]
    assert len(found) == len(set(found)) and set(found) == ids_at(*sites)


# --- users


async def test_users_change_where_the_release_lets_them() -> None:
    sites = [make_site(name) for name in RELEASES]
    async with front(*sites) as (client, _):
        there = await client.post(f"{RELEASED}/api/user/bob?site=*", json={"add-role": "support"})
        here = await client.post("/api/user/bob?site=*", data={"remove-role": "support"})
        again = await client.post("/api/user/bob?site=cygnus", json={"remove-role": "support"})
        unknown = await client.post("/api/user/nobody?site=aurora", json={"add-role": "support"})
        refused = [
            await client.post(f"{RELEASED}/api/user/bob?site={name}", json={"add-role": "pilot"}) for name in ("aurora", "cygnus")
        ]
        unnamed = await client.post("/api/user/bob", json={"add-role": "support"})
    assert there.status_code == here.status_code == 207
    assert there.json()["sites"] == {"aurora": "DONE", "borealis": "FAILED", "cygnus": "DONE", "draco": "DONE"}
    assert here.json()["sites"]["borealis"][0]["code"] == "UNSUPPORTED"
    assert not any("support" in one.roles for site in sites for one in site.truth.users if one.name == "bob")
    assert (again.status_code, again.json()["sites"]["cygnus"][0]["outcome"]) == (200, "UNCHANGED")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "NOT_FOUND")
    words = {"status": "Unprocessable Entity", "error": "adding role failed: supplied role is no valid option : pilot"}
    assert [(one.status_code, one.json()) for one in refused] == [(422, words)] * 2
    assert unnamed.status_code == 400


# --- how answers go out


@pytest.mark.parametrize("path", ["/api/jobs/?items_per_page=100", f"{RELEASED}/api/jobs/?items-per-page=100"])
async def test_answers_are_packed_for_those_who_ask(path: str) -> None:
    async with front(make_site("aurora")) as (client, _):
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        packed = await client.get(path, headers={"Accept-Encoding": "gzip"})
        async with client.stream("GET", path, headers={"Accept-Encoding": "zstd"}) as answer:
            small = b"".join([piece async for piece in answer.aiter_raw()])
    assert "content-encoding" not in plain.headers and "accept-encoding" in plain.headers["vary"].lower()
    assert packed.headers["content-encoding"] == "gzip" and packed.content == plain.content
    assert packed.num_bytes_downloaded < len(plain.content) / 4
    assert answer.headers["content-encoding"] == "zstd" and len(small) < len(plain.content) / 4


async def test_metrics_that_are_remembered_have_an_entity_tag_and_cost_no_call() -> None:
    site = make_site("aurora")
    db_id = next(job["id"] for job in site.all_jobs() if job["monitoringStatus"] == 3)
    path = f"/api/jobs/metrics/{db_id * 1000 + 1}"
    async with front(site, cache={}) as (client, _):
        first = await client.get(path)
        calls = len(site.requests)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        other = await client.get(f"{path}?metric=cpu_load", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200 and len(other.json()["metrics"]) < len(first.json()["metrics"])
    assert len(site.requests) == calls


@pytest.mark.parametrize("path", ["/api/jobs/{}", "/api/jobs/metrics/{}", f"{RELEASED}/api/jobs/{{}}?all-metrics=true"])
async def test_the_entity_tag_is_one_for_all_codings_and_is_known_again_in_each(path: str) -> None:
    site = make_site("aurora")
    path = path.format(next(job["id"] for job in site.all_jobs() if job["monitoringStatus"] == 3) * 1000 + 1)
    same = ("etag", "vary", "cache-control")
    async with front(site, cache={}) as (client, _):
        told = []
        for coding in ("identity", "gzip", "zstd"):
            async with client.stream("GET", path, headers={"Accept-Encoding": coding}) as whole:
                assert whole.headers.get("content-encoding", "identity") == coding
                told.append({name: whole.headers[name] for name in same})
        tag = told[0]["etag"]
        for coding, known in itertools.product(("identity", "gzip", "zstd"), (tag, tag.removeprefix("W/"), f'"x", {tag}')):
            again = await client.get(path, headers={"Accept-Encoding": coding, "If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            told.append({name: again.headers[name] for name in same})
        if not path.startswith(RELEASED):
            for coding in ("identity", "gzip", "zstd"):
                head = await client.head(path, headers={"Accept-Encoding": coding})
                assert (head.status_code, head.content, "content-length" in head.headers) == (200, b"", coding == "identity")
                told.append({name: head.headers[name] for name in same})
            unchanged = await client.head(path, headers={"If-None-Match": tag})
            assert unchanged.status_code == 304
            told.append({name: unchanged.headers[name] for name in same})
    assert tag.startswith('W/"') and told == [told[0]] * len(told)


@pytest.mark.parametrize("base", ["/api", f"{RELEASED}/api"])
async def test_pages_of_origins_that_the_settings_name_may_ask_and_read(base: str) -> None:
    site = make_site("aurora")
    number = next(job["id"] for job in site.all_jobs() if job["monitoringStatus"] == 3) * 1000 + 1
    ours, theirs = {"Origin": "https://portal.example.org"}, {"Origin": "https://evil.example"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "If-None-Match, X-Auth-Token"}
    async with serve(site) as running:
        server = ServerSettings.model_validate({"cors_origins": [ours["Origin"]]})
        async with serving(settings_of([site], running).model_copy(update={"server": server})) as client:
            may, may_not = [await client.options(f"{base}/jobs/{number}", headers=one | preflight) for one in (ours, theirs)]
            first = await client.get(f"{base}/jobs/{number}", headers=ours)
            again = await client.get(f"{base}/jobs/{number}", headers=ours | {"If-None-Match": first.headers["etag"]})
            other = await client.get(f"{base}/jobs/{number}", headers=theirs)
    assert may.status_code == 200 and may.headers["access-control-allow-origin"] == ours["Origin"]
    assert may_not.status_code == 400 and "access-control-allow-origin" not in may_not.headers
    assert (first.status_code, again.status_code) == (200, 304)
    for answer in (first, again):
        assert answer.headers["access-control-allow-origin"] == ours["Origin"]
        assert {"Link", "ETag", "X-CCGateway-Complete"} <= set(answer.headers["access-control-expose-headers"].split(", "))
        assert {"Origin", "Accept-Encoding"} <= set(answer.headers["vary"].split(", "))
    assert "access-control-allow-origin" not in other.headers


# --- sites that are down, slow, or broken


async def test_a_site_that_is_down_is_missing_and_said_to_be() -> None:
    up, down = make_site("aurora"), make_site("borealis")
    async with front(up, down) as (client, running):
        number = next(iter(down.all_jobs()))["id"] * 1000 + NUMBERS["borealis"]
        await running["borealis"].stop()
        listed, alone = await client.get("/api/jobs/"), await client.get(f"/api/jobs/{number}")
        only, strict = await client.get("/api/jobs/?site=borealis"), await client.get("/api/jobs/?policy=STRICT")
        released = await client.get(f"{RELEASED}/api/jobs/{number}")
    assert listed.status_code == 200 and listed.headers["x-ccgateway-complete"] == "false"
    assert listed.json()["sites"]["borealis"]["code"] == "UNREACHABLE" and len(listed.json()["jobs"]) == 25
    assert (alone.status_code, alone.json()["code"], alone.json()["retryable"]) == (502, "UNREACHABLE", True)
    assert (only.status_code, only.json()["code"]) == (502, "ALL_SITES_FAILED")
    assert (strict.status_code, strict.json()["code"]) == (503, "INCOMPLETE")
    assert released.status_code == 502 and set(released.json()) == {"status", "error"}


async def test_metrics_that_a_site_cannot_read_are_an_error_and_the_job_stands() -> None:
    site = make_site("aurora")
    db_id = next(job["id"] for job in site.all_jobs() if job["monitoringStatus"] == 3)
    site.break_metrics(db_id)
    number = db_id * 1000 + 1
    async with front(site) as (client, _):
        whole, metrics = await client.get(f"/api/jobs/{number}"), await client.get(f"/api/jobs/metrics/{number}")
        released = await client.get(f"{RELEASED}/api/jobs/metrics/{number}")
    assert whole.status_code == 200 and whole.json()["Data"] is None and whole.json()["sites"]["aurora"]["code"] == "SITE_ERROR"
    assert (metrics.status_code, metrics.json()["code"]) == (502, "SITE_ERROR")
    assert released.status_code == 200 and released.json()["data"] is None and released.json()["error"]["message"]


async def test_callers_side_by_side_get_pages_of_their_own() -> None:
    sites = [make_site(name) for name in RELEASES]
    async with front(*sites) as (client, _):

        async def count(size: int) -> int:
            return sum([len(page) async for page in walk(client, f"/api/jobs/?items_per_page={size}", size)])

        counts = await asyncio.gather(*(count(size) for size in (30, 40, 50)))
    assert set(counts) == {len(ids_at(*sites))}
