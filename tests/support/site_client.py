"""How the tests of the client ask: one request of a server that answers as told, and what is left afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from ccgateway.deadline import Deadline
from ccgateway.errors import SiteError
from ccgateway.settings import SiteSettings
from ccgateway.site.client import SiteClient
from ccgateway.site.credentials import Credential
from ccgateway.site.exchange import CallContext, SiteAnswer, SiteRequest
from support.raw_server import Handler, Heard, Then, raw_server, reset

LIST = SiteRequest("GET", "/api/jobs/?start-time=0-5&items-per-page=1")
TOKEN = "secret-canary-token"
CREDENTIAL = Credential(SecretStr(TOKEN), "demo", frozenset({"admin"}), "/api")


def settings_for(url: str, **changes: Any) -> SiteSettings:
    values = {"name": "here", "number": 1, "url": url, "answer_bytes": 100_000, "connect_timeout": 5.0, **changes}
    return SiteSettings.model_validate(values)


@asynccontextmanager
async def client_of(url: str, **changes: Any) -> AsyncIterator[SiteClient]:
    client = SiteClient(settings_for(url, **changes))
    try:
        yield client
    finally:
        await client.aclose()


def context(seconds: float = 5.0) -> CallContext:
    return CallContext(CREDENTIAL, Deadline.after(seconds))


async def ask(answer: Handler, *, seconds: float = 5.0, request: SiteRequest = LIST, **changes: Any) -> SiteAnswer:
    """One request; afterwards no connection may be left on either side."""
    async with raw_server(answer) as server:
        try:
            async with client_of(server.url, **changes) as client:
                return await client.exchange(request, context(seconds))
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
