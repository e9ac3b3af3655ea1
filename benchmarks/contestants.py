"""Who is measured, how each is asked the same thing, and how its answer is read so that all can be held against each other.

``ccgateway``, the naive baseline and Mercurius answer the same documents. Tailcall cannot merge lists: it is asked for the list
of every site, each a field of its own. The bare forwarder is asked for addresses. What their answers lack (the site's name in ids
and jobs, times as text, the merge) is added when they are read, so that it costs them nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from benchmarks.load import post
from benchmarks.peers import mercurius, missing, tailcall
from benchmarks.processes import GatewayProcess, Site, naive, ours, python, told

__all__ = ["LONG", "SHORT", "Contestant", "Question", "Row", "contestants", "forwarder", "picked"]

SHORT = "id site jobId user cluster startTime duration numNodes state"
LONG = f"{SHORT} project subCluster partition walltime energy tags {{ type name scope }} resources {{ hostname hwthreads }}"
_METRICS = "name scope metric { unit { prefix base } timestep series { hostname statistics { avg min max } data } }"
_ENVELOPE = f"{{ data {{ jobMetrics {{ {_METRICS} }} }} }}"

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """The newest ``size`` jobs of ``sites`` (with ``metrics`` of each, if any); with ``job`` that job's metrics instead."""

    sites: tuple[str, ...]
    size: int = 0
    fields: str = SHORT
    metrics: tuple[str, ...] = ()
    job: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the plain fields, those that are not nested."""
        return tuple(name for name in self.fields.partition("tags")[0].split())


class Contestant:
    """One that answers the documents that ccgateway does."""

    def __init__(self, name: str, serve: Callable[[Sequence[Site]], AbstractContextManager[GatewayProcess]]) -> None:
        self.name, self.serve = name, serve

    def body(self, question: Question) -> bytes:
        """The request's."""
        if question.job is not None:
            document = "query ($id: ID!, $metrics: [String!]) { jobMetrics(id: $id, metrics: $metrics, scopes: [node]) { %s } }"
            return _body(document % _METRICS, id=f"{question.sites[0]}:{question.job}", metrics=question.metrics)
        fields, names = question.fields, json.dumps(list(question.metrics))
        if question.metrics:
            fields += f" metrics(metrics: {names}, scopes: [node]) {{ {_METRICS} }}"
        page = f"page: {{ itemsPerPage: {question.size}, page: 1 }}, sites: {json.dumps(question.sites)}"
        return _body(f"{{ jobs({page}) {{ items {{ {fields} }} }} }}")

    def request(self, question: Question) -> bytes:
        """The request, head and body."""
        return post(self.body(question))

    def read(self, answer: bytes, question: Question) -> list[Row]:
        """What it says: jobs, or metrics of one. Raises ``RuntimeError`` for an error."""
        data = _data(answer)
        rows: list[Row] = data["jobMetrics"] if question.job is not None else data["jobs"]["items"]
        return rows


class _Tailcall(Contestant):
    def body(self, question: Question) -> bytes:
        if question.job is not None:
            field = f"{question.sites[0]}Metrics(id: $id, metrics: $metrics, scopes: $scopes)"
            document = f"query ($id: Int!, $metrics: [String!]!, $scopes: [String!]!) {{ {field} {_ENVELOPE} }}"
            return _body(document, id=question.job, metrics=question.metrics, scopes=["node"])
        fields = question.fields.replace("site ", "").replace("state", "state: jobState")
        if question.metrics:
            fields += f' metrics(metrics: {json.dumps(list(question.metrics))}, scopes: ["node"]) {_ENVELOPE}'
        lists = (f"{site}(n: {question.size}) {{ jobs {{ {fields} }} }}" for site in question.sites)
        return _body(f"{{ {' '.join(lists)} }}")

    def read(self, answer: bytes, question: Question) -> list[Row]:
        data = _data(answer)
        if question.job is not None:
            rows: list[Row] = data[f"{question.sites[0]}Metrics"]["data"]["jobMetrics"]
            return rows
        jobs: list[tuple[str, Row]] = [(site, row) for site in question.sites for row in data[site]["jobs"]]
        if question.metrics:
            jobs = [(site, {**row, "metrics": row["metrics"]["data"]["jobMetrics"]}) for site, row in jobs]
        return _merged(jobs, question)


