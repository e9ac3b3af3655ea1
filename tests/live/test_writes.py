"""The life of a job by GraphQL alone, at every release: what a write says is true at the instance, and the next read shows it."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cache.servers import Valkey
from live import upstream
from live.enrich import remove_from
from live.faces import Http, served
from live.farm import SCRATCH, Farm, Site

#: numbers of the jobs of these tests, which are removed again
FIRST = 9_500_000
#: seconds after which a started job must show, and one that ended must be archived
PATIENCE = 150.0

RESULT = "outcome site id key { cluster jobId startTime } code message retryable"
_numbers = itertools.count(FIRST + int(time.time()) % 100_000)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    found = Farm.named_by(SCRATCH)
    if found is None:
        pytest.skip(f"{SCRATCH} is not set: it names the farm.json of real cc-backend instances that tests may alter")
    yield found
    for site in found:
        remove_from(site, FIRST)


@dataclass(frozen=True)
class Processes:
    """Gateways that share what they remember, each showing the sites another user's tokens."""

    farm: Farm
    redis: str
    folders: pytest.TempPathFactory

    def face(self, user: str) -> Iterator[Http]:
        variables = {"CCGATEWAY_CACHE__REDIS_URL": self.redis}
        with served(self.farm.settings(user), self.folders.mktemp(user), variables=variables) as url:
            client = Http(url)
            yield client
            client.close()


