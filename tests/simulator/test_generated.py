"""Generated jobs: pure, ordered, and cheap to reach anywhere."""

from __future__ import annotations

from collections import Counter

import pytest

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.simulator.job import Job
from ccgateway.simulator.source import Selection
from simulator.sites import NOW, ask, ask_json


def test_a_job_is_a_function_of_seed_and_number() -> None:
    one, same, other = (GeneratedJobs(1000, "aurora", seed=s, until=NOW) for s in (1, 1, 2))
    assert [one.job(i) for i in range(1000)] == [same.job(i) for i in range(1000)]
    assert [one.job(i) for i in range(50)] != [other.job(i) for i in range(50)]


def test_start_times_ascend_with_ties() -> None:
    jobs = GeneratedJobs(999, "aurora", until=NOW, ties=3)
    starts = [jobs.start(i) for i in range(999)]
    assert starts == sorted(starts)
    assert set(Counter(starts).values()) == {3}
    assert starts[-1] <= NOW


@pytest.mark.parametrize(("count", "span", "ties"), [(1000, 90 * 86400, 3), (1000, 100, 3), (7, 1000, 1), (0, 10, 3)])
def test_position_counts_the_jobs_before_a_time(count: int, span: int, ties: int) -> None:
    jobs = GeneratedJobs(count, "aurora", until=NOW, span=span, ties=ties)
    starts = [jobs.start(i) for i in range(count)]
    for time in {NOW - span - 5, NOW + 5, *starts, *(s + 1 for s in starts), *(s - 1 for s in starts)}:
        assert jobs.position(time) == sum(s < time for s in starts)


def test_jobs_that_would_outlast_the_period_run() -> None:
    jobs = GeneratedJobs(5000, "aurora", until=NOW, span=7 * 86400)
    made = [jobs.job(i) for i in range(5000)]
    running = [j for j in made if j.running]
    assert running
    assert all(j.start_time > NOW - jobs.longest and j.monitoring_status == 1 for j in running)
    assert all(j.start_time + j.duration <= NOW for j in made if not j.running)
    assert {j.user for j in made} == {"alice", "bob", "carol", "dave"}
    assert {"completed", "failed", "timeout"} < {j.state for j in made}


@pytest.mark.parametrize(
    "wanted",
    [
        Selection(user="bob"),
        Selection(states=frozenset({"running"})),
        Selection(states=frozenset({"failed", "running"}), project="p_c"),
        Selection(nodes_from=8),
        Selection(cluster="nowhere"),
    ],
)
def test_a_scan_finds_what_a_look_at_every_job_finds(wanted: Selection) -> None:
    jobs = GeneratedJobs(3000, "aurora", until=NOW, span=5 * 86400)
    found = list(jobs.matching(wanted, 100, 2990))
    assert found == [i for i in range(2989, 99, -1) if wanted.admits(jobs.job(i))]


def test_a_page_costs_its_length_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(1_000_000, "aurora", until=NOW))
    site.delete_job(999_990)
    site.stop_job(999_999)
    made: list[int] = []
    real = GeneratedJobs.job

    def noted(self: GeneratedJobs, index: int) -> Job:
        made.append(index)
        return real(self, index)

    monkeypatch.setattr(GeneratedJobs, "job", noted)
    for target in (
        "/api/jobs/?items-per-page=100",
        "/api/jobs/?items-per-page=100&page=9000",
        "/api/jobs/?items-per-page=100&page=5000&cluster=aurora",
        f"/api/jobs/?items-per-page=100&page=3&start-time={NOW - 50 * 86400}-{NOW - 20 * 86400}",
    ):
        made.clear()
        assert len(ask_json(site, target)["jobs"]) == 100
        assert len(made) < 120


def test_other_users_jobs_stay_hidden() -> None:
    site = SimulatedSite("aurora", "1.5", GeneratedJobs(300, "aurora", until=NOW))
    listed = ask_json(site, "/userapi/jobs/?items-per-page=500", "alice")["jobs"]
    assert 0 < len(listed) < 300
    assert {j["user"] for j in listed} == {"alice"}
    hidden = next(j["id"] for j in site.all_jobs() if j["user"] == "bob")
    assert ask(site, f"/userapi/jobs/{hidden}", "alice").status == 422