class _Forwarder(Contestant):
    def body(self, question: Question) -> bytes:
        metrics = "?" + urlencode({"metric": question.metrics, "scope": "node"}, doseq=True)
        if question.job is not None:
            return json.dumps([[question.sites[0], f"/api/jobs/metrics/{question.job}{metrics}"]]).encode()
        asked = [[site, f"/api/jobs/?items-per-page={question.size}&page=1"] for site in question.sites]
        if question.metrics:  # it cannot know which jobs those are: any will do
            asked += [[question.sites[0], f"/api/jobs/metrics/{number}{metrics}"] for number in range(1, question.size + 1)]
        return json.dumps(asked).encode()

    def read(self, answer: bytes, question: Question) -> list[Row]:
        came = json.loads(answer)
        if question.job is not None:
            return [picked(piece) for piece in came["data"]["jobMetrics"]]
        came = came if isinstance(came, list) else [came]
        pages, metrics = came[: len(question.sites)], came[len(question.sites) :]
        jobs = []
        for site, page in zip(question.sites, pages, strict=True):
            for number, row in enumerate(page["jobs"]):
                job = {name: row.get("jobState" if name == "state" else name) for name in question.names}
                if "resources" in question.fields:
                    job["tags"] = [{key: tag[key] for key in ("type", "name", "scope")} for tag in row.get("tags", ())]
                    job["resources"] = [{key: host.get(key) for key in ("hostname", "hwthreads")} for host in row["resources"]]
                if metrics:
                    job["metrics"] = [picked(piece) for piece in metrics[number]["data"]["jobMetrics"]]
                jobs.append((site, job))
        return _merged(jobs, question)


def picked(piece: Row) -> Row:
    """Of a metric as 1.5 has it what the documents ask for."""
    metric = piece["metric"]
    series = [{key: one[key] for key in ("hostname", "statistics", "data")} for one in metric["series"]]
    return {**piece, "metric": {"unit": metric["unit"], "timestep": metric["timestep"], "series": series}}


def _merged(jobs: Sequence[tuple[str, Row]], question: Question) -> list[Row]:
    """As ccgateway has them: in its order, cut where it cuts."""
    ordered = sorted(jobs, key=lambda job: (-job[1]["startTime"], job[0], job[1]["cluster"], job[1]["jobId"]))
    return [
        {
            **row,
            "site": site,
            "id": f"{site}:{row['id']}",
            "startTime": datetime.fromtimestamp(row["startTime"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **({"tags": row["tags"] or []} if "tags" in row else {}),  # a site sends none where there are none
        }
        for site, row in ordered[: question.size]
    ]


def _body(document: str, **variables: object) -> bytes:
    return json.dumps({"query": document, "variables": variables}).encode()


def _data(answer: bytes) -> Any:
    decoded = json.loads(answer)
    if decoded.get("errors") or not decoded.get("data"):
        raise RuntimeError(f"an answer with errors: {answer[:500]!r}")
    return decoded["data"]


@contextmanager
def forwarder(sites: Sequence[Site], *, streams: bool = False) -> Iterator[GatewayProcess]:
    """The bare forwarder (``benchmarks.forwarder``) in front of ``sites``."""
    environment = {"FORWARDER_SITES": told(sites), "FORWARDER_STREAMS": "yes" if streams else ""}
    with TemporaryDirectory() as folder, python("benchmarks.forwarder", environment, Path(folder)) as it:
        yield it


def contestants() -> list[Contestant]:
    """Everybody who can be started here; those who cannot are named, with the reason, on standard output."""
    peers = {"Tailcall": _Tailcall("Tailcall", tailcall), "Mercurius": Contestant("Mercurius", mercurius)}
    for name, why in missing().items():
        print(f"\n{name} is left out: {why} (see benchmarks/README.md).")
        del peers[name]
    others = [*peers.values(), Contestant("naive", naive), _Forwarder("bare forwarder", forwarder)]
    return [Contestant("ccgateway", ours), *others]
