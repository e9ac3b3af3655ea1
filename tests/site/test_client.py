"""The client on real sockets: how it asks, and what it makes of servers that break off, lie, or never end."""

from __future__ import annotations

import asyncio
import gzip
import resource
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import Code, SettingsError, SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site import client
from ccgateway.site.client import SiteClient, _retry_after
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import SiteAnswer, SiteRequest, Visit
from support.raw_server import Handler, Heard, RawServer, Then, plain_answer, raw_server, reset

LIST = SiteRequest("GET", "/api/jobs/?start-time=0-5&items-per-page=1")
TOKEN = "secret-canary-token"
CREDENTIAL = Credential(SecretStr(TOKEN), "demo", frozenset({"admin"}), "/api")


def settings_for(url: str, **changes: Any) -> SiteSettings:
    values = {"name": "here", "number": 1, "url": url, "answer_bytes": 100_000, "connect_timeout": 0.5, **changes}
    return SiteSettings.model_validate(values)


@asynccontextmanager
async def client_of(url: str, **changes: Any) -> AsyncIterator[SiteClient]:
    client = SiteClient(settings_for(url, **changes))
    try:
        yield client
    finally:
        await client.aclose()


def visit(seconds: float = 5.0) -> Visit:
    return Visit(CREDENTIAL, Deadline.after(seconds))


async def ask(answer: Handler, *, seconds: float = 5.0, request: SiteRequest = LIST, **changes: Any) -> SiteAnswer:
    """One request; afterwards no connection may be left on either side."""
    async with raw_server(answer) as server:
        try:
            async with client_of(server.url, **changes) as client:
                return await client.exchange(request, visit(seconds))
        finally:
            await server.until_closed()


async def failure(answer: Handler, *, seconds: float = 5.0, **changes: Any) -> SiteError:
    before = asyncio.all_tasks()
    with pytest.raises(SiteError) as error:
        await ask(answer, seconds=seconds, **changes)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before
    assert TOKEN not in repr(error.value) + str(error.value)
    return error.value


def sends(*pieces: bytes, then: Then | Literal["reset"] = "close") -> Handler:
    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then == "reset":
            await asyncio.sleep(0.02)
            reset(writer)
            return "close"
        return then

    return answer


# --- asking


async def test_it_asks_with_its_own_token_and_headers_and_nothing_else() -> None:
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url + "/base") as client:
        await client.exchange(LIST, visit())
        await client.exchange(SiteRequest("POST", "/query", b'{"query":"{x}"}'), visit())
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
        await client.exchange(SiteRequest("GET", path), visit())
    assert server.heard[0].target == path


async def test_cookies_are_not_given_back() -> None:
    answer = plain_answer(headers="Set-Cookie: session=stolen; Path=/\r\n")
    async with raw_server(sends(answer, then="keep")) as server, client_of(server.url) as client:
        await client.exchange(LIST, visit())
        await client.exchange(LIST, visit())
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
            await client.exchange(LIST, visit())
        assert (server.opened, len(server.heard)) == (1, 5)


async def test_it_opens_no_more_connections_than_allowed() -> None:
    async def slow(_: Heard, writer: asyncio.StreamWriter) -> Then:
        await asyncio.sleep(0.02)
        writer.write(plain_answer())
        return "keep"

    async with raw_server(slow) as server:
        async with client_of(server.url, concurrency=3) as client:
            await asyncio.gather(*(client.exchange(LIST, visit()) for _ in range(12)))
        await server.until_closed()
    assert server.most_open == 3


async def test_an_idle_connection_is_closed_before_the_site_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccgateway.site.client.IDLE_SECONDS", 0.05)
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        await client.exchange(LIST, visit())
        assert server.open_now == 1
        await server.until_closed(3.0)
        assert (await client.exchange(LIST, visit())).status == 200


async def test_every_request_is_counted() -> None:
    async with raw_server(sends(plain_answer(), then="keep")) as server, client_of(server.url) as client:
        here = visit()
        for _ in range(3):
            await client.exchange(LIST, here)
        assert here.meter.calls == 3


# --- answers


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        ("200 OK", "Content-Type: application/json; charset=utf-8\r\n", (200, "application/json", None, None)),
        ("404 Not Found", "Content-Type: Text/Plain\r\n", (404, "text/plain", None, None)),
        ("200 OK", "", (200, "", None, None)),
        ("429 Slow", "Retry-After: 7\r\n", (429, "", None, 7.0)),
        ("503 Gone", "Retry-After: soon\r\n", (503, "", None, None)),
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


