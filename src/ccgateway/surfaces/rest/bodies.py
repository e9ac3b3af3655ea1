"""Bodies of writes, read as strictly as cc-backend reads them: a key that it does not know is an error, and is named.

Keys are found whatever their case, a null counts as absent, in a list and in metadata as empty, and what is absent is empty or 0,
as Go has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from ccgateway.jobs.model import SHARED_BY_EXCLUSIVE, Resource, Tag
from ccgateway.jobs.writes import NodeState, StartJob, UserChange
from ccgateway.surfaces.rest.go_compat import decode_json, kind_of

__all__ = [
    "ENDED", "NAMED", "NAMED_PAIR", "NODES", "PAIR", "STARTED", "STARTED_ANYWHERE", "TAGS", "USER", "Ended", "Kind", "Named",
    "Pair", "change_in", "read_change", "read_ended", "read_named", "read_named_pair", "read_nodes", "read_pair", "read_started",
    "read_tags", "schema_of",
]  # fmt: skip

Kind: TypeAlias = "Literal['string', 'int', 'int64', 'int32', 'any'] | Shape | Many | Texts"


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: what Go calls it, and the kind of each key. ``needed``: those without which it means nothing."""

    name: str
    keys: Mapping[str, Kind]
    needed: tuple[str, ...] = ()
    folded: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folded", {name.lower(): name for name in self.keys})


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values of one kind. ``name``: what Go calls it."""

    of: Kind
    name: str = "[]"


@dataclass(frozen=True, slots=True)
class Texts:
    """An object of texts with any keys."""


_TAG = Shape("APITag", {"type": "string", "name": "string", "scope": "string"}, ("type", "name"))
TAGS = Many(_TAG, "api.TagJobAPIRequest")
PAIR = Shape("EditMetaRequest", {"key": "string", "value": "string"})
_KEY: Mapping[str, Kind] = {"jobId": "int64", "cluster": "string", "startTime": "int64"}
NAMED = Shape("DeleteJobAPIRequest", _KEY, ("jobId",))
NAMED_PAIR = Shape("JobMetaRequest", {**_KEY, "payload": PAIR}, ("jobId", "payload"))
ENDED = Shape("StopJobAPIRequest", {**_KEY, "jobState": "string", "stopTime": "int64"}, ("stopTime",))
#: changes of a user; the first that is given counts
CHANGES: tuple[UserChange, ...] = ("add-role", "remove-role", "add-project", "remove-project")
USER = Shape("UpdateUserAPIRequest", dict.fromkeys(CHANGES, "string"))
_RESOURCE = Shape(
    "Resource", {"hostname": "string", "configuration": "string", "hwthreads": Many("int64"), "accelerators": Many("string")}
)
_JOB_TAG = Shape("Tag", {"type": "string", "name": "string", "scope": "string", "id": "int64"})
_JOB: Mapping[str, Kind] = {
    "jobId": "int64",
    "user": "string",
    "project": "string",
    "cluster": "string",
    "subCluster": "string",
    "partition": "string",
    "arrayJobId": "int64",
    "numNodes": "int32",
    "numHwthreads": "int32",
    "numAcc": "int32",
    "monitoringStatus": "int32",
    "smt": "int32",
    "jobState": "string",
    "duration": "int32",
    "walltime": "int64",
    "tags": Many(_JOB_TAG),
    "resources": Many(_RESOURCE),
    "metaData": Texts(),
    "concurrentJobs": "any",
    "startTime": "int64",
    "statistics": "any",
    "id": "int64",
    "energy": "any",
    "energyFootprint": "any",
    "footprint": "any",
    "shared": "string",
    "submitTime": "int64",
    "requestedMemory": "int64",
}
_NEEDED = ("jobId", "user", "cluster", "startTime", "resources")
STARTED = Shape("Job", _JOB, _NEEDED)
#: what releases up to 1.4 have instead of ``shared``; and the site, where several have the cluster
STARTED_ANYWHERE = Shape("Job", {**_JOB, "exclusive": "int32", "site": "string"}, _NEEDED)
_NODE = Shape(
    "NodePayload",
    {
        "hostname": "string",
        "states": Many("string", "[]string"),
        "cpusAllocated": "int",
        "memoryAllocated": "int64",
        "gpusAllocated": "int",
        "jobsRunning": "int",
    },
    ("hostname", "states"),
)
NODES = Shape(
    "UpdateNodeStatesRequest", {"cluster": "string", "nodes": Many(_NODE, "[]schema.NodePayload")}, ("cluster", "nodes")
)
_BOUNDS = {"int32": 1 << 31, "int64": 1 << 63, "int": 1 << 63}


def _read(body: bytes, kind: Kind) -> Any:
    """The decoded body; ``ValueError`` in the words of ``encoding/json``."""
    value = decode_json(body)
    return None if value is None else _typed(value, kind, "")


def _typed(value: Any, kind: Kind, where: str) -> Any:
    match kind:
        case "any":
            return value
        case "string":
            if isinstance(value, str):
                return value
        case "int64" | "int32" | "int":
            if isinstance(value, int) and not isinstance(value, bool) and -_BOUNDS[kind] <= value < _BOUNDS[kind]:
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                raise _misfit(f"number {value}", where, kind)
        case Many():
            if isinstance(value, list):
                return _items(value, kind.of, where)
            raise _misfit(kind_of(value), where, kind.name)
        case Texts():
            if isinstance(value, dict):
                return {name: "" if one is None else _typed(one, "string", where) for name, one in value.items()}
            raise _misfit(kind_of(value), where, "map[string]string")
        case Shape():
            if isinstance(value, dict):
                return _object(value, kind, where)
            raise _misfit(kind_of(value), where, f"{'schema' if kind in _OF_LIBRARY else 'api'}.{kind.name}")
    raise _misfit(kind_of(value), where, str(kind))


def _items(values: list[Any], kind: Kind, where: str) -> list[Any]:
    if (numbers := _integers(values, kind)) is not None:
        return numbers
    return [
        _typed(one, kind, where) if one is not None else "" if kind == "string" else 0
        for one in values
        if one is not None or isinstance(kind, str)
    ]


def _integers(values: list[Any], kind: Kind) -> list[int] | None:
    """The values, where integers (or nulls) that fit are all there is: hundreds of thousands of them, looked at one by one, would
    keep others waiting."""
    if not isinstance(kind, str) or kind not in _BOUNDS or not set(map(type, values)) <= {int, type(None)}:
        return None
    numbers = [one or 0 for one in values] if None in values else values
    fits = not numbers or (-_BOUNDS[kind] <= min(numbers) and max(numbers) < _BOUNDS[kind])
    return numbers if fits else None


#: objects that come from the library and not from the interface itself
_OF_LIBRARY = (STARTED, STARTED_ANYWHERE, _JOB_TAG, _RESOURCE, _NODE)


def _object(value: dict[str, Any], shape: Shape, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        name = key if key in shape.keys else shape.folded.get(key.lower())
        if name is None:
            raise ValueError(f'json: unknown field "{key}"')
        if one is not None:
            path = where.partition(".")[2]
            found[name] = _typed(one, shape.keys[name], f"{shape.name}.{path}.{name}" if path else f"{shape.name}.{name}")
    return found


def _misfit(what: str, where: str, kind: str) -> ValueError:
    place = f"struct field {where}" if where else "value"
    return ValueError(f"json: cannot unmarshal {what} into Go {place} of type {kind}")


def schema_of(kind: Kind) -> dict[str, Any]:
    """The JSON schema of values of that kind."""
    match kind:
        case Shape():
            properties = {name: schema_of(one) for name, one in kind.keys.items()}
            needed = {"required": list(kind.needed)} if kind.needed else {}
            return {"type": "object", "properties": properties, **needed, "additionalProperties": False}
        case Many():
            return {"type": "array", "items": schema_of(kind.of)}
        case Texts():
            return {"type": "object", "additionalProperties": {"type": "string"}}
        case "string":
            return {"type": "string"}
        case "any":
            return {}
        case _:
            return {"type": "integer", "format": "int64" if kind == "int" else kind}


# --- what the bodies say


@dataclass(frozen=True, slots=True)
class Named:
    """A job by key; what was not given is ``None``."""

    job_id: int | None
    cluster: str | None
    start_time: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A job's end; ``job`` as far as it is named."""

    job: Named
    state: str
    stop_time: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One key of metadata, and its value."""

    key: str
    value: str


def _named(found: Mapping[str, Any]) -> Named:
    return Named(found.get("jobId"), found.get("cluster"), found.get("startTime"))


def _pair(found: Mapping[str, Any]) -> Pair:
    return Pair(found.get("key", ""), found.get("value", ""))


def read_tags(body: bytes) -> list[Tag]:
    """``[{"type", "name", "scope"}…]``; a scope that is not given is empty. ``ValueError`` for anything else, here and below."""
    found = _read(body, TAGS) or []
    return [Tag(one.get("type", ""), one.get("name", ""), one.get("scope", "")) for one in found]


def read_named(body: bytes) -> Named:
    """``{"jobId", "cluster", "startTime"}``."""
    return _named(_read(body, NAMED) or {})


def read_pair(body: bytes) -> Pair:
    """``{"key", "value"}``."""
    return _pair(_read(body, PAIR) or {})


def read_named_pair(body: bytes) -> tuple[Named, Pair]:
    """``{"jobId", "cluster", "startTime", "payload": {"key", "value"}}``."""
    found = _read(body, NAMED_PAIR) or {}
    return _named(found), _pair(found.get("payload", {}))


def read_change(body: bytes) -> tuple[UserChange, str] | None:
    """``{"add-role"}``, or another of ``CHANGES``; ``None`` if there is none."""
    return change_in(_read(body, USER) or {})


def change_in(found: Mapping[str, str]) -> tuple[UserChange, str] | None:
    """The first change that ``found`` has, and what it is about."""
    return next(((name, found[name]) for name in CHANGES if found.get(name)), None)


def read_ended(body: bytes) -> Ended:
    """``{"jobId", "cluster", "startTime", "jobState", "stopTime"}``; without a state it is ``completed``."""
    found = _read(body, ENDED) or {}
    return Ended(_named(found), found.get("jobState") or "completed", found.get("stopTime", 0))


#: objects in a body that is not simply what it should be, so that it is looked at piece by piece
_MOST_LOOKED_AT = 2000


class _Nodes(msgspec.Struct, forbid_unknown_fields=True):
    cluster: str | None = None
    nodes: list[NodeState | None] | None = None


_NODES = msgspec.json.Decoder(_Nodes)


def read_nodes(body: bytes) -> tuple[str, tuple[NodeState, ...]]:
    """``{"cluster", "nodes": [{"hostname", "states", …}…]}``."""
    try:
        found = _NODES.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if body.count(b"{") > _MOST_LOOKED_AT:
            raise ValueError(
                f"of more than {_MOST_LOOKED_AT} nodes, all need to have their keys as they are documented"
            ) from None
        found = msgspec.convert(_read(body, NODES) or {}, _Nodes)
    return found.cluster or "", tuple([one for one in found.nodes or () if one is not None])


def read_started(body: bytes, site: str | None = None, *, any_release: bool = False) -> StartJob:
    """A job as ``start_job`` takes it. ``any_release``: also ``exclusive``, as releases up to 1.4 have it, and ``site``."""
    found = _read(body, STARTED_ANYWHERE if any_release else STARTED) or {}
    shared = found.get("shared")
    if shared is not None and shared not in SHARED_BY_EXCLUSIVE.values():
        raise ValueError(f"shared: {shared[:40]!r} is not one of {', '.join(SHARED_BY_EXCLUSIVE.values())}")
    if shared is None and "exclusive" in found:
        shared = SHARED_BY_EXCLUSIVE.get(found["exclusive"])
        if shared is None:
            raise ValueError(f"exclusive: {found['exclusive']} is not 0, 1 or 2")
    return StartJob(
        job_id=found.get("jobId", 0),
        user=found.get("user", ""),
        cluster=found.get("cluster", ""),
        start_time=found.get("startTime", 0),
        resources=tuple(
            Resource.of(one.get("hostname", ""), one.get("hwthreads"), one.get("accelerators"), one.get("configuration"))
            for one in found.get("resources", ())
        ),
        site=found.get("site", site),
        project=found.get("project", ""),
        sub_cluster=found.get("subCluster"),
        partition=found.get("partition"),
        array_job_id=found.get("arrayJobId"),
        num_nodes=found.get("numNodes"),
        num_hw_threads=found.get("numHwthreads"),
        num_acc=found.get("numAcc"),
        smt=found.get("smt"),
        monitoring_status=found.get("monitoringStatus"),
        shared=shared,
        walltime=found.get("walltime"),
        tags=tuple(Tag(t.get("type", ""), t.get("name", ""), t.get("scope") or "global") for t in found.get("tags", ())),
        meta_data=found.get("metaData", {}),
    )
