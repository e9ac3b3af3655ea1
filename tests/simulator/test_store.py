"""Pages put together are the list, whatever has started, stopped and vanished before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.simulator.job import Job
from ccgateway.simulator.release import Tie
from ccgateway.simulator.source import Selection
from simulator.sites import NOW, job


def _shaken(site: SimulatedSite, rng: random.Random) -> SimulatedSite:
    """After many mutations, some of them on jobs that came later."""
    for step in range(60):
        ids = [j["id"] for j in site.all_jobs()]
        match rng.randrange(4):
            case 0:
                start = rng.choice([NOW - 2000, NOW - 40_000, NOW - rng.randrange(90_000)])
                row = job(0, jobState="running", jobId=50_000 + step, startTime=start, user=rng.choice(["bob", "eve"]))
                del row["id"]
                site.start_job(row)
            case 1:
                site.stop_job(rng.choice(ids), rng.choice(["completed", "failed"]))
            case 2:
                site.delete_job(rng.choice(ids))
            case 3:
                site.add_tag(rng.choice(ids), "review", "slow")
    return site


def _sites(seed: int) -> list[SimulatedSite]:
    rng = random.Random(seed)
    generated = GeneratedJobs(90, "aurora", seed=seed, until=NOW, span=90_000)
    loaded = [
        job(n, startTime=NOW - rng.choice([100, 2000, 40_000]), duration=rng.randrange(500), user=rng.choice("ab"))
        for n in range(1, 60)
    ]
    sites = [SimulatedSite("aurora", "1.5", jobs, clock=lambda: float(NOW)) for jobs in (generated, loaded)]
    return [_shaken(s, rng) for s in sites]


SELECTIONS = [
    Selection(),
    Selection(cluster="aurora"),
    Selection(earliest=NOW - 41_000, latest=NOW - 1500),
    Selection(states=frozenset({"running"})),
    Selection(states=frozenset({"completed", "failed"})),
    Selection(user="bob", latest=NOW - 500),
    Selection(nodes_from=2),
    Selection(earliest=NOW, latest=NOW - 1),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tie", [tie for tie in Tie if tie is not Tie.ANY])
def test_pages_put_together_are_the_sorted_list(seed: int, tie: Tie) -> None:
    keys: dict[Tie, Callable[[Job], tuple[int | str, ...]]] = {
        Tie.NEWEST: lambda j: (-j.id,),
        Tie.OLDEST: lambda j: (j.id,),
        Tie.LONGEST: lambda j: (-j.duration, -j.id),
        Tie.STATE_NODES: lambda j: (j.state, j.num_nodes, j.id),
        Tie.STATE_SHORTEST: lambda j: (j.state, j.duration, j.id),
    }
    for site in _sites(seed):
        store = site.backend.jobs
        every = [store.get(j["id"]) for j in site.all_jobs()]
        assert len(every) == len(store)
        for wanted in SELECTIONS:
            expected = sorted((j for j in every if j and wanted.admits(j)), key=lambda j: (-j.start_time, *keys[tie](j)))
            assert store.select(wanted, 0, None, tie) == expected
            assert store.count(wanted) == len(expected)
            size = 7
            pages = [store.select(wanted, at, size, tie) for at in range(0, len(expected) + size, size)]
            assert [j for page in pages for j in page] == expected
            assert pages[-1] == []


def test_the_highest_id_comes_again_once_its_job_is_deleted() -> None:
    site = SimulatedSite("aurora", "1.5", [job(1), job(2), job(3)], clock=lambda: float(NOW))
    new = {k: v for k, v in job(9).items() if k != "id"}
    site.delete_job(2)
    site.delete_job(3)
    assert [j["id"] for j in site.all_jobs()] == [1]
    with pytest.raises(KeyError):
        site.stop_job(3)
    assert site.start_job(new) == 2
    assert site.start_job(new | {"jobId": 1010}) == 3
    site.delete_job(2)
    assert site.start_job(new | {"jobId": 1011}) == 4


def test_an_id_is_taken_once() -> None:
    site = SimulatedSite("aurora", "1.5", [job(1)], clock=lambda: float(NOW))
    with pytest.raises(ValueError, match="exists already"):
        site.start_job(job(1))
    with pytest.raises(ValueError, match="same database id"):
        SimulatedSite("aurora", "1.5", [job(1), job(1)])


@pytest.mark.parametrize(
    "jobs", [[job(n) for n in range(1, 31)], GeneratedJobs(30, "aurora", until=NOW, first_job_id=1001)], ids=type
)
def test_a_key_finds_what_is_there_now(jobs: list[dict[str, Any]] | GeneratedJobs) -> None:
    site = SimulatedSite("aurora", "1.5", jobs, clock=lambda: float(NOW))
    store = site.backend.jobs
    (first,) = store.find(1007)
    assert (first.id, store.find(1007, "aurora", first.start_time)) == (7, [first])
    assert store.find(1007, "elsewhere") == store.find(1007, "aurora", first.start_time + 1) == store.find(5) == []
    again = site.start_job(job(99, jobId=1007) | {"id": 99})
    assert [j.id for j in store.find(1007)] == [7, again]
    site.delete_job(7)
    site.add_tag(again, "t", "n")
    assert [(j.id, len(j.tags)) for j in store.find(1007)] == [(99, 1)]
    store.remove(99, 30, 29, 12345)
    assert (store.find(1007), store.next_id(), len(store)) == ([], 29, 27)
