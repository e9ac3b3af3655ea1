"""The client on real sockets: how it asks, and what it makes of what it is told."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccgateway.errors import Code, SiteError
from ccgateway.site import client
from ccgateway.site.client import LOOKS, _retry_after
from ccgateway.site.exchange import SiteRequest
from support.raw_server import Heard, RawServer, Then, plain_answer, raw_server
from support.site_client import LIST, TOKEN, ask, client_of, context, sends

# --- asking


async def test_it_asks_with_its_own_token_and_headers_and_nothing_else() -> None:
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url + "/base") as client:
        await client.exchange(LIST, context())
        await client.exchange(SiteRequest("POST", "/query", b'{"query":"{x}"}'), context())
    get, post = server.heard
    assert (get.method, get.target, get.body) == ("GET", "/base" + LIST.path, b"")
    assert (post.method, post.target, post.body) == ("POST", "/base/query", b'{"query":"{x}"}')
    assert get.header("X-Auth-Token") == TOKEN
    assert post.header("Content-Type") == "application/json"
    allowed = {"host", "x-auth-token", "accept", "accept-encoding", "user-agent", "connection"}
    assert {name.lower() for name, _ in get.headers} <= allowed
    assert {name.lower() for name, _ in post.headers} <= allowed | {"content-type", "content-length"}
    assert len({name.lower() for name, _ in get.headers}) == len(get.headers)


async def test_the_path_arrives_as_it_was_made() -> None:
    path = "/api/jobs/?startTime%5Bfrom%5D=1&cluster=a%26b%2Fc+d%C3%A4"
    async with raw_server(sends(plain_answer())) as server, client_of(server.url) as client:
        await client.exchange(SiteRequest("GET", path), context())
    assert server.heard[0].target == path


@pytest.mark.parametrize("size", [60_000, 100_000, 5_000_000])
async def test_what_no_url_can_say_is_the_callers_limit_and_asks_the_site_for_nothing(size: int) -> None:
    request = SiteRequest("GET", f"/api/jobs/?project={'x' * size}")
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        if size < 65_000:
            assert (await client.exchange(request, context())).status == 200
            return
        with pytest.raises(SiteError) as refused:
            await client.exchange(request, context())
        assert (refused.value.code, refused.value.retryable) == (Code.LIMIT_EXCEEDED, False)
        assert server.heard == []


async def test_cookies_are_not_given_back() -> None:
    answer = plain_answer(headers="Set-Cookie: session=stolen; Path=/\r\n")
    async with raw_server(sends(answer, then="keep")) as server, client_of(server.url) as client:
        await client.exchange(LIST, context())
        await client.exchange(LIST, context())
    assert server.heard[1].header("Cookie") is None


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await ask(sends(plain_answer()))).status == 200


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with raw_server(sends(plain_answer())) as elsewhere:
        redirect = plain_answer(status="302 Found", headers=f"Location: {elsewhere.url}/api/\r\n")
        answer = await ask(sends(redirect))
        assert elsewhere.heard == []
    assert (answer.status, answer.location) == (302, f"{elsewhere.url}/api/")


async def test_one_connection_serves_many_requests() -> None:
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        for _ in range(5):
            await client.exchange(LIST, context())
        assert (server.opened, len(server.heard)) == (1, 5)


async def test_it_opens_no_more_connections_than_allowed_and_some_for_looks() -> None:
    async def slow(_: Heard, writer: asyncio.StreamWriter) -> Then:
        await asyncio.sleep(0.02)
        writer.write(plain_answer())
        return "keep"

    async with raw_server(slow) as server:
        async with client_of(server.url, concurrency=3) as client:
            await asyncio.gather(*(client.exchange(LIST, context()) for _ in range(12)))
        await server.until_closed()
    assert server.most_open == 3 + LOOKS


async def test_an_idle_connection_is_closed_before_the_site_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccgateway.site.client.IDLE_SECONDS", 0.05)
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        await client.exchange(LIST, context())
        assert server.open_now == 1
        await server.until_closed(3.0)
        assert (await client.exchange(LIST, context())).status == 200


async def test_every_request_is_counted() -> None:
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        here = context()
        for _ in range(3):
            await client.exchange(LIST, here)
        assert here.stats.calls == 3


# --- answers


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        ("200 OK", "Content-Type: application/json; charset=utf-8\r\n", (200, "application/json", None, None)),
        ("404 Not Found", "Content-Type: Text/Plain\r\n", (404, "text/plain", None, None)),
        ("200 OK", "", (200, "", None, None)),
        ("429 Slow", "Retry-After: 7\r\n", (429, "", None, 7.0)),
        ("503 Gone", "Retry-After: soon\r\n", (503, "", None, None)),
        ("503 Gone", f"Retry-After: {'9' * 400}\r\n", (503, "", None, 86_400.0)),
        ("503 Gone", "Retry-After: 3000000000\r\n", (503, "", None, 86_400.0)),
        ("503 Gone", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", (503, "", None, 86_400.0)),
        ("503 Gone", "Retry-After: \xb2\r\n", (503, "", None, None)),
        ("503 Gone", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", (503, "", None, 0.0)),
        ("301 Moved", "Location: /x\r\n", (301, "", "/x", None)),
        ("418 Tea", "X-A: 1\r\nX-A: 2\r\n", (418, "", None, None)),
    ],
)
async def test_an_answer_is_told_whatever_its_status(status: str, headers: str, expected: tuple[Any, ...]) -> None:
    answer = await ask(sends(plain_answer(b"body", status=status, headers=headers)))
    assert (answer.status, answer.media_type, answer.location, answer.retry_after) == expected
    assert answer.body == b"body"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo", b"dy\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\nbody",),
        (b"HTTP/1.0 200 OK\r\n\r\nbo", b"dy"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",),
    ],
    ids=["chunked", "until the end", "HTTP/1.0", "length"],
)
async def test_a_body_ends_where_http_says(pieces: tuple[bytes, ...]) -> None:
    assert (await ask(sends(*pieces))).body == b"body"


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"body" * 1000)),
        ("x-gzip", gzip.compress(b"body" * 1000)),
        ("GZIP", gzip.compress(b"bodybody" * 250) + gzip.compress(b"bodybody" * 250)),
        ("deflate", zlib.compress(b"body" * 1000)),
        ("deflate", raw_deflate(b"body" * 1000)),
        ("identity", b"body" * 1000),
    ],
    ids=["gzip", "x-gzip", "two members", "zlib", "raw deflate as Go packs it", "identity"],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_packed_body_is_unpacked_however_it_is_cut(encoding: str, packed: bytes, step: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(head)
        for i in range(0, len(packed), step):
            writer.write(packed[i : i + step])
            if step < 10:
                await asyncio.sleep(0)
        return "keep"

    assert (await ask(answer)).body == b"body" * 1000


@pytest.mark.parametrize(
    ("url", "accepts"), [("http://127.0.0.1", "identity"), ("http://localhost:1/x", "identity"), ("https://cc.example", "gzip")]
)
def test_packing_is_asked_for_unless_the_site_is_on_this_machine(url: str, accepts: str) -> None:
    from ccgateway.site.client import _encodings

    assert accepts in _encodings(url)


# --- Retry-After


@given(
    value=st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=30),
        st.integers().map(str),
        st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} [0-9:]{4,8} [-+A-Z0-9]{1,6}", fullmatch=True),
    )
)
def test_any_retry_after_is_seconds_or_nothing(value: str) -> None:
    found = _retry_after(value)
    assert found is None or found >= 0


def test_the_server_of_these_tests_counts_right() -> None:
    assert RawServer(sends()).open_now == 0


# --- its own token in what comes back

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkZW1vIiwicm9sZXMiOlsiYXBpIl19.QZ3kx-signature_of_this_token"


@pytest.mark.parametrize("size", [0, client.LARGE - 100, client.LARGE, 4 * client.LARGE])
@pytest.mark.parametrize("leak", [JWT, JWT.split(".")[1], JWT.split(".")[2], f"a {JWT} and {JWT}"])
def test_no_part_of_a_token_comes_back_however_much_comes_with_it(size: int, leak: str) -> None:
    filler = b"1.00," * (size // 5)
    found = client._without(filler + leak.encode() + filler, client._secret_parts(JWT))
    assert b"[redacted]" in found
    assert not any(part.encode() in found for part in JWT.split(".")[1:])
    assert found.startswith(filler) and found.endswith(filler)


@pytest.mark.parametrize("text", [b"", b"1.00," * client.LARGE, b"QZXJKVWYqzxjk" * client.LARGE])
def test_what_holds_no_token_stays_as_it_is(text: bytes) -> None:
    assert client._without(text, client._secret_parts(JWT)) is text