# --- failures


@pytest.mark.parametrize(
    ("pieces", "then", "code"),
    [
        ((), "close", Code.CONNECTION_LOST),
        ((), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",), "close", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",), "reset", Code.CONNECTION_LOST),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more",), "hold", Code.BAD_ANSWER),
        ((b"SSH-2.0-OpenSSH_9.6\r\n",), "hold", Code.BAD_ANSWER),
        ((b"\x16\x03\x01\x02\x00garbage\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 abc OK\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nbody",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody",), "hold", Code.BAD_ANSWER),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",), "hold", Code.BAD_ANSWER),
    ],
    ids=lambda value: repr(value)[:50] if isinstance(value, tuple) else str(value),
)
async def test_each_way_to_fail_has_its_code(pieces: tuple[bytes, ...], then: Then | Literal["reset"], code: Code) -> None:
    error = await failure(sends(*pieces, then=then), seconds=2.0)
    assert error.code is code, error.message
    assert error.site == "here"


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",)], ids=["before headers", "within the body"]
)
async def test_a_site_that_hangs_is_a_time_out_at_the_deadline(pieces: tuple[bytes, ...]) -> None:
    started = time.perf_counter()
    error = await failure(sends(*pieces, then="hold"), seconds=0.2)
    assert error.code is Code.TIMEOUT
    assert error.retryable
    assert 0.15 < time.perf_counter() - started < 3.0


async def test_a_site_that_trickles_is_a_time_out_all_the_same() -> None:
    async def trickle(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        return "close"

    assert (await failure(trickle, seconds=0.3)).code is Code.TIMEOUT


async def test_a_site_that_is_not_there_is_unreachable() -> None:
    async with raw_server(sends()) as server:
        url = server.url
    async with client_of(url) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit())
    assert error.value.code is Code.UNREACHABLE
    assert "refused" in error.value.message


async def test_a_host_name_that_does_not_exist_is_unreachable() -> None:
    async with client_of("http://no-such-host.invalid") as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit(10.0))
    assert error.value.code in (Code.UNREACHABLE, Code.TIMEOUT)


async def test_a_connection_that_does_not_open_is_unreachable_after_its_own_limit() -> None:
    import socket

    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    host, port = full.getsockname()
    fillers = []
    for _ in range(8):  # fills the backlog, so that the next connection waits
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((host, port))
        fillers.append(one)
    try:
        async with client_of(f"http://{host}:{port}", connect_timeout=0.2) as client:
            with pytest.raises(SiteError) as error:
                await client.exchange(LIST, visit(3.0))
        assert error.value.code is Code.UNREACHABLE
        assert "0.2 s" in error.value.message
    finally:
        for one in [*fillers, full]:
            one.close()


async def test_cancelling_the_caller_drops_the_connection() -> None:
    async with raw_server(sends(then="hold")) as server, client_of(server.url) as client:
        task = asyncio.create_task(client.exchange(LIST, visit()))
        await asyncio.sleep(0.1)
        assert len(server.heard) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until_closed()


async def test_a_request_after_a_failure_uses_a_new_connection() -> None:
    answers = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", plain_answer(b"whole")])

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        writer.write(next(answers))
        return "close"

    async with raw_server(answer) as server, client_of(server.url) as client:
        with pytest.raises(SiteError):
            await client.exchange(LIST, visit())
        assert (await client.exchange(LIST, visit())).body == b"whole"


# --- size


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "POST"])
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_write_is_sent_once_even_where_a_kept_connection_breaks(method: str, ending: str) -> None:
    answers = iter([True])

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        if next(answers, False):
            writer.write(plain_answer())
            return "keep"
        if ending == "reset":
            reset(writer)
        return "close"

    async with raw_server(answer) as server, client_of(server.url) as client:
        await client.exchange(SiteRequest("GET", "/"), visit())
        with pytest.raises(SiteError) as raised:
            await client.exchange(SiteRequest(method, "/x", b"{}", safe=False), visit())
        assert raised.value.code is Code.CONNECTION_LOST
        assert [heard.target for heard in server.heard] == ["/", "/x"]


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def endless(writer: asyncio.StreamWriter, *, head: bytes, piece: bytes) -> Then:
    writer.write(head)
    for _ in range(2 * 2**30 // len(piece)):
        if writer.is_closing():
            break
        writer.write(piece)
        await writer.drain()
    return "close"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", b"x" * 2**16),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 2**16),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 2**16 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"\0" * 2**24)),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 2**16),
    ],
    ids=["announced", "until the end", "chunked", "gzip members", "an error page"],
)
async def test_two_gigabytes_are_too_much_and_are_not_read(head: bytes, piece: bytes) -> None:
    before = memory()

    async def answer(_: Heard, writer: asyncio.StreamWriter) -> Then:
        return await endless(writer, head=head, piece=piece)

    error = await failure(answer)
    assert error.code is Code.ANSWER_TOO_LARGE
    assert "100000 bytes" in error.message
    assert memory() - before < 60_000  # KiB


