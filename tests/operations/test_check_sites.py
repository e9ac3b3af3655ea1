"""What ``check`` says about URLs, releases and sites that are one and the same."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ccgateway.operations.findings import Level
from ccgateway.simulator import Address
from operations.conftest import Start
from operations.desk import Desk, one_problem, one_warning
from support.loopback import self_signed

TOKEN = "aaaaaaaaaa.bbbbbbbbbb.cccccccccc"


@asynccontextmanager
async def other_service(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Something that is not cc-backend: says ``answer`` to whoever asks. Gives its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def http(status: str, kind: str, body: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


async def test_a_port_where_nothing_listens(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    await address.stop()
    desk.add("aurora", address.url, TOKEN)
    result = await desk.check()
    problem = one_problem(result)
    assert problem.key == "sites.aurora.url"
    assert problem.problem == f"127.0.0.1:{address.port} refuses the connection: nothing listens there"
    assert problem.remedy == "Start cc-backend there, or correct the host and port."
    assert not result.sites[0].reachable


async def test_a_host_name_that_is_not_known(desk: Desk) -> None:
    desk.add("aurora", "https://cc.nowhere.invalid", TOKEN)
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.url" and problem.problem == "the host name cc.nowhere.invalid is not known"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http("200 OK", "text/html", "<html><body>Welcome</body></html>"), id="a web page"),
        pytest.param(http("200 OK", "application/json", '{"status": "success"}'), id="another JSON service"),
        pytest.param(http("404 Not Found", "text/html", "<html>nothing here</html>"), id="a web server without it"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="not HTTP at all"),
    ],
)
async def test_what_answers_is_not_cc_backend(answer: bytes, desk: Desk) -> None:
    async with other_service(answer) as port:
        desk.add("aurora", f"http://127.0.0.1:{port}", TOKEN)
        problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.url"
    assert f"what answers at http://127.0.0.1:{port} is not cc-backend" in problem.problem
    assert "base URL" in problem.remedy


async def test_the_url_of_a_page_instead_of_the_base_url(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", f"{address.url}/monitoring/jobs", address.site.token("demo"))
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.url" and "without the path of a page" in problem.remedy


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (lambda a: a.site.faults.hang(), "does not answer within 0.4 s"),
        (lambda a: a.site.faults.close(), "closes the connection instead of answering"),
        (lambda a: a.site.faults.redirect("http://elsewhere.example.org"), "redirects to http://elsewhere.example.org"),
        (lambda a: a.site.faults.status(502), "busy or its proxy cannot reach it (HTTP 502)"),
        (lambda a: a.site.faults.status(500), "fails: the site failed (HTTP 500)"),
        (lambda a: a.site.faults.status(500, path="items-per-page=1&"), "fails: "),
    ],
)
async def test_a_site_in_trouble(fail: Callable[[Address], object], said: str, start: Start, desk: Desk) -> None:
    address = await start("1.5")
    fail(address)
    desk.add("aurora", address.url, address.site.token("demo"), "timeout = 0.4" if "0.4 s" in said else "")
    assert said in one_problem(await desk.check()).problem


async def test_plain_http_where_the_url_says_https(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", f"https://127.0.0.1:{address.port}", TOKEN)
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.url" and "does not speak TLS" in problem.problem
    assert "Write http://" in problem.remedy


async def test_a_certificate_that_nobody_vouches_for_until_ca_file_names_it(tmp_path: Path, desk: Desk) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with other_service(http("404 Not Found", "text/plain", "404 page not found\n"), tls) as port:
        desk.add("aurora", f"https://localhost:{port}", TOKEN)
        refused = one_problem(await desk.check())
        assert refused.problem.startswith(f"the TLS certificate of localhost:{port} is not accepted")
        assert "set ca_file" in refused.remedy
        desk.text = ""
        desk.add("aurora", f"https://localhost:{port}", TOKEN, f'ca_file = "{certificate.name}"')
        assert "is not cc-backend" in one_problem(await desk.check()).problem


def proxied(upstream: str, offset: float) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Passes one request on to ``upstream``; the clock of what answers is off by so many seconds."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        body = await reader.readexactly(int(length[1])) if length is not None else b""
        split = urlsplit(upstream)
        there, here = await asyncio.open_connection(split.hostname, split.port)
        here.write(re.sub(rb"(?i)connection: [^\r]*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        answer = await there.read()
        date = formatdate(time.time() + offset, usegmt=True).encode()
        status, rest = re.sub(rb"(?im)^date: [^\r]*\r\n", b"", answer, count=1).split(b"\r\n", 1)
        writer.write(status + b"\r\nDate: " + date + b"\r\n" + rest)
        await writer.drain()
        for one in (here, writer):
            one.close()

    return handle


@pytest.mark.parametrize(
    ("offset", "hours", "said"),
    [
        (3600, 24 * 90, "the site's clock is 3600 s ahead of this machine's"),
        (-7200, 24 * 90, "the site's clock is 7200 s behind this machine's"),
        (0, 24 * 13, "the TLS certificate of localhost expires on"),
        (0, 24 * 90, None),
    ],
)
async def test_a_clock_that_is_off_and_a_certificate_that_ends_are_worth_a_word(
    offset: float, hours: float, said: str | None, tmp_path: Path, start: Start, desk: Desk
) -> None:
    address = await start("1.5")
    certificate, key = self_signed(tmp_path, hours=hours)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with await asyncio.start_server(proxied(address.url, offset), "127.0.0.1", 0, ssl=tls) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        desk.add("aurora", url, address.site.token("demo"), f'ca_file = "{certificate.name}"')
        warnings = [one for one in await desk.check() if one.level is Level.WARNING]
    if said is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert warning.key == "sites.aurora.url"
        assert re.sub(r"\b(3599|3601)\b", "3600", re.sub(r"\b(7199|7201)\b", "7200", warning.problem)).startswith(said)


@pytest.mark.parametrize(("hours", "level"), [(24 * 13, Level.WARNING), (-1, Level.PROBLEM), (24 * 15, None)])
@pytest.mark.parametrize(("section", "names"), [("server", ("tls_cert", "tls_key")), ("grpc", ("cert_file", "key_file"))])
async def test_the_gateways_own_certificates_are_looked_at(
    section: str, names: tuple[str, str], hours: float, level: Level | None, start: Start, desk: Desk
) -> None:
    address = await start("1.5")
    self_signed(desk.folder, hours=hours)
    desk.text = f'[{section}]\n{names[0]} = "cert.pem"\n{names[1]} = "key.pem"\nport = 0\n'
    desk.add("aurora", address.url, address.site.token("demo"))
    found = [(one.level, one.key) for one in await desk.check()]
    assert found == ([] if level is None else [(level, f"{section}.{names[0]}")])


async def test_a_ca_file_that_is_none_is_named(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.token("demo"), 'ca_file = "ca.pem"')
    (desk.folder / "ca.pem").write_text("not a certificate")
    assert one_problem(await desk.check()).key == "sites.aurora.ca_file"


@pytest.mark.parametrize("answers", ["1.2", "1.3", "1.4", "1.5", "howto"])
async def test_another_release_than_configured_says_which_to_write(answers: str, start: Start, desk: Desk) -> None:
    address = await start(answers)
    configured = "1.4" if answers != "1.4" else "1.5"
    desk.add("aurora", address.url, address.site.token("demo"), f'release = "{configured}"')
    problem = one_problem(await desk.check())
    assert problem.key == "sites.aurora.release"
    assert problem.problem == f"the settings say {configured}, but cc-backend {answers} answers"
    assert problem.remedy == f'Set release = "{answers}" (or "auto").'


async def test_the_release_that_is_configured_is_good(start: Start, desk: Desk) -> None:
    address = await start("1.3")
    desk.add("aurora", address.url, address.site.token("demo"), 'release = "1.3"')
    assert (await desk.check()).is_good


async def test_one_instance_under_two_names_is_a_problem_of_the_second(start: Start, desk: Desk) -> None:
    address, other = await start("1.5"), await start("1.4", "borealis")
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("again", f"http://localhost:{address.port}", address.site.token("demo"))
    desk.add("borealis", other.url, other.site.token("demo"))
    result = await desk.check()
    problem = one_problem(result)
    assert (problem.key, problem.problem) == ("sites.again.url", "this is the same instance as site aurora")
    assert [site.same_as for site in result.sites] == [None, "aurora", None]


async def test_a_site_that_gives_anothers_jobs_is_the_operators_to_judge(start: Start, desk: Desk) -> None:
    address, copy = await start("1.5", "aurora"), await start("1.5", "aurora")
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("again", copy.url, copy.site.token("demo"))
    problem = one_problem(await desk.check())
    assert problem.key == "sites.again.same_as"
    assert problem.problem == "it gives the same jobs as site aurora: it is the same instance, or repeats what that one says"
    desk.file.write_text(desk.text + 'same_as = "aurora"\n')
    result = await desk.check()
    assert result.is_good and result.sites[1].same_as == "aurora"


async def test_one_url_twice_is_a_problem_even_where_nothing_can_be_read(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("again", address.url, address.site.mint("demo", ["admin", "api"], exp=1))
    assert "this is the same instance as site aurora" in [finding.problem for finding in await desk.check()]


async def test_two_instances_with_a_cluster_of_the_same_name_are_worth_a_word(start: Start, desk: Desk) -> None:
    address, other = await start("1.5"), await start("1.4", "borealis", cluster="aurora", seed=2)
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("borealis", other.url, other.site.token("demo"))
    result = await desk.check()
    assert result.is_good and one_warning(result).problem == "aurora and borealis both have a cluster aurora"


async def test_a_site_that_hangs_delays_the_others_by_nothing(start: Start, desk: Desk) -> None:
    address, other = await start("1.5"), await start("1.4", "borealis")
    other.site.faults.hang()
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.add("borealis", other.url, other.site.token("demo"), "timeout = 0.5")
    started = asyncio.get_running_loop().time()
    result = await desk.check()
    assert asyncio.get_running_loop().time() - started < 3
    assert result.sites[0].is_good and not result.sites[1].is_good


async def test_an_address_that_others_can_reach_is_a_problem(start: Start, desk: Desk) -> None:
    address = await start("1.5")
    desk.add("aurora", address.url, address.site.token("demo"))
    desk.file.write_text(desk.text + '[server]\nhost = "0.0.0.0"\n')
    assert one_problem(await desk.check()).key == "server.host"


async def test_a_file_without_sites_shows_how_to_write_one(desk: Desk) -> None:
    desk.file.write_text("")
    problem = one_problem(await desk.check())
    assert problem.key == "sites" and "[sites.aurora]" in problem.remedy


async def test_plain_http_across_the_network_is_a_warning(desk: Desk) -> None:
    desk.add("aurora", "http://cc.nowhere.invalid", TOKEN)
    assert "unencrypted" in one_warning(await desk.check()).problem
