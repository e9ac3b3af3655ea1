"""Only the gateway's own names are served: a page that rebinds its name to loopback is not."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Message, Scope

from ccgateway.app import create_app
from ccgateway.settings import CallerSettings, LimitSettings, ServerSettings, Settings
from ccgateway.surfaces.hosts import LOOPBACK_HOSTS, HostCheck
from surfaces.apps import client_of


async def status(hosts: list[str], allowed: frozenset[str] | None = LOOPBACK_HOSTS) -> int:
    """The HTTP status of a request with these Host headers."""

    async def hello(_request: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    scope: Scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"", "headers": headers,
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 5),
    }  # fmt: skip
    await HostCheck(Starlette(routes=[Route("/", hello)]), allowed)(scope, receive, send)
    found: int = sent[0]["status"]
    return found


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LocalHost:8080", "localhost.", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"]
)
async def test_names_of_this_machine_are_served(host: str) -> None:
    assert await status([host]) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "localhost.evil.example", "evil-localhost", "127.0.0.1.nip.io",
        "localhost@evil.example", "",
        "localhost:8080:80", "localhost/evil", "[::1", "::1", "[::2]", "localhost evil", "localhost:", "127.0.0.1\u00e9",
    ],
)  # fmt: skip
async def test_other_names_are_not(host: str) -> None:
    assert await status([host]) == 403


async def test_a_missing_or_doubled_name_is_not() -> None:
    assert await status([]) == 403
    assert await status(["localhost", "localhost"]) == 403


@pytest.mark.parametrize("host", ["[::ffff:127.0.0.1]:8080", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]:8080", "[::FFFF:127.0.0.1]"])
async def test_an_address_may_be_written_in_any_way(host: str) -> None:
    assert await status([host]) == 200
    assert await status([host], frozenset({"127.0.0.2"})) == 403


@pytest.mark.parametrize(
    ("listens", "host", "found"),
    [
        ("127.0.0.2", "127.0.0.2:8080", 200), ("127.0.0.2", "localhost", 200), ("127.0.0.2", "127.0.0.3", 403),
        ("[::1]", "[::1]:8080", 200), ("127.0.0.1", "127.0.0.2", 403), ("127.0.0.1", "evil.example", 403),
    ],
)  # fmt: skip
async def test_the_gateway_answers_under_the_address_it_listens_on(listens: str, host: str, found: int) -> None:
    server = ServerSettings(host=listens)  # type: ignore[call-arg]
    app = create_app(Settings.model_construct(server=server, caller=CallerSettings(), limits=LimitSettings(), sites={}))  # type: ignore[call-arg]
    async with client_of(app) as client:
        response = await client.get("/health/live", headers={"host": host})
    assert response.status_code == found
    assert response.headers["cache-control"] == "no-store"


async def test_the_names_can_be_others_or_all() -> None:
    assert await status(["gateway.example:443"], frozenset({"gateway.example"})) == 200
    assert await status(["localhost"], frozenset({"gateway.example"})) == 403
    assert await status(["evil.example"], None) == 200
