"""The bodies of writing requests: what each release takes, and what it has been read into.

:class:`Bodies` reads them for one release (:func:`bodies_of`); each reader answers a typed value or raises
:class:`~ccgateway.simulator.messages.GoError` in Go's words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from ccgateway.simulator.decoding import List, Map, Scalar, Shape, Struct, decode
from ccgateway.simulator.release import RELEASES, Release

__all__ = ["Bodies", "JobKey", "MetaEdit", "MetaEditByKey", "NodesTold", "Start", "Stop", "TagGiven", "UserChange", "bodies_of"]

_TEXT = Scalar("string")
_INT32 = Scalar("int32")
_INT64 = Scalar("int64")
_FLOAT = Scalar("float64")


class TagGiven(msgspec.Struct):
    """A tag as a request names it."""

    type: str = ""
    name: str = ""
    scope: str = ""


class Start(msgspec.Struct, rename="camel"):
    """A job that starts; what is not stored is left out."""

    job_id: int = 0
    user: str = ""
    project: str = ""
    cluster: str = ""
    sub_cluster: str = ""
    partition: str = ""
    array_job_id: int = 0
    num_nodes: int = 0
    num_hwthreads: int = 0
    num_acc: int = 0
    exclusive: int = 1
    shared: str = "none"
    monitoring_status: int = 1
    smt: int = 0
    job_state: str = "running"
    start_time: int = 0
    duration: int = 0
    walltime: int = 0
    energy: float = 0.0
    footprint: dict[str, float] | None = None
    meta_data: dict[str, str] | None = None
    resources: list[dict[str, Any] | None] = []
    tags: list[TagGiven | None] = []


class JobKey(msgspec.Struct, rename="camel"):
    """What names a job, as far as it was given."""

    job_id: int | None = None
    cluster: str | None = None
    start_time: int | None = None


class Stop(JobKey, rename="camel"):
    """How a job ended."""

    job_state: str = ""
    stop_time: int = 0


class MetaEdit(msgspec.Struct, frozen=True):
    """One key of a job's metadata."""

    key: str = ""
    value: str = ""


class MetaEditByKey(JobKey, rename="camel"):
    """The same, for a job that is named by its key."""

    payload: MetaEdit = MetaEdit()


class UserChange(msgspec.Struct, rename="kebab"):
    """Roles and projects of a user; the first one given counts."""

    add_role: str = ""
    remove_role: str = ""
    add_project: str = ""
    remove_project: str = ""


class NodeTold(msgspec.Struct):
    """The states of a node."""

    hostname: str = ""
    states: list[str | None] | None = None


class NodesTold(msgspec.Struct):
    """What the scheduler says of a cluster's nodes."""

    cluster: str = ""
    nodes: list[NodeTold | None] | None = None


class Bodies:
    """One release's way of reading bodies."""

    def __init__(self, release: Release) -> None:
        api = release.go_api
        key: dict[str, Shape] = {"jobId": _INT64, "cluster": _TEXT, "startTime": _INT64}
        meta = Struct("api.EditMetaRequest", {"key": _TEXT, "value": _TEXT})
        self._start = _start(release)
        self._stop = Struct(
            f"api.StopJob{api}Request", key | {"jobState": Scalar("string", "schema.JobState"), "stopTime": _INT64}
        )
        self._delete = Struct(f"api.DeleteJob{api}Request", key)
        self._tags = List(f"api.TagJob{api}Request", _tag(f"api.{api}Tag", release))
        self._meta = Map("map[string]string", _TEXT) if release.free_metadata else meta
        self._meta_by_key = Struct("api.JobMetaRequest", key | {"payload": meta})
        self._user = Struct(f"api.UpdateUser{api}Request", dict.fromkeys(UserChange.__struct_encode_fields__, _TEXT))
        self._nodes = _nodes()

    def start(self, body: bytes) -> Start:
        return msgspec.convert(decode(body, self._start) or {}, Start)

    def stop(self, body: bytes) -> Stop:
        return msgspec.convert(decode(body, self._stop) or {}, Stop)

    def delete(self, body: bytes) -> JobKey:
        return msgspec.convert(decode(body, self._delete) or {}, JobKey)

    def tags(self, body: bytes) -> list[TagGiven | None]:
        return msgspec.convert(decode(body, self._tags) or [], list[TagGiven | None])

    def metadata(self, body: bytes) -> list[MetaEdit]:
        """The edits asked for: one, unless any keys may be written."""
        given = decode(body, self._meta) or {}
        if isinstance(self._meta, Map):
            return [MetaEdit(k, v or "") for k, v in msgspec.convert(given, dict[str, str | None]).items()]
        return [msgspec.convert(given, MetaEdit)]

    def metadata_by_key(self, body: bytes) -> MetaEditByKey:
        return msgspec.convert(decode(body, self._meta_by_key) or {}, MetaEditByKey)

    def user(self, body: bytes) -> UserChange:
        return msgspec.convert(decode(body, self._user) or {}, UserChange)

    def nodes(self, body: bytes) -> NodesTold:
        return msgspec.convert(decode(body, self._nodes) or {}, NodesTold)


