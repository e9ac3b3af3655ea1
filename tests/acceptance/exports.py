"""Exports, read as a client reads them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp
import msgspec

from acceptance.conftest import Front

__all__ = ["Export", "export", "read_csv", "read_lines"]


@dataclass
class Export:
    """What came: ``rows`` as lines; ``end`` is ``None`` where it was cut; ``marks``: after so many rows here, a token."""

    begin: dict[str, Any]
    lines: list[bytes]
    marks: list[tuple[int, str, int]]
    end: dict[str, Any] | None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self.lines]

    @cached_property
    def keys(self) -> list[tuple[str, str, int, int]]:
        return [(row["site"], row["cluster"], row["jobId"], row["startTime"]) for row in self.rows]


def read_lines(body: bytes) -> Export:
    """An export of JSON lines, of which the last may be cut."""
    found = Export({}, [], [], None)
    for line in body.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        if line.startswith(b'{"export":'):
            found.begin = json.loads(line)
        elif line.startswith(b'{"resume":'):
            mark = json.loads(line)
            found.marks.append((len(found.lines), mark["resume"], mark["rows"]))
        elif line.startswith(b'{"end":'):
            found.end = json.loads(line)
        else:
            found.lines.append(line)
    if found.end is not None:
        assert body.endswith(b"\n") and found.end["rows"] == len(found.lines)
        assert found.end["sha256"] == hashlib.sha256(b"".join(found.lines)).hexdigest()
    return found


def read_csv(body: bytes) -> tuple[list[str], list[list[str]], dict[str, Any]]:
    """Header, rows and the end of an export of CSV."""
    text = body.decode()
    start = text.rindex("\n# ") + 1
    header, *rows = csv.reader(io.StringIO(text[:start], newline=""))
    return header, rows, json.loads(text[start + 2 :])


async def export(front: Front, parameters: str = "", *, kind: str = "jobs", **headers: str) -> Export:
    """The whole of an export of JSON lines."""
    return read_lines(await body_of(front, parameters, kind=kind, **headers))


async def body_of(front: Front, parameters: str = "", *, kind: str = "jobs", **headers: str) -> bytes:
    """The body of an export of any format."""
    url = front.url.removesuffix("/graphql") + f"/export/{kind}?{parameters}"
    async with front.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(300)) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return body


async def refusal(front: Front, parameters: str, *, kind: str = "jobs") -> tuple[int, dict[str, Any]]:
    """Status and body of an export that is refused."""
    url = front.url.removesuffix("/graphql") + f"/export/{kind}?{parameters}"
    async with front.session.get(url) as answer:
        return answer.status, await answer.json()


async def cut(front: Front, parameters: str, most: int) -> Export:
    """What comes of an export until about ``most`` bytes were read and the connection is thrown away."""
    url = front.url.removesuffix("/graphql") + f"/export/jobs?{parameters}"
    body = b""
    async with front.session.get(url, headers={"Accept-Encoding": "identity"}) as answer:
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) >= most:
                answer.close()
                break
    return read_lines(body[:most])


def keys_of(jobs: Sequence[dict[str, Any]], site: str) -> list[tuple[str, str, int, int]]:
    return [(site, job["cluster"], job["jobId"], job["startTime"]) for job in jobs]
