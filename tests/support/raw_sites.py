"""A healthy site behind a raw socket: an ``Upstream`` as a ``RawServer`` serves it."""

from __future__ import annotations

import asyncio

from ccgateway.site.exchange import SiteRequest
from support.raw_server import Handler, Heard, Then, plain_answer
from support.scripted import context_for
from support.upstream import Upstream

__all__ = ["serving"]


def serving(upstream: Upstream) -> Handler:
    """A healthy site."""

    async def answer(heard: Heard, writer: asyncio.StreamWriter) -> Then:
        answer = await upstream.exchange(SiteRequest(heard.method, heard.target, heard.body or None), context_for())
        headers = f"Content-Type: {answer.media_type}\r\n"
        writer.write(plain_answer(answer.body, status=f"{answer.status} X", headers=headers))
        return "keep"

    return answer
