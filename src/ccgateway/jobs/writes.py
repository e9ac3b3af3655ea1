"""What callers may change at sites, and what became of it: commands and results, the same for every surface.

A command names its job by a ``Target``; a list of commands gives a list of results, one for each, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from ccgateway.errors import Code, GatewayError, RequestError
from ccgateway.jobs.model import STATES, Int64, JobKey, Resource, Tag, parse_job_id

__all__ = [
    "END_STATES", "MOST_ITEMS", "MOST_PASSWORD", "ChangeUser", "CreateUser", "DeleteBefore", "DeleteUser", "EditMeta",
    "NodeState", "NodeStates", "OmitTagged", "RemoveTags", "StartJob", "StopJob", "TagJob", "Target", "UserChange",
    "WriteOutcome", "WriteResult",
]  # fmt: skip

#: commands in one call at the most
MOST_ITEMS = 1000
#: what a job can be stopped as
END_STATES = tuple(state for state in STATES if state not in ("running", "pending", "suspended"))

#: bytes of a password: bcrypt, by which every release keeps them, takes no more
MOST_PASSWORD = 72

OmitTagged: TypeAlias = Literal["none", "all", "user"]
UserChange: TypeAlias = Literal["add-role", "remove-role", "add-project", "remove-project"]


class WriteOutcome(StrEnum):
    """What is true at the site once a write has been tried.

    ``DONE``: it took effect. ``UNCHANGED``: it was so already, nothing was changed. ``PENDING``: the site took it and will show
    it later. ``FAILED``: it did not take effect, or not wholly (the message says what did). ``UNKNOWN``: it was sent, and
    whether it took effect could not be found out.
    """

    DONE = "DONE"
    UNCHANGED = "UNCHANGED"
    PENDING = "PENDING"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which job is meant: by database id (``site`` and ``db_id``), or by key, or by both.

    By key: ``job_id`` is needed; without ``start_time`` it is the newest of that number, without ``cluster`` on any cluster,
    without ``site`` at whichever site has it. Both given: the id counts only while it still is the job of that key. For a stop,
    parts of a key mean what the site takes them for. Raises ``BAD_REQUEST`` for what names no job.
    """

    site: str | None = None
    db_id: int | None = None
    cluster: str | None = None
    job_id: int | None = None
    start_time: int | None = None

    def __post_init__(self) -> None:
        if self.db_id is not None and self.site is None:
            raise RequestError(Code.BAD_REQUEST, "A database id means nothing without its site.")
        if self.db_id is None and self.job_id is None:
            raise RequestError(Code.BAD_REQUEST, "Name the job: by its id, or by its key (cluster, jobId, startTime).")
        if self.job_id is None and (self.cluster is not None or self.start_time is not None):
            raise RequestError(Code.BAD_REQUEST, "A key needs jobId.")

    @classmethod
    def of(
        cls,
        id: str | None = None,  # noqa: A002
        *,
        site: str | None = None,
        cluster: str | None = None,
        job_id: int | None = None,
        start_time: int | None = None,
    ) -> Target:
        """The target that ``"site:dbid"`` and the parts of a key name. ``BAD_REQUEST`` where the two name different sites."""
        db_id = None
        if id is not None:
            named, db_id = parse_job_id(id)
            if site is not None and site != named:
                raise RequestError(Code.BAD_REQUEST, f"The job id {id} is not one of site {site[:60]!r}.")
            site = named
        return cls(site=site, db_id=db_id, cluster=cluster, job_id=job_id, start_time=start_time)

    @property
    def key(self) -> JobKey | None:
        """The whole key, where all of it is given."""
        if self.site is None or self.cluster is None or self.job_id is None or self.start_time is None:
            return None
        return JobKey(self.site, self.cluster, self.job_id, self.start_time)

    def fits(self, key: JobKey) -> bool:
        """Whether the job of that key is the one meant, as far as parts of a key are given."""
        given = (self.site, self.cluster, self.job_id, self.start_time)
        return all(part is None or part == own for part, own in zip(given, key, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """A job that has started at a scheduler, to be recorded.

    ``start_time`` in epoch seconds, ``walltime`` in seconds; ``shared`` in the words of cc-backend 1.5 (``none``,
    ``single_user``, ``multi_user``), whatever the site's release; ``site`` is needed only where several sites have the cluster.
    """

    job_id: int
    user: str
    cluster: str
    start_time: int
    resources: tuple[Resource, ...]
    site: str | None = None
    project: str = ""
    sub_cluster: str | None = None
    partition: str | None = None
    array_job_id: int | None = None
    num_nodes: int | None = None
    num_hw_threads: int | None = None
    num_acc: int | None = None
    smt: int | None = None
    monitoring_status: int | None = None
    shared: str | None = None
    walltime: int | None = None
    tags: tuple[Tag, ...] = ()
    meta_data: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """The job as it will be known."""
        return Target(site=self.site, cluster=self.cluster, job_id=self.job_id, start_time=self.start_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob:
    """A job has ended: at ``stop_time`` (epoch seconds), as ``state`` (one of ``END_STATES``)."""

    target: Target
    stop_time: int
    state: str = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagJob:
    """Tags to put on a job, or to take from it; the ``id`` of a tag does not matter."""

    target: Target
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMeta:
    """Keys of a job's metadata and their new values, in order. Other keys stay."""

    target: Target
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteBefore:
    """Every job that started before ``before`` (epoch seconds), running ones too, at each of ``sites`` (``None``: the one site
    there is; ``("*",)``: all). ``omit_tagged``: spare tagged jobs: ``all`` of them, or those with a ``user``'s own tags."""

    before: int
    sites: tuple[str, ...] | None = None
    omit_tagged: OmitTagged = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTags:
    """Tags to remove altogether, from every job, at each of ``sites`` (as in ``DeleteBefore``)."""

    tags: tuple[Tag, ...]
    sites: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeUser:
    """One role or project (``value``) more or less for a user, under the name that each of ``sites`` (as in ``DeleteBefore``) has
    for them."""

    user: str
    change: UserChange
    value: str
    sites: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUser:
    """A new user of each of ``sites`` (as in ``DeleteBefore``), with one role, and for a manager one project.

    Raises ``BAD_REQUEST`` for what no release takes, or takes and means nothing by it.
    """

    user: str
    password: str = field(default="", repr=False)
    role: str = ""
    name: str = ""
    email: str = ""
    project: str = ""
    sites: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        reason = None
        if not self.user:
            reason = "the username is missing"
        elif not self.password and self.role != "api":
            reason = "only users whose role is api may have no password"
        elif len(self.password.encode("utf-8", "replace")) > MOST_PASSWORD:
            reason = f"the password has more than {MOST_PASSWORD} bytes, which no release takes"
        elif self.project and self.role != "manager":
            reason = "only managers have a project"
        elif self.role == "manager" and not self.project:
            reason = "a manager needs a project"
        if reason is not None:
            raise RequestError(Code.BAD_REQUEST, f"The user cannot be created: {reason}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser:
    """The user of that name at each of ``sites`` (as in ``DeleteBefore``) goes. Raises ``BAD_REQUEST`` where none is named."""

    user: str
    sites: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.user:
            raise RequestError(Code.BAD_REQUEST, "The user cannot be deleted: the username is missing.")


class NodeState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What a scheduler says of one node: its states, in the scheduler's words, and what of it is allocated (``memory`` in MB).

    What is ``None`` was not said.
    """

    hostname: str | None = None
    states: list[str | None] | None = None
    cpus_allocated: Int64 | None = None
    memory_allocated: Int64 | None = None
    gpus_allocated: Int64 | None = None
    jobs_running: Int64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStates:
    """The states of nodes of a cluster, as of now; ``site`` is needed only where several sites have the cluster."""

    cluster: str
    nodes: tuple[NodeState, ...]
    site: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What one command came to.

    ``site``: where (``None`` if that could not be told); ``key`` and ``db_id``: the job, as far as it is known (the id is
    provisional while it is pending, and once the job is deleted it names nothing any more); ``tag``: for commands about tags as
    such; ``count``: how many jobs were, or in a dry run would be, deleted (``None``: not known); ``code`` and ``message``: why
    not, or what else there is to know; ``retryable``: whether the same command may succeed a little later.
    """

    outcome: WriteOutcome
    site: str | None = None
    key: JobKey | None = None
    db_id: int | None = None
    tag: Tag | None = None
    count: int | None = None
    code: Code | None = None
    message: str | None = None
    retryable: bool = False

    @classmethod
    def failed(
        cls,
        error: GatewayError,
        *,
        site: str | None = None,
        key: JobKey | None = None,
        db_id: int | None = None,
        tag: Tag | None = None,
    ) -> WriteResult:
        """The result of a command that ``error`` kept from taking effect."""
        return cls(
            outcome=WriteOutcome.FAILED,
            site=site or error.site,
            key=key,
            db_id=db_id,
            tag=tag,
            code=error.code,
            message=error.message,
            retryable=error.retryable,
        )

    @property
    def job(self) -> str | None:
        """The job's id ``"site:dbid"``, where it has one."""
        return f"{self.site}:{self.db_id}" if self.site is not None and self.db_id is not None else None
