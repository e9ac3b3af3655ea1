"""A job as the gateway holds it, whatever release it came from.

Attribute names are the gateway's; times are epoch seconds (UTC), durations seconds. Rows are compiled per site and per
set of needed fields (``ccgateway.site.decoding``): an attribute outside that set does not exist on the row. What is only passed
on can be asked for as the JSON text that the site sent (``JOB_TEXTS``), which is neither read nor written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import msgspec

from ccgateway.errors import Code, RequestError

__all__ = [
    "ALWAYS",
    "JOB_FIELDS",
    "JOB_TEXTS",
    "SHARED_BY_EXCLUSIVE",
    "STATES",
    "Epoch",
    "Int32",
    "JobField",
    "JobKey",
    "JobRow",
    "Resource",
    "Tag",
    "parse_job_id",
]  # fmt: skip

#: every state that some release knows (``stopped`` up to 1.4 only)
STATES = (
    "running", "completed", "deadline", "failed", "cancelled", "node_fail", "boot_fail", "pending", "suspended",
    "stopped", "timeout", "preempted", "out_of_memory",
)  # fmt: skip

#: ``exclusive`` of releases up to 1.4, in the words of 1.5's ``shared``
SHARED_BY_EXCLUSIVE: Mapping[int, str] = {0: "multi_user", 1: "none", 2: "single_user"}


#: what the schema can show: a site that sends more is not one that this gateway understands
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
#: a database id; REST's integer ids are made of it times 1000, and have 64 bits as well
DbId = Annotated[int, msgspec.Meta(ge=0, le=(2**63 - 1) // 1000 - 1)]
#: a site may hold times that no job can have, such as milliseconds: they must not cost the other jobs of the page
Epoch = Int64


class Tag(msgspec.Struct, frozen=True, gc=False):
    """A tag on a job. Releases up to 1.3 have no scopes: everybody sees every tag, hence ``global``."""

    type: str
    name: str
    scope: str = "global"
    id: Int64 = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one tag over all sites: type, name and scope."""
        return self.type, self.name, self.scope


class Resource(msgspec.Struct, frozen=True, gc=False):
    """One host of a job; ``hwthreads`` and ``accelerators`` are ``None`` where the job was started without them.

    Tuples, as those of a job's hosts: unlike lists, the collector looks at them once, and there are millions.
    """

    hostname: str
    hwthreads: tuple[Int32, ...] | None = None
    accelerators: tuple[str, ...] | None = None
    configuration: str | None = None

    @classmethod
    def of(
        cls, hostname: str, hwthreads: Iterable[int] | None, accelerators: Iterable[str] | None, configuration: str | None
    ) -> Resource:
        """What was said of one host, in lists or the like."""
        threads = None if hwthreads is None else tuple(hwthreads)
        return cls(hostname, threads, None if accelerators is None else tuple(accelerators), configuration)


class JobKey(NamedTuple):
    """What identifies a job for good: database ids are used again, this is not."""

    site: str
    cluster: str
    job_id: int
    start_time: int


class JobRow(msgspec.Struct):
    """One job of one site, holding what the question needed: ``ALWAYS``, and some of ``JOB_FIELDS`` and ``JOB_TEXTS``."""

    site: ClassVar[str]

    if TYPE_CHECKING:
        id: int
        job_id: int
        cluster: str
        start_time: int
        user: str
        project: str
        sub_cluster: str
        partition: str
        array_job_id: int
        num_nodes: int
        num_hw_threads: int
        num_acc: int
        smt: int
        shared: str
        state: str
        monitoring_status: int
        duration: int
        walltime: int
        energy: float
        tags: list[Tag]
        resources: tuple[Resource, ...]
        footprint: dict[str, float] | None
        meta_data: dict[str, Any] | None
        resources_json: msgspec.Raw
        footprint_json: msgspec.Raw
        meta_data_json: msgspec.Raw
        energy_json: msgspec.Raw
        statistics_json: msgspec.Raw

    @property
    def key(self) -> JobKey:
        """The job's durable identity."""
        return JobKey(self.site, self.cluster, self.job_id, self.start_time)


@dataclass(frozen=True, slots=True)
class JobField:
    """Type and, for what upstream omits when it is zero, the default of one attribute of a row."""

    type: Any
    default: Any = msgspec.NODEFAULT


#: the attributes every row has: identity and order need them
ALWAYS = frozenset({"id", "job_id", "cluster", "start_time"})

JOB_FIELDS: Mapping[str, JobField] = {
    "id": JobField(DbId),
    "job_id": JobField(Int64),
    "cluster": JobField(str),
    "start_time": JobField(Epoch),
    "user": JobField(str, ""),
    "project": JobField(str, ""),
    "sub_cluster": JobField(str, ""),
    "partition": JobField(str, ""),
    "array_job_id": JobField(Int64, 0),
    "num_nodes": JobField(Int32, 0),
    "num_hw_threads": JobField(Int32, 0),
    "num_acc": JobField(Int32, 0),
    "smt": JobField(Int32, 0),
    "shared": JobField(str, "none"),
    "state": JobField(str),
    "monitoring_status": JobField(Int32, 0),
    "duration": JobField(Int32, 0),
    "walltime": JobField(Int64, 0),
    "energy": JobField(float, 0.0),
    "tags": JobField(list[Tag] | None, None),
    "resources": JobField(tuple[Resource, ...] | None, None),
    "footprint": JobField(dict[str, float | None] | None, None),
    "meta_data": JobField(dict[str, str | float | Int64 | bool | None] | None, None),
}

#: attributes that hold a value's JSON text as the site sent it → the text where the site sends none
JOB_TEXTS: Mapping[str, bytes] = {
    "resources_json": b"null",
    "footprint_json": b"null",
    "meta_data_json": b"null",
    "energy_json": b"0",
    "statistics_json": b"null",
}

_JOB_ID = re.compile(r"([a-z0-9][a-z0-9-]*):([0-9]{1,18})")


def parse_job_id(text: str) -> tuple[str, int]:
    """``"site:dbid"`` → (site, database id). Raises ``BAD_REQUEST`` for anything else."""
    found = _JOB_ID.fullmatch(text)
    if not found:
        raise RequestError(
            Code.BAD_REQUEST, f"{text[:80]!r} is not a job id. A job id has the form site:number, as Job.id gives it."
        )
    return found[1], int(found[2])
