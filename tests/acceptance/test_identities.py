"""Who sees what: each person at the gateway exactly what the site's release shows that person's own token, and never more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from acceptance.people import JOBS, PEOPLE, Caller, Gate, WatchedSite, gateway_for, site_of

RELEASES = ("1.2", "1.3", "1.4", "1.5", "howto")
ISOLATES_NOBODY = ("1.2", "1.3")
SEES_ALL = ("demo", "robot", "sam")

WALK = """query Walk($after: String, $sites: [String!]) {
  jobs(first: 7, after: $after, sites: $sites) {
    items { id user jobId } pageInfo { endCursor hasNextPage } sites { status code scanned returned }
  }
}"""


@pytest_asyncio.fixture(scope="module", params=["table", "signed"], loop_scope="module")
async def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Gate, Any]]:
    """All releases at once behind one gateway, and each person known there by a token of the site's own making."""
    sites = {release: site_of(release) for release in RELEASES}
    async with gateway_for(*sites.values(), way=request.param, folder=tmp_path_factory.mktemp(request.param)) as gate:
        yield gate, sites


pytestmark = pytest.mark.asyncio(loop_scope="module")
everybody = pytest.mark.parametrize("name", PEOPLE)
everywhere = pytest.mark.parametrize("release", RELEASES)


def own_token(site: WatchedSite, name: str) -> str:
    return site.mint(name, PEOPLE[name])


def shown_by(site: WatchedSite, release: str, name: str) -> set[int] | None:
    """The database ids that the site's own list has for that person's own token; ``None`` if it is not let in."""
    root = "/userapi" if release not in ISOLATES_NOBODY and name not in ("demo", "robot") else "/api"
    size = "items_per_page" if release == "howto" else "items-per-page"
    told = site.says_json(f"{root}/jobs/?{size}=500", own_token(site, name))
    return None if told is None else {job["id"] for job in told["jobs"]}


def owned_by(site: WatchedSite, name: str) -> set[int]:
    return {job["id"] for job in site.all_jobs() if job["user"] == name}


def expected(site: WatchedSite, release: str, name: str) -> set[int] | None:
    """As the site shows it, and only the person's own where the site shows everybody everything."""
    shown = shown_by(site, release, name)
    if shown is not None and release in ISOLATES_NOBODY:
        assert len(shown) == JOBS  # which is why the gateway has to look after it
        if name not in SEES_ALL:
            return shown & owned_by(site, name)
    return shown


async def walked(caller: Caller, site: str) -> tuple[set[int], list[dict[str, Any]]]:
    ids: set[int] = set()
    after, more, reports = None, True, []
    while more:
        answer = await caller.ask(WALK, after=after, sites=[site])
        if answer["data"] is None or answer["data"]["jobs"] is None:
            return ids, [error["extensions"] for error in answer["errors"]]
        page = answer["data"]["jobs"]
        ids |= {int(job["id"].partition(":")[2]) for job in page["items"]}
        reports.append(page["sites"][0])
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return ids, reports


