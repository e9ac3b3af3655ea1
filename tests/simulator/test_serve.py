"""Sites on real sockets: they start, stop, come back, and count what comes in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest

from ccgateway.simulator import GeneratedJobs, SimulatedSite, SimulatorProcess, demo_sites, serve, serve_in_thread
from simulator.sites import NOW, job

LIST = "/api/jobs/"


def _site(name: str = "aurora", *, latency: float = 0, per_job_cost: float = 0) -> SimulatedSite:
    jobs = [job(n) for n in range(1, 5)]
    return SimulatedSite(name, "1.5", jobs, clock=lambda: float(NOW), latency=latency, per_job_cost=per_job_cost)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def _auth(site: SimulatedSite, user: str = "demo") -> dict[str, str]:
    return {"X-Auth-Token": site.token(user)}


async def test_a_site_comes_back_on_its_port() -> None:
    site = _site()
    async with serve(site) as running, httpx.AsyncClient(headers=_auth(site)) as client:
        address = running["aurora"]
        url = address.url + LIST
        assert (await client.get(url)).status_code == 200
        for _ in range(2):
            await address.stop()
            assert not address.up
            with pytest.raises(httpx.ConnectError):
                await client.get(url)
            await address.start()
            assert (await client.get(url)).status_code == 200
    async with serve(site, ports={"aurora": address.port}) as running:
        assert running["aurora"].url == address.url


@pytest.mark.parametrize("fault", ["hang", "hang_mid_body", "huge"])
async def test_a_hanging_request_does_not_keep_a_site_from_stopping(fault: str) -> None:
    site = _site()
    getattr(site.faults, fault)()
    async with httpx.AsyncClient(headers=_auth(site), timeout=5) as client:
        async with serve(site) as running:
            asked = asyncio.ensure_future(client.get(running["aurora"].url + LIST))
            await _until(lambda: site.traffic.active > 0)
            begun = time.perf_counter()
        assert time.perf_counter() - begun < 10  # and not for as long as it hangs
        with pytest.raises(httpx.TransportError):
            await asked
    assert (site.traffic.active, site.open_connections) == (0, 0)


async def test_requests_in_progress_may_finish() -> None:
    site = _site(latency=0.05)
    async with httpx.AsyncClient(headers=_auth(site)) as client:
        async with serve(site) as running:
            asked = asyncio.ensure_future(client.get(running["aurora"].url + LIST))
            await _until(lambda: site.traffic.active > 0)
        assert (await asked).status_code == 200


async def test_what_arrived_is_on_record() -> None:
    aurora, borealis = _site("aurora"), _site("borealis")
    async with serve(aurora, borealis) as running, httpx.AsyncClient() as client:
        headers = _auth(aurora, "alice") | {"X-Forwarded-For": "10.0.0.1"}
        await client.get(running["aurora"].url + "/userapi/jobs/?page=2", headers=headers)
        await client.get(running["aurora"].url + "/nowhere")
    seen, other = aurora.requests
    assert (seen.method, seen.target, seen.subject) == ("GET", "/userapi/jobs/?page=2", "alice")
    assert "x-forwarded-for" in seen.headers
    assert "x-forwarded-for" not in other.headers
    assert other.subject is None
    assert not borealis.requests
    aurora.forget()
    assert not aurora.requests


async def test_connections_and_requests_are_counted() -> None:
    site = _site(latency=0.05)
    async with serve(site) as running:
        async with httpx.AsyncClient(headers=_auth(site)) as client:
            await asyncio.gather(*(client.get(running["aurora"].url + LIST) for _ in range(7)))
            assert site.max_concurrent == 7
            assert site.open_connections == site.traffic.connections == 7
            assert site.traffic.served == 7
        await _until(lambda: site.open_connections == 0)


async def test_jobs_can_be_made_to_cost_time() -> None:
    site = _site(per_job_cost=0.03)
    async with serve(site) as running, httpx.AsyncClient(headers=_auth(site)) as client:
        begun = time.perf_counter()
        await client.get(running["aurora"].url + LIST)
        assert time.perf_counter() - begun >= 4 * 0.03


async def test_jobs_cost_what_their_way_costs() -> None:
    site = _site(per_job_cost=2.0)
    site.per_query_cost = 0.03
    async with serve(site) as running, httpx.AsyncClient(headers=_auth(site)) as client:
        begun = time.perf_counter()
        answer = await client.post(running["aurora"].url + "/query", json={"query": "{jobs{items{id} count}}"})
        assert answer.json()["data"]["jobs"]["count"] == 4
        assert 4 * 0.03 <= time.perf_counter() - begun < 4 * 2.0


async def test_keep_alive_answers_come_at_once() -> None:
    # without TCP_NODELAY every second answer on a connection waits 40 ms for an acknowledgement, and so one of any two
    site = _site()
    async with serve(site) as running, httpx.AsyncClient(headers=_auth(site)) as client:
        await client.get(running["aurora"].url + LIST)
        waits = []
        for _ in range(40):
            begun = time.perf_counter()
            await client.get(running["aurora"].url + LIST)
            waits.append(time.perf_counter() - begun)
        assert min(map(sum, pairwise(waits))) < 0.035


async def test_two_sites_need_two_names() -> None:
    with pytest.raises(ValueError, match="same name"):
        async with serve(_site(), _site()):
            pass


def test_sites_in_a_thread() -> None:
    site = _site()
    with serve_in_thread(site) as running:
        assert httpx.get(running["aurora"].url + LIST, headers=_auth(site)).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(running["aurora"].url + LIST)


def test_a_thread_that_cannot_listen_says_so() -> None:
    with (
        serve_in_thread(_site()) as running,
        pytest.raises(OSError, match="in use"),
        serve_in_thread(_site(), ports={"aurora": running["aurora"].port}),
    ):
        pass


def test_a_site_in_a_process() -> None:
    with SimulatorProcess("--release", "1.4", "--jobs", "1000000", "--cluster", "big", "--until", str(NOW)) as process:
        headers = {"X-Auth-Token": process.tokens["demo"]}
        answer = httpx.get(process.url + "/api/jobs/?items-per-page=3&page=300000", headers=headers).json()
        expected = GeneratedJobs(1_000_000, "big", until=NOW)
        assert [j["jobId"] for j in answer["jobs"]] == [expected.job(1_000_000 - 900_000 + n).job_id for n in (2, 1, 0)]
        assert process.description["clusters"] == ["big"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(process.url)


def test_a_process_that_cannot_start_says_so() -> None:
    with pytest.raises(RuntimeError, match="before it was up"), SimulatorProcess("--release", "9.9"):
        pass


def test_a_process_shows_started_jobs_when_it_is_told_to() -> None:
    with SimulatorProcess("--release", "1.5", "--jobs", "10", "--commit", "0") as process:
        headers = {"X-Auth-Token": process.tokens["robot"]}
        job = {"jobId": 5, "user": "eve", "cluster": "synth", "numNodes": 1, "startTime": 2_000_000_000}
        body = job | {"resources": [{"hostname": "sn001"}]}
        assert httpx.post(process.url + "/api/jobs/start_job/", headers=headers, json=body).json() == {"msg": "success"}
        listed = httpx.get(process.url + "/api/jobs/?items-per-page=1", headers=headers).json()
        assert [(j["id"], j["jobId"], j["subCluster"]) for j in listed["jobs"]] == [(11, 5, "main")]


async def test_the_demo_has_one_site_for_every_dialect() -> None:
    sites = demo_sites(clock=lambda: float(NOW))
    assert [(s.name, s.release.name) for s in sites] == [
        ("aurora", "1.5"),
        ("borealis", "1.4"),
        ("cygnus", "1.3"),
        ("draco", "1.2"),
        ("eridanus", "howto"),
    ]
    assert len({s.keys.public_base64 for s in sites}) == 5
    async with serve(*sites) as running, httpx.AsyncClient() as client:
        for site in sites:
            response = await client.get(running[site.name].url + "/api/jobs/?state=running", headers=_auth(site))
            listed = response.json()["jobs"]
            assert listed
            assert all(NOW - 6 * 3600 < j["startTime"] <= NOW for j in listed)
            stranger = await client.get(running[site.name].url + LIST, headers=_auth(sites[sites.index(site) - 1]))
            assert stranger.status_code == 401
