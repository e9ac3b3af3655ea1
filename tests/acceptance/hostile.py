"""Sites that send what they should not, beside a healthy one: one gateway over hundreds of them, each hostile in its own way.

A hostile site is an ordinary one in whose answers a value was put in the place of another, as raw bytes; all of them are served
by one socket, each under a path of its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from jwt import encode

from acceptance.conftest import PATIENT, PATIENT_SITES
from acceptance.recorded import serving
from ccgateway.settings import Settings
from ccgateway.site.exchange import SiteAnswer, SiteRequest
from support.raw_server import Heard, Then, plain_answer, raw_server
from support.scripted import context_for
from support.upstream import Job, Upstream, piece

__all__ = ["HEALTHY", "REFUSED", "SPOILED", "UNSEEN", "UNUSUAL", "Front", "HostileSite", "front", "healthy_jobs", "read"]

#: what is no JSON in UTF-8, or none that everybody can read
SPOILED: dict[str, bytes] = {
    "a bare continuation byte": b'"\x80"', "an overlong byte": b'"\xc0\xaf"', "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a cut character": b'"\xe2\x82"', "beyond Unicode": b'"\xf4\x90\x80\x80"', "half a pair": rb'"\ud800"',
    "the other half": rb'"a\udc00"', "5,000 digits": b"9" * 5000, "5,000 decimals": b"-0." + b"3" * 5000,
    "an exponent of 5,000 digits": b"1e" + b"9" * 5000, "NaN": b"NaN", "-Infinity": b"-Infinity",
    "depth": b"[" * 5000 + b"]" * 5000, "depth of objects": b'{"a":' * 5000 + b"1" + b"}" * 5000, "NUL": b'"\x00"',
    "ESC": b'"\x1b[2J"', "a line's end": b'"\n"',
}  # fmt: skip
#: texts that are proper JSON, and that no terminal, log or message may have as they are
UNSEEN: Mapping[str, bytes] = {
    "an escaped NUL": rb'"a\u0000b"', "an escaped ESC": rb'"a\u001b[2Jb"', "C1": '"a\u009b2Jb"'.encode(),
    "an escaped C1": rb'"a\u009b2Jb"', "a turned text": '"a\u202eb"'.encode(), "an escaped turn": rb'"a\u202eb"',
    "line ends": rb'"a\r\n\u2028b"', "half a tag": b'"\\"}],<a>&"',
}  # fmt: skip
#: what is odd, and JSON: it passes where it is passed on unread, else it is refused
UNUSUAL: dict[str, bytes] = {
    "one key thrice": b'{"a":"1","a":"2","a":"3"}', "a long text": b'"' + b"x" * 100_000 + b'"', "1e999": b"1e999",
    "2 ** 63 - 1": b"%d" % (2**63 - 1), "40 digits": b"-" + b"9" * 40, "depth, of 50": b"[" * 50 + b"]" * 50,
}  # fmt: skip

#: how a site is told of that is not understood
REFUSED = frozenset({"BAD_ANSWER", "WRONG_RELEASE"})
HEALTHY = "healthy"
#: of an administrator; releases up to 1.3 are asked with no token that does not say whose it is
TOKEN = encode({"sub": "demo", "roles": ["admin", "api"]}, "a key of the site's own, of thirty-two bytes")
RELEASES = ("1.5", "1.4", "1.3", "1.2", "howto")


@dataclass
class HostileSite:
    """One site. ``puts``: what stands in its answers, and what is put there; ``always``: its whole answer to everything;
    ``is_large``: its metrics are of the size from which on samples are cut out unread."""

    release: str
    is_large: bool = False
    puts: tuple[bytes, bytes] = (b"", b"")
    always: SiteAnswer | None = None
    number: int = 0
    has_put: bool = False
    upstream: Upstream = field(default_factory=Upstream)

    def put(self, there: bytes, value: bytes) -> None:
        """From now on ``value`` stands where ``there`` stood."""
        self.puts, self.has_put = (there, value), False

    @property
    def name(self) -> str:
        return f"site-{self.number}"

    def settle(self, number: int) -> None:
        """Becomes site ``number``, with one job of its own, whose metrics, cluster and owner can be asked for, too."""
        self.number = number
        release = "1.5" if self.release == "howto" else self.release
        job = Job(
            70_000 + number, 1_600_000_000 + number, f"cluster{number}", user="mallory", name="a job", state="completed",
            footprint={"load_avg": 1.5}, tags=[("kind", "mark", "global", 77)],
        )  # fmt: skip
        self.upstream = Upstream([job], release=release)
        self.upstream.clusters = [{"name": job.cluster, "metricConfig": [{"name": "load", "unit": {"base": "F"}}]}]
        self.upstream.users = {"mallory": ("user",)}
        self.upstream.metrics = {
            1: [piece("load"), piece("mem_bw", "socket"), large_piece()] if self.is_large else [piece("load")]
        }

    async def answer(self, request: SiteRequest) -> SiteAnswer:
        if self.always is not None:
            return self.always
        if self.release == "howto":
            request = SiteRequest(request.method, _as_released(request.path), request.body)
        given = await self.upstream.exchange(request, context_for())
        there, put = (part.replace(b'"mine"', b'"cluster%d"' % self.number) for part in self.puts)
        self.has_put = self.has_put or (there != b"" and there in given.body)
        return SiteAnswer(given.status, given.media_type, given.body.replace(there, put) if there else given.body)


def large_piece() -> dict[str, Any]:
    """Metrics of 170 kB."""
    found = piece("flops", "core")
    series = found["metric"]["series"][0]
    found["metric"]["series"] = [series | {"id": str(i), "data": [7.25] * 1000} for i in range(32)]
    return found


def _as_released(target: str) -> str:
    """The how-to page's question for a list, as releases are asked."""
    split = urlsplit(target)
    query = dict(parse_qsl(split.query))
    if "items_per_page" not in query:
        return target
    window = f"{query['startTime[from]']}-{query['startTime[to]']}"
    return f"{split.path}?" + urlencode(
        {"start-time": window, "items-per-page": query["items_per_page"], "with-metadata": "true"}
    )


