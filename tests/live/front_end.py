"""The documents of cc-backend 1.5.4's own web front end, read from its source, with the variables that it sends.

``CCGATEWAY_LIVE_FRONT_END`` names the folder ``web/frontend/src`` of a checkout of v1.5.4; nothing of it is kept here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["FRONT_END", "Document", "Subject", "documents_in", "front_end"]

FRONT_END = "CCGATEWAY_LIVE_FRONT_END"
_DOCUMENT = re.compile(r"gql`(.*?)`", re.DOTALL)
_INIT = re.compile(r"\.query\(\s*`(query \{.*?)`", re.DOTALL)
_OF_JOB = re.compile(r"init\(`(.*?)`\)", re.DOTALL)
_COMMENTED = re.compile(r"^\s*//.*$", re.MULTILINE)
_NAME = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Document:
    """One document. ``name``: the file's, and which one of it."""

    name: str
    text: str

    @property
    def reads(self) -> bool:
        return not self.text.lstrip().startswith("mutation")

    @property
    def file(self) -> str:
        return self.name.partition(" ")[0]


@dataclass(frozen=True)
class Subject:
    """What a person looks at: a cluster, a job (its id as the server writes it), a host; and until when (epoch seconds)."""

    cluster: str
    sub_cluster: str
    job: str
    host: str
    user: str
    until: int

    def variables(self, document: Document) -> dict[str, Any]:
        """What the page of that file sends."""
        names = set(_NAME.findall(document.text))
        values = self._of_page(document.file) if document.file in ("User", "Analysis", "List") else {}
        return {name: value for name, value in {**self._common(document), **values}.items() if name in names}

    def _common(self, document: Document) -> dict[str, Any]:
        file = document.file
        running = [{"cluster": {"eq": self.cluster}}, {"state": ["running"]}]
        of_host = [*running, {"node": {"eq": self.host}}]
        size = {"JobList": 10, "NodeList": 10, "NodeListRow": 50}.get(file, -1)
        nodes = {"hostname": {"eq": self.host}} if file == "Node" else {"cluster": {"eq": self.cluster}}
        timed = nodes | {"timeStart": self.until - 14_400}
        scopes = ["core", "socket", "accelerator"] if file == "NodeList" else ["node", "socket", "core"]
        by_file: Mapping[str, Any] = {
            "JobList": [{"cluster": {"eq": self.cluster}}, {"startTime": {"range": "last30d"}}], "Node": of_host,
            "NodeListRow": of_host, "JobCompare": [{"cluster": {"eq": self.cluster}}, {"numNodes": {"from": 2, "to": 64}}],
            "DashInternal": running, "StatisticsDash": running, "UsageDash": running,
        }  # fmt: skip
        filters = timed if "nodeStatesTimed" in document.text else by_file.get(file, running)
        return {
            "cluster": self.cluster, "subCluster": self.sub_cluster, "nodes": [self.host],
            "nodeFilter": self.cluster[0] + "n00" if file == "NodeList" else nodes,
            "jobFilter": running, "jobFilters": running, "filter": filters, "paging": {"itemsPerPage": size, "page": 1},
            "sorting": {"field": "startTime", "type": "col", "order": "DESC"}, "stateFilter": "all",
            "metrics": ["flops_any", "mem_bw"], "nmetrics": ["flops_any", "mem_bw", "cpu_power", "acc_power"],
            "cmetrics": ["flops_any", "mem_bw"], "scopes": scopes, "from": _iso(self.until - 300), "to": _iso(self.until),
            "clusterFrom": _iso(self.until - 3600), "type": "node", "typeNode": "node", "typeHealth": "health",
            "dbid": self.job, "id": self.job, "selectedMetrics": ["cpu_load", "flops_any", "mem_bw"], "selectedScopes": scopes,
            "selectedResolution": 600, "selectedHistograms": ["cpu_load", "mem_bw"], "numDurationBins": "1h",
            "numMetricBins": 10,
        }  # fmt: skip

    def _of_page(self, file: str) -> dict[str, Any]:
        cluster = {"cluster": {"eq": self.cluster}}
        match file:
            case "User":
                return {"jobFilters": [cluster, {"user": {"eq": self.user}}]}
            case "List":
                return {"jobFilters": [cluster, {"numNodes": {"from": 1, "to": 64}}], "fetchRunning": True}
        return {
            "jobFilters": [cluster, {"numNodes": {"from": 2, "to": 64}}, {"state": ["completed"]}],
            "paging": {"itemsPerPage": 10, "page": 1}, "sortBy": "TOTALWALLTIME", "groupBy": "USER",
            "rows": 50, "cols": 50, "minX": 0.01, "minY": 1, "maxX": 1000, "maxY": 5000,
        }  # fmt: skip


def front_end() -> Path | None:
    """The folder, if it is named."""
    folder = os.environ.get(FRONT_END)
    return Path(folder) if folder else None


def documents_in(folder: Path) -> list[Document]:
    """All that the front end may send, in the order of its files."""
    found = [_init(folder, "")]
    (of_job,) = _OF_JOB.findall((folder / "Job.root.svelte").read_text())
    found.append(_init(folder, of_job))
    for path in sorted(folder.rglob("*.svelte")):
        for number, text in enumerate(_DOCUMENT.findall(_COMMENTED.sub("", path.read_text())), 1):
            document = text.replace("${type}", "USER")
            found.append(Document(f"{path.name.split('.')[0]} {number}", document))
    return found


def _init(folder: Path, extra: str) -> Document:
    (text,) = _INIT.findall((folder / "generic/utils.js").read_text())
    whole = text.replace("${extraInitQuery}", extra)
    if not extra:
        return Document("init 1", whole)
    return Document("init 2", whole.replace("query {", "query ($dbid: ID!) {", 1).replace('"${dbid}"', "$dbid"))


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
