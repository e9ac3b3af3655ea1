"""Every way of failing, seen from a client on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from ccgateway.simulator import Address, SimulatedSite, serve
from simulator.sites import NOW, job

LIST = "/api/jobs/"


@pytest_asyncio.fixture
async def address() -> AsyncIterator[Address]:
    site = SimulatedSite("aurora", "1.5", [job(n) for n in range(1, 30)], clock=lambda: float(NOW))
    async with serve(site) as running:
        yield running["aurora"]


@pytest_asyncio.fixture
async def client(address: Address) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-Auth-Token": address.site.token("demo"), "Accept-Encoding": "identity"}
    async with httpx.AsyncClient(base_url=address.url, headers=headers, timeout=10) as client:
        yield client


async def test_a_healthy_site_answers(address: Address, client: httpx.AsyncClient) -> None:
    assert len((await client.get(LIST)).json()["jobs"]) == 25


async def test_it_hangs(address: Address, client: httpx.AsyncClient) -> None:
    rule = address.site.faults.hang(times=1)
    with pytest.raises(httpx.ReadTimeout):
        await client.get(LIST, timeout=httpx.Timeout(30, read=0.3))
    assert (await client.get(LIST)).status_code == 200
    assert (rule.hits, address.site.faults.seen) == (1, 2)


async def test_it_hangs_in_mid_body(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.hang_mid_body()
    async with client.stream("GET", LIST, timeout=1) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            await response.aread()


@pytest.mark.parametrize("mid_body", [False, True])
async def test_it_resets_the_connection(address: Address, *, mid_body: bool) -> None:
    address.site.faults.reset(mid_body=mid_body)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    token = address.site.token("demo")
    writer.write(f"GET {LIST} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {token}\r\n\r\n".encode())
    if mid_body:
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
        await reader.read()
    writer.close()


async def test_it_closes_without_an_answer(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.close(times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(LIST)


@pytest.mark.parametrize("chunked", [False, True])
async def test_it_breaks_off(address: Address, client: httpx.AsyncClient, *, chunked: bool) -> None:
    address.site.faults.truncated(chunked=chunked)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(LIST)


@pytest.mark.parametrize("body", ["json", "html", "text", "empty"])
async def test_it_answers_another_status(address: Address, client: httpx.AsyncClient, body: str) -> None:
    address.site.faults.status(503, body=body, retry_after=7)  # type: ignore[arg-type]
    response = await client.get(LIST)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
    assert (response.content == b"") == (body == "empty")


async def test_it_answers_200_and_nonsense(address: Address, client: httpx.AsyncClient) -> None:
    faults = address.site.faults
    right = (await client.get(LIST)).content
    faults.html(times=1)
    faults.empty(times=1)
    faults.error_object("no such thing", times=1)
    faults.doubled(times=1)
    faults.garbage(times=1)
    answers = [await client.get(LIST) for _ in range(5)]
    assert {a.status_code for a in answers} == {200}
    html, empty, error, doubled, garbage = answers
    assert html.headers["Content-Type"].startswith("text/html")
    assert (empty.content, empty.headers.get("Content-Type")) == (b"", None)
    assert error.json() == {"data": None, "error": {"message": "no such thing"}}
    assert doubled.content == right * 2
    with pytest.raises(ValueError):
        garbage.json()
    assert (await client.get(LIST)).content == right


async def test_it_answers_late(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.slow(0.15)
    begun = time.perf_counter()
    assert (await client.get(LIST)).status_code == 200
    assert time.perf_counter() - begun >= 0.15


async def test_it_drips(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.drip(size=5000, interval=0.05)
    pieces = 0
    async with client.stream("GET", LIST) as response:
        async for piece in response.aiter_raw():
            assert len(piece) <= 5000
            pieces += 1
    assert pieces >= 2


async def test_it_never_stops_sending(address: Address, client: httpx.AsyncClient) -> None:
    for size, announced in ((2**31, True), (2**31, False), (None, True)):
        rule = address.site.faults.huge(size, announced=announced, times=1)
        async with client.stream("GET", LIST) as response:
            assert response.headers.get("Content-Length") == (str(2**31) if size and announced else None)
            taken = 0
            async for piece in response.aiter_raw():
                taken += len(piece)
                if taken > 1_000_000:
                    break
        assert rule.hits == 1
    await _until(lambda: address.site.traffic.active == 0)


async def test_a_huge_body_has_the_size_it_says(address: Address, client: httpx.AsyncClient) -> None:
    for announced in (True, False):
        address.site.faults.huge(1_000_000, announced=announced, times=1)
        response = await client.get(LIST)
        assert len(response.content) == 1_000_000 // 65536 * 65536


async def test_a_small_body_unpacks_to_a_large_one(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.gzip_bomb(200 * 2**20)
    async with client.stream("GET", LIST) as response:
        packed = unpacked = 0
        async for piece in response.aiter_bytes():
            unpacked += len(piece)
            packed = response.num_bytes_downloaded
            if unpacked > 50 * 2**20:
                break
    assert unpacked > 100 * packed


async def test_it_sends_the_caller_elsewhere(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.redirect("http://elsewhere.example.org/", status=307)
    response = await client.get(LIST + "?page=2")
    assert (response.status_code, response.headers["Location"]) == (307, "http://elsewhere.example.org/api/jobs/?page=2")


async def test_only_paths_that_match_fail_until_all_is_cleared(address: Address, client: httpx.AsyncClient) -> None:
    faults = address.site.faults
    rule = faults.status(500, path=r"/metrics/")
    assert (await client.get(LIST)).status_code == 200
    assert [(await client.get("/api/jobs/metrics/1")).status_code for _ in range(2)] == [500, 500]
    assert rule.hits == 2
    faults.clear()
    assert (await client.get("/api/jobs/metrics/1")).status_code == 200


async def test_gzip_when_asked_for(address: Address, client: httpx.AsyncClient) -> None:
    plain = await client.get(LIST)
    async with client.stream("GET", LIST, headers={"Accept-Encoding": "gzip, deflate"}) as response:
        packed = b"".join([piece async for piece in response.aiter_raw()])
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == plain.content
    assert "Content-Encoding" not in plain.headers


async def test_faults_of_the_wire_say_that_they_need_one() -> None:
    site = SimulatedSite("aurora", "1.5", [])
    site.faults.close()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://site") as client:
        with pytest.raises(RuntimeError, match="real sockets"):
            await client.get(LIST)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")
