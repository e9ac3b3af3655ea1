"""Exports under attack: readers that take nothing, sites that come and go, tokens of other people."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from acceptance.exports import read_lines
from ccgateway.client import Gateway, GatewayError, sending
from ccgateway.operations.bounded import BoundedHttp
from ccgateway.operations.minting import new_api_key
from ccgateway.simulator import GeneratedJobs, SimulatedSite
from ccgateway.simulator.messages import Request, Response
from ccgateway.surfaces.export.columns import NAMES
from support.served import Served, served

KEYS = {name: new_api_key() for name in ("ada", "eve")}


class Impatient(BoundedHttp):
    read_seconds = 1.0


class Flapping(SimulatedSite):
    """Fails ``down`` requests after each ``up`` that it answers, once it is told to."""

    up = down = asked = 0

    def answer(self, request: Request) -> Response:
        if self.down:
            self.asked += 1
            if self.asked % (self.up + self.down) >= self.up:
                return Response(503, b"busy", (("content-type", "text/plain"),))
        return super().answer(request)


def section(name: str) -> dict[str, object]:
    return {"hash": "sha256:" + hashlib.sha256(KEYS[name].encode()).hexdigest(), "subject": name, "roles": ["admin"]}


@pytest.fixture(scope="module")
def sites() -> list[Flapping]:
    now = int(time.time())
    return [
        Flapping(name, release, GeneratedJobs(4000, name, seed=len(name), until=now, span=86400))
        for name, release in (("aurora", "1.5"), ("borealis", "1.4"))
    ]


@pytest.fixture(scope="module")
def front(sites: list[Flapping]) -> Iterator[Served]:
    """A gateway that lets readers go soon, knows two administrators, and has one place for exports of each."""
    with served(
        *sites, protocol=Impatient, export={"streams_per_caller": 1}, api_keys={name: section(name) for name in KEYS}
    ) as running:
        yield running


@pytest.fixture
def whole(front: Served) -> list[bytes]:
    with Gateway(front.url, token=KEYS["ada"]) as gateway:
        return [line for batch in gateway.export().batches() for line in batch.lines]


def test_a_reader_that_takes_nothing_costs_a_few_batches_and_is_let_go(front: Served, sites: list[Flapping]) -> None:
    where = urlsplit(front.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((where.hostname, where.port))
        for one in sites:
            one.forget()
        # more than a system keeps for whoever does not read: some keep 4 MB
        path = f"/export/jobs?columns={','.join(NAMES)}&metrics={','.join(f'metric_of_a_long_name_{n}' for n in range(20))}"
        head = f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {KEYS['ada']}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(2000).startswith(b"HTTP/1.1 200")
        # nothing is read any more: there is no other place for this caller until the gateway has given up on that one
        with Gateway(front.url, token=KEYS["ada"], retries=0) as gateway:
            with pytest.raises(GatewayError, match="RATE_LIMITED"):
                next(gateway.export(site="aurora").batches())
            asked = [len(one.requests) for one in sites]
            assert all(0 < calls <= 8 for calls in asked), asked
        with Gateway(front.url, token=KEYS["ada"], retries=30) as gateway:
            assert sum(len(batch.lines) for batch in gateway.export().batches()) > 6000


def test_who_thinks_long_about_each_row_gets_all_of_them(front: Served, whole: list[bytes]) -> None:
    lines: list[bytes] = []
    with Gateway(front.url, token=KEYS["ada"]) as gateway:
        for batch in gateway.export().batches():
            lines += batch.lines
            time.sleep(2.5)  # longer than the gateway waits
    assert lines == whole


def test_a_token_is_of_no_use_to_anybody_else(front: Served) -> None:
    with Gateway(front.url, token=KEYS["ada"]) as gateway:
        batch = next(gateway.export().batches())
        assert batch.resume is not None
        assert next(gateway.export().batches(resume=batch.resume, rows=batch.rows)).lines
    said = "INVALID_CURSOR: resume: this token belongs to another export"
    with Gateway(front.url, token=KEYS["eve"], retries=0) as other, pytest.raises(GatewayError, match=said):
        next(other.export().batches(resume=batch.resume, rows=batch.rows))
    assert KEYS["ada"] not in batch.resume


@pytest.mark.parametrize("seed", [1, 2])
def test_a_day_of_a_site_that_comes_and_goes_is_exported_as_if_it_had_not(
    front: Served, sites: list[Flapping], whole: list[bytes], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(sending, "PAUSES", (0.05, 0.2))
    site = sites[seed - 1]
    site.up, site.down, site.asked = 2 + seed, 4, 0
    try:
        with Gateway(front.url, token=KEYS["ada"], retries=60) as gateway:
            lines = [line for batch in gateway.export(since="1d").batches() for line in batch.lines]
    finally:
        site.down = 0
    assert site.asked > site.up + site.down and len(lines) == len(set(lines))
    assert set(lines) <= set(whole) and len(lines) > len(whole) * 0.95  # but for those of the first seconds of the day


def test_a_broken_export_and_an_answer_to_head_leave_nothing_open(front: Served) -> None:
    where = urlsplit(front.url).netloc
    connection = http.client.HTTPConnection(where, timeout=60)
    for _ in range(20):
        connection.request("HEAD", "/export/jobs?format=parquet", headers={"Authorization": f"Bearer {KEYS['ada']}"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read() == b""
    for _ in range(20):
        connection.request("GET", "/export/jobs", headers={"Authorization": f"Bearer {KEYS['ada']}"})
        answer = connection.getresponse()
        assert answer.status in (200, 429) and answer.read(100)
        connection.close()
    deadline = time.monotonic() + 30
    while (found := body(where)) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found is not None and read_lines(found).end is not None


def body(where: str) -> bytes | None:
    """An export, ``None`` where there is no place for it."""
    connection = http.client.HTTPConnection(where, timeout=60)
    connection.request("GET", "/export/jobs?site=aurora", headers={"Authorization": f"Bearer {KEYS['ada']}"})
    answer = connection.getresponse()
    return answer.read() if answer.status == 200 else None
