"""What can go wrong with a write, seen from a client on a real socket and held against the site's truth."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from ccgateway.simulator import Address, SimulatedSite, WriteFault, serve
from ccgateway.simulator.faults import writes
from ccgateway.simulator.messages import Request
from simulator.sites import NOW, job, running

STOP = {"jobId": 500, "cluster": "aurora", "stopTime": NOW - 400}
WRITES = {  # method, path, body, what happens
    "tag": ("POST", "/api/jobs/tag_job/1", [{"type": "t", "name": "a", "scope": "global"}], "tag"),
    "meta": ("PATCH", "/api/jobs/edit_meta/1", {"key": "note", "value": "x"}, "meta"),
    "stop": ("POST", "/api/jobs/stop_job/", STOP, "stop"),
    "delete": ("DELETE", "/api/jobs/delete_job/1", None, "delete"),
    "create": ("POST", "/query", {"query": 'mutation{createTag(type:"t",name:"a",scope:"global"){id}}'}, "create tag"),
}


@pytest_asyncio.fixture
async def address() -> AsyncIterator[Address]:
    site = SimulatedSite("aurora", "1.5", [job(1), running(2, jobId=500)], clock=lambda: float(NOW))
    async with serve(site) as running_sites:
        yield running_sites["aurora"]


@pytest_asyncio.fixture
async def client(address: Address) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"X-Auth-Token": address.site.token("demo")}
    async with httpx.AsyncClient(base_url=address.url, headers=headers, timeout=10) as client:
        yield client


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("fault", [f for f in WriteFault if f is not WriteFault.HELD], ids=lambda f: f.name)
async def test_a_write_goes_wrong_with_its_effect_or_without(
    address: Address, client: httpx.AsyncClient, fault: WriteFault, operation: str
) -> None:
    method, path, body, effect = WRITES[operation]
    rule = address.site.faults.write(fault)
    assert (await client.get("/api/jobs/")).status_code == 200  # reads are spared
    if fault.name.startswith(("RESET", "TIMEOUT")):
        failure = httpx.ReadTimeout if fault.name.startswith("TIMEOUT") else httpx.TransportError
        with pytest.raises(failure):
            await client.request(method, path, json=body, timeout=httpx.Timeout(30, read=0.3))
    else:
        response = await client.request(method, path, json=body)
        assert response.status_code == (500 if fault.name.startswith("ERROR") else 200)
        assert fault.name.startswith("ERROR") or response.content == b""
    assert rule.hits == 1
    assert len(address.site.truth.happened(effect)) == (1 if fault.acts else 0)
    assert (await client.request(method, path, json=body)).status_code != 0  # only one was to fail
    assert rule.hits == 1


async def test_a_held_write_takes_effect_when_released_though_nobody_waits(address: Address, client: httpx.AsyncClient) -> None:
    method, path, body, effect = WRITES["meta"]
    rule = address.site.faults.write(WriteFault.HELD)
    with pytest.raises(httpx.ReadTimeout):
        await client.request(method, path, json=body, timeout=httpx.Timeout(30, read=0.2))
    assert address.site.truth.happened(effect) == []
    rule.release()
    await rule.struck.wait()
    assert len(address.site.truth.happened(effect)) == 1
    assert (await client.request(method, path, json=body)).status_code == 200


async def test_writes_are_told_apart_by_method_path_and_body(address: Address, client: httpx.AsyncClient) -> None:
    faults = address.site.faults
    by_method = faults.write(WriteFault.ERROR_BEFORE, method="DELETE", path="tag_job")
    by_body = faults.write(WriteFault.ERROR_BEFORE, body="createTag", times=None)
    tag = WRITES["tag"][2]
    assert (await client.post("/api/jobs/tag_job/1", json=tag)).status_code == 200
    assert (await client.request("DELETE", "/api/jobs/tag_job/1", json=tag)).status_code == 500
    other = {"query": "mutation{removeTagFromList(tagIds:[])}"}
    assert (await client.post("/query", json=other)).json() == {"data": {"removeTagFromList": []}}
    assert [(await client.post("/query", json=WRITES["create"][2])).status_code for _ in range(2)] == [500, 500]
    assert (by_method.hits, by_body.hits) == (1, 2)


async def test_a_site_vanishes_between_two_requests(address: Address, client: httpx.AsyncClient) -> None:
    address.site.faults.vanish(path="/api/jobs/1$")
    assert (await client.get("/api/jobs/1")).status_code == 200
    await address.down.wait()
    with pytest.raises(httpx.TransportError):
        await client.request("DELETE", "/api/jobs/delete_job/1")
    assert address.site.truth.effects == []
    await address.start()
    assert (await client.request("DELETE", "/api/jobs/delete_job/1")).status_code == 200


async def test_connections_are_refused_for_a_while(address: Address, client: httpx.AsyncClient) -> None:
    async with address.refusing():
        with pytest.raises(httpx.ConnectError):
            await client.request("DELETE", "/api/jobs/delete_job/1")
    assert address.site.truth.effects == []
    assert (await client.get("/api/jobs/1")).status_code == 200


def test_vanishing_needs_a_network() -> None:
    site = SimulatedSite("aurora", "1.5", [job(1)])
    with pytest.raises(TypeError, match="nothing is held"):
        site.faults.vanish().release()
    assert site.unplug is None


@pytest.mark.parametrize(
    ("method", "path", "body", "changes"),
    [
        ("GET", "/api/jobs/", b"", False),
        ("POST", "/api/jobs/1", b"[]", False),
        ("POST", "/query", b'{"query":"{tags{id}}"}', False),
        ("POST", "/query", b'{"query":"mutation{deleteTag(id:1)}"}', True),
        ("PUT", "/api/jobs/start_job/", b"{}", True),
        ("DELETE", "/api/tags/", b"[]", True),
        ("POST", "/api/user/bob", b"{}", True),
    ],
)
def test_which_requests_are_writes(method: str, path: str, body: bytes, *, changes: bool) -> None:
    assert writes(Request(method, path, body=body)) is changes
