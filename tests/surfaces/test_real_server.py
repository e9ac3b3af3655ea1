"""Over real sockets: an answer, a body that lies about its length, and a caller who goes away."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx

from surfaces.apps import make_app
from surfaces.fakes import FakeGateway, borealis_is_down
from surfaces.servers import serving

QUERY = '{"query": "{ jobs { items { id } sites { site status } } }"}'


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


def post(body: str, *, length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {length}\r\n\r\n{body}".encode()


async def test_a_question_and_its_answer(gateway: FakeGateway) -> None:
    gateway.reports.append(borealis_is_down())
    async with serving(make_app(gateway)) as url, httpx.AsyncClient() as client:
        response = await client.post(f"{url}/graphql", content=QUERY, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert response.json()["data"]["jobs"]["items"] == [{"id": "aurora:1"}, {"id": "aurora:2"}]
    assert response.json()["errors"][0]["extensions"]["site"] == "borealis"


async def test_a_caller_who_goes_away_ends_the_work(gateway: FakeGateway) -> None:
    gateway.hang = True
    async with serving(make_app(gateway)) as url:
        _reader, writer = await connect(url)
        writer.write(post(QUERY))
        await asyncio.wait_for(gateway.hanging.wait(), 5)
        assert not gateway.cancelled.is_set()
        writer.close()
        await asyncio.wait_for(gateway.cancelled.wait(), 5)


async def test_a_caller_who_goes_away_ends_the_look_at_user_lists_too(gateway: FakeGateway) -> None:
    gateway.users_hang = True
    async with serving(make_app(gateway)) as url:
        _reader, writer = await connect(url)
        writer.write(post('{"query": "{ jobs { items { userData { name } } } }"}'))
        await asyncio.wait_for(gateway.hanging.wait(), 5)
        writer.close()
        await asyncio.wait_for(gateway.cancelled.wait(), 5)


async def test_a_caller_who_goes_away_within_the_body_is_no_error(gateway: FakeGateway) -> None:
    async with serving(make_app(gateway)) as url:
        _reader, writer = await connect(url)
        writer.write(post(QUERY, length=1000))
        await writer.drain()
        writer.close()
        async with httpx.AsyncClient() as client:
            response = await client.post(f"{url}/graphql", content=QUERY, headers={"content-type": "application/json"})
        assert response.status_code == 200
    assert len(gateway.questions) == 1


async def test_an_endless_body_is_cut_off(gateway: FakeGateway) -> None:
    async with serving(make_app(gateway, body_bytes=4096)) as url:
        reader, writer = await connect(url)
        head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + (b"400\r\n" + b" " * 1024 + b"\r\n") * 8)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert answer.startswith(b"HTTP/1.1 413")
        await asyncio.wait_for(reader.read(), 5)  # ends: the server closes the connection
        writer.close()
    assert gateway.questions == []