@everybody
@everywhere
async def test_a_list_shows_each_person_what_the_site_would(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site = sites[release]
    wanted = expected(site, release, name)
    ids, reports = await walked(gate.caller(name), site.name)
    if wanted is None:
        assert ids == set() and "SITE_UNAUTHORIZED" in {report.get("code") for report in reports}
        return
    assert ids == wanted
    if name not in SEES_ALL:
        assert max(report["scanned"] for report in reports) <= len(wanted)  # not even how many others there are


@everybody
@everywhere
async def test_a_job_by_id_key_and_filter_is_shown_to_whom_the_list_shows_it(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site, caller = sites[release], gate.caller(name)
    wanted = expected(site, release, name)
    if wanted is None:
        return
    query = """query Job($id: ID!, $number: Int64!, $start: Time!, $site: String!, $cluster: String!) {
      byId: job(id: $id) { id user }
      byKey: jobByKey(cluster: $cluster, jobId: $number, startTime: $start, site: $site) { id user }
    }"""
    for job in list(site.all_jobs())[:6]:
        ident = f"{site.name}:{job['id']}"
        start = datetime.fromtimestamp(job["startTime"], UTC).isoformat()
        answer = await caller.ask(query, id=ident, number=job["jobId"], start=start, site=site.name, cluster=job["cluster"])
        listed = await caller.ask(
            "query Listed($ids: [ID!]) { jobs(filter: [{dbId: $ids}]) { items { id } count } }", ids=[ident]
        )
        if job["id"] in wanted:
            assert "errors" not in answer, answer
            assert answer["data"]["byId"] == answer["data"]["byKey"] == {"id": ident, "user": job["user"]}
            assert listed["data"]["jobs"] == {"items": [{"id": ident}], "count": 1}
        else:
            assert answer["data"] in (None, {"byId": None, "byKey": None})
            assert {entry["extensions"]["code"] for entry in answer["errors"]} == {"NOT_FOUND"}
            assert listed["data"]["jobs"] == {"items": [], "count": 0}


@everybody
@everywhere
async def test_an_unknown_job_and_a_forbidden_one_are_told_in_the_same_words(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site, caller = sites[release], gate.caller(name)
    wanted = expected(site, release, name)
    hidden = [job["id"] for job in site.all_jobs() if wanted is not None and job["id"] not in wanted]
    if not hidden:
        return
    for query in ("query Q($id: ID!) { job(id: $id) { id } }", "query Q($id: ID!) { jobMetrics(id: $id) { name } }"):
        await caller.post(query, id=f"{site.name}:666666")  # the release is known from here on
        site.heard.clear()
        unknown = await caller.post(query, id=f"{site.name}:777777")
        calls = len(site.heard)
        forbidden = await caller.post(query, id=f"{site.name}:{hidden[0]}")
        assert forbidden[0] == unknown[0]
        assert forbidden[1] == unknown[1].replace("777777", str(hidden[0]))
        assert len(site.heard) == 2 * calls  # and at the same cost


@everybody
@everywhere
async def test_metrics_are_shown_as_the_site_shows_them_to_the_persons_own_token(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site, caller = sites[release], gate.caller(name)
    wanted = expected(site, release, name)
    if wanted is None:
        return
    for job in list(site.all_jobs())[:6]:
        answer = await caller.ask("query Q($id: ID!) { jobMetrics(id: $id) { name } }", id=f"{site.name}:{job['id']}")
        shows = "errors" not in answer
        own = own_token(site, name)
        root = "/userapi" if release not in ISOLATES_NOBODY and name not in ("demo", "robot") else "/api"
        if name == "robot" and release != "howto":  # a pure API token reads metrics by way of the job
            told: Any = site.says(f"{root}/jobs/{job['id']}", own, "POST", b"null").body
            site_shows = bool(told)
        else:
            told = site.says_json(f"{root}/jobs/metrics/{job['id']}", own)
            site_shows = told is not None and told.get("error") is None
        assert shows == (site_shows and job["id"] in wanted)


@everybody
@everywhere
async def test_users_and_clusters_are_told_to_whom_the_site_tells_them(front: Any, release: str, name: str) -> None:
    gate, sites = front
    site, caller = sites[release], gate.caller(name)
    if expected(site, release, name) is None:
        return
    users = await caller.ask("query Q($sites: [String!]) { users(sites: $sites) { username } }", sites=[site.name])
    told = site.says_json("/api/users/", own_token(site, name))
    shown = {one["username"] for one in users["data"]["users"]} if "errors" not in users else None
    assert shown == (None if told is None else {one["username"] for one in told})
    clusters = await caller.ask("query Q($sites: [String!]) { clusters(sites: $sites) { name partitions } }", sites=[site.name])
    if release == "howto" and site.says_json("/api/clusters/", own_token(site, name)) is None:  # which knows no other way
        assert clusters["errors"][0]["extensions"]["code"] == "ALL_SITES_FAILED"
        return
    assert [one["name"] for one in clusters["data"]["clusters"]] == [site.name], clusters


@everybody
async def test_all_sites_at_once_show_each_person_its_own(front: Any, name: str) -> None:
    gate, sites = front
    shown: dict[str, set[int]] = {}
    answer = await gate.caller(name).ask("{ jobs(first: 500) { items { id site user } count } }")
    for job in answer["data"]["jobs"]["items"]:
        shown.setdefault(job["site"], set()).add(int(job["id"].partition(":")[2]))
    for release, site in sites.items():
        assert shown.get(site.name, set()) == (expected(site, release, name) or set())


# --- whatever is remembered is remembered for one person


async def test_what_one_has_read_is_not_shown_to_the_next(front: Any) -> None:
    gate, _ = front
    query = "{ jobs(first: 500) { items { id user } } }"
    seen: dict[str, list[str]] = {}
    for name in ("demo", "alice", "sam", "bob", "robot", "carol", "mona", "alice"):
        answer = await gate.caller(name).ask(query)
        users = {job["user"] for job in answer["data"]["jobs"]["items"]}
        seen.setdefault(name, []).append(",".join(sorted(users)))
    assert seen["alice"] == ["alice", "alice"] and seen["bob"] == ["bob"] and seen["mona"] == ["mona"]
    assert seen["carol"] == [""] and "dave" in seen["demo"][0]


async def test_a_page_that_waits_for_its_next_is_not_handed_to_another_caller(front: Any) -> None:
    gate, _ = front
    query = "query Q($after: String) { jobs(first: 3, after: $after) { items { user } pageInfo { endCursor } } }"
    first = (await gate.caller("demo").ask(query))["data"]["jobs"]
    stolen = (await gate.caller("bob").ask(query, after=first["pageInfo"]["endCursor"]))["data"]["jobs"]
    assert {job["user"] for job in stolen["items"]} == {"bob"}


# --- the sites


async def test_a_site_hears_its_own_tokens_only_and_nothing_of_the_caller(front: Any) -> None:
    gate, sites = front
    for site in sites.values():
        site.heard.clear()
    caller = gate.caller(
        "alice",
        **{
            "X-Real-Ip": "10.9.9.9",
            "X-Forwarded-For": "10.9.9.9",
            "X-Forwarded-User": "demo",
            "Remote-User": "demo",
            "Cookie": "session=demo",
            "Origin": "http://127.0.0.1",
            "X-Auth-Roles": "admin",
        },
    )
    answer = await caller.ask("{ jobs(first: 500) { items { user } } sites { name reachable } clusters { name } }")
    assert {job["user"] for job in answer["data"]["jobs"]["items"]} == {"alice"}
    assert caller.token is not None
    for site in sites.values():
        assert site.heard
        for request in site.heard:
            assert {name for name, _ in request.headers} <= {
                "host", "accept", "accept-encoding", "user-agent", "x-auth-token", "x-request-id", "content-type",
                "content-length",
            }  # fmt: skip
            assert site.keys.verify(request.token or "", site.release).subject == "alice"
            assert caller.token not in str(request.headers) + request.query


async def test_who_shows_nothing_is_asked_to(front: Any) -> None:
    gate, _ = front
    nobody = gate.caller(None)
    status, _, body = await nobody.post("{ jobs { items { id } } }")
    assert (status, body["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
