"""The how-to page: its blocks, copied out of it as they stand; and the sites over which they run.

The sites are such that what the page gives as examples is there: its job ids, its users and its cluster. So nothing of a block is
changed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccgateway.simulator import SimulatedSite

__all__ = ["BLOCKS", "PAGE", "Block", "Desk", "blocks_of", "make_sites"]

#: where the page lies
PAGE = Path(os.environ.get("CCGATEWAY_HOWTO", Path(__file__).parents[2].parent / "shared" / "rest-api-howto.txt"))

#: what stands before each block, and what after it
BLOCKS = {
    "List all running jobs on a cluster:": "List completed jobs for a specific user in a time window:",
    "List completed jobs for a specific user in a time window:": "Paginate through all jobs (100 at a time):",
    "Paginate through all jobs (100 at a time):": "Retrieving Job Details and Metrics",
    "Get full metadata and metrics for a specific job (by database id):": "Request specific metrics only:",
    "Request specific metrics only:": "Extract per-node average for a metric:",
    "Extract per-node average for a metric:": "Script: print a summary table for all completed jobs in the last 24 hours:",
    "Script: print a summary table for all completed jobs in the last 24 hours:": "Tagging Jobs",
    "Add a tag to a job:": "Remove a tag from a job:",
    "Remove a tag from a job:": "Script: bulk-tag a list of job database IDs from a file (job_ids.txt):",
    "Script: bulk-tag a list of job database IDs from a file (job_ids.txt):": (
        "Script: tag all jobs from a user that exceeded a node threshold:"
    ),
    "Script: tag all jobs from a user that exceeded a node threshold:": "Editing Job Metadata",
    "Add an annotation to a job:": "Script: read a CSV of db_id,note and annotate each job:",
    "Script: read a CSV of db_id,note and annotate each job:": "Job Lifecycle (Admin)",
    "Start a job:": "The response contains the database id assigned to the new job:",
    "Stop a job (by database id):": "User Accessible REST API",
    "Listing Your Own Jobs": "Investigating a Specific Job",
    "Get full job metadata:": "Get per-node metric data and show statistics:",
    "Get per-node metric data and show statistics:": (
        "Check whether any node had very low CPU utilization (potential idle node):"
    ),
    "Check whether any node had very low CPU utilization (potential idle node):": "Statistics on Your Own Jobs",
    "Script: compute average flops_any across all completed jobs in a time range:": (
        "Script: find your top-10 jobs by peak memory bandwidth:"
    ),
    "Script: find your top-10 jobs by peak memory bandwidth:": (
        "Script: summarize job efficiency — ratio of actual to walltime:"
    ),
    "Script: summarize job efficiency — ratio of actual to walltime:": "Feedback",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of the page: what stands above them, and their text."""

    title: str
    text: str


def blocks_of(page: str) -> dict[str, Block]:
    """Every block by its title."""
    lines = page.splitlines(keepends=True)
    bare = [line.rstrip("\n") for line in lines]
    found = {}
    for title, after in BLOCKS.items():
        start = bare.index(title) + 1
        found[title] = Block(title, "".join(lines[start : bare.index(after, start)]))
    return found


@dataclass(frozen=True, slots=True)
class Desk:
    """Where somebody sits who follows the page: a folder of their own, a home with a ``.curlrc``, and the two variables."""

    folder: Path
    url: str
    token: str

    def prepare(self) -> None:
        """Writes the ``.curlrc``: without it curl takes the brackets of ``startTime[from]`` for a pattern."""
        (self.folder / ".curlrc").write_text("globoff\n")

    def run(self, text: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs ``text`` as a script of bash."""
        script = self.folder / "script.sh"
        script.write_text(text)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "CC_URL": self.url,
            "TOKEN": self.token,
            **(variables or {}),
        }
        return subprocess.run(
            ["bash", str(script)], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )


# --- the sites

#: numbers of the sites, chosen so that the page's job ids 12345 and 3938 are jobs of two of them
NUMBERS = {"aurora": 345, "center": 938, "cygnus": 2}
RELEASES = {"aurora": "1.5", "center": "1.4", "cygnus": "1.3"}
CLUSTERS = {"aurora": "aurora", "center": "mycluster", "cygnus": "cygnus"}
HOUR = 3600


def make_sites() -> dict[str, SimulatedSite]:
    """Three sites of three releases with jobs up to now."""
    now = int(time.time())
    return {name: SimulatedSite(name, release, _jobs(name, now)) for name, release in RELEASES.items()}


def _jobs(site: str, now: int) -> list[dict[str, Any]]:
    cluster = CLUSTERS[site]
    jobs = []
    for number in range(1, 85):
        running = number in (3, 6, 9, 12 if site == "center" else 3)
        nodes = 64 if number in (7, 12, 30) else 1 + number % 4
        start = now - HOUR // 2 - number if running else now - number * 5 * HOUR // 2 - NUMBERS[site]
        jobs.append(
            {
                "id": number,
                "jobId": 700_000 + number,
                "user": "alice" if number % 3 == 0 or number == 7 else "bob",
                "project": "myproject",
                "cluster": cluster,
                "subCluster": "main",
                "partition": "main",
                "numNodes": nodes,
                "numHwthreads": 8 * nodes,
                "startTime": start,
                "duration": 0 if running else 600 + 60 * number,
                "walltime": 86_400 if number % 5 else 0,
                "jobState": "running" if running else ("failed" if number % 10 == 9 else "completed"),
                "monitoringStatus": 1 if running else 3,
                "resources": [{"hostname": f"{cluster[0]}n{host:03d}"} for host in range(1, nodes + 1)],
                "metaData": {"jobName": f"job{number}"},
            }
        )
    return jobs