@dataclass(frozen=True)
class Front:
    """A client of the gateway, and the hostile sites behind it by name."""

    client: httpx.AsyncClient
    sites: Mapping[str, HostileSite]
    sections: Mapping[str, Any]

    async def ask(self, query: str, **variables: Any) -> Any:
        return read(await self.client.post("/graphql", json={"query": query, "variables": variables}))

    async def get(self, path: str, **headers: str) -> Any:
        return read(await self.client.get(path, headers=headers))


@asynccontextmanager
async def front(hostile: Iterable[HostileSite], **settings: Any) -> AsyncIterator[Front]:
    """A gateway over a healthy site and ``hostile`` ones."""
    sites = {}
    for number, one in enumerate(hostile, 2):
        one.settle(number)
        sites[one.name] = one
    healthy = Upstream([Job(i, 1_600_000_500 + 10 * i, name="a good job") for i in range(5)])

    async def answer(heard: Heard, writer: asyncio.StreamWriter) -> Then:
        _, name, path = heard.target.split("/", 2)
        request = SiteRequest(heard.method, f"/{path}", heard.body or None)
        given = await (healthy.exchange(request, context_for()) if name == HEALTHY else sites[name].answer(request))
        writer.write(plain_answer(given.body, status=f"{given.status} X", headers=_headers(given)))
        return "keep"

    async with raw_server(answer) as server:
        sections = {
            HEALTHY: {
                "number": 1,
                "url": f"{server.url}/{HEALTHY}",
                "token": TOKEN,
                "release": "1.5",
                **PATIENT_SITES,
            }
        }
        for one in sites.values():
            sections[one.name] = {
                "number": one.number, "url": f"{server.url}/{one.name}", "token": TOKEN, "release": one.release,
                **PATIENT_SITES,
            }  # fmt: skip
        given = Settings.model_validate({"sites": sections, "limits": PATIENT, "cache": {"list_for": 60}, **settings})
        async with serving(given) as client:
            client.timeout = httpx.Timeout(120)
            yield Front(client, sites, sections)


def _headers(answer: SiteAnswer) -> str:
    location = f"Location: {answer.location}\r\n" if answer.location else ""
    return f"Content-Type: {answer.media_type}\r\n{location}"


def read(answer: httpx.Response) -> Any:
    """The body of an answer, which has to be JSON in UTF-8 without half characters, under heads of ordinary length."""
    assert max(map(len, answer.headers.values())) < 4096
    value = json.loads(answer.content.decode("utf-8"), parse_constant=_refuse)
    json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def healthy_jobs(jobs: Iterable[Mapping[str, Any]]) -> int:
    """How many of the healthy site's jobs are among them."""
    return sum(job["site"] == HEALTHY if "site" in job else job["cluster"] == "alex" for job in jobs)