@lru_cache
def bodies_of(release: str) -> Bodies:
    """The bodies of the release of this name."""
    return Bodies(RELEASES[release])


def _tag(name: str, release: Release, **more: Shape) -> Struct:
    scope: dict[str, Shape] = {"scope": _TEXT} if release.tag_scopes else {}
    return Struct(name, {"type": _TEXT, "name": _TEXT} | scope | more)


def _start(release: Release) -> Struct:
    resource = Struct(
        "schema.Resource",
        {
            "hostname": _TEXT,
            "hwthreads": List("[]int", Scalar("int")),
            "accelerators": List("[]string", _TEXT),
            "configuration": _TEXT,
        },
    )
    statistics = Struct("schema.JobStatistics", {"unit": _unit(), "avg": _FLOAT, "min": _FLOAT, "max": _FLOAT})
    own: dict[str, Shape] = {
        "id": _INT64,
        "startTime": _INT64,
        "statistics": Map("map[string]schema.JobStatistics", statistics),
    }
    link = Struct("schema.JobLink", {"id": _INT64, "jobId": _INT64})
    links = Struct("schema.JobLinkResultList", {"items": List("[]*schema.JobLink", link), "count": Scalar("int")})
    common: dict[str, Shape] = {
        **dict.fromkeys(("user", "project", "cluster", "subCluster", "partition"), _TEXT),
        **dict.fromkeys(("jobId", "arrayJobId", "walltime"), _INT64),
        **dict.fromkeys(("numNodes", "numHwthreads", "numAcc", "monitoringStatus", "smt", "duration"), _INT32),
        "jobState": Scalar("string", "schema.JobState"),
        "metaData": Map("map[string]string", _TEXT),
        "resources": List("[]*schema.Resource", resource),
        "tags": List("[]*schema.Tag", _tag("schema.Tag", release, id=_INT64)),
        "concurrentJobs": links,
    }
    common |= {"exclusive": _INT32} if release.exclusive_body else {"shared": _TEXT}
    if release.energy_body:
        numbers = Map("map[string]float64", _FLOAT)
        common |= {"energy": _FLOAT, "footprint": numbers, "energyFootprint": numbers}
    if release.memory_body:
        common |= {"requestedMemory": _INT64, "submitTime": _INT64}
    name = f"schema.{release.go_job}"
    if not release.go_embedded:
        return Struct(name, own | common)
    return Struct(name, own, common, release.go_embedded)


def _unit() -> Struct:
    return Struct("schema.Unit", {"base": _TEXT, "prefix": _TEXT})


def _nodes() -> Struct:
    fields: dict[str, Shape] = dict.fromkeys(("cpusAllocated", "gpusAllocated", "jobsRunning"), Scalar("int"))
    fields |= {"memoryAllocated": _INT64, "hostname": _TEXT, "states": List("[]string", _TEXT)}
    nodes = List("[]schema.NodePayload", Struct("schema.NodePayload", fields))
    return Struct("api.UpdateNodeStatesRequest", {"cluster": _TEXT, "nodes": nodes})
