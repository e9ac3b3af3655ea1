"""Writes by REST at real instances of every release: what answers say is true there. Refusals have the words of 1.5.4."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.howto import PAGE, Desk, blocks_of
from acceptance.recorded import FACE
from live.enrich import remove_from
from live.faces import served
from live.farm import SCRATCH, Farm, Site
from live.test_rest import Got, asked

#: numbers of the jobs of these tests, which are removed again
FIRST = 9_700_000
#: seconds after which a started job must show, and one that ended must be archived
PATIENCE = 150.0

JSON = {"Content-Type": "application/json"}
_numbers = itertools.count(FIRST + int(time.time()) % 100_000)


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    found = Farm.named_by(SCRATCH)
    if found is None:
        pytest.skip(f"{SCRATCH} is not set: it names the farm.json of real cc-backend instances that tests may alter")
    yield found
    for site in found:
        remove_from(site, FIRST)


@pytest.fixture(scope="module")
def url(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(farm.settings(), tmp_path_factory.mktemp("scratch")) as found:
        yield found


@pytest.fixture(params=["v1.5.4", "v1.4.4", "v1.3.1", "v1.2.2"])
def site(request: pytest.FixtureRequest, farm: Farm) -> Site:
    return farm.one("at-" + request.param.removeprefix("v").replace(".", "-"))


def ask(url: str, method: str, path: str, body: Any = None) -> Got:
    return asked(url, method, path, None if body is None else json.dumps(body).encode(), JSON)


def at(site: Site, method: str, path: str, body: Any = None) -> Got:
    content = None if body is None else json.dumps(body).encode()
    return asked(site.url, method, path, content, JSON | {"X-Auth-Token": site.tokens["demo"]})


def awaited(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.5)
    return found


# --- jobs


@pytest.mark.parametrize("base", ["/api", FACE + "/api"])
def test_the_life_of_a_job(base: str, url: str, site: Site) -> None:
    number, start = next(_numbers), int(time.time()) - 660
    documented = base == "/api"
    job = {
        "jobId": number, "user": "alice", "project": "p_a", "cluster": site.cluster, "subCluster": "main", "startTime": start,
        "numNodes": 1, "numHwthreads": 4, "walltime": 3600, "shared": "none",
        "resources": [{"hostname": f"{site.cluster[0]}n001", "hwthreads": [0, 1, 2, 3]}],
    }  # fmt: skip
    window = f"cluster={site.cluster}&start-time={start}-{start}"

    def own() -> Any:
        listed = json.loads(at(site, "GET", f"/api/jobs/?start-time={start}-{start}&items-per-page=1000&with-metadata=true").body)
        return next((one for one in listed["jobs"] if one["jobId"] == number), None)

    def shown() -> Any:
        listed = json.loads(ask(url, "GET", f"{base}/jobs/?{window}&items-per-page=1000").body)["jobs"]
        return next((one for one in listed if one["jobId"] == number), None)

    started = ask(url, "POST", f"{base}/jobs/start_job/", job)
    assert started.status in ((201, 202) if documented else (201,)), started
    assert awaited(own)["user"] == "alice"
    db_id = awaited(shown)["id"]
    assert db_id == own()["id"] * 1000 + site.number

    tagged = ask(url, "POST", f"{base}/jobs/tag_job/{db_id}", [{"type": "review", "name": "rest", "scope": "global"}])
    assert tagged.status == 200 and [one["name"] for one in own()["tags"]] == ["rest"]
    edited = ask(url, "PATCH", f"{base}/jobs/edit_meta/{db_id}", {"key": "note", "value": "by <REST> & more"})
    if site.version < (1, 3):
        assert edited.status == 501
    else:
        assert edited.status == 200 and own()["metaData"]["note"] == "by <REST> & more"
    ended = {"jobId": number, "cluster": site.cluster, "startTime": start, "jobState": "failed", "stopTime": start + 600}
    stopped = ask(url, "POST", f"{base}/jobs/stop_job/", ended)
    assert stopped.status == 200 and (own()["jobState"], own()["duration"]) == ("failed", 600), stopped
    untagged = ask(url, "DELETE", f"{base}/jobs/tag_job/{db_id}", [{"type": "review", "name": "rest", "scope": "global"}])
    assert untagged.status == 200 and not own().get("tags")
    awaited(lambda: own()["monitoringStatus"] in (2, 3))  # what is being archived is not deleted under the instance's hands
    deleted = ask(url, "DELETE", f"{base}/jobs/delete_job/{db_id}")
    assert deleted.status == 200 and json.loads(deleted.body)["msg"] == f"Successfully deleted job {db_id}"
    gone = ask(url, "GET", f"{base}/jobs/{db_id}?all-metrics=false")
    assert own() is None and gone.status == (404 if documented else 422)


@pytest.mark.skipif(not PAGE.exists(), reason=f"the how-to page is not there: {PAGE} (CCGATEWAY_HOWTO can name it)")
def test_the_how_to_pages_start_and_stop_run_one_right_after_the_other(url: str, site: Site, tmp_path: Path) -> None:
    page, desk, number = blocks_of(PAGE.read_text("utf-8")), Desk(tmp_path, url, "none"), next(_numbers)
    desk.prepare()

    def follow(title: str, names: dict[str, str]) -> Any:
        text = page[title].text
        for name, own in names.items():
            assert name in text
            text = text.replace(name, own)
        return json.loads(desk.run(text).stdout)

    started = follow("Start a job:", {"mycluster": site.cluster, "100001": str(number)})
    time.sleep(1.1)
    stopped = follow("Stop a job (by database id):", {"mycluster": site.cluster, "DB_ID=3938": f"DB_ID={started['id']}"})
    assert (stopped["jobId"], stopped["state"], stopped["outcome"]) == (number, "completed", "DONE")
    listed = json.loads(at(site, "GET", f"/api/jobs/?start-time={stopped['startTime']}-{stopped['startTime']}").body)["jobs"]
    assert [one["jobState"] for one in listed if one["jobId"] == number] == ["completed"]


def test_a_stop_without_a_start_time_is_the_run_that_runs(url: str, site: Site) -> None:
    number, now = next(_numbers), int(time.time())
    job = {
        "jobId": number, "user": "alice", "project": "p_a", "cluster": site.cluster, "subCluster": "main", "numNodes": 1,
        "resources": [{"hostname": f"{site.cluster[0]}n001"}],
    }  # fmt: skip
    stop = {"jobId": number, "cluster": site.cluster, "jobState": "completed"}
    for start in (now - 3 * 86_400, now - 60):
        assert ask(url, "POST", f"{FACE}/api/jobs/start_job/", job | {"startTime": start}).status == 201
        stopped = ask(url, "POST", f"{FACE}/api/jobs/stop_job/", stop | {"stopTime": start + 30})
        assert stopped.status == 200 and json.loads(stopped.body)["startTime"] == start, stopped


# --- users

REFUSED: list[tuple[str, Any]] = [
    ("bob", {"add-role": "user"}),
    ("bob", {"add-role": "User"}),
    ("bob", {"remove-role": "support"}),
    ("bob", {"add-role": "pilot"}),
    ("bob", {"remove-role": "pilot"}),
    ("bob", {"add-project": "p_a"}),
    ("bob", {"remove-project": "p_a"}),
    ("mona", {"remove-project": "p_none"}),
    ("nobody", {"add-role": "user"}),
    ("nobody", {"remove-project": "p_a"}),
    ("bob", {}),
    ("bob", {"add-role": ""}),
    ("bob", {"colour": "red"}),
    ("bob", {"add-role": 5}),
    ("bob", []),
    ("bob", None),
]


def of_user(site: Site, name: str) -> dict[str, list[str]]:
    accounts = json.loads(at(site, "GET", "/api/users/").body)
    account = next(one for one in accounts if one["username"] == name)
    return {what: account.get(what) or [] for what in ("roles", "projects")}


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_154_refuses_of_users_is_refused_in_its_words(number: int, url: str, farm: Farm) -> None:
    (newest,) = [one for one in farm if one.is_newest]
    name, body = REFUSED[number]
    direct = at(newest, "POST", f"/api/user/{name}", body)
    given = ask(url, "POST", f"{FACE}/api/user/{name}?site={newest.name}", body)
    assert direct.status in (400, 422)
    assert (given.status, given.body) == (direct.status, direct.body)


@pytest.mark.parametrize("base", ["/api", FACE + "/api"])
def test_users_get_roles_and_projects_and_lose_them(base: str, url: str, site: Site) -> None:
    before = of_user(site, "mona")
    path = f"{base}/user/mona?site={site.name}"
    if site.release == "1.4":
        assert ask(url, "POST", path, {"add-role": "support"}).status == 501
        return
    for change, what, value in (
        ("add-role", "roles", "support"), ("add-project", "projects", "p_rest"), ("remove-project", "projects", "p_rest"),
        ("remove-role", "roles", "support"),
    ):  # fmt: skip
        got = ask(url, "POST", path, {change: value})
        verb, of = change.split("-")
        assert got.status == 200, got
        assert json.loads(got.body)["msg"] == f"{verb.title()} {of.title()} Success for user mona"
        assert (value in of_user(site, "mona")[what]) is (verb == "add")
    assert of_user(site, "mona") == before
