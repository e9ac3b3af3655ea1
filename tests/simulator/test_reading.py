"""What the recordings do not show: running jobs, broken archives, caches, the how-to dialect."""

from __future__ import annotations

import msgspec
import pytest

from simulator.sites import EVERY_RELEASE, NOW, ask, ask_json, job, running, site

ITEMS = {"howto": "items_per_page"}


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_a_running_job_has_lasted_until_now(release: str) -> None:
    listed = ask_json(site(release, running(1), job(2)), "/api/jobs/?state=running")["jobs"]
    assert [(j["id"], j["duration"], j["monitoringStatus"], j["statistics"]) for j in listed] == [(1, 1000, 1, None)]


@pytest.mark.parametrize(("release", "written"), [("1.3", "2025-10-09T10:53:20+02:00"), ("1.5", NOW)])
def test_older_releases_write_start_times_in_their_zone(release: str, written: object) -> None:
    there = site(release, job(1, startTime=NOW), zone="Europe/Berlin")
    assert ask_json(there, "/api/jobs/1")["Meta"]["startTime"] == written
    assert ask_json(there, "/api/jobs/")["jobs"][0]["startTime"] == NOW


def test_utc_is_written_with_a_z() -> None:
    assert ask_json(site("1.4", job(1, startTime=NOW)), "/api/jobs/1")["Meta"]["startTime"] == "2025-10-09T08:53:20Z"


@pytest.mark.parametrize("release", EVERY_RELEASE)
def test_a_broken_archive_fails_every_page_that_holds_the_job(release: str) -> None:
    there = site(release, *(job(n, jobId=100_028 + n) for n in range(1, 7)))
    there.break_archive(2)
    items = ITEMS.get(release, "items-per-page")
    assert ask(there, f"/api/jobs/?{items}=4").status == 200
    broken = ask(there, f"/api/jobs/?{items}=5")
    assert broken.status == 500
    assert msgspec.json.decode(broken.body) == {
        "status": "Internal Server Error",
        "error": f"open ./var/job-archive/aurora/100/030/{NOW - 99_998}/meta.json: no such file or directory",
    }
    by_id = ask(there, "/api/jobs/2", method="POST", body=b"[]")
    assert by_id.status == 200


def test_only_archived_jobs_have_an_archive_to_break() -> None:
    with pytest.raises(ValueError, match="not archived"):
        site("1.5", running(1)).break_archive(1)


def test_metrics_that_cannot_be_loaded_are_passed_over_in_silence() -> None:
    there = site("1.4", job(1))
    there.break_metrics(1)
    for response in (ask(there, "/api/jobs/1?all-metrics=true"), ask(there, "/api/jobs/1", method="POST", body=b"null")):
        assert (response.status, response.body, response.headers) == (200, b"", ())
    assert ask_json(there, "/api/jobs/metrics/1")["error"]["message"]
    assert ask_json(there, "/api/jobs/1")["Data"] is None


def test_the_metric_cache_takes_none_for_all() -> None:
    first_none, first_all = site("1.5", job(1)), site("1.5", job(1))

    def names(response: object) -> set[str]:
        return {m["name"] for m in msgspec.json.decode(response.body)["Data"]}  # type: ignore[attr-defined]

    assert names(ask(first_none, "/api/jobs/1", method="POST", body=b"[]")) == set()
    assert names(ask(first_none, "/api/jobs/1", method="POST", body=b"null")) == set()
    everything = names(ask(first_all, "/api/jobs/1", method="POST", body=b"null"))
    assert everything == {"cpu_load", "mem_used", "flops_any", "mem_bw", "cpu_power"}
    assert names(ask(first_all, "/api/jobs/1", method="POST", body=b"[]")) == everything


def test_metrics_are_the_same_at_every_reading_and_written_with_two_decimals() -> None:
    target = "/api/jobs/metrics/1?metric=mem_bw&scope=node&scope=socket"
    one, other = ask(site("1.5", job(1)), target).body, ask(site("1.5", job(1)), target).body
    assert one == other
    assert b".0," not in one
    by_scope = {m["scope"]: m["metric"] for m in msgspec.json.decode(one)["data"]["jobMetrics"]}
    sockets, node = by_scope["socket"]["series"], by_scope["node"]["series"][0]
    assert [s["id"] for s in sockets] == ["0", "1"]
    pairs = zip(*(s["data"] for s in sockets), node["data"], strict=True)
    assert all(n is None or (a or 0) + (b or 0) == pytest.approx(n, abs=0.011) for a, b, n in pairs if None not in (a, b))


@pytest.mark.parametrize(
    ("release", "nodes", "keys"),
    [
        ("1.3", 15, None),
        ("1.3", 16, {"mean", "min", "max"}),
        ("1.4", 16, {"mean", "median", "min", "max"}),
        ("1.5", 7, None),
        ("1.5", 8, {"mean", "median", "min", "max"}),
    ],
)
def test_statistics_over_many_series(release: str, nodes: int, keys: set[str] | None) -> None:
    hosts = [{"hostname": f"an{n:03d}"} for n in range(nodes)]
    there = site(release, job(1, numNodes=nodes, resources=hosts))
    metric = ask_json(there, "/api/jobs/metrics/1?metric=cpu_load")["data"]["jobMetrics"][0]["metric"]
    across = metric.get("statisticsSeries")
    assert (set(across) if across else None) == keys
    if across and release != "1.3":
        assert across["mean"] is None


