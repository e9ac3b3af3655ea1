"""The parameters of the faces, described once."""

from __future__ import annotations

from ccgateway.jobs.metrics import SCOPES
from ccgateway.jobs.model import STATES
from ccgateway.surfaces.rest.bodies import CHANGES
from ccgateway.surfaces.rest.endpoints import Parameter, Schema

__all__ = [
    "ALL_METRICS", "CHANGED", "CLUSTER", "DOCUMENTED_LIST", "DRY_RUN", "METRICS", "NAMES", "NOT_JUST_USER", "OMIT_TAGGED",
    "POLICY", "RELEASED_LIST", "RESOLUTION", "SITE", "SITES", "TIMESTAMP", "USERNAME",
]  # fmt: skip

#: a body that names metrics
NAMES: Schema = {"type": ["array", "null"], "items": {"type": "string"}}

_TEXT: Schema = {"type": "string"}
_SECONDS: Schema = {"type": "integer", "minimum": 0}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_FLAG: Schema = {"type": "boolean"}

SITE = Parameter("site", "Only these sites; all of them where it is left out.", _TEXT, repeats=True)
SITES = Parameter("site", "The sites, by name, or `*` for all. Needed where there are several.", _TEXT, repeats=True)
CLUSTER = Parameter("cluster", "Only clusters of that name.", _TEXT)
POLICY = Parameter(
    "policy", "`STRICT`: an error (503) instead of an answer without a site.", {"type": "string", "enum": ["PARTIAL", "STRICT"]}
)
NOT_JUST_USER = Parameter("not-just-user", "`true` leaves out those whose only role is `user`.", _FLAG)
USERNAME = Parameter("username", "Who is to go; may stand in a form in the body, too.", _TEXT)
TIMESTAMP = Parameter("ts", "Epoch seconds: jobs that started before.", _SECONDS, required=True)
DRY_RUN = Parameter("dry-run", "`true` deletes nothing, and tells what would be.", _FLAG)
OMIT_TAGGED = Parameter(
    "omit-tagged",
    "Spares tagged jobs: all of them, or those with tags of users.",
    {"type": "string", "enum": ["none", "all", "user"]},
)
CHANGED = tuple(Parameter(name, f"A {name.partition('-')[2]}; may stand in the body, too.", _TEXT) for name in CHANGES)
ALL_METRICS = Parameter("all-metrics", "Whether the metrics come with the job.", _FLAG)
RESOLUTION = Parameter("resolution", "Seconds between samples, 0 for all; a site may have others: `timestep` tells.", _SECONDS)
METRICS = (
    Parameter("metric", "Only these metrics; all of them where it is left out.", _TEXT, repeats=True),
    Parameter("scope", "At these scopes.", {"type": "string", "enum": list(SCOPES)}, repeats=True),
)

_PAGE = Parameter("page", "Number of the page, from 1.", _COUNT)
_CURSOR = Parameter(
    "cursor",
    "Reads on from there, as the `Link` header says; empty: from the start. Pages may then be short while there is more.",
    _TEXT,
)
_JOB_ID = Parameter(
    "jobId",
    "The scheduler's job number; several mean any of them. Sites that answer no GraphQL of their own are read for it: there, "
    "name a `start-time` too where there is one.",
    {"type": "integer", "format": "int64", "minimum": 0},
    repeats=True,
)
_CLUSTER, _PROJECT = Parameter("cluster", "Cluster name.", _TEXT), Parameter("project", "Project name.", _TEXT)
_WINDOW = Parameter(
    "start-time", "`FROM-TO`, epoch seconds, both ends inclusive.", {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}
)


def _states(*names: str) -> Parameter:
    return Parameter("state", "Job state; several mean any of them.", {"type": "string", "enum": list(names)}, repeats=True)


DOCUMENTED_LIST = (
    _JOB_ID,
    _states(*STATES),
    _CLUSTER,
    Parameter("user", "Username.", _TEXT),
    _PROJECT,
    Parameter("startTime[from]", "Start time, lower bound, epoch seconds.", _SECONDS),
    Parameter("startTime[to]", "Start time, upper bound, epoch seconds.", _SECONDS),
    Parameter("numNodes[from]", "Least number of nodes.", {"type": "integer", "minimum": 0}),
    Parameter("numNodes[to]", "Highest number of nodes.", _COUNT),
    Parameter("jobName", "Name of the job, as its metadata have it.", _TEXT),
    Parameter("node", "Name of a host that the job uses.", _TEXT),
    _WINDOW,
    _PAGE,
    Parameter(
        "items_per_page", "Jobs on a page; 25 where it is left out, -1 for everything.", {"type": "integer", "minimum": -1}
    ),
    Parameter("with_metadata", "Whether metadata come with each job.", _FLAG),
    SITE,
    _CURSOR,
    POLICY,
)

RELEASED_LIST = (
    _JOB_ID,
    _states(*(state for state in STATES if state != "stopped")),
    _CLUSTER,
    _PROJECT,
    _WINDOW,
    _PAGE,
    Parameter("items-per-page", "Jobs on a page; 25 where it is left out.", _COUNT),
    Parameter("with-metadata", "Metadata come with each job where it is there, whatever its value.", _TEXT),
    SITE,
    _CURSOR,
    POLICY,
)