@pytest.fixture(scope="module")
def processes(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield Processes(farm, valkey.url, tmp_path_factory)


@pytest.fixture(scope="module")
def admin(processes: Processes) -> Iterator[Http]:
    yield from processes.face("demo")


@pytest.fixture(scope="module")
def alice(processes: Processes) -> Iterator[Http]:
    yield from processes.face("alice")


@pytest.fixture(scope="module")
def bob(processes: Processes) -> Iterator[Http]:
    yield from processes.face("bob")


@pytest.fixture(params=["v1.5.4", "v1.4.4", "v1.3.1", "v1.2.2"])
def site(request: pytest.FixtureRequest, farm: Farm) -> Site:
    name = "at-" + request.param.removeprefix("v").replace(".", "-")
    return farm.one(name)


def literal(value: Any) -> str:
    """A value as a GraphQL document has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def told(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write(face: Http, field: str, arguments: str, selection: str = RESULT) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = face.data(f"mutation {{ {field}({arguments}) {{ {selection} }} }}")[field]
    return found


def one(face: Http, field: str, arguments: str, selection: str = RESULT) -> dict[str, Any]:
    (found,) = write(face, field, arguments, selection)
    return found


class Job:
    """A job to be started, with everything that mutations need of it."""

    def __init__(self, site: Site, **more: Any) -> None:
        self.site = site
        self.number = next(_numbers)
        self.start = int(time.time()) - 660
        self.stop = self.start + 600
        # always the same: an instance shows a job the metrics of a deleted one that had its number, for some minutes
        self.host = f"{site.cluster[0]}n001"
        self.more = more

    @property
    def order(self) -> str:
        return literal(
            {
                "jobId": self.number, "user": "alice", "project": "p_a", "cluster": self.site.cluster, "subCluster": "main",
                "startTime": told(self.start), "walltime": 3600, "numHWThreads": 4,
                "resources": [{"hostname": self.host, "hwthreads": [0, 1, 2, 3]}],
                **self.more,
            }
        )  # fmt: skip

    @property
    def key(self) -> str:
        return literal({"cluster": self.site.cluster, "jobId": self.number, "startTime": told(self.start)})

    def shown(self, face: Http, fields: str) -> dict[str, Any] | None:
        answer = face.ask(
            f"{{ jobByKey(cluster: {literal(self.site.cluster)}, jobId: {self.number}, startTime: {literal(told(self.start))}, "
            f"site: {literal(self.site.name)}) {{ id {fields} }} }}"
        )
        if answer["data"]["jobByKey"] is None:
            assert answer["errors"][0]["extensions"]["code"] == "NOT_FOUND", answer
            return None
        found: dict[str, Any] = answer["data"]["jobByKey"]
        return found

    def wait(self, face: Http, fields: str, is_so: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while True:
            found = self.shown(face, fields)
            if found is not None and is_so(found):
                return found
            assert time.monotonic() < until, f"{self.site.name}: {found}"
            time.sleep(0.5)

    def push_samples(self) -> None:
        """What a collector sends: 1.5 keeps it itself, older releases are asked by way of a store beside them."""
        if self.site.is_newest:
            lines = [
                f"cpu_load,cluster={self.site.cluster},hostname={self.host},type=node value=5 {at}"
                for at in range(self.start, self.stop + 60, 60)
            ]
            request = urllib.request.Request(
                f"{self.site.url}/api/write/?cluster={self.site.cluster}", "\n".join(lines).encode(),
                {"X-Auth-Token": self.site.tokens["demo"]}, method="POST",
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200


def tags(job: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(tag["type"], tag["name"], tag["scope"]) for tag in job["tags"]}


def test_the_life_of_a_job(site: Site, admin: Http, alice: Http, bob: Http) -> None:
    job = Job(site, metaData={"jobName": "life"})

    # start
    started = one(admin, "startJobs", f"jobs: [{job.order}]")
    late = site.is_newest
    assert started["outcome"] == ("PENDING" if late else "DONE"), started
    assert started["key"] == {"cluster": site.cluster, "jobId": job.number, "startTime": told(job.start)}
    again = one(admin, "startJobs", f"jobs: [{job.order}]")
    assert again["outcome"] == ("PENDING" if late else "UNCHANGED"), again
    seen = job.wait(admin, "state user metaData tags { type name scope } shared")
    assert (seen["state"], seen["user"], seen["shared"]) == ("running", "alice", "none")
    # up to 1.4 an instance shows a job the metadata of a deleted one that had its number, until it is edited
    assert seen["metaData"] == {"jobName": "life"} or (not late and seen["metaData"]["jobName"] == "life")
    assert late or started["id"] == seen["id"]
    assert admin.data(f'{{ job(id: "{started["id"]}") {{ id }} }}')["job"]["id"] == seen["id"]
    assert one(admin, "startJobs", f"jobs: [{job.order}]")["outcome"] == "UNCHANGED"
    assert job.shown(alice, "state") == {"id": seen["id"], "state": "running"}
    assert job.shown(bob, "state") is None

    # tag
    named = f'jobs: [{{id: "{seen["id"]}"}}], tags: [{{type: "life", name: "n{job.number}"}}]'
    assert one(admin, "tagJobs", named)["outcome"] == "DONE"
    assert tags(job.shown(alice, "tags { type name scope }") or {}) == {("life", f"n{job.number}", "global")}
    assert one(admin, "tagJobs", named)["outcome"] == "UNCHANGED"
    assert f"n{job.number}" in {tag["name"] for tag in admin.data("{ tags { id name } }")["tags"]}

    # metadata
    edit = f'jobs: [{{job: {job.key}, values: {{note: "{job.number}", other: "two \\"quoted\\""}}}}]'
    edited = one(admin, "editJobsMeta", edit, RESULT + " job { metaData }")
    if site.release == "1.2":
        assert (edited["outcome"], edited["code"]) == ("FAILED", "UNSUPPORTED")
    else:
        assert edited["outcome"] == "DONE", edited
        assert edited["job"]["metaData"] == {"jobName": "life", "note": str(job.number), "other": 'two "quoted"'}
        assert one(admin, "editJobsMeta", edit)["outcome"] == "UNCHANGED"
        assert (job.shown(alice, "metaData") or {})["metaData"]["note"] == str(job.number)

    # metrics
    job.push_samples()
    metrics = admin.ask(
        f'{{ jobMetrics(id: "{seen["id"]}", metrics: ["cpu_load"]) {{ name metric {{ series {{ hostname }} }} }} }}'
    )
    assert "errors" not in metrics, metrics
    assert metrics["data"]["jobMetrics"][0]["metric"]["series"][0]["hostname"] == job.host

    # stop
    stopping = f'jobs: [{{job: {job.key}, stopTime: "{told(job.stop)}", state: completed}}]'
    stopped = one(admin, "stopJobs", stopping, RESULT + " job { state duration }")
    assert (stopped["outcome"], stopped["job"]) == ("DONE", {"state": "completed", "duration": 600}), stopped
    assert one(admin, "stopJobs", stopping)["outcome"] == "UNCHANGED"
    otherwise = one(admin, "stopJobs", stopping.replace("completed", "failed"))
    assert (otherwise["outcome"], otherwise["code"]) == ("FAILED", "CONFLICT")
    assert (job.shown(alice, "state") or {})["state"] == "completed"

    # before and after it is archived
    early = one(admin, "tagJobs", named.replace("life", "early").replace(f"n{job.number}", f"e{job.number}"))
    assert early["outcome"] == "DONE", early
    archived = job.wait(admin, "monitoringStatus", lambda found: found["monitoringStatus"] in (2, 3))
    assert archived["monitoringStatus"] == 3
    if site.release != "1.2":
        late_edit = one(admin, "editJobsMeta", f'jobs: [{{job: {job.key}, values: {{note: "after {job.number}"}}}}]')
        assert late_edit["outcome"] == "DONE", late_edit

    # untag
    removed = one(admin, "untagJobs", named)
    assert removed["outcome"] == "DONE", removed
    assert tags(job.shown(admin, "tags { type name scope }") or {}) == {("early", f"e{job.number}", "global")}
    assert one(admin, "untagJobs", named)["outcome"] == "UNCHANGED"

    # remove tags altogether
    removing = f'tags: [{{type: "early", name: "e{job.number}"}}], sites: ["{site.name}"]'
    (gone,) = write(admin, "removeTags", removing, "outcome site code tag { name }")
    if site.isolates:
        assert gone["outcome"] == "DONE", gone
        assert tags(job.shown(admin, "tags { type name scope }") or {}) == set()
        assert write(admin, "removeTags", removing, "outcome")[0]["outcome"] == "UNCHANGED"
    else:
        assert (gone["outcome"], gone["code"]) == ("FAILED", "UNSUPPORTED")

    # delete
    dry = one(admin, "deleteJobs", f"jobs: [{job.key}], dryRun: true")
    assert (dry["outcome"], dry["id"]) == ("UNCHANGED", seen["id"])
    assert job.shown(admin, "id") is not None
    deleted = one(admin, "deleteJobs", f'jobs: [{{id: "{seen["id"]}", jobId: {job.number}}}]')
    assert (deleted["outcome"], deleted["id"]) == ("DONE", None), deleted
    assert job.shown(admin, "id") is None
    assert job.shown(alice, "id") is None
    assert [row for row in upstream.listed(site) if row["jobId"] == job.number] == []
    missing = one(admin, "deleteJobs", f"jobs: [{job.key}]")
    assert (missing["outcome"], missing["code"]) == ("FAILED", "NOT_FOUND")


def test_a_user_changes_own_jobs_only_and_as_far_as_the_release_lets_users(
    site: Site, admin: Http, alice: Http, bob: Http
) -> None:
    job = Job(site, tags=[{"type": "life", "name": "begun"}])
    began = one(alice, "startJobs", f"jobs: [{job.order}]")
    if site.isolates:
        assert (began["outcome"], began["code"]) == ("FAILED", "SITE_UNAUTHORIZED")
        assert one(admin, "startJobs", f"jobs: [{job.order}]")["outcome"] == "DONE"  # with tags, a job shows at once
    else:
        assert began["outcome"] == "DONE", began
        forged = one(bob, "startJobs", f"jobs: [{Job(site).order}]")
        assert (forged["outcome"], forged["code"]) == ("FAILED", "FORBIDDEN")
    shown = job.shown(alice, "state")
    assert shown is not None

    # the owner's own tag
    scope = "alice" if site.isolates else "global"
    private = f'jobs: [{job.key}], tags: [{{type: "mine", name: "p{job.number}", scope: "{scope}"}}]'
    theirs = one(bob, "tagJobs", private)
    assert (theirs["outcome"], theirs["code"]) == ("FAILED", "NOT_FOUND"), theirs
    unknown = one(bob, "tagJobs", private.replace(str(job.number), str(job.number + 50_000)))
    assert unknown["message"] == theirs["message"]
    assert one(alice, "tagJobs", private)["outcome"] == "DONE"
    assert ("mine", f"p{job.number}", scope) in tags(job.shown(alice, "tags { type name scope }") or {})
    if site.isolates:
        refused = one(alice, "tagJobs", private.replace('scope: "alice"', 'scope: "global"'))
        assert (refused["outcome"], refused["code"]) == ("FAILED", "SITE_UNAUTHORIZED"), refused
    assert one(bob, "untagJobs", private)["code"] == "NOT_FOUND"
    assert one(alice, "untagJobs", private)["outcome"] == "DONE"

    # everything else that is another's
    for field, arguments in {
        "stopJobs": f'jobs: [{{job: {job.key}, stopTime: "{told(job.stop)}"}}]',
        "deleteJobs": f"jobs: [{job.key}]",
        "editJobsMeta": f'jobs: [{{job: {job.key}, values: {{a: "b"}}}}]',
    }.items():
        found = one(bob, field, arguments)
        assert found["outcome"] == "FAILED"
        assert found["code"] in ("NOT_FOUND", "SITE_UNAUTHORIZED", "UNSUPPORTED"), found
    before = write(bob, "deleteJobsBefore", f'before: "{told(job.stop)}", sites: ["{site.name}"]', "outcome code")
    assert before[0]["outcome"] == "FAILED"
    assert before[0]["code"] in ("FORBIDDEN", "SITE_UNAUTHORIZED")
    assert (job.shown(admin, "state") or {})["state"] == "running"
    assert one(admin, "deleteJobs", f"jobs: [{job.key}]")["outcome"] == "DONE"


def test_jobs_before_a_time_are_counted_and_deleted(site: Site, admin: Http) -> None:
    jobs = [Job(site, tags=[{"type": "life", "name": "old"}]) for _ in range(3)]
    for number, job in enumerate(jobs):
        job.start = 1_000_000 + number
    orders = ", ".join(job.order for job in jobs)
    assert [found["outcome"] for found in write(admin, "startJobs", f"jobs: [{orders}]")] == ["DONE"] * 3
    arguments = f'before: "{told(1_000_002)}", sites: ["{site.name}"]'
    (dry,) = write(admin, "deleteJobsBefore", arguments + ", dryRun: true", "outcome count")
    assert dry == {"outcome": "UNCHANGED", "count": 2}
    (spared,) = write(admin, "deleteJobsBefore", arguments + ", omitTagged: all", "outcome count code")
    if site.is_newest:
        assert spared == {"outcome": "DONE", "count": 0, "code": None}
    else:
        assert (spared["outcome"], spared["code"]) == ("FAILED", "UNSUPPORTED")
    assert [job.shown(admin, "id") is not None for job in jobs] == [True] * 3
    (done,) = write(admin, "deleteJobsBefore", arguments, "outcome count")
    assert done == {"outcome": "DONE", "count": 2 if site.release in ("1.2", "1.5") else None}
    assert [job.shown(admin, "id") is not None for job in jobs] == [False, False, True]
    (again,) = write(admin, "deleteJobsBefore", arguments, "outcome count")
    assert again == {"outcome": "UNCHANGED", "count": 0}
    assert one(admin, "deleteJobs", f"jobs: [{jobs[2].key}]")["outcome"] == "DONE"


def test_a_job_is_stopped_while_the_site_does_not_show_it_yet(farm: Farm, admin: Http) -> None:
    site = farm.one("at-1-5-4")
    job = Job(site)
    assert one(admin, "startJobs", f"jobs: [{job.order}]")["outcome"] == "PENDING"
    stopped = one(admin, "stopJobs", f'jobs: [{{job: {job.key}, stopTime: "{told(job.stop)}", state: failed}}]')
    assert stopped["outcome"] == "DONE", stopped
    assert job.shown(admin, "state") == {"id": stopped["id"], "state": "failed"}


def test_cc_backends_own_mutations_work_over_all_sites(farm: Farm, admin: Http) -> None:
    jobs = [Job(site, tags=[{"type": "life", "name": "own"}]) for site in farm]
    found = write(admin, "startJobs", f"jobs: [{', '.join(job.order for job in jobs)}]")
    assert [result["outcome"] for result in found] == ["DONE"] * 4, found
    name = f"t{jobs[0].number}"
    created = admin.data(f'mutation {{ createTag(type: "own", name: "{name}", scope: "global") {{ id type name scope }} }}')[
        "createTag"
    ]
    assert created["name"] == name
    listed = [tag for tag in admin.data("{ tags { id name } }")["tags"] if tag["name"] == name]
    assert listed == [{"id": created["id"], "name": name}]
    for job in jobs:
        row = job.shown(admin, "id")
        assert row is not None
        arguments = f'job: "{row["id"]}", tagIds: ["{created["id"]}"]'
        put = admin.data(f"mutation {{ addTagsToJob({arguments}) {{ name }} }}")["addTagsToJob"]
        assert {tag["name"] for tag in put} == {"own", name}
        left = admin.data(f"mutation {{ removeTagsFromJob({arguments}) {{ name }} }}")["removeTagsFromJob"]
        assert {tag["name"] for tag in left} == {"own"}
    gone = admin.ask(f'mutation {{ removeTagFromList(tagIds: ["{created["id"]}"], sites: ["at-1-5-4", "at-1-4-4"]) }}')
    assert gone["data"]["removeTagFromList"] == [created["id"]], gone
    write(admin, "deleteJobs", f"jobs: [{', '.join(job.key for job in jobs)}]")
