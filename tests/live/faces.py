"""The two ways in which the tests ask the gateway: as a library, and as a served process over HTTP. Both give ``Page``s."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from ccgateway.federation.gateway import Gateway
from ccgateway.federation.questions import JobListQuestion
from ccgateway.identity.principal import Principal
from ccgateway.jobs.filters import FloatRange, IntRange, JobFilter, MetricStat, StringInput, TimeRange
from ccgateway.settings import LimitSettings, SiteSettings
from ccgateway.site.registry import Registry
from live.truth import Key

__all__ = ["CALLER", "Face", "Http", "InProcess", "Page", "gateway_over", "served"]

CALLER = Principal("live")

Filters = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Page:
    """One page: the keys in the order in which they came, how to read on, and each site's status and code."""

    keys: list[Key]
    end: str | None
    has_next: bool
    complete: bool
    reports: dict[str, tuple[str, str | None, str | None]]


class Face(Protocol):
    """Something that gives pages."""

    async def page(self, filters: Filters, *, first: int, after: str | None = None) -> Page:
        """One page of the list."""
        ...


# --- as a library


@asynccontextmanager
async def gateway_over(sites: Sequence[SiteSettings], **limits: Any) -> AsyncIterator[Gateway]:
    """The gateway in this process."""
    gateway = Gateway(Registry(sites), LimitSettings.model_validate(limits))
    try:
        yield gateway
    finally:
        await gateway.aclose()


@dataclass(frozen=True)
class InProcess:
    """``Gateway`` called directly."""

    gateway: Gateway

    async def page(self, filters: Filters, *, first: int, after: str | None = None) -> Page:
        """One page."""
        values = tuple(filter_value(one) for one in filters)
        answer = await self.gateway.jobs(JobListQuestion(filters=values, first=first, after=after), CALLER)
        return Page(
            [Key(row.start_time, row.site, row.cluster, row.job_id) for row in answer.rows],
            answer.end_cursor,
            answer.has_next_page,
            answer.complete,
            {report.site: (report.status.value, report.code, report.message) for report in answer.reports},
        )


def filter_value(wanted: Mapping[str, Any]) -> JobFilter:
    """A filter of GraphQL variables as the gateway's own value."""
    values: dict[str, Any] = {}
    for name, value in wanted.items():
        attribute = "num_hw_threads" if name == "numHWThreads" else re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name)
        match attribute:
            case "user" | "project" | "cluster" | "sub_cluster" | "partition" | "job_id" | "job_name" | "node":
                values[attribute] = StringInput(
                    eq=value.get("eq"),
                    neq=value.get("neq"),
                    starts_with=value.get("startsWith"),
                    ends_with=value.get("endsWith"),
                    contains=value.get("contains"),
                    in_=tuple(value["in"]) if value.get("in") is not None else None,
                )
            case "start_time":
                values[attribute] = TimeRange(_seconds(value.get("from")), _seconds(value.get("to")))
            case "energy":
                values[attribute] = FloatRange(value.get("from"), value.get("to"))
            case "metric_stats":
                values[attribute] = tuple(
                    MetricStat(item["metricName"], FloatRange(item["range"].get("from"), item["range"].get("to")))
                    for item in value
                )
            case "state" | "db_id" | "tags":
                values[attribute] = tuple(value)
            case "shared" | "schedule" | "array_job_id":
                values[attribute] = value
            case _:
                values[attribute] = IntRange(value.get("from"), value.get("to"))
    return JobFilter(**values)


def _seconds(text: str | None) -> int | None:
    return int(datetime.fromisoformat(text).timestamp()) if text else None


# --- over HTTP

PAGE = """
query ($filter: [JobFilter!], $first: Int, $after: String) {
  jobs(filter: $filter, first: $first, after: $after) {
    items { site cluster jobId startTime }
    pageInfo { endCursor hasNextPage }
    complete
    sites { site status code message }
  }
}
"""


class Http:
    """A served gateway, asked by GraphQL over one connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def ask(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole answer, errors included."""
        body = json.dumps({"query": document, "variables": variables or {}, "extensions": {"cache": True}})
        self._connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found

    def data(self, document: str, variables: Mapping[str, Any] | None = None) -> Any:
        """The data of an answer that may hold no error."""
        found = self.ask(document, variables)
        assert "errors" not in found, found["errors"]
        return found["data"]

    async def page(self, filters: Filters, *, first: int, after: str | None = None) -> Page:
        """One page. Blocks: nothing else runs in a test that walks."""
        found = self.ask(PAGE, {"filter": list(filters), "first": first, "after": after})
        assert found.get("data"), found
        jobs = found["data"]["jobs"]
        return Page(
            [Key(_start(job["startTime"]), job["site"], job["cluster"], job["jobId"]) for job in jobs["items"]],
            jobs["pageInfo"]["endCursor"],
            jobs["pageInfo"]["hasNextPage"],
            jobs["complete"],
            {report["site"]: (report["status"], report["code"], report["message"]) for report in jobs["sites"]},
        )


def _start(text: str) -> int:
    assert text.endswith("Z"), f"{text} is not UTC"
    return int(datetime.fromisoformat(text).timestamp())


@contextmanager
def served(
    sites: Sequence[SiteSettings],
    folder: Path,
    *,
    prefix: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    cache: str = "list_for = 0",
) -> Iterator[str]:
    """``ccgateway serve`` as a process of its own, set up as an operator would; gives its base URL.

    ``prefix``: a command to run it under (``taskset``, a profiler); ``variables``: more settings, by environment; ``cache``: the
    section of that name (left as it is, lists are asked for every time: what a test changes shows at once).
    """
    lines, tokens = [], {}
    for site in sites:
        variable = f"LIVE_TOKEN_{site.number}"
        tokens[variable] = site.token.get_secret_value() if site.token else ""
        lines.append(
            f'[sites.{site.name}]\nnumber = {site.number}\nurl = "{site.url}"\nrelease = "{site.release}"\n'
            f'timeout = {site.timeout}\ntoken_env = "{variable}"\nreads = "{site.reads}"\n'
        )
    config = folder / "ccgateway.toml"
    config.write_text("\n".join([*lines, "[cache]", cache]))
    command = [*prefix, sys.executable, "-m", "ccgateway", "serve", "--config", str(config), "--port", "0"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CCGATEWAY_")}
    said = folder / "stderr"
    with said.open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=stderr, env={**clean, **tokens, **(variables or {}), "COLUMNS": "200"}
        )
    try:
        yield _address(process, said)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    """What the gateway says of where it listens, once it does."""
    while process.poll() is None:
        if found := re.search(r"(http://\S+?)/graphql", said.read_text()):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"the gateway did not start: {said.read_text()}")