async def test_a_bomb_is_not_unpacked() -> None:
    """256 MB in 1 MB: only as much is unpacked as may be kept."""
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * 2**22) for _ in range(64)) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    before = memory()
    error = await failure(sends(head, bomb), answer_bytes=2**21)
    assert error.code is Code.ANSWER_TOO_LARGE
    assert memory() - before < 60_000  # KiB


@pytest.mark.parametrize(("size", "fits"), [(5000, True), (5001, False)])
@pytest.mark.parametrize("kind", ["length", "chunked", "gzip"])
async def test_the_limit_is_exact(size: int, fits: bool, kind: str) -> None:
    body = b"x" * size
    answers = {
        "length": plain_answer(body),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size + body + b"\r\n0\r\n\r\n",
        "gzip": plain_answer(gzip.compress(body), headers="Content-Encoding: gzip\r\n"),
    }
    if fits:
        assert (await ask(sends(answers[kind]), answer_bytes=5000)).body == body
    else:
        assert (await failure(sends(answers[kind]), answer_bytes=5000)).code is Code.ANSWER_TOO_LARGE


# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, signed by itself, and a server's context with it."""
    import datetime as dt
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate, private = tmp_path / "ca.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


async def test_a_certificate_of_an_unknown_authority_is_refused_before_the_token_leaves(
    authority: tuple[Path, ssl.SSLContext],
) -> None:
    async with raw_server(sends(plain_answer()), tls=authority[1]) as server, client_of(server.url) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit())
    assert error.value.code is Code.UNREACHABLE
    assert "certificate" in error.value.message
    assert server.heard == []


async def test_a_certificate_of_the_named_authority_is_accepted(authority: tuple[Path, ssl.SSLContext]) -> None:
    certificate, context = authority
    async with raw_server(sends(plain_answer()), tls=context) as server, client_of(server.url, ca_file=certificate) as client:
        assert (await client.exchange(LIST, visit())).status == 200


@pytest.mark.parametrize("url", ["http://exa\x01mple", "http://[zz]", "http://\N{SNOWMAN}"])
def test_an_address_that_cannot_be_asked_is_a_settings_error_that_names_the_key(url: str) -> None:
    with pytest.raises(SettingsError, match=r"sites\.here\.url: is not a URL \([^)]+\)\. "):
        SiteClient(SiteSettings.model_construct(**{**dict(settings_for("http://x")), "url": url}))


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "%20", "-", "xn--a", "."])
async def test_a_host_that_cannot_be_is_a_failure_not_a_crash(host: str) -> None:
    async with client_of(f"http://{host}") as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit(2.0))
    assert error.value.code in (Code.UNREACHABLE, Code.BAD_ANSWER, Code.TIMEOUT)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_bad_authority_file_is_a_settings_error_that_names_the_key(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"sites\.here\.ca_file") as error:
        SiteClient(settings_for("https://127.0.0.1", ca_file=path))
    assert str(path) in error.value.message


async def test_plain_http_where_tls_is_spoken_is_a_failure_not_a_crash(authority: tuple[Path, ssl.SSLContext]) -> None:
    tls = raw_server(sends(plain_answer()), tls=authority[1])
    async with tls as server, client_of(server.url.replace("https", "http")) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit(2.0))
    assert error.value.code in (Code.CONNECTION_LOST, Code.BAD_ANSWER)


async def test_tls_where_plain_http_is_spoken_is_a_failure_not_a_crash() -> None:
    async with raw_server(sends(plain_answer())) as server, client_of(server.url.replace("http", "https")) as client:
        with pytest.raises(SiteError) as error:
            await client.exchange(LIST, visit(2.0))
    assert error.value.code in (Code.UNREACHABLE, Code.CONNECTION_LOST, Code.TIMEOUT)


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