def test_used_nodes_are_those_of_running_jobs() -> None:
    there = site("1.5", running(1, resources=[{"hostname": "an007"}]), job(2), running(3, cluster="zeta"))
    assert ask_json(there, f"/api/jobs/used_nodes?ts={NOW}") == {"usedNodes": {"aurora": ["an007"], "zeta": ["an001"]}}
    assert ask_json(there, f"/api/jobs/used_nodes?ts={NOW - 1000}") == {"usedNodes": {}}
    assert ask(there, "/api/jobs/used_nodes?ts=x").status == 400


def test_tags_show_to_those_who_may_read_them() -> None:
    there = site("1.5", job(1))
    for scope, name in (("global", "slow"), ("admin", "watch"), ("alice", "mine")):
        there.add_tag(1, "review", name, scope)

    def seen(who: str) -> set[str]:
        return {t["name"] for t in ask_json(there, "/userapi/jobs/1", who)["Meta"]["tags"]}

    assert (seen("demo"), seen("alice"), seen("robot")) == ({"slow", "watch"}, {"slow", "mine"}, {"slow"})
    old = site("1.3", job(1))
    old.add_tag(1, "review", "slow")
    assert ask_json(old, "/api/jobs/1")["Meta"]["tags"] == [{"id": 1, "type": "review", "name": "slow"}]


def test_a_stopped_job_is_archived_with_statistics() -> None:
    there = site("1.5", running(1))
    there.stop_job(1, "failed", NOW - 400)
    (listed,) = ask_json(there, "/api/jobs/")["jobs"]
    assert (listed["jobState"], listed["duration"], listed["monitoringStatus"]) == ("failed", 600, 3)
    assert set(listed["statistics"]) == {"cpu_load", "mem_used", "flops_any", "mem_bw", "cpu_power"}
    assert set(listed["footprint"]) == {"cpu_load_avg", "mem_used_max", "flops_any_avg", "mem_bw_avg"}


def test_a_job_of_an_unknown_cluster_crashes_the_newer_releases() -> None:
    clusters = site("1.5", job(1)).backend.clusters
    response = ask(site("1.5", job(1, cluster="nowhere"), clusters=clusters), "/api/jobs/1")
    assert (response.status, response.body) == (500, b"")


def test_cross_site_posts_are_refused_by_1_5() -> None:
    there = site("1.5", job(1))
    from ccgateway.simulator.messages import Request

    headers = (("x-auth-token", there.token("demo")), ("sec-fetch-site", "cross-site"))
    assert there.answer(Request("POST", "/api/jobs/1", headers=headers, body=b"[]")).status == 403
    assert there.answer(Request("GET", "/api/jobs/1", headers=headers)).status == 200


class TestHowto:
    """The dialect of the page."""

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ("", [3, 2, 1]),
            ("user=bob", [2]),
            ("project=p_x", [3]),
            ("numNodes[from]=2", [3]),
            ("cluster=aurora", [3, 2, 1]),
            (f"startTime[from]={NOW - 99_998}", [3, 2]),
            (f"startTime[to]={NOW - 99_998}", [2, 1]),
            ("items_per_page=2&page=2", [1]),
            ("state=running", []),
            ("user=bob&project=p_x", []),
        ],
    )
    def test_lists(self, query: str, ids: list[int]) -> None:
        there = site("howto", job(1), job(2, user="bob"), job(3, project="p_x", numNodes=4))
        answer = ask_json(there, f"/api/jobs/?{query}")
        assert [j["id"] for j in answer["jobs"]] == ids
        assert set(answer) == {"jobs", "items", "page"}

    @pytest.mark.parametrize("query", ["items-per-page=2", "start-time=1-2", "with-metadata", "state=stopped", "page=0"])
    def test_refuses_what_the_page_does_not_name(self, query: str) -> None:
        assert ask(site("howto", job(1)), f"/api/jobs/?{query}").status == 400

    def test_own_jobs_only(self) -> None:
        there = site("howto", job(1), job(2, user="bob"))
        assert [j["id"] for j in ask_json(there, "/userapi/jobs/", "bob")["jobs"]] == [2]
        assert ask_json(there, "/userapi/jobs/?user=alice", "bob")["jobs"] == []

    def test_a_job_is_flat(self) -> None:
        there = site("howto", job(1))
        found = ask_json(there, "/api/jobs/1")
        assert (found["id"], found["state"], found["startTime"], found["metaData"]) == (
            1,
            "completed",
            NOW - 99_999,
            {"jobName": "job1"},
        )
        assert "jobState" not in found
        assert msgspec.json.decode(ask(there, "/api/jobs/1", method="POST", body=b"[]").body) == found
        assert ask_json(there, "/api/jobs/")["jobs"][0] | {"statistics": None} == found

    def test_metrics_are_flat(self) -> None:
        there = site("howto", job(1))
        (metric,) = ask_json(there, "/api/jobs/metrics/1?metric=cpu_load", "robot")["metrics"]
        assert set(metric) == {"name", "scope", "unit", "timestep", "series"}
        assert metric["unit"] == {"base": "", "prefix": ""}
        assert set(metric["series"][0]) == {"hostname", "statistics", "data"}
        assert ask(there, "/api/jobs/metrics/7").status == 422
